//! A name that exists, with all its RRsets, in one piece of memory.
//!
//! ```text
//! | children | name length | name | set | set | ...
//!   4 octets   1                    |
//!                                   | type | records | TTL | data length | data |
//!                                     2      2         4     4
//! ```
//!
//! A zone has millions of names and most have one short RRset. Kept like this, such a name takes
//! one allocation of some 60 octets, and a query that finds it has its answer at hand. Sets are
//! sorted by type; the name is relative to the apex and in lower-case wire form.

use std::sync::Arc;

use super::rrset::{Rrset, RrsetRef};
use crate::model::Rtype;

const NAME_AT: usize = 5;
const SET_HEADER_LEN: usize = 12;

/// The octets of a node, shared by all clones.
#[derive(Clone)]
pub(super) struct NodeBuf(Arc<[u8]>);

/// A node, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Node<'v>(&'v [u8]);

impl<'v> Node<'v> {
    /// A name without RRsets.
    pub(super) const EMPTY: Node<'static> = Node(&[0; NAME_AT]);

    /// How many nodes are one label below.
    pub(super) fn children(self) -> u32 {
        let octets = self
            .0
            .first_chunk()
            .expect("a node begins with the number of its children");
        u32::from_be_bytes(*octets)
    }

    /// The name, relative to the apex.
    pub(super) fn name(self) -> &'v [u8] {
        &self.0[NAME_AT..self.sets_at()]
    }

    fn sets_at(self) -> usize {
        NAME_AT + usize::from(self.0[NAME_AT - 1])
    }

    /// The RRsets, sorted by type.
    pub(super) fn rrsets(self) -> impl Iterator<Item = (Rtype, RrsetRef<'v>)> {
        let mut rest = &self.0[self.sets_at()..];
        std::iter::from_fn(move || {
            let (&[a, b, c, d, e, f, g, h, i, j, k, l], after) =
                rest.split_first_chunk::<SET_HEADER_LEN>()?;
            let (data, after) = after.split_at(u32::from_be_bytes([i, j, k, l]) as usize);
            rest = after;
            let count = u16::from_be_bytes([c, d]);
            let ttl = u32::from_be_bytes([e, f, g, h]);
            Some((
                Rtype(u16::from_be_bytes([a, b])),
                RrsetRef { ttl, count, data },
            ))
        })
    }

    /// The RRset of this type.
    pub(super) fn rrset(self, rtype: Rtype) -> Option<RrsetRef<'v>> {
        self.rrsets()
            .find(|(other, _)| *other == rtype)
            .map(|(_, rrset)| rrset)
    }

    /// Whether anything keeps the node in being: an RRset, or a name below.
    pub(super) fn is_needed(self) -> bool {
        self.children() > 0 || self.sets_at() < self.0.len()
    }
}

impl NodeBuf {
    /// A node without RRsets.
    pub(super) fn new(name: &[u8], children: u32) -> Self {
        NodeBuf(Self::begin(name, children, 0).into())
    }

    fn begin(name: &[u8], children: u32, sets_len: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(NAME_AT + name.len() + sets_len);
        octets.extend_from_slice(&children.to_be_bytes());
        octets.push(name.len() as u8);
        octets.extend_from_slice(name);
        octets
    }

    /// The same node with this RRset added, replaced or, if it is none, removed.
    pub(super) fn with(old: Node<'_>, rtype: Rtype, rrset: Option<&Rrset>) -> Self {
        let new = rrset.map(|rrset| (rtype, rrset.as_ref()));
        let new_len = new.map_or(0, |(_, rrset)| SET_HEADER_LEN + rrset.data.len());
        let mut octets = Self::begin(old.name(), old.children(), old.0.len() + new_len);
        let before = old.rrsets().filter(|(other, _)| *other < rtype);
        let after = old.rrsets().filter(|(other, _)| *other > rtype);
        for (rtype, rrset) in before.chain(new).chain(after) {
            octets.extend_from_slice(&rtype.0.to_be_bytes());
            octets.extend_from_slice(&rrset.count.to_be_bytes());
            octets.extend_from_slice(&rrset.ttl.to_be_bytes());
            octets.extend_from_slice(&(rrset.data.len() as u32).to_be_bytes());
            octets.extend_from_slice(rrset.data);
        }
        NodeBuf(octets.into())
    }

    /// Reads an octet at either end, so that the memory is at hand for who reads the rest: most nodes are no longer
    /// than two cache lines.
    pub(super) fn touch(&self) {
        std::hint::black_box((self.0.first().copied(), self.0.last().copied()));
    }

    /// The node.
    pub(super) fn node(&self) -> Node<'_> {
        Node(&self.0)
    }

    /// Changes how many nodes are one label below.
    pub(super) fn set_children(&mut self, children: u32) {
        Arc::make_mut(&mut self.0)[..4].copy_from_slice(&children.to_be_bytes());
    }
}
