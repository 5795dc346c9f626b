//! The checks of a zone as a whole. Errors are what no front-end could serve as the RFCs say; warnings what is
//! likely not meant.

use std::collections::BTreeMap;

use super::super::name::Name;
use super::super::rdata::Rdata;
use super::super::rrset::{Rrset, TTL_MAX};
use super::super::rtype::Rtype;
use super::super::zone::{Soa, ZoneSettings};
use super::doubts::doubts;
use super::finding::Finding;
use super::{Fault, MasterFile, Place, Record, Rrsets, dnssec};

/// A zone made of the records of a master file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The settings, from the SOA record.
    pub zone: ZoneSettings,
    /// The SOA's serial.
    pub serial: u32,
    /// Everything else.
    pub rrsets: Rrsets,
    /// What is likely not meant.
    pub warnings: Vec<Fault>,
}

/// A set while its records are gathered: where the first one stands, the TTL, the members.
struct Gathered {
    at: Place,
    ttl: Option<u32>,
    rdata: Vec<Rdata>,
}

fn fault(at: &Place, reason: impl Into<String>) -> Fault {
    Fault {
        at: Some(at.clone()),
        reason: reason.into(),
    }
}

fn whole(reason: impl Into<String>) -> Fault {
    Fault {
        at: None,
        reason: reason.into(),
    }
}

/// Puts records together to a zone and checks it as a whole. All errors are found, not only the first.
pub fn check(apex: &Name, file: MasterFile) -> Result<Checked, Vec<Fault>> {
    let MasterFile {
        records,
        mut warnings,
    } = file;
    let mut errors = Vec::new();
    let mut soa: Option<(Record, Soa, u32)> = None;
    let mut sets: BTreeMap<(Name, Rtype), Gathered> = BTreeMap::new();
    let mut records = records.into_iter().peekable();
    while let Some(record) = records.next() {
        let is_last = records.peek().is_none();
        if !record.owner.is_within(apex) {
            warnings.push(fault(
                &record.at,
                format!(
                    "{} is outside of the zone {apex}: this record is left out",
                    record.owner
                ),
            ));
        } else if record.rtype == Rtype::SOA {
            take_soa(apex, record, is_last, &mut soa, &mut errors, &mut warnings);
        } else {
            gather(record, &mut sets, &mut warnings);
        }
    }
    // Where nothing says a TTL it is the SOA's last field (RFC 1035 3.3.13).
    let fallback = soa.as_ref().map_or(0, |(_, soa, _)| soa.minimum);
    let mut places = BTreeMap::new();
    let mut rrsets = Rrsets::new();
    for (key, Gathered { at, ttl, rdata }) in sets {
        match Rrset::new(key.1, ttl.unwrap_or(fallback), rdata) {
            Ok(rrset) => {
                places.insert(key.clone(), at);
                rrsets.insert(key, rrset);
            }
            Err(error) => errors.push(fault(&at, format!("{} {}: {error}", key.0, key.1))),
        }
    }
    if let Some((record, ..)) = &soa {
        places.insert((apex.clone(), Rtype::SOA), record.at.clone());
    }
    let place = |found: Finding| Fault {
        at: places.get(&(found.owner, found.rtype)).cloned(),
        reason: found.reason,
    };
    let found = examine(apex, soa.as_ref().map(|(_, soa, _)| soa), &rrsets);
    errors.extend(found.errors.into_iter().map(&place));
    let Some((_, fields, serial)) = soa.filter(|_| errors.is_empty()) else {
        return Err(errors);
    };
    warnings.extend(found.doubts.into_iter().map(&place));
    let mut zone = ZoneSettings::new(fields.mname.clone(), fields.rname.clone());
    zone.soa = fields;
    Ok(Checked {
        zone,
        serial,
        rrsets,
        warnings,
    })
}

fn take_soa(
    apex: &Name,
    record: Record,
    is_last: bool,
    soa: &mut Option<(Record, Soa, u32)>,
    errors: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) {
    if record.owner != *apex {
        errors.push(fault(
            &record.at,
            format!(
                "a SOA record belongs to the apex {apex}, not to {}",
                record.owner
            ),
        ));
        return;
    }
    match soa {
        Some((first, ..)) if first.rdata != record.rdata => {
            errors.push(fault(
                &record.at,
                "a zone has one SOA record, and this is another one",
            ));
        }
        // A zone transfer ends with the record that it began with (RFC 5936 2.2).
        Some(_) if is_last => {}
        Some(_) => warnings.push(fault(&record.at, "the SOA record is there twice")),
        None => {
            let mut fields = soa_fields(&record);
            if let Some((fields, _)) = &mut fields
                && fields.minimum > TTL_MAX
            {
                warnings.push(fault(
                    &record.at,
                    format!(
                        "the minimum {} is over {TTL_MAX} and becomes 0 (RFC 2181, 8)",
                        fields.minimum
                    ),
                ));
                fields.minimum = 0;
                // Without a TTL of its own the record has the minimum for one.
                fields.ttl = record.ttl.unwrap_or(0);
            }
            *soa = fields.map(|(fields, serial)| (record, fields, serial));
        }
    }
}

fn gather(record: Record, sets: &mut BTreeMap<(Name, Rtype), Gathered>, warnings: &mut Vec<Fault>) {
    let Record {
        owner,
        ttl,
        rtype,
        rdata,
        at,
    } = record;
    let Some(set) = sets.get_mut(&(owner.clone(), rtype)) else {
        sets.insert(
            (owner, rtype),
            Gathered {
                at,
                ttl,
                rdata: vec![rdata],
            },
        );
        return;
    };
    if set
        .rdata
        .iter()
        .rev()
        .take(DUPLICATES_IN)
        .any(|other| other.canonical(rtype) == rdata.canonical(rtype))
    {
        warnings.push(fault(
            &at,
            format!("{owner} {rtype} is there twice with the same rdata (RFC 2181, 5)"),
        ));
    }
    if let (Some(one), Some(other)) = (set.ttl, ttl)
        && one != other
    {
        warnings.push(fault(&at, format!("the TTL {other} differs from the {one} of the same set; the lower one is used (RFC 2181, 5.2)")));
    }
    set.ttl = set.ttl.into_iter().chain(ttl).min();
    set.rdata.push(rdata);
}

/// How far back duplicates are looked for, so that a set of thousands does not take millions of comparisons:
/// the set itself leaves out all of them.
const DUPLICATES_IN: usize = 256;

fn soa_fields(record: &Record) -> Option<(Soa, u32)> {
    let names = record.rdata.names(Rtype::SOA);
    let [mname, rname] = <[Name; 2]>::try_from(names).ok()?;
    let words: Vec<u32> = record
        .rdata
        .wire()
        .get(mname.wire().len() + rname.wire().len()..)?
        .chunks(4)
        .map(|word| {
            word.iter()
                .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
        })
        .collect();
    let [serial, refresh, retry, expire, minimum] = words[..] else {
        return None;
    };
    let ttl = record.ttl.unwrap_or(minimum);
    Some((
        Soa {
            mname,
            rname,
            refresh,
            retry,
            expire,
            minimum,
            ttl,
        },
        serial,
    ))
}

/// What the checks of a zone as a whole have found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What no front-end could serve as the RFCs say.
    pub errors: Vec<Finding>,
    /// What is likely not meant.
    pub doubts: Vec<Finding>,
}

/// Checks a zone as a whole.
pub fn examine(apex: &Name, soa: Option<&Soa>, rrsets: &Rrsets) -> Findings {
    let mut errors = rule_breaks(apex, rrsets);
    errors.extend(dnssec::finding(rrsets));
    for (rtype, is_there) in [
        (Rtype::SOA, soa.is_some()),
        (Rtype::NS, rrsets.contains_key(&(apex.clone(), Rtype::NS))),
    ] {
        if !is_there {
            let reason = format!("the zone has no {rtype} record at its apex {apex}");
            errors.push(Finding::new(apex, rtype, reason));
        }
    }
    Findings {
        errors,
        doubts: doubts(apex, soa, rrsets),
    }
}

/// Whether records of this type may share their owner with a CNAME: those of DNSSEC (RFC 4034 2.5).
pub fn may_stand_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}

/// The errors among the RRsets of a zone that was put together otherwise, by merging.
pub fn faults(apex: &Name, rrsets: &Rrsets) -> Vec<Fault> {
    rule_breaks(apex, rrsets)
        .into_iter()
        .map(|found| whole(found.reason))
        .collect()
}

/// What stands where it must not.
fn rule_breaks(apex: &Name, rrsets: &Rrsets) -> Vec<Finding> {
    let mut found = Vec::new();
    // The DNAME that was passed last: in canonical order all names below it come right behind it.
    let mut above: Option<&Name> = None;
    for (owner, rtype) in rrsets.keys() {
        let mut break_rule = |reason: String| found.push(Finding::new(owner, *rtype, reason));
        if let Some(dname) = above.filter(|dname| *dname != owner) {
            if owner.is_within(dname) {
                break_rule(format!(
                    "{owner} is below the DNAME record of {dname}, which redirects it (RFC 6672, 2.4)"
                ));
            } else {
                above = None;
            }
        }
        match *rtype {
            Rtype::CNAME if owner == apex => {
                break_rule(format!(
                    "{owner} is the apex and has a SOA record: a CNAME cannot stand beside it (RFC 2181, 10.1)"
                ));
            }
            Rtype::CNAME => {
                let here = (owner.clone(), Rtype(0))..=(owner.clone(), Rtype(u16::MAX));
                let other = rrsets
                    .range(here)
                    .find(|((_, other), _)| other != rtype && !may_stand_beside_cname(*other));
                if let Some(((_, other), _)) = other {
                    break_rule(format!(
                        "{owner} has a CNAME record and {other} records: a CNAME stands alone (RFC 2181, 10.1)"
                    ));
                }
            }
            Rtype::DS if owner == apex => {
                break_rule(format!(
                    "{owner} is the apex: its DS records belong to the parent zone (RFC 4035, 2.4)"
                ));
            }
            Rtype::DNAME => {
                if owner != apex && rrsets.contains_key(&(owner.clone(), Rtype::NS)) {
                    break_rule(format!(
                        "{owner} has a DNAME record and NS records: a zone cut cannot redirect (RFC 6672, 2.3)"
                    ));
                }
                above = above.or(Some(owner));
            }
            _ => {}
        }
    }
    found
}
