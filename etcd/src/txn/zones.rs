//! Adding, changing and removing zones.

use std::ops::Range;

use crate::model::{Name, Rdata, Rrset, Rtype, Zone};
use crate::schema::{Accepted, Key, Prefix, SerialBase, encode};

use super::{Compare, Op, Plan, Planned, Refusal, SerialRead, Slot, ZoneRead, lines};

/// Plans a new zone with these name servers at its apex. The generation is numbered after the store's revision, so that
/// nothing left over from a zone of the same name comes to light.
pub fn zone_add(
    prefix: &Prefix,
    slot: &Slot,
    mut zone: Zone,
    servers: Vec<Rdata>,
) -> Result<Planned, Refusal> {
    let apex = &slot.apex;
    if slot.present.is_some() {
        return Err(Refusal::ZoneExists(apex.clone()));
    }
    check(&zone)?;
    zone.generation = slot.revision.unsigned_abs() + 1;
    zone.serial_base = slot.serial.base;
    let rrset = Rrset::new(Rtype::NS, zone.default_ttl.max(zone.soa.ttl), servers)
        .map_err(|error| Refusal::Rrset(apex.clone(), Rtype::NS, error))?;
    let mut planned = Planned {
        added: lines(apex, Rtype::NS, rrset.ttl(), rrset.rdata()),
        ..Planned::default()
    };
    let plan = &mut planned.plan;
    plan.unchanged(prefix, &Key::Zone(apex.clone()), 0);
    plan.unchanged(prefix, &Key::Serial(apex.clone()), slot.serial.revision);
    // An import of the same zone may have begun to write this generation.
    plan.compares.push(Compare::NotWrittenSince {
        range: prefix.generation(apex, zone.generation),
        revision: 0,
    });
    plan.put(prefix, &Key::Zone(apex.clone()), encode(&zone));
    let key = Key::Rrset {
        zone: apex.clone(),
        generation: zone.generation,
        owner: apex.clone(),
        rtype: Rtype::NS,
    };
    plan.put(prefix, &key, encode(&(Rtype::NS, &rrset)));
    plan.touch(prefix, apex);
    Ok(planned)
}

/// Plans other settings for a zone; nothing where they are the same.
pub fn zone_set(prefix: &Prefix, read: &ZoneRead, zone: &Zone) -> Result<Option<Plan>, Refusal> {
    check(zone)?;
    if read.zone == *zone {
        return Ok(None);
    }
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(read.apex.clone()), read.revision);
    plan.put(prefix, &Key::Zone(read.apex.clone()), encode(zone));
    plan.touch(prefix, &read.apex);
    Ok(Some(plan))
}

/// Plans other bases for the serials of zones, with which they are given.
pub fn raise_serials(prefix: &Prefix, raised: &[ZoneRead]) -> Plan {
    let mut plan = Plan::default();
    for read in raised {
        let key = Key::Zone(read.apex.clone());
        plan.unchanged(prefix, &key, read.revision);
        plan.put(prefix, &key, encode(&read.zone));
        plan.put(prefix, &Key::Serial(read.apex.clone()), b"{}".to_vec());
    }
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans the end of a zone, whose settings `revision` wrote: from this transaction on nobody serves it. Its RRsets are
/// deleted after. The base of its serials is remembered, if there is one: the serials of a later zone of that name go on
/// from there.
pub fn zone_remove(prefix: &Prefix, apex: &Name, revision: i64, serial_base: u32) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(apex.clone()), revision);
    plan.delete(prefix, &Key::Zone(apex.clone()));
    let serial = Key::Serial(apex.clone());
    match serial_base {
        0 => plan.delete(prefix, &serial),
        _ => plan.put(prefix, &serial, encode(&SerialBase { serial_base })),
    }
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans to forget what is remembered of a zone that is removed.
pub fn zone_forget(prefix: &Prefix, apex: &Name, serial: SerialRead) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(apex.clone()), 0);
    plan.unchanged(prefix, &Key::Serial(apex.clone()), serial.revision);
    plan.delete(prefix, &Key::Serial(apex.clone()));
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans an operator's word that what is gone is meant to be gone.
pub fn accept(prefix: &Prefix, accepted: Accepted) -> Plan {
    let mut plan = Plan::default();
    plan.put(prefix, &Key::Accepted, encode(&accepted));
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans to delete records that are not served, given what the zone was when that was found out: a zone
/// that has switched since may serve them.
pub fn sweep(prefix: &Prefix, apex: &Name, read: Option<&ZoneRead>, range: Range<Vec<u8>>) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(
        prefix,
        &Key::Zone(apex.clone()),
        read.map_or(0, |read| read.revision),
    );
    plan.ops.push(Op::DeleteRange { range });
    // A deletion leaves no key behind that shows its revision: whoever compares a copy with etcd at some revision learns
    // from the head that the copy has to have this, too.
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

fn check(zone: &Zone) -> Result<(), Refusal> {
    match zone.fault() {
        Some(setting) => Err(Refusal::Usage(format!(
            "the {setting} is over 2147483647 (RFC 2181, 8)"
        ))),
        None => Ok(()),
    }
}
