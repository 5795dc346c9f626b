use super::error::Reason;
use super::text::parse_onto;
use super::*;

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

#[test]
fn text_and_wire_agree() {
    let table: &[(&str, &str, &[u8])] = &[
        (".", ".", b"\0"),
        ("example.org", "example.org.", b"\x07example\x03org\0"),
        (
            "WWW.Example.ORG.",
            "www.example.org.",
            b"\x03www\x07example\x03org\0",
        ),
        (r"a\.b.c.", r"a\.b.c.", b"\x03a.b\x01c\0"),
        (r"\000\255\032.", r"\000\255\032.", b"\x03\x00\xff \0"),
        (r"\097.", "a.", b"\x01a\0"),
        (r"\@.", r"\@.", b"\x01@\0"),
        ("*.x", "*.x.", b"\x01*\x01x\0"),
        ("_a/b.x", "_a/b.x.", b"\x04_a/b\x01x\0"),
    ];
    for (text, printed, wire) in table {
        assert_eq!(name(text).wire(), *wire, "{text}");
        assert_eq!(name(text).to_string(), *printed);
        assert_eq!(name(printed), name(text));
        assert_eq!(Name::from_wire(wire), Ok(name(text)));
    }
}

#[test]
fn refuses_what_is_no_name() {
    let label = "a".repeat(63);
    let longest = [&label[..], &label, &label, &"a".repeat(61)].join(".");
    assert_eq!(name(&longest).wire().len(), 255);
    for (text, reason) in [
        ("", Reason::Empty),
        ("@", Reason::Origin),
        ("a@b", Reason::Mailbox),
        ("a;b", Reason::Special),
        ("a(b", Reason::Special),
        ("a\"b", Reason::Special),
        ("ü-.x", Reason::Unicode),
        ("ü\\195.x", Reason::UnicodeAndEscape),
        ("例。.x", Reason::EmptyLabel),
        ("\u{ad}", Reason::EmptyLabel),
        ("a..b", Reason::EmptyLabel),
        (".a", Reason::EmptyLabel),
        ("..", Reason::EmptyLabel),
        (&"a".repeat(64), Reason::LongLabel),
        (&format!("{longest}a"), Reason::LongName),
        (r"a\", Reason::BadEscape),
        (r"a\25", Reason::BadEscape),
        (r"a\256", Reason::BadEscape),
        ("a b", Reason::Control),
    ] {
        assert_eq!(text.parse::<Name>(), Err(NameError(reason)), "{text}");
    }
    for wire in [
        &b""[..],
        b"\x01",
        b"\x01a",
        b"\xc0\x0c",
        b"\x00\x00",
        &[1; 300],
    ] {
        assert_eq!(Name::from_wire(wire), Err(NameError(Reason::Wire)));
    }
}

#[test]
fn unicode_becomes_a_labels() {
    for (text, ascii, unicode) in [
        (
            "ü.example.org",
            "xn--tda.example.org.",
            Some("ü.example.org."),
        ),
        ("*.Ü.x", "*.xn--tda.x.", Some("*.ü.x.")),
        ("_tcp.مثال.x", "_tcp.xn--mgbh0fb.x.", Some("_tcp.مثال.x.")),
        (
            "例え。テスト。",
            "xn--r8jz45g.xn--zckzah.",
            Some("例え.テスト."),
        ),
        // Octets that are escaped stay octets, and ASCII stays as it is.
        ("\\195\\188.x", "\\195\\188.x.", None),
        (
            "xn--zzzzzzz99.-a-.a--b.x",
            "xn--zzzzzzz99.-a-.a--b.x.",
            None,
        ),
    ] {
        assert_eq!(name(text).to_string(), ascii, "{text}");
        assert_eq!(name(text).unicode().as_deref(), unicode, "{text}");
    }
    let mut wire = Vec::new();
    let latin1 = parse_onto(b"b\xfccher.x", None, &mut wire);
    assert_eq!(latin1, Err(NameError(Reason::NotUtf8)));
    // A final full stop of any script makes a name absolute.
    wire.clear();
    parse_onto("ü。".as_bytes(), Some(&name("x")), &mut wire).expect("a name");
    assert_eq!(wire, b"\x07xn--tda\0");
}

#[test]
fn order_is_canonical() {
    // The example of RFC 4034 6.1.
    let sorted = [
        "example.",
        "a.example.",
        "yljkjljk.a.example.",
        "z.a.example.",
        "zabc.a.example.",
        "z.example.",
        r"\001.z.example.",
        "*.z.example.",
        r"\200.z.example.",
    ];
    let mut names: Vec<Name> = sorted.iter().rev().map(|text| name(text)).collect();
    names.sort();
    assert_eq!(names, sorted.map(name));
}

#[test]
fn ancestry() {
    assert!(name("a.b.c").is_within(&name("b.c")));
    assert!(name("b.c").is_within(&name("b.c")));
    assert!(name("b.c").is_within(&Name::root()));
    assert!(!name("ab.c").is_within(&name("b.c")));
    assert!(!name("c").is_within(&name("b.c")));
    // The octets of `b.` at the end, but inside of one label.
    assert!(!name(r"x\001b").is_within(&name("b")));
    let up: Vec<String> = name("a.b").ancestors().map(|n| n.to_string()).collect();
    assert_eq!(up, ["a.b.", "b.", "."]);
}
