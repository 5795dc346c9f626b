//! What each change must do to the zones.

use std::collections::{BTreeMap, BTreeSet};

use etcd::client::ImportMode;
use etcd::model::{Name, Rdata, Rtype};

use crate::actors::{address, alias, name_server, owner_name, zone_name};
use crate::reference::{self, Records, Zones};
use crate::schedule::{Change, Edit, How, Required, What};

/// Checks that a change did to the zones what it asked for.
pub(super) fn has_effect(change: &Change, old: &Zones, new: &Zones) -> Result<(), String> {
    let records = |zones: &Zones, zone: usize| {
        let zone = zones.get(&zone_name(zone));
        zone.map(|zone| zone.records.clone())
    };
    let is_right = match change {
        Change::Edits { required, edits } => {
            let is_met = required.is_none_or(|required| is_met(old, required));
            let wanted = edited(old, edits);
            // One of several zones may be changed in a transaction of its own.
            let is_right = |(apex, zone): (&Name, &reference::Zone)| {
                let before = old.get(apex).map(|zone| &zone.records);
                wanted.get(apex) == Some(&zone.records)
                    || (edits.len() > LARGE && before == Some(&zone.records))
            };
            is_met && new.iter().all(is_right)
        }
        Change::ZoneSet { zone, ttl } => {
            let set = new.get(&zone_name(*zone));
            set.is_some_and(|zone| zone.settings.default_ttl == *ttl)
                && records(old, *zone) == records(new, *zone)
        }
        Change::ZoneAdd { zone } => records(old, *zone).is_none() && records(new, *zone).is_some(),
        Change::ZoneRemove { zone } => {
            records(old, *zone).is_some() && records(new, *zone).is_none()
        }
        Change::Import {
            zone,
            mode: ImportMode::Replace,
            names,
            address,
        } => {
            let file = file_records(*zone, *names, *address);
            records(new, *zone) == Some(file)
        }
        // It may be written in parts.
        Change::Import {
            zone,
            mode: ImportMode::Merge,
            names,
            address,
        } => {
            let file = file_records(*zone, *names, *address);
            let (old, new) = (records(old, *zone), records(new, *zone));
            let old = old.unwrap_or_default();
            new.is_some_and(|new| is_part_merged(&old, &new, &file))
        }
        // Nothing is undone by going back to the present.
        Change::Rollback { zone, part } => {
            *part < 1.0 || records(new, *zone) == records(old, *zone)
        }
        Change::Import { .. } | Change::Clean { .. } => true,
    };
    match is_right {
        true => Ok(()),
        false => Err(format!("leaves {new:?} of {old:?}")),
    }
}

/// Whether records have become these by adding some of a file.
fn is_part_merged(old: &Records, new: &Records, file: &Records) -> bool {
    let none = BTreeSet::new();
    let of = |records: &Records, place| records.get(place).cloned().unwrap_or_default();
    let mut places = old.keys().chain(new.keys());
    places.all(|place| {
        let (old, new) = (of(old, place), of(new, place));
        let added = file.get(place).unwrap_or(&none);
        old.is_subset(&new) && new.difference(&old).all(|rdata| added.contains(rdata))
    })
}

/// Updates with more edits may be made zone by zone.
pub(super) const LARGE: usize = 100;

/// The records of an imported file.
pub(super) fn file_records(zone: usize, names: usize, last: u8) -> Records {
    let rdata = |rdata: Rdata| [rdata.wire().to_vec()].into();
    let hosts = (0..names).map(|owner| ((owner_name(zone, owner), Rtype::A), rdata(address(last))));
    let servers = ((zone_name(zone), Rtype::NS), rdata(name_server()));
    hosts.chain([servers]).collect()
}

/// A rule of zones that a zone breaks.
pub(super) fn broken_rule(revision: i64, zone: &reference::Zone) -> Option<String> {
    let owner = clash(&zone.records)?;
    Some(format!(
        "revision {revision}: {owner} has other records beside CNAME"
    ))
}

/// A record that nobody gets any more, as a zone was added that answers for its name and does not have it.
pub(super) fn hidden(revision: i64, old: &Zones, new: &Zones) -> Option<String> {
    let mut added = new.iter().filter(|(apex, _)| !old.contains_key(*apex));
    added.find_map(|(apex, zone)| {
        let above = apex.ancestors().skip(1).find_map(|name| new.get(&name))?;
        let is_hidden = |((owner, rtype), rdata): &(&(Name, Rtype), &BTreeSet<Vec<u8>>)| {
            let is_delegation = *rtype == Rtype::NS && owner == apex;
            let there = zone.records.get(&(owner.clone(), *rtype));
            let is_there = there.is_some_and(|there| rdata.is_subset(there));
            owner.is_within(apex) && !is_delegation && !is_there
        };
        let ((owner, rtype), _) = above.records.iter().find(is_hidden)?;
        Some(format!("revision {revision}: {apex} hides {owner} {rtype}"))
    })
}

/// A name that has CNAME and something else.
pub(super) fn clash(records: &Records) -> Option<&Name> {
    let owners = records.keys().filter(|(_, rtype)| *rtype == Rtype::CNAME);
    let mut owners = owners.map(|(owner, _)| owner);
    owners.find(|owner| records.keys().filter(|(other, _)| other == *owner).count() > 1)
}

/// Whether zones have what an update requires.
pub(super) fn is_met(zones: &Zones, required: Required) -> bool {
    let owner = owner_name(required.zone, required.owner);
    let zone = owner.ancestors().find_map(|name| zones.get(&name));
    let records = zone.map(|zone| &zone.records);
    let addresses = records.and_then(|records| records.get(&(owner.clone(), Rtype::A)));
    let is_in_use = records.is_some_and(|records| records.keys().any(|(other, _)| *other == owner));
    match required.what {
        What::NameInUse => is_in_use,
        What::NameNotInUse => !is_in_use,
        What::Addresses => addresses.is_some(),
        What::Address(last) => {
            addresses.is_some_and(|found| *found == [address(last).wire().to_vec()].into())
        }
        What::NoAddresses => addresses.is_none(),
    }
}

/// What edits make of zones.
pub(super) fn edited(zones: &Zones, edits: &[Edit]) -> BTreeMap<Name, Records> {
    let mut records: BTreeMap<Name, Records> = zones
        .iter()
        .map(|(apex, zone)| (apex.clone(), zone.records.clone()))
        .collect();
    for edit in edits {
        let owner = owner_name(edit.zone, edit.owner);
        let Some(apex) = owner.ancestors().find(|name| records.contains_key(name)) else {
            continue;
        };
        let zone = records.entry(apex).or_default();
        let place = (owner.clone(), Rtype::A);
        let rdata = address(edit.address).wire().to_vec();
        match edit.how {
            How::Add => drop(zone.entry(place).or_default().insert(rdata)),
            How::Set => drop(zone.insert(place, [rdata].into())),
            How::Remove => {
                if let Some(all) = zone.get_mut(&place) {
                    all.remove(&rdata);
                    if all.is_empty() {
                        zone.remove(&place);
                    }
                }
            }
            How::RemoveAll => zone.retain(|(other, _), _| *other != owner),
            How::AddAlias => {
                let alias = alias();
                let all = zone.entry((owner, Rtype::CNAME)).or_default();
                all.insert(alias.wire().to_vec());
            }
        }
    }
    records
}
