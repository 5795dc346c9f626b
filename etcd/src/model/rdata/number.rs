//! Numbers: plain, as periods, and with mnemonics.

use std::fmt::{self, Write};

use super::super::rtype::Rtype;
use super::super::time::period;
use super::cursor::{Cursor, digits};
use super::error::RdataError;
use super::field::{Field, number};

pub(super) struct U8;
pub(super) struct U16;
pub(super) struct U32;
pub(super) struct U64;

/// 32 bits of seconds, units allowed in text (`1h`).
pub(super) struct Period;

/// 16 bits: a record type by mnemonic (RRSIG's "type covered").
pub(super) struct Covered;

/// 8 or 16 bits, by mnemonic or number.
pub(super) struct Mnemonic {
    /// What is expected, for messages.
    what: &'static str,
    octets: usize,
    known: &'static [(u16, &'static str)],
    /// Whether mnemonics are printed.
    prints: bool,
}

/// Flags of KEY and DNSKEY: a number, or mnemonics with bars between (RFC 2535 7.1).
pub(super) struct KeyFlags;

/// Certificate types (RFC 4398 2.1).
pub(super) const CERT_TYPE: Mnemonic = Mnemonic {
    what: "a certificate type",
    octets: 2,
    known: &[
        (1, "PKIX"),
        (2, "SPKI"),
        (3, "PGP"),
        (4, "IPKIX"),
        (5, "ISPKI"),
        (6, "IPGP"),
        (7, "ACPKIX"),
        (8, "IACPKIX"),
        (253, "URI"),
        (254, "OID"),
    ],
    prints: true,
};

/// DNSSEC algorithms (IANA's registry; RFC 4034 A.1).
pub(super) const ALGORITHM: Mnemonic = Mnemonic {
    what: "an algorithm",
    octets: 1,
    known: &[
        (0, "DELETE"),
        (1, "RSAMD5"),
        (2, "DH"),
        (3, "DSA"),
        (4, "ECC"),
        (5, "RSASHA1"),
        (6, "DSA-NSEC3-SHA1"),
        (6, "NSEC3DSA"),
        (7, "RSASHA1-NSEC3-SHA1"),
        (7, "NSEC3RSASHA1"),
        (8, "RSASHA256"),
        (10, "RSASHA512"),
        (12, "ECC-GOST"),
        (12, "ECCGOST"),
        (13, "ECDSAP256SHA256"),
        (14, "ECDSAP384SHA384"),
        (15, "ED25519"),
        (16, "ED448"),
        (17, "SM2SM3"),
        (23, "ECC-GOST12"),
        (252, "INDIRECT"),
        (253, "PRIVATEDNS"),
        (254, "PRIVATEOID"),
    ],
    prints: false,
};

/// Digest types of DS (IANA's registry).
pub(super) const DIGEST_TYPE: Mnemonic = Mnemonic {
    what: "a digest type",
    octets: 1,
    known: &[
        (1, "SHA-1"),
        (1, "SHA1"),
        (2, "SHA-256"),
        (2, "SHA256"),
        (3, "GOST"),
        (4, "SHA-384"),
        (4, "SHA384"),
        (5, "GOST12"),
        (6, "SM3"),
    ],
    prints: false,
};

/// Protocols of KEY (RFC 2535 7.1).
pub(super) const KEY_PROTOCOL: Mnemonic = Mnemonic {
    what: "a protocol",
    octets: 1,
    known: &[
        (0, "NONE"),
        (1, "TLS"),
        (2, "EMAIL"),
        (3, "DNSSEC"),
        (4, "IPSEC"),
        (255, "ALL"),
    ],
    prints: false,
};

/// Schemes of DSYNC (RFC 9859 2.1).
pub(super) const DSYNC_SCHEME: Mnemonic = Mnemonic {
    what: "a scheme",
    octets: 1,
    known: &[(1, "NOTIFY")],
    prints: true,
};

/// Mnemonics of key flags, with all bits that each one settles.
const KEY_FLAGS: &[(&str, u16, u16)] = &[
    ("NOCONF", 0x4000, 0xc000),
    ("NOAUTH", 0x8000, 0xc000),
    ("NOKEY", 0xc000, 0xc000),
    ("FLAG2", 0x2000, 0x2000),
    ("EXTEND", 0x1000, 0x1000),
    ("FLAG4", 0x0800, 0x0800),
    ("FLAG5", 0x0400, 0x0400),
    ("USER", 0x0000, 0x0300),
    ("ZONE", 0x0100, 0x0300),
    ("HOST", 0x0200, 0x0300),
    ("NTYP3", 0x0300, 0x0300),
    ("FLAG8", 0x0080, 0x0080),
    ("REVOKE", 0x0080, 0x0080),
    ("FLAG9", 0x0040, 0x0040),
    ("FLAG10", 0x0020, 0x0020),
    ("FLAG11", 0x0010, 0x0010),
    ("KSK", 0x0001, 0x0001),
];

macro_rules! plain_number {
    ($($kind:ident $len:literal $max:expr;)*) => {$(
        impl Field for $kind {
            fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
                let number = cursor.number("a number", $max)?;
                out.extend(&number.to_be_bytes()[4 - $len..]);
                Ok(())
            }

            fn len(&self, _rest: &[u8]) -> Option<usize> {
                Some($len)
            }

            fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
                write!(out, "{}", number(octets))
            }
        }
    )*};
}

plain_number! {
    U8 1 255;
    U16 2 65_535;
    U32 4 u32::MAX;
}

impl Field for U64 {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("a number")?;
        let plain = text.bytes().all(|octet| octet.is_ascii_digit());
        match text.parse::<u64>().ok().filter(|_| plain) {
            Some(number) => out.extend(number.to_be_bytes()),
            None => {
                return cursor.fail(format!(
                    "expected a number up to {}, and got '{text}'",
                    u64::MAX
                ));
            }
        }
        Ok(())
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(8)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let octets: [u8; 8] = octets.try_into().map_err(|_| fmt::Error)?;
        write!(out, "{}", u64::from_be_bytes(octets))
    }
}

impl Field for Period {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("a period")?;
        match period(text) {
            Some(seconds) => out.extend(seconds.to_be_bytes()),
            None => {
                return cursor.fail(format!(
                    "expected seconds, or a period such as 1h30m, and got '{text}'"
                ));
            }
        }
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        U32.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        U32.print(octets, out)
    }
}

impl Covered {
    /// Takes a record type by mnemonic or, as RFC 2535 has it, by number.
    pub(super) fn rtype(cursor: &mut Cursor<'_, '_>) -> Result<Rtype, RdataError> {
        let text = cursor.text("a record type")?;
        let number = digits(text).and_then(|number| u16::try_from(number).ok());
        match number.map_or_else(|| text.parse(), |number| Ok(Rtype(number))) {
            Ok(rtype) => Ok(rtype),
            Err(error) => cursor.fail(format!("'{text}' is {error}")),
        }
    }
}

impl Field for Covered {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        out.extend(Covered::rtype(cursor)?.0.to_be_bytes());
        Ok(())
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(2)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        write!(out, "{}", Rtype(number(octets) as u16))
    }
}

impl Field for Mnemonic {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let max = if self.octets == 1 { 255 } else { 65_535 };
        let number = cursor.mnemonic(self.what, self.known, max)?;
        out.extend(&number.to_be_bytes()[2 - self.octets..]);
        Ok(())
    }

    fn len(&self, _rest: &[u8]) -> Option<usize> {
        Some(self.octets)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        let number = number(octets);
        let known = self.known.iter().find(|(n, _)| u32::from(*n) == number);
        match known.filter(|_| self.prints) {
            Some((_, name)) => out.write_str(name),
            None => write!(out, "{number}"),
        }
    }
}

impl Field for KeyFlags {
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
        let text = cursor.text("flags")?;
        if let Some(flags) = digits(text).and_then(|flags| u16::try_from(flags).ok()) {
            out.extend(flags.to_be_bytes());
            return Ok(());
        }
        let (mut flags, mut settled) = (0, 0);
        for word in text.split('|') {
            let known = KEY_FLAGS
                .iter()
                .find(|(name, ..)| name.eq_ignore_ascii_case(word));
            match known {
                Some((_, bits, mask)) if settled & mask == 0 => {
                    flags |= bits;
                    settled |= mask;
                }
                _ => {
                    return cursor.fail(format!(
                        "expected flags, a number up to 65535 or mnemonics as in ZONE|KSK, and got '{text}'"
                    ));
                }
            }
        }
        out.extend(flags.to_be_bytes());
        Ok(())
    }

    fn len(&self, rest: &[u8]) -> Option<usize> {
        U16.len(rest)
    }

    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result {
        U16.print(octets, out)
    }
}
