//! What a zone was at an earlier revision: what it is now, with the entries of its journal undone.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype, ZoneSettings};
use crate::schema::{EntryId, JournalEntry, Key, KeyValue, Prefix, RrsetChange, decode_journal};

use super::{Get, Reads, SerialRead, Slot, ZoneRead};

/// An entry of a journal as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The zone.
    pub zone: Name,
    /// The name of the entry.
    pub id: EntryId,
    /// The revision of the change.
    pub revision: i64,
    /// The change.
    pub entry: JournalEntry,
}

/// A moment in the past, or the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the change at this revision, or the last one before it.
    Revision(i64),
    /// After the last change that was made at or before this time, in milliseconds of Unix time.
    Time(u64),
    /// After the last change.
    Now,
}

/// A zone, or none, with its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The settings; none if there was no zone.
    pub settings: Option<ZoneSettings>,
    /// The records.
    pub rrsets: Rrsets,
}

/// Why the journal does not lead to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRecorded {
    /// The first revision is in the future: etcd has only reached the second.
    Future(i64, i64),
    /// The zone keeps no journal.
    NoJournal,
    /// The journal has no entry of the zone's last change, made at this revision.
    LastChange(i64),
    /// It begins with the entry of this revision.
    Before(i64),
    /// The settings are not those that the change at this revision left.
    Settings(i64),
    /// The records that were replaced at this revision are no longer in the store.
    Replaced(i64),
    /// The records of this RRset are not those that the change at this revision left.
    Differs(Name, Rtype, i64),
    /// The change at this revision had too many records for its entry.
    Omitted(i64),
    /// The RRset that the change at this revision replaced could not be read.
    Unreadable(Name, Rtype, i64),
}

impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRecorded::Future(revision, reached) => write!(
                f,
                "revision {revision} is still to come: etcd has reached {reached}"
            ),
            NotRecorded::NoJournal => {
                f.write_str("the zone keeps no journal (zone set --journal-entries)")
            }
            NotRecorded::LastChange(revision) => write!(
                f,
                "the journal is incomplete: the last change, at revision {revision}, is not in it"
            ),
            NotRecorded::Before(revision) => write!(
                f,
                "the journal does not reach that far back: it begins with revision {revision}"
            ),
            NotRecorded::Settings(revision) => write!(
                f,
                "the zone's settings are not what the journal says of revision {revision}: something other than nsctl has \
                 changed them, or an entry is missing"
            ),
            NotRecorded::Replaced(revision) => write!(
                f,
                "the records that were replaced at revision {revision} are no longer in the store"
            ),
            NotRecorded::Differs(owner, rtype, revision) => write!(
                f,
                "{owner} {rtype} is not what the journal says of revision {revision}: something other than nsctl has changed it"
            ),
            NotRecorded::Omitted(revision) => write!(
                f,
                "the change at revision {revision} had too many records for the journal"
            ),
            NotRecorded::Unreadable(owner, rtype, revision) => write!(
                f,
                "{owner} {rtype} could not be read before revision {revision}"
            ),
        }
    }
}

impl std::error::Error for NotRecorded {}

/// The way back to a moment.
#[derive(Debug)]
pub struct WayBack<'a> {
    /// The revision at which all records were replaced last, and the settings until then. Undoing starts from the generation
    /// of these settings, or from the present content if there are none.
    pub replaced: Option<(i64, &'a ZoneSettings)>,
    /// The entries to undo then, the newest first.
    undone: Vec<&'a Recorded>,
    /// The entries before the moment, the newest first; none for the present, which is what it is.
    kept: &'a [Recorded],
    /// The settings at that moment.
    settings: Option<ZoneSettings>,
    /// The revision of the last change until then; if the journal begins later, the revision before its first entry.
    pub revision: i64,
}

impl<'a> WayBack<'a> {
    /// Finds the way from the present settings. `serial` tells of the zone's last change, and `entries` is its whole journal,
    /// the newest first.
    pub fn to(
        moment: Moment,
        present: Option<&ZoneSettings>,
        serial: SerialRead,
        entries: &'a [Recorded],
    ) -> Result<Self, NotRecorded> {
        let touched = serial.revision;
        let newest = entries.first().map_or(0, |newest| newest.revision);
        let oldest = entries.last();
        // Before the entry that made the zone there was nothing, unless earlier ones were deleted: the zone may have been
        // removed and added again.
        let is_first = |one: &Recorded| {
            let settings = one.entry.settings.as_ref();
            let is_added =
                settings.is_some_and(|settings| settings.old.is_none() && settings.new.is_some());
            is_added && serial.version == entries.len() as i64
        };
        let (revision, is_reached) = match moment {
            Moment::Now => (i64::MAX, true),
            Moment::Revision(revision) => {
                let begins = oldest.map_or(touched, |oldest| oldest.revision - 1);
                (revision, revision >= begins)
            }
            Moment::Time(time) => {
                let until = entries.iter().find(|one| one.entry.at <= time);
                let begins = oldest.map_or(touched, |oldest| oldest.revision - 1);
                (
                    until.map_or(begins, |until| until.revision),
                    until.is_some(),
                )
            }
        };
        let keeps_none = present.is_some_and(|present| present.journal_entries() == 0);
        if keeps_none && entries.is_empty() && revision < touched {
            return Err(NotRecorded::NoJournal);
        }
        if touched > newest && revision < touched {
            return Err(NotRecorded::LastChange(touched));
        }
        if !is_reached && !oldest.is_some_and(is_first) {
            return Err(NotRecorded::Before(
                oldest.map_or(touched, |oldest| oldest.revision),
            ));
        }
        let mut undone: Vec<&Recorded> = entries
            .iter()
            .take_while(|one| one.revision > revision)
            .collect();
        let changed = undone
            .iter()
            .filter_map(|one| Some((one, one.entry.settings.as_ref()?)));
        // If something other than nsctl has deleted the settings, begin with those of the newest entry.
        let mut expected = present.cloned();
        for (one, settings) in changed {
            if expected.is_some() && settings.new != expected {
                return Err(NotRecorded::Settings(one.revision));
            }
            expected.clone_from(&settings.old);
        }
        let settings = undone
            .iter()
            .rev()
            .find_map(|one| one.entry.settings.as_ref());
        let settings = settings.map_or(present.cloned(), |settings| settings.old.clone());
        let replaced = undone.iter().rposition(|one| one.replaced().is_some());
        let replaced = replaced.and_then(|index| {
            let replaced = undone[index];
            undone.drain(..=index);
            Some((replaced.revision, replaced.replaced()?))
        });
        let last = entries.iter().find(|one| one.revision <= revision);
        let revision = match last {
            _ if revision >= touched.max(newest) => touched.max(newest),
            Some(last) => last.revision,
            None => revision,
        };
        let until = entries.partition_point(|one| one.revision > revision);
        Ok(WayBack {
            replaced,
            undone,
            kept: match moment {
                Moment::Now => &[],
                _ => &entries[until..],
            },
            settings,
            revision,
        })
    }

    /// The settings at that moment; none if there was no zone.
    pub fn settings(&self) -> Option<&ZoneSettings> {
        self.settings.as_ref()
    }

    /// Goes the way back, from the content at its beginning.
    pub fn go(self, mut rrsets: Rrsets) -> Result<Past, NotRecorded> {
        for Recorded {
            revision, entry, ..
        } in self.undone
        {
            if entry.omits_rrsets {
                return Err(NotRecorded::Omitted(*revision));
            }
            for change in &entry.rrsets {
                let place = (change.owner.clone(), change.rtype);
                let (owner, rtype) = place.clone();
                if change.was_unreadable {
                    return Err(NotRecorded::Unreadable(owner, rtype, *revision));
                }
                if rrsets.get(&place) != change.new.as_ref() {
                    return Err(NotRecorded::Differs(owner, rtype, *revision));
                }
                match &change.old {
                    Some(old) => drop(rrsets.insert(place, old.clone())),
                    None => drop(rrsets.remove(&place)),
                }
            }
        }
        if self.settings.is_none() {
            return Ok(Past::default());
        }
        check(self.kept, &rrsets)?;
        Ok(Past {
            rrsets,
            settings: self.settings,
        })
    }
}

/// Checks that these entries, the newest first, have led to these RRsets.
fn check(entries: &[Recorded], rrsets: &Rrsets) -> Result<(), NotRecorded> {
    let mut seen = BTreeSet::new();
    // Of a change that replaced all records, the entry does not say what it wrote.
    let is_whole = |one: &&Recorded| !one.entry.omits_rrsets && one.replaced().is_none();
    for Recorded {
        revision, entry, ..
    } in entries.iter().take_while(is_whole)
    {
        for change in &entry.rrsets {
            let place = (change.owner.clone(), change.rtype);
            let is_same = rrsets.get(&place) == change.new.as_ref();
            if seen.insert(place) && !is_same {
                let owner = change.owner.clone();
                return Err(NotRecorded::Differs(owner, change.rtype, *revision));
            }
        }
    }
    Ok(())
}

impl Recorded {
    /// The settings until the change, if it replaced all records.
    pub fn replaced(&self) -> Option<&ZoneSettings> {
        let settings = self.entry.settings.as_ref()?;
        let old = settings.old.as_ref()?;
        let new = settings.new.as_ref().map(|new| new.generation);
        (new != Some(old.generation)).then_some(old)
    }
}

/// What tells how others have changed a zone since it was read.
pub fn changes_since(prefix: &Prefix, slot: &Slot) -> [Get; 3] {
    let key = |key: Key| Get::key(prefix, &key);
    let entries = Get {
        after: slot.revision,
        ..Get::range(prefix.journal(&slot.apex), 0)
    };
    [
        key(Key::Zone(slot.apex.clone())),
        key(Key::Serial(slot.apex.clone())),
        entries,
    ]
}

/// The zone as others have left it, and how they changed its RRsets, in order, according to what [`changes_since`] asks
/// for. None if that is not enough to know: the whole zone has to be read again.
pub fn caught_up(
    prefix: &Prefix,
    slot: &Slot,
    now: &Reads,
) -> Option<(Slot, ZoneRead, Vec<RrsetChange>)> {
    let gets = changes_since(prefix, slot);
    let [found] = now.all([&gets]).ok()?;
    let [zone, serial, entries] = found[..] else {
        return None;
    };
    let zone = ZoneRead::decode(prefix, zone.first()?, now.revision()).ok()?;
    let serial = SerialRead {
        version: now.version(&gets[1]),
        ..SerialRead::decode(serial.first()?)
    };
    let mut entries: Vec<&KeyValue> = entries.iter().collect();
    entries.sort_by_key(|item| item.mod_revision);
    // Each change of the zone writes the serial key, and an entry if it is one of ours.
    let is_complete = serial.version - slot.serial.version == entries.len() as i64;
    if !is_complete || zone.revision != slot.zone_revision() {
        return None;
    }
    let mut changes = Vec::new();
    for item in entries {
        let entry = decode_journal(&item.value).ok()?;
        if entry.omits_rrsets {
            return None;
        }
        changes.extend(entry.rrsets);
    }
    let slot = Slot {
        present: Some(zone.clone()),
        serial,
        revision: now.revision(),
        ..slot.clone()
    };
    Some((slot, zone, changes))
}

impl RrsetChange {
    /// Makes this change in the content of its zone. False if the content is not what the change began with.
    pub fn apply(&self, content: &mut Rrsets) -> bool {
        let place = (self.owner.clone(), self.rtype);
        if self.was_unreadable || content.get(&place) != self.old.as_ref() {
            return false;
        }
        match &self.new {
            Some(new) => drop(content.insert(place, new.clone())),
            None => drop(content.remove(&place)),
        }
        true
    }
}
