use super::super::zonefile;
use super::*;

mod refusals;
mod vectors;

use vectors::VECTORS;

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
    // What domain has a text form for, and prints rightly itself.
    let known = [
        "A",
        "AAAA",
        "NS",
        "CNAME",
        "PTR",
        "MX",
        "SOA",
        "TXT",
        "HINFO",
        "RP",
        "SRV",
        "NAPTR",
        "DNAME",
        "DS",
        "CDS",
        "SSHFP",
        "IPSECKEY",
        "RRSIG",
        "NSEC",
        "DNSKEY",
        "NSEC3",
        "NSEC3PARAM",
        "TLSA",
        "OPENPGPKEY",
        "ZONEMD",
        "SVCB",
        "HTTPS",
        "CAA",
    ];
    let mut compared = 0;
    let read = |rtype: &str, text: &str| {
        let mut file = Zonefile::new();
        file.extend_from_slice(format!("$ORIGIN .\nx. 1 IN {rtype} {text}\n").as_bytes());
        let Ok(Some(Entry::Record(record))) = file.next_entry() else {
            return None;
        };
        let mut octets = Vec::new();
        record.data().compose_rdata(&mut octets).expect("octets");
        Some(octets)
    };
    // It refuses an escaped comma in alpn, does not know all parameters, reads UTF-8 only where it is escaped,
    // puts a leap second before the end of its minute, and reads keys by number as it reads them by name.
    let differs = [r"oo\\,", "docpath", "235960", " key1=", " key3="];
    let readable = |text: &str| text.is_ascii() && !differs.iter().any(|part| text.contains(part));
    for (rtype, text, canonical, _) in VECTORS
        .iter()
        .filter(|(rtype, text, ..)| known.contains(rtype) && readable(text))
    {
        // Of some fields it knows no mnemonics, units or short forms.
        let theirs = read(rtype, text).or_else(|| read(rtype, canonical));
        let theirs = theirs.unwrap_or_else(|| panic!("domain refuses {rtype} {canonical}"));
        let rtype: Rtype = rtype.parse().expect(rtype);
        let ours = Rdata::parse(rtype, text).expect("parsed before");
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
        let rdata = Rdata::parse(Rtype::SVCB, &format!("1 . key65280={value}"));
        // Priority, root, key and length stand before it.
        let found = rdata.ok().map(|rdata| rdata.wire()[7..].to_vec());
        assert_eq!(found.as_deref(), wire, "{value}");
    }
}

/// BIND is one more reading of the same RFCs. What an older release does not know is left out.
#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn bind_reads_the_same_wire() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let read = |rtype: &str, text: &str| {
        let mut child = Command::new("named-rrchecker")
            .args(["-o", ".", "-u"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take().expect("a pipe");
        writeln!(stdin, "IN {rtype} {text}").expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("an end");
        // CLASS1 TYPE65 \# LENGTH HEX
        let line = String::from_utf8(output.stdout).expect("text");
        Some(line.split_whitespace().skip(4).collect::<String>())
    };
    if read("A", "192.0.2.1").is_none() {
        println!("skipped, as named-rrchecker is not installed");
        return;
    }
    let mut compared = 0;
    for (rtype, text, _, _) in VECTORS {
        let theirs = read(rtype, text).expect("installed");
        if theirs.is_empty() {
            continue;
        }
        let rtype: Rtype = rtype.parse().expect(rtype);
        let ours = Rdata::parse(rtype, text).expect("parsed before");
        let ours = data_encoding::HEXUPPER.encode(ours.wire());
        assert_eq!(ours, theirs, "{rtype} {text}");
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
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
    // RFC 4034 6.2 names these; RFC 6840 5.1 takes NSEC back.
    assert!(same(Rtype::A6, "64 ::1 A.", "64 ::1 a."));
    assert!(same(Rtype::NXT, "A. A", "a. A"));
    assert!(same(Rtype::DNAME, "A.", "a."));
    assert!(!same(Rtype::NSEC, "A. A", "a. A"));
    // Types after RFC 3597 are compared as they are.
    assert!(!same(Rtype::SVCB, "1 A.", "1 a."));
    assert!(!same(Rtype::DSYNC, "CDS 1 53 A.", "CDS 1 53 a."));
    assert!(!same(Rtype::TALINK, "A. b.", "a. b."));
    assert!(!same(Rtype::AMTRELAY, "1 0 3 A.", "1 0 3 a."));
    assert!(!same(Rtype::NSAP_PTR, "A.", "a."));
}

#[test]
fn a_text_argument_is_cut_at_255() {
    let read = |text: &str| {
        Rdata::from_arguments(Rtype::TXT, &[text.into()], ArgumentSplit::AtSpace).expect("a text")
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
    fn no_octet_is_lost(rtype in 1u16..270, octets in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let rtype = Rtype(rtype);
        if let Ok(rdata) = Rdata::from_wire(rtype, &octets) {
            let text = rdata.text(rtype);
            proptest::prop_assert_eq!(Rdata::parse(rtype, &text), Ok(rdata), "{} {}", rtype, text);
        }
    }

    #[test]
    fn no_text_panics(rtype in 1u16..270, text in "\\PC{0,40}") {
        let _ = Rdata::parse(Rtype(rtype), &text);
        let _ = zonefile::read(text.as_bytes(), &Name::root());
    }
}
