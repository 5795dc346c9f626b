//! Names as fields.

use std::fmt;

use super::super::name;
use super::cursor::Cursor;
use super::error::RdataError;
use super::field::{EndingName, Field, tiles};

/// A name that is compared in lower case: the types of RFC 1035 and the others listed in RFC 4034 6.2. Only those of
/// RFC 1035 are compressed in messages.
pub(super) struct DomainName;

/// A name that is compared as it is spelled (RFC 3597 7, RFC 6840 5.1): those of all other types.
pub(super) struct ExactName;

/// Names to the end, perhaps none (RFC 8005 5).
pub(super) struct DomainNameList;

impl Field for DomainName {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        cursor.name("a domain name", out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        name::wire_len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        name::write_wire(out, octets)
    }

    fn name(&self, _octets: &[u8]) -> Option<EndingName> {
        Some(EndingName { at: 0, folds: true })
    }
}

impl Field for ExactName {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        DomainName.parse(cursor, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        DomainName.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        DomainName.print(octets, out)
    }

    fn name(&self, _octets: &[u8]) -> Option<EndingName> {
        Some(EndingName {
            at: 0,
            folds: false,
        })
    }
}

impl Field for DomainNameList {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        while !cursor.is_empty() {
            DomainName.parse(cursor, out)?;
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Some(rest.len())
    }

    fn is_sound(&self, octets: &[u8]) -> bool {
        tiles(octets, name::wire_len)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let mut rest = octets;
        while let Some(len) = name::wire_len(rest) {
            if rest.len() < octets.len() {
                out.push(' ');
            }
            name::write_wire(out, &rest[..len])?;
            rest = &rest[len..];
        }
        Ok(())
    }
}
