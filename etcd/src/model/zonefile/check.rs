//! Builds a zone from the records of a master file.

use std::collections::BTreeMap;

use super::super::name::Name;
use super::super::rdata::Rdata;
use super::super::rrset::{Rrset, TTL_MAX};
use super::super::rtype::Rtype;
use super::super::zone::{Soa, ZoneSettings};
use super::examine::examine;
use super::finding::RrsetFinding;
use super::{FileFinding, FilePosition, FileRecord, MasterFile, Rrsets};

/// A zone made of the records of a master file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The settings, from the SOA record.
    pub settings: ZoneSettings,
    /// The SOA's serial.
    pub serial: u32,
    /// All other records.
    pub rrsets: Rrsets,
    /// Probable mistakes.
    pub warnings: Vec<FileFinding>,
}

/// An RRset whose records are being gathered: the position of the first one, the lowest TTL, the members.
struct Gathered {
    at: FilePosition,
    ttl: Option<u32>,
    rdata: Vec<Rdata>,
}

fn fault(at: &FilePosition, reason: impl Into<String>) -> FileFinding {
    FileFinding {
        at: Some(at.clone()),
        reason: reason.into(),
    }
}

/// Makes a zone of the records and checks it as a whole. Returns all errors, not only the first.
pub fn check(apex: &Name, file: MasterFile) -> Result<Checked, Vec<FileFinding>> {
    let MasterFile {
        records,
        mut warnings,
    } = file;
    let mut errors = Vec::new();
    let mut soa: Option<(FileRecord, Soa, u32)> = None;
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
    // Records without any TTL get the SOA's minimum (RFC 1035 3.3.13).
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
    let place = |found: RrsetFinding| FileFinding {
        at: places.get(&(found.owner, found.rtype)).cloned(),
        reason: found.reason,
    };
    let found = examine(apex, soa.as_ref().map(|(_, soa, _)| soa), &rrsets);
    errors.extend(found.errors.into_iter().map(&place));
    let Some((_, fields, serial)) = soa.filter(|_| errors.is_empty()) else {
        return Err(errors);
    };
    warnings.extend(found.doubts.into_iter().map(&place));
    let mut settings = ZoneSettings::new(fields.mname.clone(), fields.rname.clone());
    settings.soa = fields;
    Ok(Checked {
        settings,
        serial,
        rrsets,
        warnings,
    })
}

fn take_soa(
    apex: &Name,
    record: FileRecord,
    is_last: bool,
    soa: &mut Option<(FileRecord, Soa, u32)>,
    errors: &mut Vec<FileFinding>,
    warnings: &mut Vec<FileFinding>,
) {
    if record.owner != *apex {
        errors.push(fault(
            &record.at,
            format!(
                "an SOA record belongs to the apex {apex}, not to {}",
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
                // If the SOA record has no TTL, its TTL is the minimum.
                fields.ttl = record.ttl.unwrap_or(0);
            }
            *soa = fields.map(|(fields, serial)| (record, fields, serial));
        }
    }
}

fn gather(
    record: FileRecord,
    sets: &mut BTreeMap<(Name, Rtype), Gathered>,
    warnings: &mut Vec<FileFinding>,
) {
    let FileRecord {
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
        .take(DUPLICATES_LOOKBACK)
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

/// How many records back to look for duplicates to warn about, so that an RRset with thousands of records does not take
/// millions of comparisons. `Rrset::new` removes all duplicates.
const DUPLICATES_LOOKBACK: usize = 256;

fn soa_fields(record: &FileRecord) -> Option<(Soa, u32)> {
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
