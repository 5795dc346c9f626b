//! Wire form to text.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::{self, Write};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER};

use super::super::name;
use super::super::rtype::Rtype;
use super::field::{CERT_TYPES, Field, fields};
use super::walk;
use super::{special, svcb};

/// Writes the text form; an error where there is none, and the caller takes the generic form.
pub(super) fn rdata(rtype: Rtype, wire: &[u8], out: &mut String) -> fmt::Result {
    let mut rest = wire;
    for (index, field) in fields(rtype).ok_or(fmt::Error)?.iter().enumerate() {
        let octets = walk::take(*field, &mut rest).map_err(|_| fmt::Error)?;
        let before = out.len();
        if index > 0 {
            out.push(' ');
        }
        one(*field, octets, out)?;
        if out.len() == before + 1 && index > 0 {
            // An empty field at the end leaves no space behind.
            out.truncate(before);
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(fmt::Error)
    }
}

/// The form of RFC 3597 5, which any octets have.
pub(super) fn generic(wire: &[u8], out: &mut String) {
    out.push_str("\\# ");
    out.push_str(&wire.len().to_string());
    if !wire.is_empty() {
        out.push(' ');
        HEXUPPER.encode_append(wire, out);
    }
}

pub(super) fn number(octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
}

fn one(field: Field, octets: &[u8], out: &mut String) -> fmt::Result {
    match field {
        Field::U8 | Field::U16 | Field::U32 | Field::Period | Field::Algorithm => {
            write!(out, "{}", number(octets))
        }
        Field::Time => special::write_time(number(octets), out),
        Field::Covered => write!(out, "{}", Rtype(number(octets) as u16)),
        Field::CertType => match CERT_TYPES
            .iter()
            .find(|(n, _)| u32::from(*n) == number(octets))
        {
            Some((_, name)) => out.write_str(name),
            None => write!(out, "{}", number(octets)),
        },
        Field::Ipv4 => write!(out, "{}", Ipv4Addr::from(number(octets))),
        Field::Ipv6 => {
            let octets: [u8; 16] = octets.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", Ipv6Addr::from(octets))
        }
        Field::Eui48 | Field::Eui64 => separated(octets.chunks(1), '-', out),
        Field::Groups64 => separated(octets.chunks(2), ':', out),
        Field::Name | Field::NamePlain | Field::NameExact => name::write_wire(out, octets),
        Field::CharStr => quoted(&octets[1..], out),
        Field::CharStrs => {
            let mut rest = octets;
            while let Some((&len, after)) = rest.split_first() {
                let (string, after) = after.split_at_checked(len.into()).ok_or(fmt::Error)?;
                if rest.len() < octets.len() {
                    out.push(' ');
                }
                quoted(string, out)?;
                rest = after;
            }
            Ok(())
        }
        Field::Tag => {
            out.extend(octets[1..].iter().copied().map(char::from));
            Ok(())
        }
        Field::Text => quoted(octets, out),
        Field::Hex | Field::HexOrEmpty => {
            HEXUPPER.encode_append(octets, out);
            Ok(())
        }
        Field::Base64 | Field::Base64OrEmpty => {
            BASE64.encode_append(octets, out);
            Ok(())
        }
        Field::Salt if octets.len() == 1 => out.write_char('-'),
        Field::Salt => {
            HEXUPPER.encode_append(&octets[1..], out);
            Ok(())
        }
        Field::Hash => {
            BASE32HEX_NOPAD.encode_append(&octets[1..], out);
            Ok(())
        }
        Field::Types => special::write_types(octets, out),
        Field::SvcParams => svcb::write(octets, out),
        Field::Location => special::write_location(octets, out),
        Field::Prefixes => special::write_prefixes(octets, out),
        Field::HostIdentity => special::write_host_identity(octets, out),
        Field::Names => {
            let mut rest = octets;
            while let Some(len) = name::wire_len(rest) {
                if rest.len() < octets.len() {
                    out.push(' ');
                }
                name::write_wire(out, &rest[..len])?;
                rest = &rest[len..];
            }
            Ok(())
        }
        Field::Gateway => special::write_gateway(octets, out),
    }
}

fn separated<'a>(
    groups: impl Iterator<Item = &'a [u8]>,
    separator: char,
    out: &mut String,
) -> fmt::Result {
    for (index, group) in groups.enumerate() {
        if index > 0 {
            out.push(separator);
        }
        for octet in group {
            write!(out, "{octet:02x}")?;
        }
    }
    Ok(())
}

/// Writes a character string in quotes.
pub(super) fn quoted(octets: &[u8], out: &mut String) -> fmt::Result {
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            0x20..=0x7e => out.push(char::from(octet)),
            _ => write!(out, "\\{octet:03}")?,
        }
    }
    out.push('"');
    Ok(())
}
