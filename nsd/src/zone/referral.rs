//! A referral, and the addresses of its name servers.

use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section};
use super::contents::Contents;
use super::name::{self, name_prefix};
use super::node::Node;
use super::rrset::RrsetRef;
use super::walk::node_at;
use crate::model::Rtype;

/// What a name is for, if a record points to it.
pub(super) const ADDRESSES: [Rtype; 2] = [Rtype::A, Rtype::AAAA];

/// A zone cut, whose name servers' addresses go with a referral (RFC 9471).
///
/// There may be thousands, so they are looked up one by one as the message is written, and kept nowhere.
#[derive(Clone, Copy)]
pub(super) struct Referral<'v> {
    contents: &'v Contents,
    /// The node at the cut: its name is relative to the apex.
    cut: Node<'v>,
    ns: RrsetRef<'v>,
}

impl<'v> Referral<'v> {
    pub(super) fn new(contents: &'v Contents, cut: Node<'v>, ns: RrsetRef<'v>) -> Self {
        Referral { contents, cut, ns }
    }

    /// Hands out the addresses until `each` says no, and says whether it never did. Those below the cut can be learnt
    /// from nobody else and come first; then those that are in the zone otherwise, as its own data or as glue of another
    /// cut.
    pub(super) fn each_address(self, mut each: impl FnMut(&AnswerRrset<'v>) -> bool) -> bool {
        let mut has_others = false;
        for section in [Section::Glue, Section::Additional] {
            if section == Section::Additional && !has_others {
                break;
            }
            for target in self.ns.rdata().filter_map(name_prefix) {
                let apex = self.contents.apex().wire();
                let Some(offset) = name::find_ancestor(target, apex) else {
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
