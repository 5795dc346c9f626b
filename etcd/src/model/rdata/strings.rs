//! Character strings and other text.

use std::fmt::{self, Write};

use super::cursor::Cursor;
use super::error::RdataError;
use super::field::{Field, tiles};

/// A length octet and up to 255 octets.
pub(super) struct CharStr;

/// One or more character strings to the end, at most `max`.
pub(super) struct CharStrs {
    max: usize,
}

/// TXT and the types that are like it.
pub(super) const STRINGS: CharStrs = CharStrs { max: usize::MAX };

/// ISDN: an address and perhaps a subaddress (RFC 1183 3.2).
pub(super) const ONE_OR_TWO: CharStrs = CharStrs { max: 2 };

/// A character string of digits: an X.121 address (RFC 1183 3.1).
pub(super) struct Digits;

/// A character string that is a decimal number: degrees or metres (RFC 1712 3).
pub(super) struct Decimal {
    /// The largest absolute value.
    max: f64,
}

/// A longitude or latitude. The example in RFC 1712 has them in the wrong order, so both may be as large as a longitude.
pub(super) const DEGREES: Decimal = Decimal { max: 180.0 };

/// An altitude.
pub(super) const METRES: Decimal = Decimal { max: f64::MAX };

/// CAA's tag: a length octet, then letters and digits (RFC 8659 4.1).
pub(super) struct Tag;

/// Octets to the end, one quoted string in text (CAA, URI).
pub(super) struct Text;

fn counted_len(rest: &[u8]) -> Option<usize> {
    Some(1 + usize::from(*rest.first()?))
}

impl Field for CharStr {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let octets = cursor.octets("a character string")?;
        cursor.counted(&octets, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        counted_len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        quoted(&octets[1..], out)
    }
}

impl Field for CharStrs {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        CharStr.parse(cursor, out)?;
        let mut count = 1;
        while !cursor.is_empty() && count < self.max {
            CharStr.parse(cursor, out)?;
            count += 1;
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len()).filter(|len| *len > 0)
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        let mut count = 0;
        let len = |rest: &[u8]| {
            count += 1;
            counted_len(rest)
        };
        tiles(octets, len) && count <= self.max
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
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
}

impl Field for Digits {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let octets = cursor.octets("an address")?;
        let start = out.len();
        cursor.counted(&octets, out)?;
        if self.is_sound(&out[start..]) {
            Ok(())
        } else {
            cursor.fail("an address has four digits or more, and nothing else (RFC 1183, 3.1)")
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        counted_len(rest)
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        octets.len() > 4 && octets[1..].iter().all(u8::is_ascii_digit)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        CharStr.print(octets, out)
    }
}

impl Field for Decimal {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let octets = cursor.octets("a decimal number")?;
        let start = out.len();
        cursor.counted(&octets, out)?;
        if self.is_sound(&out[start..]) {
            Ok(())
        } else {
            cursor.fail("expected degrees of longitude and latitude, then metres, each a decimal number (RFC 1712, 3)")
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        counted_len(rest)
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        let text = std::str::from_utf8(&octets[1..]).unwrap_or_default();
        let plain = |octet: u8| octet.is_ascii_digit() || matches!(octet, b'+' | b'-' | b'.');
        text.bytes().all(plain)
            && text
                .parse::<f64>()
                .is_ok_and(|number| number.abs() <= self.max)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        CharStr.print(octets, out)
    }
}

impl Field for Tag {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let tag = cursor.text("a tag")?.as_bytes();
        if tag.is_empty() || tag.len() > 255 || !tag.iter().all(u8::is_ascii_alphanumeric) {
            return cursor.fail("a tag is made of letters and digits (RFC 8659, 4.1)");
        }
        cursor.counted(tag, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        counted_len(rest)
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        octets.len() > 1 && octets[1..].iter().all(u8::is_ascii_alphanumeric)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        out.extend(octets[1..].iter().copied().map(char::from));
        Ok(())
    }
}

impl Field for Text {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        out.extend(cursor.octets("a quoted text")?);
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        quoted(octets, out)
    }
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
