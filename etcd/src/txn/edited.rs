//! The content of a zone after an update that does not fit into one transaction.

use std::collections::{BTreeMap, HashSet};

use crate::model::rules::{self, Violation};
use crate::model::zonefile::{Rrsets, violations};
use crate::model::{Edit, Name, Rtype};

use super::site::{Left, Site};
use super::{Part, Refusal, ZoneRead};

/// Applies edits, with their numbers, to all of a zone's RRsets. All edits are about this zone.
pub fn edited(
    zone: &ZoneRead,
    content: &Rrsets,
    edits: &[(usize, &Edit)],
) -> Result<Rrsets, Refusal> {
    let apex = &zone.apex;
    let (mut sites, mut refused) = (BTreeMap::new(), Vec::new());
    for (number, edit) in edits {
        let site = sites
            .entry(edit.owner.clone())
            .or_insert_with(|| site(content, &edit.owner));
        let ttl = zone.settings.default_ttl;
        if let Err(refusal) = site.apply(apex, ttl, *number, edit) {
            refused.push((Part::Edit(*number), refusal));
        }
    }
    let mut new = content.clone();
    for (owner, site) in &sites {
        for (rtype, number) in &site.touched {
            let place = (owner.clone(), *rtype);
            let left = site.left(owner, *rtype).and_then(|left| {
                match left {
                    Left::Nothing if new.contains_key(&place) => {
                        rules::admit_removal(apex, owner, *rtype)?;
                    }
                    Left::Rrset(_) => rules::admit_type(apex, owner, *rtype)?,
                    _ => {}
                }
                Ok(left)
            });
            match left {
                Ok(Left::Rrset(rrset)) => drop(new.insert(place, rrset)),
                Ok(_) => drop(new.remove(&place)),
                Err(refusal) => refused.push((Part::Edit(*number), refusal)),
            }
        }
    }
    // What was broken before stays so.
    let before: HashSet<Violation> = violations(apex, content).into_iter().collect();
    let last = edits.last().map_or(0, |(number, _)| *number);
    for violation in violations(apex, &new) {
        if before.contains(&violation) {
            continue;
        }
        let site = sites.get(violation.owner());
        let number = site.and_then(|site| site.touched.values().max().copied());
        refused.push((Part::Edit(number.unwrap_or(last)), violation.into()));
    }
    refused.sort_by_key(|(part, _)| *part);
    match refused.is_empty() {
        true => Ok(new),
        false => Err(Refusal::Parts(refused)),
    }
}

fn site(content: &Rrsets, owner: &Name) -> Site {
    let mut site = Site::default();
    let types = (owner.clone(), Rtype(0))..=(owner.clone(), Rtype(u16::MAX));
    for ((_, rtype), rrset) in content.range(types) {
        site.place(*rtype, Ok(rrset));
    }
    site
}
