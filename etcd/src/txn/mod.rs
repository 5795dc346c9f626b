//! Changes as plans of etcd transactions.
//!
//! A planner is a pure function from what was read and what is wanted to a [`Plan`]: the comparisons
//! that make sure that nothing it relied on has changed since, and the puts and deletes. The caller
//! commits the plan in one transaction; where a comparison fails it reads again and plans again.
//!
//! Every plan touches the zone's serial key and the head key. Neither is compared, so that writers
//! never contend on them; the serial key's new revision is the zone's new serial.
//!
//! Comparisons alone do not make a change happen once: what a plan relies on may come back, as where a
//! set is absent, is written, and is removed again. A plan is therefore sent as an attempt, with
//! [`Plan::attempted`], which can be withdrawn.

mod import;
mod overlap;
mod records;
mod zones;

use std::fmt;
use std::ops::Range;

use crate::model::{Name, Rdata, Rrset, RrsetError, Rtype, ZoneSettings};
use crate::schema::{Attempt, Key, Prefix, ValueError, encode};

pub use import::{Batches, Staged, Wanted, flip, merge, rewrite, stage};
pub use overlap::{
    Above, Hidden, Overlap, Room, check_below, hidden, hidden_among, hidden_of, make_room,
};
pub use records::{Change, Surroundings, apply, dname_candidates, zone_candidates};
pub use zones::{accept, new_zone, raise_serials, sweep, zone_forget, zone_remove, zone_set};

/// How many puts and deletes a transaction takes at most. etcd's limit is 128 operations by default.
pub const OPS_MAX: usize = 120;

/// How many octets of keys and values a transaction takes at most. etcd's limit is 1.5 MiB by default.
pub const OCTETS_MAX: usize = 1 << 20;

/// A transaction: all comparisons hold and all operations are done, or nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What must still be so.
    pub compares: Vec<Compare>,
    /// What is done then.
    pub ops: Vec<Op>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key was last changed at this revision; 0 means that it is not there.
    Unchanged {
        /// The key.
        key: Vec<u8>,
        /// The revision.
        revision: i64,
    },
    /// No key of the range was written after this revision. Deletions do not show.
    NotWrittenSince {
        /// The range.
        range: Range<Vec<u8>>,
        /// The revision.
        revision: i64,
    },
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Deletes all keys of a range.
    DeleteRange {
        /// The range.
        range: Range<Vec<u8>>,
    },
}

/// One record, for a report of what a plan does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The owner.
    pub owner: Name,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The type.
    pub rtype: Rtype,
    /// The rdata.
    pub rdata: Rdata,
}

/// A plan, and what it means for the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The transaction.
    pub plan: Plan,
    /// The records that come.
    pub added: Vec<Line>,
    /// The records that go. One whose TTL changes goes and comes.
    pub removed: Vec<Line>,
    /// The types of the sets that go and whose values cannot be read.
    pub unreadable: Vec<Rtype>,
}

/// A zone as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRead {
    /// The apex.
    pub apex: Name,
    /// The settings.
    pub zone: ZoneSettings,
    /// The revision that wrote them.
    pub revision: i64,
    /// The revision as of which they were read. What belongs to the zone is read as of the same one: later there may be
    /// another generation.
    pub as_of: i64,
}

/// The key of a zone's serial as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SerialRead {
    /// Where the zone was removed: what a new one adds to revisions so that its serials are later than the old ones.
    pub base: u32,
    /// Whether a removal wrote the key, and no later zone did.
    pub is_removed: bool,
    /// The revision that wrote the key, 0 where there is none.
    pub revision: i64,
}

/// What there is of a zone at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The apex.
    pub apex: Name,
    /// The zone, if there is one.
    pub present: Option<ZoneRead>,
    /// The key of its serial, which a zone may leave behind.
    pub serial: SerialRead,
    /// The store's revision.
    pub revision: i64,
}

impl Slot {
    /// Whether something other than our transactions deleted the zone's settings: these leave a serial key that says so.
    pub fn is_lost(&self) -> bool {
        self.present.is_none() && self.serial.revision > 0 && !self.serial.is_removed
    }

    /// The revision that wrote the zone's settings, 0 where there is no zone.
    pub fn zone_revision(&self) -> i64 {
        self.present.as_ref().map_or(0, |present| present.revision)
    }
}

/// An RRset as it was read.
#[derive(Debug)]
pub struct RrsetRead {
    /// The type.
    pub rtype: Rtype,
    /// The RRset, or why the value is none.
    pub rrset: Result<Rrset, ValueError>,
    /// The revision that wrote it.
    pub revision: i64,
}

/// Why a change is not made.
#[derive(Debug)]
pub enum Refusal {
    /// No zone holds the name.
    NoZone(Name),
    /// There is no such zone.
    UnknownZone(Name),
    /// There is no such zone any more, and it was not nsctl that deleted its settings.
    ZoneLost(Name),
    /// There already is such a zone.
    ZoneExists(Name),
    /// A CNAME would stand beside other records (RFC 2181 10.1).
    CnameAndOther {
        /// Where.
        owner: Name,
        /// What is there already.
        present: Rtype,
        /// What was to be added.
        wanted: Rtype,
    },
    /// A CNAME at the apex, where the SOA is.
    CnameAtApex(Name),
    /// DS records at the apex: they belong to the parent (RFC 4035 2.4).
    DsAtApex(Name),
    /// Records below a DNAME record (RFC 6672 2.4).
    BelowDname {
        /// The name of the records.
        owner: Name,
        /// The name of the DNAME record.
        dname: Name,
    },
    /// A DNAME record and a zone cut at one name (RFC 6672 2.3).
    DnameAtCut(Name),
    /// The apex would be left without NS records.
    LastNs(Name),
    /// There is no set whose TTL could be changed.
    NothingThere(Name, Rtype),
    /// The SOA is made of the zone's settings.
    Soa(Name),
    /// Records that only a signed zone has.
    Signed(Name, Rtype),
    /// The records make no RRset.
    Rrset(Name, Rtype, RrsetError),
    /// A zone that is to be made would hide records of the zone above it.
    WouldHide {
        /// The zone.
        child: Name,
        /// The zone above.
        parent: Name,
        /// The names that have such records.
        names: Vec<Name>,
    },
    /// Records would be behind a zone below theirs, which answers for them.
    Hidden {
        /// Their zone.
        zone: Name,
        /// The zone that answers.
        child: Name,
        /// The names of the records.
        names: Vec<Name>,
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
    /// The zone has been removed since it was exported.
    RemovedSince {
        /// The zone.
        zone: Name,
        /// The revision of the export.
        exported: i64,
        /// The revision of the removal.
        removed: i64,
    },
    /// What is stored under this key cannot be read.
    Stored(String, String),
    /// The zone would be one that no server can serve.
    Content(String),
    /// The command makes no sense as it is.
    Usage(String),
}

impl Refusal {
    /// Whether the request itself is at fault, whatever the store holds.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Refusal::Rrset(
                _,
                _,
                RrsetError::Empty | RrsetError::Ttl(_) | RrsetError::NoData(_)
            ) | Refusal::Soa(_)
                | Refusal::Signed(..)
                | Refusal::Usage(_)
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoZone(owner) => {
                write!(
                    f,
                    "{owner} is in no zone of this store: add the zone first (nsctl zone add)"
                )
            }
            Refusal::UnknownZone(zone) => write!(f, "there is no zone {zone}"),
            Refusal::ZoneLost(zone) => write!(
                f,
                "the settings of the zone {zone} were deleted from etcd, but not by nsctl. Front-ends may still serve \
                 it. To bring it back, use nsctl held export DIR, then nsctl zone import --replace. To give it up, use \
                 nsctl zone clean {zone}, then nsctl accept. To start it anew, use --force of zone add or zone import"
            ),
            Refusal::ZoneExists(zone) => write!(f, "the zone {zone} exists already"),
            Refusal::CnameAndOther {
                owner,
                present,
                wanted,
            } => write!(
                f,
                "{owner} has {present} records, and {wanted} cannot stand beside them: a CNAME stands alone (RFC 2181, 10.1)"
            ),
            Refusal::CnameAtApex(zone) => {
                write!(
                    f,
                    "{zone} is the apex of a zone and has a SOA record: a CNAME cannot stand beside it (RFC 2181, 10.1)"
                )
            }
            Refusal::DsAtApex(zone) => write!(
                f,
                "{zone} is the apex of a zone: its DS records belong to the parent zone (RFC 4035, 2.4)"
            ),
            Refusal::BelowDname { owner, dname } => write!(
                f,
                "{owner} is below the DNAME record of {dname}, which redirects it (RFC 6672, 2.4)"
            ),
            Refusal::DnameAtCut(owner) => write!(
                f,
                "{owner} cannot have a DNAME record and NS records: a zone cut cannot redirect (RFC 6672, 2.3)"
            ),
            Refusal::LastNs(zone) => write!(
                f,
                "a zone needs an NS record at its apex: {zone} keeps its last one"
            ),
            Refusal::NothingThere(owner, rtype) => write!(
                f,
                "{owner} has no {rtype} records: there is no TTL to change"
            ),
            Refusal::Soa(zone) => write!(
                f,
                "the SOA record is made of the zone's settings and its serial of etcd's revision: use nsctl zone set {zone}"
            ),
            Refusal::Signed(owner, rtype) => write!(
                f,
                "{owner} {rtype}: only a signed zone has {rtype} records, and nsd serves no signatures yet; publish the zone unsigned, without DS records at its parent"
            ),
            Refusal::Rrset(owner, rtype, error) => write!(f, "{owner} {rtype}: {error}"),
            Refusal::Stored(key, error) => {
                write!(
                    f,
                    "the value of {key} in etcd cannot be read: {error}; nsctl set or remove replaces it"
                )
            }
            Refusal::WouldHide {
                child,
                parent,
                names,
            } => write!(
                f,
                "the zone {child} would hide {} of {parent} ({}), which nobody would get any more: --move moves the \
                 records into {child}, --force hides them",
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
            Refusal::ChangedSince {
                zone,
                exported,
                changed,
            } => write!(
                f,
                "{zone} has changed since the file was exported (revision {exported}, now {changed}): nothing was \
                 written; nsctl zone diff shows the differences, --force overwrites the changes"
            ),
            Refusal::RemovedSince {
                zone,
                exported,
                removed,
            } => write!(
                f,
                "{zone} has been removed since the file was exported (revision {exported}, removed at {removed}): \
                 nothing was written; --force adds the zone again"
            ),
            Refusal::Content(reason) | Refusal::Usage(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}

impl Plan {
    /// This plan as one attempt: the head key will say that it was this one that was done, and it cannot be
    /// done once it is withdrawn.
    pub fn attempted(&self, prefix: &Prefix, attempt: Attempt) -> Self {
        let mut plan = self.clone();
        plan.unchanged(prefix, &Key::Withdrawn(attempt), 0);
        let head = prefix.encode(&Key::Head);
        for op in &mut plan.ops {
            match op {
                Op::Put { key, value } if *key == head => *value = encode(&attempt),
                _ => {}
            }
        }
        plan
    }

    fn unchanged(&mut self, prefix: &Prefix, key: &Key, revision: i64) {
        self.compares.push(Compare::Unchanged {
            key: prefix.encode(key),
            revision,
        });
    }

    fn put(&mut self, prefix: &Prefix, key: &Key, value: Vec<u8>) {
        self.ops.push(Op::Put {
            key: prefix.encode(key),
            value,
        });
    }

    fn delete(&mut self, prefix: &Prefix, key: &Key) {
        self.ops.push(Op::Delete {
            key: prefix.encode(key),
        });
    }

    /// Touches the keys whose revisions are the zone's serial and the proof of freshness.
    fn touch(&mut self, prefix: &Prefix, zone: &Name) {
        self.put(prefix, &Key::Serial(zone.clone()), b"{}".to_vec());
        self.put(prefix, &Key::Head, b"{}".to_vec());
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

fn lines(owner: &Name, rtype: Rtype, ttl: u32, rdata: &[Rdata]) -> Vec<Line> {
    rdata
        .iter()
        .map(|rdata| Line {
            owner: owner.clone(),
            ttl,
            rtype,
            rdata: rdata.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
