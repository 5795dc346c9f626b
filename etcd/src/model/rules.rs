//! Which records may stand together in a zone.
//!
//! The rules are functions of a record's owner and type and of what stands [`Around`] it. A writer asks [`admit`]
//! whether it may write a record; the check of a whole zone asks for [`violations`] of each of its RRsets. The table
//! shows how each rule applies in the two cases:
//!
//! | rule | writing one record (`txn`) | checking a whole zone (`zonefile`) |
//! |---|---|---|
//! | CNAME beside other records; DS or CNAME at the apex; records below a DNAME; DNAME at a zone cut | refused | error |
//! | the SOA comes from the zone's settings | refused | the SOA record becomes the settings; a second one is an error |
//! | nsd serves no signatures yet | refused | one error for all records of a signed zone; `import --force` leaves them out |
//! | SOA and NS at the apex | removing the last NS record is refused | error if missing |
//! | records hidden by a zone cut of this zone | warning after the write | warning |
//!
//! Records that another zone hides are the business of `txn`, which knows the other zones.

use std::fmt;

use super::name::Name;
use super::rtype::Rtype;

/// What stands around an owner in its zone. In the check of a whole zone this is what has been visited so far: a clash
/// is reported at the RRset that is visited later.
pub trait Around {
    /// The types of the RRsets at the owner.
    fn types(&self) -> impl Iterator<Item = Rtype>;

    /// A name above the owner, in the same zone, that has a DNAME record.
    fn dname_above(&self) -> Option<&Name>;

    /// A name below the owner, in the same zone, that has records. Only a DNAME record needs it. It is none in the
    /// check of a whole zone, where `dname_above` finds the same clash.
    fn name_below(&self) -> Option<&Name>;

    /// Whether the owner has an RRset of this type.
    fn has(&self, rtype: Rtype) -> bool {
        self.types().any(|present| present == rtype)
    }
}

/// What a rule relied on when it admitted a record. It must still hold when the record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No name above the owner, up to the apex, has a DNAME record.
    NoDnameAbove,
    /// The owner has no RRset of this type.
    Absent(Rtype),
    /// Nothing was added at the owner since its types were read.
    NothingAdded,
    /// No name below the owner has records.
    NothingBelow,
}

/// How records break a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A CNAME beside other records (RFC 2181 10.1).
    CnameAndOther {
        /// The name of both.
        owner: Name,
        /// What is there already.
        present: Rtype,
        /// What cannot be added.
        wanted: Rtype,
    },
    /// A CNAME at this apex, where the SOA record is (RFC 2181 10.1).
    CnameAtApex(Name),
    /// DS records at this apex: they belong to the parent zone (RFC 4035 2.4).
    DsAtApex(Name),
    /// Records below a DNAME record (RFC 6672 2.4).
    BelowDname {
        /// The name of the records.
        owner: Name,
        /// The name of the DNAME record.
        dname: Name,
    },
    /// A DNAME record at a zone cut (RFC 6672 2.3).
    DnameAtCut(Name),
    /// This zone would have no record of this type at its apex, and needs one (RFC 1034 4.2.1).
    Missing(Name, Rtype),
    /// The SOA record of this zone is made of its settings.
    Soa(Name),
    /// Records at this name that only a signed zone has.
    Signed(Name, Rtype),
}

impl Violation {
    /// The name whose records break the rule.
    pub fn owner(&self) -> &Name {
        match self {
            Violation::CnameAndOther { owner, .. }
            | Violation::BelowDname { owner, .. }
            | Violation::CnameAtApex(owner)
            | Violation::DsAtApex(owner)
            | Violation::DnameAtCut(owner)
            | Violation::Missing(owner, _)
            | Violation::Soa(owner)
            | Violation::Signed(owner, _) => owner,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::CnameAndOther {
                owner,
                present,
                wanted,
            } => write!(
                f,
                "{owner} has {present} records, and {wanted} cannot stand beside them: a CNAME stands alone (RFC 2181, 10.1)"
            ),
            Violation::CnameAtApex(apex) => write!(
                f,
                "{apex} is the apex of a zone and has an SOA record: a CNAME cannot stand beside it (RFC 2181, 10.1)"
            ),
            Violation::DsAtApex(apex) => write!(
                f,
                "{apex} is the apex of a zone: its DS records belong to the parent zone (RFC 4035, 2.4)"
            ),
            Violation::BelowDname { owner, dname } => write!(
                f,
                "{owner} is below the DNAME record of {dname}, which redirects it (RFC 6672, 2.4)"
            ),
            Violation::DnameAtCut(owner) => write!(
                f,
                "{owner} cannot have a DNAME record and NS records: a zone cut cannot redirect (RFC 6672, 2.3)"
            ),
            Violation::Missing(apex, rtype) => write!(
                f,
                "a zone needs an {rtype} record at its apex, and {apex} would have no {rtype} record (RFC 1034, 4.2.1)"
            ),
            Violation::Soa(apex) => write!(
                f,
                "the SOA record comes from the zone's settings, and its serial from etcd's revision: use nsctl zone set {apex}"
            ),
            Violation::Signed(owner, rtype) => write!(
                f,
                "{owner} {rtype}: only a signed zone has {rtype} records, and nsd serves no signatures yet; publish the \
                 zone unsigned, without DS records at its parent"
            ),
        }
    }
}

impl std::error::Error for Violation {}

/// Checks whether a record of this type may be written at `owner`, and returns the conditions that must still hold when
/// it is written.
pub fn admit(
    apex: &Name,
    owner: &Name,
    rtype: Rtype,
    around: &impl Around,
) -> Result<Vec<Condition>, Violation> {
    admit_type(apex, owner, rtype)?;
    let mut conditions = Vec::new();
    for outcome in outcomes(apex, owner, rtype, around) {
        conditions.extend(outcome?);
    }
    Ok(conditions)
}

/// Whether records of this type may be written at all.
pub fn admit_type(apex: &Name, owner: &Name, rtype: Rtype) -> Result<(), Violation> {
    match rtype {
        Rtype::SOA => Err(Violation::Soa(apex.clone())),
        _ if rtype.is_of_signed_zone() => Err(Violation::Signed(owner.clone(), rtype)),
        _ => Ok(()),
    }
}

/// Admits the removal of the whole RRset of this type from `owner`. An SOA record that others have put among the RRsets
/// may go: it is not served.
pub fn admit_removal(apex: &Name, owner: &Name, rtype: Rtype) -> Result<(), Violation> {
    match rtype {
        Rtype::NS if owner == apex => Err(Violation::Missing(apex.clone(), rtype)),
        _ => Ok(()),
    }
}

/// The rules that an RRset of this type at `owner` breaks, given what is around it.
pub fn violations<'a>(
    apex: &'a Name,
    owner: &'a Name,
    rtype: Rtype,
    around: &'a impl Around,
) -> impl Iterator<Item = Violation> {
    outcomes(apex, owner, rtype, around).filter_map(Result::err)
}

/// Whether one of these types is CNAME and the other is not allowed at the same owner. RRSIG, NSEC and KEY are (RFC
/// 4035 2.5).
pub fn is_cname_clash(one: Rtype, other: Rtype) -> bool {
    let beside = match (one, other) {
        (Rtype::CNAME, Rtype::CNAME) => return false,
        (Rtype::CNAME, beside) | (beside, Rtype::CNAME) => beside,
        _ => return false,
    };
    !may_stand_beside_cname(beside)
}

/// Whether records of this type can be part of a delegation: NS and DS at the cut, and addresses, which may be glue, at
/// or below it. Callers decide whether an address is that of a name server.
pub fn can_be_in_delegation(rtype: Rtype, is_at_cut: bool) -> bool {
    match rtype {
        Rtype::NS | Rtype::DS => is_at_cut,
        Rtype::A | Rtype::AAAA => true,
        _ => false,
    }
}

fn may_stand_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}

/// An RRset to be placed at an owner, and what is around it.
struct Candidate<'a, A> {
    apex: &'a Name,
    owner: &'a Name,
    rtype: Rtype,
    around: &'a A,
}

type Outcome = Result<Option<Condition>, Violation>;

/// Applies every rule.
fn outcomes<'a, A: Around>(
    apex: &'a Name,
    owner: &'a Name,
    rtype: Rtype,
    around: &'a A,
) -> impl Iterator<Item = Outcome> {
    let rules: [fn(&Candidate<'_, A>) -> Outcome; 5] = [
        ds_is_the_parents,
        not_below_a_dname,
        cname_alone,
        nothing_below_a_dname,
        no_dname_at_a_cut,
    ];
    let wanted = Candidate {
        apex,
        owner,
        rtype,
        around,
    };
    rules.into_iter().map(move |rule| rule(&wanted))
}

fn ds_is_the_parents<A: Around>(wanted: &Candidate<'_, A>) -> Outcome {
    if wanted.rtype == Rtype::DS && wanted.owner == wanted.apex {
        return Err(Violation::DsAtApex(wanted.apex.clone()));
    }
    Ok(None)
}

fn not_below_a_dname<A: Around>(wanted: &Candidate<'_, A>) -> Outcome {
    match wanted.around.dname_above() {
        None => Ok(Some(Condition::NoDnameAbove)),
        Some(dname) => Err(Violation::BelowDname {
            owner: wanted.owner.clone(),
            dname: dname.clone(),
        }),
    }
}

fn cname_alone<A: Around>(wanted: &Candidate<'_, A>) -> Outcome {
    let (owner, rtype) = (wanted.owner, wanted.rtype);
    if rtype == Rtype::CNAME && owner == wanted.apex {
        return Err(Violation::CnameAtApex(owner.clone()));
    }
    let mut present = wanted.around.types();
    if let Some(present) = present.find(|present| is_cname_clash(*present, rtype)) {
        return Err(Violation::CnameAndOther {
            owner: owner.clone(),
            present,
            wanted: rtype,
        });
    }
    Ok(match rtype {
        Rtype::CNAME => Some(Condition::NothingAdded),
        _ if may_stand_beside_cname(rtype) => None,
        _ => Some(Condition::Absent(Rtype::CNAME)),
    })
}

fn nothing_below_a_dname<A: Around>(wanted: &Candidate<'_, A>) -> Outcome {
    if wanted.rtype != Rtype::DNAME {
        return Ok(None);
    }
    match wanted.around.name_below() {
        None => Ok(Some(Condition::NothingBelow)),
        Some(below) => Err(Violation::BelowDname {
            owner: below.clone(),
            dname: wanted.owner.clone(),
        }),
    }
}

/// NS records at the apex do not make a zone cut.
fn no_dname_at_a_cut<A: Around>(wanted: &Candidate<'_, A>) -> Outcome {
    let other = match wanted.rtype {
        Rtype::DNAME => Rtype::NS,
        Rtype::NS => Rtype::DNAME,
        _ => return Ok(None),
    };
    if wanted.owner == wanted.apex {
        return Ok(None);
    }
    if wanted.around.has(other) {
        return Err(Violation::DnameAtCut(wanted.owner.clone()));
    }
    Ok(Some(Condition::Absent(other)))
}
