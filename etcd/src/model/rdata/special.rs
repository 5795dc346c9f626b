//! The fields with a grammar of their own: type bit maps, times, LOC, APL, HIP, IPSECKEY.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;
use std::fmt::{self, Write};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE, HEXUPPER};

use super::super::name;
use super::super::rtype::Rtype;
use super::RdataError;
use super::parse::{self, Cursor};
use super::print::number;

// --- Type bit maps (RFC 4034 4.1.2) ---

pub(super) fn parse_types(
    cursor: &mut Cursor<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let mut types = BTreeSet::new();
    while !cursor.is_empty() {
        let text = cursor.text("a record type")?;
        match text.parse::<Rtype>() {
            Ok(rtype) => types.insert(rtype.0),
            Err(error) => return cursor.fail(format!("'{text}' is {error}")),
        };
    }
    let mut types = types.into_iter().peekable();
    while let Some(first) = types.peek().copied() {
        let (window, mut bits, mut len) = (first >> 8, [0u8; 32], 0);
        while let Some(number) = types.next_if(|number| number >> 8 == window) {
            let octet = usize::from(number & 0xff) / 8;
            bits[octet] |= 0x80 >> (number % 8);
            len = octet + 1;
        }
        out.extend([window as u8, len as u8]);
        out.extend(&bits[..len]);
    }
    Ok(())
}

/// Windows in rising order, none empty, none longer than 32 octets.
pub(super) fn types_are_sound(mut octets: &[u8]) -> bool {
    let mut last = None;
    while let [window, len @ 1..=32, rest @ ..] = octets {
        let Some((_, after)) = rest.split_at_checked(usize::from(*len)) else {
            return false;
        };
        if last >= Some(*window) {
            return false;
        }
        last = Some(*window);
        octets = after;
    }
    octets.is_empty()
}

pub(super) fn write_types(mut octets: &[u8], out: &mut String) -> fmt::Result {
    let mut separator = "";
    while let [window, len, rest @ ..] = octets {
        let (bits, after) = rest.split_at_checked(usize::from(*len)).ok_or(fmt::Error)?;
        for (index, octet) in bits.iter().enumerate() {
            for bit in 0..8 {
                if octet & (0x80 >> bit) != 0 {
                    let rtype = Rtype(u16::from(*window) << 8 | (index * 8 + bit) as u16);
                    write!(out, "{separator}{rtype}")?;
                    separator = " ";
                }
            }
        }
        octets = after;
    }
    Ok(())
}

// --- Times (RFC 4034 3.2) ---

/// Days since 1970 of a date in the Gregorian calendar, by counting from March of year 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `YYYYMMDDHHmmSS` as seconds since 1970, modulo 2^32.
pub(super) fn time(text: &str) -> Option<u32> {
    if text.len() != 14 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) as u32)
}

pub(super) fn write_time(seconds: u32, out: &mut String) -> fmt::Result {
    let (total, clock) = (i64::from(seconds / 86_400), seconds % 86_400);
    // The inverse of `days`: a first guess at the year that is never too late, then count up.
    let mut year = 1970 + total / 366;
    while days(year + 1, 1, 1) <= total {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|month| days(year, *month, 1) <= total)
        .unwrap_or(1);
    let day = total - days(year, month, 1) + 1;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    write!(
        out,
        "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"
    )
}

// --- LOC (RFC 1876) ---

const EQUATOR: u32 = 1 << 31;
const ALTITUDE_BASE_CM: i64 = 10_000_000;

pub(super) fn parse_location(
    cursor: &mut Cursor<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let latitude = angle(cursor, "the latitude", 90, ["N", "S"])?;
    let longitude = angle(cursor, "the longitude", 180, ["E", "W"])?;
    let altitude = centimetres(cursor, "the altitude")? + ALTITUDE_BASE_CM;
    let Ok(altitude) = u32::try_from(altitude) else {
        return cursor.fail("the altitude is out of range");
    };
    // RFC 1876 3: 1 m, 10 km and 10 m where nothing is said.
    let mut sizes = [0x12, 0x16, 0x13];
    for size in &mut sizes {
        if !cursor.is_empty() {
            *size = precision(cursor)?;
        }
    }
    out.push(0);
    out.extend(sizes);
    for word in [latitude, longitude, altitude] {
        out.extend(word.to_be_bytes());
    }
    Ok(())
}

fn angle(
    cursor: &mut Cursor<'_, '_>,
    what: &str,
    max: u32,
    sides: [&str; 2],
) -> Result<u32, RdataError> {
    let degrees = cursor.number(what, max)?;
    let (mut minutes, mut thousandths, mut parts) = (0, 0, 0);
    let side = loop {
        let text = cursor.text(what)?;
        if let Some(side) = sides
            .iter()
            .position(|side| side.eq_ignore_ascii_case(&text))
        {
            break side;
        }
        let scale = if parts == 0 { 0 } else { 3 };
        match decimal(&text, scale).filter(|value| (0..60 * 10i64.pow(scale)).contains(value)) {
            Some(value) if parts == 0 => minutes = value as u32,
            Some(value) if parts == 1 => thousandths = value as u32,
            _ => return cursor.fail(format!("'{text}' cannot be part of {what}: expected degrees, minutes, seconds and {} or {}", sides[0], sides[1])),
        }
        parts += 1;
    };
    let total = (degrees * 60 + minutes) * 60_000 + thousandths;
    if total > max * 3_600_000 {
        return cursor.fail(format!("{what} is more than {max} degrees"));
    }
    Ok(if side == 0 {
        EQUATOR + total
    } else {
        EQUATOR - total
    })
}

/// A decimal number times 10 to the power of `scale`.
fn decimal(text: &str, scale: u32) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 9
        || fraction.len() > scale as usize
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let padded = format!("{whole}{fraction:0<width$}", width = scale as usize);
    padded.parse::<i64>().ok().map(|value| sign * value)
}

fn centimetres(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<i64, RdataError> {
    let text = cursor.text(what)?;
    match decimal(text.strip_suffix(['m', 'M']).unwrap_or(&text), 2) {
        Some(value) => Ok(value),
        None => cursor.fail(format!("'{text}' is not {what} in metres")),
    }
}

/// A size as a digit and a power of ten of centimetres; further digits do not fit and are dropped.
fn precision(cursor: &mut Cursor<'_, '_>) -> Result<u8, RdataError> {
    let mut size = centimetres(cursor, "a size")?;
    let mut power = 0;
    while size > 9 {
        size /= 10;
        power += 1;
    }
    if size < 0 || power > 9 {
        return cursor.fail("a size is between 0 and 90000000 metres");
    }
    Ok((size as u8) << 4 | power)
}

pub(super) fn write_location(octets: &[u8], out: &mut String) -> fmt::Result {
    let [_, size, horizontal, vertical, words @ ..] = octets else {
        return Err(fmt::Error);
    };
    for (word, sides) in words.chunks(4).zip([['N', 'S'], ['E', 'W']]) {
        let (total, side) = match number(word) {
            above if above >= EQUATOR => (above - EQUATOR, sides[0]),
            below => (EQUATOR - below, sides[1]),
        };
        let (degrees, minutes, rest) = (total / 3_600_000, total / 60_000 % 60, total % 60_000);
        write!(
            out,
            "{degrees} {minutes} {}.{:03} {side} ",
            rest / 1000,
            rest % 1000
        )?;
    }
    let altitude = i64::from(number(words.get(8..).ok_or(fmt::Error)?)) - ALTITUDE_BASE_CM;
    let sign = if altitude < 0 { "-" } else { "" };
    let metres = |f: &mut String, cm: u64| write!(f, "{}.{:02}m", cm / 100, cm % 100);
    out.push_str(sign);
    metres(out, altitude.unsigned_abs())?;
    for size in [size, horizontal, vertical] {
        let (digit, power) = (u64::from(size >> 4), u32::from(size & 15));
        if digit > 9 || power > 9 {
            return Err(fmt::Error);
        }
        out.push(' ');
        metres(out, digit * 10u64.pow(power))?;
    }
    Ok(())
}

// --- APL (RFC 3123) ---

pub(super) fn parse_prefixes(
    cursor: &mut Cursor<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    while !cursor.is_empty() {
        let text = cursor.text("an address prefix")?;
        let Some((family, prefix, negated, mut address)) = prefix(&text) else {
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

fn prefix(text: &str) -> Option<(u8, u8, bool, Vec<u8>)> {
    let (negated, text) = text
        .strip_prefix('!')
        .map_or((false, text), |rest| (true, rest));
    let (family, rest) = text.split_once(':')?;
    let (address, prefix) = rest.rsplit_once('/')?;
    let prefix = u8::try_from(parse::digits(prefix)?).ok()?;
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

pub(super) fn prefixes_are_sound(mut octets: &[u8]) -> bool {
    while let [_, _, _, len, rest @ ..] = octets {
        match rest.get(usize::from(len & 0x7f)..) {
            Some(after) => octets = after,
            None => return false,
        }
    }
    octets.is_empty()
}

pub(super) fn write_prefixes(mut octets: &[u8], out: &mut String) -> fmt::Result {
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

// --- HIP (RFC 8005 5) ---

pub(super) fn host_identity_len(octets: &[u8]) -> Option<usize> {
    match octets {
        [hit, _, high, low, ..] if *hit > 0 => {
            Some(4 + usize::from(*hit) + usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}

pub(super) fn parse_host_identity(
    cursor: &mut Cursor<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let algorithm = cursor.number("an algorithm", 255)? as u8;
    let hit = HEXLOWER_PERMISSIVE.decode(cursor.text("a host identity tag")?.as_bytes());
    let hit = match hit {
        Ok(hit) if (1..=255).contains(&hit.len()) => hit,
        _ => return cursor.fail("expected a host identity tag in hexadecimal digits"),
    };
    let key = match BASE64.decode(cursor.text("a public key")?.as_bytes()) {
        Ok(key) if (1..=65_000).contains(&key.len()) => key,
        _ => return cursor.fail("expected a public key in Base 64"),
    };
    out.extend([hit.len() as u8, algorithm]);
    out.extend((key.len() as u16).to_be_bytes());
    out.extend(hit);
    out.extend(key);
    Ok(())
}

pub(super) fn write_host_identity(octets: &[u8], out: &mut String) -> fmt::Result {
    let [hit_len, algorithm, _, _, rest @ ..] = octets else {
        return Err(fmt::Error);
    };
    let (hit, key) = rest
        .split_at_checked(usize::from(*hit_len))
        .ok_or(fmt::Error)?;
    if key.is_empty() {
        return Err(fmt::Error);
    }
    write!(out, "{algorithm} ")?;
    HEXUPPER.encode_append(hit, out);
    out.push(' ');
    BASE64.encode_append(key, out);
    Ok(())
}

// --- IPSECKEY's gateway (RFC 4025 2) ---

pub(super) fn gateway_len(octets: &[u8]) -> Option<usize> {
    let [kind, _, rest @ ..] = octets else {
        return None;
    };
    Some(
        2 + match kind {
            0 => 0,
            1 => 4,
            2 => 16,
            3 => name::wire_len(rest)?,
            _ => return None,
        },
    )
}

pub(super) fn parse_gateway(
    cursor: &mut Cursor<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let kind = cursor.number("a gateway type", 3)? as u8;
    let algorithm = cursor.number("an algorithm", 255)? as u8;
    out.extend([kind, algorithm]);
    let token = cursor.next("a gateway")?;
    let text = String::from_utf8_lossy(token.raw);
    match kind {
        0 if text == "." => {}
        1 => match text.parse::<Ipv4Addr>() {
            Ok(address) => out.extend(address.octets()),
            Err(_) => return cursor.fail(format!("'{text}' is not an IPv4 address")),
        },
        2 => match text.parse::<Ipv6Addr>() {
            Ok(address) => out.extend(address.octets()),
            Err(_) => return cursor.fail(format!("'{text}' is not an IPv6 address")),
        },
        3 => parse::name(cursor, token, out)?,
        _ => return cursor.fail("a gateway of type 0 is written as a dot"),
    }
    Ok(())
}

pub(super) fn write_gateway(octets: &[u8], out: &mut String) -> fmt::Result {
    let [kind, algorithm, gateway @ ..] = octets else {
        return Err(fmt::Error);
    };
    write!(out, "{kind} {algorithm} ")?;
    match kind {
        0 => out.write_char('.'),
        1 => write!(out, "{}", Ipv4Addr::from(number(gateway))),
        2 => {
            let address: [u8; 16] = gateway.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", Ipv6Addr::from(address))
        }
        _ => name::write_wire(out, gateway),
    }
}
