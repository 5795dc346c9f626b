use super::*;
use crate::model::{Name, Rdata, Rrset, Rtype, ZoneSettings};

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn rr(zone: &str, generation: u64, owner: &str, rtype: Rtype) -> Key {
    Key::Rrset {
        zone: name(zone),
        generation,
        owner: name(owner),
        rtype,
    }
}

fn leased(zone: &str, owner: &str, instance: u64) -> Key {
    Key::Leased {
        zone: name(zone),
        owner: name(owner),
        rtype: Rtype::A,
        instance: Instance(instance),
    }
}

#[test]
fn keys_read_back() {
    let prefix = Prefix::default();
    for (key, text) in [
        (Key::Head, "/ns/v1/head"),
        (Key::Accepted, "/ns/v1/accepted"),
        (Key::Cookie, "/ns/v1/secret/cookie"),
        (Key::Zone(name("example.org")), "/ns/v1/zone/org.example"),
        (Key::Zone(Name::root()), "/ns/v1/zone/."),
        (
            Key::Serial(name("example.org")),
            "/ns/v1/serial/org.example",
        ),
        (
            rr("example.org", 3, "a.b.example.org", Rtype::A),
            "/ns/v1/rr/org.example/3/b.a/A",
        ),
        (
            rr("example.org", 3, "example.org", Rtype(65280)),
            "/ns/v1/rr/org.example/3/@/TYPE65280",
        ),
        (rr(".", 1, "org", Rtype::NS), "/ns/v1/rr/./1/org/NS"),
        (rr(".", 1, ".", Rtype::NS), "/ns/v1/rr/./1/@/NS"),
        (
            rr(
                "2.0.192.in-addr.arpa",
                1,
                r"0/25.2.0.192.in-addr.arpa",
                Rtype::PTR,
            ),
            r"/ns/v1/rr/arpa.in-addr.192.0.2/1/0\04725/PTR",
        ),
        (
            rr("x", 1, r"a\.b.\@.x", Rtype::A),
            r"/ns/v1/rr/x/1/\@.a\.b/A",
        ),
        (rr("x", 1, r"\@.x", Rtype::A), r"/ns/v1/rr/x/1/\@/A"),
        (
            leased("example.org", "a.b.example.org", 0x1f),
            "/ns/v1/leased/org.example/b.a/A/000000000000001f",
        ),
        (
            leased(".", ".", u64::MAX),
            "/ns/v1/leased/./@/A/ffffffffffffffff",
        ),
        (
            Key::LeasedSerial(name("example.org")),
            "/ns/v1/leased-serial/org.example",
        ),
        (Key::Frontend("web1-53".into()), "/ns/v1/frontend/web1-53"),
        (
            Key::Withdrawn(Attempt(0xbeef)),
            "/ns/v1/withdrawn/0000000000000000000000000000beef",
        ),
    ] {
        assert_eq!(String::from_utf8(prefix.encode(&key)).as_deref(), Ok(text));
        assert_eq!(prefix.decode(text.as_bytes()), Ok(key), "{text}");
    }
}

#[test]
fn other_spellings_are_refused() {
    let prefix = Prefix::default();
    for text in [
        "",
        "/ns/v1",
        "/ns/v1/",
        "/ns/v2/head",
        "/ns/v1/heads",
        "/ns/v1/zone/",
        "/ns/v1/zone/ORG",
        "/ns/v1/zone/org.",
        "/ns/v1/rr/org/1/a/a",
        "/ns/v1/rr/org/1/a/TYPE1",
        "/ns/v1/rr/org/01/a/A",
        "/ns/v1/rr/org/1/a/A/A",
        "/ns/v1/rr/org/1/a",
        "/ns/v1/rr/org/x/a/A",
        "/ns/v1/rr/org/1//A",
        "/ns/v1/rr/org/1/a..b/A",
        "/ns/v1/leased/org/a/A",
        "/ns/v1/leased/org/a/A/1f",
        "/ns/v1/leased/org/a/A/000000000000001F",
        "/ns/v1/leased/org/a/A/+00000000000001f",
        "/ns/v1/leased/org/a/A/000000000000001f/x",
        "/ns/v1/leased-serial/org/x",
        "/other/v1/head",
    ] {
        assert!(prefix.decode(text.as_bytes()).is_err(), "{text}");
    }
    assert!(prefix.decode(b"/ns/v1/zone/\xff").is_err());
}

#[test]
fn ranges_hold_what_they_say() {
    let prefix = Prefix::default();
    let (zone, inside) = (
        name("x"),
        |range: &std::ops::Range<Vec<u8>>, owner: &str| {
            range.contains(&prefix.encode(&rr("x", 1, owner, Rtype::A)))
        },
    );
    let owner = prefix.owner(&zone, 1, &name("a.x"));
    assert!(
        inside(&owner, "a.x")
            && !inside(&owner, "b.a.x")
            && !inside(&owner, "ab.x")
            && !inside(&owner, "x")
    );
    let subtree = prefix.subtree(&zone, 1, &name("a.x"));
    assert!(inside(&subtree, "a.x") && inside(&subtree, "b.a.x") && inside(&subtree, r"\255.a.x"));
    assert!(
        !inside(&subtree, "ab.x")
            && !inside(&subtree, "a-b.x")
            && !inside(&subtree, "b.x")
            && !inside(&subtree, r"a\000.x")
    );
    let all = prefix.subtree(&zone, 1, &zone);
    assert!(
        inside(&all, "x")
            && inside(&all, "a.x")
            && !all.contains(&prefix.encode(&rr("x", 2, "x", Rtype::A)))
    );
    assert!(
        !prefix
            .generations(&zone)
            .contains(&prefix.encode(&rr("y.x", 1, "y.x", Rtype::A)))
    );
}

#[test]
fn values_read_back() {
    let rdata = ["192.0.2.2", "192.0.2.1"].map(|text| Rdata::parse(Rtype::A, text).expect(text));
    let rrset = Rrset::new(Rtype::A, 300, rdata.into()).expect("a set");
    let value = encode(&(Rtype::A, &rrset));
    assert_eq!(
        String::from_utf8_lossy(&value),
        r#"{"ttl":300,"rdata":["192.0.2.1","192.0.2.2"]}"#
    );
    assert_eq!(decode_rrset(Rtype::A, &value).ok(), Some(rrset));

    let zone = ZoneSettings::new(name("ns1.x"), name("hostmaster.x"));
    let value = encode(&zone);
    assert_eq!(decode_zone(&value).ok(), Some(zone));
    assert!(
        String::from_utf8_lossy(&value)
            .starts_with(r#"{"soa":{"mname":"ns1.x.","rname":"hostmaster.x.","refresh":"#)
    );
}

#[test]
fn access_lists_are_left_out_of_zones_that_have_none() {
    let open = ZoneSettings::new(name("ns1.x"), name("hostmaster.x"));
    let value = String::from_utf8(encode(&open)).expect("text");
    // As releases that know no lists have written it.
    assert!(!value.contains("query"), "{value}");
    assert_eq!(decode_zone(value.as_bytes()).ok(), Some(open.clone()));
    let listed = ZoneSettings {
        allow_query: vec!["192.0.2.0/24".parse().expect("a prefix")],
        deny_query: vec!["2001:db8::1".parse().expect("a prefix")],
        ..open
    };
    let value = String::from_utf8(encode(&listed)).expect("text");
    let lists = r#""allow_query":["192.0.2.0/24"],"deny_query":["2001:db8::1/128"]"#;
    assert!(value.contains(lists), "{value}");
    assert_eq!(decode_zone(value.as_bytes()).ok(), Some(listed));
    let wrong = value.replace("192.0.2.0/24", "192.0.2.1/24");
    let error = decode_zone(wrong.as_bytes()).expect_err("host bits");
    assert!(error.to_string().contains("write 192.0.2.0/24"), "{error}");
}

#[test]
fn what_is_no_value_is_told() {
    for (value, reason) in [
        ("", "not the JSON"),
        ("[]", "not the JSON"),
        (r#"{"ttl":-1,"rdata":["192.0.2.1"]}"#, "not the JSON"),
        (r#"{"ttl":1,"rdata":[]}"#, "at least one record"),
        (r#"{"ttl":1,"rdata":["::1"]}"#, "not an IPv4 address"),
        (r#"{"ttl":2147483648,"rdata":["192.0.2.1"]}"#, "2147483647"),
    ] {
        let error = decode_rrset(Rtype::A, value.as_bytes()).expect_err(value);
        assert!(error.to_string().contains(reason), "{error}");
        // Whoever prints an error with its sources must not print the same text twice.
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(source.is_none_or(|source| !error.to_string().contains(&source)));
    }
    assert!(decode_zone(br#"{"soa":{}}"#).is_err());
}

/// Keys have one spelling for all releases: a type keeps the one it had before it got a mnemonic.
#[test]
fn mnemonics_that_came_later_are_not_in_keys() {
    let prefix = Prefix::default();
    for (rtype, spelling) in [
        (Rtype::WALLET, "TYPE262"),
        (Rtype::NSAP_PTR, "TYPE23"),
        (Rtype::DLV, "TYPE32769"),
        (Rtype::WKS, "WKS"),
    ] {
        let text = format!("/ns/v1/rr/org/1/a/{spelling}");
        let key = prefix.decode(text.as_bytes()).expect(&text);
        assert!(matches!(key, Key::Rrset { rtype: found, .. } if found == rtype));
        assert_eq!(prefix.encode(&key), text.as_bytes());
    }
    assert!(prefix.decode(b"/ns/v1/rr/org/1/a/WALLET").is_err());
}

#[test]
fn ranges_of_leased_records_hold_what_they_say() {
    let prefix = Prefix::default();
    let inside = |range: &std::ops::Range<Vec<u8>>, key: &Key| range.contains(&prefix.encode(key));
    let key = |owner| leased("x", owner, 7);
    let at = prefix.leased_at(&name("x"), &name("a.x"));
    assert!(inside(&at, &key("a.x")));
    for other in ["x", "b.a.x", "ab.x"] {
        assert!(!inside(&at, &key(other)), "{other}");
    }
    let of_zone = prefix.leased_in(&name("x"));
    assert!(inside(&of_zone, &key("x")) && inside(&of_zone, &key("b.a.x")));
    assert!(!inside(&of_zone, &leased("y.x", "y.x", 7)));
    let below = prefix.leased_below(&name("x"));
    assert!(inside(&below, &leased("y.x", "y.x", 7)) && !inside(&below, &key("x")));
    // What does not expire is not counted with what does.
    let all = prefix.leased();
    assert!(inside(&all, &key("x")) && !inside(&all, &Key::LeasedSerial(name("x"))));
}

#[test]
fn leased_records_have_no_longer_ttl_than_their_lease() {
    let read = |rtype, text: &str| decode_leased(rtype, text.as_bytes());
    let long = read(Rtype::A, r#"{"ttl":60,"rdata":["192.0.2.1"],"lease":10}"#).expect("read");
    assert_eq!((long.rrset.ttl(), long.lease), (10, 10));
    let short = read(Rtype::A, r#"{"ttl":6,"rdata":["192.0.2.1"],"lease":10}"#).expect("read");
    assert_eq!(short.rrset.ttl(), 6);
    let again = decode_leased(Rtype::A, &encode(&(Rtype::A, &short))).expect("read");
    assert_eq!(again, short);
    for (rtype, text) in [
        (Rtype::A, r#"{"ttl":6,"rdata":["192.0.2.1"]}"#),
        (Rtype::A, r#"{"ttl":6,"rdata":[],"lease":10}"#),
        (Rtype::A, r#"{"ttl":6,"rdata":["x"],"lease":10}"#),
        (Rtype::NS, r#"{"ttl":6,"rdata":["x."],"lease":10}"#),
        (Rtype::CNAME, r#"{"ttl":6,"rdata":["x."],"lease":10}"#),
        (
            Rtype::SOA,
            r#"{"ttl":6,"rdata":["x. x. 1 2 3 4 5"],"lease":10}"#,
        ),
    ] {
        assert!(read(rtype, text).is_err(), "{rtype} {text}");
    }
}
