//! Addresses that go with an answer or a referral, so that the client need not ask for them.
//!
//! Only from the zone that answers: a client does not believe what another zone says (RFC 2181
//! 5.4.1). And only for names that are there: what a wildcard would make is for the client to ask.

use super::answer::{Answer, Entry, Owner, Records, Section};
use super::name::{self, FoldedName, name_prefix};
use super::node::Node;
use super::resolve::{Found, Place, walk};
use super::rrset::RrsetRef;
use crate::model::Rtype;

/// Adds the addresses of the name servers of a zone cut (RFC 9471).
///
/// Those below the cut can be learnt from nobody else and come first; then those that are in the
/// zone otherwise, as its own data or as glue of another cut.
pub(super) fn of_referral<'v>(
    answer: &mut Answer<'v>,
    place: &Place<'v, '_>,
    cut: usize,
    ns: RrsetRef<'v>,
) {
    let cut = place.name.suffix(cut);
    for section in [Section::Glue, Section::Additional] {
        for target in ns.rdata().filter_map(name_prefix) {
            let is_glue = name::is_within(target, cut);
            if is_glue == (section == Section::Glue) {
                put_addresses(
                    answer,
                    section,
                    Owner::Stored(target),
                    node_at(place, target),
                );
            }
        }
    }
}

/// Adds the addresses of the names that the records of an answer point to (RFC 1035 3.3.9 and
/// 3.3.11, RFC 2782, RFC 9460 4.1). `node` is where the records are.
pub(super) fn of_answer<'v>(
    answer: &mut Answer<'v>,
    place: &Place<'v, '_>,
    node: Node<'v>,
    rtype: Rtype,
    rrset: RrsetRef<'v>,
) {
    let skip = match rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        _ => return,
    };
    for rdata in rrset.rdata() {
        let Some(target) = rdata.get(skip..).and_then(name_prefix) else {
            continue;
        };
        if target == [0] {
            // In a service record the root means the owner, otherwise that there is no service.
            let is_service = matches!(rtype, Rtype::SVCB | Rtype::HTTPS) && rdata[..2] != [0, 0];
            if is_service {
                put_addresses(answer, Section::Additional, place.owner, Some(node));
            }
            continue;
        }
        let found = match rtype {
            // Glue is welcome too: the zone itself is reached through it.
            Rtype::NS => node_at(place, target),
            _ => authoritative_node_at(place, target),
        };
        put_addresses(answer, Section::Additional, Owner::Stored(target), found);
    }
}

/// The node of a name in the zone, be it below a zone cut.
fn node_at<'v>(place: &Place<'v, '_>, target: &[u8]) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    let apex = fold_within(&mut name, place, target)?;
    place.zone.contents().node(name.prefix(0, apex))
}

/// The node of a name that the zone has authority over.
fn authoritative_node_at<'v>(place: &Place<'v, '_>, target: &[u8]) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    let apex = fold_within(&mut name, place, target)?;
    match walk(place.zone.contents(), &name, apex) {
        Found::Node(node) => Some(node),
        _ => None,
    }
}

/// Folds a target, and says at which label the name of the zone begins; none if the target is
/// outside of the zone.
fn fold_within(name: &mut FoldedName, place: &Place<'_, '_>, target: &[u8]) -> Option<usize> {
    let apex = place.name.suffix(place.apex);
    if !name::is_within(target, apex) || !name.fold(target) {
        return None;
    }
    name.label_count()
        .checked_sub(place.name.label_count() - place.apex)
}

/// Adds the addresses at a node, if there is one, that are not in the answer yet.
fn put_addresses<'v>(
    answer: &mut Answer<'v>,
    section: Section,
    owner: Owner<'v>,
    node: Option<Node<'v>>,
) {
    let Some(node) = node else { return };
    for rtype in [Rtype::A, Rtype::AAAA] {
        if let Some(rrset) = node.rrset(rtype)
            && !answer.has(rrset)
        {
            let records = Records::Set(rrset);
            answer.push(Entry {
                section,
                rtype,
                ttl: rrset.ttl,
                owner,
                records,
            });
        }
    }
}
