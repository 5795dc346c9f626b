//! A persistent map from names to nodes: a hash array mapped trie (Bagwell, "Ideal Hash Trees",
//! 2001).
//!
//! A clone shares everything with its original. A change copies the shared branches on its path, and changes the others
//! in place.
//!
//! Why not `rpds::HashTrieMap`: it allocates nodes, entries, keys and values one by one. A name with one A record took
//! more than twice the memory and a query twice the time, mostly in cache misses.
//!
//! Five bits of the hash choose one of 32 slots of a branch, which stores only those in use. A branch's bitmap is
//! stored beside the pointer to its slots, so each level costs one memory access.

mod differences;

use std::hash::BuildHasher;
use std::mem;
use std::slice;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::node::{Node, NodeBuf};
pub(super) use differences::{Differences, NodePair};

/// The number of bits of a hash that choose a slot.
const LEVEL_BITS: u32 = 5;

/// The number of levels that a hash has bits for.
const LEVELS_MAX: u32 = u64::BITS / LEVEL_BITS;

/// A set of nodes, each found by its name.
#[derive(Clone)]
pub(super) struct Trie<S = RandomState> {
    root: Branch,
    len: usize,
    // Seeded at random, so that nobody can choose names that collide.
    hasher: S,
}

/// The slots in use, and a bitmap of which they are.
#[derive(Clone, Default)]
struct Branch {
    bitmap: u32,
    slots: Arc<[Slot]>,
}

/// What is in a slot. A `Branch` inside would take 8 octets more than its two fields.
#[derive(Clone, Default)]
enum Slot {
    /// Nothing, while slots are moved.
    #[default]
    Vacant,
    /// A node, and bits of its name's hash: most other names are told apart without reading the node.
    Leaf(u32, NodeBuf),
    /// A branch: its bitmap and its slots.
    Branch(u32, Arc<[Slot]>),
}

/// The path of a name: the slots that lead to it, level by level.
struct Path<'a, S> {
    hasher: &'a S,
    name: &'a [u8],
    hash: u64,
    /// How many bits of the hash are used up.
    used: u32,
    /// How often the name was hashed again.
    round: u32,
}

impl<'a, S: BuildHasher> Path<'a, S> {
    fn new(hasher: &'a S, name: &'a [u8]) -> Self {
        Path {
            hasher,
            name,
            hash: hasher.hash_one(name),
            used: 0,
            round: 0,
        }
    }

    /// The upper half of the hash, which is stored in the leaf. It includes the bits for the last levels.
    fn tag(&self) -> u32 {
        (self.hash >> 32) as u32
    }

    /// A number that sorts names by their slots, level by level.
    fn order(&self) -> u64 {
        let slot = |level| (self.hash >> (level * LEVEL_BITS)) & 31;
        (0..LEVELS_MAX).fold(0, |order, level| (order << LEVEL_BITS) | slot(level))
    }

    /// The slot on the current level, as a bit; then moves on to the next level.
    #[inline]
    fn next(&mut self) -> u32 {
        if self.used == LEVELS_MAX * LEVEL_BITS {
            self.rehash();
        }
        let bit = 1 << ((self.hash >> self.used) & 31);
        self.used += LEVEL_BITS;
        bit
    }

    /// Hashes the name again, with the round, so that names with equal hashes part sooner or later.
    #[cold]
    fn rehash(&mut self) {
        self.round += 1;
        self.used = 0;
        self.hash = self.hasher.hash_one((self.round, self.name));
    }

    /// The path of another name, on the same level.
    fn of_other<'b>(&self, name: &'b [u8]) -> Path<'b, S>
    where
        'a: 'b,
    {
        let mut path = Path::new(self.hasher, name);
        while (path.round, path.used) < (self.round, self.used) {
            path.next();
        }
        path
    }
}

/// The index of the slot with this bit.
fn index(bitmap: u32, bit: u32) -> usize {
    (bitmap & (bit - 1)).count_ones() as usize
}

impl<S: BuildHasher> Trie<S> {
    /// An empty map.
    pub(super) fn new(hasher: S) -> Self {
        Trie {
            root: Branch::default(),
            len: 0,
            hasher,
        }
    }

    /// The number of nodes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Builds a map of all these nodes at once, several times faster than one by one. Returns `None` if two have the
    /// same name.
    pub(super) fn of(leaves: Vec<NodeBuf>, hasher: S) -> Option<Self> {
        let mut sorted: Vec<(u64, u32, NodeBuf)> = leaves
            .into_iter()
            .map(|leaf| {
                let path = Path::new(&hasher, leaf.node().name());
                (path.order(), path.tag(), leaf)
            })
            .collect();
        sorted.sort_unstable_by_key(|(order, ..)| *order);
        let mut trie = Trie::new(hasher);
        if sorted.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            trie.len = sorted.len();
            trie.root = branch(&mut sorted, 0);
            return Some(trie);
        }
        // Two names are the same, or, very rarely, only their hashes.
        for (.., leaf) in sorted {
            if trie.get(leaf.node().name()).is_some() {
                return None;
            }
            trie.put(leaf);
        }
        Some(trie)
    }

    /// The nodes that this map and a newer one do not share.
    pub(super) fn differences<'t>(&'t self, newer: &'t Self) -> Differences<'t, S> {
        Differences::new(self, newer)
    }

    /// The node of a name.
    pub(super) fn get(&self, name: &[u8]) -> Option<Node<'_>> {
        let mut path = Path::new(&self.hasher, name);
        let tag = path.tag();
        let (mut bitmap, mut slots) = (self.root.bitmap, &self.root.slots);
        loop {
            let bit = path.next();
            if bitmap & bit == 0 {
                return None;
            }
            match &slots[index(bitmap, bit)] {
                Slot::Leaf(other, leaf) if *other == tag && leaf.node().name() == name => {
                    return Some(leaf.node());
                }
                Slot::Branch(inner_bitmap, inner) => (bitmap, slots) = (*inner_bitmap, inner),
                Slot::Leaf(..) | Slot::Vacant => return None,
            }
        }
    }

    /// Begins to look up a name.
    pub(super) fn probe(&self, name: &[u8]) -> Probe<'_> {
        Probe {
            hash: self.hasher.hash_one(name),
            at: Reached::Branch(self.root.bitmap, &self.root.slots),
        }
    }

    /// Adds a node, or replaces the one with that name.
    pub(super) fn put(&mut self, leaf: NodeBuf) {
        let node = leaf.clone();
        let mut path = Path::new(&self.hasher, node.node().name());
        let tag = path.tag();
        let slot = Slot::Leaf(tag, leaf);
        let is_new = put(&mut self.root.bitmap, &mut self.root.slots, &mut path, slot);
        self.len += usize::from(is_new);
    }

    /// Changes the number of children of a node. Returns false if there is no such node.
    pub(super) fn change_children(&mut self, name: &[u8], change: impl FnOnce(u32) -> u32) -> bool {
        let Some(children) = self.get(name).map(Node::children) else {
            return false;
        };
        let mut path = Path::new(&self.hasher, name);
        let (mut bitmap, mut slots) = (self.root.bitmap, &mut self.root.slots);
        loop {
            let at = index(bitmap, path.next());
            match &mut Arc::make_mut(slots)[at] {
                Slot::Leaf(_, leaf) => {
                    leaf.set_children(change(children));
                    return true;
                }
                Slot::Branch(inner_bitmap, inner) => (bitmap, slots) = (*inner_bitmap, inner),
                Slot::Vacant => return false,
            }
        }
    }

    /// Removes the node of a name.
    pub(super) fn remove(&mut self, name: &[u8]) {
        if self.get(name).is_some() {
            let mut path = Path::new(&self.hasher, name);
            remove(&mut self.root.bitmap, &mut self.root.slots, &mut path);
            self.len -= 1;
        }
    }

    /// All nodes, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Node<'_>> {
        let mut stack: Vec<slice::Iter<'_, Slot>> = vec![self.root.slots.iter()];
        std::iter::from_fn(move || {
            loop {
                match stack.last_mut()?.next() {
                    Some(Slot::Leaf(_, leaf)) => return Some(leaf.node()),
                    Some(Slot::Branch(_, slots)) => stack.push(slots.iter()),
                    Some(Slot::Vacant) => {}
                    None => drop(stack.pop()),
                }
            }
        })
    }
}

/// A lookup that takes one step at a time, so that the cache misses of many lookups overlap. It returns
/// no node; it only brings it into the cache of the CPU.
#[derive(Clone, Copy)]
pub struct Probe<'v> {
    hash: u64,
    at: Reached<'v>,
}

#[derive(Clone, Copy)]
enum Reached<'v> {
    Branch(u32, &'v [Slot]),
    Leaf(&'v NodeBuf),
    End,
}

impl<'v> Probe<'v> {
    /// Makes one memory access. Returns false if there was none left to make.
    pub fn step(&mut self) -> bool {
        self.at = match self.at {
            Reached::Branch(bitmap, slots) => {
                let bit = 1 << (self.hash & 31);
                self.hash >>= LEVEL_BITS;
                match slots.get(index(bitmap, bit)) {
                    _ if bitmap & bit == 0 => Reached::End,
                    Some(Slot::Leaf(_, leaf)) => Reached::Leaf(leaf),
                    Some(Slot::Branch(bitmap, slots)) => Reached::Branch(*bitmap, slots),
                    Some(Slot::Vacant) | None => Reached::End,
                }
            }
            Reached::Leaf(leaf) => {
                leaf.touch();
                Reached::End
            }
            Reached::End => return false,
        };
        true
    }
}

/// Builds the branch on a level that leads to these leaves, which are sorted and all different.
fn branch(leaves: &mut [(u64, u32, NodeBuf)], level: u32) -> Branch {
    let slot_of = |order: u64| (order >> ((LEVELS_MAX - 1 - level) * LEVEL_BITS)) & 31;
    let same_slot = |a: &(u64, u32, NodeBuf), b: &(u64, u32, NodeBuf)| slot_of(a.0) == slot_of(b.0);
    let (mut bitmap, mut slots) = (0, Vec::new());
    for group in leaves.chunk_by_mut(same_slot) {
        bitmap |= 1 << slot_of(group[0].0);
        slots.push(match group {
            [(_, tag, leaf)] => Slot::Leaf(*tag, leaf.clone()),
            _ => {
                let inner = branch(group, level + 1);
                Slot::Branch(inner.bitmap, inner.slots)
            }
        });
    }
    Branch {
        bitmap,
        slots: slots.into(),
    }
}

/// Puts a leaf into a branch. Returns whether its name is new.
fn put<S: BuildHasher>(
    bitmap: &mut u32,
    slots: &mut Arc<[Slot]>,
    path: &mut Path<'_, S>,
    leaf: Slot,
) -> bool {
    let bit = path.next();
    let at = index(*bitmap, bit);
    if *bitmap & bit == 0 {
        rebuild(slots, |list| list.insert(at, leaf));
        *bitmap |= bit;
        return true;
    }
    let slot = &mut Arc::make_mut(slots)[at];
    match slot {
        Slot::Branch(bitmap, slots) => put(bitmap, slots, path, leaf),
        Slot::Leaf(_, other) if other.node().name() != path.name => {
            let other = other.clone();
            let other_path = path.of_other(other.node().name());
            *slot = split(mem::take(slot), other_path, leaf, path);
            true
        }
        _ => {
            *slot = leaf;
            false
        }
    }
}

/// A branch of both leaves.
fn split<S: BuildHasher>(
    a: Slot,
    mut a_path: Path<'_, S>,
    b: Slot,
    b_path: &mut Path<'_, S>,
) -> Slot {
    let (a_bit, b_bit) = (a_path.next(), b_path.next());
    let slots: Arc<[Slot]> = if a_bit == b_bit {
        [split(a, a_path, b, b_path)].into()
    } else if a_bit < b_bit {
        [a, b].into()
    } else {
        [b, a].into()
    };
    Slot::Branch(a_bit | b_bit, slots)
}

/// Removes the leaf at the end of the path, which must be there.
fn remove<S: BuildHasher>(bitmap: &mut u32, slots: &mut Arc<[Slot]>, path: &mut Path<'_, S>) {
    let bit = path.next();
    let at = index(*bitmap, bit);
    let slot = &mut Arc::make_mut(slots)[at];
    if let Slot::Branch(bitmap, slots) = slot {
        remove(bitmap, slots, path);
        // A single leaf moves up, as if the other had never been there.
        if let [Slot::Leaf(tag, leaf)] = &slots[..] {
            *slot = Slot::Leaf(*tag, leaf.clone());
        }
        return;
    }
    rebuild(slots, |list| drop(list.remove(at)));
    *bitmap &= !bit;
}

/// Adds or removes a slot. Unshared slots are moved; cloning them would touch the reference count of every node below.
fn rebuild(slots: &mut Arc<[Slot]>, change: impl FnOnce(&mut Vec<Slot>)) {
    let mut list = Vec::with_capacity(slots.len() + 1);
    match Arc::get_mut(slots) {
        Some(slots) => list.extend(slots.iter_mut().map(mem::take)),
        None => list.extend(slots.iter().cloned()),
    }
    change(&mut list);
    *slots = list.into();
}
