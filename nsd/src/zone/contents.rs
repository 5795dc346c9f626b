//! The names and RRsets of one zone.

use foldhash::quality::RandomState;
use std::fmt;

use super::node::{Node, NodeBuf};
use super::rrset::{Rrset, RrsetRef};
use super::trie::{NodePair, Probe, Trie};
use crate::model::{Digest, Name, Rtype, canonical_cmp};

/// The names of one generation of a zone, with their RRsets, except the SOA record, which is in
/// [`Zone`](super::Zone).
///
/// A map from owner name to node. A node exists as long as its name or a name below it has an RRset. So an empty
/// non-terminal (RFC 4592 2.2.2) is a node without RRsets, and a name without a node does not exist (RFC 8020).
///
/// Cloning takes constant time and shares everything; a change copies the few branches on its path in the map.
#[derive(Clone)]
pub struct Contents {
    apex: Name,
    nodes: Trie,
    rrset_count: usize,
    /// How many RRsets hide what is below them: NS at zone cuts, and DNAME.
    divider_count: usize,
    dname_count: usize,
    digest: Digest,
}

impl Contents {
    /// An empty zone with this apex.
    pub fn new(apex: Name) -> Self {
        Contents {
            apex,
            nodes: Trie::new(RandomState::default()),
            rrset_count: 0,
            divider_count: 0,
            dname_count: 0,
            digest: Digest::default(),
        }
    }

    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Adds an RRset or replaces the one of that owner and type. Returns false, and does nothing, if the owner is
    /// outside the zone or the type is SOA.
    pub fn put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset) -> bool {
        let Some(name) = self.relative(owner) else {
            return false;
        };
        if rtype == Rtype::SOA {
            return false;
        }
        let (is_new_name, is_new) = match self.nodes.get(name) {
            Some(node) => {
                let old = node.rrset(rtype);
                if let Some(old) = old {
                    self.digest -= digest(name, rtype, old);
                }
                let is_new = old.is_none();
                self.nodes.put(NodeBuf::with(node, rtype, Some(rrset)));
                (false, is_new)
            }
            None => {
                let node = NodeBuf::new(name, 0);
                self.nodes
                    .put(NodeBuf::with(node.node(), rtype, Some(rrset)));
                (true, true)
            }
        };
        if is_new_name {
            self.link(name);
        }
        self.digest += digest(name, rtype, rrset.as_ref());
        self.rrset_count += usize::from(is_new);
        self.divider_count += usize::from(is_new && divides(name, rtype));
        self.dname_count += usize::from(is_new && rtype == Rtype::DNAME);
        true
    }

    /// Removes an RRset. Returns false if it was not there.
    pub fn remove(&mut self, owner: &Name, rtype: Rtype) -> bool {
        let Some(name) = self.relative(owner) else {
            return false;
        };
        let Some(node) = self.nodes.get(name) else {
            return false;
        };
        let Some(old) = node.rrset(rtype) else {
            return false;
        };
        self.digest -= digest(name, rtype, old);
        let node = NodeBuf::with(node, rtype, None);
        if node.node().is_needed() {
            self.nodes.put(node);
        } else {
            self.nodes.remove(name);
            self.unlink(name);
        }
        self.rrset_count -= 1;
        self.divider_count -= usize::from(divides(name, rtype));
        self.dname_count -= usize::from(rtype == Rtype::DNAME);
        true
    }

    /// The RRset of this owner and type.
    pub fn get(&self, owner: &Name, rtype: Rtype) -> Option<RrsetRef<'_>> {
        self.node(self.relative(owner)?)?.rrset(rtype)
    }

    /// The types of the RRsets at a name.
    pub fn types(&self, owner: &Name) -> Vec<Rtype> {
        let node = self.relative(owner).and_then(|name| self.node(name));
        node.map_or_else(Vec::new, |node| {
            node.rrsets().map(|(rtype, _)| rtype).collect()
        })
    }

    /// All RRsets with owner and type. Owners come in no order, the types of each in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (Name, Rtype, RrsetRef<'_>)> {
        self.rrsets_of(self.nodes.iter())
    }

    /// The same with owners in canonical order (RFC 4034 6.1): a name comes right before all that are below it.
    ///
    /// Sorts pointers to the names first, so it takes time and 16 octets a name as long as it runs, and nothing at
    /// rest. NSEC needs the neighbours of any name at once: for that, signed zones will have to keep an index.
    pub fn iter_canonical(&self) -> impl Iterator<Item = (Name, Rtype, RrsetRef<'_>)> {
        let mut nodes: Vec<Node<'_>> = self.nodes.iter().collect();
        nodes.sort_unstable_by(|a, b| canonical_cmp(a.name(), b.name()));
        self.rrsets_of(nodes.into_iter())
    }

    fn rrsets_of<'z>(
        &'z self,
        nodes: impl Iterator<Item = Node<'z>>,
    ) -> impl Iterator<Item = (Name, Rtype, RrsetRef<'z>)> {
        nodes.flat_map(|node| {
            let owner = self.owner(node);
            (node.rrsets()).map(move |(rtype, rrset)| (owner.clone(), rtype, rrset))
        })
    }

    /// The number of RRsets, without the SOA record.
    pub fn rrset_count(&self) -> usize {
        self.rrset_count
    }

    /// The digest of all RRsets, kept up to date.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Recomputes the digest from the RRsets, each looked up by its name, and compares it with
    /// [`digest`](Self::digest).
    pub fn is_sound(&self) -> bool {
        let mut sum = Digest::default();
        for node in self.nodes.iter() {
            let Some(found) = self.node(node.name()) else {
                return false;
            };
            for (rtype, rrset) in found.rrsets() {
                sum += digest(node.name(), rtype, rrset);
            }
        }
        sum == self.digest
    }

    /// The digest of one RRset; that of nothing if it is not there.
    pub fn digest_of(&self, owner: &Name, rtype: Rtype) -> Digest {
        let rrset = self.relative(owner).zip(self.get(owner, rtype));
        rrset.map_or_else(Digest::default, |(name, rrset)| digest(name, rtype, rrset))
    }

    /// How many of these RRsets are missing in the other zone; their contents may differ.
    pub fn missing_in(&self, other: &Contents) -> usize {
        if self.digest == other.digest {
            return 0;
        }
        let missing = self.differences(other).map(|(node, other)| {
            let types = node.unwrap_or(Node::EMPTY).rrsets();
            let other = other.unwrap_or(Node::EMPTY);
            types
                .filter(|(rtype, _)| other.rrset(*rtype).is_none())
                .count()
        });
        missing.sum()
    }

    /// Adds the RRsets of another version of the zone that are missing here, unless `exclude(type here, type there)`
    /// says that they cannot coexist at one name.
    pub fn fill(&mut self, other: &Contents, exclude: fn(Rtype, Rtype) -> bool) {
        for (owner, rtype, rrset) in other.iter() {
            let here = self.types(&owner);
            let is_free = |here: &Rtype| *here != rtype && !exclude(*here, rtype);
            if here.iter().all(is_free)
                && let Some(rrset) = Rrset::new(rrset.ttl, rrset.rdata())
            {
                self.put(&owner, rtype, &rrset);
            }
        }
    }

    /// The names with all their RRsets, in no order, each as octets for [`Loader::put`]. Other releases may use another
    /// format.
    pub fn octets(&self) -> impl Iterator<Item = &[u8]> {
        self.nodes.iter().map(Node::octets)
    }

    /// The number of names, empty non-terminals included.
    pub fn name_count(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a name, which is relative to the apex and in lower case.
    pub(super) fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        self.nodes.get(name)
    }

    /// All nodes, in no order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.nodes.iter()
    }

    /// The nodes that this zone and another one do not share, each as it is here and there, in no order.
    pub(super) fn differences<'z>(
        &'z self,
        other: &'z Contents,
    ) -> impl Iterator<Item = NodePair<'z>> {
        self.nodes.differences(&other.nodes)
    }

    /// The absolute name of a node.
    pub(super) fn owner(&self, node: Node<'_>) -> Name {
        let owner = Name::from_wire(&[node.name(), self.apex.wire()].concat());
        owner.expect("it was a name when it was put here")
    }

    /// Begins to look up a name, which is relative to the apex and in lower case.
    pub(super) fn probe(&self, name: &[u8]) -> Probe<'_> {
        self.nodes.probe(name)
    }

    /// Whether the zone has a zone cut or a DNAME record, which hide what is below them. If not, a name that exists can
    /// be answered without looking at its ancestors.
    pub(super) fn has_dividers(&self) -> bool {
        self.divider_count > 0
    }

    /// Whether there is a DNAME record. If not, the apex need not be checked for one.
    pub(super) fn has_dnames(&self) -> bool {
        self.dname_count > 0
    }

    /// The labels of a name before the apex; `None` if the name is outside the zone.
    fn relative<'n>(&self, owner: &'n Name) -> Option<&'n [u8]> {
        let len = owner.wire().len().checked_sub(self.apex.wire().len())?;
        owner.is_within(&self.apex).then(|| &owner.wire()[..len])
    }

    /// Counts a new node at its parent. A missing parent is added first, and so on upwards.
    fn link(&mut self, new: &[u8]) {
        let mut name = new;
        while let Some(parent) = parent(name) {
            if self.nodes.change_children(parent, |children| children + 1) {
                return;
            }
            self.nodes.put(NodeBuf::new(parent, 1));
            name = parent;
        }
    }

    /// Subtracts a removed node from its parent's count, and removes the parent too if nothing needs it any more.
    fn unlink(&mut self, gone: &[u8]) {
        let mut name = gone;
        while let Some(parent) = parent(name) {
            self.nodes
                .change_children(parent, |children| children.saturating_sub(1));
            if self.nodes.get(parent).is_none_or(Node::is_needed) {
                return;
            }
            self.nodes.remove(parent);
            name = parent;
        }
    }
}

/// Builds a zone from the octets of [`Contents::octets`].
pub struct Loader {
    /// The apex and the counts; its map is still empty.
    contents: Contents,
    nodes: Vec<NodeBuf>,
}

impl Loader {
    /// A loader for a zone with this apex.
    pub fn new(apex: Name) -> Self {
        Loader {
            contents: Contents::new(apex),
            nodes: Vec::new(),
        }
    }

    /// Adds a name with its RRsets. Returns false if the octets are malformed.
    pub fn put(&mut self, octets: &[u8]) -> bool {
        let contents = &mut self.contents;
        let Some(buffer) = NodeBuf::from_octets(octets, contents.apex.wire()) else {
            return false;
        };
        let node = buffer.node();
        for (rtype, rrset) in node.rrsets() {
            contents.rrset_count += 1;
            contents.divider_count += usize::from(divides(node.name(), rtype));
            contents.dname_count += usize::from(rtype == Rtype::DNAME);
            contents.digest += digest(node.name(), rtype, rrset);
        }
        self.nodes.push(buffer);
        true
    }

    /// The zone; `None` if a name came twice.
    pub fn finish(self) -> Option<Contents> {
        let nodes = Trie::of(self.nodes, RandomState::default())?;
        Some(Contents {
            nodes,
            ..self.contents
        })
    }
}

fn digest(name: &[u8], rtype: Rtype, rrset: RrsetRef<'_>) -> Digest {
    Digest::of_rrset(name, rtype, rrset.ttl, rrset.data)
}

/// Whether records of this type at this name make a zone cut or redirect the names below.
fn divides(name: &[u8], rtype: Rtype) -> bool {
    match rtype {
        Rtype::NS => !name.is_empty(),
        Rtype::DNAME => true,
        _ => false,
    }
}

/// The name one label up; `None` for the apex.
fn parent(name: &[u8]) -> Option<&[u8]> {
    name.get(1 + usize::from(*name.first()?)..)
}

/// The RRsets in canonical order.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter_canonical()).finish()
    }
}
