//! Names as a query brings them: on the stack, in lower case, every ancestor a slice away.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use arrayvec::ArrayVec;

use crate::model::Name;

/// The most octets that a name has on the wire (RFC 1035 2.3.4).
pub(super) const NAME_LEN_MAX: usize = 255;

/// A name in lower-case wire form with the places where its labels start, so that each of its
/// ancestors is a slice that the view can be asked for without an allocation.
///
/// Lower case as RFC 4343 means it: ASCII letters only. Label lengths are at most 63 and so are
/// never taken for letters.
///
/// Filled where it stands and not handed about by value, since it is large.
pub(super) struct FoldedName {
    wire: ArrayVec<u8, NAME_LEN_MAX>,
    // Of the root label too: a name of 255 octets has 127 labels at most, and the root.
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

    /// Becomes the name that is the whole of `octets`, in uncompressed wire form. Returns false if
    /// they are no name; then this is none either.
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

    /// How many labels there are, the root label not counted.
    pub(super) fn label_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where the label with this index starts; index 0 is the leftmost label, `label_count()` the
    /// root.
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

/// The uncompressed name that `octets` begin with, spelling kept.
pub(crate) fn name_prefix(octets: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        let len = usize::from(*octets.get(at)?);
        at += 1 + len;
        match len {
            0 if at <= NAME_LEN_MAX => return Some(&octets[..at]),
            1..=63 => {}
            // Too long, a compression pointer or no label at all.
            _ => return None,
        }
    }
}

/// How far into a name its ancestor begins, if it is one, in whatever spelling; both in uncompressed
/// wire form. A name is its own ancestor here.
pub(crate) fn find_ancestor(name: &[u8], ancestor: &[u8]) -> Option<usize> {
    let start = name.len().checked_sub(ancestor.len())?;
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(*name.get(at)?);
    }
    // Not on a label boundary: the octets of the ancestor may be there, within a label.
    (at == start && is_same_name(&name[start..], ancestor)).then_some(start)
}

/// Whether two names, or labels of them, are the same in whatever spelling.
pub(crate) fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    // Most are spelled alike, which takes a fraction of the time to find out.
    one == other || one.eq_ignore_ascii_case(other)
}

/// Whether the first name is the second, or below it.
pub(super) fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    find_ancestor(name, ancestor).is_some()
}

/// A [`Name`] as the key of a map that is asked with slices.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApexKey(pub(super) Name);

impl Borrow<[u8]> for ApexKey {
    fn borrow(&self) -> &[u8] {
        self.0.wire()
    }
}

/// The hash of the slice that this is borrowed as, which [`Borrow`] asks for.
impl Hash for ApexKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.wire().hash(state);
    }
}
