//! The zone that holds an owner's records.

use std::collections::BTreeSet;

use crate::model::{Name, Rtype};
use crate::schema::Prefix;

use super::{NoPlan, Reads, Refusal, ZoneRead};

/// A zone chosen by the user. It need not be the closest one that encloses the owner.
#[derive(Clone, Copy, Debug)]
pub struct InZone<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// Whether records may be hidden by a zone below, which answers for them.
    pub hide: bool,
}

/// The zone that holds an owner's records.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) zone: ZoneRead,
    /// The names closer to the owner, which must not become zones meanwhile.
    pub(super) closer: Vec<Name>,
    /// The zones at the owner, or between it and the chosen zone: they answer for the owner.
    pub(super) children: BTreeSet<Name>,
}

impl Holder {
    /// The zone for records of this type, or of all types, at `owner`: the given one, or else the closest.
    pub(super) fn find(
        prefix: &Prefix,
        reads: &Reads,
        zone: Option<InZone<'_>>,
        owner: &Name,
        rtype: Option<Rtype>,
        writes_records: bool,
    ) -> Result<Self, NoPlan> {
        match zone {
            Some(zone) => Holder::given(prefix, reads, zone, owner, rtype, writes_records),
            None => Holder::closest(prefix, reads, owner, rtype),
        }
    }

    fn closest(
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
        rtype: Option<Rtype>,
    ) -> Result<Self, NoPlan> {
        let mut closer = zone_candidates(owner, rtype);
        let zones = reads.zones(prefix, &closer)?;
        let found = zones
            .into_iter()
            .enumerate()
            .find_map(|(index, zone)| Some((index, zone?)));
        if let Some((index, zone)) = found {
            closer.truncate(index);
            return Ok(Holder {
                zone: zone?,
                closer,
                children: BTreeSet::new(),
            });
        }
        let lost = reads.lost_zone(prefix, &closer)?;
        Err(lost
            .map_or_else(|| Refusal::NoZone(owner.clone()), Refusal::ZoneLost)
            .into())
    }

    fn given(
        prefix: &Prefix,
        reads: &Reads,
        zone: InZone<'_>,
        owner: &Name,
        rtype: Option<Rtype>,
        writes_records: bool,
    ) -> Result<Self, NoPlan> {
        let InZone { apex, hide } = zone;
        if !owner.is_within(apex) {
            let (owner, zone) = (owner.clone(), apex.clone());
            return Err(Refusal::Outside { owner, zone }.into());
        }
        let mut names: Vec<Name> = owner.ancestors().take_while(|name| name != apex).collect();
        names.push(apex.clone());
        let mut zones = reads.zones(prefix, &names)?;
        let Some(zone) = zones.pop().flatten() else {
            return Err(reads.no_zone(prefix, apex));
        };
        let mut holder = Holder {
            zone: zone?,
            closer: Vec::new(),
            children: BTreeSet::new(),
        };
        // Hidden records may be removed or get another TTL.
        if hide || !writes_records {
            return Ok(holder);
        }
        for (name, zone) in names.into_iter().zip(zones) {
            match zone {
                Some(_) => drop(holder.children.insert(name)),
                None => holder.closer.push(name),
            }
        }
        // NS and DS records at a cut belong to the parent, whether or not the child is a zone.
        let is_delegation = matches!(rtype, Some(Rtype::NS | Rtype::DS));
        holder
            .closer
            .retain(|name| !(is_delegation && name == owner));
        Ok(holder)
    }
}

/// The possible apexes of the zone for records of this type at `owner`, the longest first. A DS record belongs to the
/// parent zone (RFC 4035 2.4).
pub(super) fn zone_candidates(owner: &Name, rtype: Option<Rtype>) -> Vec<Name> {
    let skip = usize::from(rtype == Some(Rtype::DS) && !owner.is_root());
    owner.ancestors().skip(skip).collect()
}

/// The names above `owner` up to and including the apex. A DNAME record at any of them hides the records at the owner.
pub(super) fn dname_candidates(apex: &Name, owner: &Name) -> Vec<Name> {
    if owner == apex {
        return Vec::new();
    }
    let above = owner.ancestors().skip(1);
    let mut names: Vec<Name> = above.take_while(|name| name != apex).collect();
    names.push(apex.clone());
    names
}
