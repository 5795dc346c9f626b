//! What etcd holds, decoded: all zones with all their generations, also those that nobody serves. A replaced zone is
//! staged in a new generation beside the old one. Then the zone's settings name the new generation, which switches to
//! it.
//!
//! A value that cannot be used is quarantined: the last good value of its key stays, and everything else goes on.

use etcd::schema::key_text;
use std::collections::{BTreeMap, HashMap, HashSet};

use etcd::schema::{Accepted, Key, LeasedRrset, Prefix};
use tracing::{info, warn};

use super::decode::{Decoded, LeasedKey, RrsetKey, Unusable};
use super::kept::Origin;
use super::zone_data::{Generation, ZoneData};
use crate::model::{CookieSecrets, Digest, Name, ZoneSettings};
use crate::served::Loss;
use crate::zone::{Contents, Rrset};

/// Everything under the prefix.
#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) zones: HashMap<Name, ZoneData>,
    /// Keys whose values cannot be used, and why.
    pub(super) quarantine: BTreeMap<Vec<u8>, String>,
    /// The last acceptance of a loss by an operator, and the revision that wrote it.
    pub(super) accepted: Option<(i64, Accepted)>,
    /// The secrets for cookies: the last that could be read, also if etcd has lost them since.
    pub(super) cookie: Option<CookieSecrets>,
    digest: Digest,
}

impl Tables {
    /// Applies a key that was put. Returns the zone it belongs to. `last` has the last good values: other tables while
    /// everything is listed anew, or none for these tables themselves.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        decoded: Decoded,
        (revision, origin): (i64, Origin),
        last: Option<&Tables>,
    ) -> Option<Name> {
        match decoded {
            Decoded::Ignored => None,
            Decoded::Unusable(reason) => {
                self.quarantine(key, &reason);
                None
            }
            Decoded::Accepted(accepted) => {
                self.release(key);
                self.accepted = Some((revision, accepted));
                None
            }
            Decoded::Cookie(secrets) => {
                self.release(key);
                self.cookie = Some(*secrets);
                None
            }
            Decoded::Serial(apex) => {
                self.put_serial(&apex, revision);
                Some(apex)
            }
            Decoded::LeasedSerial(apex) => {
                self.zone(&apex).leased.serial_revision = revision;
                Some(apex)
            }
            Decoded::Settings(apex, Ok(settings)) => {
                self.release(key);
                self.put_settings(&apex, *settings, (revision, origin));
                Some(apex)
            }
            Decoded::Settings(apex, Err(reason)) => {
                self.quarantine(key, &reason);
                self.put_unusable_settings(&apex, revision, last);
                Some(apex)
            }
            Decoded::Leased(at, leased) => {
                self.put_leased(key, &at, leased, last);
                Some(at.zone)
            }
            Decoded::Rrset(at, Ok(rrset)) => {
                let was_quarantined = self.release(key);
                if last.is_none() {
                    self.keep_rrset(&at, &rrset, origin);
                }
                let generation = self.generation(&at);
                if was_quarantined {
                    generation.quarantined -= generation.digest_of(&at);
                }
                generation.contents.put(&at.owner, at.rtype, &rrset);
                Some(at.zone)
            }
            Decoded::Rrset(at, Err(reason)) => {
                let is_new = self.quarantine(key, &reason);
                if let Some(last) = last {
                    let rrset = last.rrset(&at)?;
                    let generation = self.generation(&at);
                    generation.contents.put(&at.owner, at.rtype, &rrset);
                }
                if is_new {
                    let generation = self.generation(&at);
                    generation.quarantined += generation.digest_of(&at);
                }
                Some(at.zone)
            }
        }
    }

    /// Applies leased records that were put.
    fn put_leased(
        &mut self,
        key: &[u8],
        at: &LeasedKey,
        leased: Result<(Box<LeasedRrset>, Digest), Unusable>,
        last: Option<&Tables>,
    ) {
        let instance = at.instance;
        match leased {
            Ok((leased, digest)) => {
                self.release(key);
                let zone = self.zone(&at.zone);
                zone.leased.put(at.place.clone(), instance, *leased, digest);
            }
            Err(reason) => {
                self.quarantine(key, &reason);
                let last = last.and_then(|last| last.zones.get(&at.zone));
                let last = last
                    .and_then(|last| last.leased.get(&at.place, instance))
                    .cloned();
                let zone = self.zone(&at.zone);
                match last {
                    Some(last) => {
                        let place = at.place.clone();
                        zone.leased.put(place, instance, last, Digest::default());
                    }
                    None => zone.leased.spoil(&at.place, instance),
                }
            }
        }
    }

    /// Applies leased records that were deleted, or that have expired.
    fn delete_leased(&mut self, at: &LeasedKey, revision: i64) {
        let leased = &mut self.zone(&at.zone).leased;
        leased.remove(&at.place, at.instance);
        leased.deleted_at = revision;
    }

    /// The keys of all leased records, those included whose values cannot be used.
    pub(super) fn leased_keys(&self, prefix: &Prefix) -> HashSet<Vec<u8>> {
        let range = prefix.leased();
        let unusable = self.quarantine.keys().filter(|key| range.contains(*key));
        let mut keys: HashSet<Vec<u8>> = unusable.cloned().collect();
        for (apex, zone) in &self.zones {
            let leased = zone.leased.with_keys(prefix, apex);
            keys.extend(leased.map(|(key, ..)| key));
        }
        keys
    }

    fn put_serial(&mut self, apex: &Name, revision: i64) {
        let zone = self.zone(apex);
        zone.serial_revision = revision;
        if let Some(kept) = &mut zone.kept {
            kept.serial_revision = revision.max(kept.serial_revision);
        }
    }

    fn put_settings(
        &mut self,
        apex: &Name,
        settings: ZoneSettings,
        (revision, origin): (i64, Origin),
    ) {
        let zone = self.zone(apex);
        let last = zone.settings.clone();
        let switches = |last: &ZoneSettings| last.generation != settings.generation;
        if let Origin::Others(now) = origin
            && last.as_ref().is_some_and(switches)
        {
            zone.keep(apex, now);
        }
        zone.set(apex, settings, revision);
        zone.follow_settings(last.as_ref(), origin);
    }

    fn put_unusable_settings(&mut self, apex: &Name, revision: i64, last: Option<&Tables>) {
        let zone = self.zone(apex);
        if let Some(last) = last.and_then(|last| last.zones.get(apex)) {
            zone.settings.clone_from(&last.settings);
            zone.rules.clone_from(&last.rules);
        }
        zone.settings_revision = revision;
        zone.settings_digest = Digest::default();
    }

    /// Makes the kept copy of the zone follow an RRset that is about to be put.
    fn keep_rrset(&mut self, at: &RrsetKey, rrset: &Rrset, origin: Origin) {
        let zone = self.zone(&at.zone);
        if zone.serves(at.generation) {
            zone.follow_put(&at.owner, at.rtype, rrset, origin);
        }
    }

    fn rrset(&self, at: &RrsetKey) -> Option<Rrset> {
        let generation = self.zones.get(&at.zone)?.generations.get(&at.generation)?;
        let rrset = generation.contents.get(&at.owner, at.rtype)?;
        Rrset::new(rrset.ttl, rrset.rdata())
    }

    /// Applies a key that was deleted. Returns the zone it belonged to.
    pub(super) fn delete(
        &mut self,
        prefix: &Prefix,
        key: &[u8],
        (revision, origin): (i64, Origin),
    ) -> Option<Name> {
        let was_quarantined = self.release(key);
        match prefix.decode(key).ok()? {
            Key::Head
            | Key::Frontend(_)
            | Key::Withdrawn(_)
            | Key::Journal { .. }
            | Key::Archived { .. } => None,
            // They stay: without them all clients would lose their cookies.
            Key::Cookie => None,
            Key::Accepted => {
                self.accepted = None;
                None
            }
            Key::Leased {
                zone,
                owner,
                rtype,
                instance,
            } => {
                let at = LeasedKey {
                    zone,
                    place: (owner, rtype),
                    instance,
                };
                self.delete_leased(&at, revision);
                Some(at.zone)
            }
            Key::Serial(apex) => {
                self.zone(&apex).serial_revision = 0;
                Some(apex)
            }
            Key::LeasedSerial(apex) => {
                self.zone(&apex).leased.serial_revision = 0;
                Some(apex)
            }
            Key::Zone(apex) => {
                self.delete_settings(&apex, origin);
                Some(apex)
            }
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                let at = RrsetKey {
                    zone,
                    generation,
                    owner,
                    rtype,
                };
                let is_known = self.delete_rrset(&at, was_quarantined, origin);
                is_known.then_some(at.zone)
            }
        }
    }

    fn delete_settings(&mut self, apex: &Name, origin: Origin) {
        let zone = self.zone(apex);
        if let Origin::Others(now) = origin {
            zone.keep(apex, now);
        }
        let last = zone.settings.take();
        zone.settings_digest = Digest::default();
        zone.follow_settings(last.as_ref(), origin);
    }

    /// Returns whether there is such a generation.
    fn delete_rrset(&mut self, at: &RrsetKey, was_quarantined: bool, origin: Origin) -> bool {
        let zone = self.zone(&at.zone);
        let is_there = |generation: &Generation| {
            let rrset = generation.contents.get(&at.owner, at.rtype);
            rrset.is_some()
        };
        if zone.serves(at.generation) && zone.generations.get(&at.generation).is_some_and(is_there)
        {
            zone.follow_removal(&at.zone, &at.owner, at.rtype, origin);
        }
        let Some(generation) = zone.generations.get_mut(&at.generation) else {
            return false;
        };
        if was_quarantined {
            generation.quarantined -= generation.digest_of(at);
        }
        generation.contents.remove(&at.owner, at.rtype);
        if generation.contents.rrset_count() == 0 {
            zone.generations.remove(&at.generation);
        }
        true
    }

    pub(super) fn zone(&mut self, apex: &Name) -> &mut ZoneData {
        if !self.zones.contains_key(apex) {
            self.zones.insert(apex.clone(), ZoneData::default());
        }
        self.zones
            .get_mut(apex)
            .expect("it was put there right before")
    }

    fn generation(&mut self, at: &RrsetKey) -> &mut Generation {
        let generations = &mut self.zone(&at.zone).generations;
        generations
            .entry(at.generation)
            .or_insert_with(|| Generation::new(Contents::new(at.zone.clone())))
    }

    /// Finds out where leased records have expired since `before`, the tables of the same history that these replace. A list
    /// at this revision does not tell when, and serials must not go back.
    pub(super) fn find_expiries(&mut self, before: &Tables, revision: i64) {
        for (apex, last) in &before.zones {
            if let Some(zone) = self.zones.get_mut(apex) {
                let is_unsettled = zone.leased.serial_revision <= last.leased.revision();
                zone.leased.deleted_at =
                    match is_unsettled && zone.leased.lacks_any_of(&last.leased) {
                        true => revision,
                        false => last.leased.deleted_at,
                    };
            }
        }
    }

    /// Keeps what others have deleted since `before`, the tables that these replace. `is_same_history` says that the
    /// revisions of both can be compared. Returns what zones have lost that a transaction of ours has changed since:
    /// that counts as meant, and is not kept.
    pub(super) fn keep_lost(
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
            let loss = zone.keep_lost(apex, last, is_touched, now);
            meant.extend(loss.map(|loss| (apex.clone(), loss)));
        }
        meant
    }

    /// Brings the digest up to date with a zone. Forgets the zone if etcd has nothing of it any more.
    pub(super) fn count(&mut self, apex: &Name) {
        let Some(zone) = self.zones.get_mut(apex) else {
            return;
        };
        let now = zone.digest(apex);
        self.digest -= std::mem::replace(&mut zone.digest_in_tables, now);
        self.digest += now;
        if zone.is_empty() {
            self.zones.remove(apex);
        }
    }

    /// Makes the digest of all zones.
    pub(super) fn count_all(&mut self) {
        self.digest = Digest::default();
        for (apex, zone) in &mut self.zones {
            zone.digest_in_tables = zone.digest(apex);
            self.digest += zone.digest_in_tables;
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
                Ok(Key::Leased {
                    zone,
                    owner,
                    rtype,
                    instance,
                }) => self.zone(&zone).leased.spoil(&(owner, rtype), instance),
                _ => {}
            }
            self.quarantine.insert(key, reason);
        }
    }

    /// Checks the memory: whether every RRset is found by its name, and all of them give the digests kept along the
    /// way.
    pub(super) fn is_sound(&self) -> bool {
        let mut generations = self
            .zones
            .values()
            .flat_map(|zone| zone.generations.values());
        generations.all(|generation| generation.contents.is_sound())
    }

    /// The digest of everything whose value can be used.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns whether the key was not in quarantine yet.
    fn quarantine(&mut self, key: &[u8], reason: &Unusable) -> bool {
        let shown = key_text(key);
        warn!(key = %shown, %reason, "value quarantined: the last good value of this key stays in service");
        self.quarantine
            .insert(key.to_vec(), reason.to_string())
            .is_none()
    }

    /// Returns whether the key was in quarantine.
    fn release(&mut self, key: &[u8]) -> bool {
        let was_quarantined = !self.quarantine.is_empty() && self.quarantine.remove(key).is_some();
        if was_quarantined {
            info!(key = %key_text(key), "no longer quarantined: the value is readable again, or deleted");
        }
        was_quarantined
    }
}

impl Generation {
    fn digest_of(&self, at: &RrsetKey) -> Digest {
        self.contents.digest_of(&at.owner, at.rtype)
    }
}
