use super::super::zonefile;
use super::*;

/// Type, text as a person might write it, canonical text, wire in hexadecimal.
const VECTORS: &[(&str, &str, &str, &str)] = &[
    ("A", "192.0.2.1", "192.0.2.1", "c0000201"),
    (
        "AAAA",
        "2001:DB8:0:0::1",
        "2001:db8::1",
        "20010db8000000000000000000000001",
    ),
    (
        "NS",
        "ns1.Example.org",
        "ns1.Example.org.",
        "036e7331074578616d706c65036f726700",
    ),
    ("CNAME", ".", ".", "00"),
    ("PTR", "a\\.b.c.", "a\\.b.c.", "03612e62016300"),
    ("MX", "10 mail.", "10 mail.", "000a046d61696c00"),
    (
        "SOA",
        "a. b. 1 1h 2 3 4",
        "a. b. 1 3600 2 3 4",
        "016100016200000000010000 0e10000000020000000300000004",
    ),
    (
        "TXT",
        "\"a b\" c \"\"",
        "\"a b\" \"c\" \"\"",
        "0361206201630 0",
    ),
    (
        "TXT",
        "\"q\\\"\\\\\\007\u{e9}\"",
        "\"q\\\"\\\\\\007\\195\\169\"",
        "0671225c07c3a9",
    ),
    ("HINFO", "\"a b\" c", "\"a b\" \"c\"", "036120620163"),
    ("RP", "a. b.", "a. b.", "016100016200"),
    ("AFSDB", "1 a.", "1 a.", "0001016100"),
    ("SRV", "1 2 443 a.", "1 2 443 a.", "0001000201bb016100"),
    (
        "NAPTR",
        "1 2 u E2U+sip \"!^.*$!sip:a@b!\" .",
        "1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .",
        "00010002017507453255 2b7369700e215e2e2a24217369703a6140622100",
    ),
    ("KX", "1 a.", "1 a.", "0001016100"),
    (
        "CERT",
        "PKIX 1 RSASHA256 aGk=",
        "PKIX 1 8 aGk=",
        "00010001086869",
    ),
    ("DNAME", "a.", "a.", "016100"),
    (
        "LOC",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
        "000016138b3cf018810cbce0009895b8",
    ),
    (
        "LOC",
        "0 S 0 W 0",
        "0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m",
        "00121613800000008000000000989680",
    ),
    (
        "APL",
        "1:192.0.2.0/24 !2:2001:db8::/32",
        "1:192.0.2.0/24 !2:2001:db8::/32",
        "00011803c0000200022084 20010db8",
    ),
    ("APL", "", "", ""),
    (
        "DS",
        "60485 5 1 2BB183AF",
        "60485 5 1 2BB183AF",
        "ec4505012bb183af",
    ),
    ("CDS", "0 0 0 00", "0 0 0 00", "0000000000"),
    ("SSHFP", "4 2 12 34", "4 2 1234", "04021234"),
    (
        "IPSECKEY",
        "10 1 2 192.0.2.38 aGk=",
        "10 1 2 192.0.2.38 aGk=",
        "0a0102c00002266869",
    ),
    (
        "IPSECKEY",
        "10 3 2 a. aGk=",
        "10 3 2 a. aGk=",
        "0a03020161006869",
    ),
    (
        "RRSIG",
        "A 5 3 86400 20030322173103 20030220173103 2642 example. aGk=",
        "A 5 3 86400 20030322173103 20030220173103 2642 example. aGk=",
        "00010503000151803e7c9dd73e5510d70a52076578616d706c65006869",
    ),
    (
        "NSEC",
        "a. A MX TYPE1234",
        "a. A MX TYPE1234",
        "016100000240 01041b000000000000000000000000000000000000000000000000000020",
    ),
    ("DNSKEY", "257 3 13 aGk=", "257 3 13 aGk=", "010103 0d6869"),
    ("DHCID", "aGk=", "aGk=", "6869"),
    (
        "NSEC3",
        "1 1 12 AABB 2vptu5timamqttgl4luu9kg21e0aor3s A",
        "1 1 12 AABB 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A",
        "",
    ),
    ("NSEC3PARAM", "1 0 0 -", "1 0 0 -", "0100000000"),
    ("TLSA", "3 1 1 AB cd", "3 1 1 ABCD", "030101abcd"),
    ("SMIMEA", "3 1 1 abcd", "3 1 1 ABCD", "030101abcd"),
    (
        "HIP",
        "2 AABB aGk= r1. r2.",
        "2 AABB aGk= r1. r2.",
        "02020002aabb686902723100027232 00",
    ),
    (
        "CSYNC",
        "66 3 A NS AAAA",
        "66 3 A NS AAAA",
        "0000004200030004600000 08",
    ),
    ("OPENPGPKEY", "aGk=", "aGk=", "6869"),
    ("ZONEMD", "1 1 1 aabb", "1 1 1 AABB", "000000010101aabb"),
    ("SVCB", "0 a.", "0 a.", "0000016100"),
    (
        "SVCB",
        "1 . alpn=h2,h3 port=443",
        "1 . alpn=\"h2,h3\" port=443",
        "0001000001000602683202683300030002 01bb",
    ),
    (
        "SVCB",
        "1 . key65333=\"a b\" mandatory=port,alpn port=1 alpn=h2 no-default-alpn",
        "1 . mandatory=alpn,port alpn=\"h2\" no-default-alpn port=1 key65333=\"a b\"",
        "00010000000004000100030001000302683200020000000300020001ff350003612062",
    ),
    (
        "HTTPS",
        "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
        "1 . alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
        "00010000010 00c08665c6f6f2c626172026832",
    ),
    (
        "HTTPS",
        "1 . ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 ech=aGk= dohpath=/q{?dns}",
        "1 . ipv4hint=192.0.2.1,192.0.2.2 ech=aGk= ipv6hint=2001:db8::1 dohpath=\"/q{?dns}\"",
        "",
    ),
    (
        "EUI48",
        "00-00-5E-00-53-2a",
        "00-00-5e-00-53-2a",
        "00005e00532a",
    ),
    (
        "EUI64",
        "00-00-5e-ef-10-00-00-2a",
        "00-00-5e-ef-10-00-00-2a",
        "00005eef1000002a",
    ),
    (
        "NID",
        "10 0014:4fff:ff20:ee64",
        "10 0014:4fff:ff20:ee64",
        "000a00144fffff20ee64",
    ),
    (
        "URI",
        "10 1 \"ftp://a/b\"",
        "10 1 \"ftp://a/b\"",
        "000a00016674703a2f2f612f62",
    ),
    (
        "CAA",
        "0 issue \"ca.example; a=b\"",
        "0 issue \"ca.example; a=b\"",
        "000569737375656361 2e6578616d706c653b20613d62",
    ),
    ("TYPE65280", "\\# 3 01 02 ff", "\\# 3 0102FF", "0102ff"),
    ("TYPE65280", "\\# 0", "\\# 0", ""),
    ("A", "\\# 4 c0000201", "192.0.2.1", "c0000201"),
];

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    data_encoding::HEXLOWER
        .decode(digits.as_bytes())
        .ok()
        .filter(|octets| !octets.is_empty())
}

#[test]
fn text_and_wire_agree() {
    for (rtype, text, canonical, wire) in VECTORS {
        let rtype: Rtype = rtype.parse().expect(rtype);
        let rdata =
            Rdata::parse(rtype, text).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
        if let Some(wire) = hex(wire) {
            assert_eq!(
                data_encoding::HEXLOWER.encode(rdata.wire()),
                data_encoding::HEXLOWER.encode(&wire),
                "{rtype} {text}"
            );
        }
        assert_eq!(rdata.text(rtype), *canonical, "{rtype}");
        assert_eq!(
            Rdata::parse(rtype, canonical).as_ref(),
            Ok(&rdata),
            "{rtype}"
        );
        assert_eq!(
            Rdata::from_wire(rtype, rdata.wire()).as_ref(),
            Ok(&rdata),
            "{rtype}"
        );
    }
}

/// `domain` is somebody else's reading of the same RFCs.
#[test]
fn another_library_reads_the_same_wire() {
    use domain::base::rdata::ComposeRecordData;
    use domain::zonefile::inplace::{Entry, Zonefile};
    // What domain has no text form for, or prints wrongly itself.
    let unknown = [
        "LOC", "CERT", "SMIMEA", "CSYNC", "AFSDB", "APL", "DHCID", "EUI48", "EUI64", "KX", "HIP",
        "URI", "NID",
    ];
    let mut compared = 0;
    // It refuses an escaped comma in alpn, and reads UTF-8 only where it is escaped.
    let readable = |text: &str| text.is_ascii() && !text.contains("oo\\\\,");
    for (rtype, text, _, _) in VECTORS
        .iter()
        .filter(|(rtype, text, ..)| !unknown.contains(rtype) && readable(text))
    {
        let text = text.replace("1h", "3600").replace("RSASHA256", "8");
        let mut file = Zonefile::new();
        file.extend_from_slice(format!("$ORIGIN .\nx. 1 IN {rtype} {text}\n").as_bytes());
        let Ok(Some(Entry::Record(record))) = file.next_entry() else {
            panic!("domain refuses {rtype} {text}")
        };
        let mut theirs = Vec::new();
        record.data().compose_rdata(&mut theirs).expect("octets");
        let rtype: Rtype = rtype.parse().expect(rtype);
        let ours = Rdata::parse(rtype, &text).expect("parsed before");
        assert_eq!(
            data_encoding::HEXLOWER.encode(ours.wire()),
            data_encoding::HEXLOWER.encode(&theirs),
            "{rtype} {text}"
        );
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}

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

#[test]
fn quotes_stand_around_a_whole_value() {
    for (value, wire) in [
        (r#""a b""#, Some(&b"a b"[..])),
        (r#"a\"b"#, Some(b"a\"b")),
        (r#""a\"b""#, Some(b"a\"b")),
        (r#""""#, Some(b"")),
        (r#""a"b"#, None),
        (r#"a"b""#, None),
        (r#""a"b"c""#, None),
    ] {
        let rdata = Rdata::parse(Rtype::SVCB, &format!("1 . key9={value}"));
        // Priority, root, key and length stand before it.
        let found = rdata.ok().map(|rdata| rdata.wire()[7..].to_vec());
        assert_eq!(found.as_deref(), wire, "{value}");
    }
}

#[test]
fn compares_in_canonical_form() {
    let same = |rtype, a, b| {
        let (a, b) = (
            Rdata::parse(rtype, a).expect(a),
            Rdata::parse(rtype, b).expect(b),
        );
        a.canonical(rtype) == b.canonical(rtype)
    };
    assert!(same(Rtype::MX, "1 A.", "1 a."));
    assert!(same(Rtype::SRV, "1 2 3 A.", "1 2 3 a."));
    assert!(!same(Rtype::TXT, "A", "a"));
    assert!(!same(Rtype::SVCB, "1 A.", "1 a."));
}

#[test]
fn a_text_argument_is_cut_at_255() {
    let read = |text: &str| {
        Rdata::from_arguments(Rtype::TXT, &[text.into()], Cut::AtSpace).expect("a text")
    };
    let rdata = read(&"x".repeat(300));
    assert_eq!(
        (rdata.wire()[0], rdata.wire()[256], rdata.wire().len()),
        (255, 45, 302)
    );
    assert_eq!(read("").wire(), [0]);
    assert_eq!(
        read("v=spf1 -all; \"\\").text(Rtype::TXT),
        "\"v=spf1 -all; \\\"\\\\\""
    );
}

proptest::proptest! {
    /// Whatever octets are rdata of a type come back from their text.
    #[test]
    fn no_octet_is_lost(rtype in 1u16..260, octets in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let rtype = Rtype(rtype);
        if let Ok(rdata) = Rdata::from_wire(rtype, &octets) {
            let text = rdata.text(rtype);
            proptest::prop_assert_eq!(Rdata::parse(rtype, &text), Ok(rdata), "{} {}", rtype, text);
        }
    }

    #[test]
    fn no_text_panics(rtype in 1u16..260, text in "\\PC{0,40}") {
        let _ = Rdata::parse(Rtype(rtype), &text);
        let _ = zonefile::read(text.as_bytes(), &Name::root());
    }
}
