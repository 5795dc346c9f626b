//! Plans an update: from the zones that hold its names, the RRsets at its owners, and the
//! neighbouring records that the zone rules look at.

mod admit;
mod draft;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype, Update};
use crate::schema::{Key, Prefix, RrsetChange};

use super::holder::InZone;
use super::{
    Compare, Get, NoPlan, OPS_MAX, Op, Part, Plan, Reads, Refusal, ZoneChange, ZoneRead, journal,
};

use draft::{Draft, drafts};

/// What has to be committed.
#[derive(Debug)]
pub enum Planned {
    /// Nothing has to change.
    Nothing,
    /// One transaction.
    Plan(Plan),
    /// It does not fit into one transaction.
    TooLarge,
}

/// What an update changes in one zone.
#[derive(Debug)]
pub struct ZoneUpdate {
    /// The zone.
    pub zone: ZoneRead,
    /// The numbers of the prerequisites and edits that are about this zone.
    pub parts: BTreeSet<Part>,
    /// Old values of the changed RRsets; has no entry for new ones.
    pub before: Rrsets,
    /// New values of the changed RRsets; has no entry for removed ones.
    pub after: Rrsets,
    /// The RRsets that go although their values cannot be read.
    pub unreadable: Vec<(Name, Rtype)>,
    /// The puts and deletes of RRsets.
    ops: Vec<Op>,
    /// What must still hold, key by key.
    compares: Vec<Compare>,
    /// What must hold in any case, even if the serial key is compared instead of `compares`.
    extra_compares: Vec<Compare>,
}

impl ZoneUpdate {
    /// Whether anything changes in the zone.
    pub fn is_changed(&self) -> bool {
        !self.ops.is_empty()
    }

    fn change(&self) -> ZoneChange {
        let ZoneRead { apex, settings, .. } = &self.zone;
        let mut change = ZoneChange::of_rrsets(apex, settings, &self.before, &self.after);
        for (owner, rtype) in &self.unreadable {
            let is_same =
                |change: &&mut RrsetChange| change.owner == *owner && change.rtype == *rtype;
            match change.rrsets.iter_mut().find(is_same) {
                Some(change) => change.was_unreadable = true,
                None => change.rrsets.push(RrsetChange {
                    owner: owner.clone(),
                    rtype: *rtype,
                    old: None,
                    was_unreadable: true,
                    new: None,
                }),
            }
        }
        change
    }
}

/// Plans an update in the given zone, or in those that hold its names. All of it is one transaction, if that fits.
pub fn update(
    prefix: &Prefix,
    reads: &Reads,
    zone: Option<InZone<'_>>,
    update: &Update,
) -> Result<(Planned, Vec<ZoneUpdate>), NoPlan> {
    let mut outcomes = Outcomes::default();
    let drafts = drafts(prefix, reads, zone, update, &mut outcomes)?;
    outcomes.all_read()?;
    for draft in drafts.values() {
        draft.look_around(prefix, reads, &mut outcomes)?;
        // The entry of the change needs it, and here it takes no request of its own.
        let first_entry = journal::first(prefix, &draft.zone.apex);
        if !draft.edits.is_empty() && !reads.has(&first_entry) {
            outcomes.missing.insert(first_entry);
        }
    }
    outcomes.all_read()?;
    let mut zones = Vec::new();
    let mut drafts: Vec<Draft<'_>> = drafts.into_values().collect();
    for draft in &mut drafts {
        zones.push(draft.prerequisites(prefix, reads, &mut outcomes)?);
    }
    outcomes.prerequisites_hold()?;
    for (draft, planned) in drafts.iter_mut().zip(&mut zones) {
        draft.apply(prefix, reads, &mut outcomes)?;
        draft.admit(prefix, reads, planned, &mut outcomes)?;
        draft.write(prefix, planned, &mut outcomes);
    }
    outcomes.all_allowed()?;
    Ok((join(prefix, reads, &zones)?, zones))
}

/// What is missing and what is refused, of all parts of an update.
#[derive(Default)]
struct Outcomes {
    missing: BTreeSet<Get>,
    refused: Vec<(Part, Refusal)>,
}

impl Outcomes {
    /// Returns the result, or notes why there is none. Fails only if the whole update cannot be planned.
    fn take<T>(&mut self, part: Part, result: Result<T, NoPlan>) -> Result<Option<T>, NoPlan> {
        match result {
            Ok(result) => return Ok(Some(result)),
            Err(NoPlan::Read(gets)) => self.missing.extend(gets),
            Err(NoPlan::Refused(refusal)) => self.refused.push((part, refusal)),
            Err(unreadable) => return Err(unreadable),
        }
        Ok(None)
    }

    fn all_read(&self) -> Result<(), NoPlan> {
        match self.missing.is_empty() {
            true => Ok(()),
            false => Err(NoPlan::Read(self.missing.iter().cloned().collect())),
        }
    }

    /// Refuses the update if a prerequisite does not hold: what else is wrong may follow from that.
    fn prerequisites_hold(&mut self) -> Result<(), NoPlan> {
        let is_prerequisite = |(part, _): &(Part, Refusal)| matches!(part, Part::Prerequisite(_));
        if self.refused.iter().any(is_prerequisite) {
            self.refused.retain(is_prerequisite);
            return self.all_allowed();
        }
        Ok(())
    }

    fn all_allowed(&mut self) -> Result<(), NoPlan> {
        if self.refused.is_empty() {
            return Ok(());
        }
        self.refused.sort_by_key(|(part, _)| *part);
        let parts = std::mem::take(&mut self.refused);
        Err(Refusal::Parts(parts).into())
    }
}

/// Makes one transaction of what changes in all zones.
fn join(prefix: &Prefix, reads: &Reads, zones: &[ZoneUpdate]) -> Result<Planned, NoPlan> {
    let mut plan = Plan::default();
    for planned in zones.iter().filter(|planned| planned.is_changed()) {
        plan.ops.extend(planned.ops.iter().cloned());
        plan.put(
            prefix,
            &Key::Serial(planned.zone.apex.clone()),
            b"{}".to_vec(),
        );
        plan.changes.push(planned.change());
    }
    if plan.ops.is_empty() {
        return Ok(Planned::Nothing);
    }
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan.compares = compares(zones, |planned| planned.compares.clone());
    if plan.compares.len() + plan.changes.len() > OPS_MAX && plan.ops.len() <= OPS_MAX {
        let serial =
            |planned: &ZoneUpdate| Get::key(prefix, &Key::Serial(planned.zone.apex.clone()));
        let serials: Vec<Get> = zones.iter().map(serial).collect();
        let [found] = reads.all([&serials])?;
        let serial_revisions: BTreeMap<&Name, i64> = zones
            .iter()
            .zip(found)
            .map(|(planned, items)| {
                let revision = items.first().map_or(0, |item| item.mod_revision);
                (&planned.zone.apex, revision)
            })
            .collect();
        plan.compares = compares(zones, |planned| {
            let apex = &planned.zone.apex;
            whole_zone(
                prefix,
                &planned.zone,
                serial_revisions[apex],
                reads.revision(),
            )
        });
    }
    Ok(match plan.fits() {
        true => Planned::Plan(plan),
        false => Planned::TooLarge,
    })
}

/// The comparisons for all zones, each once. A zone that has edits is compared even if they change nothing, so that this
/// stays true.
fn compares(
    zones: &[ZoneUpdate],
    of_changed: impl Fn(&ZoneUpdate) -> Vec<Compare>,
) -> Vec<Compare> {
    let all = zones.iter().flat_map(|planned| {
        let is_edited = planned
            .parts
            .iter()
            .any(|part| matches!(part, Part::Edit(_)));
        let changed = is_edited.then(|| of_changed(planned));
        let own = planned.extra_compares.iter().cloned();
        changed.into_iter().flatten().chain(own)
    });
    let mut seen = HashSet::new();
    all.filter(|compare| seen.insert(compare.clone())).collect()
}

/// What holds as long as nothing in a zone has changed, and no zone below it was added or changed.
fn whole_zone(prefix: &Prefix, zone: &ZoneRead, touched: i64, as_of: i64) -> Vec<Compare> {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(zone.apex.clone()), zone.revision);
    plan.unchanged(prefix, &Key::Serial(zone.apex.clone()), touched);
    plan.compares.push(Compare::NotWrittenSince {
        range: prefix.zones_below(&zone.apex),
        revision: as_of,
    });
    plan.compares
}
