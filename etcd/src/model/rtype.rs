//! Record types.

use std::fmt;
use std::str::FromStr;

/// A record type by number. Its text is IANA's mnemonic or, if there is none, `TYPEnnn` (RFC 3597 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rtype(pub u16);

/// The text is not a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtypeError(());

macro_rules! rtypes {
    ($table:ident: $($name:ident = $number:literal $(as $text:literal)?,)*) => {
        #[allow(missing_docs)]
        impl Rtype {
            $(pub const $name: Rtype = Rtype($number);)*
        }

        const $table: &[(Rtype, &str)] = &[$((Rtype::$name, rtypes!(@text $name $($text)?)),)*];
    };
    (@text $name:ident) => { stringify!($name) };
    (@text $name:ident $text:literal) => { $text };
}

// The mnemonics in keys of etcd. This list must never change: each key has one spelling, the same in all releases of the
// programs that share a store.
rtypes! { MNEMONICS_IN_KEYS:
    A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9, NULL = 10, WKS = 11,
    PTR = 12, HINFO = 13, MINFO = 14, MX = 15, TXT = 16, RP = 17, AFSDB = 18, X25 = 19, ISDN = 20,
    RT = 21, NSAP = 22, SIG = 24, KEY = 25, PX = 26, AAAA = 28, LOC = 29, SRV = 33, NAPTR = 35,
    KX = 36, CERT = 37, DNAME = 39, OPT = 41, APL = 42, DS = 43, SSHFP = 44, IPSECKEY = 45,
    RRSIG = 46, NSEC = 47, DNSKEY = 48, DHCID = 49, NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52,
    SMIMEA = 53, HIP = 55, CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61, CSYNC = 62, ZONEMD = 63,
    SVCB = 64, HTTPS = 65, SPF = 99, NID = 104, L32 = 105, L64 = 106, LP = 107, EUI48 = 108,
    EUI64 = 109, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252, MAILB = 253, MAILA = 254,
    ANY = 255, URI = 256, CAA = 257, AVC = 258,
}

rtypes! { OTHER_MNEMONICS:
    NSAP_PTR = 23 as "NSAP-PTR", GPOS = 27, NXT = 30, EID = 31, NIMLOC = 32, ATMA = 34, A6 = 38,
    SINK = 40, NINFO = 56, RKEY = 57, TALINK = 58, DSYNC = 66, HHIT = 67, BRID = 68, UINFO = 100,
    UID = 101, GID = 102, UNSPEC = 103, NXNAME = 128, DOA = 259, AMTRELAY = 260, RESINFO = 261,
    WALLET = 262, CLA = 263, IPN = 264, TA = 32768, DLV = 32769,
}

fn mnemonics() -> impl Iterator<Item = &'static (Rtype, &'static str)> {
    MNEMONICS_IN_KEYS.iter().chain(OTHER_MNEMONICS)
}

impl Rtype {
    /// Whether a zone can have records of this type. It cannot have type 0 nor those that only occur in messages (RFC 6895
    /// 3.1).
    pub fn is_data(self) -> bool {
        !matches!(self.0, 0 | 41 | 128..=255)
    }

    /// Whether the rdata is a text of one or more strings.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Rtype::TXT
                | Rtype::SPF
                | Rtype::AVC
                | Rtype::NINFO
                | Rtype::RESINFO
                | Rtype::WALLET
                | Rtype::CLA
        )
    }

    /// The spelling in keys of etcd, which stays `TYPEnnn` if a type gets a mnemonic later.
    pub(crate) fn in_key(self) -> String {
        match MNEMONICS_IN_KEYS.iter().find(|(rtype, _)| *rtype == self) {
            Some((_, name)) => (*name).into(),
            None => format!("TYPE{}", self.0),
        }
    }

    /// Whether only a signed zone has records of this type (RFC 4034, 5155, 7344). A DS record is not one of them:
    /// it belongs to the parent. The KEY, SIG and NXT records of RFC 2535 mean nothing to resolvers of today, and
    /// KEY has another use (RFC 2931).
    pub fn is_of_signed_zone(self) -> bool {
        matches!(
            self,
            Rtype::RRSIG
                | Rtype::NSEC
                | Rtype::NSEC3
                | Rtype::NSEC3PARAM
                | Rtype::DNSKEY
                | Rtype::CDS
                | Rtype::CDNSKEY
        )
    }

    /// Whether an RRset of this type has at most one member (RFC 2181 10.1, RFC 6672 2.4).
    pub fn is_singleton(self) -> bool {
        matches!(self, Rtype::CNAME | Rtype::DNAME | Rtype::SOA)
    }
}

impl FromStr for Rtype {
    type Err = RtypeError;

    fn from_str(text: &str) -> Result<Self, RtypeError> {
        if let Some((rtype, _)) = mnemonics().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(*rtype);
        }
        let (head, digits) = text.split_at_checked(4).ok_or(RtypeError(()))?;
        if !head.eq_ignore_ascii_case("TYPE") || !digits.bytes().all(|octet| octet.is_ascii_digit())
        {
            return Err(RtypeError(()));
        }
        digits.parse().map(Rtype).map_err(|_| RtypeError(()))
    }
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match mnemonics().find(|(rtype, _)| rtype == self) {
            Some((_, name)) => f.pad(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RtypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a record type: expected a mnemonic such as AAAA, or TYPE and a number up to 65535",
        )
    }
}

impl std::error::Error for RtypeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree() {
        for (text, number, printed) in [
            ("A", 1, "A"),
            ("aaaa", 28, "AAAA"),
            ("TYPE1", 1, "A"),
            ("type65280", 65280, "TYPE65280"),
        ] {
            let rtype: Rtype = text.parse().expect(text);
            assert_eq!(
                (rtype, rtype.to_string().as_str()),
                (Rtype(number), printed)
            );
        }
        for text in [
            "",
            "TYPE",
            "TYPE65536",
            "TYPE+1",
            "TYPE-1",
            "XYZ",
            "TYPé1",
            "AÄÄÄ",
        ] {
            assert_eq!(text.parse::<Rtype>(), Err(RtypeError(())), "{text}");
        }
    }

    #[test]
    fn message_types_are_no_data() {
        for rtype in [Rtype(0), Rtype::OPT, Rtype::ANY, Rtype::AXFR, Rtype::TSIG] {
            assert!(!rtype.is_data(), "{rtype}");
        }
        assert!(Rtype::CAA.is_data() && Rtype(65280).is_data() && Rtype::NSEC.is_data());
    }
}
