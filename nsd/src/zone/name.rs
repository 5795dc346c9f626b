//! Names in queries: in lower case, on the stack, with every ancestor as a slice.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayVec;

use crate::model::Name;

/// The most octets that a name has on the wire (RFC 1035 2.3.4).
pub(super) const NAME_LEN_MAX: usize = 255;

/// A name in lower-case wire form with the offsets of its labels, so that each ancestor is a slice for a lookup that
/// does not allocate.
///
/// Only ASCII letters are changed (RFC 4343). Length octets are at most 63, below all letters.
///
/// Passed by reference and refilled, because it is large.
pub(super) struct FoldedName {
    wire: ArrayVec<u8, NAME_LEN_MAX>,
    // The root label's too: a name of 255 octets has at most 127 labels and the root.
    starts: ArrayVec<u8, 128>,
}

impl FoldedName {
    /// The root.
    pub(super) fn new() -> Self {
        let mut root = FoldedName {
            wire: ArrayVec::new(),
            starts: ArrayVec::new(),
        };
        root.wire.push(0);
        root.starts.push(0);
        root
    }

    /// Sets this to the name in `octets`, which are its uncompressed wire form and nothing else. Returns false if they
    /// are not; then do not use this.
    pub(super) fn fold(&mut self, octets: &[u8]) -> bool {
        self.wire.clear();
        self.starts.clear();
        if self.wire.try_extend_from_slice(octets).is_err() {
            return false;
        }
        self.wire.make_ascii_lowercase();
        let mut at = 0;
        loop {
            match octets.get(at) {
                Some(0) => {
                    self.starts.push(at as u8);
                    return at + 1 == octets.len();
                }
                Some(len @ 1..=63) => {
                    self.starts.push(at as u8);
                    at += 1 + usize::from(*len);
                }
                _ => return false,
            }
        }
    }

    /// The wire form, in lower case.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The number of labels, without the root label.
    pub(super) fn label_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The offset of the label with this index: 0 is the leftmost label, `label_count()` the root.
    pub(super) fn start(&self, label: usize) -> usize {
        usize::from(self.starts[label])
    }

    /// The index of the label that starts at this octet.
    pub(super) fn label_at(&self, start: usize) -> usize {
        self.starts.partition_point(|at| usize::from(*at) < start)
    }

    /// The ancestor that begins with the label with this index.
    pub(super) fn suffix(&self, label: usize) -> &[u8] {
        &self.wire[self.start(label)..]
    }

    /// The labels from one index up to another.
    pub(super) fn prefix(&self, label: usize, end: usize) -> &[u8] {
        &self.wire[self.start(label)..self.start(end)]
    }
}

/// The uncompressed name that `octets` start with, in its original spelling.
pub(crate) fn name_prefix(octets: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let len = usize::from(*octets.get(at)?);
        at += 1 + len;
        match len {
            0 if at <= NAME_LEN_MAX => return Some(&octets[..at]),
            1..=63 => {}
            // Too long, a compression pointer or not a label.
            _ => return None,
        }
    }
}

/// The offset of an ancestor in a name, ignoring case; `None` if it is not one. Both are in uncompressed wire form. A
/// name counts as its own ancestor.
pub(crate) fn ancestor_offset(name: &[u8], ancestor: &[u8]) -> Option<usize> {
    let start = name.len().checked_sub(ancestor.len())?;
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(*name.get(at)?);
    }
    // Otherwise the octets of the ancestor may be there by chance, within a label.
    (at == start && is_same_name(&name[start..], ancestor)).then_some(start)
}

/// Whether two names, or parts of them, are the same, ignoring case.
pub(crate) fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    // Most are spelled alike, and the exact comparison is several times faster.
    one == other || one.eq_ignore_ascii_case(other)
}

/// Whether `name` is `ancestor` or below it.
pub(super) fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    ancestor_offset(name, ancestor).is_some()
}

/// A zone's [`Name`] as the key of a map that is looked up by slices.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApexKey(pub(super) Name);

impl Borrow<[u8]> for ApexKey {
    fn borrow(&self) -> &[u8] {
        self.0.wire()
    }
}

/// Must be the hash of the borrowed slice: the contract of [`Borrow`].
impl Hash for ApexKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.wire().hash(state);
    }
}
