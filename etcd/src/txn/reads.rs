//! What planners read.
//!
//! A planner does no input or output. It takes what it needs from [`Reads`]; for what is not there yet it returns
//! [`NoPlan::Read`]. The caller reads that, all at one revision, and starts the planner again. So the caller knows
//! everything that a plan depends on, and the transaction itself can return all of it anew where a comparison fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Refusal, RrsetRead, SerialRead, ZoneRead};
use crate::model::{Name, Rdata, Rtype};
use crate::schema::{self, Key, KeyValue, Prefix, Unreadable};

/// A range of keys to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Get {
    /// The first key.
    pub start: Vec<u8>,
    /// The end of the range; empty for the first key alone.
    pub end: Vec<u8>,
    /// The number of keys to read; 0 for all.
    pub limit: i64,
    /// Whether values are left out.
    pub keys_only: bool,
    /// Only keys that were written after this revision.
    pub after: i64,
    /// Whether the keys come in the order in which they were last written, not in their own.
    pub oldest_first: bool,
}

/// What was found in a range.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The keys, no more than were asked for.
    pub items: Vec<KeyValue>,
    /// The number of keys in the range.
    pub count: usize,
    /// How often the first of these keys was written since it was created.
    pub version: i64,
}

impl Get {
    /// A single key.
    pub fn key(prefix: &Prefix, key: &Key) -> Self {
        Get {
            start: prefix.encode(key),
            end: Vec::new(),
            limit: 0,
            keys_only: false,
            after: 0,
            oldest_first: false,
        }
    }

    /// The keys of a range, or the first of them; with a limit of 0, all.
    pub fn range(range: Range<Vec<u8>>, limit: i64) -> Self {
        Get {
            start: range.start,
            end: range.end,
            limit,
            keys_only: false,
            after: 0,
            oldest_first: false,
        }
    }
}

/// What was read, all of it at one revision.
#[derive(Debug, Default)]
pub struct Reads {
    revision: i64,
    found: BTreeMap<Get, Found>,
}

/// Why a planner stopped without a plan.
#[derive(Debug)]
pub enum NoPlan {
    /// It has to know these first.
    Read(Vec<Get>),
    /// The content of the store does not allow the change.
    Refused(Refusal),
    /// A value that is needed cannot be read.
    Unreadable(Unreadable),
}

impl From<Refusal> for NoPlan {
    fn from(refusal: Refusal) -> Self {
        NoPlan::Refused(refusal)
    }
}

impl From<Unreadable> for NoPlan {
    fn from(unreadable: Unreadable) -> Self {
        NoPlan::Unreadable(unreadable)
    }
}

impl Reads {
    /// Reads at this revision.
    pub fn at(revision: i64, found: impl IntoIterator<Item = (Get, Found)>) -> Self {
        Reads {
            revision,
            found: found.into_iter().collect(),
        }
    }

    /// The revision of everything that was read; 0 if nothing was.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The revision to read more at; none if nothing was read yet.
    pub fn pinned(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.revision)
    }

    /// Whether this was read.
    pub(super) fn has(&self, get: &Get) -> bool {
        self.found.contains_key(get)
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Everything that was asked for.
    pub fn gets(&self) -> Vec<Get> {
        self.found.keys().cloned().collect()
    }

    /// Forgets what was found at a key. Returns the revision that wrote it, if it exists.
    pub fn take(&mut self, key: &Get) -> Option<i64> {
        let found = self.found.remove(key)?;
        found.items.first().map(|item| item.mod_revision)
    }

    /// All keys that were found.
    pub fn items(&self) -> impl Iterator<Item = &KeyValue> {
        self.found.values().flat_map(|found| &found.items)
    }

    /// Adds what was read at the same revision.
    pub fn add(&mut self, more: Reads) {
        self.revision = more.revision;
        self.found.extend(more.found);
    }

    /// What was found in each of these ranges. Stops if any of them was not read.
    pub fn all<const N: usize>(&self, gets: [&[Get]; N]) -> Result<[Vec<&[KeyValue]>; N], NoPlan> {
        let missing: Vec<Get> = gets
            .iter()
            .flat_map(|gets| gets.iter())
            .filter(|get| !self.found.contains_key(get))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(NoPlan::Read(missing));
        }
        Ok(gets.map(|gets| gets.iter().map(|get| &self.found[get].items[..]).collect()))
    }

    /// The keys that were found in a range, and the number of all that are there.
    pub(super) fn counted(&self, get: &Get) -> Result<(&[KeyValue], usize), NoPlan> {
        match self.found.get(get) {
            Some(found) => Ok((&found.items, found.count)),
            None => Err(NoPlan::Read(vec![get.clone()])),
        }
    }

    /// How often the first key that was found in a range was written; 0 if nothing was found.
    pub(super) fn version(&self, get: &Get) -> i64 {
        self.found.get(get).map_or(0, |found| found.version)
    }

    /// What was found at a key.
    pub fn key(&self, prefix: &Prefix, key: &Key) -> Result<Option<&KeyValue>, NoPlan> {
        let [found] = self.all([&[Get::key(prefix, key)]])?;
        Ok(found.into_iter().flatten().next())
    }

    /// The keys of the zones of these names, those that exist.
    pub fn zone_keys(
        &self,
        prefix: &Prefix,
        names: &[Name],
    ) -> Result<Vec<Option<&KeyValue>>, NoPlan> {
        let get = |name: &Name| Get::key(prefix, &Key::Zone(name.clone()));
        let gets: Vec<Get> = names.iter().map(get).collect();
        let [found] = self.all([&gets])?;
        Ok(found.into_iter().map(<[KeyValue]>::first).collect())
    }

    /// The zones of these names, those that exist.
    pub fn zones(
        &self,
        prefix: &Prefix,
        names: &[Name],
    ) -> Result<Vec<Option<Result<ZoneRead, Unreadable>>>, NoPlan> {
        let zone = |item| ZoneRead::decode(prefix, item, self.revision);
        let keys = self.zone_keys(prefix, names)?.into_iter();
        Ok(keys.map(|item| item.map(zone)).collect())
    }

    /// The zone of this name, if it exists.
    pub fn zone(&self, prefix: &Prefix, apex: &Name) -> Result<Option<ZoneRead>, NoPlan> {
        let zone = self.zones(prefix, std::slice::from_ref(apex))?.pop();
        Ok(zone.flatten().transpose()?)
    }

    /// The first of these names that was a zone until something other than nsctl deleted its settings. None of the names
    /// is a zone.
    pub fn lost_zone(&self, prefix: &Prefix, names: &[Name]) -> Result<Option<Name>, NoPlan> {
        let get = |name: &Name| Get::key(prefix, &Key::Serial(name.clone()));
        let gets: Vec<Get> = names.iter().map(get).collect();
        let [found] = self.all([&gets])?;
        let is_lost = |items: &&[KeyValue]| {
            items
                .first()
                .is_some_and(|item| !SerialRead::decode(item).is_removed)
        };
        Ok(found
            .iter()
            .position(is_lost)
            .map(|index| names[index].clone()))
    }

    /// Why there is no zone of this name.
    pub fn no_zone(&self, prefix: &Prefix, apex: &Name) -> NoPlan {
        match self.lost_zone(prefix, std::slice::from_ref(apex)) {
            Ok(None) => Refusal::UnknownZone(apex.clone()).into(),
            Ok(Some(lost)) => Refusal::ZoneLost(lost).into(),
            Err(stop) => stop,
        }
    }
}

impl ZoneRead {
    /// The zone of a key.
    pub fn decode(prefix: &Prefix, item: &KeyValue, as_of: i64) -> Result<Self, Unreadable> {
        let apex = match prefix.decode(&item.key) {
            Ok(Key::Zone(apex)) => apex,
            Ok(_) => return Err(Unreadable::new(&item.key, "it is not the key of a zone")),
            Err(error) => return Err(Unreadable::new(&item.key, error)),
        };
        match schema::decode_zone(&item.value) {
            Ok(settings) => Ok(ZoneRead {
                apex,
                settings,
                revision: item.mod_revision,
                as_of,
            }),
            Err(error) => Err(Unreadable::new(
                &item.key,
                format!("{error} (nsctl zone remove {apex} --force removes the zone)"),
            )),
        }
    }

    /// The key of an RRset in the generation that the zone served when it was read.
    pub fn rrset_key(&self, owner: &Name, rtype: Rtype) -> Key {
        Key::Rrset {
            zone: self.apex.clone(),
            generation: self.settings.generation,
            owner: owner.clone(),
            rtype,
        }
    }
}

impl SerialRead {
    /// What a zone's serial key says, if it exists.
    pub fn found(found: &Found) -> Self {
        let decoded = found.items.first().map(SerialRead::decode);
        SerialRead {
            version: found.version,
            ..decoded.unwrap_or_default()
        }
    }

    /// What a zone's serial key says, but for how often it was written.
    pub fn decode(item: &KeyValue) -> Self {
        let base = schema::decode_serial_base(&item.value);
        SerialRead {
            base: base.unwrap_or(0),
            is_removed: base.is_some(),
            revision: item.mod_revision,
            version: 0,
        }
    }
}

impl RrsetRead {
    /// Whether it has these records and no others.
    pub(super) fn is(&self, rdata: &[Rdata]) -> bool {
        let canonical = |rdata: &Rdata| rdata.canonical(self.rtype).into_owned();
        let wanted: BTreeSet<Vec<u8>> = rdata.iter().map(canonical).collect();
        let rrset = self.rrset.as_ref();
        rrset.is_ok_and(|rrset| {
            rrset.rdata().iter().map(canonical).collect::<BTreeSet<_>>() == wanted
        })
    }

    /// The owner and the RRset of a key. An error if the key is not that of an RRset.
    pub fn decode(prefix: &Prefix, item: &KeyValue) -> Result<(Name, RrsetRead), Unreadable> {
        let (owner, rtype) = match prefix.decode(&item.key) {
            Ok(Key::Rrset { owner, rtype, .. }) => (owner, rtype),
            Ok(_) => return Err(Unreadable::new(&item.key, "it is not the key of an RRset")),
            Err(error) => return Err(Unreadable::new(&item.key, error)),
        };
        let rrset = RrsetRead {
            rtype,
            rrset: schema::decode_rrset(rtype, &item.value),
            revision: item.mod_revision,
        };
        Ok((owner, rrset))
    }
}
