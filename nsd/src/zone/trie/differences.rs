//! What differs between two tries, at a cost that goes with the difference and not with their sizes.
//!
//! Tries that come from the same one use the same hashes, so a name takes the same slots in both. They are walked side
//! by side, and a branch that both share is skipped. Where one of them has a leaf and the other a branch, or where
//! their hashes differ altogether, the leaves of one are looked up in the other.

use std::hash::BuildHasher;
use std::sync::Arc;

use super::{Slot, Trie, index};
use crate::zone::node::Node;

/// A node as it is in the old trie and in the new one; not `None` in both.
pub(in crate::zone) type NodePair<'t> = (Option<Node<'t>>, Option<Node<'t>>);

/// The walk over two tries. An iterator over the nodes that are not shared, in no order; their octets may still be
/// equal.
pub(in crate::zone) struct Differences<'t, S> {
    old: &'t Trie<S>,
    new: &'t Trie<S>,
    todo: Vec<Step<'t>>,
}

/// Slots to look at.
enum Step<'t> {
    /// The same slot of both.
    Both(&'t Slot, &'t Slot),
    /// The leaves of the old trie, each with that of the new one.
    Old(&'t Slot),
    /// The leaves of the new trie that the old one does not have.
    New(&'t Slot),
}

impl<'t, S: BuildHasher> Differences<'t, S> {
    pub(super) fn new(old: &'t Trie<S>, new: &'t Trie<S>) -> Self {
        let mut all = Differences {
            old,
            new,
            todo: Vec::new(),
        };
        // Hashers cannot be compared, but the hash of one name tells them apart.
        if old.hasher.hash_one(0) == new.hasher.hash_one(0) {
            let branch = |trie: &'t Trie<S>| (trie.root.bitmap, &trie.root.slots);
            all.add_branches(branch(old), branch(new));
        } else {
            all.todo.extend(old.root.slots.iter().map(Step::Old));
            all.todo.extend(new.root.slots.iter().map(Step::New));
        }
        all
    }

    fn add_branches(&mut self, old: (u32, &'t Arc<[Slot]>), new: (u32, &'t Arc<[Slot]>)) {
        if Arc::ptr_eq(old.1, new.1) {
            return;
        }
        let mut left = old.0 | new.0;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left &= !bit;
            let slot = |(bitmap, slots): (u32, &'t Arc<[Slot]>)| {
                (bitmap & bit != 0).then(|| &slots[index(bitmap, bit)])
            };
            self.todo.extend(match (slot(old), slot(new)) {
                (Some(old), Some(new)) => Some(Step::Both(old, new)),
                (old, new) => old.map(Step::Old).or(new.map(Step::New)),
            });
        }
    }

    /// Takes one step: `None` at the end, `Some(None)` if it found nothing.
    pub(in crate::zone) fn step(&mut self) -> Option<Option<NodePair<'t>>> {
        match self.todo.pop()? {
            Step::Both(Slot::Branch(bitmap, slots), Slot::Branch(new_bitmap, new_slots)) => {
                self.add_branches((*bitmap, slots), (*new_bitmap, new_slots));
            }
            Step::Both(Slot::Leaf(_, old), Slot::Leaf(_, new)) if old.node().is(new.node()) => {}
            Step::Both(old, new) => self.todo.extend([Step::Old(old), Step::New(new)]),
            Step::Old(Slot::Branch(_, slots)) => self.todo.extend(slots.iter().map(Step::Old)),
            Step::New(Slot::Branch(_, slots)) => self.todo.extend(slots.iter().map(Step::New)),
            Step::Old(Slot::Leaf(_, old)) => {
                let old = old.node();
                let new = self.new.get(old.name());
                // It may be shared, and stand on another level.
                let is_shared = new.is_some_and(|new| new.is(old));
                return Some((!is_shared).then_some((Some(old), new)));
            }
            Step::New(Slot::Leaf(_, new)) => {
                let new = new.node();
                let is_new = self.old.get(new.name()).is_none();
                return Some(is_new.then_some((None, Some(new))));
            }
            Step::Old(Slot::Vacant) | Step::New(Slot::Vacant) => {}
        }
        Some(None)
    }
}

impl<'t, S: BuildHasher> Iterator for Differences<'t, S> {
    type Item = NodePair<'t>;

    fn next(&mut self) -> Option<NodePair<'t>> {
        loop {
            if let Some(found) = self.step()? {
                return Some(found);
            }
        }
    }
}
