//! What changed between two versions of a zone, RRset by RRset.

use super::contents::Contents;
use super::node::Node;
use super::rrset::RrsetRef;
use crate::model::{Name, Rtype};

/// One RRset that two versions of a zone do not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrsetChange<'z> {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// The RRset in the old version; `None` if it was added.
    pub old: Option<RrsetRef<'z>>,
    /// The RRset in the new version; `None` if it was removed.
    pub new: Option<RrsetRef<'z>>,
}

impl Contents {
    /// The RRsets in which two versions of one zone differ, in no order; `None` is a zone that does not exist. The SOA
    /// record is not among them, as it is not in the contents. RRsets with the same records in another order differ.
    ///
    /// If one version was cloned from the other and changed, the cost goes with the number of changes.
    pub fn changes<'z>(
        old: Option<&'z Contents>,
        new: Option<&'z Contents>,
    ) -> impl Iterator<Item = RrsetChange<'z>> {
        let both = old.zip(new);
        debug_assert!(both.is_none_or(|(old, new)| old.apex() == new.apex()));
        let changed = both.map(|(old, new)| old.differences(new));
        let removed = old.filter(|_| new.is_none()).map(Contents::nodes);
        let added = new.filter(|_| old.is_none()).map(Contents::nodes);
        let pairs = (changed.into_iter().flatten())
            .chain(removed.into_iter().flatten().map(|node| (Some(node), None)))
            .chain(added.into_iter().flatten().map(|node| (None, Some(node))));
        let zone = old.or(new);
        pairs.flat_map(move |(old, new)| changes_at(zone, old, new))
    }
}

/// The changes at one name. The nodes may differ only in the number of names below, and then there are none.
fn changes_at<'z>(
    zone: Option<&'z Contents>,
    old: Option<Node<'z>>,
    new: Option<Node<'z>>,
) -> impl Iterator<Item = RrsetChange<'z>> {
    let (old, new) = (old.unwrap_or(Node::EMPTY), new.unwrap_or(Node::EMPTY));
    let name = if old.name().is_empty() { new } else { old };
    let of_old = (old.rrsets()).map(move |(rtype, rrset)| (rtype, Some(rrset), new.rrset(rtype)));
    let of_new = (new.rrsets()).map(move |(rtype, rrset)| (rtype, old.rrset(rtype), Some(rrset)));
    let changed = of_old.filter(|(_, old, new)| old != new);
    let added = of_new.filter(|(_, old, _)| old.is_none());
    changed.chain(added).filter_map(move |(rtype, old, new)| {
        Some(RrsetChange {
            owner: zone?.owner(name),
            rtype,
            old,
            new,
        })
    })
}
