//! The settings and serials of zones.

use std::collections::HashMap;

use super::RangeRead;
use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::schema::{Key, KeyValue, Unreadable};
use crate::txn::{Get, NoPlan, Refusal, SerialRead, Slot, ZoneRead};

/// Zones at one revision.
#[derive(Debug, Default)]
pub struct Zones {
    /// The revision.
    pub revision: i64,
    /// The zones, sorted by name.
    pub zones: Vec<ZoneRead>,
    /// The keys of zones whose settings cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The names of these zones, if the keys are valid. They hide records of the zones above them, too.
    pub unreadable_apexes: Vec<Name>,
}

impl Store {
    /// All zones.
    pub async fn zones(&self) -> Result<Zones, StoreError> {
        let listed = self.list(self.prefix().zones(), None).await?;
        Ok(self.zones_of(&listed))
    }

    /// The zones below a name, at a revision.
    pub async fn zones_below(&self, name: &Name, as_of: i64) -> Result<Zones, StoreError> {
        let listed = self
            .list(self.prefix().zones_below(name), Some(as_of))
            .await?;
        Ok(self.zones_of(&listed))
    }

    fn zones_of(&self, listed: &RangeRead) -> Zones {
        let mut zones = Zones {
            revision: listed.revision,
            ..Zones::default()
        };
        for item in &listed.items {
            match ZoneRead::decode(self.prefix(), item, listed.revision) {
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

    /// A zone, if it exists, and the store's revision.
    pub async fn zone(&self, apex: &Name) -> Result<(i64, Option<ZoneRead>), StoreError> {
        let key = self.prefix().encode(&Key::Zone(apex.clone()));
        let (header, values) = self.get_all(&[key], None).await?;
        let item = values.into_iter().flatten().next();
        let zone = item.map(|item| ZoneRead::decode(self.prefix(), &item, header.revision));
        Ok((header.revision, zone.transpose()?))
    }

    /// A zone's key, if it exists, readable or not; and the content of its serial key.
    pub(crate) async fn zone_key(
        &self,
        apex: &Name,
    ) -> Result<(i64, Option<KeyValue>, SerialRead), StoreError> {
        let keys = [Key::Zone(apex.clone()), Key::Serial(apex.clone())];
        let gets = keys.map(|key| Get::key(self.prefix(), &key));
        let (header, found) = self.get_at_once(&gets, None).await?;
        let mut found = found.into_iter();
        let zone = found.next().unwrap_or_default().items.into_iter().next();
        let serial = SerialRead::found(&found.next().unwrap_or_default());
        Ok((header.revision, zone, serial))
    }

    /// The state of a zone before a change.
    pub(crate) async fn slot(&self, apex: &Name) -> Result<Slot, StoreError> {
        let (revision, zone, serial) = self.zone_key(apex).await?;
        let present = zone.map(|item| ZoneRead::decode(self.prefix(), &item, revision));
        Ok(Slot {
            apex: apex.clone(),
            present: present.transpose()?,
            serial,
            revision,
        })
    }

    /// Why there is no zone of this name at this revision.
    pub async fn no_zone(&self, apex: &Name, as_of: i64) -> Result<Refusal, StoreError> {
        let serial = Get::key(self.prefix(), &Key::Serial(apex.clone()));
        let reads = self.fetch(&[serial], Some(as_of)).await?;
        Ok(match reads.no_zone(self.prefix(), apex) {
            NoPlan::Refused(refusal) => refusal,
            _ => Refusal::UnknownZone(apex.clone()),
        })
    }

    /// The serials of the zones as front-ends answer them, in the order of the zones. The number of requests depends on
    /// the pages of the list, not on the number of zones.
    pub async fn serials(&self, zones: &Zones) -> Result<Vec<u32>, StoreError> {
        let mut touched: HashMap<Vec<u8>, i64> = HashMap::new();
        for range in [self.prefix().serials(), self.prefix().leased_serials()] {
            let listed = self.list_keys(range, Some(zones.revision)).await?;
            let listed = listed.items.into_iter();
            touched.extend(listed.map(|item| (item.key, item.mod_revision)));
        }
        let serial = |read: &ZoneRead| {
            let keys = serial_keys(&read.apex).map(|key| self.prefix().encode(&key));
            let touched = keys.iter().filter_map(|key| touched.get(key)).max();
            read.settings
                .serial(touched.copied().unwrap_or(read.revision))
        };
        Ok(zones.zones.iter().map(serial).collect())
    }

    /// The serial of a zone as front-ends answer it.
    pub async fn serial(&self, read: &ZoneRead) -> Result<u32, StoreError> {
        let keys = serial_keys(&read.apex).map(|key| self.prefix().encode(&key));
        let (_, values) = self.get_all(&keys, Some(read.as_of)).await?;
        let touched = values.iter().flatten().map(|item| item.mod_revision).max();
        Ok(read.settings.serial(touched.unwrap_or(read.revision)))
    }

    /// The revision of the last change to the zone; 0 if it has no serial key.
    pub(crate) async fn touched(&self, read: &ZoneRead) -> Result<i64, StoreError> {
        let key = self.prefix().encode(&Key::Serial(read.apex.clone()));
        let (_, values) = self.get_all(&[key], Some(read.as_of)).await?;
        let item = values.into_iter().flatten().next();
        Ok(item.map_or(0, |item| item.mod_revision))
    }

    /// The zones of these names at one revision. A name has at most 127 labels, so its ancestors always fit into one
    /// transaction of 128 operations.
    pub(crate) async fn zones_at(
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
            .map(|item| item.map(|item| ZoneRead::decode(self.prefix(), &item, header.revision)));
        Ok((header.revision, zones.collect()))
    }

    /// The zones that enclose a name, the closest first.
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

/// The keys whose revisions give the serial of a zone: the newer one counts.
fn serial_keys(apex: &Name) -> [Key; 2] {
    [Key::Serial(apex.clone()), Key::LeasedSerial(apex.clone())]
}
