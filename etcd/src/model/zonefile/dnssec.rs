//! Records of signed zones. Front-ends serve no signatures yet, so validating resolvers would reject the answers from a
//! zone with these records as forged.

use std::collections::BTreeMap;
use std::fmt;

use super::super::rtype::Rtype;
use super::finding::RrsetFinding;
use super::{FileFinding, MasterFile, Rrsets};

/// Counts of records by type, as in `24 RRSIG, 12 NSEC and 2 DNSKEY records`.
#[derive(Debug, Default)]
struct Counts(BTreeMap<Rtype, usize>);

impl Counts {
    fn add(&mut self, rtype: Rtype, records: usize) {
        *self.0.entry(rtype).or_default() += records;
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (rtype, count)) in self.0.iter().enumerate() {
            let separator = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(f, "{separator}{count} {rtype}")?;
        }
        let plural = if self.0.values().eq([&1]) { "" } else { "s" };
        write!(f, " record{plural}")
    }
}

impl MasterFile {
    /// Leaves out the records that only a signed zone has, with a warning that names their types.
    pub fn leave_out_dnssec(&mut self) {
        let mut counts = Counts::default();
        self.records.retain(|record| {
            let goes = record.rtype.is_of_signed_zone();
            if goes {
                counts.add(record.rtype, 1);
            }
            !goes
        });
        if !counts.is_empty() {
            self.warnings.push(FileFinding {
                at: None,
                reason: format!(
                    "{counts} of a signed zone are left out; the zone's DS records must be gone from its parent"
                ),
            });
        }
    }
}

/// The error about a zone that has such records.
pub(super) fn finding(rrsets: &Rrsets) -> Option<RrsetFinding> {
    let mut counts = Counts::default();
    let mut first = None;
    for ((owner, rtype), rrset) in rrsets {
        if rtype.is_of_signed_zone() {
            counts.add(*rtype, rrset.rdata().len());
            first = first.or(Some((owner, *rtype)));
        }
    }
    let (owner, rtype) = first?;
    Some(RrsetFinding::new(
        owner,
        rtype,
        format!(
            "the zone is signed, with {counts}, and nsd serves no signatures yet: validating resolvers would reject its \
             answers. Remove the zone's DS records from its parent and wait until they have expired; then import the \
             unsigned zone, or this one with nsctl zone import --force, which leaves these records out"
        ),
    ))
}
