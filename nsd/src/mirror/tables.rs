//! What etcd holds, decoded: all zones with all their generations, also those that nobody serves. A
//! replaced zone is staged beside the old one, and the change of the zone's settings that names the new
//! generation switches to it.
//!
//! A value that cannot be used is quarantined: what its key said before stays, everything else goes on.

use std::collections::{BTreeMap, HashMap};

use etcd::mirror::KeyValue;
use etcd::schema::{self, Accepted, Key, Prefix};
use tracing::{info, warn};

use super::kept::{By, Kept};
use crate::model::{Digest, Name, Rtype, ZoneSettings};
use crate::served::Loss;
use crate::zone::{Contents, Rrset};

/// How many values are worth another thread.
const SHARE_MIN: usize = 1_000;

/// What etcd says about one zone.
#[derive(Clone, Default)]
pub(super) struct ZoneData {
    pub(super) settings: Option<ZoneSettings>,
    /// The revision that wrote the settings, and the one that touched the serial key last.
    pub(super) settings_revision: i64,
    pub(super) serial_revision: i64,
    pub(super) generations: BTreeMap<u64, Generation>,
    /// The zone without what others have deleted of it lately, if they have.
    pub(super) kept: Option<Box<Kept>>,
    /// Of the settings, if their value can be used.
    settings_digest: Digest,
    /// What the zone has in the digest of all.
    counted: Digest,
}

/// The RRsets of a generation.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) contents: Contents,
    /// Of those whose values in etcd cannot be used.
    quarantined: Digest,
}

/// All of it.
#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) zones: HashMap<Name, ZoneData>,
    /// Keys whose values cannot be used, and why.
    pub(super) quarantine: BTreeMap<Vec<u8>, String>,
    /// When an operator last accepted a loss: the revision that says so, and what it says.
    pub(super) accepted: Option<(i64, Accepted)>,
    digest: Digest,
}

/// What a key and its value say.
pub(super) enum Said {
    /// Nothing that is served.
    Nothing,
    /// A zone was touched.
    Touched(Name),
    /// The settings of a zone, or what is wrong with them.
    Zone(Name, Result<Box<ZoneSettings>, String>),
    /// An RRset, or what is wrong with it.
    Rrset(Place, Result<Rrset, String>),
    /// An operator's word.
    Accepted(Accepted),
    /// The key is none of ours, or its value says nothing.
    Unknown(String),
}

/// Where an RRset belongs.
pub(super) struct Place {
    zone: Name,
    generation: u64,
    owner: Name,
    rtype: Rtype,
}

/// Reads a key and its value.
pub(super) fn read(prefix: &Prefix, key: &[u8], value: &[u8]) -> Said {
    match prefix.decode(key) {
        Err(error) => Said::Unknown(error.to_string()),
        Ok(Key::Head | Key::Frontend(_) | Key::Withdrawn(_)) => Said::Nothing,
        Ok(Key::Accepted) => match schema::decode_accepted(value) {
            Ok(accepted) => Said::Accepted(accepted),
            Err(error) => Said::Unknown(error.to_string()),
        },
        Ok(Key::Serial(apex)) => Said::Touched(apex),
        Ok(Key::Zone(apex)) => {
            let settings = schema::decode_zone(value).map(Box::new);
            Said::Zone(apex, settings.map_err(|error| error.to_string()))
        }
        Ok(Key::Rrset {
            zone,
            generation,
            owner,
            rtype,
        }) => {
            let place = Place {
                zone,
                generation,
                owner,
                rtype,
            };
            Said::Rrset(place, read_rrset(rtype, value))
        }
    }
}

fn read_rrset(rtype: Rtype, value: &[u8]) -> Result<Rrset, String> {
    let rrset = schema::decode_rrset(rtype, value).map_err(|error| error.to_string())?;
    let rdata = rrset.rdata().iter().map(|rdata| rdata.wire());
    Rrset::new(rrset.ttl(), rdata).ok_or_else(|| "it has more records than a message".into())
}

/// Reads many, on all cores: most of what a first sync takes.
pub(super) fn read_all(prefix: &Prefix, items: &[KeyValue]) -> Vec<Said> {
    let read_some = |items: &[KeyValue]| -> Vec<Said> {
        let read = |item: &KeyValue| read(prefix, &item.key, &item.value);
        items.iter().map(read).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SHARE_MIN);
    if items.len() <= share {
        return read_some(items);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(move || read_some(items)))
            .collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

impl Tables {
    /// Takes in what a key and its value say. Returns the zone that is touched. `before` is where the last good
    /// value is looked for when this one is bad; none where it stands in these tables.
    pub(super) fn take(
        &mut self,
        key: &[u8],
        said: Said,
        (revision, by): (i64, By),
        before: Option<&Tables>,
    ) -> Option<Name> {
        match said {
            Said::Nothing => None,
            Said::Unknown(reason) => {
                self.quarantine(key, reason);
                None
            }
            Said::Accepted(accepted) => {
                self.release(key);
                self.accepted = Some((revision, accepted));
                None
            }
            Said::Touched(apex) => {
                let zone = self.zone(&apex);
                zone.serial_revision = revision;
                if let Some(kept) = &mut zone.kept {
                    kept.serial_revision = revision.max(kept.serial_revision);
                }
                Some(apex)
            }
            Said::Zone(apex, Ok(settings)) => {
                self.release(key);
                let zone = self.zone(&apex);
                let last = zone.settings.clone();
                let switches = |last: &ZoneSettings| last.generation != settings.generation;
                if let By::Others(now) = by
                    && last.as_ref().is_some_and(switches)
                {
                    zone.keep(&apex, now);
                }
                zone.set(&apex, *settings, revision);
                zone.keep_settings(last.as_ref(), by);
                Some(apex)
            }
            Said::Zone(apex, Err(reason)) => {
                self.quarantine(key, reason);
                let zone = self.zone(&apex);
                if let Some(last) = before.and_then(|before| before.zones.get(&apex)) {
                    zone.settings.clone_from(&last.settings);
                }
                zone.settings_revision = revision;
                zone.settings_digest = Digest::default();
                Some(apex)
            }
            Said::Rrset(place, Ok(rrset)) => {
                let was_bad = self.release(key);
                if before.is_none() {
                    let zone = self.zone(&place.zone);
                    if zone.serves(place.generation) {
                        zone.keep_put(&place.owner, place.rtype, &rrset, by);
                    }
                }
                let generation = self.generation(&place);
                if was_bad {
                    generation.quarantined -= generation.digest_of(&place);
                }
                generation.contents.put(&place.owner, place.rtype, &rrset);
                Some(place.zone)
            }
            Said::Rrset(place, Err(reason)) => {
                let is_new = self.quarantine(key, reason);
                if let Some(before) = before {
                    let last = before.zones.get(&place.zone)?;
                    let last = last.generations.get(&place.generation)?;
                    let last = last.contents.get(&place.owner, place.rtype)?;
                    let rrset = Rrset::new(last.ttl, last.rdata())?;
                    let contents = &mut self.generation(&place).contents;
                    contents.put(&place.owner, place.rtype, &rrset);
                }
                if is_new {
                    let generation = self.generation(&place);
                    generation.quarantined += generation.digest_of(&place);
                }
                Some(place.zone)
            }
        }
    }

    /// Takes a key out. Returns the zone that is touched.
    pub(super) fn delete(&mut self, prefix: &Prefix, key: &[u8], by: By) -> Option<Name> {
        let was_bad = self.release(key);
        match prefix.decode(key).ok()? {
            Key::Head | Key::Frontend(_) | Key::Withdrawn(_) => None,
            Key::Accepted => {
                self.accepted = None;
                None
            }
            Key::Serial(apex) => {
                self.zone(&apex).serial_revision = 0;
                Some(apex)
            }
            Key::Zone(apex) => {
                let zone = self.zone(&apex);
                if let By::Others(now) = by {
                    zone.keep(&apex, now);
                }
                let last = zone.settings.take();
                zone.settings_digest = Digest::default();
                zone.keep_settings(last.as_ref(), by);
                Some(apex)
            }
            Key::Rrset {
                zone: apex,
                generation: number,
                owner,
                rtype,
            } => {
                let zone = self.zone(&apex);
                let is_there =
                    |generation: &Generation| generation.contents.get(&owner, rtype).is_some();
                if zone.serves(number) && zone.generations.get(&number).is_some_and(is_there) {
                    zone.keep_removal(&apex, &owner, rtype, by);
                }
                let generation = zone.generations.get_mut(&number)?;
                if was_bad {
                    generation.quarantined -= generation.contents.digest_of(&owner, rtype);
                }
                generation.contents.remove(&owner, rtype);
                if generation.contents.rrset_count() == 0 {
                    zone.generations.remove(&number);
                }
                Some(apex)
            }
        }
    }

    pub(super) fn zone(&mut self, apex: &Name) -> &mut ZoneData {
        if !self.zones.contains_key(apex) {
            self.zones.insert(apex.clone(), ZoneData::default());
        }
        self.zones
            .get_mut(apex)
            .expect("it was put there right before")
    }

    fn generation(&mut self, place: &Place) -> &mut Generation {
        let generations = &mut self.zone(&place.zone).generations;
        generations
            .entry(place.generation)
            .or_insert_with(|| Generation::new(Contents::new(place.zone.clone())))
    }

    /// Finds out what others have deleted since `before`, which these tables take the place of. `is_same_history` says
    /// that revisions of both can be compared. Returns what zones have lost that a transaction of ours has changed
    /// since: that counts as meant.
    pub(super) fn keep_of(
        &mut self,
        before: &Tables,
        is_same_history: bool,
        now: u64,
    ) -> Vec<(Name, Loss)> {
        let mut meant = Vec::new();
        for (apex, last) in &before.zones {
            if last.settings.is_none() && last.kept.is_none() {
                continue;
            }
            let zone = self.zone(apex);
            let is_touched = is_same_history && zone.serial_revision > last.serial_revision;
            let loss = zone.keep_of(apex, last, is_touched, now);
            meant.extend(loss.map(|loss| (apex.clone(), loss)));
        }
        meant
    }

    /// Brings the digest up to date with a zone; forgets the zone if etcd has nothing about it any more.
    pub(super) fn count(&mut self, apex: &Name) {
        let Some(zone) = self.zones.get_mut(apex) else {
            return;
        };
        let now = zone.digest(apex);
        self.digest -= std::mem::replace(&mut zone.counted, now);
        self.digest += now;
        if zone.settings.is_none()
            && zone.serial_revision == 0
            && zone.generations.is_empty()
            && zone.kept.is_none()
        {
            self.zones.remove(apex);
        }
    }

    /// The same for all zones, which were not counted yet.
    pub(super) fn count_all(&mut self) {
        for (apex, zone) in &mut self.zones {
            zone.counted = zone.digest(apex);
            self.digest += zone.counted;
        }
    }

    /// Puts keys into quarantine again, as they were when these tables were saved.
    pub(super) fn quarantine_again(&mut self, prefix: &Prefix, keys: Vec<(Vec<u8>, String)>) {
        for (key, reason) in keys {
            match prefix.decode(&key) {
                Ok(Key::Zone(apex)) => self.zone(&apex).settings_digest = Digest::default(),
                Ok(Key::Rrset {
                    zone,
                    generation,
                    owner,
                    rtype,
                }) => {
                    let zone = self.zones.get_mut(&zone);
                    if let Some(kept) = zone.and_then(|zone| zone.generations.get_mut(&generation))
                    {
                        kept.quarantined += kept.contents.digest_of(&owner, rtype);
                    }
                }
                _ => {}
            }
            self.quarantine.insert(key, reason);
        }
    }

    /// Whether everything is where it was put: what is there comes to the digests that were kept up to date.
    pub(super) fn is_sound(&self) -> bool {
        let mut generations = self
            .zones
            .values()
            .flat_map(|zone| zone.generations.values());
        generations.all(|generation| generation.contents.is_sound())
    }

    /// The digest of all whose values can be used.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Says whether the key was not in quarantine yet.
    fn quarantine(&mut self, key: &[u8], reason: String) -> bool {
        let shown = String::from_utf8_lossy(key);
        warn!(key = %shown, %reason, "value quarantined: the last good value of this key stays in service");
        self.quarantine.insert(key.to_vec(), reason).is_none()
    }

    /// Says whether the key was in quarantine.
    fn release(&mut self, key: &[u8]) -> bool {
        let was_bad = !self.quarantine.is_empty() && self.quarantine.remove(key).is_some();
        if was_bad {
            info!(key = %String::from_utf8_lossy(key), "no longer quarantined: the value is readable again, or deleted");
        }
        was_bad
    }
}

impl ZoneData {
    pub(super) fn set(&mut self, apex: &Name, settings: ZoneSettings, revision: i64) {
        self.settings_digest = Digest::of_zone(apex, &settings, revision);
        self.settings = Some(settings);
        self.settings_revision = revision;
    }

    /// Whether this generation is the one that is served.
    fn serves(&self, generation: u64) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.generation == generation)
    }

    fn digest(&self, apex: &Name) -> Digest {
        let mut digest = self.settings_digest;
        if self.serial_revision > 0 {
            digest += Digest::of_serial(apex, self.serial_revision);
        }
        for (number, generation) in &self.generations {
            let mut rrsets = generation.contents.digest();
            rrsets -= generation.quarantined;
            digest += Digest::of_generation(apex, *number, rrsets);
        }
        digest
    }
}

impl Generation {
    pub(super) fn new(contents: Contents) -> Self {
        Generation {
            contents,
            quarantined: Digest::default(),
        }
    }

    fn digest_of(&self, place: &Place) -> Digest {
        self.contents.digest_of(&place.owner, place.rtype)
    }
}
