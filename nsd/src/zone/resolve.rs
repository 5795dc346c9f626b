//! From a question to an answer: the algorithm of RFC 1034 4.3.2 over the view, by hash lookups only.
//!
//! One step resolves one name. It ends the answer, or leads to the next name of a chain:
//!
//! ```text
//!              +---------------------------------------------------------+
//!              v                                                         | next name
//!   name -> zone? --none, or the client may not ask it--> REFUSED        |
//!              |                      (first name), or end of chain     |
//!              |                                                         |
//!            walk down from the apex, label by label                     |
//!              |                                                         |
//!              +-- a zone cut on the way ----> delegate: referral        |
//!              +-- a DNAME on the way -------> redirect: DNAME + CNAME --+
//!              +-- the name is there --------> hit ----- CNAME ----------+
//!              |                                ^ +----- the type -> RRset, additional
//!              |                                | +----- neither --> NODATA
//!              +-- no such name ---> miss ------+ wildcard
//!                                     +---------> NXDOMAIN
//! ```

use super::additional;
use super::answer::{Answer, CHAIN_MAX, Question, Rcode, ede};
use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section};
use super::name::{self, FoldedName, NAME_LEN_MAX, name_prefix};
use super::node::Node;
use super::referral::Referral;
use super::rrset::RrsetRef;
use super::view::{View, Zone};
use super::walk::{ChainName, Found, walk, wildcard};
use crate::model::Rtype;
use crate::policy::Decision;

/// Answers a question from the view, whoever asks.
///
/// Neither blocks nor allocates. AXFR and IXFR get NOTIMP here: they are for the caller to handle.
pub fn resolve<'v>(view: &'v View, question: &Question<'_>) -> Answer<'v> {
    let mut answer = Answer::new();
    resolve_into(view, question, &|_| Decision::Allow, &mut answer);
    answer
}

/// Does what [`resolve`] does, into an existing answer. An answer has room for about a hundred RRsets; moving it costs
/// as much as most lookups.
///
/// `admits` decides whether the client may ask a zone that has rules. If it may not ask the zone of the question, it
/// gets REFUSED. A chain of aliases ends before such a zone, as it does where it leaves our zones: the client gets
/// REFUSED once it asks for the next name.
pub fn resolve_into<'v>(
    view: &'v View,
    question: &Question<'_>,
    admits: &dyn Fn(&Zone) -> Decision,
    answer: &mut Answer<'v>,
) {
    let mut name = FoldedName::new();
    if !view.is_ready() {
        answer.reset(Rcode::SERVFAIL, Some(ede::NOT_READY));
    } else if let Some((rcode, ede)) = refusal(question.rtype) {
        answer.reset(rcode, ede);
    } else if !name.fold(question.name) {
        answer.reset(Rcode::FORMERR, None);
    } else {
        answer.reset(Rcode::NOERROR, None);
        Resolver {
            view,
            question,
            admits,
            answer,
        }
        .run(&mut name);
    }
}

/// The response to a type that cannot be asked for here (RFC 6895 3.1); `None` for all others.
fn refusal(rtype: Rtype) -> Option<(Rcode, Option<u16>)> {
    match rtype.0 {
        // NXNAME, which exists only in NSEC bitmaps (RFC 9824 3.5).
        128 => Some((Rcode::FORMERR, Some(ede::INVALID_QUERY_TYPE))),
        41 => Some((Rcode::FORMERR, None)),
        129..=254 => Some((Rcode::NOTIMP, None)),
        _ => None,
    }
}

struct Resolver<'v, 'a> {
    view: &'v View,
    question: &'a Question<'a>,
    admits: &'a dyn Fn(&Zone) -> Decision,
    answer: &'a mut Answer<'v>,
}

impl<'v> Resolver<'v, '_> {
    /// Follows the chain from its first name to the end.
    fn run(&mut self, name: &mut FoldedName) {
        let Some((zone, apex)) = self.find(name) else {
            self.answer.rcode = Rcode::REFUSED;
            self.answer.ede = Some(ede::NOT_AUTHORITATIVE);
            self.answer.consistency = self.view.consistency();
            return;
        };
        // A refusal keeps these promises too: the zone's lists may just have been changed.
        self.answer.consistency = zone.consistency();
        self.answer.is_held = zone.is_held();
        if !zone.rules().are_open() && self.is_refused(zone) {
            return;
        }
        self.answer.zone = Some(zone);
        self.answer.is_authoritative = true;
        let mut next = self.step(&ChainName {
            zone,
            apex,
            name,
            owner: Owner::Question(0),
            question: self.question.name,
        });
        for _ in 0..CHAIN_MAX {
            let Some(owner) = next else { return };
            let wire = self.answer.owner_wire(&owner, self.question.name);
            if self.is_in_chain(wire) || !name.fold(wire) {
                return;
            }
            // The chain leaves our zones: the client goes on elsewhere.
            let Some((zone, apex)) = self.find(name) else {
                return;
            };
            if !zone.rules().are_open() && (self.admits)(zone) != Decision::Allow {
                return;
            }
            self.answer.consistency = self.answer.consistency.stricter(zone.consistency());
            self.answer.is_held |= zone.is_held();
            next = self.step(&ChainName {
                zone,
                apex,
                name,
                owner,
                question: self.question.name,
            });
        }
    }

    /// Makes the answer a refusal if the client may not ask this zone. Returns whether it is one.
    #[cold]
    fn is_refused(&mut self, zone: &Zone) -> bool {
        let Decision::Refuse(ede) = (self.admits)(zone) else {
            return false;
        };
        self.answer.rcode = Rcode::REFUSED;
        self.answer.ede = Some(ede);
        true
    }

    /// The zone to answer from: the nearest one. DS records at its apex are in the parent zone (RFC 4035 3.1.4.1), so
    /// for them it is the nearest zone above that we have. If that one delegates a name between the two, the parent is
    /// a zone that we do not have, and the nearest zone answers after all.
    fn find(&self, name: &FoldedName) -> Option<(&'v Zone, usize)> {
        let (zone, apex) = self.view.find(name, 0)?;
        if self.question.rtype == Rtype::DS
            && apex == 0
            && let Some((parent, apex)) = self.view.find(name, 1)
            && !matches!(
                walk(parent.contents(), name, apex),
                Found::Cut { label: 1.., .. }
            )
        {
            return Some((parent, apex));
        }
        Some((zone, apex))
    }

    /// Whether this is a DS query for the name of one of our zones.
    fn is_ds_query_at_apex(&self, place: &ChainName<'v, '_>) -> bool {
        self.question.rtype == Rtype::DS && self.view.is_apex(place.name)
    }

    /// Whether this name is in the chain already.
    fn is_in_chain(&self, wire: &[u8]) -> bool {
        let question = self.question.name;
        self.answer.listed().iter().any(|entry| {
            entry.rtype == Rtype::CNAME
                && self
                    .answer
                    .owner_wire(&entry.owner, question)
                    .eq_ignore_ascii_case(wire)
        })
    }

    /// Resolves one name. Returns the next one, if the chain goes on.
    fn step(&mut self, place: &ChainName<'v, '_>) -> Option<Owner<'v>> {
        match walk(place.zone.contents(), place.name, place.apex) {
            Found::Node(node) => self.hit(place, node),
            // DS records are on the parent's side of a cut (RFC 4035 3.1.4.1).
            Found::Cut { label: 0, node, .. } if self.question.rtype == Rtype::DS => {
                self.hit(place, node)
            }
            Found::Cut { label, node, ns } => {
                self.delegate(place, label, node, ns);
                None
            }
            Found::Dname { label, rrset } => self.redirect(place, label, rrset),
            // One of our zones that its parent does not delegate: NXDOMAIN would deny all names in it (RFC 8020).
            Found::Missing { .. } if self.is_ds_query_at_apex(place) => {
                self.deny(place);
                None
            }
            Found::Missing { encloser } => self.miss(place, encloser),
        }
    }

    /// The name exists, or a wildcard matches it (RFC 1034 4.3.2, step 3a).
    fn hit(&mut self, place: &ChainName<'v, '_>, node: Node<'v>) -> Option<Owner<'v>> {
        let soa = (place.apex == 0).then(|| (Rtype::SOA, place.zone.soa()));
        let found = match self.question.rtype {
            Rtype::SOA if soa.is_some() => soa,
            // Any one RRset (RFC 8482 4.1).
            Rtype::ANY => node.rrsets().next().or(soa),
            rtype => node.rrset(rtype).map(|rrset| (rtype, rrset)),
        };
        if let Some((rtype, rrset)) = found {
            // A DNAME record that led to its own owner is already in the answer.
            if !self.answer.has_at(rrset, &place.owner, place.question) {
                self.put(Section::Answer, rtype, rrset, place.owner);
            }
            additional::of_answer(self.answer, place, node, rtype, rrset);
            return None;
        }
        let Some(cname) = node.rrset(Rtype::CNAME) else {
            self.deny(place);
            return None;
        };
        self.put(Section::Answer, Rtype::CNAME, cname, place.owner);
        name_prefix(cname.first()).map(Owner::Stored)
    }

    /// The name does not exist: a wildcard below its closest encloser answers (RFC 4592 3.3), or else NXDOMAIN.
    fn miss(&mut self, place: &ChainName<'v, '_>, encloser: usize) -> Option<Owner<'v>> {
        let contents = place.zone.contents();
        if let Some(node) = wildcard(contents, place.name, place.apex, encloser) {
            self.answer.is_synthesized |= matches!(place.owner, Owner::Question(0));
            return self.hit(place, node);
        }
        self.answer.rcode = Rcode::NXDOMAIN;
        self.deny(place);
        None
    }

    /// The name is at or below a zone cut: a referral (RFC 1034 4.3.2, step 3b). The answer is not authoritative,
    /// unless a CNAME record of ours led here (RFC 1034 6.2.7).
    fn delegate(
        &mut self,
        place: &ChainName<'v, '_>,
        label: usize,
        cut: Node<'v>,
        ns: RrsetRef<'v>,
    ) {
        if self.answer.listed().is_empty() {
            self.answer.is_authoritative = false;
        }
        let owner = place.owner.suffix(place.name.start(label));
        self.put(Section::Authority, Rtype::NS, ns, owner);
        self.answer.referral = Some(Referral::new(place.zone.contents(), cut, ns));
    }

    /// The name is below a DNAME record: adds this and the CNAME record synthesized from it (RFC 6672 3.2).
    fn redirect(
        &mut self,
        place: &ChainName<'v, '_>,
        label: usize,
        dname: RrsetRef<'v>,
    ) -> Option<Owner<'v>> {
        let target = name_prefix(dname.first())?;
        self.answer.is_synthesized |= matches!(place.owner, Owner::Question(0));
        let is_listed = self.answer.has(dname);
        if is_listed && name::is_within(target, place.name.suffix(label)) {
            // Its target is below its owner: names would grow until they are too long.
            return None;
        }
        let start = place.name.start(label);
        if !is_listed {
            self.put(
                Section::Answer,
                Rtype::DNAME,
                dname,
                place.owner.suffix(start),
            );
        }
        if start + target.len() > NAME_LEN_MAX {
            self.answer.rcode = Rcode::YXDOMAIN;
            return None;
        }
        let made = self
            .answer
            .synthesize(&place.name.wire()[..start], target)?;
        self.answer.push(AnswerRrset {
            section: Section::Answer,
            rtype: Rtype::CNAME,
            ttl: dname.ttl,
            owner: place.owner,
            records: AnswerRdata::Cname(made),
        });
        // A CNAME query is answered by the CNAME record itself, like by a stored one.
        (self.question.rtype != Rtype::CNAME).then_some(Owner::Synthesized(made))
    }

    /// NODATA or NXDOMAIN: the SOA record tells how long to cache that (RFC 2308 3).
    fn deny(&mut self, place: &ChainName<'v, '_>) {
        self.answer.push(AnswerRrset {
            section: Section::Authority,
            rtype: Rtype::SOA,
            ttl: place.zone.negative_ttl(),
            owner: place.owner.suffix(place.name.start(place.apex)),
            records: AnswerRdata::Set(place.zone.soa()),
        });
    }

    fn put(&mut self, section: Section, rtype: Rtype, rrset: RrsetRef<'v>, owner: Owner<'v>) {
        let records = AnswerRdata::Set(rrset);
        self.answer.push(AnswerRrset {
            section,
            rtype,
            ttl: rrset.ttl,
            owner,
            records,
        });
    }
}
