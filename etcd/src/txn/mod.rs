//! Changes as plans of etcd transactions.
//!
//! A planner is a pure function from what was read and what is wanted to a [`Plan`]: the puts and deletes, and the
//! comparisons which ensure that nothing the plan relied on has changed since. The caller commits the plan in one
//! transaction. If a comparison fails, it plans again. What was read is given as [`Reads`], which say what is missing, or
//! as the types of this module.
//!
//! Every plan that changes a zone's records or settings writes the zone's serial key, whose revision makes its serial
//! grow, and the head key, and says what it changes ([`ZoneChange`]), for the zone's journal. Plans for leased records have a
//! serial key of their own. Of the plans that change no served record, `accept`, `cookie` and clean-ups write the head key alone,
//! and what is staged or archived is written without it. Plans for single records compare neither key, so that such writers never conflict because of them.
//!
//! Comparisons alone do not prevent a change from being made twice: the state that a plan relied on may come back, for
//! example if an absent RRset is written and removed again. A plan is therefore sent as an attempt that can be
//! withdrawn ([`Plan::attempted`]). Exceptions are plans that may well be applied twice: those about records that nobody
//! serves (`stage`, `catch_up`, `sweep`, archives), and `follow_expiry`.

mod archive;
mod edited;
mod holder;
mod import;
mod journal;
mod leased;
mod overlap;
mod past;
mod reads;
mod refusal;
mod site;
mod update;
mod zones;

use std::ops::Range;

use crate::model::{Name, Rrset, Rtype, ZoneSettings};
use crate::schema::{Attempt, Key, Prefix, ValueError, encode};

pub use archive::{archive, forget_archives};
pub use edited::edited;
pub use holder::InZone;
pub use import::{
    Batches, Behind, Staged, WantedZone, behind, catch_up, flip, merge, stage, write_difference,
};
pub use journal::{Kept, Stamp, ZoneChange};
pub use leased::{Announced, Announcement, Lease, LeasedRead, announce, follow_expiry, withdraw};
pub use overlap::{
    Above, Hidden, Overlap, ParentChanges, check_below, hidden, hidden_among_read,
    hidden_among_rrsets, plan_parent_changes,
};
pub use past::{Moment, NotRecorded, Past, Recorded, WayBack, caught_up, changes_since};
pub use reads::{Found, Get, NoPlan, Reads};
pub use refusal::{Part, Refusal};
pub use update::{Planned, ZoneUpdate, update};
pub use zones::{
    Raise, accept, cookie, forget_serial, new_zone, raise_serials, sweep, zone_remove, zone_set,
};

/// The most operations, comparisons or reads in one transaction. etcd allows 128 by default; the rest is for the comparison of an
/// attempt and the read of a journal entry.
pub const OPS_MAX: usize = 120;

/// The most octets of keys and values in one transaction. etcd's limit is 1.5 MiB by default.
pub const OCTETS_MAX: usize = 1 << 20;

/// A transaction: either all comparisons hold and all operations are done, or none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What must still hold.
    pub compares: Vec<Compare>,
    /// What to do if it does.
    pub ops: Vec<Op>,
    /// What that changes in zones, for their journals.
    pub changes: Vec<ZoneChange>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// The key was last written at this revision; 0 means that it does not exist.
    Unchanged {
        /// The key.
        key: Vec<u8>,
        /// The revision.
        revision: i64,
    },
    /// No key that exists in the range was written after this revision. This does not detect deletions.
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
    /// Writes a key that is deleted when a lease expires.
    PutLeased {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// The ID of the lease.
        lease: i64,
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

/// A zone as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRead {
    /// The apex.
    pub apex: Name,
    /// The settings.
    pub settings: ZoneSettings,
    /// The revision that wrote them.
    pub revision: i64,
    /// The revision at which they were read. Everything else of the zone is read at the same revision, as another
    /// generation may be served later.
    pub as_of: i64,
}

/// The key of a zone's serial as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SerialRead {
    /// After the zone was removed: what a new zone adds to revisions, so that its serials are later than the old ones.
    pub base: u32,
    /// Whether the removal of the zone wrote the key last.
    pub is_removed: bool,
    /// The revision that wrote the key; 0 if there is none.
    pub revision: i64,
    /// How often it was written since it was created: how many changes the zone had.
    pub version: i64,
}

/// A zone, or what it has left behind, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The apex.
    pub apex: Name,
    /// The zone, if there is one.
    pub present: Option<ZoneRead>,
    /// The key of its serial, which a removed zone may leave behind.
    pub serial: SerialRead,
    /// The store's revision.
    pub revision: i64,
}

impl Slot {
    /// Whether something other than `nsctl` deleted the zone's settings. `nsctl` leaves a serial key that marks a
    /// removal.
    pub fn is_lost(&self) -> bool {
        self.present.is_none() && self.serial.revision > 0 && !self.serial.is_removed
    }

    /// What new settings change.
    fn settings_change(&self, new: &ZoneSettings) -> ZoneChange {
        let old = self.present.as_ref().map(|present| &present.settings);
        ZoneChange::of_settings(&self.apex, old, Some(new))
    }

    /// The revision that wrote the zone's settings; 0 if there is no zone.
    pub fn zone_revision(&self) -> i64 {
        self.present.as_ref().map_or(0, |present| present.revision)
    }
}

/// An RRset as it was read.
#[derive(Debug)]
pub struct RrsetRead {
    /// The type.
    pub rtype: Rtype,
    /// The RRset, or why its value cannot be read.
    pub rrset: Result<Rrset, ValueError>,
    /// The revision that wrote it.
    pub revision: i64,
}

impl Op {
    /// The octets of its keys and values.
    fn octets(&self) -> usize {
        match self {
            Op::Put { key, value } | Op::PutLeased { key, value, .. } => key.len() + value.len(),
            Op::Delete { key } => key.len(),
            Op::DeleteRange { range } => range.start.len() + range.end.len(),
        }
    }
}

impl Plan {
    /// This plan as an attempt: it writes the attempt's number to the head key, and fails if the attempt was withdrawn.
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

    /// Whether etcd takes it as one transaction, with the entries in journals.
    fn fits(&self) -> bool {
        let ops = self.ops.len() + journal::OPS * self.changes.len();
        let compares = self.compares.len() + self.changes.len();
        compares <= OPS_MAX && ops <= OPS_MAX && self.octets() <= OCTETS_MAX
    }

    /// The octets of what it writes, with the entries in journals.
    fn octets(&self) -> usize {
        let ops = self.ops.iter().map(Op::octets);
        ops.chain(self.changes.iter().map(ZoneChange::octets)).sum()
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

    /// Writes the zone's serial key, so that its serial grows, and the head key, so that a copy counts as complete only
    /// with this change.
    fn touch(&mut self, prefix: &Prefix, change: ZoneChange) {
        self.put(prefix, &Key::Serial(change.zone.clone()), b"{}".to_vec());
        self.put(prefix, &Key::Head, b"{}".to_vec());
        self.changes.push(change);
    }
}

#[cfg(test)]
mod tests;
