//! Leased records: those that an announcer keeps as long as its lease lives.
//!
//! They are no part of a generation, and their comings and goings are not in the journal: they are the state of processes, not
//! decisions of people.

use super::holder::{Holder, InZone, dname_candidates};
use super::{Compare, Get, NoPlan, Op, Plan, Reads, Refusal, ZoneRead};
use crate::model::rules::{self, Around, Condition};
use crate::model::{Name, Rdata, Rrset, Rtype};
use crate::schema::{
    Instance, Key, KeyValue, LeasedRrset, Prefix, Unreadable, decode_leased, encode,
};

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its ID.
    pub id: i64,
    /// Its lifetime, in seconds.
    pub ttl: u32,
}

/// What an announcer announces.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// The zone; otherwise the closest one that contains the owner.
    pub zone: Option<Name>,
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The TTL; otherwise the default TTL of the zone. It is at most the lifetime of the lease.
    pub ttl: Option<u32>,
    /// The records.
    pub rdata: Vec<Rdata>,
    /// The announcer.
    pub instance: Instance,
}

/// Leased records as they were read.
#[derive(Debug)]
pub struct LeasedRead {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The announcer.
    pub instance: Instance,
    /// The records.
    pub leased: LeasedRrset,
    /// The revision that wrote them.
    pub revision: i64,
}

/// Records that were put, and their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The zone.
    pub zone: Name,
    /// The key.
    pub key: Vec<u8>,
    /// The key of the zone, after those of zones that would answer for the owner if they existed.
    pub zone_keys: Vec<Vec<u8>>,
    /// The records.
    pub leased: LeasedRrset,
}

/// Plans to put the records of an announcer under its lease.
pub fn announce(
    prefix: &Prefix,
    reads: &Reads,
    wanted: &Announcement,
    lease: Lease,
) -> Result<(Plan, Announced), NoPlan> {
    let (owner, rtype) = (&wanted.owner, wanted.rtype);
    let zone = wanted.zone.as_ref();
    let zone = zone.map(|apex| InZone { apex, hide: false });
    let holder = Holder::find(prefix, reads, zone, owner, Some(rtype), true)?;
    let Holder { zone, closer, .. } = &holder;
    if let Some(child) = holder.children.first() {
        return Err(Refusal::Hidden {
            zone: zone.apex.clone(),
            child: child.clone(),
            names: vec![owner.clone()],
        }
        .into());
    }
    let ttl = wanted.ttl.unwrap_or(zone.settings.default_ttl);
    let rrset = Rrset::new(rtype, ttl, wanted.rdata.clone());
    let rrset = rrset.map_err(|error| Refusal::Rrset(owner.clone(), rtype, error))?;
    let leased = LeasedRrset::new(rtype, rrset, lease.ttl).ok_or(Refusal::NotLeased(rtype))?;
    let key = Key::Leased {
        zone: zone.apex.clone(),
        owner: owner.clone(),
        rtype,
        instance: wanted.instance,
    };
    let there = AroundOwner::read(prefix, reads, zone, owner)?;
    let own = reads.key(prefix, &key)?.map_or(0, |item| item.mod_revision);
    let conditions = rules::admit(&zone.apex, owner, rtype, &there);
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(zone.apex.clone()), zone.revision);
    for name in closer {
        plan.unchanged(prefix, &Key::Zone(name.clone()), 0);
    }
    for condition in conditions.map_err(Refusal::from)? {
        match condition {
            Condition::Absent(other) => plan.unchanged(prefix, &zone.rrset_key(owner, other), 0),
            Condition::NoDnameAbove => {
                for name in dname_candidates(&zone.apex, owner) {
                    plan.unchanged(prefix, &zone.rrset_key(&name, Rtype::DNAME), 0);
                }
            }
            // Only of types that cannot be leased.
            Condition::NothingAdded | Condition::NothingBelow => {}
        }
    }
    plan.unchanged(prefix, &key, own);
    let key = prefix.encode(&key);
    plan.ops.push(Op::PutLeased {
        key: key.clone(),
        value: encode(&(rtype, &leased)),
        lease: lease.id,
    });
    plan.write_leased_serial(prefix, &zone.apex);
    let announced = Announced {
        zone: zone.apex.clone(),
        key,
        zone_keys: closer
            .iter()
            .chain([&zone.apex])
            .map(|name| prefix.encode(&Key::Zone(name.clone())))
            .collect(),
        leased,
    };
    Ok((plan, announced))
}

/// Plans to withdraw what was announced. None if it is gone.
pub fn withdraw(
    prefix: &Prefix,
    reads: &Reads,
    announced: &Announced,
) -> Result<Option<Plan>, NoPlan> {
    // An empty end means the first key alone.
    let get = Get::range(announced.key.clone()..Vec::new(), 0);
    let [found] = reads.all([&[get]])?;
    let Some(item) = found.into_iter().flatten().next() else {
        return Ok(None);
    };
    let mut plan = Plan::default();
    plan.compares.push(Compare::Unchanged {
        key: item.key.clone(),
        revision: item.mod_revision,
    });
    plan.ops.push(Op::Delete {
        key: item.key.clone(),
    });
    plan.write_leased_serial(prefix, &announced.zone);
    Ok(Some(plan))
}

/// Plans to make the serial of a zone follow an expiry at this revision. It fails if somebody has done so, or has changed leased
/// records since.
pub fn follow_expiry(prefix: &Prefix, zone: &Name, revision: i64) -> Plan {
    let mut plan = Plan::default();
    let start = prefix.encode(&Key::LeasedSerial(zone.clone()));
    let mut end = start.clone();
    end.push(0);
    plan.compares.push(Compare::NotWrittenSince {
        range: start..end,
        revision,
    });
    plan.write_leased_serial(prefix, zone);
    plan
}

impl Plan {
    /// Writes the key that makes the zone's serial follow a change of leased records, and the head key.
    fn write_leased_serial(&mut self, prefix: &Prefix, zone: &Name) {
        self.put(prefix, &Key::LeasedSerial(zone.clone()), b"{}".to_vec());
        self.put(prefix, &Key::Head, b"{}".to_vec());
    }
}

/// What stands around an owner in its zone.
struct AroundOwner {
    types: Vec<Rtype>,
    dname: Option<Name>,
}

impl AroundOwner {
    fn read(prefix: &Prefix, reads: &Reads, zone: &ZoneRead, owner: &Name) -> Result<Self, NoPlan> {
        let generation = zone.settings.generation;
        let at_owner = Get {
            keys_only: true,
            ..Get::range(prefix.owner(&zone.apex, generation, owner), 0)
        };
        let above = dname_candidates(&zone.apex, owner);
        let dname = |name: &Name| Get::key(prefix, &zone.rrset_key(name, Rtype::DNAME));
        let dnames: Vec<Get> = above.iter().map(dname).collect();
        let [at_owner, dnames] = reads.all([&[at_owner], &dnames])?;
        let types = at_owner.into_iter().flatten();
        let types = types.filter_map(|item| match prefix.decode(&item.key) {
            Ok(Key::Rrset { rtype, .. }) => Some(rtype),
            _ => None,
        });
        let found = above.into_iter().zip(dnames);
        let mut found = found.filter(|(_, items)| !items.is_empty());
        Ok(AroundOwner {
            types: types.collect(),
            dname: found.next().map(|(name, _)| name),
        })
    }
}

impl Around for AroundOwner {
    fn types(&self) -> impl Iterator<Item = Rtype> {
        self.types.iter().copied()
    }

    fn dname_above(&self) -> Option<&Name> {
        self.dname.as_ref()
    }

    fn name_below(&self) -> Option<&Name> {
        None
    }
}

impl LeasedRead {
    /// The zone and the leased records of a key. None if it is the key of something else.
    pub fn decode(prefix: &Prefix, item: &KeyValue) -> Option<Result<(Name, Self), Unreadable>> {
        let unreadable = |error: &dyn std::fmt::Display| Unreadable::new(&item.key, error);
        let (zone, owner, rtype, instance) = match prefix.decode(&item.key) {
            Ok(Key::Leased {
                zone,
                owner,
                rtype,
                instance,
            }) => (zone, owner, rtype, instance),
            Ok(_) => return None,
            Err(error) => return Some(Err(unreadable(&error))),
        };
        Some(match decode_leased(rtype, &item.value) {
            Ok(leased) => {
                let read = LeasedRead {
                    owner,
                    rtype,
                    instance,
                    leased,
                    revision: item.mod_revision,
                };
                Ok((zone, read))
            }
            Err(error) => Err(unreadable(&error)),
        })
    }
}
