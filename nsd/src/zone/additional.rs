//! Addresses that go with an answer, so that the client need not ask for them.
//!
//! Only from the zone that answers: a client does not believe what another zone says (RFC 2181
//! 5.4.1). Of names that a wildcard makes as of those that are there: it would be their answer.

use super::answer::Answer;
use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section};
use super::contents::Contents;
use super::name::{self, FoldedName, name_prefix};
use super::node::Node;
use super::referral::ADDRESSES;
use super::rrset::RrsetRef;
use super::walk::{ChainName, Found, node_at, walk, wildcard};
use crate::model::Rtype;

/// Adds the addresses of the names that the records of an answer point to (RFC 1035 3.3.9 and
/// 3.3.11, RFC 1183 1 and 3.3, RFC 2230 3, RFC 2782), and what service records lead to (RFC 9460
/// 4.1). `node` is where the records are.
pub(super) fn of_answer<'v>(
    answer: &mut Answer<'v>,
    place: &ChainName<'v, '_>,
    node: Node<'v>,
    rtype: Rtype,
    rrset: RrsetRef<'v>,
) {
    let skip = match rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        _ => return,
    };
    let is_service = matches!(rtype, Rtype::SVCB | Rtype::HTTPS);
    let service = [Rtype::A, Rtype::AAAA, rtype];
    let rtypes = if is_service { &service } else { &ADDRESSES[..] };
    for rdata in rrset.rdata() {
        let Some(target) = rdata.get(skip..).and_then(name_prefix) else {
            continue;
        };
        if target == [0] && rtype != Rtype::NS {
            // In a service record the root means the owner, otherwise that there is no service.
            if is_service && rdata[..2] != [0, 0] {
                put(answer, place, place.owner, node, rtypes);
            }
            continue;
        }
        let contents = place.zone.contents();
        let Some(offset) = name::find_ancestor(target, contents.apex().wire()) else {
            continue;
        };
        let found = match rtype {
            // Glue is welcome too: the zone itself is reached through it.
            Rtype::NS => node_at(contents, target, offset),
            _ => authoritative_node_at(contents, target, offset),
        };
        if let Some(node) = found
            && !put(answer, place, Owner::Stored(target), node, rtypes)
        {
            return;
        }
    }
}

/// The node of a name that the zone has authority over.
fn authoritative_node_at<'v>(
    contents: &'v Contents,
    target: &[u8],
    offset: usize,
) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    if !name.fold(target) {
        return None;
    }
    let apex = name.label_at(offset);
    match walk(contents, &name, apex) {
        Found::Node(node) => Some(node),
        Found::Missing { encloser } => wildcard(contents, &name, apex, encloser),
        _ => None,
    }
}

/// Adds the RRsets of these types at a node that are not in the answer yet. False where there is no room for more.
fn put<'v>(
    answer: &mut Answer<'v>,
    place: &ChainName<'v, '_>,
    owner: Owner<'v>,
    node: Node<'v>,
    rtypes: &[Rtype],
) -> bool {
    for &rtype in rtypes {
        if let Some(rrset) = node.rrset(rtype)
            && !answer.has_at(rrset, &owner, place.question)
            && !answer.push(AnswerRrset {
                section: Section::Additional,
                rtype,
                ttl: rrset.ttl,
                owner,
                records: AnswerRdata::Set(rrset),
            })
        {
            return false;
        }
    }
    true
}
