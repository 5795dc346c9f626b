//! Octets in hexadecimal digits, Base 32 and Base 64.

use std::fmt::{self, Write};

use data_encoding::{BASE32HEX, BASE32HEX_NOPAD, BASE64, Encoding, HEXLOWER, HEXUPPER};

use super::cursor::Cursor;
use super::error::RdataError;
use super::field::Field;

/// Octets to the end in hexadecimal, white space allowed; there must be some.
pub(super) struct Hex;

/// Octets to the end in Base 64, white space allowed.
pub(super) struct Base64 {
    may_be_empty: bool,
}

/// At least one octet.
pub(super) const BASE64_SOME: Base64 = Base64 {
    may_be_empty: false,
};

/// Perhaps no octets (IPSECKEY and KEY without a key, SINK).
pub(super) const BASE64_ANY: Base64 = Base64 { may_be_empty: true };

/// Octets to the end in Base 64, a dash if there are none (DOA).
pub(super) struct Base64OrDash;

/// A length octet and as many octets in hexadecimal, `-` if there are none (RFC 5155 3.3).
pub(super) struct Salt;

/// A length octet and as many octets in Base 32 hex (RFC 5155 3.3).
pub(super) struct Hash;

/// An OSI address to the end: `0x`, then hexadecimal digits with dots anywhere (RFC 1706 5).
pub(super) struct Nsap;

/// An ATM address to the end: the digits of E.164 behind a `+`, or an address of an end system in
/// hexadecimal digits with dots anywhere (ATM Forum, ATM Name System 2.0).
pub(super) struct Atm;

/// Decodes a text with padding only at its end. `data_encoding` alone also accepts concatenated padded texts.
pub(super) fn decode_padded(encoding: &Encoding, text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().position(|octet| *octet == b'=');
    let (_, end) = text.split_at(padding.unwrap_or(text.len()));
    let is_padding = end.iter().all(|octet| *octet == b'=');
    encoding.decode(text).ok().filter(|_| is_padding)
}

impl Field for Hex {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.joined()?;
        if text.is_empty() {
            return cursor.fail("data in hexadecimal digits is missing");
        }
        out.extend(cursor.hex(&text)?);
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len()).filter(|len| *len > 0)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        HEXUPPER.encode_append(octets, out);
        Ok(())
    }
}

impl Field for Base64 {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.joined()?;
        match decode_padded(&BASE64, text.as_bytes()) {
            Some(octets) if !octets.is_empty() || self.may_be_empty => {
                out.extend(octets);
                Ok(())
            }
            _ => cursor.fail("expected data in Base 64"),
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len()).filter(|len| *len > 0 || self.may_be_empty)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        BASE64.encode_append(octets, out);
        Ok(())
    }
}

impl Field for Base64OrDash {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        if cursor.peek().is_some_and(|token| token.raw == b"-") {
            cursor.next("data")?;
            return Ok(());
        }
        BASE64_SOME.parse(cursor, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        match octets {
            [] => out.write_char('-'),
            _ => BASE64_SOME.print(octets, out),
        }
    }
}

impl Field for Salt {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        match cursor.text("a salt")? {
            "-" => {
                out.push(0);
                Ok(())
            }
            text => {
                let octets = cursor.hex(text)?;
                cursor.counted(&octets, out)
            }
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(1 + usize::from(*rest.first()?))
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        if octets.len() == 1 {
            return out.write_char('-');
        }
        HEXUPPER.encode_append(&octets[1..], out);
        Ok(())
    }
}

impl Field for Hash {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("a hash")?.to_ascii_uppercase();
        // Knot writes padding, BIND does not.
        let octets = match text.ends_with('=') {
            true => decode_padded(&BASE32HEX, text.as_bytes()),
            false => BASE32HEX_NOPAD.decode(text.as_bytes()).ok(),
        };
        match octets {
            Some(octets) if !octets.is_empty() => cursor.counted(&octets, out),
            _ => cursor.fail("expected a hash in Base 32 with extended hex alphabet"),
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(1 + usize::from(*rest.first()?))
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        octets.len() > 1
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        BASE32HEX_NOPAD.encode_append(&octets[1..], out);
        Ok(())
    }
}

impl Field for Nsap {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("an OSI address")?;
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        match digits.map(|digits| digits.replace('.', "")) {
            Some(digits) if !digits.is_empty() => {
                out.extend(cursor.hex(&digits)?);
                Ok(())
            }
            _ => cursor.fail(format!(
                "expected 0x and hexadecimal digits, as in 0x47.0005.80, and got '{text}'"
            )),
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Hex.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        out.push_str("0x");
        HEXLOWER.encode_append(octets, out);
        Ok(())
    }
}

impl Field for Atm {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("an ATM address")?.replace('.', "");
        let start = out.len();
        match text.strip_prefix('+') {
            Some(digits) => {
                out.push(1);
                out.extend(digits.bytes());
            }
            None => {
                out.push(0);
                out.extend(cursor.hex(&text)?);
            }
        }
        if self.is_sound(&out[start..]) {
            Ok(())
        } else {
            cursor.fail("expected an ATM address: + and digits, or hexadecimal digits")
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        match octets {
            [0, address @ ..] => !address.is_empty(),
            [1, digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        match octets {
            [0, address @ ..] => HEXLOWER.encode_append(address, out),
            [_, digits @ ..] => {
                out.push('+');
                out.extend(digits.iter().copied().map(char::from));
            }
            [] => return Err(fmt::Error),
        }
        Ok(())
    }
}
