//! Why a change is not made.

use std::error::Error;
use std::fmt;

use crate::model::rules::Violation;
use crate::model::{Name, Prerequisite, RrsetError, Rtype};
use crate::schema::ValueError;

/// Why a change is not made.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// No zone holds the name.
    NoZone(Name),
    /// There is no such zone.
    UnknownZone(Name),
    /// There is no such zone any more, and it was not nsctl that deleted its settings.
    ZoneLost(Name),
    /// There already is such a zone.
    ZoneExists(Name),
    /// The records would break a rule of zones.
    Rule(Violation),
    /// There is no RRset whose TTL could be changed.
    NothingThere(Name, Rtype),
    /// Records of this type cannot be leased.
    NotLeased(Rtype),
    /// Records of this type are announced at the name, and a CNAME record cannot stand beside them.
    Announced(Name, Rtype),
    /// The records make no RRset.
    Rrset(Name, Rtype, RrsetError),
    /// A new zone would hide records of the zone above it.
    WouldHide {
        /// The zone.
        child: Name,
        /// The zone above.
        parent: Name,
        /// The names that have such records.
        names: Vec<Name>,
    },
    /// A zone below would hide the records.
    Hidden {
        /// Their zone.
        zone: Name,
        /// The zone that answers.
        child: Name,
        /// The names of the records.
        names: Vec<Name>,
    },
    /// Records that are to move into a new zone would break a rule there.
    CannotMove {
        /// The zone.
        child: Name,
        /// The zone above.
        parent: Name,
        /// The rule.
        violation: Violation,
    },
    /// The delegation has so many addresses, which stay, between the records that move that deleting those takes too many operations.
    TooManyServers {
        /// The zone.
        child: Name,
        /// The zone above.
        parent: Name,
    },
    /// The zone has changed since it was exported.
    ChangedSince {
        /// The zone.
        zone: Name,
        /// The revision of the export.
        exported: i64,
        /// The revision of the change.
        changed: i64,
    },
    /// Others have changed the zone since it was read.
    ChangedMeanwhile(Name),
    /// The zone has been removed since it was exported.
    RemovedSince {
        /// The zone.
        zone: Name,
        /// The revision of the export.
        exported: i64,
        /// The revision of the removal.
        removed: i64,
    },
    /// The value of this key in etcd cannot be read.
    Stored(String, ValueError),
    /// The value of this key in etcd cannot be read, and its error says how to replace it.
    Unreadable(String, ValueError),
    /// The owner is not in the zone that was named.
    Outside {
        /// The owner.
        owner: Name,
        /// The zone.
        zone: Name,
    },
    /// The newest secret for cookies is used only from this moment on, in seconds from now.
    CookieUnderWay(u64),
    /// This setting of a zone is out of range.
    Setting(&'static str),
    /// This does not hold.
    Unmet(Prerequisite),
    /// The zone that holds this name is no longer the one that the update was divided for.
    ZonesChanged(Name),
    /// An update with prerequisites is of several zones, and too large for one transaction.
    SeveralZones,
    /// These parts of an update are refused.
    Parts(Vec<(Part, Refusal)>),
}

/// A part of an update, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A prerequisite.
    Prerequisite(usize),
    /// An edit.
    Edit(usize),
}

impl Refusal {
    /// Whether the request itself is at fault, whatever the store holds.
    pub fn is_usage(&self) -> bool {
        match self {
            Refusal::Rrset(.., error) => matches!(
                error,
                RrsetError::Empty | RrsetError::Ttl(_) | RrsetError::NoData(_)
            ),
            Refusal::Rule(violation) => {
                matches!(violation, Violation::Soa(_) | Violation::Signed(..))
            }
            Refusal::Outside { .. } | Refusal::Setting(_) | Refusal::NotLeased(_) => true,
            Refusal::Parts(parts) => parts.iter().all(|(_, refusal)| refusal.is_usage()),
            _ => false,
        }
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Refusal::Rule(violation)
    }
}

impl fmt::Display for Refusal {
    #[allow(clippy::too_many_lines, reason = "a list: a text for each refusal")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoZone(owner) => write!(
                f,
                "{owner} is in no zone of this store: add the zone first (nsctl zone add)"
            ),
            Refusal::UnknownZone(zone) => write!(f, "there is no zone {zone}"),
            Refusal::ZoneLost(zone) => write!(
                f,
                "the settings of the zone {zone} were deleted from etcd, but not by nsctl. Front-ends may still serve \
                 it. To bring it back, use nsctl held export DIR, then nsctl zone import --replace. To give it up, use \
                 nsctl zone clean {zone}, then nsctl accept. To start it anew, use --force of zone add or zone import"
            ),
            Refusal::ZoneExists(zone) => write!(f, "the zone {zone} exists already"),
            Refusal::WouldHide {
                child,
                parent,
                names,
            } => write!(
                f,
                "the zone {child} would hide {} of {parent} ({}), which nobody would get any more: --move of \
                 zone add or zone import moves the records into {child}, --force hides them",
                counted(names.len()),
                named(names)
            ),
            Refusal::Hidden { zone, child, names } => write!(
                f,
                "the zone {child} answers for {} ({}), so that nobody would get these records of {zone}: write \
                 them to {child}, or use --force",
                counted(names.len()),
                named(names)
            ),
            Refusal::CannotMove {
                child,
                parent,
                violation,
            } => write!(
                f,
                "the records of {parent} cannot move into {child}: {violation}"
            ),
            Refusal::TooManyServers { child, parent } => write!(
                f,
                "{parent} delegates {child} to too many name servers for one transaction: remove some of their \
                 addresses first"
            ),
            Refusal::ChangedSince {
                zone,
                exported,
                changed,
            } => write!(
                f,
                "{zone} has changed since the file was exported (revision {exported}, now {changed}): nothing was \
                 written; nsctl zone diff shows the differences, --force of zone import overwrites the changes"
            ),
            Refusal::ChangedMeanwhile(zone) => write!(
                f,
                "others have changed {zone} meanwhile: nothing was written, try again"
            ),
            Refusal::RemovedSince {
                zone,
                exported,
                removed,
            } => write!(
                f,
                "{zone} has been removed since the file was exported (revision {exported}, removed at {removed}): \
                 nothing was written; --force of zone import adds the zone again"
            ),
            Refusal::Rule(violation) => violation.fmt(f),
            Refusal::NothingThere(owner, rtype) => write!(
                f,
                "{owner} has no {rtype} records: there is no TTL to change"
            ),
            Refusal::Announced(owner, rtype) => write!(
                f,
                "{owner} has announced {rtype} records, and a CNAME stands alone (RFC 2181, 10.1): end their announcers first \
                 (nsctl list {owner})"
            ),
            Refusal::NotLeased(rtype) => write!(
                f,
                "{rtype} records cannot be announced: they change what other names resolve to"
            ),
            Refusal::Rrset(owner, rtype, error) => write!(f, "{owner} {rtype}: {error}"),
            Refusal::Stored(key, error) => write!(
                f,
                "the value of {key} in etcd cannot be read: {error}; nsctl set or remove replaces it"
            ),
            Refusal::Unreadable(key, error) => write!(f, "{key} in etcd cannot be read: {error}"),
            Refusal::Outside { owner, zone } => write!(f, "{owner} is not in the zone {zone}"),
            Refusal::CookieUnderWay(seconds) => write!(
                f,
                "the secret that was added last is used in {seconds} s: until then front-ends may not all know it. Try again \
                 after that; --revoke drops all old secrets"
            ),
            Refusal::Setting(setting) => {
                write!(f, "the {setting} is over 2147483647 (RFC 2181, 8)")
            }
            Refusal::Unmet(prerequisite) => write!(f, "{prerequisite}: nothing was written"),
            Refusal::ZonesChanged(owner) => write!(
                f,
                "another zone holds {owner} since the change began: nothing was written, try again"
            ),
            Refusal::SeveralZones => f.write_str(
                "these are too many changes for one transaction, so that each zone would be changed by itself, and \
                 prerequisites would not hold for all of them: make a batch for each zone",
            ),
            Refusal::Parts(parts) => {
                for (index, (_, refusal)) in parts.iter().enumerate() {
                    let separator = if index > 0 { "; " } else { "" };
                    write!(f, "{separator}{refusal}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // `Display` prints the error inside already.
        match self {
            Refusal::Rule(violation) | Refusal::CannotMove { violation, .. } => violation.source(),
            Refusal::Rrset(.., error) => error.source(),
            Refusal::Stored(_, error) | Refusal::Unreadable(_, error) => error.source(),
            _ => None,
        }
    }
}

fn counted(names: usize) -> String {
    format!("{names} name{}", if names == 1 { "" } else { "s" })
}

/// The first names, for a message.
fn named(names: &[Name]) -> String {
    const NAMED: usize = 3;
    let mut text: Vec<String> = names.iter().take(NAMED).map(Name::to_string).collect();
    if names.len() > NAMED {
        text.push("…".into());
    }
    text.join(", ")
}
