//! Every plan that changes a zone says what it changes, and the transaction writes that to the zone's journal.
//!
//! Each transaction also deletes a few of the oldest entries if they are too old or too many. So nothing has to clean up
//! regularly, and a zone that nobody changes keeps its journal. To find the oldest by revision, etcd has to read the whole
//! journal; so a full journal loses several entries at a time, and the next transactions need not look for the oldest.

use std::time::Duration;

use crate::model::zonefile::Rrsets;
use crate::model::{JOURNAL_AGE, JOURNAL_ENTRIES, Name, Rrset, Rtype, ZoneSettings};
use crate::schema::{
    Author, EntryId, JournalEntry, Key, KeyValue, Prefix, RrsetChange, SettingsChange, encode,
};

use super::{Get, NoPlan, OCTETS_MAX, Op, Plan, Reads};

/// The most entries that one transaction deletes.
const PRUNED_MAX: usize = 8;

/// The most of them that it deletes because of their age. This limits the damage if the clock of a writer is far ahead.
const AGED_MAX: usize = 4;

/// How many operations it takes to write an entry, and to prune.
pub(super) const OPS: usize = 1 + PRUNED_MAX;

/// What a transaction changes in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneChange {
    /// The zone.
    pub zone: Name,
    /// The settings, if they change.
    pub settings: Option<Box<SettingsChange>>,
    /// The RRsets that change in the served generation.
    pub rrsets: Vec<RrsetChange>,
    /// Whether more RRsets change, too many to list.
    pub omits_rrsets: bool,
    /// How much of its journal the zone keeps.
    pub kept: Kept,
    /// Whether old entries are deleted.
    pub prunes: bool,
}

/// How much of its journal a zone keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The maximum age of an entry.
    pub age: Duration,
    /// The maximum number of entries.
    pub entries: u32,
}

/// Who makes a change, and when.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Who.
    pub author: Author,
    /// The id that the entries of the change share, one in the journal of each zone.
    pub id: EntryId,
}

impl ZoneChange {
    /// Changed settings.
    pub(super) fn of_settings(
        zone: &Name,
        old: Option<&ZoneSettings>,
        new: Option<&ZoneSettings>,
    ) -> Self {
        let change = SettingsChange {
            old: old.cloned(),
            new: new.cloned(),
        };
        ZoneChange {
            zone: zone.clone(),
            settings: (old != new).then(|| Box::new(change)),
            rrsets: Vec::new(),
            omits_rrsets: false,
            kept: new.or(old).map_or_else(Kept::default, Kept::of),
            prunes: true,
        }
    }

    /// RRsets that were added, removed or changed in a zone with these settings.
    pub(super) fn of_rrsets(
        zone: &Name,
        settings: &ZoneSettings,
        old: &Rrsets,
        new: &Rrsets,
    ) -> Self {
        let gone = old.iter().filter(|(place, _)| !new.contains_key(place));
        let gone = gone.map(|(place, old)| (place, Some(old), None));
        let written = new
            .iter()
            .map(|(place, new)| (place, old.get(place), Some(new)));
        let changes = gone.chain(written).filter(|(_, old, new)| old != new);
        let change = |((owner, rtype), old, new): (&(Name, Rtype), _, _)| RrsetChange {
            owner: owner.clone(),
            rtype: *rtype,
            old: Option::<&Rrset>::cloned(old),
            was_unreadable: false,
            new: Option::<&Rrset>::cloned(new),
        };
        ZoneChange {
            rrsets: changes.map(change).collect(),
            ..ZoneChange::of_settings(zone, Some(settings), Some(settings))
        }
    }

    /// Leaves out the RRsets if their entry would be too large.
    pub(super) fn abridged(self) -> Self {
        match self.octets() > OCTETS_MAX / 4 {
            true => ZoneChange {
                rrsets: Vec::new(),
                omits_rrsets: true,
                ..self
            },
            false => self,
        }
    }

    /// About as many octets as its entry will have.
    pub(super) fn octets(&self) -> usize {
        encode(&self.entry(&Author::default(), 0)).len()
    }

    fn entry(&self, author: &Author, at: u64) -> JournalEntry {
        JournalEntry {
            at,
            author: author.clone(),
            settings: self.settings.as_deref().cloned(),
            rrsets: self.rrsets.clone(),
            omits_rrsets: self.omits_rrsets,
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Kept {
            age: Duration::from_secs(JOURNAL_AGE.into()),
            entries: JOURNAL_ENTRIES,
        }
    }
}

impl Kept {
    /// What these settings say.
    pub fn of(settings: &ZoneSettings) -> Self {
        Kept {
            age: Duration::from_secs(settings.journal_age().into()),
            entries: settings.journal_entries(),
        }
    }
}

/// The first entry of a journal by its time, and how many there are.
pub(super) fn first(prefix: &Prefix, zone: &Name) -> Get {
    Get {
        keys_only: true,
        ..Get::range(prefix.journal(zone), 1)
    }
}

/// The oldest entries of a journal by revision.
fn oldest(prefix: &Prefix, zone: &Name) -> Get {
    Get {
        keys_only: true,
        oldest_first: true,
        ..Get::range(prefix.journal(zone), PRUNED_MAX as i64)
    }
}

impl Plan {
    /// This plan, with an entry in the journal of each zone that it changes.
    ///
    /// The transaction fails if an entry is there already: a proxy may send it twice, and by then its other comparisons may hold
    /// again.
    pub fn recorded(&self, prefix: &Prefix, reads: &Reads, stamp: &Stamp) -> Result<Self, NoPlan> {
        let first = |change: &ZoneChange| first(prefix, &change.zone);
        let pruning = || self.changes.iter().filter(|change| change.prunes);
        reads.all([&pruning().map(first).collect::<Vec<_>>()])?;
        let mut full = Vec::new();
        for change in pruning() {
            let (found, count) = reads.counted(&first(change))?;
            if change.kept.must_prune(prefix, found, count, stamp.id) {
                full.push(oldest(prefix, &change.zone));
            }
        }
        reads.all([&full])?;
        let mut plan = self.clone();
        for change in &self.changes {
            let (zone, id) = (change.zone.clone(), stamp.id);
            if change.kept.entries > 0 {
                let key = Key::Journal { zone, id };
                let entry = change.entry(&stamp.author, id.at);
                plan.unchanged(prefix, &key, 0);
                plan.put(prefix, &key, encode(&entry));
            }
            if change.prunes {
                let (_, count) = reads.counted(&first(change))?;
                plan.prune(prefix, reads, change, (count, id))?;
            }
        }
        Ok(plan)
    }

    /// Where this plan writes an entry with this id; none if no zone that it changes keeps a journal.
    pub fn entry(&self, prefix: &Prefix, id: EntryId) -> Option<Get> {
        let change = self.changes.iter().find(|change| change.kept.entries > 0)?;
        let zone = change.zone.clone();
        Some(Get {
            keys_only: true,
            ..Get::key(prefix, &Key::Journal { zone, id })
        })
    }

    /// Deletes entries, the oldest first, so that the journal never has a hole.
    fn prune(
        &mut self,
        prefix: &Prefix,
        reads: &Reads,
        change: &ZoneChange,
        (count, id): (usize, EntryId),
    ) -> Result<(), NoPlan> {
        let kept = change.kept;
        if kept.entries == 0 {
            if count > 0 {
                let range = prefix.journal(&change.zone);
                self.ops.push(Op::DeleteRange { range });
            }
            return Ok(());
        }
        let get = oldest(prefix, &change.zone);
        if !reads.has(&get) {
            return Ok(());
        }
        let (oldest, _) = reads.counted(&get)?;
        let excess = match kept.surplus(count) {
            0 => 0,
            surplus => surplus + (PRUNED_MAX - 1).min(kept.entries as usize / PRUNED_MAX),
        };
        let is_too_old = |item: &&KeyValue| kept.is_too_old(prefix, item, id);
        let too_old = oldest.iter().take(AGED_MAX).take_while(is_too_old).count();
        for item in oldest.iter().take(excess.max(too_old)) {
            let key = item.key.clone();
            self.ops.push(Op::Delete { key });
        }
        Ok(())
    }
}

impl Kept {
    /// Whether the oldest entries have to go. `found` is the first of `count` entries by its time, `id` the one that is being
    /// written. The first one looks too old if the clock of its writer was far behind; so the oldest by revision are deleted.
    fn must_prune(self, prefix: &Prefix, found: &[KeyValue], count: usize, id: EntryId) -> bool {
        let is_too_old = |item: &KeyValue| self.is_too_old(prefix, item, id);
        self.entries > 0 && (self.surplus(count) > 0 || found.iter().any(is_too_old))
    }

    /// How many entries there are too many, with the one that is being written.
    fn surplus(self, count: usize) -> usize {
        (count + 1).saturating_sub(self.entries as usize)
    }

    fn is_too_old(self, prefix: &Prefix, item: &KeyValue, id: EntryId) -> bool {
        match prefix.decode(&item.key) {
            Ok(Key::Journal { id: other, .. }) => {
                Duration::from_millis(id.at.saturating_sub(other.at)) > self.age
            }
            // Not the key of an entry: delete it.
            _ => true,
        }
    }
}
