//! Octets in, octets out, read back by a reader that shares no code with the writer.

mod decode;
mod fuzz;
mod options;
mod parse;
mod truncate;

use self::decode::decode;
use super::*;
use crate::model::Rtype;
use crate::zone::tests::{spelled, view};
use crate::zone::{Answer, View, resolve, resolve_into};

const OURS: ServerEdns<'_> = ServerEdns {
    udp_size: 1232,
    nsid: b"front-end 1",
    idle: None,
    pads: false,
    cookie: None,
};

/// A query for class IN with id 0x1234 and RD, with EDNS if there is a UDP size.
fn query(name: &str, rtype: Rtype, udp_size: Option<u16>) -> Vec<u8> {
    let header = b"\x12\x34\x01\0\0\x01\0\0\0\0\0";
    let mut octets = [&header[..], &[u8::from(udp_size.is_some())]].concat();
    octets.extend(spelled(name));
    octets.extend(rtype.0.to_be_bytes());
    octets.extend([0, 1]);
    if let Some(size) = udp_size {
        octets.extend([0, 0, 41]);
        octets.extend(size.to_be_bytes());
        octets.extend([0; 6]);
    }
    octets
}

/// The reply to a query, as the server makes it.
fn reply(view: &View, octets: &[u8], limit: usize) -> Vec<u8> {
    reply_with(&OURS, view, octets, limit)
}

/// The same with what this transport lets the server say.
fn reply_with(ours: &ServerEdns<'_>, view: &View, octets: &[u8], limit: usize) -> Vec<u8> {
    let mut out = vec![0; 100_000];
    let len = match parse(octets) {
        Ok(query) => {
            let answer = resolve(view, &query.question());
            encode(&answer, &query, ours, limit, &mut out)
        }
        Err(Reject::Reply(refusal)) => encode_reject(&refusal, ours, &mut out),
        Err(Reject::Silent) => 0,
    };
    out.truncate(len);
    out
}

const ZONE: &str = "
zone test. 3600 300
test. NS ns.test.
ns.test. A 192.0.2.1
test. MX 10 mail.test.
test. MX 20 mail.example.
mail.test. A 192.0.2.2
mail.test. A 192.0.2.3
_x._tcp.test. SRV 1 2 3 mail.test.
a.test. DNAME b.test.
w.b.test. TXT hello
al.test. CNAME WWW.Example.
";

#[test]
fn an_answer_octet_by_octet() {
    let octets = reply(
        &view(ZONE),
        &query("Mail.TEST.", Rtype::A, Some(1232)),
        1232,
    );
    let expected = [
        // id; QR AA RD; rcode; counts
        &b"\x12\x34\x85\x00\0\x01\0\x02\0\0\0\x01"[..],
        // The question as it came.
        b"\x04Mail\x04TEST\0\0\x01\0\x01",
        b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x02",
        b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x03",
        // OPT with our size.
        b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
    ];
    assert_eq!(octets, expected.concat());
}

#[test]
fn names_are_compressed_in_types_of_rfc_1035_only() {
    let view = view(ZONE);
    let octets = reply(&view, &query("test.", Rtype::MX, None), 512);
    // "mail" and a pointer to the question; "mail.example." in full.
    assert!(
        octets
            .windows(9)
            .any(|part| part == b"\0\x0a\x04mail\xc0\x0c")
    );
    assert!(
        octets
            .windows(14)
            .any(|part| part == b"\x04mail\x07example\0")
    );
    // The address's owner is a pointer to the MX record's exchange.
    let exchange = 12 + 6 + 4 + 12 + 2;
    assert!(octets.ends_with(b"\0\x04\xc0\0\x02\x03"));
    let owners = octets
        .windows(2)
        .filter(|part| *part == [0xc0, exchange as u8])
        .count();
    assert_eq!(owners, 2);

    let octets = reply(&view, &query("_x._tcp.test.", Rtype::SRV, None), 512);
    assert!(
        octets
            .windows(17)
            .any(|part| part == b"\0\x01\0\x02\0\x03\x04mail\x04test\0")
    );

    // A synthesized CNAME record: its owner is the question, its target compressed.
    let octets = reply(&view, &query("w.a.test.", Rtype::TXT, None), 512);
    assert!(
        octets
            .windows(8)
            .any(|part| part == b"\0\x06\x01w\x01b\xc0\x10")
    );

    // Names in rdata keep their spelling unless they are compressed.
    let octets = reply(&view, &query("al.test.", Rtype::A, None), 512);
    assert!(octets.ends_with(b"\0\x0d\x03WWW\x07Example\0"));
}

#[test]
fn both_names_of_an_soa_record_are_compressed() {
    let octets = reply(&view(ZONE), &query("no.test.", Rtype::A, None), 512);
    let expected = b"\xc0\x0f\0\x06\0\x01\0\0\x01\x2c\0\x18\xc0\x0f\xc0\x0f\0\0\0\x01";
    assert!(octets.windows(20).any(|part| part == expected));
}

#[test]
fn the_root_is_shorter_than_a_pointer_to_it() {
    let octets = reply(
        &view("zone . 300 300\n"),
        &query(".", Rtype::SOA, None),
        512,
    );
    assert!(octets[12 + 5..].starts_with(b"\0\0\x06\0\x01"));
}

/// Every answer to every question about names in the scenarios comes back as it was.
#[test]
fn answers_survive_a_round_trip() {
    let scenarios = [
        include_str!("../zone/tests/rfc1034_6.2.txt"),
        include_str!("../zone/tests/rfc2181.txt"),
        include_str!("../zone/tests/rfc2308.txt"),
        include_str!("../zone/tests/rfc3597.txt"),
        include_str!("../zone/tests/rfc4343.txt"),
        include_str!("../zone/tests/rfc4592.txt"),
        include_str!("../zone/tests/rfc6604.txt"),
        include_str!("../zone/tests/rfc6672.txt"),
        include_str!("../zone/tests/rfc8482.txt"),
        include_str!("../zone/tests/rfc9460.txt"),
        include_str!("../zone/tests/rfc9471.txt"),
    ];
    let mut count = 0;
    for scenario in scenarios {
        let (zones, questions) = scenario.split_at(scenario.find("\n?").unwrap());
        let view = view(zones);
        for question in questions.lines().filter_map(|line| line.strip_prefix("? ")) {
            let (name, rtype) = question.split_once(' ').unwrap();
            let octets = query(name, rtype.trim().parse().unwrap(), None);
            let query = parse(&octets).unwrap();
            let answer = resolve(&view, &query.question());
            let message = decode(&reply(&view, &octets, 65_535)).expect(question);
            assert!(!message.is_truncated);
            assert_eq!(message.rcode, answer.rcode.0);
            let mut expected = decode::expected(&answer, query.name());
            // A compressed name takes the spelling of the one that it points to.
            let fold = |records: &mut Vec<decode::Record>| {
                records.iter_mut().for_each(|record| {
                    record.1.make_ascii_lowercase();
                    record.5.make_ascii_lowercase();
                });
            };
            let mut records = message.records;
            fold(&mut records);
            fold(&mut expected);
            assert_eq!(records, expected, "{question}");
            count += 1;
        }
    }
    assert!(count > 160, "{count}");
}

#[test]
fn options_are_sent_to_those_who_ask() {
    let view = view(ZONE);
    let opt = |octets: &[u8]| decode(octets).unwrap().opt.expect("an OPT record");
    let mut asks_nsid = query("ns.test.", Rtype::A, Some(4096));
    // DO, and an empty NSID option (RFC 5001 2.1).
    let flags = asks_nsid.len() - 4;
    asks_nsid[flags..].copy_from_slice(&[0x80, 0, 0, 4]);
    asks_nsid.extend([0, 3, 0, 0]);
    let sent = opt(&reply(&view, &asks_nsid, 512));
    assert_eq!((sent.udp_size, sent.ttl), (1232, [0, 0, 0x80, 0]));
    assert_eq!(sent.rdata, b"\0\x03\0\x0bfront-end 1");
    assert_eq!(
        opt(&reply(&view, &query("ns.test.", Rtype::A, Some(0)), 512)).rdata,
        b""
    );

    // An extended error, with EDNS only.
    let not_ready = View::default();
    let sent = reply(&not_ready, &query("ns.test.", Rtype::A, Some(1232)), 512);
    assert_eq!(opt(&sent).rdata, [0, 15, 0, 2, 0, 14]);
    assert_eq!(sent[3] & 0xf, 2);
    let sent = decode(&reply(&not_ready, &query("ns.test.", Rtype::A, None), 512)).unwrap();
    assert!(sent.opt.is_none());
}

#[test]
fn the_server_tells_about_itself() {
    let ask = |name: &str, rtype: Rtype| {
        let mut octets = query(name, rtype, None);
        let class = octets.len() - 1;
        octets[class] = 3;
        octets
    };
    for (name, chaos) in [
        ("version.bind.", Some(Chaos::Version)),
        ("VERSION.Server.", Some(Chaos::Version)),
        ("id.server.", Some(Chaos::Identity)),
        ("hostname.bind.", Some(Chaos::Identity)),
        ("authors.bind.", None),
        ("bind.", None),
    ] {
        let octets = ask(name, Rtype::TXT);
        let query = parse(&octets).unwrap();
        assert_eq!(
            (query.class, query.chaos()),
            (Class::Chaos, chaos),
            "{name}"
        );
    }
    assert_eq!(
        parse(&ask("version.bind.", Rtype::A)).unwrap().chaos(),
        None
    );
    let in_class = query("version.bind.", Rtype::TXT, None);
    assert_eq!(parse(&in_class).unwrap().chaos(), None);

    let octets = ask("id.server.", Rtype::TXT);
    let query = parse(&octets).unwrap();
    let mut out = [0; 512];
    let len = encode_chaos(&[b'x'; 300], &query, &OURS, 512, &mut out);
    let expected = [
        &b"\x12\x34\x85\x00\0\x01\0\x01\0\0\0\0\x02id\x06server\0\0\x10\0\x03"[..],
        b"\xc0\x0c\0\x10\0\x03\0\0\0\0\x01\0\xff",
        &[b'x'; 255],
    ];
    assert_eq!(out[..len], expected.concat());
    let len = encode_chaos(&[b'x'; 300], &query, &OURS, 100, &mut out);
    assert_eq!((len, out[2], out[7]), (12 + 15, 0x87, 0));
}
