//! When a change is unnecessary, and when it has to be refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use etcd::client::ImportMode;
use etcd::model::{Name, Rtype};

use super::effect::{LARGE, clash, edited, file_records, is_met};
use crate::actors::{End, owner_name, zone_name};
use crate::reference::{Zone, Zones};
use crate::schedule::Change;

/// Whether a change had a reason to end so, if the store had these states meanwhile.
pub(super) fn has_reason(change: &Change, end: &End, states: &[Arc<Zones>]) -> bool {
    match end {
        End::Done { written: false, .. } => states.iter().any(|zones| is_idle(change, zones)),
        End::Refused(_) => {
            let is_large = matches!(change, Change::Edits { edits, .. } if edits.len() > LARGE);
            // What is divided by zones is not made if other zones hold the names then.
            let has_moved = |pair: &[Arc<Zones>]| !pair[0].keys().eq(pair[1].keys());
            // What others change meanwhile is not rolled back.
            let is_touched = |pair: &[Arc<Zones>]| {
                let Change::Rollback { zone, .. } = change else {
                    return false;
                };
                let touched = |zones: &Zones| zones.get(&zone_name(*zone)).map(|zone| zone.touched);
                touched(&pair[0]) != touched(&pair[1])
            };
            states.iter().any(|zones| is_refused(change, zones))
                || (is_large && states.windows(2).any(has_moved))
                || states.windows(2).any(is_touched)
        }
        _ => true,
    }
}

/// Whether zones have already what a change is about.
fn is_idle(change: &Change, zones: &Zones) -> bool {
    match change {
        Change::Edits { required, edits } => {
            let is_met = required.is_none_or(|required| is_met(zones, required));
            let wanted = edited(zones, edits);
            let is_wanted = |(apex, zone): (&Name, &Zone)| wanted.get(apex) == Some(&zone.records);
            is_met && zones.iter().all(is_wanted)
        }
        Change::ZoneSet { zone, ttl } => {
            let zone = zones.get(&zone_name(*zone));
            zone.is_some_and(|zone| zone.settings.default_ttl == *ttl)
        }
        Change::ZoneAdd { .. } => false,
        Change::ZoneRemove { zone } => !zones.contains_key(&zone_name(*zone)),
        Change::Import {
            zone,
            mode,
            names,
            address,
        } => {
            let file = file_records(*zone, *names, *address);
            let zone = zones.get(&zone_name(*zone));
            zone.is_some_and(|zone| match mode {
                ImportMode::Restore => false,
                ImportMode::Replace => zone.records == file,
                ImportMode::Merge => file.iter().all(|(place, rdata)| {
                    let found = zone.records.get(place);
                    found.is_some_and(|found| rdata.is_subset(found))
                }),
            })
        }
        // There is nothing to clean, or the journal does not reach.
        Change::Clean { .. } | Change::Rollback { .. } => true,
    }
}

/// Whether a change cannot be made in zones.
fn is_refused(change: &Change, zones: &Zones) -> bool {
    match change {
        Change::Edits { required, edits } => {
            let owners = edits.iter().map(|edit| (edit.zone, edit.owner));
            let required_owner = required.map(|required| (required.zone, required.owner));
            let owners = owners.chain(required_owner);
            let owners = owners.map(|(zone, owner)| owner_name(zone, owner));
            let apexes: BTreeSet<Option<Name>> = owners
                .map(|owner| owner.ancestors().find(|name| zones.contains_key(name)))
                .collect();
            let is_divided = edits.len() > LARGE && apexes.len() > 1;
            let is_unmet = required.is_some_and(|required| !is_met(zones, required));
            let breaks_rules = edited(zones, edits).iter().any(|(apex, records)| {
                let announced = zones.get(apex).map(|zone| &zone.with_leased);
                let hides = |owner: &Name| {
                    let place = (owner.clone(), Rtype::A);
                    announced.is_some_and(|records| records.contains_key(&place))
                };
                let mut aliases = records.keys().filter(|(_, rtype)| *rtype == Rtype::CNAME);
                let has_servers = records.contains_key(&(apex.clone(), Rtype::NS));
                !has_servers || clash(records).is_some() || aliases.any(|(owner, _)| hides(owner))
            });
            apexes.contains(&None) || is_unmet || breaks_rules || (required.is_some() && is_divided)
        }
        Change::ZoneSet { zone, .. } => !zones.contains_key(&zone_name(*zone)),
        Change::ZoneAdd { zone } => {
            let apex = zone_name(*zone);
            // Its records in the zone above are to move, and a CNAME record cannot.
            let mut above = apex.ancestors().filter_map(|name| zones.get(&name));
            let alias = (apex.clone(), Rtype::CNAME);
            zones.contains_key(&apex) || above.any(|zone| zone.records.contains_key(&alias))
        }
        // What it was may be hidden by another zone, or may hide records of one.
        Change::Rollback { zone, .. } => {
            let apex = zone_name(*zone);
            let is_below = |other: &Name| *other != apex && other.is_within(&apex);
            !zones.contains_key(&apex) || zones.keys().any(is_below)
        }
        Change::ZoneRemove { .. } | Change::Clean { .. } => false,
        Change::Import {
            zone, mode, names, ..
        } => {
            let apex = zone_name(*zone);
            let present = zones.get(&apex);
            let is_below = |owner: &Name| owner.is_within(&apex);
            let mut above = apex.ancestors().skip(1).filter_map(|name| zones.get(&name));
            let mut hides =
                || above.any(|zone| zone.records.keys().any(|(owner, _)| is_below(owner)));
            let mut owners = (0..*names).map(|owner| owner_name(*zone, owner));
            let is_hidden = |owner: &Name| *owner != apex && zones.contains_key(owner);
            let is_alias = |owner: &Name| {
                let place = (owner.clone(), Rtype::CNAME);
                let is_kept = matches!(mode, ImportMode::Merge);
                is_kept && present.is_some_and(|zone| zone.records.contains_key(&place))
            };
            (present.is_none() && hides())
                || owners.any(|owner| is_hidden(&owner) || is_alias(&owner))
        }
    }
}
