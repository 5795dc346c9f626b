//! Plans an update: from the zones that hold its names, the RRsets at its owners, and what the rules of zones need to
//! know about what is around them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::rules::{self, Around, Condition};
use crate::model::zonefile::Rrsets;
use crate::model::{Edit, Name, Prerequisite, Rtype, Update};
use crate::schema::{Key, Prefix, RrsetChange, encode, key_text};

use super::holder::{Holder, InZone};
use super::site::{Left, Site};
use super::{
    Compare, Get, Hidden, NoPlan, OPS_MAX, Op, Part, Plan, Reads, Refusal, RrsetRead, ZoneChange,
    ZoneRead, hidden,
};

/// What has to be committed.
#[derive(Debug)]
pub enum Planned {
    /// Nothing has to change.
    Nothing,
    /// One transaction.
    Plan(Plan),
    /// More than one transaction takes.
    TooLarge,
}

/// What an update changes in one zone.
#[derive(Debug)]
pub struct ZoneUpdate {
    /// The zone.
    pub zone: ZoneRead,
    /// The numbers of the prerequisites and edits that are about this zone.
    pub parts: BTreeSet<Part>,
    /// The RRsets that change, as they were. Those that are new are missing.
    pub before: Rrsets,
    /// The same RRsets as they will be. Those that are removed are missing.
    pub after: Rrsets,
    /// The RRsets that go although their values cannot be read.
    pub unreadable: Vec<(Name, Rtype)>,
    /// The puts and deletes of RRsets.
    ops: Vec<Op>,
    /// What must still hold, key by key.
    compares: Vec<Compare>,
    /// The part of it that does not follow from an unchanged zone.
    own_compares: Vec<Compare>,
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
            let is_it =
                |change: &&mut RrsetChange| change.owner == *owner && change.rtype == *rtype;
            match change.rrsets.iter_mut().find(is_it) {
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
    /// The result, if there is one. An error only if the whole update cannot be planned.
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

/// The part of an update that is about one zone.
struct Draft<'a> {
    zone: ZoneRead,
    edits: Vec<Placed<&'a Edit>>,
    prerequisites: Vec<Placed<&'a Prerequisite>>,
    sites: BTreeMap<&'a Name, SiteRead>,
}

/// An edit or a prerequisite, and what its zone depends on.
struct Placed<T> {
    number: usize,
    what: T,
    closer: Vec<Name>,
    children: BTreeSet<Name>,
}

/// The RRsets at an owner, edited and as they were read.
struct SiteRead {
    site: Site,
    read: BTreeMap<Rtype, RrsetRead>,
}

impl<T> Placed<T> {
    /// The first cut on the way down from the apex.
    fn cut(&self) -> Option<&Name> {
        self.children
            .iter()
            .min_by_key(|child| child.labels().count())
    }
}

/// Divides an update among the zones that hold its names.
fn drafts<'a>(
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
            let Holder {
                zone,
                closer,
                children,
            } = holder;
            let draft = drafts
                .entry(zone.apex.clone())
                .or_insert_with(|| Draft::new(zone));
            draft.prerequisites.push(Placed {
                number,
                what,
                closer,
                children,
            });
        }
    }
    for (number, what) in update.edits.iter().enumerate() {
        let Edit { owner, change } = what;
        let writes = change.writes_records();
        let holder = Holder::find(prefix, reads, zone, owner, change.rtype(), writes);
        if let Some(holder) = outcomes.take(Part::Edit(number), holder)? {
            let Holder {
                zone,
                closer,
                children,
            } = holder;
            let draft = drafts
                .entry(zone.apex.clone())
                .or_insert_with(|| Draft::new(zone));
            draft.edits.push(Placed {
                number,
                what,
                closer,
                children,
            });
        }
    }
    Ok(drafts)
}

/// The names above `owner` up to and including the apex. A DNAME record at any of them hides the records at the owner.
fn dname_candidates(apex: &Name, owner: &Name) -> Vec<Name> {
    if owner == apex {
        return Vec::new();
    }
    let above = owner.ancestors().skip(1);
    let mut names: Vec<Name> = above.take_while(|name| name != apex).collect();
    names.push(apex.clone());
    names
}

impl<'a> Draft<'a> {
    fn new(zone: ZoneRead) -> Self {
        Draft {
            zone,
            edits: Vec::new(),
            prerequisites: Vec::new(),
            sites: BTreeMap::new(),
        }
    }

    fn at_owner(&self, prefix: &Prefix, owner: &Name) -> Get {
        let generation = self.zone.settings.generation;
        Get::range(prefix.owner(&self.zone.apex, generation, owner), 0)
    }

    fn rrset(&self, prefix: &Prefix, owner: &Name, rtype: Rtype) -> Get {
        Get::key(prefix, &self.zone.rrset_key(owner, rtype))
    }

    /// The keys below an owner that gets a DNAME record. An update may remove some of them.
    fn below(&self, prefix: &Prefix, owner: &Name) -> Vec<Get> {
        let limit = match self.edits.len() {
            1 => 1,
            _ => OPS_MAX as i64 + 1,
        };
        let ranges = prefix.below(&self.zone.apex, self.zone.settings.generation, owner);
        let below = ranges.into_iter();
        below.map(|range| Get::range(range, limit)).collect()
    }

    /// Everything that has to be known: what is at the owners, above them and, for DNAME records, below them.
    fn look_around(
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
            let Edit { owner, change } = placed.what;
            let mut gets = vec![self.at_owner(prefix, owner)];
            let above = dname_candidates(&self.zone.apex, owner);
            gets.extend(
                above
                    .iter()
                    .map(|name| self.rrset(prefix, name, Rtype::DNAME)),
            );
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
    fn prerequisites(
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
            own_compares: Vec::new(),
        };
        let edits = self.edits.iter().map(|placed| Part::Edit(placed.number));
        planned.parts.extend(edits);
        for placed in &self.prerequisites {
            let part = Part::Prerequisite(placed.number);
            planned.parts.insert(part);
            match self.holding(prefix, reads, placed.what)? {
                Some(compares) => planned.own_compares.extend(compares),
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
            planned.own_compares.extend(plan.compares);
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
    fn apply(
        &mut self,
        prefix: &Prefix,
        reads: &Reads,
        outcomes: &mut Outcomes,
    ) -> Result<(), NoPlan> {
        for placed in &self.edits {
            let Edit { owner, change } = placed.what;
            if !self.sites.contains_key(owner) {
                let site = self.read_site(prefix, reads, owner)?;
                self.sites.insert(owner, site);
            }
            let Some(SiteRead { site, .. }) = self.sites.get_mut(owner) else {
                continue;
            };
            let (number, ttl) = (placed.number, self.zone.settings.default_ttl);
            let applied = site.apply(&self.zone.apex, owner, ttl, number, change);
            outcomes.take(Part::Edit(number), applied.map_err(NoPlan::from))?;
        }
        Ok(())
    }

    /// Applies the rules of zones to what the edits leave, and adds the comparisons that keep them true.
    fn admit(
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
                let admitted = rules::admit(apex, owner, *rtype, &around);
                let admitted = admitted.map_err(|violation| NoPlan::from(Refusal::from(violation)));
                for condition in outcomes.take(part, admitted)?.into_iter().flatten() {
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
            planned.own_compares.extend(delegation.compares);
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
        Ok(Surroundings { site, dname, below })
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
        let Edit { owner, change } = placed.what;
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
    fn write(&self, prefix: &Prefix, planned: &mut ZoneUpdate, outcomes: &mut Outcomes) {
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
                    (None, Left::Nothing) | (_, Left::Unread) => continue,
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
    if plan.compares.len() > OPS_MAX && plan.ops.len() <= OPS_MAX {
        let serial =
            |planned: &ZoneUpdate| Get::key(prefix, &Key::Serial(planned.zone.apex.clone()));
        let serials: Vec<Get> = zones.iter().map(serial).collect();
        let [found] = reads.all([&serials])?;
        let written: BTreeMap<&Name, i64> = zones
            .iter()
            .zip(found)
            .map(|(planned, items)| {
                let revision = items.first().map_or(0, |item| item.mod_revision);
                (&planned.zone.apex, revision)
            })
            .collect();
        plan.compares = compares(zones, |planned| {
            let apex = &planned.zone.apex;
            whole_zone(prefix, &planned.zone, written[apex], reads.revision())
        });
    }
    Ok(match plan.fits() {
        true => Planned::Plan(plan),
        false => Planned::TooLarge,
    })
}

/// The comparisons for all zones, each once. Zones in which nothing changes only have those of their prerequisites.
fn compares(
    zones: &[ZoneUpdate],
    of_changed: impl Fn(&ZoneUpdate) -> Vec<Compare>,
) -> Vec<Compare> {
    let all = zones.iter().flat_map(|planned| {
        let changed = planned.is_changed().then(|| of_changed(planned));
        let own = planned.own_compares.iter().cloned();
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
