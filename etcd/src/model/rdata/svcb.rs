//! The parameters of SVCB and HTTPS (RFC 9460 2.1 and appendix A).

use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use data_encoding::BASE64;

use super::RdataError;
use super::field::SVC_KEYS;
use super::parse::{Cursor, digits};
use super::print::{number, quoted};
use crate::model::text::{self, Escape};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const OHTTP: u16 = 8;

pub(super) fn parse(cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let mut params = BTreeMap::new();
    while !cursor.is_empty() {
        let token = cursor.next("a parameter")?;
        let at = token
            .raw
            .iter()
            .position(|octet| *octet == b'=')
            .unwrap_or(token.raw.len());
        let (name, value) = (&token.raw[..at], token.raw.get(at + 1..));
        let Some(key) = key(name) else {
            return cursor.fail(format!(
                "'{}' is not a SVCB parameter key",
                String::from_utf8_lossy(name)
            ));
        };
        let Some(value) = unquoted(value.unwrap_or_default()) else {
            return cursor.fail("quotes stand around a whole value (RFC 9460, 2.1)");
        };
        let octets = match parse_value(key, value) {
            Ok(octets) if octets.len() <= 65_535 => octets,
            Ok(_) => return cursor.fail("the value is longer than 65535 octets"),
            Err(reason) => return cursor.fail(reason),
        };
        if params.insert(key, octets).is_some() {
            return cursor.fail("a SVCB parameter is given twice (RFC 9460, 2.1)");
        }
    }
    let mut wire = Vec::new();
    for (key, octets) in params {
        wire.extend(key.to_be_bytes());
        wire.extend((octets.len() as u16).to_be_bytes());
        wire.extend(octets);
    }
    if !is_sound(&wire) {
        return cursor.fail("a key that is mandatory is missing, or names itself (RFC 9460, 8)");
    }
    out.extend(wire);
    Ok(())
}

fn key(name: &[u8]) -> Option<u16> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some((key, _)) = SVC_KEYS.iter().find(|(_, known)| *known == name) {
        return Some(*key);
    }
    let digits = name.strip_prefix("key")?;
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// A value without the quotes around it; none if there are others than those.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\"")?,
        None => value,
    };
    let mut rest = inner;
    while let Ok(octet) = text::unescape(&mut rest) {
        if octet == Escape::Plain(b'"') {
            return None;
        }
    }
    Some(inner)
}

fn parse_value(key: u16, value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let octets = text::unescaped(value).map_err(|error| error.0)?;
    if matches!(key, NO_DEFAULT_ALPN | OHTTP) {
        return if octets.is_empty() {
            Ok(octets)
        } else {
            Err("this parameter takes no value")
        };
    }
    if key > OHTTP {
        return Ok(octets);
    }
    if octets.is_empty() {
        return Err("this parameter needs a value");
    }
    let as_text = || std::str::from_utf8(&octets).map_err(|_| "the value is not text");
    let mut wire = Vec::new();
    match key {
        MANDATORY => {
            let keys: Option<Vec<u16>> = as_text()?
                .split(',')
                .map(|name| self::key(name.as_bytes()))
                .collect();
            let mut keys = keys.ok_or("mandatory takes a list of parameter keys")?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("mandatory names a key twice (RFC 9460, 8)");
            }
            wire.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        ALPN => {
            for id in list(&octets)? {
                match id.len() {
                    1..=255 => {
                        wire.push(id.len() as u8);
                        wire.extend(id);
                    }
                    _ => return Err("an ALPN id has 1 to 255 octets"),
                }
            }
        }
        PORT => {
            let port = digits(as_text()?).and_then(|port| u16::try_from(port).ok());
            wire.extend(port.ok_or("port takes a number up to 65535")?.to_be_bytes());
        }
        IPV4_HINT => {
            for address in as_text()?.split(',') {
                let address = address.parse::<Ipv4Addr>();
                wire.extend(
                    address
                        .map_err(|_| "ipv4hint takes a list of IPv4 addresses")?
                        .octets(),
                );
            }
        }
        IPV6_HINT => {
            for address in as_text()?.split(',') {
                let address = address.parse::<Ipv6Addr>();
                wire.extend(
                    address
                        .map_err(|_| "ipv6hint takes a list of IPv6 addresses")?
                        .octets(),
                );
            }
        }
        ECH => {
            wire = BASE64
                .decode(&octets)
                .map_err(|_| "ech takes a value in Base 64")?
        }
        _ => return Ok(octets),
    }
    Ok(wire)
}

/// Cuts a value at its commas; a backslash keeps the octet behind it (RFC 9460 A.1).
fn list(octets: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut items = vec![Vec::new()];
    let mut rest = octets.iter();
    while let Some(&octet) = rest.next() {
        let last = items.len() - 1;
        match octet {
            b',' => items.push(Vec::new()),
            b'\\' => items[last].push(
                *rest
                    .next()
                    .ok_or("a backslash at the end escapes nothing")?,
            ),
            _ => items[last].push(octet),
        }
    }
    Ok(items)
}

/// The parameters one by one: key and value.
fn params(mut octets: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if octets.is_empty() {
            return None;
        }
        let Some((head, rest)) = octets.split_first_chunk::<4>() else {
            octets = &[];
            return Some(None);
        };
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some((value, after)) = rest.split_at_checked(len) else {
            octets = &[];
            return Some(None);
        };
        octets = after;
        Some(Some((u16::from_be_bytes([head[0], head[1]]), value)))
    })
}

/// Keys in rising order, values of the right shape, what is mandatory there.
pub(super) fn is_sound(octets: &[u8]) -> bool {
    let Some(params) = params(octets).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let rising = |keys: &[u16]| keys.windows(2).all(|pair| pair[0] < pair[1]);
    let keys: Vec<u16> = params.iter().map(|(key, _)| *key).collect();
    rising(&keys)
        && params.iter().all(|(key, value)| match *key {
            MANDATORY => {
                let named: Vec<u16> = value.chunks(2).map(|key| number(key) as u16).collect();
                !value.is_empty()
                    && value.len() % 2 == 0
                    && rising(&named)
                    && named
                        .iter()
                        .all(|key| *key != MANDATORY && keys.contains(key))
            }
            ALPN => !value.is_empty() && ids(value).is_some(),
            NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
            PORT => value.len() == 2,
            IPV4_HINT => !value.is_empty() && value.len() % 4 == 0,
            IPV6_HINT => !value.is_empty() && value.len() % 16 == 0,
            _ => true,
        })
}

fn ids(mut value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut ids = Vec::new();
    while let Some((len @ 1.., rest)) = value.split_first() {
        let (id, after) = rest.split_at_checked(usize::from(*len))?;
        ids.push(id);
        value = after;
    }
    value.is_empty().then_some(ids)
}

pub(super) fn write(octets: &[u8], out: &mut String) -> fmt::Result {
    let mut separator = "";
    for param in params(octets) {
        let (key, value) = param.ok_or(fmt::Error)?;
        out.push_str(separator);
        write_key(key, out)?;
        separator = " ";
        if matches!(key, NO_DEFAULT_ALPN | OHTTP) || (key > OHTTP && value.is_empty()) {
            continue;
        }
        out.push('=');
        match key {
            MANDATORY => joined(value.chunks(2), out, |key, out| {
                write_key(number(key) as u16, out)
            })?,
            ALPN => {
                let mut text = Vec::new();
                for id in ids(value).ok_or(fmt::Error)? {
                    if !text.is_empty() {
                        text.push(b',');
                    }
                    for &octet in id {
                        if matches!(octet, b',' | b'\\') {
                            text.push(b'\\');
                        }
                        text.push(octet);
                    }
                }
                quoted(&text, out)?;
            }
            PORT => write!(out, "{}", number(value))?,
            IPV4_HINT => joined(value.chunks(4), out, |hint, out| {
                write!(out, "{}", Ipv4Addr::from(number(hint)))
            })?,
            IPV6_HINT => joined(value.chunks(16), out, |hint, out| {
                let octets: [u8; 16] = hint.try_into().map_err(|_| fmt::Error)?;
                write!(out, "{}", Ipv6Addr::from(octets))
            })?,
            ECH => BASE64.encode_append(value, out),
            _ => quoted(value, out)?,
        }
    }
    Ok(())
}

fn write_key(key: u16, out: &mut String) -> fmt::Result {
    match SVC_KEYS.iter().find(|(known, _)| *known == key) {
        Some((_, name)) => out.write_str(name),
        None => write!(out, "key{key}"),
    }
}

fn joined<'a>(
    items: impl Iterator<Item = &'a [u8]>,
    out: &mut String,
    mut write: impl FnMut(&[u8], &mut String) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out)?;
    }
    Ok(())
}
