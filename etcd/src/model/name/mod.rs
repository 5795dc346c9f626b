//! Domain names in canonical form.

mod error;
mod text;

use std::cmp::Ordering;

pub use error::NameError;
use error::Reason;
pub(crate) use text::{parse_onto, parse_relative, write_label, write_wire};

/// An absolute domain name, in lower case: the form that owners are stored, compared and hashed in
/// (RFC 4343).
///
/// It holds the uncompressed wire form of RFC 1035 3.1, at most 255 octets with the root label. The order is canonical
/// (RFC 4034 6.1): in a sorted list, the descendants of a name follow right after it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Name(Box::new([0]))
    }

    /// Takes a name in uncompressed wire form, which must be the whole of `wire`.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        match wire_len(wire) {
            Some(len) if len == wire.len() => Ok(Name(wire.to_ascii_lowercase().into())),
            _ => Err(NameError(Reason::Wire)),
        }
    }

    /// The wire form, root label included.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The labels, leftmost first, without the root label.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// The number of labels, without the root label.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Name> {
        (!self.is_root()).then(|| Name(self.0[1 + usize::from(self.0[0])..].into()))
    }

    /// The name itself, then its parent, and so on up to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Name> {
        std::iter::successors(Some(self.clone()), Name::parent)
    }

    /// Whether this name is `other` or below it.
    pub fn is_within(&self, other: &Name) -> bool {
        let Some(start) = self.0.len().checked_sub(other.0.len()) else {
            return false;
        };
        self.0[start..] == *other.0 && label_starts(&self.0).any(|at| at == start)
    }

    /// Builds the name that has `labels` (leftmost first) in front of `suffix`.
    pub fn from_labels<'a>(
        labels: impl Iterator<Item = &'a [u8]>,
        suffix: &Name,
    ) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(64);
        for label in labels {
            push_label(&mut wire, label)?;
        }
        wire.extend_from_slice(&suffix.0);
        Name::check_len(&wire)?;
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }

    fn check_len(wire: &[u8]) -> Result<(), NameError> {
        if wire.len() > 255 {
            Err(NameError(Reason::LongName))
        } else {
            Ok(())
        }
    }
}

/// The labels of a name, leftmost first.
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.0 = rest;
        Some(label)
    }
}

/// The length of the uncompressed name at the start of `octets`, or none if there is no name.
pub(crate) fn wire_len(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*octets.get(at)?);
        at += 1 + len;
        match len {
            0 => return (at <= 255).then_some(at),
            1..=63 => {}
            _ => return None,
        }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        canonical_cmp(&self.0, &other.0)
    }
}

/// Compares two names in canonical order (RFC 4034 6.1): label by label from the right, octet by octet. Both are in
/// lower-case wire form, either absolute or relative to the same name.
pub fn canonical_cmp(ours: &[u8], theirs: &[u8]) -> Ordering {
    // Names have at most 127 labels: two small arrays on the stack save the allocations.
    let starts = |name: &[u8]| {
        let (mut starts, mut count) = ([0u8; 128], 0);
        for (slot, at) in starts.iter_mut().zip(label_starts(name)) {
            *slot = at as u8;
            count += 1;
        }
        (starts, count)
    };
    let ((our_starts, our_count), (their_starts, their_count)) = (starts(ours), starts(theirs));
    let label = |name: &'_ [u8], at: u8| {
        let at = usize::from(at);
        (at + 1, at + 1 + usize::from(name[at]))
    };
    let our_labels = our_starts[..our_count].iter().rev();
    for (&a, &b) in our_labels.zip(their_starts[..their_count].iter().rev()) {
        let (from, to) = label(ours, a);
        let (other_from, other_to) = label(theirs, b);
        match ours[from..to].cmp(&theirs[other_from..other_to]) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    our_count.cmp(&their_count)
}

/// Where the labels of a name in wire form start, the root label included if it is there.
fn label_starts(name: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let here = at;
        let len = usize::from(*name.get(here)?);
        at = here + 1 + len;
        Some(here)
    })
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn push_label(out: &mut Vec<u8>, label: &[u8]) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError(Reason::EmptyLabel)),
        len @ 1..=63 => {
            out.push(len as u8);
            out.extend_from_slice(label);
            Ok(())
        }
        _ => Err(NameError(Reason::LongLabel)),
    }
}

#[cfg(test)]
mod tests;
