//! Warnings about names that a wildcard does not match.

use super::super::super::name::Name;
use super::super::super::rtype::Rtype;
use super::super::finding::RrsetFinding;
use super::{Search, Target};

impl Search<'_> {
    /// Warns about names that the wildcard does not match because they exist, and that lack its records (RFC 4592 2.2.2).
    /// A name with an address differs on purpose, and one with an underscore is not a host.
    pub(super) fn shadowed(&mut self, wildcard: &Name) {
        let Some(parent) = wildcard.parent() else {
            return;
        };
        if matches!(self.lookup(wildcard), Target::BelowCut | Target::Redirected) {
            return;
        }
        let is_host = |rtype| matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::CNAME);
        let gives_host = self.types(wildcard).any(is_host);
        let depth = parent.label_count() + 1;
        let mut found = Vec::new();
        let mut last: Option<Name> = None;
        for (key, _) in self.rrsets.range((parent.clone(), Rtype(0))..) {
            let (owner, rtype) = key;
            if !owner.is_within(&parent) {
                break;
            }
            if *owner == parent || last.as_ref().is_some_and(|last| owner.is_within(last)) {
                continue;
            }
            let Some(name) = owner.ancestors().nth(owner.label_count() - depth) else {
                continue;
            };
            let first_label = name.labels().next().unwrap_or_default();
            if first_label != b"*" && !first_label.starts_with(b"_") {
                let types: Vec<Rtype> = self.types(&name).collect();
                let reason = if types.is_empty() {
                    Some(format!("it exists, as {owner} {rtype} is below it"))
                } else if gives_host
                    && !types
                        .iter()
                        .any(|rtype| is_host(*rtype) || *rtype == Rtype::NS)
                {
                    Some(format!(
                        "it has records of its own ({rtype}), but no address"
                    ))
                } else {
                    None
                };
                found.extend(reason.map(|reason| {
                    RrsetFinding::new(
                        owner,
                        *rtype,
                        format!("{wildcard} does not apply to {name}: {reason} (RFC 4592, 2.2.2)"),
                    )
                }));
            }
            last = Some(name);
        }
        self.found.extend(found);
    }
}
