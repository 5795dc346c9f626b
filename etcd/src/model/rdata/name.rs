//! Names as fields.

use std::fmt;

use super::super::name;
use super::RdataError;
use super::cursor::Cursor;
use super::field::{EndingName, Field, tiles};

/// A name that is compared in lower case: those of RFC 1035, which alone are compressed in messages,
/// and those that RFC 4034 6.2 names besides.
pub(super) struct Name;

/// A name that is compared as it is spelled (RFC 3597 7, RFC 6840 5.1): those of all other types.
pub(super) struct NameExact;

/// Names to the end, perhaps none (RFC 8005 5).
pub(super) struct Names;

impl Field for Name {
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

impl Field for NameExact {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        Name.parse(cursor, out)
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        Name.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        Name.print(octets, out)
    }

    fn name(&self, _octets: &[u8]) -> Option<EndingName> {
        Some(EndingName {
            at: 0,
            folds: false,
        })
    }
}

impl Field for Names {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        while !cursor.is_empty() {
            Name.parse(cursor, out)?;
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
