//! HIP (RFC 8005 5).

use std::fmt::{self, Write};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE, HEXUPPER};

use super::binary::decode_padded;
use super::cursor::Cursor;
use super::error::RdataError;
use super::field::Field;

/// Lengths, algorithm, host identity tag and key.
pub(super) struct HostIdentity;

impl Field for HostIdentity {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let algorithm = cursor.number("an algorithm", 255)? as u8;
        let hit = HEXLOWER_PERMISSIVE.decode(cursor.text("a host identity tag")?.as_bytes());
        let hit = match hit {
            Ok(hit) if (1..=255).contains(&hit.len()) => hit,
            _ => return cursor.fail("expected a host identity tag in hexadecimal digits"),
        };
        let key = match decode_padded(&BASE64, cursor.text("a public key")?.as_bytes()) {
            Some(key) if (1..=65_000).contains(&key.len()) => key,
            _ => return cursor.fail("expected a public key in Base 64"),
        };
        out.extend([hit.len() as u8, algorithm]);
        out.extend((key.len() as u16).to_be_bytes());
        out.extend(hit);
        out.extend(key);
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        match rest {
            [hit, _, high, low, ..] if *hit > 0 && [*high, *low] != [0, 0] => {
                Some(4 + usize::from(*hit) + usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let [hit_len, algorithm, _, _, rest @ ..] = octets else {
            return Err(fmt::Error);
        };
        let (hit, key) = rest
            .split_at_checked(usize::from(*hit_len))
            .ok_or(fmt::Error)?;
        write!(out, "{algorithm} ")?;
        HEXUPPER.encode_append(hit, out);
        out.push(' ');
        BASE64.encode_append(key, out);
        Ok(())
    }
}
