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
mod refusal;
mod zones;

use std::ops::Range;

use crate::model::{Name, Rdata, Rrset, Rtype, ZoneSettings};
use crate::schema::{Attempt, Key, Prefix, ValueError, encode};

pub use import::{Batches, Staged, WantedZone, flip, merge, rewrite, stage};
pub use overlap::{
    Above, Hidden, Overlap, Room, check_below, hidden, hidden_among, hidden_of, make_room,
};
pub use records::{Change, Surroundings, apply, dname_candidates, zone_candidates};
pub use refusal::Refusal;
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
