//! The rules of zones, applied to what the edits of an update leave, and the puts and deletes that follow.

use super::super::holder::dname_candidates;
use super::super::site::{Left, Site};
use super::super::{Compare, Hidden, NoPlan, Part, Plan, Reads, Refusal, RrsetRead, hidden};
use super::draft::{Draft, Placed, SiteRead, leased_at};
use super::{Outcomes, ZoneUpdate};
use crate::model::rules::{self, Around, Condition};
use crate::model::{Edit, Name, Rtype};
use crate::schema::{Key, Prefix, encode};

impl Draft<'_> {
    /// Applies the rules of zones to what the edits leave, and adds the comparisons that keep them true.
    pub(super) fn admit(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        planned: &mut ZoneUpdate,
        outcomes: &mut Outcomes,
    ) -> Result<(), NoPlan> {
        let (apex, generation) = (&self.zone.apex, self.zone.settings.generation);
        let since = |range| Compare::NotWrittenSince {
            range,
            revision: reads.revision(),
        };
        let mut plan = Plan::default();
        for (owner, SiteRead { site, read }) in &self.sites {
            let revision = |rtype| read.get(&rtype).map_or(0, |read: &RrsetRead| read.revision);
            if site.is_whole {
                plan.compares
                    .push(since(prefix.owner(apex, generation, owner)));
            }
            let around = self.surroundings(prefix, reads, owner, site)?;
            for rtype in site.written.iter().filter(|rtype| site.has(**rtype)) {
                let part = Part::Edit(site.touched[rtype]);
                let admitted = match around.leased.filter(|_| *rtype == Rtype::CNAME) {
                    Some(leased) => Err(Refusal::Announced((*owner).clone(), leased)),
                    None => rules::admit(apex, owner, *rtype, &around).map_err(Refusal::from),
                };
                let admitted = admitted.map_err(NoPlan::from);
                for condition in outcomes.take(part, admitted)?.into_iter().flatten() {
                    if condition == Condition::NothingAdded {
                        // A change of what is leased leaves the serial key as it is.
                        let leased = since(prefix.leased_at(apex, owner));
                        planned.extra_compares.push(leased);
                    }
                    match condition {
                        Condition::Absent(_) | Condition::NothingAdded if site.is_whole => {}
                        Condition::Absent(other) => {
                            let key = self.zone.rrset_key(owner, other);
                            plan.unchanged(prefix, &key, revision(other));
                        }
                        Condition::NothingAdded => {
                            plan.compares
                                .push(since(prefix.owner(apex, generation, owner)));
                        }
                        Condition::NoDnameAbove => {
                            for name in dname_candidates(apex, owner) {
                                let key = self.zone.rrset_key(&name, Rtype::DNAME);
                                let found = reads.key(prefix, &key)?;
                                plan.unchanged(
                                    prefix,
                                    &key,
                                    found.map_or(0, |item| item.mod_revision),
                                );
                            }
                        }
                        Condition::NothingBelow => {
                            let below = prefix.below(apex, generation, owner);
                            plan.compares.extend(below.into_iter().map(since));
                        }
                    }
                }
            }
            for rtype in site.touched.keys() {
                let key = self.zone.rrset_key(owner, *rtype);
                plan.unchanged(prefix, &key, revision(*rtype));
            }
        }
        plan.unchanged(prefix, &Key::Zone(apex.clone()), self.zone.revision);
        for placed in &self.edits {
            for name in &placed.closer {
                plan.unchanged(prefix, &Key::Zone(name.clone()), 0);
            }
            let part = Part::Edit(placed.number);
            let mut delegation = Plan::default();
            let visible = self.visible(prefix, reads, placed, &mut delegation);
            outcomes.take(part, visible)?;
            planned.extra_compares.extend(delegation.compares);
        }
        planned.compares.extend(plan.compares);
        Ok(())
    }

    /// What the rules have to know of an owner.
    fn surroundings<'s>(
        &'s self,
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
        site: &'s Site,
    ) -> Result<Surroundings<'s>, NoPlan> {
        let mut dname = None;
        for name in dname_candidates(&self.zone.apex, owner) {
            let is_there = match self.sites.get(&name) {
                Some(SiteRead { site, .. }) => site.has(Rtype::DNAME),
                None => {
                    let key = self.zone.rrset_key(&name, Rtype::DNAME);
                    reads.key(prefix, &key)?.is_some()
                }
            };
            if is_there {
                dname = Some(name);
                break;
            }
        }
        let below = match site.written.contains(&Rtype::DNAME) {
            true => self.name_below(prefix, reads, owner)?,
            false => None,
        };
        let leased = match site.written.contains(&Rtype::CNAME) {
            true => self.leased_type(prefix, reads, owner)?,
            false => None,
        };
        Ok(Surroundings {
            site,
            leased,
            dname,
            below,
        })
    }

    /// A type of records that are leased at an owner.
    fn leased_type(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
    ) -> Result<Option<Rtype>, NoPlan> {
        let [found] = reads.all([&[leased_at(prefix, &self.zone.apex, owner)]])?;
        let mut found = found.into_iter().flatten();
        Ok(found.find_map(|item| match prefix.decode(&item.key) {
            Ok(Key::Leased { rtype, .. }) => Some(rtype),
            _ => None,
        }))
    }

    /// A name below an owner to which the edits leave records.
    fn name_below(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        owner: &Name,
    ) -> Result<Option<Name>, NoPlan> {
        let edited = self.sites.iter().find(|(name, SiteRead { site, .. })| {
            **name != owner && name.is_within(owner) && site.types().next().is_some()
        });
        if let Some((name, _)) = edited {
            return Ok(Some((*name).clone()));
        }
        let [found] = reads.all([&self.below(prefix, owner)])?;
        let names = found.into_iter().flatten().filter_map(|item| {
            let (name, _) = RrsetRead::decode(prefix, item).ok()?;
            Some(name)
        });
        Ok(names
            .into_iter()
            .find(|name| !self.sites.contains_key(name)))
    }

    /// Refuses an RRset that a zone below would hide. Adds the comparisons that keep it visible.
    fn visible(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        placed: &Placed<&Edit>,
        plan: &mut Plan,
    ) -> Result<(), NoPlan> {
        let Edit { owner, change, .. } = placed.what;
        let (Some(cut), Some(rtype)) = (placed.cut(), change.rtype()) else {
            return Ok(());
        };
        let child = Key::Zone(cut.clone());
        let found = reads.key(prefix, &child)?;
        plan.unchanged(prefix, &child, found.map_or(0, |item| item.mod_revision));
        let servers = self.zone.rrset_key(cut, Rtype::NS);
        let found = reads.key(prefix, &servers)?;
        plan.unchanged(prefix, &servers, found.map_or(0, |item| item.mod_revision));
        let servers = match self.sites.get(cut) {
            Some(SiteRead { site, .. }) => match site.left(cut, Rtype::NS) {
                Ok(Left::Rrset(rrset)) => Some(rrset),
                _ => None,
            },
            None => found
                .and_then(|item| RrsetRead::decode(prefix, item).ok())
                .and_then(|(_, read)| read.rrset.ok()),
        };
        // The records themselves do not matter, only those of the cut.
        let rrsets = [(owner, rtype, None), (cut, Rtype::NS, servers.as_ref())];
        let hidden = hidden(&self.zone.apex, &placed.children, rrsets.into_iter());
        match hidden.into_iter().find(|hidden| hidden.owner == *owner) {
            None => Ok(()),
            Some(Hidden { owner, by, .. }) => Err(Refusal::Hidden {
                zone: self.zone.apex.clone(),
                child: by,
                names: vec![owner],
            }
            .into()),
        }
    }

    /// Adds the puts and deletes.
    pub(super) fn write(&self, prefix: &Prefix, planned: &mut ZoneUpdate, outcomes: &mut Outcomes) {
        let apex = &self.zone.apex;
        let mut plan = Plan::default();
        for (owner, SiteRead { site, read }) in &self.sites {
            for (rtype, number) in &site.touched {
                let (rtype, place) = (*rtype, ((*owner).clone(), *rtype));
                let left = site.left(owner, rtype).and_then(|left| match left {
                    Left::Nothing if read.contains_key(&rtype) => {
                        rules::admit_removal(apex, owner, rtype)?;
                        Ok(Left::Nothing)
                    }
                    left => Ok(left),
                });
                let left = match left {
                    Ok(left) => left,
                    Err(refusal) => {
                        outcomes.refused.push((Part::Edit(*number), refusal));
                        continue;
                    }
                };
                let key = self.zone.rrset_key(owner, rtype);
                let old = read.get(&rtype).map(|read| read.rrset.as_ref().ok());
                match (old, left) {
                    (None, Left::Nothing) | (_, Left::Unreadable) => continue,
                    (Some(Some(old)), Left::Rrset(new)) if *old == new => continue,
                    (_, Left::Nothing) => plan.delete(prefix, &key),
                    (_, Left::Rrset(new)) => {
                        plan.put(prefix, &key, encode(&(rtype, &new)));
                        planned.after.insert(place.clone(), new);
                    }
                }
                match old {
                    None => {}
                    Some(Some(old)) => drop(planned.before.insert(place, old.clone())),
                    Some(None) => planned.unreadable.push(place),
                }
            }
        }
        planned.ops = plan.ops;
    }
}

/// What the rules have to know of an owner, as the edits leave it.
struct Surroundings<'a> {
    site: &'a Site,
    leased: Option<Rtype>,
    dname: Option<Name>,
    below: Option<Name>,
}

impl Around for Surroundings<'_> {
    fn types(&self) -> impl Iterator<Item = Rtype> {
        self.site.types()
    }

    fn dname_above(&self) -> Option<&Name> {
        self.dname.as_ref()
    }

    fn name_below(&self) -> Option<&Name> {
        self.below.as_ref()
    }
}
