//! Warnings about a zone: what is valid, but probably a mistake.

mod spelling;
mod wildcards;

use std::collections::BTreeSet;

use super::super::name::Name;
use super::super::rdata::Rdata;
use super::super::rrset::Rrset;
use super::super::rtype::Rtype;
use super::super::rules::can_be_in_delegation;
use super::super::zone::Soa;
use super::Rrsets;
use super::finding::RrsetFinding;

/// Finds probable mistakes in a zone. The warnings about one owner only depend on the RRsets at [`names_around`] it,
/// and on whether these names have others below them.
pub fn doubts(apex: &Name, soa: Option<&Soa>, rrsets: &Rrsets) -> Vec<RrsetFinding> {
    let mut search = Search {
        apex,
        rrsets,
        found: Vec::new(),
    };
    if let Some(soa) = soa {
        search.soa(soa);
    }
    let mut cut: Option<&Name> = None;
    for ((owner, rtype), rrset) in rrsets {
        cut = cut.filter(|cut| owner.is_within(cut));
        search.hidden(owner, *rtype, cut);
        if *rtype == Rtype::NS && owner != apex && cut.is_none() && !is_wildcard(owner) {
            cut = Some(owner);
        }
        search.rrset(owner, *rtype, rrset);
    }
    let mut wildcards: Vec<&Name> = rrsets.keys().map(|(owner, _)| owner).collect();
    wildcards.retain(|owner| is_wildcard(owner));
    wildcards.dedup();
    for wildcard in wildcards {
        search.shadowed(wildcard);
    }
    search.found
}

/// The names whose RRsets decide which warnings there are about these records at `owner`.
pub fn names_around(apex: &Name, owner: &Name, rtype: Rtype, rdata: &[Rdata]) -> BTreeSet<Name> {
    let targets = rdata.iter().flat_map(|rdata| rdata.names(rtype));
    let mut names = BTreeSet::new();
    for start in targets.chain([owner.clone()]) {
        if !start.is_within(apex) {
            continue;
        }
        for name in start.ancestors() {
            let is_apex = name == *apex;
            names.extend(name.parent().filter(|_| !is_apex).and_then(wildcard_below));
            names.insert(name);
            if is_apex {
                break;
            }
        }
    }
    names
}

fn wildcard_below(name: Name) -> Option<Name> {
    Name::from_labels([&b"*"[..]].into_iter(), &name).ok()
}

fn is_wildcard(name: &Name) -> bool {
    name.labels().next() == Some(b"*")
}

/// What a name in rdata leads to.
enum Target {
    /// It is in another zone, whose records we do not know.
    Elsewhere,
    /// It is below a zone cut.
    BelowCut,
    /// A DNAME record above it redirects it.
    Redirected,
    /// The records of this name: the target itself, or the wildcard that matches it.
    Records(Name),
    /// The name does not exist.
    Nothing,
}

struct Search<'z> {
    apex: &'z Name,
    rrsets: &'z Rrsets,
    found: Vec<RrsetFinding>,
}

impl Search<'_> {
    fn doubt(&mut self, owner: &Name, rtype: Rtype, reason: String) {
        self.found.push(RrsetFinding::new(owner, rtype, reason));
    }

    fn has(&self, name: &Name, rtype: Rtype) -> bool {
        self.rrsets.contains_key(&(name.clone(), rtype))
    }

    fn has_address(&self, name: &Name) -> bool {
        self.has(name, Rtype::A) || self.has(name, Rtype::AAAA)
    }

    fn types(&self, name: &Name) -> impl Iterator<Item = Rtype> {
        let here = (name.clone(), Rtype(0))..=(name.clone(), Rtype(u16::MAX));
        self.rrsets.range(here).map(|((_, rtype), _)| *rtype)
    }

    /// The first RRset at a name or below it.
    fn first(&self, name: &Name) -> Option<&(Name, Rtype)> {
        let (key, _) = self.rrsets.range((name.clone(), Rtype(0))..).next()?;
        key.0.is_within(name).then_some(key)
    }

    fn soa(&mut self, soa: &Soa) {
        let apex = self.apex;
        for name in [&soa.mname, &soa.rname] {
            if let Some(reason) = self.misspelt(name) {
                self.doubt(apex, Rtype::SOA, format!("the SOA record names {reason}"));
            }
        }
        if soa
            .rname
            .labels()
            .next()
            .is_some_and(|label| label.contains(&b'@'))
        {
            let reason = format!(
                "the SOA record's mailbox {} has an @; a dot is its place there (RFC 1035, 8)",
                soa.rname
            );
            self.doubt(apex, Rtype::SOA, reason);
        }
    }

    /// Warns about records that a zone cut hides.
    fn hidden(&mut self, owner: &Name, rtype: Rtype, cut: Option<&Name>) {
        let Some(cut) = cut else { return };
        if can_be_in_delegation(rtype, owner == cut) {
            return;
        }
        let reason = if owner == cut {
            format!("{owner} {rtype} is at a zone cut and never answered")
        } else {
            format!("{owner} {rtype} is below the zone cut at {cut} and never answered")
        };
        self.doubt(owner, rtype, reason);
    }

    fn rrset(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset) {
        if self.repeats_apex(owner) {
            let reason = format!("{owner} has the name of the zone twice: is a final dot missing?");
            self.doubt(owner, rtype, reason);
        }
        if rtype == Rtype::DS && !self.has(owner, Rtype::NS) {
            self.doubt(
                owner,
                rtype,
                format!("{owner} has DS records, but is no zone cut"),
            );
        }
        if rtype == Rtype::ZONEMD {
            let reason = format!(
                "{owner} ZONEMD is the digest of a zone with another serial, and does not hold for what is served"
            );
            self.doubt(owner, rtype, reason);
        }
        for rdata in rrset.rdata() {
            if let Some(reason) = rdata.doubt(rtype) {
                self.doubt(owner, rtype, format!("{owner} {rtype}: {reason}"));
            }
            if rtype.is_of_signed_zone() || rtype == Rtype::SIG {
                continue;
            }
            for target in rdata.names(rtype) {
                self.target(owner, rtype, &target);
            }
        }
    }

    fn target(&mut self, owner: &Name, rtype: Rtype, target: &Name) {
        if let Some(reason) = self.misspelt(target) {
            return self.doubt(owner, rtype, format!("{owner} {rtype} points to {reason}"));
        }
        if let Some(reason) = self.single_label(rtype, target) {
            return self.doubt(owner, rtype, format!("{owner} {rtype} points to {reason}"));
        }
        let points = format!("{owner} {rtype} points to {target}");
        let needs_address = matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
        let reason = match self.lookup(target) {
            Target::Elsewhere => return,
            Target::BelowCut if rtype != Rtype::NS || self.has_address(target) => return,
            Target::BelowCut if owner != self.apex && target.is_within(owner) => {
                format!(
                    "{owner} is delegated to {target}, whose glue is missing: no address is there"
                )
            }
            Target::BelowCut => format!("{points}, which is below a zone cut and has no glue"),
            Target::Redirected if needs_address => {
                format!("{points}, which is an alias (RFC 2181, 10.3)")
            }
            Target::Records(name) if needs_address && self.has(&name, Rtype::CNAME) => {
                format!("{points}, which is an alias (RFC 2181, 10.3)")
            }
            Target::Records(name) if needs_address && !self.has_address(&name) => {
                format!("{points}, which is in this zone and has no address")
            }
            Target::Nothing if needs_address => {
                format!(
                    "{points}, which is in this zone and has no address{}",
                    self.dot_missing(target)
                )
            }
            Target::Nothing if must_exist(rtype) => {
                format!(
                    "{points}, which is in this zone and does not exist{}",
                    self.dot_missing(target)
                )
            }
            Target::Redirected | Target::Records(_) | Target::Nothing => return,
        };
        self.doubt(owner, rtype, reason);
    }

    fn lookup(&self, target: &Name) -> Target {
        if !target.is_within(self.apex) || target.is_root() {
            return Target::Elsewhere;
        }
        if target != self.apex && self.has(self.apex, Rtype::DNAME) {
            return Target::Redirected;
        }
        let mut path: Vec<Name> = target
            .ancestors()
            .take_while(|name| name != self.apex)
            .collect();
        path.reverse();
        for name in path {
            if self.has(&name, Rtype::NS) {
                return Target::BelowCut;
            }
            if name != *target && self.has(&name, Rtype::DNAME) {
                return Target::Redirected;
            }
            if self.first(&name).is_none() {
                let wildcard = name.parent().and_then(wildcard_below);
                return match wildcard.filter(|wildcard| self.first(wildcard).is_some()) {
                    Some(wildcard) => Target::Records(wildcard),
                    None => Target::Nothing,
                };
            }
        }
        Target::Records(target.clone())
    }
}

/// Whether records of this type are useless if the name that they point to does not exist.
fn must_exist(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::CNAME
            | Rtype::DNAME
            | Rtype::PTR
            | Rtype::SVCB
            | Rtype::HTTPS
            | Rtype::NAPTR
            | Rtype::KX
            | Rtype::AFSDB
            | Rtype::RT
            | Rtype::LP
    )
}
