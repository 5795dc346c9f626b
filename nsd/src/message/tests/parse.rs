//! Valid queries, and how other messages are rejected.

use super::*;

/// A query for `x. A` without the header's first four octets, which are added.
fn message(flags: [u8; 2], counts: [u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, flags[0], flags[1]];
    octets.extend(counts.iter().flat_map(|count| [0, *count]));
    octets.extend(body.concat());
    octets
}

const QUESTION: &[u8] = b"\x01x\0\0\x01\0\x01";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
const OTHER: &[u8] = b"\x03key\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01";

/// Key `key.`, algorithm `md5.`, a MAC of three octets and no other data.
const TSIG: &[u8] = b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x18\
    \x03md5\0\0\0\x60\x01\x02\x03\x01\x2c\0\x03MAC\xab\xcd\0\0\0\0";

#[test]
fn counts_of_a_query_are_told_from_others() {
    for (counts, expected) in [
        ([1, 0, 0, 0], true),
        ([1, 0, 0, 2], true),
        ([1, 0, 0, 3], false),
        ([0, 0, 0, 1], false),
        ([2, 0, 0, 0], false),
        ([1, 1, 0, 0], false),
        ([1, 0, 1, 0], false),
    ] {
        let octets = message([1, 0], counts, &[QUESTION]);
        assert_eq!(header_counts_fit_query(&octets), expected, "{counts:?}");
        assert!(!header_counts_fit_query(&octets[..11]));
    }
}

#[test]
fn queries() {
    let plain = message([1, 0], [1, 0, 0, 0], &[QUESTION]);
    let query = parse(&plain).unwrap();
    assert_eq!(
        (query.id, query.rtype, query.class),
        (0xabcd, Rtype::A, Class::In)
    );
    assert!(query.is_recursion_desired && query.edns.is_none());
    assert_eq!(
        (query.name(), query.question().name),
        (&b"\x01x\0"[..], &b"\x01x\0"[..])
    );
    assert_eq!((query.udp_limit(1232), query.udp_limit(400)), (512, 400));

    // DO and an unknown option, then NSID; a client's size that is too small.
    let options = b"\0\0\x29\0\x64\0\0\x80\0\0\x0a\xfd\xe9\0\x02hi\0\x03\0\0";
    let with_edns = message([0, 0x20], [1, 0, 0, 1], &[QUESTION, options]);
    let query = parse(&with_edns).unwrap();
    let edns = Edns {
        udp_size: 100,
        version: 0,
        is_dnssec_ok: true,
        wants_nsid: true,
        ..Edns::default()
    };
    assert_eq!(
        (query.edns, query.is_recursion_desired),
        (Some(edns), false)
    );
    assert_eq!(query.udp_limit(1232), 512);

    let large = message([0, 0], [1, 0, 0, 1], &[QUESTION, OPT]);
    assert_eq!(parse(&large).unwrap().udp_limit(4096), 1232);
    // Other records are skipped, also with a compressed owner, and OPT need not be the last one.
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x01z";
    let others = message([0, 0], [1, 0, 1, 2], &[QUESTION, soa, OPT, OTHER]);
    assert!(parse(&others).unwrap().edns.is_some());
}

#[test]
fn silence() {
    let response = message([0x80, 0], [1, 0, 0, 0], &[QUESTION]);
    for octets in [&b""[..], &response[..11], &response] {
        assert_eq!(parse(octets).err(), Some(Reject::Silent));
    }
}

/// What is wrong, the counts, the body, the rcode, and whether question and OPT record are repeated.
type Case<'a> = (&'a str, [u8; 4], &'a [&'a [u8]], Rcode, bool, bool);

#[test]
fn rejections() {
    let long_name = [&[1, b'a'].repeat(127)[..], &[1, b'a', 0, 0, 1, 0, 1]].concat();
    let both = [QUESTION, QUESTION].concat();
    let v1 = b"\0\0\x29\x04\xd0\0\x01\0\0\0\x01?";
    let named_opt = b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let cut_option = b"\0\0\x29\x04\xd0\0\0\0\0\0\x05\0\x03\0\x02x";
    let table: &[Case<'_>] = &[
        (
            "no question",
            [0, 0, 0, 0],
            &[],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "no question but OPT",
            [0, 0, 0, 1],
            &[OPT],
            Rcode::FORMERR,
            false,
            true,
        ),
        (
            "two questions",
            [2, 0, 0, 0],
            &[&both],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "two questions and OPT",
            [2, 0, 0, 1],
            &[&both, OPT],
            Rcode::FORMERR,
            false,
            true,
        ),
        (
            "TSIG before OPT",
            [1, 0, 0, 2],
            &[QUESTION, TSIG, OPT],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "two TSIG",
            [1, 0, 0, 3],
            &[QUESTION, OPT, TSIG, TSIG],
            Rcode::FORMERR,
            true,
            true,
        ),
        (
            "TSIG as authority",
            [1, 0, 1, 0],
            &[QUESTION, TSIG],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "TSIG that is cut",
            [1, 0, 0, 1],
            &[QUESTION, &TSIG[..14], b"\0\x04\x03md5\0"],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "TSIG of class IN",
            [1, 0, 0, 1],
            &[QUESTION, &TSIG[..7], b"\0\x01", &TSIG[9..]],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "TSIG whose key is nowhere",
            [1, 0, 0, 1],
            &[QUESTION, b"\xc0\x0d", &TSIG[5..]],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "cut question",
            [1, 0, 0, 0],
            &[&QUESTION[..6]],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "cut name",
            [1, 0, 0, 0],
            &[b"\x05x"],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "pointer",
            [1, 0, 0, 0],
            &[b"\xc0\x0c\0\x01\0\x01"],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "label type",
            [1, 0, 0, 0],
            &[b"\x41x\0\0\x01\0\x01"],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "long name",
            [1, 0, 0, 0],
            &[&long_name],
            Rcode::FORMERR,
            false,
            false,
        ),
        (
            "octets left",
            [1, 0, 0, 0],
            &[QUESTION, b"\0"],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "octets after OPT",
            [1, 0, 0, 1],
            &[QUESTION, OPT, b"\0"],
            Rcode::FORMERR,
            true,
            true,
        ),
        (
            "record missing",
            [1, 0, 0, 1],
            &[QUESTION],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "record cut",
            [1, 1, 0, 0],
            &[QUESTION, &OTHER[..15]],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "two OPT",
            [1, 0, 0, 2],
            &[QUESTION, OPT, OPT],
            Rcode::FORMERR,
            true,
            true,
        ),
        (
            "OPT as answer",
            [1, 1, 0, 0],
            &[QUESTION, OPT],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "OPT not at root",
            [1, 0, 0, 1],
            &[QUESTION, named_opt],
            Rcode::FORMERR,
            true,
            false,
        ),
        (
            "cut option",
            [1, 0, 0, 1],
            &[QUESTION, cut_option],
            Rcode::FORMERR,
            true,
            true,
        ),
        (
            "EDNS version 1",
            [1, 0, 0, 1],
            &[QUESTION, v1],
            Rcode::BADVERS,
            true,
            true,
        ),
        (
            "EDNS version 1 and no question",
            [0, 0, 0, 1],
            &[v1],
            Rcode::BADVERS,
            false,
            true,
        ),
        (
            "class HS",
            [1, 0, 0, 0],
            &[b"\x01x\0\0\x01\0\x04"],
            Rcode::REFUSED,
            true,
            false,
        ),
        (
            "class ANY",
            [1, 0, 0, 0],
            &[b"\x01x\0\0\x01\0\xff"],
            Rcode::REFUSED,
            true,
            false,
        ),
    ];
    for (what, counts, body, rcode, has_question, has_opt) in table {
        let octets = message([1, 0x10], *counts, body);
        let Err(Reject::Reply(refusal)) = parse(&octets) else {
            panic!("{what}")
        };
        let mut out = [0; 512];
        let len = encode_reject(&refusal, &OURS, &mut out);
        let reply = decode(&out[..len]).expect(what);
        assert_eq!((reply.id, reply.rcode), (0xabcd, rcode.0), "{what}");
        assert_eq!(out[2], 0x81, "{what}: QR and RD");
        assert_eq!(reply.question.is_empty(), !has_question, "{what}");
        assert!(reply.question.is_empty() || octets[12..].starts_with(&reply.question));
        assert_eq!(reply.opt.is_some(), *has_opt, "{what}");
        assert!(
            reply.opt.is_none_or(|opt| opt.ttl[1] == 0),
            "{what}: our version is 0"
        );
        assert!(reply.records.is_empty());
    }
}

#[test]
fn other_opcodes_are_not_implemented() {
    let bare = [0, 0, 0, 0, 0, 0, 0, 0];
    let asked = |opcode: u8, counts, body: &[&[u8]]| {
        let octets = message([opcode << 3 | 1, 0], counts, body);
        reply(&View::default(), &octets, 512)
    };
    let v1 = b"\0\0\x29\x04\xd0\0\x01\0\0\0\0";
    for opcode in 1..16 {
        let head = [0xab, 0xcd, 0x81 | opcode << 3, 4];
        // Whatever follows the header.
        let sent = asked(opcode, [1, 0, 0, 0], &[b"\x41whatever"]);
        assert_eq!(sent, [&head[..], &bare].concat());
        // What can be read is answered with its question and an OPT record (RFC 6891 6.1.1).
        for (counts, body, question) in [
            ([1, 0, 0, 1], &[QUESTION, OPT][..], QUESTION),
            ([0, 0, 0, 1], &[OPT], b""),
            ([1, 0, 0, 2], &[QUESTION, OPT, TSIG], QUESTION),
        ] {
            let told = decode(&asked(opcode, counts, body)).unwrap();
            assert_eq!((told.rcode, &told.question[..]), (4, question));
            assert!(told.opt.is_some() && told.records.is_empty());
        }
        // The version comes first (RFC 6891 6.1.3).
        for (counts, body) in [([1, 0, 0, 1], &[QUESTION, v1][..]), ([0, 0, 0, 1], &[v1])] {
            let told = decode(&asked(opcode, counts, body)).unwrap();
            assert_eq!(told.rcode, Rcode::BADVERS.0);
            assert_eq!(told.opt.map(|opt| opt.ttl[1]), Some(0), "our version");
        }
    }
}

#[test]
fn no_key_is_known() {
    // The TSIG record: no MAC, the id of the query, BADKEY, no other data.
    let told =
        b"\xfa\0\xff\0\0\0\0\0\x15\x03md5\0\0\0\x60\x01\x02\x03\x01\x2c\0\0\xab\xcd\0\x11\0\0";
    let pointing = [b"\xc0\x0c", &TSIG[5..]].concat();
    let below = [b"\x03key\xc0\x0c", &TSIG[5..]].concat();
    for (tsig, key) in [
        (TSIG, &b"\x03key\0\0"[..]),
        (&pointing, b"\xc0\x0c\0"),
        (&below, b"\x03key\xc0\x0c\0"),
    ] {
        for edns in [&b""[..], OPT] {
            let additionals = 1 + u8::from(!edns.is_empty());
            let octets = message([1, 0], [1, 0, 0, additionals], &[QUESTION, edns, tsig]);
            let sent = reply(&View::default(), &octets, 512);
            let head = [0xab, 0xcd, 0x81, 9, 0, 1, 0, 0, 0, 0, 0, additionals];
            let expected = [&head, QUESTION, edns, key, told].concat();
            assert_eq!(sent, expected, "{key:?}");
        }
    }
    // Without room it is left out.
    let long = [&[1, b'a'].repeat(120)[..], &[0]].concat();
    let question = [&long[..], b"\0\x01\0\x01"].concat();
    let tsig = [&long[..], &TSIG[5..]].concat();
    let octets = message([1, 0], [1, 0, 0, 1], &[&question, &tsig]);
    let sent = reply(&View::default(), &octets, 512);
    assert_eq!(sent.len(), 12 + question.len());
    assert_eq!((sent[3], sent[11]), (9, 0));
}

#[test]
fn a_query_can_be_refused_later() {
    let octets = query("x.test.", Rtype::A, Some(512));
    let refusal = parse(&octets)
        .unwrap()
        .error_reply(Rcode::REFUSED, Some(18));
    let mut out = [0; 512];
    let len = encode_reject(&refusal, &OURS, &mut out);
    let reply = decode(&out[..len]).unwrap();
    assert_eq!((reply.rcode, &reply.question[..]), (5, &octets[12..24]));
    assert_eq!(reply.opt.unwrap().rdata, [0, 15, 0, 2, 0, 18]);
    // A buffer that is too small stays empty.
    assert_eq!(encode_reject(&refusal, &OURS, &mut out[..11]), 0);
    assert_eq!(encode_reject(&refusal, &OURS, &mut []), 0);
}
