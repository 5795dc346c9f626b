//! The checks of a zone as a whole.

use super::super::name::Name;
use super::super::rtype::Rtype;
use super::super::rules::{self, Around, Violation};
use super::super::zone::Soa;
use super::doubts::doubts;
use super::finding::RrsetFinding;
use super::{Rrsets, dnssec};

/// What the checks of a zone as a whole have found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Errors: no front-end could serve this as the RFCs say.
    pub errors: Vec<RrsetFinding>,
    /// Warnings: this is probably a mistake.
    pub doubts: Vec<RrsetFinding>,
}

/// Checks a zone as a whole.
pub fn examine(apex: &Name, soa: Option<&Soa>, rrsets: &Rrsets) -> Findings {
    let mut broken = broken_rules(apex, rrsets);
    let has_ns = rrsets.contains_key(&(apex.clone(), Rtype::NS));
    for (rtype, is_there) in [(Rtype::SOA, soa.is_some()), (Rtype::NS, has_ns)] {
        if !is_there {
            let missing = Violation::Missing(apex.clone(), rtype);
            broken.push((apex, rtype, missing));
        }
    }
    let errors = broken
        .into_iter()
        .map(|(owner, rtype, violation)| RrsetFinding::new(owner, rtype, violation.to_string()));
    Findings {
        errors: errors.chain(dnssec::finding(rrsets)).collect(),
        doubts: doubts(apex, soa, rrsets),
    }
}

/// The rules that these RRsets break, and nothing else that [`examine`] finds. For zones that an import or a move would
/// make.
pub fn violations(apex: &Name, rrsets: &Rrsets) -> Vec<Violation> {
    let broken = broken_rules(apex, rrsets);
    broken
        .into_iter()
        .map(|(.., violation)| violation)
        .collect()
}

/// What stands around an owner, of the RRsets that the walk has visited so far. Of two RRsets that clash only the one
/// visited later is reported.
struct Seen<'z> {
    types: Vec<Rtype>,
    dname_above: Option<&'z Name>,
}

impl Around for Seen<'_> {
    fn types(&self) -> impl Iterator<Item = Rtype> {
        self.types.iter().copied()
    }

    fn dname_above(&self) -> Option<&Name> {
        self.dname_above
    }

    fn name_below(&self) -> Option<&Name> {
        // The name below is visited later, and then finds the DNAME record above it.
        None
    }
}

fn broken_rules<'z>(apex: &Name, rrsets: &'z Rrsets) -> Vec<(&'z Name, Rtype, Violation)> {
    let mut found = Vec::new();
    let mut seen = Seen {
        types: Vec::new(),
        dname_above: None,
    };
    let mut keys = rrsets.keys().peekable();
    while let Some((owner, first)) = keys.next() {
        let mut types = vec![*first];
        while let Some((_, rtype)) = keys.next_if(|(next, _)| next == owner) {
            types.push(*rtype);
        }
        // In canonical order all names below a DNAME come right after it.
        seen.dname_above = seen.dname_above.filter(|dname| owner.is_within(dname));
        seen.types.clear();
        // Clashes are reported at the CNAME or the DNAME record.
        types.sort_by_key(|rtype| (*rtype == Rtype::CNAME, *rtype == Rtype::DNAME));
        for rtype in types {
            let broken = rules::violations(apex, owner, rtype, &seen);
            found.extend(broken.map(|violation| (owner, rtype, violation)));
            seen.types.push(rtype);
        }
        if seen.dname_above.is_none() && seen.has(Rtype::DNAME) {
            seen.dname_above = Some(owner);
        }
    }
    found
}
