//! What is no rdata, beside the nearest that is.

use super::*;

#[test]
fn refuses_what_is_no_rdata() {
    let long = format!("\"{}\"", "a".repeat(256));
    for (rtype, text, reason) in [
        ("A", "", "is missing"),
        ("A", "1.2.3", "not an IPv4 address"),
        ("A", "1.2.3.4 5", "more than A rdata has room for"),
        ("A", "\\# 3 010203", "no A rdata"),
        ("A", "\\# 4 0102", "2 octets where 4"),
        ("AAAA", "1.2.3.4", "not an IPv6 address"),
        ("MX", "65536 a.", "number up to 65535"),
        ("MX", "+1 a.", "number up to 65535"),
        ("MX", "10", "a domain name is missing"),
        ("NS", "a..b", "empty label"),
        ("TXT", "", "is missing"),
        ("TXT", &long, "longer than 255"),
        ("TXT", "\"open", "has no end"),
        ("TXT", "a\nb", "more than one line"),
        ("CAA", "0 is-sue x", "letters and digits"),
        ("TLSA", "3 1 1", "is missing"),
        ("TLSA", "3 1 1 abc", "hexadecimal"),
        ("DNSKEY", "257 3 13 !", "Base 64"),
        (
            "RRSIG",
            "A 5 3 86400 20031322173103 20030220173103 1 . aGk=",
            "a time",
        ),
        ("SVCB", "1 . alpn", "needs a value"),
        ("SVCB", "1 . port=1 port=2", "given twice"),
        ("SVCB", "1 . mandatory=port", "mandatory is missing"),
        ("SVCB", "1 . KEY1=a", "not a SVCB parameter key"),
        ("SVCB", "1 . key007=a", "not a SVCB parameter key"),
        ("LOC", "91 N 0 E 0", "up to 90"),
        ("LOC", "90 1 N 0 E 0", "more than 90"),
        ("TYPE65280", "x", "\\# LENGTH HEX"),
    ] {
        let rtype: Rtype = rtype.parse().expect(rtype);
        let error = Rdata::parse(rtype, text).expect_err(text);
        assert!(
            error.to_string().contains(reason),
            "{rtype} {text}: {error}"
        );
    }
}

#[test]
fn minutes_and_seconds_are_not_negative() {
    for text in ["52 -1 N 4 E 0", "52 22 -0.001 N 4 E 0", "0 0 N 4 -59 W 0"] {
        let error = Rdata::parse(Rtype::LOC, text).expect_err(text);
        assert!(error.to_string().contains("cannot be part"), "{error}");
    }
}

#[test]
fn ports_and_prefixes_have_no_sign() {
    assert!(Rdata::parse(Rtype::SVCB, "1 . port=+443").is_err());
    assert!(Rdata::parse(Rtype::APL, "1:192.0.2.0/+24").is_err());
}

/// Type, text that is refused, and the reason; then the nearest that is accepted.
const NEAREST: &[(&str, &str, &str, &str)] = &[
    // Digests and fingerprints are there, and as long as their type says.
    ("DS", "1 8 2", "is missing", "1 8 2 00"),
    ("CDS", "0 0 0", "is missing", "0 0 0 00"),
    ("CDS", "1 8 2 \"\"", "quoted string", "1 8 2 00"),
    ("DLV", "1 8 2", "is missing", "1 8 2 00"),
    ("TA", "1 8 2", "is missing", "1 8 2 00"),
    ("SSHFP", "1 1", "is missing", "1 9 00"),
    (
        "SSHFP",
        "1 1 2BB183AF5F22588179A53B0A98631FAD1A2921",
        "20 octets",
        "1 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    ),
    (
        "SSHFP",
        "1 2 2BB183AF5F22588179A53B0A98631FAD1A292118",
        "32 octets",
        "1 2 2BB183AF5F22588179A53B0A98631FAD1A2921182BB183AF5F22588179A53B0A",
    ),
    (
        "ZONEMD",
        "1 1 1 aabb",
        "48 octets",
        "1 1 240 aabbccddaabbccddaabbccdd",
    ),
    (
        "ZONEMD",
        "1 1 2 aabb",
        "64 octets",
        "1 1 240 aabbccddaabbccddaabbccdd",
    ),
    (
        "ZONEMD",
        "1 1 240 aabbccddaabbccddaabbcc",
        "12 octets",
        "1 1 240 aabbccddaabbccddaabbccdd",
    ),
    // Hashes of NSEC3; padding is there where it belongs, or nowhere.
    (
        "NSEC3",
        "1 1 12 AABB 2vptu5ti A",
        "20 octets",
        "1 1 12 AABB 2vptu5timamqttgl4luu9kg21e0aor3s A",
    ),
    ("NSEC3", "1 0 0 - 2vptu5ti", "20 octets", "2 0 0 - 2vptu5ti"),
    (
        "NSEC3",
        "2 1 12 AABB 2vptu5o== A",
        "Base 32",
        "2 1 12 AABB 2vptu5o= A",
    ),
    (
        "NSEC3",
        "2 1 12 AABB 2vptu5o=2vptu5o= A",
        "Base 32",
        "2 1 12 AABB 2vptu5o A",
    ),
    // Dates fit into 32 bits, and are days of the calendar.
    (
        "RRSIG",
        "A 5 3 1 21060207062816 20030220173103 1 a. aGk=",
        "to 21060207062815",
        "A 5 3 1 21060207062815 20030220173103 1 a. aGk=",
    ),
    (
        "RRSIG",
        "A 5 3 1 30030322173103 20030220173103 1 a. aGk=",
        "to 21060207062815",
        "A 5 3 1 20380322173103 20030220173103 1 a. aGk=",
    ),
    (
        "RRSIG",
        "A 5 3 1 19691231235959 0 1 a. aGk=",
        "from 1970",
        "A 5 3 1 19700101000000 0 1 a. aGk=",
    ),
    (
        "RRSIG",
        "A 5 3 1 20030229000000 0 1 a. aGk=",
        "a time",
        "A 5 3 1 20040229000000 0 1 a. aGk=",
    ),
    (
        "SIG",
        "A 5 3 1 20030631000000 0 1 a. aGk=",
        "a time",
        "A 5 3 1 20030630000000 0 1 a. aGk=",
    ),
    (
        "RRSIG",
        "A 5 3 1 4294967296 0 1 a. aGk=",
        "a time",
        "A 5 3 1 4294967295 0 1 a. aGk=",
    ),
    // Sizes and places.
    (
        "LOC",
        "0 N 0 E 0 90000001m",
        "90000000 metres",
        "0 N 0 E 0 90000000m",
    ),
    (
        "LOC",
        "0 N 0 E 0 99999999m",
        "90000000 metres",
        "0 N 0 E 0 89999999m",
    ),
    (
        "LOC",
        "0 N 0 E 0 0 0 90000000.01",
        "90000000 metres",
        "0 N 0 E 0 0 0 90000000",
    ),
    (
        "LOC",
        "0 N 0 E 42849672.96m",
        "out of range",
        "0 N 0 E 42849672.95m",
    ),
    (
        "LOC",
        "0 N 0 E -100000.01m",
        "out of range",
        "0 N 0 E -100000m",
    ),
    (
        "LOC",
        "0 N 180 0 0.001 E 0",
        "more than 180",
        "0 N 180 0 0.000 E 0",
    ),
    ("GPOS", "180.1 0 0", "decimal number", "180 0 0"),
    ("GPOS", "1e1 0 0", "decimal number", "10 0 0"),
    ("GPOS", "inf 0 0", "decimal number", "-0.5 0 0"),
    // Locators have all four groups of four digits at the most.
    ("L64", "10 1::2", "four groups", "10 1:0:0:2"),
    ("L64", "10 1:2:3", "four groups", "10 1:2:3:4"),
    ("L64", "10 1:2:3:4:5", "four groups", "10 1:2:3:4"),
    (
        "L64",
        "10 00014:4fff:ff20:ee64",
        "four groups",
        "10 0014:4fff:ff20:ee64",
    ),
    (
        "L64",
        "10 0014:4fff:ff20:ee64:",
        "four groups",
        "10 0014:4fff:ff20:ee64",
    ),
    (
        "L64",
        "10 00144fffff20ee64",
        "four groups",
        "10 0014:4fff:ff20:ee64",
    ),
    (
        "L64",
        "10 \"0014:4fff:ff20:ee64\"",
        "quoted string",
        "10 0014:4fff:ff20:ee64",
    ),
    (
        "NID",
        "10 g014:4fff:ff20:ee64",
        "four groups",
        "10 0014:4fff:ff20:ee64",
    ),
    ("EUI48", "00-00-5e-00-53", "six pairs", "00-00-5e-00-53-2a"),
    (
        "EUI48",
        "00:00:5e:00:53:2a",
        "six pairs",
        "00-00-5e-00-53-2a",
    ),
    (
        "EUI64",
        "00-00-5e-ef-10-00-00-2ab",
        "eight pairs",
        "00-00-5e-ef-10-00-00-2a",
    ),
    // Quotes are for strings.
    // So are escapes, and for names.
    (
        "L64",
        "10 0014:4fff\\:ff20:ee64",
        "without escapes",
        "10 0014:4fff:ff20:ee64",
    ),
    ("MX", "\\049 a.", "without escapes", "1 \\097."),
    ("CAA", "0 \\105ssue a", "without escapes", "0 issue \\097"),
    ("TLSA", "3 1 1 \\097a", "without escapes", "3 1 1 aa"),
    ("NSEC", "a. N\\S", "without escapes", "a. NS"),
    ("A", "\"192.0.2.1\"", "quoted string", "192.0.2.1"),
    ("MX", "10 \"a.\"", "quoted string", "10 a."),
    ("MX", "\"10\" a.", "quoted string", "10 a."),
    ("TLSA", "3 1 1 \"aa\"", "quoted string", "3 1 1 aa"),
    // Base 64 ends with its padding.
    ("DNSKEY", "257 3 8 aGk=aGk=", "Base 64", "257 3 8 aGkaGg=="),
    ("HIP", "2 AABB aGk=aGk=", "Base 64", "2 AABB aGk="),
    ("SVCB", "1 . ech=aGk=aGk=", "Base 64", "1 . ech=aGk="),
    // Keys that are there, or not, as other fields say.
    ("KEY", "256 3 8", "key is missing", "256 3 8 aGk="),
    ("KEY", "49152 3 8 aGk=", "there is no key", "49152 3 8"),
    ("KEY", "ZONE|HOST 3 8 aGk=", "flags", "ZONE 3 8 aGk="),
    ("RKEY", "1 1 8 aGk=", "are 0", "0 1 8 aGk="),
    ("IPSECKEY", "10 3 2 a.", "key is missing", "10 3 2 a. aGk="),
    (
        "IPSECKEY",
        "10 1 2 192.0.2.1",
        "key is missing",
        "10 1 0 192.0.2.1",
    ),
    (
        "IPSECKEY",
        "10 0 1 192.0.2.1 aGk=",
        "a dot",
        "10 0 1 . aGk=",
    ),
    // Names of services, protocols and schemes; ranges of the rest.
    (
        "WKS",
        "192.0.2.1 nope 25",
        "is not a protocol",
        "192.0.2.1 udp 25",
    ),
    (
        "WKS",
        "192.0.2.1 6 65536",
        "is not a service",
        "192.0.2.1 6 65535",
    ),
    ("NSAP", "47", "expected 0x", "0x47"),
    ("NSAP", "0x", "expected 0x", "0x4.7"),
    ("NSAP", "0x4", "pairs of", "0x40"),
    ("NXT", "a. TYPE128", "from 1 to 127", "a. TYPE127"),
    ("NXT", "a. TYPE0", "from 1 to 127", "a. TYPE1"),
    ("NSEC", "a.", "a record type is missing", "a. NSEC"),
    ("ATMA", "+12a", "ATM address", "+12"),
    ("ATMA", "+", "ATM address", "+1"),
    ("ATMA", "1", "pairs of", "12"),
    ("A6", "129 a.", "up to 128", "128 a."),
    ("A6", "0 ::1 a.", "more than A6 rdata", "1 ::1 a."),
    ("A6", "64 ::1", "is missing", "64 ::1 a."),
    ("DOA", "1 2 3 \"\"", "Base 64", "1 2 3 \"\" -"),
    ("AMTRELAY", "10 2 0 .", "up to 1", "10 1 0 ."),
    ("AMTRELAY", "10 0 4 a.", "up to 3", "10 0 3 a."),
    ("AMTRELAY", "10 0 0 a.", "a dot", "10 0 0 ."),
    ("DSYNC", "CDS 256 53 a.", "is not a scheme", "CDS 255 53 a."),
    (
        "IPN",
        "18446744073709551616",
        "up to 18446744073709551615",
        "0",
    ),
    ("IPN", "+1", "up to", "1"),
    ("X25", "123", "four digits", "1234"),
    ("X25", "123a", "four digits", "1230"),
    ("ISDN", "1 2 3", "more than ISDN rdata", "1 2"),
    ("URI", "1 1 \"\"", "not empty", "1 1 \"a\""),
    // Parameters.
    ("SVCB", "1 . key3=443", "no such value", "1 . port=443"),
    (
        "SVCB",
        "1 . dohpath=/q",
        "no such value",
        "1 . dohpath=/q{?dns}",
    ),
    (
        "SVCB",
        "1 . dohpath=q{?dns}",
        "no such value",
        "1 . dohpath=/{x,dns}",
    ),
    (
        "SVCB",
        "1 . dohpath=/{dns}}",
        "no such value",
        "1 . dohpath=/{+dns:3}",
    ),
    (
        "SVCB",
        "1 . dohpath=/\\195{dns}",
        "no such value",
        "1 . dohpath=/\\195\\169{dns}",
    ),
    ("SVCB", "1 . ohttp=a", "takes no value", "1 . ohttp="),
    ("SVCB", "1 . pvd=a", "takes no value", "1 . pvd"),
    (
        "SVCB",
        "1 . tls-supported-groups=29,65536",
        "up to 65535",
        "1 . tls-supported-groups=29,65535",
    ),
    (
        "SVCB",
        "1 . tls-supported-groups",
        "needs a value",
        "1 . tls-supported-groups=1",
    ),
    (
        "SVCB",
        "1 . docpath=a,,b",
        "1 to 255 octets",
        "1 . docpath=a,b",
    ),
    (
        "SVCB",
        "1 . oots=dot:101",
        "weights up to 100",
        "1 . oots=dot:100",
    ),
    ("SVCB", "1 . oots=:1", "weights up to 100", "1 . oots=a:1"),
    ("SVCB", "1 . port=\\049", "no escapes", "1 . port=1"),
    (
        "SVCB",
        "1 . mandatory=mandatory",
        "names itself",
        "1 . mandatory=port port=1",
    ),
];

#[test]
fn the_nearest_is_accepted() {
    for (rtype, refused, reason, accepted) in NEAREST {
        let rtype: Rtype = rtype.parse().expect(rtype);
        let error = Rdata::parse(rtype, refused).expect_err(refused).to_string();
        assert!(error.contains(reason), "{rtype} {refused}: {error}");
        let rdata = Rdata::parse(rtype, accepted)
            .unwrap_or_else(|error| panic!("{rtype} {accepted}: {error}"));
        let again = Rdata::parse(rtype, &rdata.text(rtype));
        assert_eq!(again, Ok(rdata), "{rtype} {accepted}");
    }
}

/// The octets of what is refused in text are refused, too: by RFC 3597's form and from the wire.
#[test]
fn octets_are_refused_as_text_is() {
    for (rtype, octets) in [
        ("DS", "00010802"),
        ("CDS", "00000000"),
        ("SSHFP", "0101"),
        ("SSHFP", "0101aa"),
        ("NSEC3", "0100000000 01aa"),
        ("NSEC", "016100"),
        ("ZONEMD", "000000010101aa"),
        // 10 * 10 m, 10^10 cm, 91 degrees north, version 1.
        ("LOC", "00a2161380000000 8000000000989680"),
        ("LOC", "001a161380000000 8000000000989680"),
        ("LOC", "0012161393879f01 8000000000989680"),
        ("LOC", "0112161380000000 8000000000989680"),
        ("X25", "0131"),
        ("ISDN", "013101310131"),
        ("GPOS", "016101300130"),
        ("KEY", "01000308"),
        ("KEY", "c0000308aa"),
        ("IPSECKEY", "0a0002"),
        ("URI", "00010001"),
        ("ATMA", ""),
        ("ATMA", "02aa"),
        ("A6", "81016100"),
        // The highest bit is the prefix's.
        ("A6", "7f80016100"),
        ("AMTRELAY", "0a04"),
        ("AMTRELAY", "0a01c00002"),
        ("NXT", "01610080"),
        ("WKS", "c0000201"),
        ("SVCB", "000100 00070002 2f71"),
        ("SVCB", "000100 00090003 001d00"),
        ("SVCB", "000100 000c0002 0161"),
        ("SVCB", "000100 000c0003 016165"),
        ("SVCB", "000100 00050000"),
    ] {
        let rtype: Rtype = rtype.parse().expect(rtype);
        let wire = hex(octets).unwrap_or_default();
        assert!(Rdata::from_wire(rtype, &wire).is_err(), "{rtype} {octets}");
        let text = format!("\\# {} {octets}", wire.len());
        assert!(Rdata::parse(rtype, &text).is_err(), "{rtype} {text}");
    }
}
