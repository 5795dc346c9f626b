//! Writing.

use std::fmt::{self, Write};

use super::super::name::Name;
use super::super::zone::ZoneSettings;
use super::Rrsets;

/// Writes a zone as a master file: the SOA, then all RRsets in canonical order, every name absolute.
pub fn write(
    out: &mut impl Write,
    apex: &Name,
    zone: &ZoneSettings,
    serial: u32,
    rrsets: &Rrsets,
) -> fmt::Result {
    write_soa(out, apex, zone, serial)?;
    for ((owner, rtype), rrset) in rrsets {
        for rdata in rrset.rdata() {
            writeln!(
                out,
                "{owner} {} IN {rtype} {}",
                rrset.ttl(),
                rdata.text(*rtype)
            )?;
        }
    }
    Ok(())
}

/// Writes the SOA record of a zone.
pub fn write_soa(
    out: &mut impl Write,
    apex: &Name,
    zone: &ZoneSettings,
    serial: u32,
) -> fmt::Result {
    let soa = &zone.soa;
    writeln!(
        out,
        "{apex} {} IN SOA {} {} {serial} {} {} {} {}",
        soa.ttl, soa.mname, soa.rname, soa.refresh, soa.retry, soa.expire, soa.minimum
    )
}
