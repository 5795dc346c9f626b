//! What the journal must have in it: each change that was made, once, in the order that clients saw.

use std::collections::BTreeMap;
use std::time::Instant;

use super::violation::Violations;
use super::{Outcome, Rule, Write};

/// An entry of the zone's journal, about one RRset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The revision of the change.
    pub revision: i64,
    /// The RRset.
    pub rrset: String,
    /// Its new value; none if it was removed.
    pub value: Option<String>,
}

impl Entry {
    fn tell(&self) -> String {
        let (revision, rrset, value) = (self.revision, &self.rrset, &self.value);
        format!("the journal has at revision {revision} {rrset} = {value:?}")
    }

    /// Whether this is the change of the write.
    fn is_of(&self, write: &Write) -> bool {
        (&self.rrset, &self.value) == (&write.rrset, &write.value)
    }
}

/// Checks the journal against the writes of those that keep it.
pub(super) fn check(writes: &[Write], journal: &[Entry], origin: Instant, found: &mut Violations) {
    let by_revision: BTreeMap<i64, &Entry> = journal
        .iter()
        .map(|entry| (entry.revision, entry))
        .collect();
    let mut by_value = BTreeMap::<(&str, Option<&str>), Vec<&Write>>::new();
    for write in writes.iter().filter(|write| write.is_recorded) {
        let value = (write.rrset.as_str(), write.value.as_deref());
        by_value.entry(value).or_default().push(write);
        let Outcome::Acknowledged(Some(revision)) = write.outcome else {
            continue;
        };
        let entry = by_revision.get(&revision);
        if !entry.is_some_and(|entry| entry.is_of(write)) {
            let entry = entry.map(|entry| entry.tell());
            let entry = entry.unwrap_or_else(|| "it is not in the journal".into());
            found.add(Rule::Journal, [write.tell(origin), entry]);
        }
    }
    if by_revision.len() < journal.len() {
        let twice = journal
            .iter()
            .filter(|one| by_revision[&one.revision] != *one);
        found.add(Rule::Journal, twice.map(Entry::tell));
    }
    // The latest start of a write whose entry has been passed.
    let mut latest: Option<&Write> = None;
    let mut values = BTreeMap::<(&str, &str), &Entry>::new();
    for entry in by_revision.values() {
        let value = (entry.rrset.as_str(), entry.value.as_deref());
        let none = Vec::new();
        let could = by_value.get(&value).unwrap_or(&none).iter();
        let mut could = could.filter(|write| may_be(write, entry.revision));
        let Some(write) = could.next() else {
            found.add(Rule::Journal, ["nobody wrote this:".into(), entry.tell()]);
            continue;
        };
        // Of several that remove an RRset it is not known which one this is.
        let Some(value) = &entry.value else {
            continue;
        };
        if let Some(first) = values.insert((&entry.rrset, value), entry) {
            let lines = [write.tell(origin), first.tell(), entry.tell()];
            found.add(Rule::Journal, lines);
        }
        match latest {
            Some(later) if write.span.end < later.span.start => {
                let lines = [write.tell(origin), later.tell(origin), entry.tell()];
                found.add(Rule::Journal, lines);
            }
            Some(later) if write.span.start < later.span.start => {}
            _ => latest = Some(write),
        }
    }
}

/// Whether a write may have been done at a revision, by its outcome.
fn may_be(write: &Write, revision: i64) -> bool {
    match write.outcome {
        Outcome::Acknowledged(Some(at)) => at == revision,
        Outcome::Acknowledged(None) | Outcome::Unknown => true,
        Outcome::Refused => false,
    }
}
