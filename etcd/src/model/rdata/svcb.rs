//! The parameters of SVCB and HTTPS (RFC 9460 2.1 and appendix A).

use super::super::text::shown;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use data_encoding::BASE64;

use super::super::text::{self, Escape};
use super::binary::decode_padded;
use super::cursor::{Cursor, digits};
use super::error::RdataError;
use super::field::{Field, number, tiles};
use super::strings::quoted;

/// Keys and values to the end, perhaps none.
pub(super) struct Params;

/// The form of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Keys that a client must support (RFC 9460 8).
    Keys,
    /// Strings, each preceded by its length.
    Strings,
    /// Strings, perhaps none.
    StringsOrNone,
    /// Strings, each followed by a weight up to 100: `dot:20`.
    Weighted,
    /// No value.
    Nothing,
    Port,
    Ipv4,
    Ipv6,
    Base64,
    /// A URI template with the variable `dns` (RFC 9461 5).
    Path,
    /// Numbers of 16 bits.
    Numbers,
    /// Any octets: unregistered keys, and the value of any key that is written as a number.
    Opaque,
}

const MANDATORY: u16 = 0;

/// IANA's registry: number, name and form.
const KEYS: &[(u16, &str, Form)] = &[
    (MANDATORY, "mandatory", Form::Keys),
    (1, "alpn", Form::Strings),
    (2, "no-default-alpn", Form::Nothing),
    (3, "port", Form::Port),
    (4, "ipv4hint", Form::Ipv4),
    (5, "ech", Form::Base64),
    (6, "ipv6hint", Form::Ipv6),
    (7, "dohpath", Form::Path),
    (8, "ohttp", Form::Nothing),
    (9, "tls-supported-groups", Form::Numbers),
    (10, "docpath", Form::StringsOrNone),
    (11, "pvd", Form::Nothing),
    (12, "oots", Form::Weighted),
];

fn form(key: u16) -> Form {
    let known = KEYS.iter().find(|(number, ..)| *number == key);
    known.map_or(Form::Opaque, |(_, _, form)| *form)
}

impl Field for Params {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let mut params = BTreeMap::new();
        while !cursor.is_empty() {
            let (key, octets) = param(cursor)?;
            if params.insert(key, octets).is_some() {
                return cursor.fail("a SVCB parameter is given twice (RFC 9460, 2.1)");
            }
        }
        let start = out.len();
        for (key, octets) in params {
            out.extend(key.to_be_bytes());
            out.extend((octets.len() as u16).to_be_bytes());
            out.extend(octets);
        }
        if self.is_sound(&out[start..]) {
            Ok(())
        } else {
            cursor.fail("a key that is mandatory is missing, or names itself (RFC 9460, 8)")
        }
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    /// Keys are in rising order, values have the right form, and mandatory keys exist.
    fn is_sound(&self, octets: &[u8]) -> bool {
        let Some(params) = params(octets).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let keys: Vec<u16> = params.iter().map(|(key, _)| *key).collect();
        let is_there = |key: &u16| *key != MANDATORY && keys.contains(key);
        rises(&keys)
            && params.iter().all(|(key, value)| {
                value_is_sound(*key, value)
                    && (*key != MANDATORY || numbers(value).iter().all(is_there))
            })
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        for (index, param) in params(octets).enumerate() {
            let (key, value) = param.ok_or(fmt::Error)?;
            if index > 0 {
                out.push(' ');
            }
            print_key(key, out)?;
            if !value.is_empty() {
                out.push('=');
                print_value(form(key), value, out)?;
            }
        }
        Ok(())
    }
}

fn param(cursor: &mut Cursor<'_, '_>) -> Result<(u16, Vec<u8>), RdataError> {
    let raw = cursor.next("a parameter")?.raw;
    let equals = raw.iter().position(|octet| *octet == b'=');
    let (name, value) = match equals {
        Some(at) => (&raw[..at], &raw[at + 1..]),
        None => (raw, &[][..]),
    };
    let Some((key, form)) = key(name) else {
        return cursor.fail(format!("'{}' is not a SVCB parameter key", shown(name)));
    };
    let Some(value) = unquoted(value) else {
        return cursor.fail("quotes stand around a whole value (RFC 9460, 2.1)");
    };
    match parse_value(form, value) {
        Ok(octets) if octets.len() > 65_535 => cursor.fail("the value is longer than 65535 octets"),
        // Mandatory keys are checked when all keys have been read.
        Ok(octets) if value_is_sound(key, &octets) => Ok((key, octets)),
        Ok(_) => cursor.fail(format!("'{}' has no such value", shown(name))),
        Err(reason) => cursor.fail(reason),
    }
}

/// The key, and the form of its value in text.
fn key(name: &[u8]) -> Option<(u16, Form)> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some((key, _, form)) = KEYS.iter().find(|(_, known, _)| *known == name) {
        return Some((*key, *form));
    }
    let digits = name.strip_prefix("key")?;
    let plain = digits.bytes().all(|octet| octet.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    Some((digits.parse().ok().filter(|_| plain)?, Form::Opaque))
}

/// A value without the quotes around it; none if it has other unescaped quotes.
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

fn parse_value(form: Form, value: &[u8]) -> Result<Vec<u8>, &'static str> {
    let octets = text::unescaped(value).map_err(|error| error.0)?;
    match form {
        Form::Opaque | Form::Path => return Ok(octets),
        Form::Nothing if octets.is_empty() => return Ok(octets),
        Form::Nothing => return Err("this parameter takes no value"),
        Form::StringsOrNone if octets.is_empty() => return Ok(octets),
        _ if octets.is_empty() => return Err("this parameter needs a value"),
        Form::Strings | Form::StringsOrNone => return strings(&octets),
        Form::Weighted => return weighted(&octets),
        _ => {}
    }
    if value.contains(&b'\\') {
        return Err("this value takes no escapes (RFC 9460, 7.2, 7.3, 8)");
    }
    let text = std::str::from_utf8(&octets).map_err(|_| "the value is not text")?;
    let each = |what, one: fn(&str) -> Option<Vec<u8>>| {
        let octets: Option<Vec<Vec<u8>>> = text.split(',').map(one).collect();
        octets.map(|octets| octets.concat()).ok_or(what)
    };
    let word = |text: &str| {
        let number = digits(text).and_then(|number| u16::try_from(number).ok())?;
        Some(number.to_be_bytes().into())
    };
    match form {
        Form::Keys => {
            let octets = each("mandatory takes a list of parameter keys", |name| {
                Some(key(name.as_bytes())?.0.to_be_bytes().into())
            })?;
            let mut keys = numbers(&octets);
            keys.sort_unstable();
            if !rises(&keys) {
                return Err("mandatory names a key twice (RFC 9460, 8)");
            }
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        Form::Port => word(text).ok_or("port takes a number up to 65535"),
        Form::Numbers => each("this parameter takes a list of numbers up to 65535", word),
        Form::Ipv4 => each("ipv4hint takes a list of IPv4 addresses", |text| {
            Some(text.parse::<Ipv4Addr>().ok()?.octets().into())
        }),
        Form::Ipv6 => each("ipv6hint takes a list of IPv6 addresses", |text| {
            Some(text.parse::<Ipv6Addr>().ok()?.octets().into())
        }),
        _ => {
            let octets = decode_padded(&BASE64, &octets);
            octets.ok_or("this parameter takes a value in Base 64")
        }
    }
}

fn strings(octets: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut wire = Vec::new();
    for item in list(octets)? {
        match u8::try_from(item.len()) {
            Ok(len @ 1..) => {
                wire.push(len);
                wire.extend(item);
            }
            _ => return Err("each of the values has 1 to 255 octets"),
        }
    }
    Ok(wire)
}

fn weighted(octets: &[u8]) -> Result<Vec<u8>, &'static str> {
    let bad = "this parameter takes names with weights up to 100, as in dot:20";
    let mut wire = Vec::new();
    for item in list(octets)? {
        let colon = item.iter().rposition(|octet| *octet == b':').ok_or(bad)?;
        let weight = std::str::from_utf8(&item[colon + 1..]).ok();
        let weight = weight.filter(|weight| !weight.is_empty()).and_then(digits);
        let weight = weight.filter(|weight| *weight <= 100).ok_or(bad)?;
        match u8::try_from(colon) {
            Ok(len @ 1..) => {
                wire.push(len);
                wire.extend(&item[..colon]);
                wire.push(weight as u8);
            }
            _ => return Err(bad),
        }
    }
    Ok(wire)
}

/// Splits a value at its commas. A backslash makes the next octet literal (RFC 9460 A.1).
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

fn rises(numbers: &[u16]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

fn numbers(value: &[u8]) -> Vec<u16> {
    value.chunks(2).map(|word| number(word) as u16).collect()
}

/// The length of the first string of a list, with its length octet.
fn string_len(rest: &[u8]) -> Option<usize> {
    rest.first()
        .filter(|len| **len > 0)
        .map(|len| 1 + usize::from(*len))
}

/// Whether a value has the form of its key. This does not check that mandatory keys exist.
fn value_is_sound(key: u16, value: &[u8]) -> bool {
    let some_of = |len: usize| !value.is_empty() && value.len().is_multiple_of(len);
    match form(key) {
        Form::Keys => some_of(2) && rises(&numbers(value)),
        Form::Strings => !value.is_empty() && tiles(value, string_len),
        Form::StringsOrNone => tiles(value, string_len),
        Form::Weighted => {
            let len = |rest: &[u8]| {
                let len = string_len(rest)?;
                rest.get(len).filter(|weight| **weight <= 100)?;
                Some(len + 1)
            };
            !value.is_empty() && tiles(value, len)
        }
        Form::Nothing => value.is_empty(),
        Form::Port => value.len() == 2,
        Form::Ipv4 => some_of(4),
        Form::Ipv6 => some_of(16),
        Form::Base64 => !value.is_empty(),
        Form::Path => is_template(value),
        Form::Numbers => some_of(2),
        Form::Opaque => true,
    }
}

/// Whether this is a path as a URI template, of which `dns` is a variable (RFC 9461 5, RFC 6570 2).
fn is_template(value: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.starts_with('/'))
    else {
        return false;
    };
    let mut has_dns = false;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let Some((expression, after)) = rest[at..]
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        else {
            return false;
        };
        let variables = expression.trim_start_matches(['?', '&', '/', ';', '+', '#', '.']);
        has_dns |= variables
            .split(',')
            .any(|variable| variable.split([':', '*']).next() == Some("dns"));
        rest = after;
    }
    has_dns
}

fn print_key(key: u16, out: &mut String) -> fmt::Result {
    match KEYS.iter().find(|(known, ..)| *known == key) {
        Some((_, name, _)) => out.write_str(name),
        None => write!(out, "key{key}"),
    }
}

fn print_value(form: Form, value: &[u8], out: &mut String) -> fmt::Result {
    match form {
        Form::Keys => joined(value.chunks(2), out, |key, out| {
            print_key(number(key) as u16, out)
        }),
        Form::Strings | Form::StringsOrNone | Form::Weighted => {
            let mut text = Vec::new();
            let mut rest = value;
            while let Some((&len, after)) = rest.split_first() {
                let (item, after) = after.split_at_checked(len.into()).ok_or(fmt::Error)?;
                if !text.is_empty() {
                    text.push(b',');
                }
                for &octet in item {
                    if matches!(octet, b',' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(octet);
                }
                rest = after;
                if form == Form::Weighted {
                    let (weight, after) = rest.split_first().ok_or(fmt::Error)?;
                    text.extend(format!(":{weight}").bytes());
                    rest = after;
                }
            }
            quoted(&text, out)
        }
        Form::Port | Form::Numbers => joined(value.chunks(2), out, |word, out| {
            write!(out, "{}", number(word))
        }),
        Form::Ipv4 => joined(value.chunks(4), out, |hint, out| {
            write!(out, "{}", Ipv4Addr::from(number(hint)))
        }),
        Form::Ipv6 => joined(value.chunks(16), out, |hint, out| {
            let octets: [u8; 16] = hint.try_into().map_err(|_| fmt::Error)?;
            write!(out, "{}", Ipv6Addr::from(octets))
        }),
        Form::Base64 => {
            BASE64.encode_append(value, out);
            Ok(())
        }
        Form::Path | Form::Nothing | Form::Opaque => quoted(value, out),
    }
}

fn joined<'a>(
    items: impl Iterator<Item = &'a [u8]>,
    out: &mut String,
    mut print: impl FnMut(&[u8], &mut String) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        print(item, out)?;
    }
    Ok(())
}
