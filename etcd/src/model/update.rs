//! What a user wants to change: an update in the sense of RFC 2136, edits of records under prerequisites.

use std::fmt;

use super::name::Name;
use super::rdata::Rdata;
use super::rtype::Rtype;

/// Edits that are made together, if all prerequisites hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// What must hold before.
    pub prerequisites: Vec<Prerequisite>,
    /// The edits, in this order. The rules of zones apply to what all of them leave.
    pub edits: Vec<Edit>,
}

/// A change at one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The owner.
    pub owner: Name,
    /// The change.
    pub change: Change,
    /// The TTL of an RRset that this creates without one, in seconds, instead of the zone's default.
    pub default_ttl: Option<u32>,
}

/// What happens to the records at an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add these records to those of the type. Without a TTL an RRset keeps its own, and a new one gets the default.
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

/// What must hold before an update (RFC 2136 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prerequisite {
    /// The name has records.
    NameInUse(Name),
    /// The name has no records.
    NameNotInUse(Name),
    /// There is an RRset of this type, whatever its records; with rdata, it has exactly these.
    RrsetExists {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Rtype,
        /// The records, whatever their TTL; empty for any.
        rdata: Vec<Rdata>,
    },
    /// There is no RRset of this type.
    RrsetAbsent {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Rtype,
    },
    /// The RRset was last written at this revision. 0: there is none.
    RrsetAtRevision {
        /// The owner.
        owner: Name,
        /// The type.
        rtype: Rtype,
        /// The revision.
        revision: i64,
    },
}

impl Change {
    /// The type it is about; none for all.
    pub(crate) fn rtype(&self) -> Option<Rtype> {
        match self {
            Change::Add { rtype, .. }
            | Change::Set { rtype, .. }
            | Change::Replace { rtype, .. }
            | Change::Ttl { rtype, .. } => Some(*rtype),
            Change::Remove { rtype, .. } => *rtype,
        }
    }

    /// Whether it writes records, and does not only remove some or give them another TTL.
    pub(crate) fn writes_records(&self) -> bool {
        !matches!(self, Change::Ttl { .. } | Change::Remove { .. })
    }
}

impl Prerequisite {
    /// The name it is about.
    pub fn owner(&self) -> &Name {
        match self {
            Prerequisite::NameInUse(owner)
            | Prerequisite::NameNotInUse(owner)
            | Prerequisite::RrsetExists { owner, .. }
            | Prerequisite::RrsetAbsent { owner, .. }
            | Prerequisite::RrsetAtRevision { owner, .. } => owner,
        }
    }

    /// The type it is about; none for all.
    pub(crate) fn rtype(&self) -> Option<Rtype> {
        match self {
            Prerequisite::NameInUse(_) | Prerequisite::NameNotInUse(_) => None,
            Prerequisite::RrsetExists { rtype, .. }
            | Prerequisite::RrsetAbsent { rtype, .. }
            | Prerequisite::RrsetAtRevision { rtype, .. } => Some(*rtype),
        }
    }
}

/// What is wrong if it does not hold.
impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prerequisite::NameInUse(owner) => write!(f, "{owner} has no records"),
            Prerequisite::NameNotInUse(owner) => write!(f, "{owner} has records"),
            Prerequisite::RrsetExists {
                owner,
                rtype,
                rdata,
            } if rdata.is_empty() => write!(f, "{owner} has no {rtype} records"),
            Prerequisite::RrsetExists { owner, rtype, .. } => {
                write!(f, "{owner} has other {rtype} records")
            }
            Prerequisite::RrsetAbsent { owner, rtype } => {
                write!(f, "{owner} has {rtype} records already")
            }
            Prerequisite::RrsetAtRevision {
                owner,
                rtype,
                revision: 0,
            } => write!(f, "{owner} has {rtype} records"),
            Prerequisite::RrsetAtRevision {
                owner,
                rtype,
                revision,
            } => write!(
                f,
                "the {rtype} records of {owner} are not those of revision {revision}"
            ),
        }
    }
}
