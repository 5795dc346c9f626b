//! Adding, removing and replacing records at one owner.

use crate::model::rules::{self, Around, Condition, Violation};
use crate::model::{Name, Rdata, Rrset, RrsetError, Rtype};
use crate::schema::key_text;
use crate::schema::{Key, Prefix, encode};

use super::{Compare, Plan, Planned, Refusal, RrsetRead, ZoneRead, changed_records};

/// A change at one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add these records to those of the type. Without a TTL an RRset keeps its own, and a new one gets the zone's
    /// default.
    Add {
        /// The type.
        rtype: Rtype,
        /// The TTL in seconds.
        ttl: Option<u32>,
        /// The records.
        rdata: Vec<Rdata>,
    },
    /// Make these the only records of the type.
    Set {
        /// The type.
        rtype: Rtype,
        /// The TTL in seconds.
        ttl: Option<u32>,
        /// The records.
        rdata: Vec<Rdata>,
    },
    /// Make these the only records at the owner, in one step.
    Replace {
        /// The type.
        rtype: Rtype,
        /// The TTL in seconds.
        ttl: Option<u32>,
        /// The records.
        rdata: Vec<Rdata>,
    },
    /// Give the RRset of this type this TTL.
    Ttl {
        /// The type.
        rtype: Rtype,
        /// The TTL in seconds.
        ttl: u32,
    },
    /// Remove records: all, those of one type, or those of one type with this rdata.
    Remove {
        /// The type.
        rtype: Option<Rtype>,
        /// The records; empty for all.
        rdata: Vec<Rdata>,
    },
}

impl Change {
    /// The type it is about; none for all.
    pub(super) fn rtype(&self) -> Option<Rtype> {
        match self {
            Change::Add { rtype, .. }
            | Change::Set { rtype, .. }
            | Change::Replace { rtype, .. }
            | Change::Ttl { rtype, .. } => Some(*rtype),
            Change::Remove { rtype, .. } => *rtype,
        }
    }

    /// Whether it writes records, and does not only remove some or give them another TTL.
    pub(super) fn writes_records(&self) -> bool {
        !matches!(self, Change::Ttl { .. } | Change::Remove { .. })
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

/// What stands around an owner, all read at this revision.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// The revision.
    pub revision: i64,
    /// The names between the owner and its apex, which were not zones. If one of them has become a zone, it owns the
    /// records.
    pub closer: Vec<Name>,
    /// The RRsets at the owner.
    pub present: Vec<RrsetRead>,
    /// The name above the owner that has a DNAME record.
    pub dname: Option<Name>,
    /// What makes records visible although a zone below answers for the owner: the key of the first such zone and that of
    /// its delegation, and the revisions that wrote them.
    pub delegation: Vec<(Key, i64)>,
    /// A name below the owner that has records. It is only read to write a DNAME record.
    pub below: Option<Name>,
}

impl Around for Surroundings {
    fn types(&self) -> impl Iterator<Item = Rtype> {
        self.present.iter().map(|read| read.rtype)
    }

    fn dname_above(&self) -> Option<&Name> {
        self.dname.as_ref()
    }

    fn name_below(&self) -> Option<&Name> {
        self.below.as_ref()
    }
}

/// The surroundings of an owner whose own records all go.
struct Cleared<'a>(&'a Surroundings);

impl Around for Cleared<'_> {
    fn types(&self) -> impl Iterator<Item = Rtype> {
        std::iter::empty()
    }

    fn dname_above(&self) -> Option<&Name> {
        self.0.dname_above()
    }

    fn name_below(&self) -> Option<&Name> {
        self.0.name_below()
    }
}

/// Plans a change at `owner`, which is in the zone `read`. Returns none if nothing has to change.
pub(super) fn apply(
    prefix: &Prefix,
    read: &ZoneRead,
    owner: &Name,
    around: &Surroundings,
    change: &Change,
) -> Result<Option<Planned>, Refusal> {
    let site = Site {
        prefix,
        read,
        owner,
        around,
    };
    let mut planned = Planned::default();
    match change {
        Change::Add { rtype, ttl, rdata } => {
            site.admit(*rtype, false, &mut planned.plan)?;
            let old = site.at(*rtype)?;
            let mut all = old.map_or_else(Vec::new, |old| old.rdata().to_vec());
            all.extend(rdata.iter().cloned());
            let ttl = ttl
                .or(old.map(Rrset::ttl))
                .unwrap_or(read.settings.default_ttl);
            // Records that exist keep their spelling: of equal members the sort keeps the first.
            site.write(*rtype, ttl, all, rdata.is_empty(), &mut planned)?;
        }
        Change::Set { rtype, ttl, rdata } => {
            site.admit(*rtype, false, &mut planned.plan)?;
            site.set(*rtype, *ttl, rdata, &mut planned)?;
        }
        Change::Replace { rtype, ttl, rdata } => {
            site.admit(*rtype, true, &mut planned.plan)?;
            site.set(*rtype, *ttl, rdata, &mut planned)?;
            site.remove(|other| other != *rtype, &[], &mut planned)?;
        }
        Change::Ttl { rtype, ttl } => {
            if *rtype == Rtype::SOA {
                return Err(Violation::Soa(read.apex.clone()).into());
            }
            let Some(old) = site.at(*rtype)? else {
                return Err(Refusal::NothingThere(owner.clone(), *rtype));
            };
            let rdata = old.rdata().to_vec();
            site.write(*rtype, *ttl, rdata, false, &mut planned)?;
        }
        Change::Remove { rtype, .. } if *rtype == Some(Rtype::SOA) => {
            return Err(Violation::Soa(read.apex.clone()).into());
        }
        Change::Remove { rtype, rdata } => {
            let is_meant = |other| rtype.is_none_or(|rtype| rtype == other);
            site.remove(is_meant, rdata, &mut planned)?;
            if rtype.is_none() {
                site.nothing_added(&mut planned.plan);
            }
        }
    }
    if planned.plan.ops.is_empty() {
        return Ok(None);
    }
    planned
        .plan
        .unchanged(prefix, &Key::Zone(read.apex.clone()), read.revision);
    for name in &around.closer {
        planned.plan.unchanged(prefix, &Key::Zone(name.clone()), 0);
    }
    for (key, revision) in &around.delegation {
        planned.plan.unchanged(prefix, key, *revision);
    }
    planned.plan.touch(prefix, &read.apex);
    Ok(Some(planned))
}

/// An owner and what was read around it.
struct Site<'a> {
    prefix: &'a Prefix,
    read: &'a ZoneRead,
    owner: &'a Name,
    around: &'a Surroundings,
}

impl Site<'_> {
    fn key(&self, rtype: Rtype) -> Key {
        self.read.rrset_key(self.owner, rtype)
    }

    fn read(&self, rtype: Rtype) -> Option<&RrsetRead> {
        self.around.present.iter().find(|read| read.rtype == rtype)
    }

    /// The RRset of this type, if there is one.
    fn at(&self, rtype: Rtype) -> Result<Option<&Rrset>, Refusal> {
        match self.read(rtype).map(|read| &read.rrset) {
            None => Ok(None),
            Some(Ok(rrset)) => Ok(Some(rrset)),
            Some(Err(error)) => {
                let key = key_text(&self.prefix.encode(&self.key(rtype)));
                Err(Refusal::Stored(key, error.clone()))
            }
        }
    }

    /// Admits records of this type at the owner, and adds the comparisons that keep the rules true until the commit.
    /// Where all other records go from the owner, only what is added there meanwhile could be in the way.
    fn admit(&self, rtype: Rtype, others_go: bool, plan: &mut Plan) -> Result<(), Refusal> {
        let (apex, around) = (&self.read.apex, self.around);
        let conditions = if others_go {
            rules::admit(apex, self.owner, rtype, &Cleared(around))?
        } else {
            rules::admit(apex, self.owner, rtype, around)?
        };
        for condition in conditions {
            match condition {
                Condition::Absent(_) | Condition::NothingAdded if others_go => {}
                Condition::Absent(other) => plan.unchanged(self.prefix, &self.key(other), 0),
                Condition::NothingAdded => self.nothing_added(plan),
                Condition::NoDnameAbove => self.no_dname_above(plan),
                Condition::NothingBelow => self.nothing_below(plan),
            }
        }
        if others_go {
            self.nothing_added(plan);
        }
        Ok(())
    }

    fn nothing_added(&self, plan: &mut Plan) {
        let (apex, generation) = (&self.read.apex, self.read.settings.generation);
        plan.compares.push(Compare::NotWrittenSince {
            range: self.prefix.owner(apex, generation, self.owner),
            revision: self.around.revision,
        });
    }

    fn no_dname_above(&self, plan: &mut Plan) {
        for name in dname_candidates(&self.read.apex, self.owner) {
            plan.unchanged(self.prefix, &self.read.rrset_key(&name, Rtype::DNAME), 0);
        }
    }

    /// Compares with revision 0: no key of these ranges exists.
    fn nothing_below(&self, plan: &mut Plan) {
        let (apex, generation) = (&self.read.apex, self.read.settings.generation);
        for range in self.prefix.below(apex, generation, self.owner) {
            plan.compares
                .push(Compare::NotWrittenSince { range, revision: 0 });
        }
    }

    /// Makes `rdata` the RRset of this type, even if the old value cannot be read.
    fn set(
        &self,
        rtype: Rtype,
        ttl: Option<u32>,
        rdata: &[Rdata],
        planned: &mut Planned,
    ) -> Result<(), Refusal> {
        let old = self.at(rtype).ok().flatten().map(Rrset::ttl);
        let ttl = ttl.or(old).unwrap_or(self.read.settings.default_ttl);
        self.write(rtype, ttl, rdata.to_vec(), rdata.is_empty(), planned)
    }

    /// Makes `rdata` the RRset of this type.
    fn write(
        &self,
        rtype: Rtype,
        ttl: u32,
        rdata: Vec<Rdata>,
        nothing_given: bool,
        planned: &mut Planned,
    ) -> Result<(), Refusal> {
        let refuse = |error| Refusal::Rrset(self.owner.clone(), rtype, error);
        if nothing_given {
            return Err(refuse(RrsetError::Empty));
        }
        let new = Rrset::new(rtype, ttl, rdata).map_err(refuse)?;
        let (old, revision) = match self.read(rtype) {
            Some(read) => (read.rrset.as_ref().ok(), read.revision),
            None => (None, 0),
        };
        if old.is_none() && revision != 0 {
            planned.unreadable.push(rtype);
        }
        planned
            .plan
            .unchanged(self.prefix, &self.key(rtype), revision);
        if old == Some(&new) {
            return Ok(());
        }
        let same_ttl = old.is_some_and(|old| old.ttl() == new.ttl());
        let old_rdata = old.map_or(&[][..], Rrset::rdata);
        let fresh = |of: &[Rdata], than: &[Rdata]| -> Vec<Rdata> {
            of.iter()
                .filter(|one| !same_ttl || !than.contains(one))
                .cloned()
                .collect()
        };
        planned.added =
            changed_records(self.owner, rtype, new.ttl(), &fresh(new.rdata(), old_rdata));
        planned.removed = old.map_or_else(Vec::new, |old| {
            changed_records(self.owner, rtype, old.ttl(), &fresh(old_rdata, new.rdata()))
        });
        planned
            .plan
            .put(self.prefix, &self.key(rtype), encode(&(rtype, &new)));
        Ok(())
    }

    /// Removes these records from the RRsets of the types that are meant; without rdata, removes the RRsets.
    fn remove(
        &self,
        is_meant: impl Fn(Rtype) -> bool,
        rdata: &[Rdata],
        planned: &mut Planned,
    ) -> Result<(), Refusal> {
        let meant = self.around.present.iter();
        for read in meant.filter(|read| is_meant(read.rtype)) {
            let key = self.key(read.rtype);
            let old = match (&read.rrset, rdata) {
                (Ok(rrset), _) => Some(rrset),
                // The whole RRset is removed, readable or not.
                (Err(_), []) => None,
                (Err(_), _) => {
                    self.at(read.rtype)?;
                    None
                }
            };
            let (kept, gone): (Vec<Rdata>, Vec<Rdata>) = old
                .map_or(&[][..], Rrset::rdata)
                .iter()
                .cloned()
                .partition(|one| {
                    !rdata.is_empty()
                        && !rdata
                            .iter()
                            .any(|given| given.canonical(read.rtype) == one.canonical(read.rtype))
                });
            if gone.is_empty() && old.is_some() {
                continue;
            }
            if kept.is_empty() {
                rules::admit_removal(&self.read.apex, self.owner, read.rtype)?;
            }
            let ttl = old.map_or(0, Rrset::ttl);
            if old.is_none() {
                planned.unreadable.push(read.rtype);
            }
            planned
                .removed
                .extend(changed_records(self.owner, read.rtype, ttl, &gone));
            planned.plan.unchanged(self.prefix, &key, read.revision);
            if kept.is_empty() {
                planned.plan.delete(self.prefix, &key);
            } else {
                let rest = Rrset::new(read.rtype, ttl, kept)
                    .map_err(|error| Refusal::Rrset(self.owner.clone(), read.rtype, error))?;
                planned
                    .plan
                    .put(self.prefix, &key, encode(&(read.rtype, &rest)));
            }
        }
        Ok(())
    }
}
