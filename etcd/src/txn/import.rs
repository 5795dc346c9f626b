//! Writing whole zones: as a difference in one transaction; if that is too large, as a new generation that is staged
//! unserved and then switched to; or merged into the zone that exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rrset, Rtype, ZoneSettings, is_serial_before};
use crate::schema::{Key, Prefix, encode};

use super::{Compare, OCTETS_MAX, OPS_MAX, Op, Plan, Refusal, Slot, ZoneChange, ZoneRead, journal};

/// Splits puts into batches that fit into a transaction.
pub struct Batches<I: Iterator<Item = Op>> {
    ops: std::iter::Peekable<I>,
    ops_max: usize,
    octets_max: usize,
}

impl<I: Iterator<Item = Op>> Batches<I> {
    fn new(ops: I, ops_max: usize, octets_max: usize) -> Self {
        Batches {
            ops: ops.peekable(),
            ops_max,
            octets_max,
        }
    }
}

impl<I: Iterator<Item = Op>> Iterator for Batches<I> {
    type Item = Vec<Op>;

    fn next(&mut self) -> Option<Vec<Op>> {
        let mut batch = vec![self.ops.next()?];
        let mut octets = batch[0].octets();
        while batch.len() < self.ops_max {
            let max = self.octets_max;
            let Some(op) = self.ops.next_if(|op| octets + op.octets() <= max) else {
                break;
            };
            octets += op.octets();
            batch.push(op);
        }
        Some(batch)
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

/// Plans the writes of a generation that is not served yet. The first plan fails if somebody else has begun to write
/// the same generation. Once it is done, the others may be sent in parallel and repeatedly. All of them fail once the
/// zone's settings have changed, which includes the switch to this generation.
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
    Batches::new(puts, OPS_MAX, OCTETS_MAX)
        .enumerate()
        .map(move |(index, ops)| {
            let range = prefix.generation(zone, generation);
            // The generation has no keys.
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
                ..Plan::default()
            }
        })
}

/// A generation that was staged, with the key that was written first. As long as that key is unchanged, nobody has
/// begun to delete the generation.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The number of the generation.
    pub generation: u64,
    /// The key.
    pub first: Vec<u8>,
    /// The revision that wrote it.
    pub revision: i64,
}

/// A zone as it is to be written.
#[derive(Clone, Debug)]
pub struct WantedZone {
    /// The settings. The planner chooses the generation and the serial base.
    pub settings: ZoneSettings,
    /// The lowest serial that it may get.
    pub serial: Option<u32>,
    /// The records.
    pub rrsets: Arc<Rrsets>,
}

impl WantedZone {
    /// Whether a zone has these settings already, apart from generation and serial base.
    pub fn has_settings_of(&self, settings: &ZoneSettings) -> bool {
        let same = ZoneSettings {
            generation: settings.generation,
            serial_base: settings.serial_base,
            ..self.settings.clone()
        };
        same == *settings
    }

    /// Whether a zone that has this serial need not get a higher one.
    pub fn allows_serial(&self, serial: u32) -> bool {
        self.serial
            .is_none_or(|lowest| !is_serial_before(serial, lowest))
    }

    /// The settings with this generation, and a base that makes the serial high enough.
    fn settings_to_write(&self, slot: &Slot, generation: u64) -> ZoneSettings {
        let mut settings = self.settings.clone();
        settings.generation = generation;
        settings.serial_base = match &slot.present {
            Some(present) => present.settings.serial_base,
            None => slot.serial.base,
        };
        // The transaction gets a later revision, and so an even higher serial.
        let last = settings.serial(slot.revision);
        if let Some(serial) = self.serial.filter(|serial| is_serial_before(last, *serial)) {
            settings.serial_base = settings.serial_base.wrapping_add(serial.wrapping_sub(last));
        }
        settings
    }
}

/// Plans the switch to a staged generation. With `exact` it fails if the zone's records have changed.
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
    let settings = wanted.settings_to_write(slot, staged.generation);
    plan.put(prefix, &Key::Zone(apex.clone()), encode(&settings));
    plan.touch(prefix, slot.settings_change(&settings));
    plan
}

/// RRsets of a staged generation that are to be written, or to be removed, before it is switched to.
pub type Behind = BTreeMap<(Name, Rtype), Option<Rrset>>;

/// What leads from the content of a staged generation to the wanted content.
pub fn behind(staged: &Rrsets, wanted: &Rrsets) -> Behind {
    let written = wanted
        .iter()
        .filter(|(place, rrset)| staged.get(place) != Some(rrset))
        .map(|(place, rrset)| (place.clone(), Some(rrset.clone())));
    let removed = staged
        .keys()
        .filter(|place| !wanted.contains_key(place))
        .map(|place| (place.clone(), None));
    written.chain(removed).collect()
}

/// What brings a staged generation up to date, in transactions of its own. They may be sent repeatedly, and fail once the
/// zone's settings have changed. If there is only one, its operations fit into the transaction that switches to the
/// generation.
pub fn catch_up(prefix: &Prefix, slot: &Slot, generation: u64, behind: &Behind) -> Vec<Plan> {
    let apex = &slot.apex;
    let ops = behind.iter().map(|((owner, rtype), rrset)| match rrset {
        Some(rrset) => put(prefix, apex, generation, owner, *rtype, rrset),
        None => Op::Delete {
            key: prefix.encode(&Key::Rrset {
                zone: apex.clone(),
                generation,
                owner: owner.clone(),
                rtype: *rtype,
            }),
        },
    });
    // The settings, the serial, the head and the journal are written, too.
    let batches = Batches::new(ops, OPS_MAX - 3 - journal::OPS, OCTETS_MAX / 2);
    let plans = batches.map(|ops| {
        let mut plan = Plan {
            ops,
            ..Plan::default()
        };
        plan.unchanged(prefix, &Key::Zone(apex.clone()), slot.zone_revision());
        plan
    });
    plans.collect()
}

/// The puts and deletes that lead from the old content of a generation to the new.
fn difference<'a>(
    prefix: &'a Prefix,
    apex: &'a Name,
    generation: u64,
    old: &'a Rrsets,
    new: &'a Rrsets,
) -> impl Iterator<Item = Op> + 'a {
    let key = move |owner: &Name, rtype: Rtype| Key::Rrset {
        zone: apex.clone(),
        generation,
        owner: owner.clone(),
        rtype,
    };
    let puts = new
        .iter()
        .filter(|(place, rrset)| old.get(place) != Some(rrset))
        .map(move |((owner, rtype), rrset)| put(prefix, apex, generation, owner, *rtype, rrset));
    let deletes = old
        .keys()
        .filter(|place| !new.contains_key(place))
        .map(move |(owner, rtype)| Op::Delete {
            key: prefix.encode(&key(owner, *rtype)),
        });
    puts.chain(deletes)
}

/// Plans the difference between a zone's old records and the wanted ones as one transaction, in which the caller needs
/// `reserved` operations. Returns none if it does not fit. The plan fails if the zone has changed.
pub fn write_difference(
    prefix: &Prefix,
    slot: &Slot,
    wanted: &WantedZone,
    old: &Rrsets,
    reserved: usize,
) -> Option<Plan> {
    let apex = &slot.apex;
    let generation = match &slot.present {
        Some(present) => present.settings.generation,
        // A number that no earlier zone of that name can have used, so that none of its leftovers are served.
        None => slot.revision.unsigned_abs() + 1,
    };
    // One operation too many shows that it does not fit. The settings, the serial, the head and the journal are written,
    // too.
    let room = OPS_MAX.checked_sub(3 + journal::OPS + reserved)?;
    let ops = difference(prefix, apex, generation, old, &wanted.rrsets);
    let ops: Vec<Op> = ops.take(room + 1).collect();
    if ops.len() > room || ops.iter().map(Op::octets).sum::<usize>() > OCTETS_MAX {
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
    let settings = wanted.settings_to_write(slot, generation);
    let change = slot.settings_change(&settings);
    if change.settings.is_some() {
        plan.put(prefix, &Key::Zone(apex.clone()), encode(&settings));
    }
    let of_rrsets = ZoneChange::of_rrsets(apex, &settings, old, &wanted.rrsets);
    let change = ZoneChange {
        settings: change.settings,
        ..of_rrsets
    };
    plan.touch(prefix, change);
    (plan.octets() <= OCTETS_MAX).then_some(plan)
}

/// Plans to add `wanted` to the zone's `present` RRsets: the records of both, with the TTL of the wanted RRset. Returns
/// the merged zone and the plans, to be committed in order. The caller adds a comparison of the serial key to each, so
/// that nobody else changes the zone in between and the checks of the zone as a whole still hold.
pub fn merge(
    prefix: &Prefix,
    read: &ZoneRead,
    present: &Rrsets,
    wanted: &Rrsets,
) -> Result<(Rrsets, Vec<Plan>), Refusal> {
    let mut merged = present.clone();
    let (mut ops, mut changed) = (Vec::new(), Vec::new());
    for (place, rrset) in wanted {
        let (owner, rtype) = place;
        let old = present.get(place);
        let mut rdata = old.map_or_else(Vec::new, |old| old.rdata().to_vec());
        rdata.extend(rrset.rdata().iter().cloned());
        let new = Rrset::new(*rtype, rrset.ttl(), rdata)
            .map_err(|error| Refusal::Rrset(owner.clone(), *rtype, error))?;
        if old != Some(&new) {
            let generation = read.settings.generation;
            ops.push(put(prefix, &read.apex, generation, owner, *rtype, &new));
            changed.push(place);
            merged.insert(place.clone(), new);
        }
    }
    let mut changed = changed.into_iter();
    // The journal gets the old and the new RRsets, too.
    let batches = Batches::new(ops.into_iter(), OPS_MAX - 2 - journal::OPS, OCTETS_MAX / 4);
    let plans = batches.map(|ops| {
        let (mut before, mut after) = (Rrsets::new(), Rrsets::new());
        for place in changed.by_ref().take(ops.len()) {
            let insert = |into: &mut Rrsets, from: &Rrsets| {
                let rrset = from.get(place).cloned();
                into.extend(rrset.map(|rrset| (place.clone(), rrset)));
            };
            insert(&mut before, present);
            insert(&mut after, &merged);
        }
        let mut plan = Plan {
            ops,
            ..Plan::default()
        };
        plan.unchanged(prefix, &Key::Zone(read.apex.clone()), read.revision);
        let change = ZoneChange::of_rrsets(&read.apex, &read.settings, &before, &after);
        plan.touch(prefix, change);
        plan
    });
    let plans = plans.collect();
    Ok((merged, plans))
}
