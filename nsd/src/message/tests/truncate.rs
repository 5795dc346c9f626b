//! What is left out when a message is full.

use super::*;

const ZONE: &str = "
zone test. 3600 300
test. NS ns.test.
many.test. A 192.0.2.1
many.test. A 192.0.2.2
many.test. A 192.0.2.3
al.test. CNAME many.test.
mx.test. MX 1 many.test.
mx.test. MX 2 big.test.
big.test. A 192.0.2.9
srv.test. SRV 0 0 1 many.test.
srv.test. SRV 0 0 1 a.many.test.
a.many.test. A 192.0.2.8
cut.test. NS ns.cut.test.
cut.test. NS many.test.
ns.cut.test. A 192.0.2.4
";

/// Replies at all limits: each is whole, no longer than allowed, ends with OPT, and has the records
/// of the full one up to some RRset.
fn check(name: &str, rtype: Rtype, mut is_fine: impl FnMut(usize, &decode::Message)) {
    let view = view(ZONE);
    let octets = query(name, rtype, Some(4096));
    let full_octets = reply(&view, &octets, 65_535);
    let full = decode(&full_octets).unwrap();
    assert!(!full.is_truncated);
    let least = octets.len();
    for limit in least..=full_octets.len() {
        let octets = reply(&view, &octets, limit);
        assert!(octets.len() <= limit, "{limit}");
        let message = decode(&octets).expect("a whole message");
        assert!(message.opt.is_some());
        assert_eq!(
            (message.rcode, &message.question),
            (full.rcode, &full.question)
        );
        for record in &message.records {
            let of_set = |records: &[decode::Record]| {
                records
                    .iter()
                    .filter(|other| (&other.1, other.2) == (&record.1, record.2))
                    .count()
            };
            assert_eq!(
                of_set(&message.records),
                of_set(&full.records),
                "half an RRset"
            );
        }
        let is_full = message.records.len() == full.records.len();
        assert_eq!(is_full, limit == full_octets.len(), "{limit}");
        is_fine(message.records.len(), &message);
    }
}

#[test]
fn answers_are_truncated_between_rrsets() {
    let mut seen = Vec::new();
    check("al.test.", Rtype::A, |count, message| {
        assert_eq!(message.is_truncated, count < 4);
        seen.push(count);
    });
    seen.dedup();
    assert_eq!(seen, [0, 1, 4]);
}

#[test]
fn denials_are_truncated_too() {
    check("no.test.", Rtype::A, |count, message| {
        assert_eq!(message.is_truncated, count < 1)
    });
}

#[test]
fn addresses_are_left_out_silently() {
    let mut seen = Vec::new();
    check("mx.test.", Rtype::MX, |count, message| {
        assert_eq!(message.is_truncated, count < 2);
        seen.push(count);
    });
    seen.dedup();
    // Those of "many." do not fit where that of "big." does.
    assert_eq!(seen, [0, 2, 3, 5, 6]);
}

#[test]
fn glue_is_not_left_out_silently() {
    let mut seen = Vec::new();
    check("x.cut.test.", Rtype::A, |count, message| {
        assert_eq!(message.is_truncated, count < 3);
        seen.push(count);
    });
    seen.dedup();
    assert_eq!(seen, [0, 2, 3, 6]);
}

#[test]
fn all_glue_fits_or_the_referral_is_truncated() {
    let referral = |hosts: usize| {
        let mut text = String::from("zone test. 3600 300\n");
        for host in 0..hosts {
            for line in [
                format!("cut.test. NS n{host}.cut.test."),
                format!("n{host}.cut.test. A 10.0.0.{}", host % 256),
                format!("n{host}.cut.test. AAAA 2001:db8::{}", host % 256),
            ] {
                text += &line;
                text.push('\n');
            }
        }
        view(&text)
    };
    let octets = query("x.cut.test.", Rtype::A, Some(1232));
    for (hosts, is_whole) in [(100, true), (850, true), (1_100, false)] {
        let view = referral(hosts);
        let message = decode(&reply(&view, &octets, 65_535)).unwrap();
        assert_eq!(message.is_truncated, !is_whole, "{hosts}");
        assert_eq!(message.records.len() == 3 * hosts, is_whole, "{hosts}");
        assert!(message.opt.is_some());
        let message = decode(&reply(&view, &octets, 1_232)).unwrap();
        assert!(message.is_truncated, "{hosts}");
    }
}

#[test]
fn options_give_way_to_the_question() {
    let mut octets = query("x.test.", Rtype::A, Some(512));
    let flags = octets.len() - 2;
    octets[flags..].copy_from_slice(&[0, 4]);
    octets.extend([0, 3, 0, 0]);
    let not_ready = View::default();
    let opt = |limit| {
        let octets = reply(&not_ready, &octets, limit);
        decode(&octets)
            .expect("a whole message")
            .opt
            .map(|opt| opt.rdata.len())
    };
    // 12 octets of header, 12 of question, 11 of OPT, 6 of EDE, 15 of NSID.
    for (limit, len) in [
        (56, Some(21)),
        (55, Some(6)),
        (41, Some(6)),
        (40, Some(0)),
        (35, Some(0)),
        (34, None),
        (24, None),
    ] {
        assert_eq!(opt(limit), len, "{limit}");
    }
    assert!(reply(&not_ready, &octets, 23).is_empty());
}

#[test]
fn what_was_taken_back_is_not_pointed_to() {
    let mut seen = Vec::new();
    check("srv.test.", Rtype::SRV, |count, _| seen.push(count));
    seen.dedup();
    assert_eq!(seen, [0, 2, 3, 5, 6]);
}

#[test]
fn large_answers_fill_a_message() {
    let mut text = String::from("zone test. 3600 300\ntest. NS ns.test.\n");
    for host in 0..200 {
        let label = format!("{host:03}{}", "x".repeat(57));
        for line in [
            format!("mx.test. MX 1 {label}.{label}.test."),
            format!("srv.test. SRV 1 1 1 {label}.{label}.test."),
            format!("{label}.{label}.test. A 10.0.0.1"),
            format!("{label}.{label}.test. A 10.0.0.2"),
        ] {
            text += &line;
            text.push('\n');
        }
    }
    let view = view(&text);
    // Pointers reach 16 KiB. Names behind that are written out, and all of it can be read: those
    // in MX records are remembered from the start, those of SRV records' addresses are all behind.
    for (name, rtype) in [("mx.test.", Rtype::MX), ("srv.test.", Rtype::SRV)] {
        let octets = query(name, rtype, None);
        let sent = reply(&view, &octets, 100_000);
        assert!(sent.len() > 30_000);
        let message = decode(&sent).unwrap();
        assert_eq!(
            (message.records.len(), message.is_truncated),
            (200 + 2 * 95, false)
        );
        let message = decode(&reply(&view, &octets, 4_096)).unwrap();
        assert_eq!((message.records.len(), message.is_truncated), (0, true));
    }
}

#[test]
fn what_no_message_holds_is_truncated_over_tcp_too() {
    let mut text = String::from("zone test. 3600 300\n");
    for number in 0..400 {
        text += &format!("test. TXT {number}{}\n", "x".repeat(200));
    }
    let message = decode(&reply(
        &view(&text),
        &query("test.", Rtype::TXT, None),
        100_000,
    ))
    .unwrap();
    assert_eq!((message.records.len(), message.is_truncated), (0, true));
}

/// The most records that the model accepts fit into a message, even if the question has the longest name; a few more
/// would not.
#[test]
fn whatever_can_be_stored_can_be_served() {
    use crate::model::{Rdata, Rrset};
    use crate::zone::{self, tests::zone_of};

    let label = "a".repeat(61);
    let owner = [&label[..], &label, &label, &label, "test."].join(".");
    let view_of = |rrset: &Rrset, rtype| {
        let apex = "test.".parse().unwrap();
        let mut contents = zone::Contents::new(apex);
        let rdata = rrset.rdata().iter().map(Rdata::wire);
        let stored = zone::Rrset::new(300, rdata).unwrap();
        assert!(contents.put(&owner.parse().unwrap(), rtype, &stored));
        let mut view = View::default();
        view.set_ready(true);
        view.put_zone(zone_of(contents).into());
        view
    };
    let in_one = |n: usize| format!("host{n}.some.of.our.many.departments.example.");
    let in_many = |n: usize| format!("host{n}.in.department{}.of.our.very.own.example.", n % 500);
    let below = |n: usize| format!("host{n}.{label}.test.");
    let plain = |n: usize| format!("1 2 3 host{n}.some.of.our.many.departments.example.");
    let mail = |n: usize| format!("{} {}", n % 7, in_one(n));
    type Text<'t> = &'t dyn Fn(usize) -> String;
    let shapes: [(Rtype, Text<'_>, usize); 5] = [
        (Rtype::PTR, &in_one, 1500),
        (Rtype::NS, &in_many, 1500),
        (Rtype::PTR, &below, 1500),
        (Rtype::MX, &mail, 1500),
        (Rtype::SRV, &plain, 900),
    ];
    for (rtype, text, least) in shapes {
        let all: Vec<Rdata> = (0..6_000)
            .map(|n| Rdata::parse(rtype, &text(n)).unwrap())
            .collect();
        let set = |count: usize| Rrset::new(rtype, 300, all[..count].to_vec()).ok();
        let (mut fits, mut too_many) = (1_usize, 6_000);
        while too_many - fits > 1 {
            let middle = fits.midpoint(too_many);
            match set(middle) {
                Some(_) => fits = middle,
                None => too_many = middle,
            }
        }
        assert!(fits >= least, "{rtype}: {fits} records");
        let view = view_of(&set(fits).unwrap(), rtype);
        let octets = reply(&view, &query(&owner, rtype, Some(1232)), 65_535);
        let message = decode(&octets).unwrap();
        assert_eq!(
            (message.is_truncated, message.records.len()),
            (false, fits),
            "{rtype}"
        );
        // But for the room that is kept for options.
        assert!(
            octets.len() > 65_535 - 200 || rtype == Rtype::PTR,
            "{rtype}: {}",
            octets.len()
        );
    }
}
