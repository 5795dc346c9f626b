//! The history of a store, in the end: every change has its entry in the journal, and its author was told the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use etcd::client::ImportMode;
use etcd::model::{Name, ZoneSettings};
use etcd::schema::{JournalEntry, Key, Prefix, decode_journal};

use super::effect::{broken_rule, has_effect, hidden};
use super::reason::has_reason;
use super::{Checks, Made};
use crate::actors::{End, PREPARATIONS, zone_name};
use crate::model::Store;
use crate::reference::{self, Records, Zones};
use crate::schedule::Change;

/// The history of a store, and what writers were told of it.
pub(crate) struct History<'h> {
    pub(crate) checks: &'h Checks,
    pub(crate) cluster_id: u64,
    pub(crate) store: &'h Store,
    /// When it began, if that was with a restore.
    pub(crate) since: Option<Instant>,
    /// Whether its revisions meant something else before.
    pub(crate) repeats_revisions: bool,
    /// Whether entries may be deleted soon after they were written. Then a write that comes twice may be applied twice.
    pub(crate) forgets: bool,
    /// Whether writes may come twice.
    pub(crate) repeats_writes: bool,
    pub(crate) made: &'h [Made],
}

/// What one revision wrote to journals, by zone.
type Entries = BTreeMap<Name, JournalEntry>;

impl History<'_> {
    /// Checks all of it.
    pub(crate) fn check(&self) {
        let mut entries: BTreeMap<String, Vec<(i64, Name)>> = BTreeMap::new();
        for (revision, _) in self.store.commits() {
            let (journal, is_about_zones) = self.journal(revision);
            for (zone, entry) in &journal {
                let label = entry.author.why.clone().unwrap_or_default();
                if label != PREPARATIONS && self.change_of(entry).is_none() {
                    self.broken(format!("revision {revision}: nobody made {label:?}"));
                }
                let entries = entries.entry(label).or_default();
                entries.push((revision, zone.clone()));
            }
            if is_about_zones || !journal.is_empty() {
                self.check_revision(revision, &journal);
            }
        }
        self.check_leftovers();
        for made in self.made {
            let entries = entries.get(&made.label).map_or(&[][..], Vec::as_slice);
            self.check_end(made, entries);
            // What was done before a restore may be gone.
            if self.is_sure(made) {
                self.check_reason(made);
            }
        }
    }

    /// Checks that no unserved records are left, unless an author was told so. Not checked if writes come twice: the copy of a
    /// generation's first part is refused, and its author takes the generation for another writer's.
    fn check_leftovers(&self) {
        let may_leave = self.made.iter().any(|made| made.may_leave);
        if self.since.is_some() || self.repeats_writes || may_leave {
            return;
        }
        let (prefix, revision) = (Prefix::default(), self.store.revision());
        let (all, zones) = (prefix.all(), self.zones(revision));
        for (key, _) in self.store.range(&all.start, &all.end, revision) {
            if let Ok(Key::Rrset {
                zone, generation, ..
            }) = prefix.decode(key)
                && zones.get(&zone).map(|zone| zone.settings.generation) != Some(generation)
            {
                let what =
                    format!("generation {generation} of {zone} is left, and nobody was told");
                return self.broken(what);
            }
        }
    }

    fn broken(&self, what: String) {
        self.checks.broken(what);
    }

    fn zones(&self, revision: i64) -> Arc<Zones> {
        self.checks.zones(self.cluster_id, self.store, revision)
    }

    /// Whether a change was made in this history alone.
    fn is_sure(&self, made: &Made) -> bool {
        self.since.is_none_or(|since| made.began > since)
    }

    /// Whether a change can be expected to do what it is about. One that was planned from the history before a restore may meet
    /// the same revisions again, with another past.
    fn is_sound(&self, made: &Made) -> bool {
        !self.repeats_revisions || self.is_sure(made)
    }

    /// The change that an entry is of.
    fn change_of(&self, entry: &JournalEntry) -> Option<&Made> {
        let label = entry.author.why.as_ref()?;
        self.made.iter().find(|made| made.label == *label)
    }

    /// What a revision wrote to journals, and whether it wrote anything that is served.
    fn journal(&self, revision: i64) -> (Entries, bool) {
        let prefix = Prefix::default();
        let (mut journal, mut is_about_zones) = (Entries::new(), false);
        let keys = self.store.commit(revision).map(|commit| &commit.keys);
        for key in keys.into_iter().flatten() {
            let value = self.store.get(key, revision);
            let value = value.and_then(|version| version.value.as_deref());
            match (prefix.decode(key), value) {
                (Ok(Key::Journal { zone, .. }), Some(value)) => match decode_journal(value) {
                    Ok(entry) => drop(journal.insert(zone, entry)),
                    Err(error) => self.broken(format!("revision {revision}: {error}")),
                },
                (Ok(Key::Zone(_) | Key::Rrset { .. }), _) => is_about_zones = true,
                (Ok(_), _) => {}
                (Err(error), _) => self.broken(format!("revision {revision}: {error}")),
            }
        }
        (journal, is_about_zones)
    }

    fn check_revision(&self, revision: i64, journal: &Entries) {
        let (old, new) = (self.zones(revision - 1), self.zones(revision));
        let all: BTreeSet<&Name> = old.keys().chain(new.keys()).collect();
        for apex in all {
            let change = (old.get(apex), new.get(apex));
            self.check_zone((revision, apex), change, journal.get(apex));
        }
        let is_mixed = |made: &Made| {
            let since = self.since;
            since.is_some_and(|since| made.began <= since && made.ended > since)
        };
        if !self.repeats_revisions || !self.made.iter().any(is_mixed) {
            let hidden = hidden(revision, &old, &new);
            hidden.into_iter().for_each(|broken| self.broken(broken));
            for zone in new.values() {
                let broken = broken_rule(revision, zone);
                broken.into_iter().for_each(|broken| self.broken(broken));
            }
        }
        let made = journal.values().filter_map(|entry| self.change_of(entry));
        for made in made.filter(|made| self.is_sound(made)) {
            if let Err(broken) = has_effect(&made.change, &old, &new) {
                self.broken(format!("revision {revision}: {} {broken}", made.label));
            }
            // What was removed by the restore can be put back by a rollback that began before it.
            if let Change::Rollback { zone, .. } = made.change
                && self.is_sure(made)
            {
                let records = |zones: &Zones| {
                    let zone = zones.get(&zone_name(zone));
                    zone.map(|zone| zone.records.clone())
                };
                let mut past = (1..revision).map(|revision| self.zones(revision));
                if !past.any(|past| records(&past) == records(&new)) {
                    let what = format!("{} rolls back to what never was", made.label);
                    self.broken(format!("revision {revision}: {what}"));
                }
            }
        }
    }

    /// Checks that the entry of a zone says what has changed there.
    fn check_zone(
        &self,
        (revision, apex): (i64, &Name),
        (old, new): (Option<&reference::Zone>, Option<&reference::Zone>),
        entry: Option<&JournalEntry>,
    ) {
        let is_same = match (old, new) {
            (Some(old), Some(new)) => old.settings == new.settings && old.records == new.records,
            (old, new) => old.is_none() && new.is_none(),
        };
        if is_same {
            return;
        }
        let Some(entry) = entry else {
            let broken = format!("revision {revision} changes {apex} without an entry");
            return self.broken(broken);
        };
        let made = self.change_of(entry);
        if made.is_some_and(|made| !self.is_sound(made)) {
            return;
        }
        let none = Records::new();
        let records = |zone: Option<&'_ reference::Zone>| {
            zone.map_or(none.clone(), |zone| zone.records.clone())
        };
        let (old, new) = (records(old), records(new));
        let mut told = old.clone();
        for change in &entry.rrsets {
            let place = (change.owner.clone(), change.rtype);
            if change.old.as_ref().map(reference::rdata) != old.get(&place).cloned() {
                let broken = "has old content that the zone did not have";
                self.broken(format!("revision {revision}: the entry of {apex} {broken}"));
            }
            match &change.new {
                Some(rrset) => drop(told.insert(place, reference::rdata(rrset))),
                None => drop(told.remove(&place)),
            }
        }
        let is_told = told == new || entry.omits_rrsets || switches(entry);
        if !is_told {
            let broken = format!("by its journal {apex} has {told:?}, but it has {new:?}");
            self.broken(format!("revision {revision}: {broken}"));
        }
    }

    /// Checks what the author of a change was told against the entries that it has.
    fn check_end(&self, made: &Made, entries: &[(i64, Name)]) {
        let Made {
            label, change, end, ..
        } = made;
        // Written in parts.
        let is_merged = matches!(
            change,
            Change::Import {
                mode: ImportMode::Merge,
                ..
            }
        );
        let may_repeat = is_merged || (self.forgets && self.repeats_writes);
        if !may_repeat {
            let mut zones: Vec<&Name> = entries.iter().map(|(_, zone)| zone).collect();
            zones.sort();
            if zones.windows(2).any(|pair| pair[0] == pair[1]) {
                self.broken(format!("{label} is made more than once: {entries:?}"));
            }
        }
        let is_there = |revision: i64| match change {
            // Written in parts, of which others may have written the last.
            Change::Import {
                mode: ImportMode::Merge,
                ..
            } => entries.iter().any(|(at, _)| *at <= revision),
            _ => entries.iter().any(|(at, _)| *at == revision),
        };
        let is_told = match (end, change) {
            (End::Unknown, _) => true,
            (_, Change::Clean { .. }) => entries.is_empty(),
            (
                End::Done {
                    revision,
                    written: true,
                },
                _,
            ) => !self.is_sure(made) || is_there(*revision),
            _ => entries.is_empty(),
        };
        if !is_told {
            self.broken(format!(
                "{label} ended with {end:?}, but its entries are {entries:?}"
            ));
        }
    }

    /// Checks that a change that was refused, or reported as unnecessary, met a state in which that was right.
    fn check_reason(&self, made: &Made) {
        let revisions = self.store.revision_at(made.began)..=self.store.revision_at(made.ended);
        let states: Vec<Arc<Zones>> = revisions.map(|revision| self.zones(revision)).collect();
        if !has_reason(&made.change, &made.end, &states) {
            let Made { label, end, .. } = made;
            self.broken(format!(
                "{label} ended with {end:?}, for which there was no reason"
            ));
        }
    }
}

/// Whether an entry is about another generation, whose records it does not list.
fn switches(entry: &JournalEntry) -> bool {
    let generation =
        |settings: &Option<ZoneSettings>| settings.as_ref().map(|settings| settings.generation);
    let change = entry.settings.as_ref();
    change.is_some_and(|change| generation(&change.old) != generation(&change.new))
}

/// All entries of journals after a revision, each with its own and its zone.
pub(crate) fn recorded(store: &Store, after: i64) -> Vec<(i64, Name)> {
    let prefix = Prefix::default();
    let mut all = Vec::new();
    for (revision, commit) in store.commits().filter(|(revision, _)| *revision > after) {
        let mut keys: Vec<&Vec<u8>> = commit.keys.iter().collect();
        keys.sort();
        for key in keys {
            let is_there = store.get(key, revision).is_some();
            if let Ok(Key::Journal { zone, .. }) = prefix.decode(key)
                && is_there
            {
                all.push((revision, zone));
            }
        }
    }
    all
}
