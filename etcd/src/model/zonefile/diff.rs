//! Comparing two states of a zone.

use std::cmp::Ordering;
use std::fmt;

use super::super::name::Name;
use super::super::rdata::Rdata;
use super::super::rrset::Rrset;
use super::super::rtype::Rtype;
use super::Rrsets;

/// A record that only one of two states has. A record whose TTL differs is reported twice: as removed and as added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whether the second state has it.
    pub added: bool,
    /// The owner.
    pub owner: Name,
    /// The TTL in seconds.
    pub ttl: u32,
    /// The type.
    pub rtype: Rtype,
    /// The rdata.
    pub rdata: Rdata,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.added { '+' } else { '-' };
        write!(
            f,
            "{sign} {} {} {} {}",
            self.owner,
            self.ttl,
            self.rtype,
            self.rdata.text(self.rtype)
        )
    }
}

/// The differences that lead from `old` to `new`, in canonical order; for each RRset, removals before additions.
pub fn diff(old: &Rrsets, new: &Rrsets) -> Vec<Difference> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut differences = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return differences,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if let Some((key, _)) = before.or(after) {
            compare(
                key,
                before.map(|(_, set)| set),
                after.map(|(_, set)| set),
                &mut differences,
            );
        }
    }
}

fn compare(
    key: &(Name, Rtype),
    old: Option<&Rrset>,
    new: Option<&Rrset>,
    out: &mut Vec<Difference>,
) {
    let same_ttl = old.map(Rrset::ttl) == new.map(Rrset::ttl);
    for (added, set, other) in [(false, old, new), (true, new, old)] {
        let Some(set) = set else { continue };
        for rdata in set.rdata() {
            if !same_ttl || other.is_none_or(|other| !other.rdata().contains(rdata)) {
                out.push(Difference {
                    added,
                    owner: key.0.clone(),
                    ttl: set.ttl(),
                    rtype: key.1,
                    rdata: rdata.clone(),
                });
            }
        }
    }
}
