//! Plans a change at one owner, from the zone, the owner, and what the rules of zones need to know.

use std::collections::BTreeSet;

use super::{
    Change, Get, Hidden, NoPlan, Planned, Reads, Refusal, RrsetRead, Surroundings, ZoneRead, apply,
    dname_candidates, hidden_among_read, zone_candidates,
};
use crate::model::{Name, Rtype};
use crate::schema::{Key, KeyValue, Prefix, ValueError};

/// A zone chosen by the user. It need not be the closest one that encloses the owner.
#[derive(Clone, Copy, Debug)]
pub struct InZone<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// Whether records may be hidden by a zone below, which answers for them.
    pub hide: bool,
}

/// Plans a change at `owner`, in the given zone or else in the one that holds the name. Returns the zone, and no plan if
/// nothing has to change.
pub fn change(
    prefix: &Prefix,
    reads: &Reads,
    owner: &Name,
    zone: Option<InZone<'_>>,
    change: &Change,
) -> Result<(ZoneRead, Option<Planned>), NoPlan> {
    let holder = match zone {
        Some(zone) => Holder::given(prefix, reads, owner, zone, change)?,
        None => Holder::holding(prefix, reads, owner, change)?,
    };
    let around = holder.surroundings(prefix, reads, owner, change)?;
    let planned = apply(prefix, &holder.zone, owner, &around, change)?;
    Ok((holder.zone, planned))
}

/// The zone that holds an owner's records.
struct Holder {
    zone: ZoneRead,
    /// The names closer to the owner, which must not become zones meanwhile.
    closer: Vec<Name>,
    /// The zones at the owner, or between it and the chosen zone: they answer for the owner.
    children: BTreeSet<Name>,
}

impl Holder {
    /// The zone that holds the records.
    fn holding(
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
        change: &Change,
    ) -> Result<Self, NoPlan> {
        let mut closer = zone_candidates(owner, change.rtype());
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

    /// The zone chosen by the user.
    fn given(
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
        zone: InZone<'_>,
        change: &Change,
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
        if hide || !change.writes_records() {
            return Ok(holder);
        }
        for (name, zone) in names.into_iter().zip(zones) {
            match zone {
                Some(_) => drop(holder.children.insert(name)),
                None => holder.closer.push(name),
            }
        }
        // NS and DS records at a cut belong to the parent, whether or not the child is a zone.
        let is_delegation = matches!(change.rtype(), Some(Rtype::NS | Rtype::DS));
        holder
            .closer
            .retain(|name| !(is_delegation && name == owner));
        Ok(holder)
    }

    /// What is at the owner, above it and, for a DNAME record, below it.
    fn surroundings(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
        change: &Change,
    ) -> Result<Surroundings, NoPlan> {
        let (apex, generation) = (&self.zone.apex, self.zone.settings.generation);
        let at_owner = Get::range(prefix.owner(apex, generation, owner), 0);
        let above = dname_candidates(apex, owner);
        let dname = |name: &Name| Get::key(prefix, &self.zone.rrset_key(name, Rtype::DNAME));
        let dnames: Vec<Get> = above.iter().map(dname).collect();
        let below = match change.rtype() {
            Some(Rtype::DNAME) => prefix.below(apex, generation, owner),
            _ => Vec::new(),
        };
        let below: Vec<Get> = below
            .into_iter()
            .map(|range| Get::range(range, 1))
            .collect();
        // The first cut on the way down from the apex.
        let cut = self
            .children
            .iter()
            .min_by_key(|child| child.labels().count());
        let server = |cut: &Name| Get::key(prefix, &self.zone.rrset_key(cut, Rtype::NS));
        let servers: Vec<Get> = cut.into_iter().map(server).collect();

        let [present, dnames, below, servers] =
            reads.all([&[at_owner], &dnames, &below, &servers])?;
        let rrset = |item: &KeyValue| RrsetRead::decode(prefix, item).ok();
        let servers: Vec<(Name, RrsetRead)> =
            servers.into_iter().flatten().filter_map(rrset).collect();
        let mut delegation = Vec::new();
        if let Some(cut) = cut {
            let zone = Key::Zone(cut.clone());
            let written = reads
                .key(prefix, &zone)?
                .map_or(0, |item| item.mod_revision);
            delegation.push((zone, written));
            let written = servers.first().map_or(0, |(_, read)| read.revision);
            delegation.push((self.zone.rrset_key(cut, Rtype::NS), written));
        }
        self.refuse_hidden(owner, change, servers)?;
        let first_below = below.into_iter().flatten().next();
        Ok(Surroundings {
            revision: reads.revision(),
            closer: self.closer.clone(),
            delegation,
            present: present
                .into_iter()
                .flatten()
                .filter_map(rrset)
                .map(|(_, read)| read)
                .collect(),
            dname: dnames
                .iter()
                .position(|found| !found.is_empty())
                .map(|index| above[index].clone()),
            below: first_below.and_then(rrset).map(|(owner, _)| owner),
        })
    }

    /// Refuses an RRset that a zone below would hide.
    fn refuse_hidden(
        &self,
        owner: &Name,
        change: &Change,
        servers: Vec<(Name, RrsetRead)>,
    ) -> Result<(), Refusal> {
        let Some(rtype) = change.rtype() else {
            return Ok(());
        };
        // The value does not matter here.
        let wanted = RrsetRead {
            rtype,
            rrset: Err(ValueError::Soa),
            revision: 0,
        };
        let mut rrsets = vec![(owner.clone(), wanted)];
        rrsets.extend(servers);
        match hidden_among_read(&self.zone.apex, &self.children, &rrsets)
            .into_iter()
            .next()
        {
            Some(Hidden { owner, by, .. }) => Err(Refusal::Hidden {
                zone: self.zone.apex.clone(),
                child: by,
                names: vec![owner],
            }),
            None => Ok(()),
        }
    }
}
