//! A name that exists, with all its RRsets, in one allocation.
//!
//! ```text
//! | children | name length | name | set | set | ...
//!   4 octets   1                    |
//!                                   | type | records | TTL | data length | data |
//!                                     2      2         4     4
//! ```
//!
//! A zone may have millions of names, most with one short RRset. In this layout such a name takes about 60 octets, and
//! a query that finds the name has its answer in the same cache lines. Sets are sorted by type; the name is relative to
//! the apex and in lower-case wire form.

use std::sync::Arc;

use super::rrset::{Rrset, RrsetRef};
use crate::model::{Rdata, Rtype};

const NAME_AT: usize = 5;
const SET_HEADER_LEN: usize = 12;

// RFC 1035 2.3.4.
const NAME_OCTETS_MAX: usize = 255;
const LABEL_OCTETS_MAX: u8 = 63;

/// The octets of a node, shared by all clones.
#[derive(Clone)]
pub(super) struct NodeBuf(Arc<[u8]>);

/// A node, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Node<'v>(&'v [u8]);

impl<'v> Node<'v> {
    /// A name without RRsets.
    pub(super) const EMPTY: Node<'static> = Node(&[0; NAME_AT]);

    /// The number of nodes one label below.
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

    /// All its octets, for [`NodeBuf::from_octets`].
    pub(super) fn octets(self) -> &'v [u8] {
        self.0
    }

    /// Whether both are the same octets in memory, and not only equal ones.
    pub(super) fn is(self, other: Node<'_>) -> bool {
        std::ptr::eq(self.0, other.0)
    }

    /// Whether the node has to exist: it has an RRset, or a name below.
    pub(super) fn is_needed(self) -> bool {
        self.children() > 0 || self.sets_at() < self.0.len()
    }
}

impl NodeBuf {
    /// A node without RRsets.
    pub(super) fn new(name: &[u8], children: u32) -> Self {
        NodeBuf(Self::begin(name, children, 0).into())
    }

    /// Parses untrusted octets as a node of a zone with this apex.
    pub(super) fn from_octets(octets: &[u8], apex: &[u8]) -> Option<Self> {
        let name_len = usize::from(*octets.get(NAME_AT - 1)?);
        let name = octets.get(NAME_AT..NAME_AT + name_len)?;
        if !is_relative_name(name) || name_len + apex.len() > NAME_OCTETS_MAX {
            return None;
        }
        let (mut rest, mut last) = (&octets[NAME_AT + name_len..], None);
        while !rest.is_empty() {
            let (&[a, b, c, d, _, _, _, _, i, j, k, l], after) =
                rest.split_first_chunk::<SET_HEADER_LEN>()?;
            let len = usize::try_from(u32::from_be_bytes([i, j, k, l])).ok()?;
            let (data, after) = after.split_at_checked(len)?;
            let rtype = u16::from_be_bytes([a, b]);
            let count = count_records(Rtype(rtype), data);
            if last >= Some(rtype) || count != Some(u16::from_be_bytes([c, d])) {
                return None;
            }
            (rest, last) = (after, Some(rtype));
        }
        Some(NodeBuf(octets.into()))
    }

    fn begin(name: &[u8], children: u32, sets_len: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(NAME_AT + name.len() + sets_len);
        octets.extend_from_slice(&children.to_be_bytes());
        octets.push(name.len() as u8);
        octets.extend_from_slice(name);
        octets
    }

    /// A copy of a node with the RRset of this type replaced, added or, for `None`, removed.
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

    /// Loads the node into the cache by reading an octet at either end: most nodes have at most two cache lines.
    pub(super) fn touch(&self) {
        std::hint::black_box((self.0.first().copied(), self.0.last().copied()));
    }

    /// The node.
    pub(super) fn node(&self) -> Node<'_> {
        Node(&self.0)
    }

    /// Sets the number of nodes one label below.
    pub(super) fn set_children(&mut self, children: u32) {
        Arc::make_mut(&mut self.0)[..4].copy_from_slice(&children.to_be_bytes());
    }
}

/// Whether these are labels in lower-case wire form, without the root label.
fn is_relative_name(mut name: &[u8]) -> bool {
    let is_lower = !name.iter().any(u8::is_ascii_uppercase);
    while let Some((&len, rest)) = name.split_first() {
        match rest.get(usize::from(len)..) {
            Some(rest) if (1..=LABEL_OCTETS_MAX).contains(&len) => name = rest,
            _ => return false,
        }
    }
    is_lower
}

/// The number of records in the data of a set; `None` if it is malformed.
fn count_records(rtype: Rtype, mut data: &[u8]) -> Option<u16> {
    let mut count: u16 = 0;
    while !data.is_empty() {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        Rdata::from_wire(rtype, rdata).ok()?;
        data = rest;
        count = count.checked_add(1)?;
    }
    (count > 0).then_some(count)
}
