//! The RRsets at one owner while an update edits them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::rules::Violation;
use crate::model::{Change, Edit, Name, Rdata, Rrset, RrsetError, Rtype};

use super::Refusal;

/// The RRsets at one owner: as they were, and then as the edits so far leave them.
#[derive(Debug, Default)]
pub(super) struct Site {
    sets: BTreeMap<Rtype, Records>,
    /// The types that edits were about, with the number of the last edit.
    pub(super) touched: BTreeMap<Rtype, usize>,
    /// The types of which edits wrote records.
    pub(super) written: BTreeSet<Rtype>,
    /// Whether an edit was about the whole name, so that types which somebody adds meanwhile must conflict.
    pub(super) is_whole: bool,
}

/// The records of one type. They make an RRset only when all edits are done.
#[derive(Debug)]
enum Records {
    Readable {
        ttl: u32,
        rdata: Vec<Rdata>,
    },
    /// The stored value cannot be read: what to say to an edit that needs it.
    Unreadable(Refusal),
}

/// What the edits leave of a type.
#[derive(Debug)]
pub(super) enum Left {
    /// No records.
    Nothing,
    /// This RRset.
    Rrset(Rrset),
    /// The value that could not be read.
    Unreadable,
}

impl Site {
    /// Places an RRset that is there.
    pub(super) fn place(&mut self, rtype: Rtype, rrset: Result<&Rrset, Refusal>) {
        let records = match rrset {
            Ok(rrset) => Records::Readable {
                ttl: rrset.ttl(),
                rdata: rrset.rdata().to_vec(),
            },
            Err(refusal) => Records::Unreadable(refusal),
        };
        self.sets.insert(rtype, records);
    }

    /// The types that have records.
    pub(super) fn types(&self) -> impl Iterator<Item = Rtype> {
        self.sets.keys().copied()
    }

    /// Whether there are records of this type.
    pub(super) fn has(&self, rtype: Rtype) -> bool {
        self.sets.contains_key(&rtype)
    }

    /// Applies an edit, the one of this number, to a zone with this default TTL.
    pub(super) fn apply(
        &mut self,
        apex: &Name,
        default_ttl: u32,
        number: usize,
        edit: &Edit,
    ) -> Result<(), Refusal> {
        let Edit { owner, change, .. } = edit;
        let default_ttl = edit.default_ttl.unwrap_or(default_ttl);
        match change {
            Change::Add { rtype, ttl, rdata } => {
                self.write(owner, *rtype, number, rdata)?;
                match self.sets.get_mut(rtype) {
                    None => {
                        let (ttl, rdata) = (ttl.unwrap_or(default_ttl), rdata.clone());
                        self.sets.insert(*rtype, Records::Readable { ttl, rdata });
                    }
                    Some(Records::Readable {
                        ttl: present,
                        rdata: all,
                    }) => {
                        *present = ttl.unwrap_or(*present);
                        // Records that exist keep their spelling: an RRset drops later duplicates.
                        all.extend(rdata.iter().cloned());
                    }
                    Some(Records::Unreadable(refusal)) => return Err(refusal.clone()),
                }
            }
            Change::Set { rtype, ttl, rdata } => {
                self.set(owner, *rtype, *ttl, default_ttl, number, rdata)?;
            }
            Change::Replace { rtype, ttl, rdata } => {
                self.set(owner, *rtype, *ttl, default_ttl, number, rdata)?;
                self.clear(number, |other| other != *rtype);
            }
            Change::Ttl { rtype, .. }
            | Change::Remove {
                rtype: Some(rtype), ..
            } if *rtype == Rtype::SOA => {
                return Err(Violation::Soa(apex.clone()).into());
            }
            Change::Ttl { rtype, ttl } => {
                self.touched.insert(*rtype, number);
                match self.sets.get_mut(rtype) {
                    None => return Err(Refusal::NothingThere(owner.clone(), *rtype)),
                    Some(Records::Readable { ttl: present, .. }) => *present = *ttl,
                    Some(Records::Unreadable(refusal)) => return Err(refusal.clone()),
                }
            }
            Change::Remove { rtype: None, .. } => self.clear(number, |_| true),
            Change::Remove {
                rtype: Some(rtype),
                rdata,
            } => {
                self.touched.insert(*rtype, number);
                match self.sets.get_mut(rtype) {
                    Some(Records::Unreadable(refusal)) if !rdata.is_empty() => {
                        return Err(refusal.clone());
                    }
                    Some(Records::Readable { rdata: all, .. }) if !rdata.is_empty() => {
                        let is_given = |one: &Rdata| {
                            let one = one.canonical(*rtype);
                            rdata.iter().any(|given| given.canonical(*rtype) == one)
                        };
                        all.retain(|one| !is_given(one));
                        if all.is_empty() {
                            self.sets.remove(rtype);
                        }
                    }
                    _ => drop(self.sets.remove(rtype)),
                }
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        number: usize,
        rdata: &[Rdata],
    ) -> Result<(), Refusal> {
        self.touched.insert(rtype, number);
        self.written.insert(rtype);
        match rdata.is_empty() {
            true => Err(Refusal::Rrset(owner.clone(), rtype, RrsetError::Empty)),
            false => Ok(()),
        }
    }

    /// Makes these the records of the type, even if the old value cannot be read.
    fn set(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        ttl: Option<u32>,
        default_ttl: u32,
        number: usize,
        rdata: &[Rdata],
    ) -> Result<(), Refusal> {
        self.write(owner, rtype, number, rdata)?;
        let present = match self.sets.get(&rtype) {
            Some(Records::Readable { ttl, .. }) => Some(*ttl),
            _ => None,
        };
        let ttl = ttl.or(present).unwrap_or(default_ttl);
        let rdata = rdata.to_vec();
        self.sets.insert(rtype, Records::Readable { ttl, rdata });
        Ok(())
    }

    /// Removes the RRsets of all these types.
    fn clear(&mut self, number: usize, goes: impl Fn(Rtype) -> bool) {
        self.is_whole = true;
        let gone = self.sets.keys().filter(|rtype| goes(**rtype));
        self.touched.extend(gone.map(|rtype| (*rtype, number)));
        self.sets.retain(|rtype, _| !goes(*rtype));
    }

    /// What the edits leave of a type.
    pub(super) fn left(&self, owner: &Name, rtype: Rtype) -> Result<Left, Refusal> {
        Ok(match self.sets.get(&rtype) {
            None => Left::Nothing,
            Some(Records::Unreadable(_)) => Left::Unreadable,
            Some(Records::Readable { ttl, rdata }) => {
                let rrset = Rrset::new(rtype, *ttl, rdata.clone());
                let refuse = |error| Refusal::Rrset(owner.clone(), rtype, error);
                Left::Rrset(rrset.map_err(refuse)?)
            }
        })
    }
}
