//! The walk from the apex of a zone down to a name.

use arrayvec::ArrayVec;

use super::answer_rrset::Owner;
use super::contents::Contents;
use super::name::{FoldedName, NAME_LEN_MAX};
use super::node::Node;
use super::rrset::RrsetRef;
use super::view::Zone;
use crate::model::Rtype;

/// One name in the chain of aliases that starts at the question, and its zone.
pub(super) struct ChainName<'v, 'a> {
    pub(super) zone: &'v Zone,
    /// The index of the label at which the zone's name starts.
    pub(super) apex: usize,
    pub(super) name: &'a FoldedName,
    /// The same name, in the spelling to send.
    pub(super) owner: Owner<'v>,
    /// The name in the question, which an [`Owner`] may refer to.
    pub(super) question: &'a [u8],
}

/// Where the walk ends (RFC 1034 4.3.2, step 3). Labels are indices.
pub(super) enum Found<'v> {
    /// At the name itself.
    Node(Node<'v>),
    /// At a zone cut, at or above the name.
    Cut {
        label: usize,
        node: Node<'v>,
        ns: RrsetRef<'v>,
    },
    /// At a DNAME record above the name.
    Dname { label: usize, rrset: RrsetRef<'v> },
    /// The name does not exist; the closest encloser is the last name on the way that does (RFC 4592 3.3.1).
    Missing { encloser: usize },
}

/// Walks from the apex, at label index `apex`, down to the name. Top-down, so that the depth of the zone bounds the
/// number of lookups, not the length of the name.
pub(super) fn walk<'v>(contents: &'v Contents, name: &FoldedName, apex: usize) -> Found<'v> {
    let is_flat = !contents.has_dividers();
    if is_flat && let Some(node) = contents.node(name.prefix(0, apex)) {
        return Found::Node(node);
    }
    let has_dnames = contents.has_dnames();
    let mut node = Node::EMPTY;
    if apex == 0 || has_dnames {
        // The apex exists even if it has no node: the SOA record is not in the contents.
        node = contents.node(&[]).unwrap_or(Node::EMPTY);
    }
    for label in (0..=apex).rev() {
        if label < apex {
            if is_flat && label == 0 {
                return Found::Missing { encloser: 1 };
            }
            match contents.node(name.prefix(label, apex)) {
                Some(below) => node = below,
                None => {
                    return Found::Missing {
                        encloser: label + 1,
                    };
                }
            }
            // Also at a wildcard that is queried itself: RFC 4592 4.2 leaves open what NS records mean there, and
            // RFC 1034 4.3.2, step 3b makes no exception.
            if let Some(ns) = node.rrset(Rtype::NS) {
                return Found::Cut { label, node, ns };
            }
        }
        if has_dnames
            && label > 0
            && let Some(rrset) = node.rrset(Rtype::DNAME)
        {
            return Found::Dname { label, rrset };
        }
    }
    Found::Node(node)
}

/// The wildcard below the closest encloser: the source of synthesis for a name that does not exist (RFC 4592 3.3.1).
pub(super) fn wildcard<'v>(
    contents: &'v Contents,
    name: &FoldedName,
    apex: usize,
    encloser: usize,
) -> Option<Node<'v>> {
    let mut wildcard = ArrayVec::<u8, { NAME_LEN_MAX + 2 }>::new();
    wildcard.extend(*b"\x01*");
    wildcard.extend(name.prefix(encloser, apex).iter().copied());
    contents.node(&wildcard)
}

/// The node of a name, or the wildcard that matches it, also below a zone cut. The zone's name starts at `offset`.
pub(super) fn node_at<'v>(
    contents: &'v Contents,
    target: &[u8],
    offset: usize,
) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    if !name.fold(target) {
        return None;
    }
    if let Some(node) = contents.node(&name.wire()[..offset]) {
        return Some(node);
    }
    let apex = name.label_at(offset);
    let exists = |label: &usize| contents.node(name.prefix(*label, apex)).is_some();
    let encloser = (1..=apex).find(exists)?;
    wildcard(contents, &name, apex, encloser)
}
