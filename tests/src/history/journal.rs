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
    let is_kept = |one: &&Entry| std::ptr::eq(by_revision[&one.revision], *one);
    for second in journal.iter().filter(|one| !is_kept(one)) {
        let lines = [by_revision[&second.revision].tell(), second.tell()];
        found.add(Rule::Journal, lines);
    }
    // Of the writes whose entries have been passed the one that began last.
    let mut latest: Option<&Write> = None;
    for entry in by_revision.values() {
        let value = (entry.rrset.as_str(), entry.value.as_deref());
        // Each write is done once.
        let write = by_value.get_mut(&value).and_then(|writes| {
            let could = writes.iter().enumerate().filter(|(_, write)| {
                may_be(write, entry.revision) && !latest.is_some_and(|later| is_over(write, later))
            });
            let (index, _) = could.min_by_key(|(_, write)| urgency(write))?;
            Some(writes.remove(index))
        });
        let Some(write) = write else {
            let lines = ["no write can have been this:".into(), entry.tell()];
            let later = latest.map(|later| later.tell(origin));
            found.add(Rule::Journal, lines.into_iter().chain(later));
            continue;
        };
        // Of several that remove an RRset it may have been another one.
        let is_certain = entry.value.is_some() || is_numbered(write);
        if is_certain && latest.is_none_or(|later| later.span.start < write.span.start) {
            latest = Some(write);
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

fn is_numbered(write: &Write) -> bool {
    matches!(write.outcome, Outcome::Acknowledged(Some(_)))
}

/// Whether a write was done before another one began. One of unknown outcome may be done at any time.
fn is_over(write: &Write, other: &Write) -> bool {
    write.outcome != Outcome::Unknown && write.span.end < other.span.start
}

/// Which one of several writes to take first for an entry: the one that can explain the fewest later entries.
fn urgency(write: &Write) -> (bool, bool, Instant) {
    let is_unknown = write.outcome == Outcome::Unknown;
    (!is_numbered(write), is_unknown, write.span.end)
}
