//! The fields of each type: one row for each type.

use super::super::rtype::Rtype;
use super::address::{A6, EUI48, EUI64, Gateway, Ipv4, Ipv6, LOCATOR64, Relay};
use super::binary::{Atm, BASE64_ANY, BASE64_SOME, Base64OrDash, Hash, Hex, Nsap, Salt};
use super::bitmap::{NxtTypes, Services, TYPES_ANY, TYPES_SOME};
use super::field::Field;
use super::hip::HostIdentity;
use super::location::Location;
use super::name::{DomainName, DomainNameList, ExactName};
use super::number::{
    ALGORITHM, CERT_TYPE, Covered, DIGEST_TYPE, DSYNC_SCHEME, KEY_PROTOCOL, KeyFlags, Period, U8,
    U16, U32, U64,
};
use super::prefixes::Prefixes;
use super::strings::{CharStr, DEGREES, Digits, METRES, ONE_OR_TWO, STRINGS, Tag, Text};
use super::svcb::Params;
use super::timestamp::Timestamp;

/// The fields of a type's rdata, or none if only the generic form of RFC 3597 is known.
#[allow(clippy::too_many_lines, reason = "a table: a row for each type")]
pub(super) fn fields(rtype: Rtype) -> Option<&'static [&'static dyn Field]> {
    let fields: &'static [&'static dyn Field] = match rtype {
        Rtype::A => &[&Ipv4],
        Rtype::AAAA => &[&Ipv6],
        Rtype::NS
        | Rtype::CNAME
        | Rtype::DNAME
        | Rtype::PTR
        | Rtype::MB
        | Rtype::MD
        | Rtype::MF
        | Rtype::MG
        | Rtype::MR => &[&DomainName],
        Rtype::SOA => &[
            &DomainName,
            &DomainName,
            &U32,
            &Period,
            &Period,
            &Period,
            &Period,
        ],
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX => &[&U16, &DomainName],
        Rtype::MINFO | Rtype::RP => &[&DomainName, &DomainName],
        Rtype::WKS => &[&Ipv4, &Services],
        Rtype::TXT
        | Rtype::SPF
        | Rtype::AVC
        | Rtype::NINFO
        | Rtype::RESINFO
        | Rtype::WALLET
        | Rtype::CLA => &[&STRINGS],
        Rtype::HINFO => &[&CharStr, &CharStr],
        Rtype::X25 => &[&Digits],
        Rtype::ISDN => &[&ONE_OR_TWO],
        Rtype::NSAP => &[&Nsap],
        Rtype::NSAP_PTR => &[&ExactName],
        Rtype::PX => &[&U16, &DomainName, &DomainName],
        Rtype::GPOS => &[&DEGREES, &DEGREES, &METRES],
        Rtype::LOC => &[&Location],
        Rtype::NXT => &[&DomainName, &NxtTypes],
        Rtype::EID | Rtype::NIMLOC => &[&Hex],
        Rtype::SRV => &[&U16, &U16, &U16, &DomainName],
        Rtype::ATMA => &[&Atm],
        Rtype::NAPTR => &[&U16, &U16, &CharStr, &CharStr, &CharStr, &DomainName],
        Rtype::CERT => &[&CERT_TYPE, &U16, &ALGORITHM, &BASE64_SOME],
        Rtype::A6 => &[&A6],
        Rtype::SINK => &[&U8, &U8, &U8, &BASE64_ANY],
        Rtype::APL => &[&Prefixes],
        Rtype::DS | Rtype::CDS | Rtype::TA | Rtype::DLV => &[&U16, &ALGORITHM, &DIGEST_TYPE, &Hex],
        Rtype::SSHFP => &[&U8, &U8, &Hex],
        Rtype::IPSECKEY => &[&U8, &Gateway, &BASE64_ANY],
        Rtype::DNSKEY | Rtype::CDNSKEY | Rtype::RKEY => {
            &[&KeyFlags, &KEY_PROTOCOL, &ALGORITHM, &BASE64_SOME]
        }
        Rtype::KEY => &[&KeyFlags, &KEY_PROTOCOL, &ALGORITHM, &BASE64_ANY],
        Rtype::RRSIG | Rtype::SIG => &[
            &Covered,
            &ALGORITHM,
            &U8,
            &U32,
            &Timestamp,
            &Timestamp,
            &U16,
            &DomainName,
            &BASE64_SOME,
        ],
        Rtype::NSEC => &[&ExactName, &TYPES_SOME],
        Rtype::NSEC3 => &[&U8, &U8, &U16, &Salt, &Hash, &TYPES_ANY],
        Rtype::NSEC3PARAM => &[&U8, &U8, &U16, &Salt],
        Rtype::DHCID | Rtype::OPENPGPKEY | Rtype::HHIT | Rtype::BRID => &[&BASE64_SOME],
        Rtype::TLSA | Rtype::SMIMEA => &[&U8, &U8, &U8, &Hex],
        Rtype::HIP => &[&HostIdentity, &DomainNameList],
        Rtype::TALINK => &[&ExactName, &ExactName],
        Rtype::CSYNC => &[&U32, &U16, &TYPES_ANY],
        Rtype::ZONEMD => &[&U32, &U8, &U8, &Hex],
        Rtype::SVCB | Rtype::HTTPS => &[&U16, &ExactName, &Params],
        Rtype::DSYNC => &[&Covered, &DSYNC_SCHEME, &U16, &ExactName],
        Rtype::NID | Rtype::L64 => &[&U16, &LOCATOR64],
        Rtype::L32 => &[&U16, &Ipv4],
        Rtype::LP => &[&U16, &ExactName],
        Rtype::EUI48 => &[&EUI48],
        Rtype::EUI64 => &[&EUI64],
        Rtype::URI => &[&U16, &U16, &Text],
        Rtype::CAA => &[&U8, &Tag, &Text],
        Rtype::DOA => &[&U32, &U32, &U8, &CharStr, &Base64OrDash],
        Rtype::AMTRELAY => &[&U8, &Relay],
        Rtype::IPN => &[&U64],
        _ => return None,
    };
    Some(fields)
}
