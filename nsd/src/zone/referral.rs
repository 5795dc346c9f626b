//! A referral, and the addresses of its name servers.

use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section};
use super::contents::Contents;
use super::name::{self, name_prefix};
use super::node::Node;
use super::rrset::RrsetRef;
use super::walk::node_at;
use crate::model::Rtype;

/// The types of addresses.
pub(super) const ADDRESSES: [Rtype; 2] = [Rtype::A, Rtype::AAAA];

/// A zone cut, for a referral with the addresses of its name servers (RFC 9471).
///
/// There may be thousands of addresses, so they are looked up one by one while the message is written.
#[derive(Clone, Copy)]
pub(super) struct Referral<'v> {
    contents: &'v Contents,
    /// The node at the cut.
    cut: Node<'v>,
    ns: RrsetRef<'v>,
}

impl<'v> Referral<'v> {
    pub(super) fn new(contents: &'v Contents, cut: Node<'v>, ns: RrsetRef<'v>) -> Self {
        Referral { contents, cut, ns }
    }

    /// Calls `each` with every address RRset until it returns false; then returns false too. Addresses below the cut
    /// come first, as only this zone can tell them; then others in the zone, be they its own data or glue of another
    /// cut.
    pub(super) fn each_address(self, mut each: impl FnMut(&AnswerRrset<'v>) -> bool) -> bool {
        let mut has_others = false;
        for section in [Section::Glue, Section::Additional] {
            if section == Section::Additional && !has_others {
                break;
            }
            for target in self.ns.rdata().filter_map(name_prefix) {
                let apex = self.contents.apex().wire();
                let Some(offset) = name::ancestor_offset(target, apex) else {
                    continue;
                };
                let is_glue = name::is_within(&target[..offset], self.cut.name());
                if is_glue != (section == Section::Glue) {
                    has_others = true;
                    continue;
                }
                let Some(node) = node_at(self.contents, target, offset) else {
                    continue;
                };
                for rtype in ADDRESSES {
                    if let Some(rrset) = node.rrset(rtype)
                        && !each(&AnswerRrset {
                            section,
                            rtype,
                            ttl: rrset.ttl,
                            owner: Owner::Stored(target),
                            records: AnswerRdata::Set(rrset),
                        })
                    {
                        return false;
                    }
                }
            }
        }
        true
    }
}
