//! The leased records of a zone, and the zone's contents with them.
//!
//! Each announcer has a set of its own at a name. What is served at a name is the records of all of them, and of the RRset that
//! the zone has there; their TTL is the lowest of all. A CNAME record of the zone hides what is leased beside it: nsctl lets
//! nobody announce there, but an import may put one there later.

use std::collections::{BTreeMap, BTreeSet};

use etcd::schema::{Instance, Key, LeasedRrset, Prefix};

use crate::model::rules::is_cname_clash;
use crate::model::{self, Digest, Name, Rdata, Rtype, TTL_MAX};
use crate::zone::{Contents, Rrset, RrsetRef};

/// A name and a type.
type Place = (Name, Rtype);

/// The leased records of a zone.
#[derive(Clone, Default)]
pub(super) struct Leased {
    sets: BTreeMap<Place, BTreeMap<Instance, LeasedSet>>,
    /// The revision of the key that is written when they change, also after an expiry; 0 without that key.
    pub(super) serial_revision: i64,
    /// The last revision at which some of them were seen to go. Serials follow an expiry at once, before somebody writes that
    /// key.
    pub(super) deleted_at: i64,
    digest: Digest,
    /// The contents that were served last with them.
    merged: Option<Merged>,
    /// The names where they have changed since.
    changed: BTreeSet<Name>,
}

/// The records of one announcer at one name and of one type.
#[derive(Clone)]
struct LeasedSet {
    leased: LeasedRrset,
    /// That of the value in etcd; empty if it cannot be used, and `leased` is the last one that could.
    digest: Digest,
}

/// Contents with leased records.
#[derive(Clone)]
struct Merged {
    /// The generation of the contents without them; none for a kept copy.
    generation: Option<u64>,
    without: Contents,
    with: Contents,
}

impl Leased {
    /// Whether etcd has no key of theirs.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.serial_revision == 0
    }

    /// The digest of their keys whose values can be used.
    pub(super) fn digest(&self, apex: &Name) -> Digest {
        let mut digest = self.digest;
        if self.serial_revision > 0 {
            digest += Digest::of_leased_serial(apex, self.serial_revision);
        }
        digest
    }

    /// The revision that the zone's serial must not be below because of them; 0 if there is none.
    pub(super) fn revision(&self) -> i64 {
        self.serial_revision.max(self.deleted_at)
    }

    /// The revision of an expiry after which nobody has written the key of the serial yet.
    pub(super) fn unsettled(&self) -> Option<i64> {
        (self.deleted_at > self.serial_revision).then_some(self.deleted_at)
    }

    /// Puts the records of an announcer. `digest` is that of its key in etcd.
    pub(super) fn put(
        &mut self,
        place: Place,
        instance: Instance,
        leased: LeasedRrset,
        digest: Digest,
    ) {
        self.changed.insert(place.0.clone());
        let set = LeasedSet { leased, digest };
        let replaced = self.sets.entry(place).or_default().insert(instance, set);
        self.digest += digest;
        if let Some(replaced) = replaced {
            self.digest -= replaced.digest;
        }
    }

    /// Removes the records of an announcer.
    pub(super) fn remove(&mut self, place: &Place, instance: Instance) {
        let Some(sets) = self.sets.get_mut(place) else {
            return;
        };
        if let Some(removed) = sets.remove(&instance) {
            self.digest -= removed.digest;
            self.changed.insert(place.0.clone());
        }
        if sets.is_empty() {
            self.sets.remove(place);
        }
    }

    /// Notes that etcd has a value that cannot be used. The records stay.
    pub(super) fn spoil(&mut self, place: &Place, instance: Instance) {
        let sets = self.sets.get_mut(place);
        if let Some(set) = sets.and_then(|sets| sets.get_mut(&instance)) {
            self.digest -= std::mem::take(&mut set.digest);
        }
    }

    /// All of them, each with its key in etcd and its type.
    pub(super) fn with_keys<'l>(
        &'l self,
        prefix: &'l Prefix,
        apex: &'l Name,
    ) -> impl Iterator<Item = (Vec<u8>, Rtype, &'l LeasedRrset)> {
        self.iter().map(|((owner, rtype), instance, leased)| {
            let key = prefix.encode(&Key::Leased {
                zone: apex.clone(),
                owner: owner.clone(),
                rtype: *rtype,
                instance,
            });
            (key, *rtype, leased)
        })
    }

    /// Whether an announcer that was there before is not there any more.
    pub(super) fn lacks_any_of(&self, before: &Leased) -> bool {
        let is_gone = |(place, instance, _): (&Place, Instance, &LeasedRrset)| {
            self.get(place, instance).is_none()
        };
        before.iter().any(is_gone)
    }

    /// The records of an announcer.
    pub(super) fn get(&self, place: &Place, instance: Instance) -> Option<&LeasedRrset> {
        let set = self.sets.get(place)?.get(&instance)?;
        Some(&set.leased)
    }

    /// All of them, each with the name and type, and the announcer.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, Instance, &LeasedRrset)> {
        self.sets.iter().flat_map(|(place, sets)| {
            let sets = sets.iter();
            sets.map(move |(instance, set)| (place, *instance, &set.leased))
        })
    }

    /// The contents of a generation, or of a kept copy, with the leased records.
    ///
    /// The cost goes with what has changed since the last time, or with the number of leased records if another generation was
    /// merged then.
    pub(super) fn merge(&mut self, generation: Option<u64>, without: &Contents) -> Contents {
        if self.sets.is_empty() {
            (self.merged, self.changed) = (None, BTreeSet::new());
            return without.clone();
        }
        let mut owners = std::mem::take(&mut self.changed);
        let last = self.merged.take();
        let mut with = match last.filter(|last| last.generation == generation) {
            Some(last) => {
                let changes = Contents::changes(Some(&last.without), Some(without));
                owners.extend(changes.map(|change| change.owner));
                last.with
            }
            None => {
                owners = self.sets.keys().map(|(owner, _)| owner.clone()).collect();
                without.clone()
            }
        };
        for owner in &owners {
            self.merge_at(owner, without, &mut with);
        }
        self.merged = Some(Merged {
            generation,
            without: without.clone(),
            with: with.clone(),
        });
        with
    }

    /// Brings one name in `with` up to date.
    fn merge_at(&self, owner: &Name, without: &Contents, with: &mut Contents) {
        let own = without.types(owner);
        let leased = self.sets.range((owner.clone(), Rtype(0))..);
        let leased: Vec<_> = leased
            .take_while(|((at, _), _)| at == owner)
            .filter(|((_, rtype), _)| !own.iter().any(|own| is_cname_clash(*own, *rtype)))
            .map(|((_, rtype), sets)| (*rtype, sets))
            .collect();
        let is_wanted =
            |rtype: &Rtype| own.contains(rtype) || leased.iter().any(|(leased, _)| leased == rtype);
        for gone in with.types(owner).iter().filter(|rtype| !is_wanted(rtype)) {
            with.remove(owner, *gone);
        }
        let alone = own
            .iter()
            .filter(|rtype| !leased.iter().any(|(at, _)| at == *rtype));
        for rtype in alone {
            if let Some(rrset) = without.get(owner, *rtype)
                && let Some(rrset) = Rrset::new(rrset.ttl, rrset.rdata())
            {
                put(with, owner, *rtype, &rrset);
            }
        }
        for (rtype, sets) in leased {
            let sets = sets.values().map(|set| &set.leased.rrset);
            if let Some(rrset) = joined(rtype, without.get(owner, rtype), &sets.collect::<Vec<_>>())
            {
                put(with, owner, rtype, &rrset);
            }
        }
    }
}

/// Puts an RRset, unless the same one is there already.
fn put(contents: &mut Contents, owner: &Name, rtype: Rtype, rrset: &Rrset) {
    if contents.get(owner, rtype) != Some(rrset.as_ref()) {
        contents.put(owner, rtype, rrset);
    }
}

/// The RRset of all these records. If a message has no room for all, of as many announcers as it has room for.
fn joined(rtype: Rtype, own: Option<RrsetRef<'_>>, leased: &[&model::Rrset]) -> Option<Rrset> {
    let own_ttl = own.map_or(TTL_MAX, |own| own.ttl);
    let own = own.into_iter().flat_map(RrsetRef::rdata);
    let own: Vec<Rdata> = own
        .filter_map(|rdata| Rdata::from_wire(rtype, rdata).ok())
        .collect();
    let of_first = |count: usize| {
        let leased = &leased[..count];
        let ttl = leased.iter().map(|leased| leased.ttl());
        let ttl = ttl.fold(own_ttl, u32::min);
        let records = leased.iter().flat_map(|leased| leased.rdata());
        let all = own.iter().chain(records).cloned().collect();
        model::Rrset::new(rtype, ttl, all)
    };
    // Twice as many each time, so that what does not fit is never much more than what does.
    let mut tried = 1;
    while tried < leased.len() && of_first(tried).is_ok() {
        tried *= 2;
    }
    let tried = tried.min(leased.len());
    let all = of_first(tried).or_else(|_| {
        let least = usize::from(own.is_empty());
        let counts: Vec<usize> = (least..tried).collect();
        let fitting = counts.partition_point(|count| of_first(*count).is_ok());
        of_first((least + fitting).saturating_sub(1))
    });
    let all = all.ok()?;
    Rrset::new(all.ttl(), all.rdata().iter().map(Rdata::wire))
}

#[cfg(test)]
mod tests;
