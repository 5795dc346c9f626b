//! Whole zones: written as a difference in one transaction; or, where that does not fit, staged as a generation that
//! nobody serves and then switched to; or merged into what is there.

use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rrset, Rtype, ZoneSettings, is_serial_before};
use crate::schema::{Key, Prefix, encode};

use super::{Compare, OCTETS_MAX, OPS_MAX, Op, Plan, Refusal, Slot, ZoneRead};

/// Cuts puts into transactions that etcd takes.
pub struct Batches<I: Iterator<Item = Op>> {
    ops: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = Op>> Batches<I> {
    fn new(ops: I) -> Self {
        Batches {
            ops: ops.peekable(),
        }
    }
}

impl<I: Iterator<Item = Op>> Iterator for Batches<I> {
    type Item = Vec<Op>;

    fn next(&mut self) -> Option<Vec<Op>> {
        let mut batch = vec![self.ops.next()?];
        let mut octets = len(&batch[0]);
        while batch.len() < OPS_MAX {
            let Some(op) = self.ops.next_if(|op| octets + len(op) <= OCTETS_MAX) else {
                break;
            };
            octets += len(&op);
            batch.push(op);
        }
        Some(batch)
    }
}

fn len(op: &Op) -> usize {
    match op {
        Op::Put { key, value } => key.len() + value.len(),
        Op::Delete { key } => key.len(),
        Op::DeleteRange { range } => range.start.len() + range.end.len(),
    }
}

fn put(
    prefix: &Prefix,
    zone: &Name,
    generation: u64,
    owner: &Name,
    rtype: Rtype,
    rrset: &Rrset,
) -> Op {
    let key = Key::Rrset {
        zone: zone.clone(),
        generation,
        owner: owner.clone(),
        rtype,
    };
    Op::Put {
        key: prefix.encode(&key),
        value: encode(&(rtype, rrset)),
    }
}

/// Plans the writes of a generation that nobody serves. The first one only succeeds where nobody else
/// has begun to write the same generation; the others may be sent in parallel once it has, and as often
/// as it takes: none is done any more once the zone, as it was read, has changed, as it does when it is
/// switched to this generation.
pub fn stage<'a>(
    prefix: &'a Prefix,
    zone: &'a Name,
    present: Option<&ZoneRead>,
    generation: u64,
    rrsets: &'a Rrsets,
) -> impl Iterator<Item = Plan> + 'a {
    let puts = rrsets
        .iter()
        .map(move |((owner, rtype), rrset)| put(prefix, zone, generation, owner, *rtype, rrset));
    let zone_key = prefix.encode(&Key::Zone(zone.clone()));
    let zone_revision = present.map_or(0, |present| present.revision);
    Batches::new(puts).enumerate().map(move |(index, ops)| {
        let range = prefix.generation(zone, generation);
        // Nothing there has ever been written.
        let claim = Compare::NotWrittenSince { range, revision: 0 };
        let in_time = Compare::Unchanged {
            key: zone_key.clone(),
            revision: zone_revision,
        };
        Plan {
            compares: match index {
                0 => vec![claim, in_time],
                _ => vec![in_time],
            },
            ops,
        }
    })
}

/// A generation that was staged, with the key that was written first: as long as that one is as it was,
/// nobody has begun to clean the generation away.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The number of the generation.
    pub generation: u64,
    /// The key.
    pub first: Vec<u8>,
    /// The revision that wrote it.
    pub revision: i64,
}

/// What a zone is to be.
#[derive(Clone, Debug)]
pub struct WantedZone {
    /// The settings. Which generation is served, and what is added to revisions, is planned.
    pub zone: ZoneSettings,
    /// The least that its serial may become.
    pub serial: Option<u32>,
    /// The records.
    pub rrsets: Rrsets,
}

impl WantedZone {
    /// Whether a zone has these settings already.
    pub fn has_settings_of(&self, zone: &ZoneSettings) -> bool {
        let same = ZoneSettings {
            generation: zone.generation,
            serial_base: zone.serial_base,
            ..self.zone.clone()
        };
        same == *zone
    }

    /// The settings with a generation, and a base that takes the serial so far.
    fn settings(&self, slot: &Slot, generation: u64) -> ZoneSettings {
        let mut zone = self.zone.clone();
        zone.generation = generation;
        zone.serial_base = match &slot.present {
            Some(present) => present.zone.serial_base,
            None => slot.serial.base,
        };
        // The transaction gets a later revision, so its serial is larger still.
        let last = zone.serial(slot.revision);
        if let Some(serial) = self.serial.filter(|serial| is_serial_before(last, *serial)) {
            zone.serial_base = zone.serial_base.wrapping_add(serial.wrapping_sub(last));
        }
        zone
    }
}

/// Plans the switch to a staged generation. With `exact` it is done only if the zone's records are as they were.
pub fn flip(
    prefix: &Prefix,
    slot: &Slot,
    wanted: &WantedZone,
    staged: &Staged,
    exact: bool,
) -> Plan {
    let apex = &slot.apex;
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(apex.clone()), slot.zone_revision());
    if exact || slot.present.is_none() {
        plan.unchanged(prefix, &Key::Serial(apex.clone()), slot.serial.revision);
    }
    plan.compares.push(Compare::Unchanged {
        key: staged.first.clone(),
        revision: staged.revision,
    });
    let zone = wanted.settings(slot, staged.generation);
    plan.put(prefix, &Key::Zone(apex.clone()), encode(&zone));
    plan.touch(prefix, apex);
    plan
}

/// Plans what leads from a zone's records, none where it is new, to those that are wanted, in one transaction; nothing
/// where that takes more than one, of which `reserved` operations are somebody else's. It is done only if the zone is
/// as it was.
pub fn rewrite(
    prefix: &Prefix,
    slot: &Slot,
    wanted: &WantedZone,
    old: &Rrsets,
    reserved: usize,
) -> Option<Plan> {
    let apex = &slot.apex;
    let generation = match &slot.present {
        Some(present) => present.zone.generation,
        // Numbered after the store's revision, so that nothing left over from a zone of that name comes to light.
        None => slot.revision.unsigned_abs() + 1,
    };
    let key = |owner: &Name, rtype: Rtype| Key::Rrset {
        zone: apex.clone(),
        generation,
        owner: owner.clone(),
        rtype,
    };
    let puts = wanted
        .rrsets
        .iter()
        .filter(|(key, rrset)| old.get(key) != Some(rrset))
        .map(|((owner, rtype), rrset)| put(prefix, apex, generation, owner, *rtype, rrset));
    let deletes = old
        .keys()
        .filter(|key| !wanted.rrsets.contains_key(key))
        .map(|(owner, rtype)| Op::Delete {
            key: prefix.encode(&key(owner, *rtype)),
        });
    // One more than fits is enough to know. The settings, the serial and the head are written, too.
    let room = OPS_MAX.checked_sub(3 + reserved)?;
    let ops: Vec<Op> = puts.chain(deletes).take(room + 1).collect();
    if ops.len() > room || ops.iter().map(len).sum::<usize>() > OCTETS_MAX {
        return None;
    }
    let mut plan = Plan {
        ops,
        ..Plan::default()
    };
    plan.unchanged(prefix, &Key::Zone(apex.clone()), slot.zone_revision());
    plan.unchanged(prefix, &Key::Serial(apex.clone()), slot.serial.revision);
    if slot.present.is_none() {
        // An import of the same zone may have begun to write this generation.
        plan.compares.push(Compare::NotWrittenSince {
            range: prefix.generation(apex, generation),
            revision: 0,
        });
    }
    let zone = wanted.settings(slot, generation);
    if slot
        .present
        .as_ref()
        .is_none_or(|present| present.zone != zone)
    {
        plan.put(prefix, &Key::Zone(apex.clone()), encode(&zone));
    }
    plan.touch(prefix, apex);
    Some(plan)
}

/// Plans to add `wanted` to the zone's `present` RRsets: every record of both, and the TTL of the wanted
/// set. All plans but the first rely on the one before: each is compared with the serial key, which
/// `serial_revision` names for the first and the caller for the others, so that nobody else has
/// changed the zone in between and the checks of the zone as a whole still hold.
pub fn merge(
    prefix: &Prefix,
    read: &ZoneRead,
    present: &Rrsets,
    wanted: &Rrsets,
) -> Result<(Rrsets, Vec<Plan>), Refusal> {
    let mut merged = present.clone();
    let mut ops = Vec::new();
    for ((owner, rtype), rrset) in wanted {
        let old = present.get(&(owner.clone(), *rtype));
        let mut rdata = old.map_or_else(Vec::new, |old| old.rdata().to_vec());
        rdata.extend(rrset.rdata().iter().cloned());
        let new = Rrset::new(*rtype, rrset.ttl(), rdata)
            .map_err(|error| Refusal::Rrset(owner.clone(), *rtype, error))?;
        if old != Some(&new) {
            ops.push(put(
                prefix,
                &read.apex,
                read.zone.generation,
                owner,
                *rtype,
                &new,
            ));
            merged.insert((owner.clone(), *rtype), new);
        }
    }
    let plans = Batches::new(ops.into_iter()).map(|ops| {
        let mut plan = Plan {
            compares: Vec::new(),
            ops,
        };
        plan.unchanged(prefix, &Key::Zone(read.apex.clone()), read.revision);
        plan.touch(prefix, &read.apex);
        plan
    });
    let plans = plans.collect();
    Ok((merged, plans))
}
