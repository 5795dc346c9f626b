//! Refusals, limits and edge cases.

use super::*;
use crate::model::Consistency;

#[test]
fn before_the_first_sync_queries_get_servfail() {
    let mut view = view("zone test. 3600 300\ntest. NS ns.test.\n");
    view.set_ready(false);
    assert_eq!(answer(&view, "test.", "NS"), "SERVFAIL\n");
    let wire = spelled("test.");
    let question = Question {
        name: &wire,
        rtype: Rtype::NS,
    };
    assert_eq!(resolve(&view, &question).ede, Some(ede::NOT_READY));
    assert_eq!(answer(&View::default(), "test.", "NS"), "SERVFAIL\n");
    view.set_ready(true);
    assert!(answer(&view, "test.", "NS").starts_with("NOERROR aa\n"));
}

#[test]
fn other_zones_are_refused_with_a_reason() {
    let view = view("zone test. 3600 300\n");
    let wire = spelled("elsewhere.");
    let answer = resolve(
        &view,
        &Question {
            name: &wire,
            rtype: Rtype::A,
        },
    );
    assert_eq!(
        (answer.rcode, answer.ede),
        (Rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE))
    );
    assert!(answer.zone.is_none() && !answer.is_authoritative);
    // REFUSED is an answer too, and may be outdated: a zone may just have been added.
    let mut strict = view.clone();
    strict.set_consistency(Consistency::Linearizable);
    let question = Question {
        name: &wire,
        rtype: Rtype::A,
    };
    let consistencies = [&view, &strict].map(|view| resolve(view, &question).consistency);
    assert_eq!(
        consistencies,
        [Consistency::Available, Consistency::Linearizable]
    );
    let wire = spelled("Host.Test.");
    let answer = resolve(
        &view,
        &Question {
            name: &wire,
            rtype: Rtype::A,
        },
    );
    assert_eq!(answer.zone.unwrap().apex(), &name("test."));
}

#[test]
fn queries_for_meta_types_are_rejected() {
    let view = view("zone test. 3600 300\ntest. NS ns.test.\n");
    for (rtype, expected) in [
        ("OPT", "FORMERR\n"),
        ("TYPE128", "FORMERR\n"),
        ("TSIG", "NOTIMP\n"),
        ("IXFR", "NOTIMP\n"),
        ("AXFR", "NOTIMP\n"),
        ("MAILA", "NOTIMP\n"),
        ("TYPE200", "NOTIMP\n"),
        ("RRSIG", "NOERROR aa\nauthority test. 300 SOA\n"),
        ("TYPE65280", "NOERROR aa\nauthority test. 300 SOA\n"),
        ("TYPE0", "NOERROR aa\nauthority test. 300 SOA\n"),
    ] {
        assert_eq!(answer(&view, "test.", rtype), expected, "{rtype}");
    }
}

#[test]
fn questions_without_a_name_are_malformed() {
    let view = view("zone test. 3600 300\n");
    let too_long = [&[1, b'a'].repeat(128)[..], &[0]].concat();
    // 256 octets, one too many.
    let just_too_long = [&[1, b'a'].repeat(126)[..], b"\x02aa\0"].concat();
    for wire in [
        &b""[..],
        b"\x04test",
        b"\x04test\0\0",
        b"\xc0\x0c",
        b"\x40\0",
        &too_long,
        &just_too_long,
    ] {
        let answer = resolve(
            &view,
            &Question {
                name: wire,
                rtype: Rtype::A,
            },
        );
        assert_eq!((answer.rcode, entries(&answer).len()), (Rcode::FORMERR, 0));
    }
}

#[test]
fn spelling_of_the_question_does_not_matter() {
    let view = view("zone Test. 3600 300\nwww.Test. A 192.0.2.1\nx.test. DNAME y.test.\n");
    assert_eq!(
        answer(&view, "WwW.tEST.", "A"),
        "NOERROR aa\nanswer WwW.tEST. A 192.0.2.1\n"
    );
    assert_eq!(
        answer(&view, "A.X.Test.", "A"),
        "NXDOMAIN aa\nanswer X.Test. DNAME y.test.\nanswer A.X.Test. CNAME a.y.test.\n\
         authority test. 300 SOA\n"
    );
}

#[test]
fn chains_end_after_sixteen_links() {
    let mut text = String::from("zone test. 3600 300\n");
    for link in 0..40 {
        writeln!(text, "c{link}.test. CNAME c{}.test.", link + 1).unwrap();
    }
    text.push_str("c40.test. A 192.0.2.1\n");
    let view = view(&text);
    let links = |name: &str| answer(&view, name, "A").matches("CNAME").count();
    assert_eq!(links("c0.test."), 17);
    assert_eq!(links("c24.test."), 16);
    assert!(answer(&view, "c24.test.", "A").ends_with("answer c40.test. A 192.0.2.1\n"));
    assert!(!answer(&view, "c0.test.", "A").contains("SOA"));
}

#[test]
fn names_that_grow_too_long_are_an_error() {
    let label = "a".repeat(60);
    let target = [&label[..], &label, &label, "test."].join(".");
    let view = view(&format!("zone test. 3600 300\nd.test. DNAME {target}\n"));
    // 3 * 61 + 6 octets, and then 1 + 60 + 5 before them: 255, and one more.
    let fits = [&label[..], "bbbb", "d.test."].join(".");
    let too_long = [&label[..], "bbbbb", "d.test."].join(".");
    assert!(answer(&view, &fits, "A").starts_with("NXDOMAIN aa\n"));
    assert_eq!(
        answer(&view, &too_long, "A"),
        format!("YXDOMAIN aa\nanswer d.test. DNAME {target}\n")
    );
}

#[test]
fn a_referral_has_all_the_glue_there_is() {
    let mut text = String::from("zone test. 3600 300\n");
    for host in 0..200 {
        for line in [
            format!("cut.test. NS ns{host}.cut.test."),
            format!("cut.test. NS ns{host}.test."),
            format!("ns{host}.cut.test. A 10.0.0.{host}"),
            format!("ns{host}.cut.test. AAAA 2001:db8::{host}"),
            format!("ns{host}.test. A 10.0.0.{host}"),
        ] {
            text += &line;
            text.push('\n');
        }
    }
    let view = view(&text);
    let answer = answer(&view, "x.cut.test.", "A");
    assert_eq!(answer.matches("authority cut.test. NS").count(), 400);
    assert_eq!(answer.matches("glue").count(), 400);
    assert_eq!(answer.matches("additional").count(), 200);
}

#[test]
fn addresses_of_answers_fill_the_list_and_no_more() {
    let mut text = String::from("zone test. 3600 300\n");
    for host in 0..200 {
        writeln!(
            text,
            "test. MX 0 mx{host}.test.\nmx{host}.test. A 10.0.0.{host}"
        )
        .unwrap();
    }
    let answer = answer(&view(&text), "test.", "MX");
    assert_eq!(answer.matches("answer test. MX").count(), 200);
    assert_eq!(answer.matches("additional").count(), 95);
}

#[test]
fn a_dname_is_never_without_its_cname() {
    // Each leads to the next, with names that are as long as names can be: 240 octets in front of the zone's.
    let label = "a".repeat(58);
    let front = [&label[..]; 4].join(".");
    let mut text = String::from("zone test. 3600 300\n");
    for link in 0..17 {
        writeln!(text, "d{link:02}.test. DNAME d{:02}.test.", link + 1).unwrap();
    }
    writeln!(text, "{front}.d17.test. A 192.0.2.1").unwrap();
    let view = view(&text);
    let answer = answer(&view, &format!("{front}.d00.test."), "A");
    assert_eq!(answer.matches(" DNAME ").count(), 17);
    assert_eq!(answer.matches(" CNAME ").count(), 17, "{answer}");
    // As many links as are followed: the chain is complete.
    let answer = self::answer(&view, &format!("{front}.d01.test."), "A");
    assert_eq!(answer.matches(" CNAME ").count(), 16);
    assert!(answer.ends_with(&format!("answer {front}.d17.test. A 192.0.2.1\n")));
}

#[test]
fn longest_names_and_deepest_zones() {
    let deep = "a.".repeat(127);
    let view = view(&format!(
        "zone a. 3600 300\n{deep} A 192.0.2.1\n*.b.a. A 192.0.2.2\n"
    ));
    assert!(answer(&view, &deep, "A").starts_with("NOERROR aa\nanswer a.a.a."));
    assert!(answer(&view, &deep[2..], "A").starts_with("NOERROR aa\nauthority a. 300"));
    let below = format!("{}b.a.", "x.".repeat(125));
    assert!(answer(&view, &below, "A").starts_with("NOERROR aa\nanswer x.x."));
    assert!(answer(&view, &below, "TXT").starts_with("NOERROR aa\nauthority a. 300"));
}

#[test]
fn the_root_may_be_its_own_name_server_but_no_mail_server() {
    let view = view("zone . 3600 300\n. NS .\n. MX 0 .\n. A 192.0.2.1\n");
    for (rtype, expected) in [
        (
            "NS",
            "NOERROR aa\nanswer . NS .\nadditional . A 192.0.2.1\n",
        ),
        ("MX", "NOERROR aa\nanswer . MX 0 .\n"),
    ] {
        assert_eq!(answer(&view, ".", rtype), expected);
    }
}

#[test]
fn zones_without_cuts_have_closest_enclosers_too() {
    let view = view("zone test. 3600 300\n*.w.test. A 192.0.2.1\n*.test. A 192.0.2.2\n");
    for (qname, expected) in [
        ("x.w.test.", "NOERROR aa\nanswer x.w.test. A 192.0.2.1\n"),
        ("x.y.test.", "NOERROR aa\nanswer x.y.test. A 192.0.2.2\n"),
        ("w.test.", "NOERROR aa\nauthority test. 300 SOA\n"),
    ] {
        assert_eq!(answer(&view, qname, "A"), expected);
    }
}

#[test]
fn a_suffix_within_a_label_is_no_ancestor() {
    let apex = name("test.");
    let mut contents = Contents::new(apex.clone());
    // One label that ends in the octets of the zone's name.
    let target = b"\x06a\x04test\0";
    contents.put(&apex, Rtype::NS, &Rrset::new(TTL, [&target[..]]).unwrap());
    contents.put(&apex, Rtype::A, &Rrset::new(TTL, [&[1; 4][..]]).unwrap());
    let mut view = View::default();
    view.set_ready(true);
    view.put_zone(Zone::new(&soa(&apex, 1, 1), contents).into());
    let question = Question {
        name: apex.wire(),
        rtype: Rtype::NS,
    };
    assert_eq!(entries(&resolve(&view, &question)).len(), 1);
}

#[test]
fn malformed_rdata_is_passed_on_and_leads_nowhere() {
    let apex = name("test.");
    let mut contents = Contents::new(apex.clone());
    for rtype in [
        Rtype::CNAME,
        Rtype::NS,
        Rtype::DNAME,
        Rtype::MX,
        Rtype::SRV,
        Rtype::HTTPS,
    ] {
        let owner = name(&format!("{rtype}.test."));
        for octets in [&b""[..], b"\x3f", b"\xc0\x0c"] {
            let rrset = Rrset::new(TTL, [octets]).unwrap();
            contents.put(&owner, rtype, &rrset);
            let mut view = View::default();
            view.set_ready(true);
            view.put_zone(Zone::new(&soa(&apex, 1, 1), contents.clone()).into());
            for below in ["", "x."] {
                let qname = spelled(&format!("{below}{owner}"));
                for rtype in [rtype, Rtype::A] {
                    let answer = resolve(
                        &view,
                        &Question {
                            name: &qname,
                            rtype,
                        },
                    );
                    assert!(entries(&answer).len() < 3);
                }
            }
        }
    }
}

#[test]
fn zones_come_and_go() {
    let mut view = view("zone test. 3600 300\ntest. NS n.test.\nzone a.b.test. 3600 300\n");
    let old = view.clone();
    assert_eq!(
        (view.zone_count(), view.rrset_count(), view.zones().count()),
        (2, 3, 2)
    );
    assert!(view.remove_zone(&name("a.b.test.")) && !view.remove_zone(&name("a.b.test.")));
    assert!(answer(&view, "a.b.test.", "SOA").starts_with("NXDOMAIN"));
    assert!(view.remove_zone(&name("test.")));
    assert_eq!(answer(&view, "test.", "SOA"), "REFUSED\n");
    // The older view does not change.
    assert_eq!(
        answer(&old, "a.b.test.", "SOA"),
        "NOERROR aa\nanswer a.b.test. 3600 SOA\n"
    );
    let zone = old.zone(&name("test.")).expect("a zone");
    assert_eq!((zone.apex(), zone.negative_ttl()), (&name("test."), 300));
    assert!(zone.get(&name("test."), Rtype::SOA).is_some());
    assert!(zone.get(&name("x.test."), Rtype::SOA).is_none());
}
