//! Zones, RRsets and front-ends, as they are stored.
//!
//! What belongs together is read as of one revision: a zone's RRsets and its serial as of the revision at which the
//! zone itself was read, or an import in between would show a half of each. A key whose value cannot be read is left
//! out and named; it does not keep anybody from reading the others.

use std::collections::HashMap;
use std::fmt;

use super::list::Listed;
use super::{Store, StoreError};
use crate::mirror::KeyValue;
use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype};
use crate::schema::{self, Frontend, Key, KeyError, ValueError};
use crate::txn::{self, Refusal, RrsetRead, SerialRead, Slot, ZoneRead};

/// A key that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl Unreadable {
    fn new(key: &[u8], reason: impl fmt::Display) -> Self {
        Unreadable {
            key: String::from_utf8_lossy(key).into_owned(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.key, self.reason)
    }
}

/// The front-ends that are registered.
#[derive(Debug)]
pub struct Fleet {
    /// What they say of themselves, by id, or why that cannot be read.
    pub frontends: Vec<(String, Result<Frontend, UnreadableFrontend>)>,
    /// The cluster that they are registered in.
    pub cluster_id: u64,
}

/// Why a registration cannot be read.
#[derive(Debug)]
pub enum UnreadableFrontend {
    /// The key names no front-end.
    Key(KeyError),
    /// The value is not a registration.
    Value(ValueError),
}

impl fmt::Display for UnreadableFrontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnreadableFrontend::Key(error) => write!(f, "this key names no front-end: {error}"),
            UnreadableFrontend::Value(error) => {
                write!(f, "its registration cannot be read: {error}")
            }
        }
    }
}

impl std::error::Error for UnreadableFrontend {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UnreadableFrontend::Key(error) => Some(error),
            UnreadableFrontend::Value(error) => Some(error),
        }
    }
}

/// Zones as of one revision.
#[derive(Debug, Default)]
pub struct Zones {
    /// The revision.
    pub revision: i64,
    /// The zones, sorted by name.
    pub zones: Vec<ZoneRead>,
    /// Those whose settings cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Their names, as far as the keys are names: these zones hide records of the zones above them, too.
    pub unreadable_apexes: Vec<Name>,
}

/// RRsets of a zone.
#[derive(Debug, Default)]
pub struct Stored {
    /// The RRsets, sorted by owner and type.
    pub rrsets: Vec<(Name, RrsetRead)>,
    /// Keys that are no RRset's.
    pub unreadable: Vec<Unreadable>,
}

impl Stored {
    fn sort(&mut self) {
        self.rrsets
            .sort_by(|(a, x), (b, y)| (a, x.rtype).cmp(&(b, y.rtype)));
    }
}

/// Which of a zone's RRsets are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those at a name.
    Owner,
    /// Those at a name and below it.
    Subtree,
}

impl Store {
    /// The front-ends that are registered.
    pub async fn frontends(&self) -> Result<Fleet, StoreError> {
        let listed = self.list(self.prefix().frontends(), None).await?;
        let frontends = listed.items.iter().filter_map(|item| {
            let told = schema::decode_frontend(&item.value);
            match self.prefix().decode(&item.key) {
                Ok(Key::Frontend(id)) => Some((id, told.map_err(UnreadableFrontend::Value))),
                Ok(_) => None,
                Err(error) => {
                    let key = String::from_utf8_lossy(&item.key).into_owned();
                    Some((key, Err(UnreadableFrontend::Key(error))))
                }
            }
        });
        Ok(Fleet {
            frontends: frontends.collect(),
            cluster_id: listed.cluster_id,
        })
    }

    /// All zones.
    pub async fn zones(&self) -> Result<Zones, StoreError> {
        let listed = self.list(self.prefix().zones(), None).await?;
        Ok(self.zones_of(&listed))
    }

    /// The zones below a name, as of a revision.
    pub async fn zones_below(&self, name: &Name, as_of: i64) -> Result<Zones, StoreError> {
        let listed = self
            .list(self.prefix().zones_below(name), Some(as_of))
            .await?;
        Ok(self.zones_of(&listed))
    }

    fn zones_of(&self, listed: &Listed) -> Zones {
        let mut zones = Zones {
            revision: listed.revision,
            ..Zones::default()
        };
        for item in &listed.items {
            match self.zone_of(item, listed.revision) {
                Ok(zone) => zones.zones.push(zone),
                Err(unreadable) => {
                    zones.unreadable.push(unreadable);
                    if let Ok(Key::Zone(apex)) = self.prefix().decode(&item.key) {
                        zones.unreadable_apexes.push(apex);
                    }
                }
            }
        }
        zones.zones.sort_by(|a, b| a.apex.cmp(&b.apex));
        zones
    }

    /// One zone, if it is there, and the store's revision.
    pub async fn zone(&self, apex: &Name) -> Result<(i64, Option<ZoneRead>), StoreError> {
        let key = self.prefix().encode(&Key::Zone(apex.clone()));
        let (header, values) = self.get_all(&[key], None).await?;
        let item = values.into_iter().flatten().next();
        let zone = item.map(|item| self.zone_of(&item, header.revision));
        Ok((header.revision, zone.transpose()?))
    }

    /// One zone's key, if it is there, whether or not its value can be read; and what its serial key says.
    pub(super) async fn zone_key(
        &self,
        apex: &Name,
    ) -> Result<(i64, Option<KeyValue>, SerialRead), StoreError> {
        let keys = [Key::Zone(apex.clone()), Key::Serial(apex.clone())];
        let keys = keys.map(|key| self.prefix().encode(&key));
        let (header, values) = self.get_all(&keys, None).await?;
        let mut values = values.into_iter();
        let zone = values.next().flatten();
        let serial = values
            .next()
            .flatten()
            .map_or_else(SerialRead::default, |item| {
                let base = schema::decode_serial_base(&item.value);
                SerialRead {
                    base: base.unwrap_or(0),
                    is_removed: base.is_some(),
                    revision: item.mod_revision,
                }
            });
        Ok((header.revision, zone, serial))
    }

    /// What there is of a zone.
    pub(super) async fn slot(&self, apex: &Name) -> Result<Slot, StoreError> {
        let (revision, zone, serial) = self.zone_key(apex).await?;
        let present = zone.map(|item| self.zone_of(&item, revision));
        Ok(Slot {
            apex: apex.clone(),
            present: present.transpose()?,
            serial,
            revision,
        })
    }

    /// Which of these names, the first that is, was a zone until something other than nsctl deleted its settings. Given
    /// are names that are no zones as of this revision.
    pub async fn lost_zone(&self, names: &[Name], as_of: i64) -> Result<Option<Name>, StoreError> {
        let keys: Vec<Vec<u8>> = names
            .iter()
            .map(|name| self.prefix().encode(&Key::Serial(name.clone())))
            .collect();
        let (_, values) = self.get_all(&keys, Some(as_of)).await?;
        let is_lost = |item: &Option<KeyValue>| {
            item.as_ref()
                .is_some_and(|item| schema::decode_serial_base(&item.value).is_none())
        };
        Ok(values
            .iter()
            .position(is_lost)
            .map(|index| names[index].clone()))
    }

    /// Why there is no zone of this name, as of a revision at which there is none.
    pub async fn no_zone(&self, apex: &Name, as_of: i64) -> Result<Refusal, StoreError> {
        let lost = self.lost_zone(std::slice::from_ref(apex), as_of).await?;
        Ok(lost.map_or_else(|| Refusal::UnknownZone(apex.clone()), Refusal::ZoneLost))
    }

    pub(super) fn zone_of(&self, item: &KeyValue, as_of: i64) -> Result<ZoneRead, Unreadable> {
        let apex = match self.prefix().decode(&item.key) {
            Ok(Key::Zone(apex)) => apex,
            Ok(_) => return Err(Unreadable::new(&item.key, "it is no zone's key")),
            Err(error) => return Err(Unreadable::new(&item.key, error)),
        };
        match schema::decode_zone(&item.value) {
            Ok(zone) => Ok(ZoneRead {
                apex,
                zone,
                revision: item.mod_revision,
                as_of,
            }),
            Err(error) => Err(Unreadable::new(
                &item.key,
                format!("{error} (nsctl zone remove {apex} --force removes the zone)"),
            )),
        }
    }

    /// The serials of zones as the front-ends answer them, in the order of the zones: of one or of all, with as many
    /// requests as a list has pages.
    pub async fn serials(&self, zones: &Zones) -> Result<Vec<u32>, StoreError> {
        let listed = self
            .list_keys(self.prefix().serials(), Some(zones.revision))
            .await?;
        let touched: HashMap<Vec<u8>, i64> = listed
            .items
            .into_iter()
            .map(|item| (item.key, item.mod_revision))
            .collect();
        let serial = |read: &ZoneRead| {
            let key = self.prefix().encode(&Key::Serial(read.apex.clone()));
            read.zone
                .serial(touched.get(&key).copied().unwrap_or(read.revision))
        };
        Ok(zones.zones.iter().map(serial).collect())
    }

    /// The serial of a zone as the front-ends answer it.
    pub async fn serial(&self, read: &ZoneRead) -> Result<u32, StoreError> {
        let touched = self.touched(read).await?;
        let touched = if touched > 0 { touched } else { read.revision };
        Ok(read.zone.serial(touched))
    }

    /// The revision at which the zone was changed last; 0 where its serial key is not there.
    pub(super) async fn touched(&self, read: &ZoneRead) -> Result<i64, StoreError> {
        let key = self.prefix().encode(&Key::Serial(read.apex.clone()));
        let (_, values) = self.get_all(&[key], Some(read.as_of)).await?;
        let item = values.into_iter().flatten().next();
        Ok(item.map_or(0, |item| item.mod_revision))
    }

    /// The RRset under a key, with its owner; otherwise what the key is instead.
    pub fn rrset_of(&self, item: &KeyValue) -> Result<(Name, RrsetRead), Unreadable> {
        let (owner, rtype) = match self.prefix().decode(&item.key) {
            Ok(Key::Rrset { owner, rtype, .. }) => (owner, rtype),
            Ok(_) => return Err(Unreadable::new(&item.key, "it is no RRset's key")),
            Err(error) => return Err(Unreadable::new(&item.key, error)),
        };
        let rrset = RrsetRead {
            rtype,
            rrset: schema::decode_rrset(rtype, &item.value),
            revision: item.mod_revision,
        };
        Ok((owner, rrset))
    }

    /// RRsets of the generation that a zone served when it was read.
    pub async fn rrsets(
        &self,
        read: &ZoneRead,
        owner: &Name,
        scope: Scope,
    ) -> Result<Stored, StoreError> {
        let (prefix, generation) = (self.prefix(), read.zone.generation);
        let range = match scope {
            Scope::Owner => prefix.owner(&read.apex, generation, owner),
            Scope::Subtree => prefix.subtree(&read.apex, generation, owner),
        };
        let mut stored = Stored::default();
        for item in self.list(range, Some(read.as_of)).await?.items {
            match self.rrset_of(&item) {
                Ok(rrset) => stored.rrsets.push(rrset),
                Err(unreadable) => stored.unreadable.push(unreadable),
            }
        }
        stored.sort();
        Ok(stored)
    }

    /// The RRsets of these zones, which are below a name or all there are: of each in turn, as of the revision of the
    /// zones, with as many requests as a list has pages. And the keys that are no RRset's.
    pub async fn rrsets_below(
        &self,
        name: &Name,
        zones: &Zones,
    ) -> Result<(Vec<Stored>, Vec<Unreadable>), StoreError> {
        let range = self.prefix().rrsets_below(name);
        let listed = self.list(range, Some(zones.revision)).await?;
        let mut stored: Vec<Stored> = Vec::new();
        stored.resize_with(zones.zones.len(), Stored::default);
        let places = zones.zones.iter().enumerate();
        let places: HashMap<(&Name, u64), usize> = places
            .map(|(place, read)| ((&read.apex, read.zone.generation), place))
            .collect();
        let mut unreadable = Vec::new();
        for item in &listed.items {
            let (zone, generation) = match self.prefix().decode(&item.key) {
                Ok(Key::Rrset {
                    zone, generation, ..
                }) => (zone, generation),
                Ok(_) => continue,
                Err(error) => {
                    unreadable.push(Unreadable::new(&item.key, error));
                    continue;
                }
            };
            // The others are of generations or of zones that are not served.
            if let Some(place) = places.get(&(&zone, generation)) {
                match self.rrset_of(item) {
                    Ok(rrset) => stored[*place].rrsets.push(rrset),
                    Err(error) => unreadable.push(error),
                }
            }
        }
        stored.iter_mut().for_each(Stored::sort);
        Ok((stored, unreadable))
    }

    /// The first RRsets that a zone served when it was read, as they lie in the store.
    pub async fn some_rrsets(
        &self,
        read: &ZoneRead,
        limit: i64,
    ) -> Result<Vec<(Name, RrsetRead)>, StoreError> {
        let range = self.prefix().generation(&read.apex, read.zone.generation);
        let (_, page, _) = self.page(range, limit, Some(read.as_of), false).await?;
        Ok(page
            .iter()
            .filter_map(|item| self.rrset_of(item).ok())
            .collect())
    }

    /// The RRsets that a zone serves; a value that cannot be read is told.
    pub async fn content(&self, read: &ZoneRead) -> Result<Result<Rrsets, Refusal>, StoreError> {
        Ok(self.content_and_newest(read).await?.0)
    }

    /// The same with the revision of the RRset that was written last.
    pub(super) async fn content_and_newest(
        &self,
        read: &ZoneRead,
    ) -> Result<(Result<Rrsets, Refusal>, i64), StoreError> {
        let stored = self.anew().rrsets(read, &read.apex, Scope::Subtree).await?;
        let (mut content, mut newest) = (Ok(Rrsets::new()), 0);
        for (owner, stored) in stored.rrsets {
            newest = newest.max(stored.revision);
            match (stored.rrset, &mut content) {
                (Ok(rrset), Ok(rrsets)) => drop(rrsets.insert((owner, stored.rtype), rrset)),
                (Err(error), Ok(_)) => {
                    let key = self.key_text(read, &owner, stored.rtype);
                    content = Err(Refusal::Stored(key, error));
                }
                (_, Err(_)) => {}
            }
        }
        Ok((content, newest))
    }

    /// The zone that holds records of this type at `owner`, with the names closer to it that are no zones.
    pub async fn zone_for(
        &self,
        owner: &Name,
        rtype: Option<Rtype>,
    ) -> Result<(i64, Option<ZoneRead>, Vec<Name>), StoreError> {
        let candidates = txn::zone_candidates(owner, rtype);
        let (revision, zones) = self.zones_at(&candidates).await?;
        for (index, zone) in zones.into_iter().enumerate() {
            if let Some(zone) = zone {
                return Ok((revision, Some(zone?), candidates[..index].to_vec()));
            }
        }
        Ok((revision, None, candidates))
    }

    /// The zones of these names, at one revision. A name has at most 127 labels, and a transaction takes 128 operations:
    /// those above one name are never too many.
    pub(super) async fn zones_at(
        &self,
        names: &[Name],
    ) -> Result<(i64, Vec<Option<Result<ZoneRead, Unreadable>>>), StoreError> {
        let keys: Vec<Vec<u8>> = names
            .iter()
            .map(|name| self.prefix().encode(&Key::Zone(name.clone())))
            .collect();
        let (header, values) = self.get_all(&keys, None).await?;
        let zones = values
            .into_iter()
            .map(|item| item.map(|item| self.zone_of(&item, header.revision)));
        Ok((header.revision, zones.collect()))
    }

    /// The zones that a name is in, the closest first.
    pub async fn enclosing(&self, name: &Name) -> Result<Zones, StoreError> {
        let names: Vec<Name> = name.ancestors().collect();
        let (revision, found) = self.zones_at(&names).await?;
        let mut zones = Zones {
            revision,
            ..Zones::default()
        };
        for (name, zone) in names.into_iter().zip(found) {
            match zone {
                Some(Ok(zone)) => zones.zones.push(zone),
                Some(Err(unreadable)) => {
                    zones.unreadable.push(unreadable);
                    zones.unreadable_apexes.push(name);
                }
                None => {}
            }
        }
        Ok(zones)
    }
}
