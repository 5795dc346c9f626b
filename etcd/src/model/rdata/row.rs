//! Reads, checks and prints rdata field by field, as listed in [`table`](super::table).

use super::super::text::shown;
use std::borrow::Cow;
use std::fmt;

use super::super::name::Name;
use super::super::rtype::Rtype;
use super::super::text::{Position, Token};
use super::constraints;
use super::cursor::Cursor;
use super::error::RdataError;
use super::field::{EndingName, Field};
use super::table::fields;

/// The octets do not have the fields of the type.
#[derive(Debug)]
pub(super) struct Malformed;

/// Removes the octets of one field from `rest` and returns them.
fn take<'a>(field: &dyn Field, rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let len = field.len(rest).ok_or(Malformed)?;
    let (octets, after) = rest.split_at_checked(len).ok_or(Malformed)?;
    *rest = after;
    field.is_sound(octets).then_some(octets).ok_or(Malformed)
}

/// Reads tokens as rdata of this type.
pub(super) fn parse(
    rtype: Rtype,
    tokens: &[Token<'_>],
    origin: Option<&Name>,
    at: Position,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let mut cursor = Cursor::new(tokens, origin, at);
    let is_generic = |token: &&Token<'_>| token.raw == b"\\#" && !token.quoted;
    if let Some(marker) = tokens.first().filter(is_generic) {
        cursor.next("\\#")?;
        parse_generic(&mut cursor, out)?;
        return check(rtype, out).map_err(|reason| RdataError::new(marker.at, reason));
    }
    let Some(fields) = fields(rtype) else {
        return cursor.fail(format!(
            "{rtype} has no text form of its own; give its octets as \\# LENGTH HEX (RFC 3597)"
        ));
    };
    for field in fields {
        field.parse(&mut cursor, out)?;
    }
    if let Some(extra) = cursor.peek() {
        let extra_text = shown(extra.raw);
        return Err(RdataError::new(
            extra.at,
            format!("'{extra_text}' is more than {rtype} rdata has room for"),
        ));
    }
    match constraints::breach(rtype, out) {
        Some(reason) => cursor.fail(reason),
        None => Ok(()),
    }
}

fn parse_generic(cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let len = cursor.number("the length of the octets", 65_535)?;
    let hex = cursor.joined()?;
    let octets = cursor.hex(&hex)?;
    if octets.len() != len as usize {
        return cursor.fail(format!(
            "there are {} octets where {len} were announced",
            octets.len()
        ));
    }
    out.extend_from_slice(&octets);
    Ok(())
}

/// Checks that `wire` is rdata of this type. Any octets are valid if only the generic form is known.
pub(super) fn check(rtype: Rtype, wire: &[u8]) -> Result<(), Cow<'static, str>> {
    let Some(fields) = fields(rtype) else {
        return Ok(());
    };
    let mut rest = wire;
    let taken = fields.iter().all(|field| take(*field, &mut rest).is_ok());
    if !taken || !rest.is_empty() {
        return Err(format!("the octets are no {rtype} rdata").into());
    }
    match constraints::breach(rtype, wire) {
        Some(reason) => Err(reason.into()),
        None => Ok(()),
    }
}

/// Writes the text form. An error if there is none; then the caller uses the generic form.
pub(super) fn print(rtype: Rtype, wire: &[u8], out: &mut String) -> fmt::Result {
    let mut rest = wire;
    for (index, field) in fields(rtype).ok_or(fmt::Error)?.iter().enumerate() {
        let octets = take(*field, &mut rest).map_err(|_| fmt::Error)?;
        let before = out.len();
        if index > 0 {
            out.push(' ');
        }
        field.print(octets, out)?;
        if out.len() == before + 1 && index > 0 {
            // An empty last field must not leave a space.
            out.truncate(before);
        }
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(fmt::Error)
    }
}

/// Writes the generic form of RFC 3597 5, which exists for any octets.
pub(super) fn print_generic(wire: &[u8], out: &mut String) {
    out.push_str("\\# ");
    out.push_str(&wire.len().to_string());
    if !wire.is_empty() {
        out.push(' ');
        data_encoding::HEXUPPER.encode_append(wire, out);
    }
}

/// Calls `found` for every name at the end of a field, with its offset in `wire` and whether it folds.
fn each_name(rtype: Rtype, wire: &[u8], mut found: impl FnMut(&[u8], usize, bool)) {
    let mut rest = wire;
    for field in fields(rtype).unwrap_or_default() {
        let start = wire.len() - rest.len();
        // This does not fail: the rdata was checked when it was made.
        let Ok(octets) = take(*field, &mut rest) else {
            return;
        };
        if let Some(EndingName { at, folds }) = field.name(octets) {
            found(&octets[at..], start + at, folds);
        }
    }
}

/// The canonical form (RFC 4034 6.2).
pub(super) fn canonical(rtype: Rtype, wire: &[u8]) -> Cow<'_, [u8]> {
    let mut folded = Cow::Borrowed(wire);
    each_name(rtype, wire, |name, at, folds| {
        if folds && name.iter().any(u8::is_ascii_uppercase) {
            folded.to_mut()[at..at + name.len()].make_ascii_lowercase();
        }
    });
    folded
}

/// The names at the end of fields.
pub(super) fn names(rtype: Rtype, wire: &[u8]) -> Vec<Name> {
    let mut names = Vec::new();
    each_name(rtype, wire, |name, _, _| {
        names.extend(Name::from_wire(name))
    });
    names
}
