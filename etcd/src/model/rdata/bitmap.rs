//! Bit maps: of record types, and of the ports of services.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::super::rtype::Rtype;
use super::cursor::Cursor;
use super::error::RdataError;
use super::field::Field;
use super::number::Covered;
use super::services::{PROTOCOLS, SERVICES};

/// Type bit maps to the end (RFC 4034 4.1.2).
pub(super) struct Types {
    may_be_empty: bool,
}

/// At least one type: NSEC lists itself (RFC 4034 4.1.2).
pub(super) const TYPES_SOME: Types = Types {
    may_be_empty: false,
};

/// May be empty (NSEC3 of an empty non-terminal, CSYNC).
pub(super) const TYPES_ANY: Types = Types { may_be_empty: true };

/// The types of NXT: one bit map to the end, of the types up to 127 (RFC 2535 5.2).
pub(super) struct NxtTypes;

/// A protocol, then a bit map of ports to the end (RFC 1035 3.4.2).
pub(super) struct Services;

fn types(cursor: &mut Cursor<'_, '_>) -> Result<BTreeSet<u16>, RdataError> {
    let mut types = BTreeSet::new();
    while !cursor.is_empty() {
        let text = cursor.text("a record type")?;
        match text.parse::<Rtype>() {
            Ok(rtype) => types.insert(rtype.0),
            Err(error) => return cursor.fail(format!("'{text}' is {error}")),
        };
    }
    Ok(types)
}

/// Sets the bits of `numbers`, counted from the highest one of the first octet.
fn bits(numbers: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut bits = Vec::new();
    for number in numbers {
        let octet = usize::from(number / 8);
        if bits.len() <= octet {
            bits.resize(octet + 1, 0);
        }
        bits[octet] |= 0x80 >> (number % 8);
    }
    bits
}

/// The numbers whose bits are set.
fn numbers(bits: &[u8]) -> impl Iterator<Item = u16> {
    let set = |octet: u8| (0..8u16).filter(move |bit| octet & (0x80 >> bit) != 0);
    let octets = bits.iter().zip(0u16..);
    octets.flat_map(move |(octet, index)| set(*octet).map(move |bit| index * 8 + bit))
}

fn print_types(types: impl Iterator<Item = u16>, out: &mut String) -> fmt::Result {
    for (index, number) in types.enumerate() {
        let separator = if index > 0 { " " } else { "" };
        write!(out, "{separator}{}", Rtype(number))?;
    }
    Ok(())
}

/// The windows of a type bit map: number and bits; `None` for one that is malformed.
fn windows(mut octets: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    std::iter::from_fn(move || {
        let (window, rest) = octets.split_first()?;
        let bits = rest
            .split_first()
            .filter(|(len, _)| (1..=32).contains(*len))
            .and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)));
        octets = bits.map_or(&[][..], |(_, after)| after);
        Some(bits.map(|(bits, _)| (*window, bits)))
    })
}

impl Field for Types {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let types = types(cursor)?;
        if types.is_empty() && !self.may_be_empty {
            return cursor
                .fail("a record type is missing: NSEC has one at least (RFC 4034, 4.1.2)");
        }
        let mut types = types.into_iter().peekable();
        while let Some(first) = types.peek().copied() {
            let window = first >> 8;
            let low = std::iter::from_fn(|| types.next_if(|number| number >> 8 == window));
            let bits = bits(low.map(|number| number & 0xff));
            out.extend([window as u8, bits.len() as u8]);
            out.extend(bits);
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len()).filter(|len| *len > 0 || self.may_be_empty)
    }

    /// Windows in rising order, none empty, none longer than 32 octets.
    fn is_sound(&self, octets: &[u8]) -> bool {
        let mut last = None;
        windows(octets).all(|window| {
            let number = window.map(|(number, _)| number);
            // A malformed window is `None`, which is above nothing.
            let rises = number > last;
            last = number;
            rises
        })
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let types = windows(octets).flatten().flat_map(|(window, bits)| {
            numbers(bits).map(move |number| u16::from(window) << 8 | number)
        });
        print_types(types, out)
    }
}

impl Field for NxtTypes {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let mut types = BTreeSet::new();
        while !cursor.is_empty() {
            types.insert(Covered::rtype(cursor)?.0);
        }
        if types.iter().any(|number| !(1..=127).contains(number)) {
            return cursor.fail("NXT has types from 1 to 127 only (RFC 2535, 5.2)");
        }
        out.extend(bits(types));
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    /// If the first bit is set, the rest has another form, which was never defined.
    fn is_sound(&self, octets: &[u8]) -> bool {
        octets.len() <= 16 && octets.first().is_none_or(|first| first & 0x80 == 0)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        print_types(numbers(octets), out)
    }
}

impl Field for Services {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        out.push(cursor.mnemonic("a protocol", PROTOCOLS, 255)? as u8);
        let mut ports = BTreeSet::new();
        while !cursor.is_empty() {
            ports.insert(cursor.mnemonic("a service or a port", SERVICES, 65_535)?);
        }
        out.extend(bits(ports));
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len()).filter(|len| (1..=1 + 8192).contains(len))
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let (protocol, bits) = octets.split_first().ok_or(fmt::Error)?;
        write!(out, "{protocol}")?;
        for port in numbers(bits) {
            write!(out, " {port}")?;
        }
        Ok(())
    }
}
