//! Addresses that go with an answer or a referral, so that the client need not ask for them.
//!
//! Only from the zone that answers: a client does not believe what another zone says (RFC 2181
//! 5.4.1). Of names that a wildcard makes as of those that are there: it would be their answer.

use super::answer::{Answer, Entry, Owner, Records, Section};
use super::name::{self, FoldedName, name_prefix};
use super::node::Node;
use super::resolve::{Found, Place, walk, wildcard};
use super::rrset::RrsetRef;
use crate::model::Rtype;

/// What a name is for, if a record points to it.
const ADDRESSES: [Rtype; 2] = [Rtype::A, Rtype::AAAA];

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
                let found = node_at(place, target);
                put(
                    answer,
                    place,
                    section,
                    Owner::Stored(target),
                    found,
                    &ADDRESSES,
                );
            }
        }
    }
}

/// Adds the addresses of the names that the records of an answer point to (RFC 1035 3.3.9 and
/// 3.3.11, RFC 1183 1 and 3.3, RFC 2230 3, RFC 2782), and what service records lead to (RFC 9460
/// 4.1). `node` is where the records are.
pub(super) fn of_answer<'v>(
    answer: &mut Answer<'v>,
    place: &Place<'v, '_>,
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
                put(
                    answer,
                    place,
                    Section::Additional,
                    place.owner,
                    Some(node),
                    rtypes,
                );
            }
            continue;
        }
        let found = match rtype {
            // Glue is welcome too: the zone itself is reached through it.
            Rtype::NS => node_at(place, target),
            _ => authoritative_node_at(place, target),
        };
        let owner = Owner::Stored(target);
        put(answer, place, Section::Additional, owner, found, rtypes);
    }
}

/// The node of a name in the zone, be it below a zone cut.
fn node_at<'v>(place: &Place<'v, '_>, target: &[u8]) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    let apex = fold_within(&mut name, place, target)?;
    let contents = place.zone.contents();
    if let Some(node) = contents.node(name.prefix(0, apex)) {
        return Some(node);
    }
    let exists = |label: &usize| contents.node(name.prefix(*label, apex)).is_some();
    let encloser = (1..=apex).find(exists)?;
    wildcard(contents, &name, apex, encloser)
}

/// The node of a name that the zone has authority over.
fn authoritative_node_at<'v>(place: &Place<'v, '_>, target: &[u8]) -> Option<Node<'v>> {
    let mut name = FoldedName::new();
    let apex = fold_within(&mut name, place, target)?;
    let contents = place.zone.contents();
    match walk(contents, &name, apex) {
        Found::Node(node) => Some(node),
        Found::Missing { encloser } => wildcard(contents, &name, apex, encloser),
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

/// Adds the RRsets of these types at a node, if there is one, that are not in the answer yet.
fn put<'v>(
    answer: &mut Answer<'v>,
    place: &Place<'v, '_>,
    section: Section,
    owner: Owner<'v>,
    node: Option<Node<'v>>,
    rtypes: &[Rtype],
) {
    let Some(node) = node else { return };
    for &rtype in rtypes {
        if let Some(rrset) = node.rrset(rtype)
            && !answer.has_at(rrset, &owner, place.question)
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
