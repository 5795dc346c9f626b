//! What differs and why: the one list of differences that are none, or that are the others'.

use std::collections::BTreeSet;

use etcd::model::{Name, Rtype};

use super::peers::Kind;
use super::query::Query;
use super::world::File;
use crate::response::{Record, Response};

/// A difference that may be there.
pub(super) struct Rule {
    pub(super) reason: &'static str,
    kinds: &'static [Kind],
    how: How,
}

enum How {
    /// Changes the peer's response as if it had not the habit.
    Adapt(fn(&Case<'_>, &mut Response)),
    /// Whether the whole difference comes from it.
    Skip(fn(&Case<'_>) -> bool),
}

/// A question to one peer, and both answers.
pub(super) struct Case<'a> {
    pub(super) files: &'a [File],
    pub(super) query: &'a Query,
    pub(super) kind: Kind,
    pub(super) ours: &'a Response,
    pub(super) theirs: &'a Response,
}

const RULES: &[Rule] = &[
    Rule {
        reason: "where an alias leads back to a name, both send its record again",
        kinds: &Kind::ALL,
        how: How::Adapt(send_once),
    },
    Rule {
        reason: "RFC 8482 4.1: any RRset answers ANY; Knot sends all, NSD another one",
        kinds: &Kind::ALL,
        how: How::Adapt(any_will_do),
    },
    Rule {
        reason: "truncated for all: what is left counts for nothing (RFC 2181 9)",
        kinds: &Kind::ALL,
        how: How::Adapt(truncated_counts_not),
    },
    Rule {
        reason: "NSD adds the zone's NS records to answers, which nothing asks for (RFC 1034 4.3.2)",
        kinds: &[Kind::Nsd],
        how: How::Adapt(leave_out_apex_ns),
    },
    Rule {
        reason: "RFC 9460 4.1: NSD 4.6 adds no addresses to SVCB and HTTPS records",
        kinds: &[Kind::Nsd],
        how: How::Adapt(|case, theirs| add_to(&[Rtype::SVCB, Rtype::HTTPS], case, theirs)),
    },
    Rule {
        reason: "RFC 7505 3, RFC 2782: the root as a target means that there is no service; both add its addresses",
        kinds: &Kind::ALL,
        how: How::Adapt(leave_out_root),
    },
    Rule {
        reason: "RFC 2230 3: Knot adds no addresses to KX records",
        kinds: &[Kind::Knot],
        how: How::Adapt(|case, theirs| add_to(&[Rtype::KX], case, theirs)),
    },
    Rule {
        reason: "Knot adds addresses under the wildcard's own name, not the one it makes (RFC 4592 3.3.1)",
        kinds: &[Kind::Knot],
        how: How::Adapt(make_names),
    },
    Rule {
        reason: "Knot adds records that are in the answer already",
        kinds: &[Kind::Knot],
        how: How::Adapt(add_no_answer),
    },
    Rule {
        reason: "a chain without end is cut after so many links by each",
        kinds: &Kind::ALL,
        how: How::Skip(is_endless),
    },
    Rule {
        reason: "Knot makes a zone cut of each name that a wildcard with NS records makes (RFC 4592 4.2 leaves it open)",
        kinds: &[Kind::Knot],
        how: How::Skip(is_wildcard_cut),
    },
    Rule {
        reason: "Knot follows no alias from one zone into another",
        kinds: &[Kind::Knot],
        how: How::Skip(is_unfollowed),
    },
    Rule {
        reason: "Knot takes an asterisk label within a name for a wildcard's, and changes the owner of a DNAME record (RFC 4592 2.1.3)",
        kinds: &[Kind::Knot],
        how: How::Skip(is_moved_dname),
    },
    Rule {
        reason: "NSD has one tree for all zones: it takes what another has below an apex for a closest encloser or a wildcard",
        kinds: &[Kind::Nsd],
        how: How::Skip(is_in_other_zone),
    },
    Rule {
        reason: "RFC 9471 3.1: NSD 4.6 does not say that it left out glue",
        kinds: &[Kind::Nsd],
        how: How::Skip(is_glue_left_out),
    },
    Rule {
        reason: "RFC 4035 3.1.4.1: the DS records of an apex whose parent is elsewhere: \"no data\", where both refer",
        kinds: &Kind::ALL,
        how: How::Skip(is_apex_of_elsewhere),
    },
];

/// Explains a difference away, and gives the reasons; none if something remains.
pub(super) fn explain(case: &Case<'_>) -> Option<Vec<&'static str>> {
    let mut theirs = case.theirs.clone();
    let mut reasons = Vec::new();
    let rules = || RULES.iter().filter(|rule| rule.kinds.contains(&case.kind));
    for rule in rules() {
        if let How::Adapt(adapt) = rule.how {
            let before = theirs.clone();
            adapt(case, &mut theirs);
            if theirs != before {
                reasons.push(rule.reason);
            }
        }
    }
    if theirs == *case.ours {
        return Some(reasons);
    }
    let skips = |rule: &&Rule| matches!(rule.how, How::Skip(is_it) if is_it(case));
    Some(vec![rules().find(skips)?.reason])
}

fn send_once(_: &Case<'_>, theirs: &mut Response) {
    for section in [
        &mut theirs.answer,
        &mut theirs.authority,
        &mut theirs.additional,
    ] {
        section.dedup();
    }
}

fn any_will_do(case: &Case<'_>, theirs: &mut Response) {
    let (ours, theirs_has) = (case.ours, &theirs.answer);
    let is_part = ours.answer.iter().all(|record| theirs_has.contains(record));
    let is_other = theirs_has
        .iter()
        .all(|record| record.owner == theirs_has[0].owner);
    let is_answer = !theirs_has.is_empty() && !ours.answer.is_empty();
    if case.query.rtype == Rtype::ANY && is_answer && (is_part || is_other) {
        theirs.answer = ours.answer.clone();
        theirs.authority = ours.authority.clone();
        theirs.additional = ours.additional.clone();
    }
}

fn truncated_counts_not(case: &Case<'_>, theirs: &mut Response) {
    if case.ours.tc && theirs.tc {
        theirs.answer = case.ours.answer.clone();
        theirs.authority = case.ours.authority.clone();
        theirs.additional = case.ours.additional.clone();
    }
}

fn leave_out_apex_ns(case: &Case<'_>, theirs: &mut Response) {
    let is_apex = |owner: &[u8]| case.files.iter().any(|file| file.apex.wire() == owner);
    let is_apex_ns = |record: &Record| is_ns(record) && is_apex(&record.owner);
    if theirs.rcode != 0 || theirs.answer.is_empty() || !theirs.authority.iter().all(is_apex_ns) {
        return;
    }
    let servers: BTreeSet<Vec<u8>> = theirs
        .authority
        .drain(..)
        .map(|record| record.rdata)
        .collect();
    let wanted = |record: &Record| case.ours.additional.contains(record);
    theirs
        .additional
        .retain(|record| wanted(record) || !servers.contains(&record.owner));
}

fn leave_out_root(case: &Case<'_>, theirs: &mut Response) {
    let is_service = |record: &Record| [Rtype::MX.0, Rtype::SRV.0].contains(&record.rtype);
    if case.ours.answer.iter().any(is_service) {
        theirs.additional.retain(|record| record.owner != [0]);
    }
}

/// Adds what we add to an answer of these types, if nothing is there.
fn add_to(rtypes: &[Rtype], case: &Case<'_>, theirs: &mut Response) {
    let is_it = |record: &Record| rtypes.contains(&Rtype(record.rtype));
    if theirs.additional.is_empty() && case.ours.answer.iter().any(is_it) {
        theirs.additional = case.ours.additional.clone();
    }
}

fn make_names(case: &Case<'_>, theirs: &mut Response) {
    for record in &case.ours.additional {
        let same = theirs.additional.iter_mut().find(|other| {
            other.owner.starts_with(b"\x01*")
                && (other.rtype, other.ttl, &other.rdata)
                    == (record.rtype, record.ttl, &record.rdata)
                && record.owner.ends_with(&other.owner[2..])
        });
        if let Some(same) = same
            && !case.theirs.additional.contains(record)
        {
            same.owner.clone_from(&record.owner);
        }
    }
    theirs.additional.sort();
}

fn add_no_answer(_: &Case<'_>, theirs: &mut Response) {
    let answer = &theirs.answer;
    theirs.additional.retain(|record| !answer.contains(record));
}

fn is_endless(case: &Case<'_>) -> bool {
    let (ours, theirs) = (&case.ours.answer, &case.theirs.answer);
    let (fewer, more) = if ours.len() < theirs.len() {
        (ours, theirs)
    } else {
        (theirs, ours)
    };
    let is_alias = |record: &Record| [Rtype::CNAME.0, Rtype::DNAME.0].contains(&record.rtype);
    let links = fewer
        .iter()
        .filter(|record| record.rtype == Rtype::CNAME.0)
        .count();
    case.ours.rcode == case.theirs.rcode
        && case.ours.authority.is_empty()
        && links >= 5
        && more.iter().all(is_alias)
        && fewer.iter().all(|record| more.contains(record))
}

fn is_wildcard_cut(case: &Case<'_>) -> bool {
    let is_it = |record: &Record| is_ns(record) && record.owner.starts_with(b"\x01*");
    case.theirs.authority.iter().any(is_it)
}

fn is_unfollowed(case: &Case<'_>) -> bool {
    let apex = |name: &Name| case.zone(name).map(|zone| &zone.apex);
    let leads_away = |record: &Record| {
        let owner = Name::from_wire(&record.owner).unwrap();
        target(record)
            .is_some_and(|target| apex(&target).is_some() && apex(&target) != apex(&owner))
    };
    case.theirs.answer.iter().any(leads_away)
}

fn is_moved_dname(case: &Case<'_>) -> bool {
    let ours = &case.ours.answer;
    let is_moved = |record: &Record| {
        let is_same = |other: &Record| other.rtype == record.rtype && other.rdata == record.rdata;
        record.rtype == Rtype::DNAME.0
            && record.owner == case.query.name().wire()
            && !ours.contains(record)
            && ours
                .iter()
                .any(|other| is_same(other) && other.owner.starts_with(b"\x01*"))
    };
    case.theirs.answer.iter().any(is_moved)
}

fn is_in_other_zone(case: &Case<'_>) -> bool {
    let mut chain = vec![case.query.name()];
    chain.extend(case.ours.answer.iter().filter_map(target));
    chain.iter().any(|name| {
        let Some(zone) = case.zone(name) else {
            return false;
        };
        let has = |file: &File, name: &Name| file.owners.iter().any(|owner| owner.is_within(name));
        let is_others = |name: &Name| {
            let mut others = case.files.iter().filter(|file| file.apex != zone.apex);
            !has(zone, name) && others.any(|file| has(file, name))
        };
        let wildcard = |name: &Name| Name::from_labels([&b"*"[..]].into_iter(), name);
        let mut names = name
            .ancestors()
            .take_while(|name| name.is_within(&zone.apex));
        names.any(|name| is_others(&name) || wildcard(&name).is_ok_and(|name| is_others(&name)))
    })
}

fn is_glue_left_out(case: &Case<'_>) -> bool {
    let (ours, theirs) = (case.ours, case.theirs);
    ours.tc && !theirs.tc && ours.authority == theirs.authority && ours.authority.iter().all(is_ns)
}

fn is_apex_of_elsewhere(case: &Case<'_>) -> bool {
    let name = case.query.name();
    let is_apex = case.files.iter().any(|file| file.apex == name);
    let is_above = |record: &Record| {
        is_ns(record) && record.owner != name.wire() && name.wire().ends_with(&record.owner)
    };
    case.query.rtype == Rtype::DS && is_apex && case.theirs.authority.iter().any(is_above)
}

fn is_ns(record: &Record) -> bool {
    record.rtype == Rtype::NS.0
}

/// Where an alias leads.
fn target(record: &Record) -> Option<Name> {
    let is_alias = record.rtype == Rtype::CNAME.0;
    is_alias.then(|| Name::from_wire(&record.rdata).unwrap())
}

impl Case<'_> {
    /// The zone that a name is in.
    fn zone(&self, name: &Name) -> Option<&File> {
        let zones = self.files.iter().filter(|file| name.is_within(&file.apex));
        zones.max_by_key(|file| file.apex.label_count())
    }
}
