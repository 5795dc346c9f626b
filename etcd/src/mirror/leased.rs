//! The keys that etcd deletes by itself when their lease expires.

use std::collections::HashSet;
use std::ops::Range;

use super::{KeyChange, KeyValue};

/// The keys of a range that live as long as a lease.
///
/// An expiry does not write the head key, so the head's revision does not show that one is still to come. Their number does:
/// all other changes of these keys are made by transactions of ours, which write the head key. A copy that has applied the
/// head's revision can only lack expiries, and it lacks none if it has as many of these keys as etcd.
#[derive(Clone, Debug, Default)]
pub(super) struct LeasedKeys {
    range: Range<Vec<u8>>,
    keys: HashSet<Vec<u8>>,
    /// Those that the list in progress has brought.
    listed: HashSet<Vec<u8>>,
}

impl LeasedKeys {
    /// Those of a copy.
    pub(super) fn new(keys: HashSet<Vec<u8>>) -> Self {
        LeasedKeys {
            keys,
            ..LeasedKeys::default()
        }
    }

    pub(super) fn set_range(&mut self, range: Range<Vec<u8>>) {
        self.range = range;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn begin_list(&mut self) {
        self.listed.clear();
    }

    pub(super) fn list(&mut self, items: &[KeyValue]) {
        let leased = items.iter().map(|item| &item.key);
        let leased = leased.filter(|key| self.range.contains(*key));
        self.listed.extend(leased.cloned());
    }

    pub(super) fn end_list(&mut self) {
        self.keys = std::mem::take(&mut self.listed);
    }

    pub(super) fn apply(&mut self, changes: &[KeyChange]) {
        for change in changes
            .iter()
            .filter(|change| self.range.contains(&change.key))
        {
            match &change.value {
                Some(_) => drop(self.keys.insert(change.key.clone())),
                None => drop(self.keys.remove(&change.key)),
            }
        }
    }
}
