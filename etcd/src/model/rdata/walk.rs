//! Walks rdata in wire form field by field: to check it, to bring it into canonical form, to find names.

use std::borrow::Cow;

use super::super::name::{self, Name};
use super::super::rtype::Rtype;
use super::field::{Field, fields};
use super::{special, svcb};

/// The octets are not what the fields ask for.
#[derive(Debug)]
pub(super) struct Malformed;

/// Takes the octets of one field off `rest`.
pub(super) fn take<'a>(field: Field, rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    use Field::*;
    let len = match field {
        U8 | Algorithm => 1,
        U16 | Covered | CertType => 2,
        U32 | Period | Time | Ipv4 => 4,
        Eui48 => 6,
        Eui64 | Groups64 => 8,
        Ipv6 => 16,
        Name | NamePlain | NameExact => name::wire_len(rest).ok_or(Malformed)?,
        CharStr | Salt | Hash | Tag => 1 + usize::from(*rest.first().ok_or(Malformed)?),
        CharStrs | Hex | Base64 if rest.is_empty() => return Err(Malformed),
        CharStrs | Text | Hex | HexOrEmpty | Base64 | Base64OrEmpty | Types | SvcParams
        | Prefixes | Names => rest.len(),
        Location => 16,
        HostIdentity => special::host_identity_len(rest).ok_or(Malformed)?,
        Gateway => special::gateway_len(rest).ok_or(Malformed)?,
    };
    let (octets, after) = rest.split_at_checked(len).ok_or(Malformed)?;
    let sound = match field {
        CharStrs => tiles(octets, |rest| Some(1 + usize::from(*rest.first()?))),
        Names => tiles(octets, name::wire_len),
        Types => special::types_are_sound(octets),
        SvcParams => svcb::is_sound(octets),
        Prefixes => special::prefixes_are_sound(octets),
        Location => octets[0] == 0,
        Tag => len > 1 && octets[1..].iter().all(u8::is_ascii_alphanumeric),
        Hash => len > 1,
        _ => true,
    };
    *rest = after;
    if sound { Ok(octets) } else { Err(Malformed) }
}

/// Whether pieces of the lengths that `len` finds make up all of `octets`.
fn tiles(mut octets: &[u8], len: impl Fn(&[u8]) -> Option<usize>) -> bool {
    while !octets.is_empty() {
        match len(octets).and_then(|len| octets.get(len..)) {
            Some(rest) => octets = rest,
            None => return false,
        }
    }
    true
}

/// Whether `wire` is rdata of this type. Any octets are where only the generic form is known.
pub(super) fn check(rtype: Rtype, wire: &[u8]) -> Result<(), Malformed> {
    let Some(fields) = fields(rtype) else {
        return Ok(());
    };
    let mut rest = wire;
    for field in fields {
        take(*field, &mut rest)?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Malformed)
    }
}

pub(super) fn canonical(rtype: Rtype, wire: &[u8]) -> Cow<'_, [u8]> {
    let folds = |field: &&Field| matches!(field, Field::Name | Field::NamePlain);
    let Some(fields) = fields(rtype).filter(|fields| fields.iter().any(|f| folds(&f))) else {
        return Cow::Borrowed(wire);
    };
    let (mut rest, mut folded) = (wire, wire.to_vec());
    for field in fields {
        let start = wire.len() - rest.len();
        // Checked when the rdata was made.
        let Ok(octets) = take(*field, &mut rest) else {
            break;
        };
        if folds(&field) {
            folded[start..start + octets.len()].make_ascii_lowercase();
        }
    }
    Cow::Owned(folded)
}

pub(super) fn names(rtype: Rtype, wire: &[u8]) -> Vec<Name> {
    let mut rest = wire;
    let mut names = Vec::new();
    for field in fields(rtype).unwrap_or_default() {
        let Ok(octets) = take(*field, &mut rest) else {
            break;
        };
        if matches!(field, Field::Name | Field::NamePlain | Field::NameExact) {
            names.extend(Name::from_wire(octets));
        }
    }
    names
}
