//! The copy of a zone that is served while a loss is held back: the zone as if others had deleted nothing.
//!
//! The copy is made before the first such deletion and follows what etcd has from then on. It shares all that is the
//! same, so it costs next to nothing. Our own changes are made to it too, so that they are served also during a loss.
//!
//! Losses count for an hour, each from its own time on. To that end the zone is kept as it was at several moments, at
//! least [`STEP`] apart. The oldest copy is the one that is judged and served. It is dropped once there is a next one and
//! all losses before that are older than an hour.

use std::collections::VecDeque;

use super::guard::Guard;
use crate::model::rules::is_cname_clash;
use crate::model::{Name, Rtype, ZoneSettings};
use crate::served::Loss;
use crate::zone::{Contents, Rrset};

/// The time between two copies of a zone, in seconds. A loss may count for an hour and this much more.
const STEP: u64 = Guard::WINDOW_S / 4;

/// What is kept of a zone.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) settings: ZoneSettings,
    /// The last revision of the serial key, so that the serial does not go back either.
    pub(super) serial_revision: i64,
    /// The zone as it was at several moments, the oldest first. Never empty.
    copies: VecDeque<Past>,
    /// When something was lost last, in seconds of Unix time.
    pub(super) lost_at: u64,
    /// Whether this copy is served instead of what etcd has.
    pub(super) is_held: bool,
}

/// A zone as if others had deleted nothing since a moment.
#[derive(Clone)]
struct Past {
    contents: Contents,
    /// How many of these RRsets etcd lacks, plus one if it lacks the key of the zone.
    gone: usize,
    /// The moment, in seconds of Unix time.
    since: u64,
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A transaction of ours. What it deletes is meant to be gone.
    Ours,
    /// Anybody else, at this time in seconds of Unix time.
    Others(u64),
}

impl Kept {
    /// Keeps a zone that lost `gone` RRsets or keys, the last of them at `lost_at`.
    pub(super) fn new(
        (settings, serial_revision): (ZoneSettings, i64),
        (contents, gone): (Contents, usize),
        lost_at: u64,
        is_held: bool,
    ) -> Self {
        let first = Past {
            contents,
            gone,
            since: lost_at,
        };
        Kept {
            settings,
            serial_revision,
            copies: [first].into(),
            lost_at,
            is_held,
        }
    }

    /// The zone as if others had deleted nothing.
    pub(super) fn contents(&self) -> &Contents {
        &self.oldest().contents
    }

    /// How many of these RRsets etcd lacks, plus one if it lacks the key of the zone.
    pub(super) fn gone(&self) -> usize {
        self.oldest().gone
    }

    /// What etcd has lost of the zone, if anything.
    pub(super) fn loss(&self) -> Option<Loss> {
        let (gone, of) = (self.gone(), self.contents().rrset_count() + 1);
        (gone > 0).then_some(Loss { gone, of })
    }

    fn oldest(&self) -> &Past {
        self.copies.front().expect("there is at least one copy")
    }

    /// Begins another copy when one is due. `current` is what etcd has right before a loss.
    pub(super) fn begin(&mut self, current: Option<&Contents>, now: u64) {
        let is_due = |last: &Past| now >= last.since + STEP;
        if let Some(current) = current
            && !self.is_held
            && self.copies.back().is_some_and(is_due)
        {
            self.copies.push_back(Past {
                contents: current.clone(),
                gone: 0,
                since: now,
            });
        }
    }

    /// Drops the copies that lack nothing. Returns whether any is left.
    pub(super) fn retain_incomplete(&mut self) -> bool {
        while self.copies.front().is_some_and(|oldest| oldest.gone == 0) {
            self.copies.pop_front();
        }
        !self.copies.is_empty()
    }

    /// Forgets losses older than an hour, unless they are held back. Returns whether anything is left to keep.
    pub(super) fn forget(&mut self, now: u64) -> bool {
        if self.is_held {
            return true;
        }
        let begin = now.saturating_sub(Guard::WINDOW_S);
        // A later loss is in the next copy, too.
        let is_past = |oldest: &Past| oldest.since + STEP <= begin;
        while self.copies.len() > 1 && is_past(self.oldest()) {
            self.copies.pop_front();
        }
        self.lost_at >= begin && self.retain_incomplete()
    }

    /// Follows an RRset that is about to be put. `types` are those that etcd has at its owner. What others add to a
    /// zone that is held back is not served.
    pub(super) fn put(
        &mut self,
        (owner, rtype): (&Name, Rtype),
        rrset: &Rrset,
        types: &[Rtype],
        origin: Origin,
    ) {
        for copy in &mut self.copies {
            let is_kept = copy.contents.get(owner, rtype).is_some();
            if origin == Origin::Ours || is_kept || !self.is_held {
                copy.put(owner, rtype, rrset, types);
            }
        }
    }

    /// Follows the deletion of an RRset that etcd has.
    pub(super) fn remove(&mut self, owner: &Name, rtype: Rtype, origin: Origin) {
        if let Origin::Others(now) = origin {
            self.lost_at = now;
        }
        for copy in &mut self.copies {
            match origin {
                Origin::Ours => drop(copy.contents.remove(owner, rtype)),
                Origin::Others(_) => {
                    copy.gone += usize::from(copy.contents.get(owner, rtype).is_some());
                }
            }
        }
    }

    /// Counts the kept RRsets that etcd lacks. `current` is what etcd has of them, `has_key` whether it has the key of
    /// the zone.
    pub(super) fn count_gone(&mut self, current: Option<&Contents>, has_key: bool) {
        for copy in &mut self.copies {
            copy.gone = match current {
                Some(current) => copy.contents.missing_in(current),
                None => copy.contents.rrset_count() + usize::from(!has_key),
            };
        }
    }
}

impl Past {
    fn put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset, types: &[Rtype]) {
        let is_lost = |other: &Rtype| !types.contains(other);
        for other in self.contents.types(owner).iter().filter(|t| is_lost(t)) {
            if *other == rtype {
                self.gone -= 1;
            } else if is_cname_clash(rtype, *other) {
                // The new RRset takes the place of the lost one.
                self.contents.remove(owner, *other);
                self.gone -= 1;
            }
        }
        self.contents.put(owner, rtype, rrset);
    }
}

#[cfg(test)]
mod tests;
