//! Addresses: of hosts, of interfaces and of locators.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::{self, Write};

use data_encoding::HEXLOWER_PERMISSIVE;

use super::super::name;
use super::cursor::Cursor;
use super::error::RdataError;
use super::field::{EndingName, Field, number};
use super::name::DomainName;

pub(super) struct Ipv4;
pub(super) struct Ipv6;

/// Groups of hexadecimal digits.
pub(super) struct Groups {
    what: &'static str,
    separator: char,
    /// Octets in a group.
    width: usize,
    count: usize,
}

/// RFC 7043 3.
pub(super) const EUI48: Groups = Groups {
    what: "six pairs of hexadecimal digits, as in 00-00-5e-00-53-2a",
    separator: '-',
    width: 1,
    count: 6,
};

/// RFC 7043 4.
pub(super) const EUI64: Groups = Groups {
    what: "eight pairs of hexadecimal digits, as in 00-00-5e-ef-10-00-00-2a",
    separator: '-',
    width: 1,
    count: 8,
};

/// Node identifiers and locators (RFC 6742 2.1, 2.3): as in IPv6 addresses, but all four groups are there.
pub(super) const LOCATOR64: Groups = Groups {
    what: "four groups of hexadecimal digits, as in 0014:4fff:ff20:ee64",
    separator: ':',
    width: 2,
    count: 4,
};

/// Gateway type, algorithm and gateway (RFC 4025 2.1).
pub(super) struct Gateway;

/// Discovery bit, relay type and relay (RFC 8777 4.2).
pub(super) struct Relay;

/// Prefix length, the rest of an IPv6 address, and the name that has the prefix (RFC 2874 3.1).
pub(super) struct A6;

fn ipv4(cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let text = cursor.text("an IPv4 address")?;
    match text.parse::<Ipv4Addr>() {
        Ok(address) => out.extend(address.octets()),
        Err(_) => return cursor.fail(format!("'{text}' is not an IPv4 address")),
    }
    Ok(())
}

fn ipv6(cursor: &mut Cursor<'_, '_>) -> Result<Ipv6Addr, RdataError> {
    let text = cursor.text("an IPv6 address")?;
    text.parse()
        .or_else(|_| cursor.fail(format!("'{text}' is not an IPv6 address")))
}

impl Field for Ipv4 {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        ipv4(cursor, out)
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(4)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        write!(out, "{}", Ipv4Addr::from(number(octets)))
    }
}

impl Field for Ipv6 {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        out.extend(ipv6(cursor)?.octets());
        Ok(())
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(16)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let octets: [u8; 16] = octets.try_into().map_err(|_| fmt::Error)?;
        write!(out, "{}", Ipv6Addr::from(octets))
    }
}

impl Field for Groups {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text(self.what)?;
        let digits = self.width * 2;
        let groups: Vec<&str> = text.split(self.separator).collect();
        let is_group = |group: &&str| (1..=digits).contains(&group.len());
        // BIND prints groups without leading zeros.
        let hex: String = groups
            .iter()
            .map(|group| format!("{group:0>digits$}"))
            .collect();
        match HEXLOWER_PERMISSIVE.decode(hex.as_bytes()) {
            Ok(octets) if groups.len() == self.count && groups.iter().all(is_group) => {
                out.extend(octets);
                Ok(())
            }
            _ => cursor.fail(format!("expected {}", self.what)),
        }
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(self.width * self.count)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        for (index, group) in octets.chunks(self.width).enumerate() {
            if index > 0 {
                out.push(self.separator);
            }
            for octet in group {
                write!(out, "{octet:02x}")?;
            }
        }
        Ok(())
    }
}

/// Reads a gateway or relay of this type: nothing, an address or a name.
fn parse_host(kind: u8, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    match kind {
        0 => match cursor.text("a dot")? {
            "." => Ok(()),
            text => cursor.fail(format!("nothing is written as a dot, and not as '{text}'")),
        },
        1 => ipv4(cursor, out),
        2 => Ipv6.parse(cursor, out),
        _ => DomainName.parse(cursor, out),
    }
}

/// The length of a gateway or relay of this type.
pub(super) fn host_len(kind: u8, rest: &[u8]) -> Option<usize> {
    match kind {
        0 => Some(0),
        1 => Some(4),
        2 => Some(16),
        3 => name::wire_len(rest),
        _ => None,
    }
}

fn print_host(kind: u8, host: &[u8], out: &mut String) -> fmt::Result {
    match kind {
        0 => out.write_char('.'),
        1 => Ipv4.print(host, out),
        2 => Ipv6.print(host, out),
        _ => name::write_wire(out, host),
    }
}

impl Field for Gateway {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let kind = cursor.number("a gateway type", 3)? as u8;
        let algorithm = cursor.number("an algorithm", 255)? as u8;
        out.extend([kind, algorithm]);
        parse_host(kind, cursor, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        let [kind, _, host @ ..] = rest else {
            return None;
        };
        Some(2 + host_len(*kind, host)?)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let [kind, algorithm, host @ ..] = octets else {
            return Err(fmt::Error);
        };
        write!(out, "{kind} {algorithm} ")?;
        print_host(*kind, host, out)
    }
}

impl Field for Relay {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let optional = cursor.number("a discovery bit", 1)? as u8;
        let kind = cursor.number("a relay type", 3)? as u8;
        out.push(optional << 7 | kind);
        parse_host(kind, cursor, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        let (kind, host) = rest.split_first()?;
        Some(1 + host_len(kind & 0x7f, host)?)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let (first, host) = octets.split_first().ok_or(fmt::Error)?;
        let kind = first & 0x7f;
        write!(out, "{} {kind} ", first >> 7)?;
        print_host(kind, host, out)
    }
}

impl A6 {
    /// The number of octets of the address after a prefix of this many bits.
    fn suffix_len(prefix: u8) -> Option<usize> {
        Some(usize::from(128u8.checked_sub(prefix)?).div_ceil(8))
    }
}

impl Field for A6 {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let prefix = cursor.number("a prefix length", 128)?;
        out.push(prefix as u8);
        if prefix < 128 {
            let rest = u128::from(ipv6(cursor)?) & (u128::MAX >> prefix);
            out.extend(&rest.to_be_bytes()[prefix as usize / 8..]);
        }
        if prefix > 0 {
            cursor.name("the name that has the prefix", out)?;
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        let (prefix, rest) = rest.split_first()?;
        let suffix = A6::suffix_len(*prefix)?;
        let name = match prefix {
            0 => 0,
            _ => name::wire_len(rest.get(suffix..)?)?,
        };
        Some(1 + suffix + name)
    }

    /// Prefix bits in the first octet of the suffix must be zero.
    fn is_sound(&self, octets: &[u8]) -> bool {
        match octets {
            [prefix, first, ..] if prefix % 8 > 0 => u32::from(prefix % 8) <= first.leading_zeros(),
            _ => true,
        }
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let (prefix, rest) = octets.split_first().ok_or(fmt::Error)?;
        let len = A6::suffix_len(*prefix).ok_or(fmt::Error)?;
        let (suffix, name) = rest.split_at_checked(len).ok_or(fmt::Error)?;
        write!(out, "{prefix}")?;
        if !suffix.is_empty() {
            let bits = suffix
                .iter()
                .fold(0, |sum, octet| sum << 8 | u128::from(*octet));
            write!(out, " {}", Ipv6Addr::from(bits))?;
        }
        if !name.is_empty() {
            out.push(' ');
            name::write_wire(out, name)?;
        }
        Ok(())
    }

    fn name(&self, octets: &[u8]) -> Option<EndingName> {
        let prefix = octets.first().filter(|prefix| **prefix > 0)?;
        Some(EndingName {
            at: 1 + A6::suffix_len(*prefix)?,
            folds: true,
        })
    }
}
