//! Every plan that changes a zone says what it changes, and the transaction writes that to the zone's journal.
//!
//! Each transaction also deletes a few of the oldest entries if they are too old or too many. So nothing has to clean up
//! regularly, and a zone that nobody changes keeps its journal.

use std::time::Duration;

use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rrset, Rtype, ZoneSettings};
use crate::schema::{
    Author, EntryId, JournalEntry, Key, Prefix, RrsetChange, SettingsChange, encode,
};

use super::{Get, NoPlan, Op, Plan, Reads};

/// The most entries that one transaction deletes. A clock that is far ahead does not cost the whole journal.
const PRUNED_MAX: usize = 4;

/// How many operations it takes to write an entry, and to prune.
pub(super) const OPS: usize = 2;

/// What a transaction changes in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneChange {
    /// The zone.
    pub zone: Name,
    /// The settings, if they change.
    pub settings: Option<Box<SettingsChange>>,
    /// The RRsets that change in the served generation.
    pub rrsets: Vec<RrsetChange>,
    /// How much of its journal the zone keeps. None: nothing is pruned.
    pub kept: Option<Kept>,
}

/// How much of its journal a zone keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The age of the oldest entry.
    pub age: Duration,
    /// The number of entries.
    pub entries: u32,
}

/// Who makes a change, and when.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// Who.
    pub author: Author,
    /// The name of the entries: each is in the journal of another zone.
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
            kept: new.or(old).map(Kept::of),
        }
    }

    /// Changed RRsets in a zone with these settings: what only one side has, or both have differently.
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
            zone: zone.clone(),
            settings: None,
            rrsets: changes.map(change).collect(),
            kept: Some(Kept::of(settings)),
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

/// The oldest entries of a journal, and how many there are.
fn oldest(prefix: &Prefix, zone: &Name) -> Get {
    Get {
        keys_only: true,
        ..Get::range(prefix.journal(zone), PRUNED_MAX as i64)
    }
}

impl Plan {
    /// What has to be read before the plan can be recorded.
    pub fn recording_reads(&self, prefix: &Prefix) -> Vec<Get> {
        let pruned = self.changes.iter().filter(|change| change.kept.is_some());
        pruned.map(|change| oldest(prefix, &change.zone)).collect()
    }

    /// This plan, with an entry in the journal of each zone that it changes.
    pub fn recorded(&self, prefix: &Prefix, reads: &Reads, stamp: &Stamp) -> Result<Self, NoPlan> {
        reads.all([&self.recording_reads(prefix)])?;
        let mut plan = self.clone();
        for change in &self.changes {
            let (zone, id) = (change.zone.clone(), stamp.id);
            let entries = change.kept.map_or(u32::MAX, |kept| kept.entries);
            if entries > 0 {
                let entry = change.entry(&stamp.author, id.at);
                plan.put(prefix, &Key::Journal { zone, id }, encode(&entry));
            }
            let Some(kept) = change.kept else { continue };
            let (found, count) = reads.counted(&oldest(prefix, &change.zone))?;
            let is_too_old = |key: &[u8]| match prefix.decode(key) {
                Ok(Key::Journal { id: other, .. }) => {
                    let age = Duration::from_millis(id.at.saturating_sub(other.at));
                    age > kept.age
                }
                // Somebody else's key: not ours to keep.
                _ => true,
            };
            // With the new one.
            let excess = (count + 1).saturating_sub(entries as usize);
            let too_old = found
                .iter()
                .take_while(|item| is_too_old(&item.key))
                .count();
            let pruned = excess.max(too_old).min(found.len());
            if let Some(last) = found[..pruned].last() {
                let start = prefix.journal(&change.zone).start;
                let end = [&last.key[..], &[0]].concat();
                plan.ops.push(Op::DeleteRange { range: start..end });
            }
        }
        Ok(plan)
    }
}
