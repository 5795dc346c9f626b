//! Updates of records.
//!
//! An update is one transaction, whatever number of zones it is about. If etcd does not take that much at once, it is
//! made zone by zone; and a zone that still does not fit gets a new generation, which is staged and then switched to. So
//! an update is atomic in each zone, whatever its size.

mod staged;

use std::collections::BTreeSet;

use super::transact::Transacted;
use super::{ChangeError, Progress};
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Difference};
use crate::model::{Change, Edit, Name, Rtype, Update};
use crate::txn::{self, InZone, NoPlan, Part, Planned, Reads, Refusal, ZoneUpdate};

use staged::StagedUpdate;

/// What an update has changed in a zone.
#[derive(Debug)]
pub struct Changed {
    /// The zone.
    pub zone: Name,
    /// The revision of the change, or the newest one if there was nothing to change.
    pub revision: i64,
    /// Whether anything was written.
    pub written: bool,
    /// The records that were added and removed.
    pub differences: Vec<Difference>,
    /// The RRsets that went although their values could not be read.
    pub unreadable: Vec<(Name, Rtype)>,
    /// Why unserved records, replaced or staged in vain, may be left in the store.
    pub leftover: Option<StoreError>,
}

/// One try to make all of an update, or what is about one zone, in one transaction.
enum AtOnce {
    Done(Vec<Changed>),
    TooLarge(Vec<ZoneUpdate>),
}

impl Store {
    /// Makes a single change, in the given zone or else in the one that holds the name.
    pub async fn change(
        &self,
        owner: &Name,
        zone: Option<InZone<'_>>,
        change: &Change,
    ) -> Result<Changed, ChangeError> {
        let edit = Edit {
            default_ttl: None,
            owner: owner.clone(),
            change: change.clone(),
        };
        let update = Update {
            prerequisites: Vec::new(),
            edits: vec![edit],
        };
        let mut changed = self.update(zone, &update, &|_| {}).await?;
        Ok(changed.remove(0))
    }

    /// Makes an update in the given zone, or else in the zones that hold its names. Returns what it has changed in each
    /// of them. A refusal says which parts of the update it is about.
    pub async fn update(
        &self,
        zone: Option<InZone<'_>>,
        update: &Update,
        progress: Progress<'_>,
    ) -> Result<Vec<Changed>, ChangeError> {
        let zones = match self.at_once(zone, None, update).await? {
            AtOnce::Done(changed) => return Ok(changed),
            AtOnce::TooLarge(zones) => zones,
        };
        // Each zone is changed by itself now, and a transaction of one does not see the others.
        if zones.len() > 1 && !update.prerequisites.is_empty() {
            return Err(Refusal::SeveralZones.into());
        }
        let mut done: Vec<Changed> = Vec::new();
        for of_zone in &zones {
            match self.update_zone(zone, of_zone, update, progress).await {
                Ok(changed) => done.push(changed),
                Err(error) => {
                    let written = done.into_iter().filter(|changed| changed.written);
                    let written: Vec<Name> = written.map(|changed| changed.zone).collect();
                    return Err(match written.is_empty() {
                        true => error,
                        false => ChangeError::SomeZones(Box::new(error), written),
                    });
                }
            }
        }
        Ok(done)
    }

    /// Makes the part of an update that is about one zone.
    async fn update_zone(
        &self,
        zone: Option<InZone<'_>>,
        of_zone: &ZoneUpdate,
        update: &Update,
        progress: Progress<'_>,
    ) -> Result<Changed, ChangeError> {
        let apex = &of_zone.zone.apex;
        let parts: Vec<Part> = of_zone.parts.iter().copied().collect();
        let part = subset(update, &of_zone.parts);
        let numbered = |error| numbered(&parts, error);
        let tried = self.at_once(zone, Some(apex), &part).await;
        match tried.map_err(numbered)? {
            AtOnce::Done(mut changed) => Ok(changed.remove(0)),
            AtOnce::TooLarge(_) => {
                let hide = zone.is_some_and(|zone| zone.hide);
                let staged = StagedUpdate {
                    store: self,
                    apex,
                    hide,
                    update: &part,
                };
                staged.run(progress).await.map_err(numbered)
            }
        }
    }

    /// Makes an update in one transaction, if it fits. With `expected` all of it must be about this zone.
    async fn at_once(
        &self,
        zone: Option<InZone<'_>>,
        expected: Option<&Name>,
        update: &Update,
    ) -> Result<AtOnce, ChangeError> {
        let planner = |reads: &Reads| {
            let (planned, zones) = txn::update(self.prefix(), reads, zone, update)?;
            let other = zones
                .iter()
                .find(|of_zone| expected.is_some_and(|apex| of_zone.zone.apex != *apex));
            if let Some(other) = other {
                return Err(NoPlan::from(Refusal::ZonesChanged(other.zone.apex.clone())));
            }
            Ok(match planned {
                Planned::Nothing => (None, (zones, false)),
                Planned::Plan(plan) => (Some(plan), (zones, false)),
                Planned::TooLarge => (None, (zones, true)),
            })
        };
        let name = update
            .edits
            .first()
            .map_or_else(Name::root, |edit| edit.owner.clone());
        let Transacted {
            revision,
            report: (zones, is_too_large),
            ..
        } = self.transact(&name, planner).await?;
        if is_too_large {
            return Ok(AtOnce::TooLarge(zones));
        }
        let changed = zones.into_iter().map(|of_zone| Changed {
            revision,
            written: of_zone.is_changed(),
            differences: zonefile::diff(&of_zone.before, &of_zone.after),
            zone: of_zone.zone.apex,
            unreadable: of_zone.unreadable,
            leftover: None,
        });
        Ok(AtOnce::Done(changed.collect()))
    }
}

/// These parts of an update.
fn subset(update: &Update, parts: &BTreeSet<Part>) -> Update {
    let (mut prerequisites, mut edits) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Prerequisite(number) => prerequisites.push(update.prerequisites[*number].clone()),
            Part::Edit(number) => edits.push(update.edits[*number].clone()),
        }
    }
    Update {
        prerequisites,
        edits,
    }
}

/// The error with the places of its parts in the whole update.
fn numbered(parts: &[Part], error: ChangeError) -> ChangeError {
    match error {
        ChangeError::Refused(Refusal::Parts(refused)) => {
            let refused = refused.into_iter();
            let refused = refused.map(|(part, refusal)| (place(parts, part), refusal));
            Refusal::Parts(refused.collect()).into()
        }
        ChangeError::LeftStaged(error, zone) => {
            ChangeError::LeftStaged(Box::new(numbered(parts, *error)), zone)
        }
        error => error,
    }
}

/// The place in the whole update of a part of a subset.
fn place(parts: &[Part], part: Part) -> Part {
    let is_edit = |part: &&Part| matches!(part, Part::Edit(_));
    let found = match part {
        Part::Prerequisite(number) => parts.iter().filter(|part| !is_edit(part)).nth(number),
        Part::Edit(number) => parts.iter().filter(is_edit).nth(number),
    };
    found.copied().unwrap_or(part)
}
