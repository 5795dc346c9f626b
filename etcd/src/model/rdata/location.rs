//! LOC (RFC 1876).

use std::fmt::{self, Write};

use super::cursor::Cursor;
use super::error::RdataError;
use super::field::{Field, number};

const EQUATOR: u32 = 1 << 31;
const ALTITUDE_BASE_CM: i64 = 10_000_000;
/// In a degree.
const MILLISECONDS: u32 = 3_600_000;
/// 90,000 km.
const SIZE_MAX_CM: i64 = 9_000_000_000;

/// Version 0 of RFC 1876.
pub(super) struct Location;

impl Field for Location {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
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

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(16)
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        let is_size = |size: &u8| size >> 4 <= 9 && size & 15 <= 9;
        let is_angle = |word: &[u8], max| number(word).abs_diff(EQUATOR) <= max * MILLISECONDS;
        octets[0] == 0
            && octets[1..4].iter().all(is_size)
            && is_angle(&octets[4..8], 90)
            && is_angle(&octets[8..12], 180)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let [_, size, horizontal, vertical, words @ ..] = octets else {
            return Err(fmt::Error);
        };
        for (word, sides) in words.chunks(4).zip([['N', 'S'], ['E', 'W']]) {
            let (total, side) = match number(word) {
                above if above >= EQUATOR => (above - EQUATOR, sides[0]),
                below => (EQUATOR - below, sides[1]),
            };
            let (degrees, minutes, rest) =
                (total / MILLISECONDS, total / 60_000 % 60, total % 60_000);
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
            out.push(' ');
            metres(out, digit * 10u64.pow(power))?;
        }
        Ok(())
    }
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
            .position(|side| side.eq_ignore_ascii_case(text))
        {
            break side;
        }
        let scale = if parts == 0 { 0 } else { 3 };
        match decimal(text, scale).filter(|value| (0..60 * 10i64.pow(scale)).contains(value)) {
            Some(value) if parts == 0 => minutes = value as u32,
            Some(value) if parts == 1 => thousandths = value as u32,
            _ => return cursor.fail(format!("'{text}' cannot be part of {what}: expected degrees, minutes, seconds and {} or {}", sides[0], sides[1])),
        }
        parts += 1;
    };
    let total = (degrees * 60 + minutes) * 60_000 + thousandths;
    if total > max * MILLISECONDS {
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
    if whole.is_empty() && fraction.is_empty()
        || whole.len() > 9
        || fraction.len() > scale as usize
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let padded = format!("0{whole}{fraction:0<width$}", width = scale as usize);
    padded.parse::<i64>().ok().map(|value| sign * value)
}

fn centimetres(cursor: &mut Cursor<'_, '_>, what: &str) -> Result<i64, RdataError> {
    let text = cursor.text(what)?;
    match decimal(text.strip_suffix(['m', 'M']).unwrap_or(text), 2) {
        Some(value) => Ok(value),
        None => cursor.fail(format!("'{text}' is not {what} in metres")),
    }
}

/// A size as a digit and a power of ten of centimetres; further digits do not fit and are dropped.
fn precision(cursor: &mut Cursor<'_, '_>) -> Result<u8, RdataError> {
    let mut size = centimetres(cursor, "a size")?;
    if !(0..=SIZE_MAX_CM).contains(&size) {
        return cursor.fail("a size is between 0 and 90000000 metres (RFC 1876, 2)");
    }
    let mut power = 0;
    while size > 9 {
        size /= 10;
        power += 1;
    }
    Ok((size as u8) << 4 | power)
}
