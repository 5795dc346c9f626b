use super::*;

fn read(text: &str) -> Result<Batch, Vec<String>> {
    let shown = |finding: FileFinding| finding.to_string();
    read_batch("f", text.as_bytes()).map_err(|faults| faults.into_iter().map(shown).collect())
}

fn rdata(rtype: Rtype, text: &str) -> Vec<Rdata> {
    vec![Rdata::parse(rtype, text).expect(text)]
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn changes(text: &str) -> Vec<(String, Change)> {
    let batch = read(text).expect("it is right");
    let edits = batch.update.edits.into_iter();
    edits
        .map(|edit| (edit.owner.to_string(), edit.change))
        .collect()
}

#[test]
fn reads_what_nsupdate_reads() {
    let www = |change| ("www.example.org.".to_string(), change);
    let a = |text| rdata(Rtype::A, text);
    let add = |ttl, text| Change::Add {
        rtype: Rtype::A,
        ttl,
        rdata: a(text),
    };
    let remove = |rtype, rdata| Change::Remove { rtype, rdata };
    for (text, change) in [
        (
            "add www.example.org 300 A 192.0.2.1",
            add(Some(300), "192.0.2.1"),
        ),
        (
            "update add www.example.org. 5m IN A 192.0.2.1",
            add(Some(300), "192.0.2.1"),
        ),
        (
            "  ADD WWW.example.org in 1 a 192.0.2.1 ; more",
            add(Some(1), "192.0.2.1"),
        ),
        ("add www.example.org A 192.0.2.1", add(None, "192.0.2.1")),
        (
            "ttl 7\nclass IN\nadd www.example.org A 192.0.2.1\nshow\nsend\nanswer\nquit",
            add(None, "192.0.2.1"),
        ),
        (
            "$ORIGIN example.org.\n$TTL 7\nadd www 8 A 192.0.2.1",
            add(Some(8), "192.0.2.1"),
        ),
        ("del www.example.org", remove(None, vec![])),
        ("update delete www.example.org ANY", remove(None, vec![])),
        ("delete www.example.org ANY ANY", remove(None, vec![])),
        ("del www.example.org A", remove(Some(Rtype::A), vec![])),
        (
            "del www.example.org 0 ANY A",
            remove(Some(Rtype::A), vec![]),
        ),
        (
            "del www.example.org 5 A 192.0.2.1",
            remove(Some(Rtype::A), a("192.0.2.1")),
        ),
        (
            "set www.example.org 5 A",
            Change::Ttl {
                rtype: Rtype::A,
                ttl: 5,
            },
        ),
    ] {
        let read = changes(text);
        assert_eq!(read.len(), 1, "{text}");
        let (owner, read) = &read[0];
        assert_eq!(
            (owner.to_lowercase(), read),
            (www(change.clone()).0, &change),
            "{text}"
        );
    }
}

#[test]
fn a_default_ttl_applies_to_the_lines_after_it() {
    let text = "add a.x. A 192.0.2.1\n$TTL 7\nadd a.x. 8 A 192.0.2.2\nttl 9\nset b.x. A 192.0.2.3";
    let batch = read(text).expect("it is right");
    let ttls = batch.update.edits.iter().map(|edit| edit.default_ttl);
    assert_eq!(ttls.collect::<Vec<_>>(), [None, Some(7), Some(9)]);
}

#[test]
fn lines_that_set_the_same_rrset_belong_together() {
    let text = "$ORIGIN x.\nset a MX 10 b\nset c MX 1 d\nset a 60 MX 20 e.";
    let set = |rdata| Change::Set {
        rtype: Rtype::MX,
        ttl: None,
        rdata,
    };
    assert_eq!(
        changes(text),
        [
            ("a.x.".into(), set(rdata(Rtype::MX, "10 b.x."))),
            ("c.x.".into(), set(rdata(Rtype::MX, "1 d.x."))),
            (
                "a.x.".into(),
                Change::Add {
                    rtype: Rtype::MX,
                    ttl: Some(60),
                    rdata: rdata(Rtype::MX, "20 e."),
                }
            ),
        ]
    );
}

#[test]
fn prerequisites_are_those_of_rfc_2136() {
    let text = "zone x\nprereq yxdomain a.x\nprereq nxdomain b.x\nprereq yxrrset a.x A\n\
                prereq nxrrset a.x IN AAAA\nyxrrset a.x TXT one\nprereq yxrrset a.x TXT two";
    let batch = read(text).expect("it is right");
    let (a, rtype) = (name("a.x"), Rtype::TXT);
    let both = [rdata(rtype, "one"), rdata(rtype, "two")].concat();
    assert_eq!(
        batch.update.prerequisites,
        [
            Prerequisite::NameInUse(a.clone()),
            Prerequisite::NameNotInUse(name("b.x")),
            Prerequisite::RrsetExists {
                owner: a.clone(),
                rtype: Rtype::A,
                rdata: vec![]
            },
            Prerequisite::RrsetAbsent {
                owner: a.clone(),
                rtype: Rtype::AAAA
            },
            Prerequisite::RrsetExists {
                owner: a,
                rtype,
                rdata: both
            },
        ]
    );
    let lines: Vec<u32> = batch
        .prerequisites_at
        .iter()
        .map(|at| at.position.line)
        .collect();
    assert_eq!(lines, [2, 3, 4, 5, 6]);
    assert_eq!(batch.zone, Some(name("x")));
}

#[test]
fn every_error_has_its_line_and_column() {
    for (text, error) in [
        ("ad www A 192.0.2.1", "f:1:1: 'ad' is no statement"),
        ("update prereq x", "f:1:8: 'prereq' is no statement"),
        ("add", "f:1:1: the name is missing"),
        ("add www", "f:1:1: the type is missing"),
        ("add www 5 IN", "f:1:1: the type is missing"),
        ("add www A", "f:1:1: an IPv4 address is missing"),
        (
            "add www A 192.0.2.300",
            "f:1:11: '192.0.2.300' is not an IPv4 address",
        ),
        (
            "add www A 192.0.2.1 192.0.2.2",
            "f:1:21: '192.0.2.2' is more than",
        ),
        ("add www CH A 192.0.2.1", "f:1:9: class CH is not served"),
        ("add www ANY A 192.0.2.1", "f:1:9: ANY is no type"),
        ("add www AXFR 1", "f:1:9: AXFR is no type"),
        (
            "add www 3000000000 A 192.0.2.1",
            "f:1:9: '3000000000' is not a TTL",
        ),
        ("add w..w A 192.0.2.1", "f:1:5: 'w..w' is not a domain name"),
        ("add \"www A", "f:1:5: the quoted string has no end"),
        ("set www A", "f:1:1: an IPv4 address is missing"),
        (
            "set www 60 A 192.0.2.1\nset www A 192.0.2.2\nset www 5 A 192.0.2.3",
            "f:3:1: the TTL 5 is not 60",
        ),
        ("del www XX", "f:1:9: 'XX' is "),
        ("del www ANY 1", "f:1:13: '1' is not"),
        ("prereq nxdomain www A", "f:1:8: nxdomain takes no type"),
        ("prereq nxrrset www", "f:1:1: the type is missing"),
        (
            "prereq nxrrset www A 192.0.2.1",
            "f:1:22: '192.0.2.1' is too much",
        ),
        (
            "prereq yxrrset www 5 A",
            "f:1:20: a prerequisite has no TTL",
        ),
        ("prereq xx www", "f:1:8: 'xx' is no prerequisite"),
        ("prereq", "f:1:1: the statement is cut short"),
        ("server 192.0.2.1", "f:1:1: server is for a server"),
        ("class CH", "f:1:7: class CH is not served"),
        ("zone", "f:1:1: zone takes one argument"),
        ("zone a\nzone b", "f:2:6: the zone is a. already"),
        (
            "send\nadd x A 192.0.2.1",
            "f:2:1: a batch is one change, which ended at 1:1",
        ),
    ] {
        let errors = read(text).expect_err(text);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].starts_with(error), "{text}: {errors:?}");
    }
    let errors = read("add\nset x A 192.0.2.1\ndel (\n").expect_err("two");
    assert_eq!(errors.len(), 2, "{errors:?}");
}
