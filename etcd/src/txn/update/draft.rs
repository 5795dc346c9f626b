//! The part of an update that is about one zone: what it has to know, its prerequisites, and its edits.

use std::collections::{BTreeMap, BTreeSet};

use super::super::holder::{Holder, InZone, dname_candidates};
use super::super::site::Site;
use super::super::{
    Compare, Get, NoPlan, OPS_MAX, Part, Plan, Reads, Refusal, RrsetRead, ZoneRead,
};
use super::{Outcomes, ZoneUpdate};
use crate::model::zonefile::Rrsets;
use crate::model::{Edit, Name, Prerequisite, Rtype, Update};
use crate::schema::{Key, Prefix, key_text};

/// The part of an update that is about one zone.
pub(super) struct Draft<'a> {
    pub(super) zone: ZoneRead,
    pub(super) edits: Vec<Placed<&'a Edit>>,
    prerequisites: Vec<Placed<&'a Prerequisite>>,
    pub(super) sites: BTreeMap<&'a Name, SiteRead>,
}

/// An edit or a prerequisite, and what its zone depends on.
pub(super) struct Placed<T> {
    pub(super) number: usize,
    pub(super) what: T,
    pub(super) closer: Vec<Name>,
    pub(super) children: BTreeSet<Name>,
}

/// The RRsets at an owner, edited and as they were read.
pub(super) struct SiteRead {
    pub(super) site: Site,
    pub(super) read: BTreeMap<Rtype, RrsetRead>,
}

impl<T> Placed<T> {
    fn by(holder: Holder, number: usize, what: T) -> Self {
        let Holder {
            closer, children, ..
        } = holder;
        Placed {
            number,
            what,
            closer,
            children,
        }
    }

    /// The first cut on the way down from the apex.
    pub(super) fn cut(&self) -> Option<&Name> {
        self.children
            .iter()
            .min_by_key(|child| child.labels().count())
    }
}

/// Divides an update among the zones that hold its names.
pub(super) fn drafts<'a>(
    prefix: &Prefix,
    reads: &Reads,
    zone: Option<InZone<'_>>,
    update: &'a Update,
    outcomes: &mut Outcomes,
) -> Result<BTreeMap<Name, Draft<'a>>, NoPlan> {
    let mut drafts: BTreeMap<Name, Draft<'a>> = BTreeMap::new();
    for (number, what) in update.prerequisites.iter().enumerate() {
        let holder = Holder::find(prefix, reads, zone, what.owner(), what.rtype(), false);
        if let Some(holder) = outcomes.take(Part::Prerequisite(number), holder)? {
            let draft = Draft::in_zone(&mut drafts, &holder.zone);
            draft.prerequisites.push(Placed::by(holder, number, what));
        }
    }
    for (number, what) in update.edits.iter().enumerate() {
        let Edit { owner, change, .. } = what;
        let writes = change.writes_records();
        let holder = Holder::find(prefix, reads, zone, owner, change.rtype(), writes);
        if let Some(holder) = outcomes.take(Part::Edit(number), holder)? {
            let draft = Draft::in_zone(&mut drafts, &holder.zone);
            draft.edits.push(Placed::by(holder, number, what));
        }
    }
    Ok(drafts)
}

/// What is leased at an owner: one is enough to keep a CNAME record away.
pub(super) fn leased_at(prefix: &Prefix, apex: &Name, owner: &Name) -> Get {
    Get {
        keys_only: true,
        ..Get::range(prefix.leased_at(apex, owner), 1)
    }
}

impl<'a> Draft<'a> {
    /// The draft of a zone, which begins empty.
    fn in_zone<'d>(drafts: &'d mut BTreeMap<Name, Self>, zone: &ZoneRead) -> &'d mut Self {
        let empty = || Draft {
            zone: zone.clone(),
            edits: Vec::new(),
            prerequisites: Vec::new(),
            sites: BTreeMap::new(),
        };
        drafts.entry(zone.apex.clone()).or_insert_with(empty)
    }

    fn at_owner(&self, prefix: &Prefix, owner: &Name) -> Get {
        let generation = self.zone.settings.generation;
        Get::range(prefix.owner(&self.zone.apex, generation, owner), 0)
    }

    fn rrset(&self, prefix: &Prefix, owner: &Name, rtype: Rtype) -> Get {
        Get::key(prefix, &self.zone.rrset_key(owner, rtype))
    }

    /// The keys below an owner that gets a DNAME record. An update may remove some of them.
    pub(super) fn below(&self, prefix: &Prefix, owner: &Name) -> Vec<Get> {
        let limit = match self.edits.len() {
            1 => 1,
            _ => OPS_MAX as i64 + 1,
        };
        let ranges = prefix.below(&self.zone.apex, self.zone.settings.generation, owner);
        let below = ranges.into_iter();
        below.map(|range| Get::range(range, limit)).collect()
    }

    /// Everything that has to be known: what is at the owners, above them and, for DNAME records, below them.
    pub(super) fn look_around(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        outcomes: &mut Outcomes,
    ) -> Result<(), NoPlan> {
        for placed in &self.prerequisites {
            let get = self.at_owner(prefix, placed.what.owner());
            let part = Part::Prerequisite(placed.number);
            outcomes.take(part, reads.all([&[get]]))?;
        }
        for placed in &self.edits {
            let Edit { owner, change, .. } = placed.what;
            let mut gets = vec![self.at_owner(prefix, owner)];
            let above = dname_candidates(&self.zone.apex, owner);
            gets.extend(
                above
                    .iter()
                    .map(|name| self.rrset(prefix, name, Rtype::DNAME)),
            );
            if change.rtype() == Some(Rtype::CNAME) {
                gets.push(leased_at(prefix, &self.zone.apex, owner));
            }
            if change.rtype() == Some(Rtype::DNAME) {
                gets.extend(self.below(prefix, owner));
            }
            if let Some(cut) = placed.cut() {
                gets.push(self.rrset(prefix, cut, Rtype::NS));
            }
            outcomes.take(Part::Edit(placed.number), reads.all([&gets]))?;
        }
        Ok(())
    }

    /// Checks the prerequisites, and begins the plan with what they depend on.
    pub(super) fn prerequisites(
        &mut self,
        prefix: &Prefix,
        reads: &Reads,
        outcomes: &mut Outcomes,
    ) -> Result<ZoneUpdate, NoPlan> {
        let mut planned = ZoneUpdate {
            zone: self.zone.clone(),
            parts: BTreeSet::new(),
            before: Rrsets::new(),
            after: Rrsets::new(),
            unreadable: Vec::new(),
            ops: Vec::new(),
            compares: Vec::new(),
            extra_compares: Vec::new(),
        };
        let edits = self.edits.iter().map(|placed| Part::Edit(placed.number));
        planned.parts.extend(edits);
        for placed in &self.prerequisites {
            let part = Part::Prerequisite(placed.number);
            planned.parts.insert(part);
            match self.holding(prefix, reads, placed.what)? {
                Some(compares) => planned.extra_compares.extend(compares),
                None => {
                    let refusal = Refusal::Unmet(placed.what.clone());
                    outcomes.refused.push((part, refusal));
                }
            }
            let mut plan = Plan::default();
            plan.unchanged(
                prefix,
                &Key::Zone(self.zone.apex.clone()),
                self.zone.revision,
            );
            for name in &placed.closer {
                plan.unchanged(prefix, &Key::Zone(name.clone()), 0);
            }
            planned.extra_compares.extend(plan.compares);
        }
        Ok(planned)
    }

    /// What keeps the prerequisite true; none if it is not.
    fn holding(
        &self,
        prefix: &Prefix,
        reads: &Reads,
        prerequisite: &Prerequisite,
    ) -> Result<Option<Vec<Compare>>, NoPlan> {
        let owner = prerequisite.owner();
        let read = self.read_site(prefix, reads, owner)?.read;
        let mut plan = Plan::default();
        let mut unchanged = |rtype: Rtype, revision| {
            plan.unchanged(prefix, &self.zone.rrset_key(owner, rtype), revision);
        };
        // The SOA record has no key of its own.
        let has_soa = *owner == self.zone.apex;
        let holds = match prerequisite {
            Prerequisite::NameInUse(_) => {
                let first = read.iter().next().filter(|_| !has_soa);
                first
                    .into_iter()
                    .for_each(|(rtype, read)| unchanged(*rtype, read.revision));
                has_soa || first.is_some()
            }
            Prerequisite::NameNotInUse(_) => {
                let get = self.at_owner(prefix, owner);
                plan.compares.push(Compare::NotWrittenSince {
                    range: get.start..get.end,
                    revision: 0,
                });
                !has_soa && read.is_empty()
            }
            Prerequisite::RrsetExists {
                rtype: Rtype::SOA,
                rdata,
                ..
            } => has_soa && rdata.is_empty(),
            Prerequisite::RrsetAbsent {
                rtype: Rtype::SOA, ..
            } => !has_soa,
            Prerequisite::RrsetExists { rtype, rdata, .. } => {
                let present = read.get(rtype);
                unchanged(*rtype, present.map_or(0, |present| present.revision));
                present.is_some_and(|present| rdata.is_empty() || present.is(rdata))
            }
            Prerequisite::RrsetAbsent { rtype, .. } => {
                unchanged(*rtype, 0);
                !read.contains_key(rtype)
            }
            Prerequisite::RrsetAtRevision {
                rtype, revision, ..
            } => {
                unchanged(*rtype, *revision);
                read.get(rtype).map_or(0, |present| present.revision) == *revision
            }
        };
        Ok(holds.then_some(plan.compares))
    }

    fn read_site(&self, prefix: &Prefix, reads: &Reads, owner: &Name) -> Result<SiteRead, NoPlan> {
        let [found] = reads.all([&[self.at_owner(prefix, owner)]])?;
        let (mut site, mut read) = (Site::default(), BTreeMap::new());
        for item in found.into_iter().flatten() {
            let Ok((_, rrset)) = RrsetRead::decode(prefix, item) else {
                continue;
            };
            let stored = |error| Refusal::Stored(key_text(&item.key), error);
            site.place(
                rrset.rtype,
                rrset.rrset.as_ref().map_err(|error| stored(error.clone())),
            );
            read.insert(rrset.rtype, rrset);
        }
        Ok(SiteRead { site, read })
    }

    /// Applies the edits.
    pub(super) fn apply(
        &mut self,
        prefix: &Prefix,
        reads: &Reads,
        outcomes: &mut Outcomes,
    ) -> Result<(), NoPlan> {
        for placed in &self.edits {
            let owner = &placed.what.owner;
            if !self.sites.contains_key(owner) {
                let site = self.read_site(prefix, reads, owner)?;
                self.sites.insert(owner, site);
            }
            let Some(SiteRead { site, .. }) = self.sites.get_mut(owner) else {
                continue;
            };
            let (number, ttl) = (placed.number, self.zone.settings.default_ttl);
            let applied = site.apply(&self.zone.apex, ttl, number, placed.what);
            outcomes.take(Part::Edit(number), applied.map_err(NoPlan::from))?;
        }
        Ok(())
    }
}
