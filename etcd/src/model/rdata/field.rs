//! What rdata is made of: one row of fields a type.

use super::super::rtype::Rtype;

/// A field of rdata, named for its form in text and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    U8,
    U16,
    U32,
    /// 32 bits of seconds, units allowed in text (`1h`).
    Period,
    /// 32 bits of seconds since 1970, `YYYYMMDDHHmmSS` in text (RFC 4034 3.2).
    Time,
    /// A record type by mnemonic (RRSIG's "type covered").
    Covered,
    /// A certificate type by mnemonic or number (RFC 4398 2.1).
    CertType,
    /// A DNSSEC algorithm by mnemonic or number (RFC 4034 A.1).
    Algorithm,
    Ipv4,
    Ipv6,
    Eui48,
    Eui64,
    /// 64 bits as four groups of hexadecimal digits (RFC 6742).
    Groups64,
    /// A name of RFC 1035: compressed in messages, compared in lower case.
    Name,
    /// A name that is not compressed (RFC 3597 4), but compared in lower case (RFC 4034 6.2).
    NamePlain,
    /// A name that is neither (SVCB: RFC 9460 2.2; HIP; and all types after RFC 3597).
    NameExact,
    /// A length octet and up to 255 octets.
    CharStr,
    /// One such string or more, to the end.
    CharStrs,
    /// CAA's tag: a length octet, then letters and digits (RFC 8659 4.1).
    Tag,
    /// Octets to the end, one quoted string in text (CAA, URI).
    Text,
    /// Octets to the end in hexadecimal, white space allowed; there must be some.
    Hex,
    /// The same, and there may be none (DS of algorithm 0: RFC 8078 4; SSHFP).
    HexOrEmpty,
    /// Octets to the end in Base 64, white space allowed.
    Base64,
    /// The same, and there may be none (IPSECKEY without a key).
    Base64OrEmpty,
    /// A length octet and as many octets in hexadecimal, `-` where there are none (RFC 5155 3.3).
    Salt,
    /// A length octet and as many octets in Base 32 hex (RFC 5155 3.3).
    Hash,
    /// Type bit maps to the end (RFC 4034 4.1.2).
    Types,
    /// SVCB's parameters to the end (RFC 9460 2.1).
    SvcParams,
    /// Version 0 of RFC 1876.
    Location,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// Lengths, algorithm, HIT and key (RFC 8005 5).
    HostIdentity,
    /// Names to the end, at least none (RFC 8005 5).
    Names,
    /// Gateway type, algorithm and gateway (RFC 4025 2.1).
    Gateway,
}

use Field::*;

/// The fields of a type's rdata, or none where only the form of RFC 3597 is known.
pub(super) fn fields(rtype: Rtype) -> Option<&'static [Field]> {
    Some(match rtype {
        Rtype::A => &[Ipv4],
        Rtype::AAAA => &[Ipv6],
        Rtype::NS
        | Rtype::CNAME
        | Rtype::PTR
        | Rtype::MB
        | Rtype::MD
        | Rtype::MF
        | Rtype::MG
        | Rtype::MR => &[Name],
        Rtype::SOA => &[Name, Name, U32, Period, Period, Period, Period],
        Rtype::MX => &[U16, Name],
        Rtype::MINFO => &[Name, Name],
        Rtype::TXT | Rtype::SPF | Rtype::AVC => &[CharStrs],
        Rtype::HINFO => &[CharStr, CharStr],
        Rtype::X25 => &[CharStr],
        Rtype::ISDN => &[CharStrs],
        Rtype::RP => &[NamePlain, NamePlain],
        Rtype::AFSDB | Rtype::RT | Rtype::KX => &[U16, NamePlain],
        Rtype::PX => &[U16, NamePlain, NamePlain],
        Rtype::DNAME => &[NamePlain],
        Rtype::SRV => &[U16, U16, U16, NamePlain],
        Rtype::NAPTR => &[U16, U16, CharStr, CharStr, CharStr, NamePlain],
        Rtype::LOC => &[Location],
        Rtype::CERT => &[CertType, U16, Algorithm, Base64],
        Rtype::APL => &[Prefixes],
        Rtype::DS | Rtype::CDS => &[U16, Algorithm, U8, HexOrEmpty],
        Rtype::SSHFP => &[U8, U8, HexOrEmpty],
        Rtype::IPSECKEY => &[U8, Gateway, Base64OrEmpty],
        Rtype::DNSKEY | Rtype::CDNSKEY | Rtype::KEY => &[U16, U8, Algorithm, Base64],
        Rtype::RRSIG | Rtype::SIG => &[
            Covered, Algorithm, U8, U32, Time, Time, U16, NamePlain, Base64,
        ],
        Rtype::NSEC => &[NamePlain, Types],
        Rtype::NSEC3 => &[U8, U8, U16, Salt, Hash, Types],
        Rtype::NSEC3PARAM => &[U8, U8, U16, Salt],
        Rtype::DHCID | Rtype::OPENPGPKEY => &[Base64],
        Rtype::TLSA | Rtype::SMIMEA => &[U8, U8, U8, Hex],
        Rtype::HIP => &[HostIdentity, Names],
        Rtype::CSYNC => &[U32, U16, Types],
        Rtype::ZONEMD => &[U32, U8, U8, Hex],
        Rtype::SVCB | Rtype::HTTPS => &[U16, NameExact, SvcParams],
        Rtype::NID | Rtype::L64 => &[U16, Groups64],
        Rtype::L32 => &[U16, Ipv4],
        Rtype::LP => &[U16, NameExact],
        Rtype::EUI48 => &[Eui48],
        Rtype::EUI64 => &[Eui64],
        Rtype::URI => &[U16, U16, Text],
        Rtype::CAA => &[U8, Tag, Text],
        _ => return None,
    })
}

/// Certificate types (RFC 4398 2.1).
pub(super) const CERT_TYPES: &[(u16, &str)] = &[
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
];

/// DNSSEC algorithms (IANA's registry).
pub(super) const ALGORITHMS: &[(u8, &str)] = &[
    (0, "DELETE"),
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// SVCB parameter keys (RFC 9460 14.3, RFC 9461, RFC 9540).
pub(super) const SVC_KEYS: &[(u16, &str)] = &[
    (0, "mandatory"),
    (1, "alpn"),
    (2, "no-default-alpn"),
    (3, "port"),
    (4, "ipv4hint"),
    (5, "ech"),
    (6, "ipv6hint"),
    (7, "dohpath"),
    (8, "ohttp"),
];
