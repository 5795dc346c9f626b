//! Text to wire form.

use core::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use super::super::name::{self, Name};
use super::super::rtype::Rtype;
use super::super::text::{self, Position, Token};
use super::field::{ALGORITHMS, CERT_TYPES, Field, fields};
use super::{Rdata, RdataError, special, svcb, walk, wrong_octets};

/// The tokens of one rdata, taken off one by one.
pub(super) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
    pub(super) origin: Option<&'t Name>,
    /// Where the token that was taken last began.
    pub(super) at: Position,
}

impl<'a> Cursor<'_, 'a> {
    pub(super) fn next(&mut self, what: &str) -> Result<Token<'a>, RdataError> {
        let (token, rest) = self
            .tokens
            .split_first()
            .ok_or_else(|| RdataError::new(self.at, format!("{what} is missing")))?;
        self.tokens = rest;
        self.at = token.at;
        Ok(*token)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn fail<T>(
        &self,
        reason: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Result<T, RdataError> {
        Err(RdataError::new(self.at, reason))
    }

    /// The next token as the text it stands for.
    pub(super) fn text(&mut self, what: &str) -> Result<String, RdataError> {
        let octets = self.octets(what)?;
        String::from_utf8(octets).or_else(|_| self.fail(format!("{what} is not text")))
    }

    pub(super) fn octets(&mut self, what: &str) -> Result<Vec<u8>, RdataError> {
        let token = self.next(what)?;
        text::unescaped(token.raw).or_else(|error| self.fail(error.0))
    }

    pub(super) fn number(&mut self, what: &str, max: u32) -> Result<u32, RdataError> {
        let text = self.text(what)?;
        match digits(&text).filter(|number| *number <= max) {
            Some(number) => Ok(number),
            None => self.fail(format!(
                "expected {what}, a number up to {max}, and got '{text}'"
            )),
        }
    }

    /// All tokens that are left, put together: Base 64 and the like may be cut anywhere.
    pub(super) fn joined(&mut self) -> Result<String, RdataError> {
        let mut joined = String::new();
        while !self.is_empty() {
            joined.push_str(&self.text("data")?);
        }
        Ok(joined)
    }
}

/// A decimal number without sign.
pub(super) fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// The short way for the types that most records have: no tokens, no table.
pub(super) fn address(rtype: Rtype, text: &str) -> Option<Rdata> {
    match rtype {
        Rtype::A => Some(Rdata(text.parse::<Ipv4Addr>().ok()?.octets().into())),
        Rtype::AAAA => Some(Rdata(text.parse::<Ipv6Addr>().ok()?.octets().into())),
        _ => None,
    }
}

pub(super) fn rdata(
    rtype: Rtype,
    tokens: &[Token<'_>],
    origin: Option<&Name>,
    at: Position,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let mut cursor = Cursor { tokens, origin, at };
    if let Some((marker, rest)) = tokens.split_first()
        && marker.raw == b"\\#"
        && !marker.quoted
    {
        cursor.tokens = rest;
        generic(&mut cursor, out)?;
        if walk::check(rtype, out).is_err() {
            return Err(RdataError::new(marker.at, wrong_octets(rtype)));
        }
        return Ok(());
    }
    let Some(fields) = fields(rtype) else {
        return cursor.fail(format!(
            "{rtype} has no text form of its own; give its octets as \\# LENGTH HEX (RFC 3597)"
        ));
    };
    for field in fields {
        one(*field, &mut cursor, out)?;
    }
    match cursor.tokens.first() {
        Some(extra) => Err(RdataError::new(
            extra.at,
            format!(
                "'{}' is more than {rtype} rdata has room for",
                String::from_utf8_lossy(extra.raw)
            ),
        )),
        None => Ok(()),
    }
}

fn generic(cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let len = cursor.number("the length of the octets", 65_535)?;
    let hex = cursor.joined()?;
    let octets = hex_octets(cursor, &hex)?;
    if octets.len() != len as usize {
        return cursor.fail(format!(
            "there are {} octets where {len} were announced",
            octets.len()
        ));
    }
    out.extend_from_slice(&octets);
    Ok(())
}

fn hex_octets(cursor: &Cursor<'_, '_>, text: &str) -> Result<Vec<u8>, RdataError> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .or_else(|_| cursor.fail("expected pairs of hexadecimal digits"))
}

fn one(field: Field, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    match field {
        Field::U8 => out.push(cursor.number("a number", 255)? as u8),
        Field::U16 => out.extend((cursor.number("a number", 65_535)? as u16).to_be_bytes()),
        Field::U32 => out.extend(cursor.number("a number", u32::MAX)?.to_be_bytes()),
        Field::Period => {
            let text = cursor.text("a period")?;
            match text::period(&text) {
                Some(seconds) => out.extend(seconds.to_be_bytes()),
                None => {
                    return cursor.fail(format!(
                        "expected seconds, or a period such as 1h30m, and got '{text}'"
                    ));
                }
            }
        }
        Field::Time => {
            let text = cursor.text("a time")?;
            match special::time(&text).or_else(|| digits(&text)) {
                Some(seconds) => out.extend(seconds.to_be_bytes()),
                None => {
                    return cursor.fail(format!(
                        "expected a time as YYYYMMDDHHmmSS, and got '{text}'"
                    ));
                }
            }
        }
        Field::Covered => {
            let text = cursor.text("a record type")?;
            match text.parse::<Rtype>() {
                Ok(rtype) => out.extend(rtype.0.to_be_bytes()),
                Err(error) => return cursor.fail(format!("'{text}' is {error}")),
            }
        }
        Field::CertType => {
            out.extend(mnemonic(cursor, "a certificate type", CERT_TYPES, 65_535)?.to_be_bytes())
        }
        Field::Algorithm => out.push(mnemonic(cursor, "an algorithm", ALGORITHMS, 255)? as u8),
        Field::Ipv4 => match cursor.text("an IPv4 address")? {
            text if text.parse::<Ipv4Addr>().is_err() => {
                return cursor.fail(format!("'{text}' is not an IPv4 address"));
            }
            text => out.extend(
                text.parse::<Ipv4Addr>()
                    .unwrap_or(Ipv4Addr::UNSPECIFIED)
                    .octets(),
            ),
        },
        Field::Ipv6 => {
            let text = cursor.text("an IPv6 address")?;
            match text.parse::<Ipv6Addr>() {
                Ok(address) => out.extend(address.octets()),
                Err(_) => return cursor.fail(format!("'{text}' is not an IPv6 address")),
            }
        }
        Field::Eui48 => groups(
            cursor,
            "six pairs of hexadecimal digits, as in 00-00-5e-00-53-2a",
            b'-',
            2,
            6,
            out,
        )?,
        Field::Eui64 => groups(
            cursor,
            "eight pairs of hexadecimal digits, as in 00-00-5e-ef-10-00-00-2a",
            b'-',
            2,
            8,
            out,
        )?,
        Field::Groups64 => groups(
            cursor,
            "four groups of hexadecimal digits, as in 0014:4fff:ff20:ee64",
            b':',
            4,
            4,
            out,
        )?,
        Field::Name | Field::NamePlain | Field::NameExact => {
            let token = cursor.next("a domain name")?;
            name(cursor, token, out)?;
        }
        Field::CharStr => char_str(cursor, out)?,
        Field::CharStrs => {
            char_str(cursor, out)?;
            while !cursor.is_empty() {
                char_str(cursor, out)?;
            }
        }
        Field::Tag => {
            let tag = cursor.octets("a tag")?;
            if tag.is_empty() || tag.len() > 255 || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return cursor.fail("a tag is made of letters and digits (RFC 8659, 4.1)");
            }
            out.push(tag.len() as u8);
            out.extend(tag);
        }
        Field::Text => out.extend(cursor.octets("a quoted text")?),
        Field::Hex | Field::HexOrEmpty => {
            let text = cursor.joined()?;
            if text.is_empty() && field == Field::Hex {
                return cursor.fail("data in hexadecimal digits is missing");
            }
            // DS of algorithm 0 writes its one octet of nothing as `00`; nothing at all is accepted too.
            out.extend(hex_octets(cursor, &text)?);
        }
        Field::Base64 | Field::Base64OrEmpty => {
            let text = cursor.joined()?;
            match BASE64.decode(text.as_bytes()) {
                Ok(octets) if !octets.is_empty() || field == Field::Base64OrEmpty => {
                    out.extend(octets)
                }
                _ => return cursor.fail("expected data in Base 64"),
            }
        }
        Field::Salt => match cursor.text("a salt")?.as_str() {
            "-" => out.push(0),
            text => {
                let octets = hex_octets(cursor, text)?;
                counted(cursor, &octets, out)?;
            }
        },
        Field::Hash => {
            let text = cursor.text("a hash")?.to_ascii_uppercase();
            match BASE32HEX_NOPAD.decode(text.as_bytes()) {
                Ok(octets) if !octets.is_empty() => counted(cursor, &octets, out)?,
                _ => return cursor.fail("expected a hash in Base 32 with extended hex alphabet"),
            }
        }
        Field::Types => special::parse_types(cursor, out)?,
        Field::SvcParams => svcb::parse(cursor, out)?,
        Field::Location => special::parse_location(cursor, out)?,
        Field::Prefixes => special::parse_prefixes(cursor, out)?,
        Field::HostIdentity => special::parse_host_identity(cursor, out)?,
        Field::Names => {
            while !cursor.is_empty() {
                let token = cursor.next("a domain name")?;
                name(cursor, token, out)?;
            }
        }
        Field::Gateway => special::parse_gateway(cursor, out)?,
    }
    Ok(())
}

pub(super) fn name(
    cursor: &Cursor<'_, '_>,
    token: Token<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    name::parse_onto(token.raw, cursor.origin, out).or_else(|error| {
        cursor.fail(format!(
            "'{}' is not a domain name: {error}",
            String::from_utf8_lossy(token.raw)
        ))
    })
}

fn mnemonic<N: Copy + Into<u16>>(
    cursor: &mut Cursor<'_, '_>,
    what: &str,
    known: &[(N, &str)],
    max: u32,
) -> Result<u16, RdataError> {
    let text = cursor.text(what)?;
    if let Some((number, _)) = known
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(&text))
    {
        return Ok((*number).into());
    }
    match digits(&text).filter(|number| *number <= max) {
        Some(number) => Ok(number as u16),
        None => cursor.fail(format!("'{text}' is not {what}")),
    }
}

fn groups(
    cursor: &mut Cursor<'_, '_>,
    what: &str,
    separator: u8,
    width: usize,
    count: usize,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let text = cursor.text(what)?;
    let mut parts = 0;
    let mut hex = String::new();
    for part in text.split(char::from(separator)) {
        parts += 1;
        // RFC 6742 prints groups without leading zeros, RFC 7043 never does.
        if part.is_empty() || part.len() > width || (part.len() != width && width == 2) {
            return cursor.fail(format!("expected {what}"));
        }
        hex.push_str(&"0".repeat(width - part.len()));
        hex.push_str(part);
    }
    match HEXLOWER_PERMISSIVE.decode(hex.as_bytes()) {
        Ok(octets) if parts == count => out.extend(octets),
        _ => return cursor.fail(format!("expected {what}")),
    }
    Ok(())
}

fn char_str(cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let octets = cursor.octets("a character string")?;
    counted(cursor, &octets, out)
}

pub(super) fn counted(
    cursor: &Cursor<'_, '_>,
    octets: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    match u8::try_from(octets.len()) {
        Ok(len) => {
            out.push(len);
            out.extend(octets);
            Ok(())
        }
        Err(_) => cursor.fail(format!(
            "a string of {} octets is longer than 255",
            octets.len()
        )),
    }
}
