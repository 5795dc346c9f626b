//! APL (RFC 3123).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt::{self, Write};

use super::cursor::{Cursor, digits};
use super::error::RdataError;
use super::field::{Field, number};

/// Address prefixes to the end, perhaps none.
pub(super) struct Prefixes;

impl Field for Prefixes {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        while !cursor.is_empty() {
            let text = cursor.text("an address prefix")?;
            let Some((family, prefix, negated, mut address)) = prefix(text) else {
                return cursor.fail(format!(
                    "'{text}' is not an address prefix, as in 1:192.0.2.0/24 or !2:2001:db8::/32"
                ));
            };
            while address.last() == Some(&0) {
                address.pop();
            }
            out.extend([
                0,
                family,
                prefix,
                u8::from(negated) << 7 | address.len() as u8,
            ]);
            out.extend(address);
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    fn is_sound(&self, mut octets: &[u8]) -> bool {
        while let [_, _, _, len, rest @ ..] = octets {
            match rest.get(usize::from(len & 0x7f)..) {
                Some(after) => octets = after,
                None => return false,
            }
        }
        octets.is_empty()
    }

    fn print(&self, mut octets: &[u8], out: &mut String) -> fmt::Result {
        let mut separator = "";
        while let [0, family, prefix, len, rest @ ..] = octets {
            let (part, after) = rest
                .split_at_checked(usize::from(len & 0x7f))
                .ok_or(fmt::Error)?;
            let mut address = [0u8; 16];
            address
                .get_mut(..part.len())
                .ok_or(fmt::Error)?
                .copy_from_slice(part);
            let negation = if len & 0x80 == 0 { "" } else { "!" };
            write!(out, "{separator}{negation}{family}:")?;
            match family {
                1 if part.len() <= 4 => write!(out, "{}", Ipv4Addr::from(number(&address[..4])))?,
                2 => write!(out, "{}", Ipv6Addr::from(address))?,
                _ => return Err(fmt::Error),
            }
            write!(out, "/{prefix}")?;
            separator = " ";
            octets = after;
        }
        if octets.is_empty() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

fn prefix(text: &str) -> Option<(u8, u8, bool, Vec<u8>)> {
    let (negated, text) = text
        .strip_prefix('!')
        .map_or((false, text), |rest| (true, rest));
    let (family, rest) = text.split_once(':')?;
    let (address, prefix) = rest.rsplit_once('/')?;
    let prefix = u8::try_from(digits(prefix)?).ok()?;
    match family {
        "1" if prefix <= 32 => Some((
            1,
            prefix,
            negated,
            address.parse::<Ipv4Addr>().ok()?.octets().into(),
        )),
        "2" if prefix <= 128 => Some((
            2,
            prefix,
            negated,
            address.parse::<Ipv6Addr>().ok()?.octets().into(),
        )),
        _ => None,
    }
}
