//! Additional records: what the client would otherwise have to ask for next.
//!
//! They come only from the zone that answers; clients do not trust others (RFC 2181 5.4.1). A wildcard that matches the
//! name counts too, except for NS records, as it would for a query.

use super::answer::Answer;
use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section};
use super::contents::Contents;
use super::name::{self, FoldedName, name_prefix};
use super::node::Node;
use super::referral::ADDRESSES;
use super::rrset::RrsetRef;
use super::walk::{ChainName, Found, node_at, walk, wildcard};
use crate::model::Rtype;

/// Adds the addresses of the names that the records of an answer point to (RFC 1035 3.3.9 and 3.3.11, RFC 1183 1 and
/// 3.3, RFC 2230 3, RFC 2782), and the records that a client of a service needs next (RFC 9460 4.1). `node` has the
/// records.
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
            // The root stands for the owner in a service record in ServiceMode; elsewhere for "no service".
            if is_service && rdata[..2] != [0, 0] {
                put(answer, place, place.owner, node, rtypes);
            }
            continue;
        }
        let contents = place.zone.contents();
        let Some(offset) = name::ancestor_offset(target, contents.apex().wire()) else {
            continue;
        };
        let found = match rtype {
            // Glue counts too: the servers of the zone may be below a zone cut.
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

/// The node of a name, or the wildcard that matches it, where the zone is authoritative.
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

/// Adds the RRsets of these types at a node, if they are not in the answer yet. Returns false if the answer is full.
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
