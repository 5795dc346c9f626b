use super::*;

const ZONE: &str = r#"
$TTL 1h
@       IN SOA ns1 hostmaster ( 42 1h 15m 2w 60 ) ; the start
        IN NS  ns1
        60 IN NS ns2.example.net.
ns1     A    192.0.2.1
www 5m IN A  192.0.2.2
    IN 5m AAAA 2001:db8::1
        TXT  "a;b" c
$ORIGIN sub
x       CNAME @
"#;

fn origin() -> Name {
    "example.org".parse().expect("a name")
}

fn checked(text: &str) -> Result<Checked, Vec<FileFinding>> {
    check(&origin(), read(text.as_bytes(), &origin())?)
}

fn shown(faults: &[FileFinding]) -> Vec<String> {
    faults.iter().map(FileFinding::to_string).collect()
}

fn lines(records: &[FileRecord]) -> Vec<String> {
    let line = |record: &FileRecord| {
        let ttl = record.ttl.map_or("-".into(), |ttl| ttl.to_string());
        format!(
            "{} {ttl} {} {}",
            record.owner,
            record.rtype,
            record.rdata.text(record.rtype)
        )
    };
    records.iter().map(line).collect()
}

#[test]
fn reads_checks_and_writes() {
    let sound = checked(ZONE).expect("a sound zone");
    assert_eq!(
        (
            sound.serial,
            sound.settings.soa.expire,
            sound.warnings.len()
        ),
        (42, 1_209_600, 1)
    );
    let mut text = String::new();
    write(
        &mut text,
        &origin(),
        &sound.settings,
        sound.serial,
        &sound.rrsets,
    )
    .expect("text");
    assert_eq!(
        text,
        "example.org. 3600 IN SOA ns1.example.org. hostmaster.example.org. 42 3600 900 1209600 60\n\
         example.org. 60 IN NS ns1.example.org.\n\
         example.org. 60 IN NS ns2.example.net.\n\
         ns1.example.org. 3600 IN A 192.0.2.1\n\
         x.sub.example.org. 3600 IN CNAME sub.example.org.\n\
         www.example.org. 300 IN A 192.0.2.2\n\
         www.example.org. 3600 IN TXT \"a;b\" \"c\"\n\
         www.example.org. 300 IN AAAA 2001:db8::1\n"
    );
    let again = checked(&text).expect("sound");
    assert_eq!(
        (again.rrsets, again.settings),
        (sound.rrsets, sound.settings)
    );
}

#[test]
fn unicode_names_become_a_labels() {
    let text = "$ORIGIN ü\n@ 60 SOA ns.bücher hostmaster 1 2 3 4 5\nÜ NS ns.bücher.example.\n\\195\\188 MX 1 straße";
    let records = read(text.as_bytes(), &origin()).expect("sound").records;
    assert_eq!(
        lines(&records),
        [
            "xn--tda.example.org. 60 SOA ns.xn--bcher-kva.xn--tda.example.org. hostmaster.xn--tda.example.org. 1 2 3 4 5",
            "xn--tda.xn--tda.example.org. 60 NS ns.xn--bcher-kva.example.",
            "\\195\\188.xn--tda.example.org. 60 MX 1 xn--strae-oqa.xn--tda.example.org.",
        ]
    );
    let latin1 =
        b"a 1 A 192.0.2.1\nb\xfccher 1 A 192.0.2.1\nc 1 MX 1 b\xfccher\nd 1 MX 1 \xc3\xbc-\n";
    let faults = shown(&read(latin1, &origin()).expect_err("not UTF-8"));
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, (at, reason)) in faults.iter().zip([
        ("2:1: ", "neither ASCII nor UTF-8"),
        ("3:10: ", "neither ASCII nor UTF-8"),
        ("4:10: ", "'ü-' is not a domain name: a label is not valid"),
    ]) {
        assert!(fault.starts_with(at) && fault.contains(reason), "{fault}");
    }
}

#[test]
fn finds_every_fault() {
    let text = "@ SOA a b 1 2 3 4 5\nx A 1.2.3\ny MX ten mail\nz 99999999999 A 1.2.3.4\nw NOPE 1\n$FOO\n$TTL x\nv\n";
    let faults = read(text.as_bytes(), &origin()).expect_err("faults");
    assert_eq!(
        shown(&faults),
        [
            "2:5: '1.2.3' is not an IPv4 address",
            "3:6: expected a number, a number up to 65535, and got 'ten'",
            "4:3: '99999999999' is not a TTL up to 2147483647",
            "5:3: 'NOPE' is not a record type: expected a mnemonic such as AAAA, or TYPE and a number up to 65535",
            "6:1: $FOO is no directive: $ORIGIN, $TTL, $INCLUDE and $GENERATE are",
            "7:6: 'x' is not a TTL up to 2147483647",
            "8:1: the record type is missing",
        ]
    );
}

#[test]
fn ttl_comes_from_the_record_the_directive_or_the_record_before() {
    let text = "a A 192.0.2.1\na 5 A 192.0.2.2\na A 192.0.2.3\n$TTL 7\na A 192.0.2.4\na 9 A 192.0.2.5\na A 192.0.2.6";
    let records = read(text.as_bytes(), &origin()).expect("sound").records;
    let ttls: Vec<Option<u32>> = records.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [None, Some(5), Some(5), Some(7), Some(9), Some(7)]);
    // Where nothing says one, it is the SOA's last field.
    let sound = checked("x A 192.0.2.1\n@ SOA ns. a. 1 2 3 4 77\n@ NS ns.").expect("sound");
    assert!(sound.rrsets.values().all(|rrset| rrset.ttl() == 77));
}

#[test]
fn files_are_included() {
    let mut asked = Vec::new();
    let mut include = |from: &str, path: &str| {
        asked.push(format!("{from} {path}"));
        match path {
            "hosts" => Ok((
                "dir/hosts".into(),
                b"$ORIGIN deep\na A 192.0.2.1\n A 192.0.2.x\n".to_vec(),
            )),
            "loop" => Ok(("loop".into(), b"$INCLUDE loop".to_vec())),
            _ => Err(format!("cannot read {path}").into()),
        }
    };
    let text = b"$TTL 1\nfirst A 192.0.2.9\n$INCLUDE hosts sub\n A 192.0.2.8\n$INCLUDE \"no such\"\n$INCLUDE loop\n";
    let faults = read_file("zone", text, &origin(), &mut include).expect_err("three faults");
    assert_eq!(
        shown(&faults),
        [
            "dir/hosts:3:4: '192.0.2.x' is not an IPv4 address",
            "zone:5:10: cannot read no such",
            "loop:1:10: files include each other more than 16 deep",
        ]
    );
    assert_eq!(asked[..2], ["zone hosts", "zone no such"]);
    let mut include =
        |_: &str, _: &str| Ok(("hosts".into(), b"$ORIGIN deep\na A 192.0.2.1\n".to_vec()));
    let records = read_file(
        "zone",
        b"$TTL 1\nfirst A 192.0.2.9\n$INCLUDE hosts sub\n A 192.0.2.8\nz A 192.0.2.7",
        &origin(),
        &mut include,
    );
    assert_eq!(
        lines(&records.expect("sound").records),
        [
            "first.example.org. 1 A 192.0.2.9",
            "a.deep.sub.example.org. 1 A 192.0.2.1",
            // Neither the owner nor the origin of the included file stays.
            "first.example.org. 1 A 192.0.2.8",
            "z.example.org. 1 A 192.0.2.7",
        ]
    );
}

#[test]
fn files_that_include_each_other_twice_are_not_read_without_end() {
    let mut count = 0;
    let mut include = |_: &str, _: &str| {
        count += 1;
        Ok(("twice".into(), b"$INCLUDE twice\n$INCLUDE twice\n".to_vec()))
    };
    let faults = read_file("zone", b"$INCLUDE twice", &origin(), &mut include);
    let last = shown(&faults.expect_err("too many")).pop();
    assert_eq!(
        last.as_deref(),
        Some("twice:2:10: more than 10000 files are included in all")
    );
    assert_eq!(count, 10_000);
}

#[test]
fn records_are_generated() {
    let generated = |text: &str| {
        read(text.as_bytes(), &origin())
            .map(|file| lines(&file.records))
            .map_err(|faults| shown(&faults))
    };
    assert_eq!(
        generated("$GENERATE 1-5/2 host-$ 60 IN A 192.0.2.$"),
        Ok(vec![
            "host-1.example.org. 60 A 192.0.2.1".into(),
            "host-3.example.org. 60 A 192.0.2.3".into(),
            "host-5.example.org. 60 A 192.0.2.5".into(),
        ])
    );
    for (text, line) in [
        (
            "$GENERATE 8-8 ${2,3} 1 PTR a$.",
            "010.example.org. 1 PTR a8.",
        ),
        (
            "$GENERATE 255-255 ${0,4,x}-${-1,0,X} 1 MX $ m",
            "00ff-fe.example.org. 1 MX 255 m.example.org.",
        ),
        (
            "$GENERATE 18-18 ${0,0,n} 1 A 192.0.2.1",
            "2.1.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 171-171 ${0,7,N}x 1 A 192.0.2.1",
            "b.a.0.0x.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 1-1 a 1 TXT \"\\$ $$ $\" \"b c\"",
            "a.example.org. 1 TXT \"$ $ 1\" \"b c\"",
        ),
        (
            "$GENERATE 1-1 a 1 TXT x\\\\$",
            "a.example.org. 1 TXT \"x\\\\1\"",
        ),
        // What follows is as BIND 9.18 has it, save that it takes the semicolon for a comment.
        (
            "$GENERATE 1-1 a 1 MX \"10 mail$\"",
            "a.example.org. 1 MX 10 mail1.example.org.",
        ),
        (
            "$GENERATE 1-1 a 1 TXT \"a b $\"",
            "a.example.org. 1 TXT \"a\" \"b\" \"1\"",
        ),
        (
            "$GENERATE 1-1 a 1 TXT \"\\\"a b $\\\"\"",
            "a.example.org. 1 TXT \"a b 1\"",
        ),
        (
            "$GENERATE 1-1 a 1 TXT \"a; b\"",
            "a.example.org. 1 TXT \"a;\" \"b\"",
        ),
        (
            "$GENERATE 1-1 a${-3} 1 A 192.0.2.1",
            "a-2.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 1-1 a${-5,4} 1 A 192.0.2.1",
            "a-004.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 1-1 ${-3,0,x}.${-3,0,o} 1 A 192.0.2.1",
            "fffffffe.37777777776.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 1-1 ${-3,0,n}.h 1 A 192.0.2.1",
            "e.f.f.f.f.f.f.f.h.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 1-1 ${-3,20,n}h 1 A 192.0.2.1",
            "e.f.f.f.f.f.f.f.0.0.h.example.org. 1 A 192.0.2.1",
        ),
        (
            "$GENERATE 2147483647-2147483647 a$ 1 A 192.0.2.1",
            "a2147483647.example.org. 1 A 192.0.2.1",
        ),
    ] {
        let generated = generated(text).map(|lines| lines[0].to_ascii_lowercase());
        assert_eq!(generated, Ok(line.to_ascii_lowercase()), "{text}");
    }
    for (text, fault) in [
        (
            "$GENERATE 5-1 a A 192.0.2.1",
            "1:11: '5-1' is not a range START-STOP or START-STOP/STEP",
        ),
        (
            "$GENERATE 1-2/0 a A 192.0.2.1",
            "1:11: '1-2/0' is not a range START-STOP or START-STOP/STEP",
        ),
        (
            "$GENERATE 0-2147483647 a$ A 192.0.2.1",
            "1:11: the range '0-2147483647' makes more than 1048576 records",
        ),
        (
            "$GENERATE 1-2 a${x} A 192.0.2.1",
            "1:15: '${x}' is not a modifier OFFSET[,WIDTH[,BASE]]",
        ),
        (
            "$GENERATE 1-2147483648/1000000 a$ A 192.0.2.1",
            "1:11: '1-2147483648/1000000' is not a range START-STOP or START-STOP/STEP",
        ),
        (
            "$GENERATE 2147483647-2147483647 a${1} A 192.0.2.1",
            "1:33: '${1}' with 2147483647 is not between -2^31 and 2^31 - 1",
        ),
        (
            "$GENERATE 1-1 a MX \"10 m (\"",
            "1:20: the parenthesis is never closed",
        ),
        ("$GENERATE 1-1 a MX \"\"", "1:1: a number is missing"),
        ("$GENERATE 1-2 a${0 A 192.0.2.1", "1:15: a ${ has no }"),
        (
            "$GENERATE 255-300 a$ A 192.0.2.$",
            "1:24: '192.0.2.256' is not an IPv4 address",
        ),
        (
            "$GENERATE 1-2 a",
            "1:1: $GENERATE takes a range, an owner, a type and rdata",
        ),
    ] {
        assert_eq!(generated(text), Err(vec![fault.to_string()]), "{text}");
    }
}

const BASE: &str = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n";

#[test]
fn refuses_what_is_no_zone() {
    for (text, reason) in [
        ("@ NS a.".into(), "no SOA record"),
        ("@ 1 SOA a b 1 2 3 4 5".into(), "no NS record"),
        (
            "other.com. 1 SOA a b 1 2 3 4 5\n@ 1 NS a.".into(),
            "no SOA record",
        ),
        (format!("{BASE}@ DS 1 8 2 aa"), "belong to the parent"),
        (format!("{BASE}x SOA a b 1 2 3 4 5"), "belongs to the apex"),
        (format!("{BASE}@ SOA a b 2 2 3 4 5"), "one SOA record"),
        (
            format!("{BASE}x CNAME y\nx A 1.2.3.4"),
            "a CNAME stands alone",
        ),
        (format!("{BASE}@ CNAME y"), "cannot stand beside"),
        (format!("{BASE}x CNAME y\nx CNAME z"), "one CNAME record"),
        (format!("{BASE}x DNAME y\nx DNAME z"), "one DNAME record"),
        (
            format!("{BASE}x DNAME y\nx NS z."),
            "a zone cut cannot redirect",
        ),
        (
            format!("{BASE}x DNAME y\na.b.x A 1.2.3.4"),
            "below the DNAME",
        ),
        (format!("{BASE}x DNAME y\na.x DNAME z"), "below the DNAME"),
    ] {
        let faults = checked(&text).expect_err(&text);
        assert!(
            faults.iter().any(|fault| fault.reason.contains(reason)),
            "{text}: {faults:?}"
        );
    }
}

#[test]
fn a_clash_is_reported_once() {
    for (text, expected) in [
        (
            "x CNAME y\nx A 192.0.2.1\nx TXT t",
            "5:1: x.example.org. has A records, and CNAME cannot stand beside them: a CNAME stands alone (RFC 2181, 10.1)",
        ),
        (
            "x NS a.\nx DNAME y",
            "6:1: x.example.org. cannot have a DNAME record and NS records: a zone cut cannot redirect (RFC 6672, 2.3)",
        ),
        (
            "x DNAME y\na.x TXT t",
            "6:1: a.x.example.org. is below the DNAME record of x.example.org., which redirects it (RFC 6672, 2.4)",
        ),
        (
            "@ CNAME y",
            "5:1: example.org. is the apex of a zone and has an SOA record: a CNAME cannot stand beside it (RFC 2181, 10.1)",
        ),
    ] {
        let faults = checked(&format!("{BASE}{text}")).expect_err(text);
        assert_eq!(shown(&faults), [expected], "{text}");
    }
}

#[test]
fn doubts_what_is_likely_not_meant() {
    for (text, reason) in [
        ("x A 192.0.2.1\nx A 192.0.2.1", "there twice"),
        ("x MX 1 M.\nx MX 1 m.", "there twice"),
        ("other.com. A 1.2.3.4", "outside of the zone"),
        ("other.com. SOA a b 1 2 3 4 5", "outside of the zone"),
        ("x 2147483648 A 192.0.2.1", "becomes 0"),
        ("$TTL 4294967295\nx A 192.0.2.1", "becomes 0"),
        (
            "@ 60 SOA ns hostmaster 1 2 3 4 5\nx A 192.0.2.1",
            "SOA record is there twice",
        ),
        ("x 1 A 192.0.2.1\nx 2 A 192.0.2.2", "TTL 2 differs"),
        ("x NS a.x", "glue is missing"),
        ("x NS ns2", "no address"),
        ("x MX 1 nowhere", "no address"),
        ("x NS ns.y\ny NS ns.elsewhere.", "no glue"),
        ("x MX 1 y\ny CNAME ns", "is an alias"),
        ("x MX 1 y.d\nd DNAME elsewhere.", "is an alias"),
        ("x NS a.\ny.x TXT t", "below the zone cut"),
        ("x NS a.\nx TXT t", "at a zone cut"),
        ("x DS 1 8 2 aa", "no zone cut"),
        ("x NS ns\nx DS 1 8 2 aa", "has 32 octets"),
        (
            "x HTTPS 1 ns no-default-alpn",
            "no-default-alpn without alpn",
        ),
        (
            "x NS 192.0.2.1",
            "192.0.2.1.example.org., which is an address",
        ),
        ("x MX 1 192.0.2.1.", "192.0.2.1., which is an address"),
        ("x SRV 1 1 1 2001:db8::1", "which is an address"),
        ("x CNAME 192.0.2.1.", "which is an address"),
        ("x MX 1 mail.example.org", "is a final dot missing?"),
        (
            "x MX 1 mail.",
            "mail., a single label: names are absolute, did you mean mail.example.org.?",
        ),
        ("x NS ns.", "did you mean ns.example.org.?"),
        ("x CNAME www.", "did you mean www.example.org.?"),
        ("x SRV 1 1 1 sip.", "did you mean sip.example.org.?"),
        ("x PTR host.", "did you mean host.example.org.?"),
        ("x HTTPS 1 www.", "did you mean www.example.org.?"),
        (
            "x MX 1 mail.example.net",
            "has no address; is a final dot missing?",
        ),
        (
            "x CNAME www.example.net",
            "does not exist; is a final dot missing?",
        ),
        (
            "x CNAME nowhere",
            "nowhere.example.org., which is in this zone and does not exist",
        ),
        (
            "x PTR host.example.net",
            "does not exist; is a final dot missing?",
        ),
        ("x HTTPS 1 nowhere", "does not exist"),
        ("x.example.org A 192.0.2.1", "is a final dot missing?"),
        (
            "$ORIGIN x\ny A 192.0.2.1\nz MX 1 y.example.org",
            "is a final dot missing?",
        ),
        (
            "* A 192.0.2.1\n_443._tcp.www TLSA 3 1 0 aa",
            "*.example.org. does not apply to www.example.org.: it exists, as _443._tcp.www",
        ),
        (
            "* CNAME ns\nnews MX 1 ns",
            "does not apply to news.example.org.: it has records of its own (MX)",
        ),
        (
            "@ ZONEMD 1 1 240 0123456789abcdef01234567",
            "with another serial",
        ),
    ] {
        let sound =
            checked(&format!("{BASE}{text}")).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        assert!(
            sound
                .warnings
                .iter()
                .any(|fault| fault.reason.contains(reason)),
            "{text}: {:?}",
            sound.warnings
        );
    }
}

#[test]
fn classes_and_directives_of_other_servers_are_read() {
    let text = "$DATE 20240101000000\na CLASS1 60 TYPE1 192.0.2.1\na 60 class1 A 192.0.2.2\na 60 IN A ( ( 192.0.2.3 ) )\n";
    let records = read(text.as_bytes(), &origin()).expect("sound").records;
    assert_eq!(
        lines(&records),
        [
            "a.example.org. 60 A 192.0.2.1",
            "a.example.org. 60 A 192.0.2.2",
            "a.example.org. 60 A 192.0.2.3",
        ]
    );
    for class in ["CH", "chaos", "HS", "NONE", "CLASS3", "CLASS65535"] {
        let text = format!("a {class} A 192.0.2.1");
        let faults = read(text.as_bytes(), &origin()).expect_err(class);
        assert!(shown(&faults)[0].contains("is not served"), "{class}");
    }
    for text in [
        "a CLASS1 CLASS1 A 192.0.2.1",
        "a CLASS65536 A 192.0.2.1",
        "$DATE",
    ] {
        assert!(read(text.as_bytes(), &origin()).is_err(), "{text}");
    }
}

#[test]
fn records_outside_of_the_zone_are_left_out() {
    let sound = checked(&format!("{BASE}other.com. A 1.2.3.4\nx A 192.0.2.1")).expect("sound");
    let owners: Vec<String> = sound
        .rrsets
        .keys()
        .map(|(owner, _)| owner.to_string())
        .collect();
    assert_eq!(
        owners,
        ["example.org.", "ns.example.org.", "x.example.org."]
    );
    assert_eq!(
        shown(&sound.warnings),
        ["5:1: other.com. is outside of the zone example.org.: this record is left out"]
    );
}

/// RFC 2181 8: a TTL with its highest bit set counts as 0.
#[test]
fn ttls_over_the_limit_become_0() {
    let text = "@ 2147483647 SOA ns hostmaster 1 2 3 4 4294967295\n@ 1 NS ns.other.\n\
                a 2147483648 A 192.0.2.1\n$TTL 4000000000\nb A 192.0.2.1\nc 2147483647 A 192.0.2.1\n\
                $GENERATE 1-3 d$ 3000000000 A 192.0.2.1\n";
    let sound = checked(text).expect("sound");
    let ttl = |owner: &str| {
        let owner = owner.parse().expect(owner);
        sound.rrsets[&(owner, Rtype::A)].ttl()
    };
    assert_eq!(
        ["a", "b", "c", "d1", "d3"].map(|owner| ttl(&format!("{owner}.example.org."))),
        [0, 0, 2_147_483_647, 0, 0]
    );
    assert_eq!(
        (sound.settings.soa.ttl, sound.settings.soa.minimum),
        (2_147_483_647, 0)
    );
    let bare = checked("@ SOA ns hostmaster 1 2 3 4 4294967295\n@ 1 NS ns.other.\n");
    let bare = bare.expect("sound").settings;
    assert_eq!((bare.soa.ttl, bare.soa.minimum, bare.fault()), (0, 0, None));
    assert_eq!(
        shown(&sound.warnings),
        [
            "3:3: the TTL 2147483648 is over 2147483647 and becomes 0 (RFC 2181, 8)",
            "4:6: the TTL 4000000000 is over 2147483647 and becomes 0 (RFC 2181, 8)",
            "7:18: the TTL 3000000000 is over 2147483647 and becomes 0 (RFC 2181, 8)",
            "1:1: the minimum 4294967295 is over 2147483647 and becomes 0 (RFC 2181, 8)",
        ]
    );
}

#[test]
fn a_byte_order_mark_is_named() {
    let with = |mark: &[u8], text: &str| [mark, text.as_bytes()].concat();
    let faults = |text: &[u8]| shown(&read(text, &origin()).expect_err("a fault"));
    // The rest is read all the same, so that everything is told at once.
    let found = faults(&with(b"\xef\xbb\xbf", "a 1 A 192.0.2.x\n"));
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("1:1: the file begins with a byte order mark (U+FEFF"));
    assert!(found[0].contains("sed -i"), "how to remove it");
    assert_eq!(found[1], "1:7: '192.0.2.x' is not an IPv4 address");
    for mark in [b"\xff\xfe", b"\xfe\xff"] {
        let found = faults(&with(mark, "a\0 \0"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("1:1: the file begins with the byte order mark of UTF-16"));
    }
    let mut include = |_: &str, _: &str| Ok(("b".into(), with(b"\xef\xbb\xbf", "")));
    let found = read_file("a", b"$INCLUDE b", &origin(), &mut include).expect_err("a fault");
    assert!(shown(&found)[0].starts_with("b:1:1: the file begins with a byte order mark"));
}

#[test]
fn doubts_the_soa_record_and_omitted_ttls() {
    for (text, doubts) in [
        (
            "$TTL 1\n@ SOA ns.example.org host@example.net. 1 2 3 4 5\n@ NS ns.elsewhere.",
            &[
                "2:1: the SOA record names ns.example.org.example.org., which has the name of the zone twice: is a final dot missing?",
                "2:1: the SOA record's mailbox host\\@example.net. has an @; a dot is its place there (RFC 1035, 8)",
            ][..],
        ),
        (
            "$TTL 1\n@ SOA 192.0.2.1 host 1 2 3 4 5\n@ NS ns.elsewhere.",
            &[
                "2:1: the SOA record names 192.0.2.1.example.org., which is an address: a name is needed",
            ],
        ),
        (
            "@ SOA a. b. 1 2 3 4 5\n@ NS ns.elsewhere.\n",
            &[
                "1:1: there is no TTL, and no $TTL above: it is taken for the SOA record's minimum; other servers differ here",
            ],
        ),
        (
            "@ 7 SOA a. b. 1 2 3 4 5\n@ NS ns.elsewhere.\n@ NS ns2.elsewhere.\n",
            &[
                "2:1: there is no TTL, and no $TTL above: it is taken for 7, as the record before; other servers differ here",
            ],
        ),
        ("@ 7 SOA a. b. 1 2 3 4 5\n@ 7 NS ns.elsewhere.", &[]),
        ("$TTL 7\n@ SOA a. b. 1 2 3 4 5\n@ NS ns.elsewhere.", &[]),
    ] {
        let sound = checked(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        assert_eq!(shown(&sound.warnings), doubts, "{text}");
    }
}

/// What `dig axfr` and `kdig axfr` print.
#[test]
fn a_zone_transfer_is_read() {
    let soa = "example.org.\t\t60\tIN\tSOA\tns.example.org. h.example.org. 7 2 3 4 5";
    let text = format!(
        "\n; <<>> DiG 9.18 <<>> example.org axfr\n;; global options: +cmd\n{soa}\n\
         example.org.\t60\tIN\tNS\tns.example.org.\nns.example.org.\t60\tIN\tA\t192.0.2.53\n{soa}\n\
         key.\t\t\t0\tANY\tTSIG\thmac-sha256. 1795739958 300 32 kWlmPeSNfx0= 48203 NOERROR 0 \n\
         ;; Query time: 0 msec\n;; XFR size: 4 records (messages 1, bytes 200)\n\n"
    );
    let sound = checked(&text).expect("sound");
    assert_eq!((sound.serial, sound.rrsets.len()), (7, 2));
    assert_eq!(shown(&sound.warnings), Vec::<String>::new());
}

#[test]
fn a_signed_zone_is_refused_or_left_without_its_signatures() {
    let text = format!(
        "{BASE}x NS ns\nx DS 1 13 1 0123456789abcdef0123456789abcdef01234567\n\
         @ DNSKEY 257 3 13 aaaa\n@ DNSKEY 256 3 13 bbbb\n@ NSEC ns A RRSIG\n\
         @ RRSIG SOA 13 2 60 20300101000000 20200101000000 1 @ aaaa\nns RRSIG A 13 2 60 20300101000000 20200101000000 1 @ aaaa\n\
         0123456789abcdefghijklmnopqrstuv NSEC3 1 0 0 - 0123456789ABCDEFGHIJKLMNOPQRSTUV A\n"
    );
    let faults = shown(&checked(&text).expect_err("it is signed"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].starts_with(
            "10:1: the zone is signed, with 2 RRSIG, 1 NSEC, 2 DNSKEY and 1 NSEC3 records, and"
        ),
        "{faults:?}"
    );
    let mut file = read(text.as_bytes(), &origin()).expect("sound");
    file.leave_out_dnssec();
    let left = check(&origin(), file).expect("sound");
    let types: Vec<String> = left
        .rrsets
        .keys()
        .map(|(owner, rtype)| format!("{owner} {rtype}"))
        .collect();
    assert_eq!(
        types,
        [
            "example.org. NS",
            "ns.example.org. A",
            "x.example.org. NS",
            "x.example.org. DS"
        ]
    );
    assert_eq!(
        shown(&left.warnings),
        [
            "2 RRSIG, 1 NSEC, 2 DNSKEY and 1 NSEC3 records of a signed zone are left out; the zone's DS records must be gone from its parent"
        ]
    );
    for (record, counts) in [
        ("@ CDS 0 0 0 00", "with 1 CDS record, and"),
        ("@ CDNSKEY 0 3 0 AA==", "with 1 CDNSKEY record, and"),
        ("@ NSEC3PARAM 1 0 0 -", "with 1 NSEC3PARAM record, and"),
    ] {
        let faults = shown(&checked(&format!("{BASE}{record}")).expect_err(record));
        assert!(faults[0].contains(counts), "{faults:?}");
    }
    checked(&format!("{BASE}x KEY 0 3 13 aaaa")).expect("for SIG(0)");
}

#[test]
fn has_no_doubts_about_sound_zones() {
    for text in [
        "x NS a.x\na.x A 192.0.2.1\nx DS 1 13 1 0123456789abcdef0123456789abcdef01234567",
        "x SRV 1 1 1 ns.y\ny NS ns.elsewhere.",
        "* A 192.0.2.1\nwww A 192.0.2.2\nalias CNAME www\nsub NS ns\n_dmarc TXT x\n_sip._tcp SRV 1 1 1 x",
        "*.w A 192.0.2.1\na.v A 192.0.2.1",
        "* TXT t\nnews A 192.0.2.1",
        "x CNAME a.y\ny NS ns.elsewhere.\nz CNAME a.w\n*.w A 192.0.2.1\nv CNAME _u\na._u TXT t",
        "x RP me.example .\ny CNAME z.elsewhere.\n10 CNAME 10.0/25\n0/25 NS ns",
        "x HTTPS 0 y.elsewhere.\nz HTTPS 1 . alpn=h2 no-default-alpn",
        "@ SOA ns hostmaster 1 2 3 4 5",
        "x NS ns.elsewhere.",
        "x MX 1 y.w\n*.w A 192.0.2.1",
        "x MX 0 .",
        "x PTR localhost.",
        "*.w NS ns",
        "x CNAME y.z.\nb.x.a A 192.0.2.1",
        "@ DNAME elsewhere.",
    ] {
        let text = match text {
            "@ DNAME elsewhere." => {
                "$TTL 60\n@ SOA ns. hostmaster 1 2 3 4 5\n@ NS ns.elsewhere.\n@ DNAME elsewhere."
                    .to_string()
            }
            text => format!("{BASE}{text}"),
        };
        let sound = checked(&text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        assert_eq!(shown(&sound.warnings), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn differences_are_told_record_by_record() {
    let old = checked(&format!(
        "{BASE}a A 192.0.2.1\na A 192.0.2.2\nb 5 A 192.0.2.3\nc TXT t"
    ))
    .expect("sound")
    .rrsets;
    let new = checked(&format!(
        "{BASE}a A 192.0.2.2\na A 192.0.2.4\nb 6 A 192.0.2.3\nd TXT t"
    ))
    .expect("sound")
    .rrsets;
    let lines: Vec<String> = diff(&old, &new).iter().map(Difference::to_string).collect();
    assert_eq!(
        lines,
        [
            "- a.example.org. 60 A 192.0.2.1",
            "+ a.example.org. 60 A 192.0.2.4",
            "- b.example.org. 5 A 192.0.2.3",
            "+ b.example.org. 6 A 192.0.2.3",
            "- c.example.org. 60 TXT \"t\"",
            "+ d.example.org. 60 TXT \"t\"",
        ]
    );
    assert!(diff(&old, &old).is_empty());
}
