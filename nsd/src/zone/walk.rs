//! The way down from the apex of a zone to a name.

use arrayvec::ArrayVec;

use super::answer_rrset::Owner;
use super::contents::Contents;
use super::name::{FoldedName, NAME_LEN_MAX};
use super::node::Node;
use super::rrset::RrsetRef;
use super::view::Zone;
use crate::model::Rtype;

/// A name of the chain, and its zone.
pub(super) struct ChainName<'v, 'a> {
    pub(super) zone: &'v Zone,
    /// The index of the label at which the name of the zone begins.
    pub(super) apex: usize,
    pub(super) name: &'a FoldedName,
    /// The same name as it is to be sent.
    pub(super) owner: Owner<'v>,
    /// The name in the question, which owners may refer to.
    pub(super) question: &'a [u8],
}

/// Where the walk down from the apex ends (RFC 1034 4.3.2, step 3); labels are indices.
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
    /// At a name that does not exist; the closest encloser is the last that does (RFC 4592 3.3.1).
    Missing { encloser: usize },
}

/// Walks from the apex, at label index `apex`, towards the name.
///
/// Downwards, so that a long name costs no more lookups than the zone is deep.
pub(super) fn walk<'v>(contents: &'v Contents, name: &FoldedName, apex: usize) -> Found<'v> {
    let is_flat = !contents.has_dividers();
    if is_flat && let Some(node) = contents.node(name.prefix(0, apex)) {
        return Found::Node(node);
    }
    let has_dnames = contents.has_dnames();
    let mut node = Node::EMPTY;
    if apex == 0 || has_dnames {
        // The apex exists, if only for its SOA record.
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
            // At a wildcard, too, if it is asked for itself: RFC 4592 4.2 leaves open what that
            // means, and RFC 1034 4.3.2, step 3b makes no exception.
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

/// The wildcard below the closest encloser of a name that does not exist: its source of synthesis
/// (RFC 4592 3.3.1).
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

/// The node of a name in the zone, be it below a zone cut. The name of the zone begins at this octet of it.
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
