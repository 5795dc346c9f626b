//! EDNS options: what is asked for, what is told, and what gives way where there is no room.

use core::time::Duration;

use super::*;

/// As over TLS.
const ENCRYPTED: ServerEdns<'_> = ServerEdns {
    idle: Some(Duration::from_millis(12_350)),
    pads: true,
    ..OURS
};

const ZONES: &str = "
zone . 300 300
x. NS ns.elsewhere.
zone sub.test. 300 300
www.sub.test. A 192.0.2.1
al.sub.test. CNAME www.other.
ds.sub.test. NS ns.elsewhere.
cut.sub.test. NS ns.elsewhere.
zone ds.sub.test. 300 300
zone other. 300 300
www.other. A 192.0.2.2
";

const NSID: &[u8] = &[0, 3, 0, 0];
const KEEPALIVE: &[u8] = &[0, 11, 0, 0];
const PADDING: &[u8] = &[0, 12, 0, 3, 0, 0, 0];
const ZONEVERSION: &[u8] = &[0, 19, 0, 0];

/// A query with these options.
fn asking(name: &str, rtype: Rtype, options: &[&[u8]]) -> Vec<u8> {
    let (mut octets, options) = (query(name, rtype, Some(1232)), options.concat());
    let len = octets.len() - 2;
    octets[len..].copy_from_slice(&(options.len() as u16).to_be_bytes());
    octets.extend(options);
    octets
}

/// The options of a response.
fn told(octets: &[u8]) -> Vec<u8> {
    decode(octets).unwrap().opt.expect("an OPT record").rdata
}

#[test]
fn options_are_read() {
    let edns = |options: &[&[u8]]| match parse(&asking("x.", Rtype::A, options)) {
        Ok(query) => query.edns.unwrap(),
        Err(_) => panic!("{options:?}"),
    };
    let plain = edns(&[]);
    assert_eq!(edns(&[b"\xff\xff\0\x01?"]), plain);
    for (option, expected) in [
        (
            NSID,
            Edns {
                wants_nsid: true,
                ..plain
            },
        ),
        (
            KEEPALIVE,
            Edns {
                wants_keepalive: true,
                ..plain
            },
        ),
        (
            PADDING,
            Edns {
                wants_padding: true,
                ..plain
            },
        ),
        (
            ZONEVERSION,
            Edns {
                wants_zone_version: true,
                ..plain
            },
        ),
    ] {
        assert_eq!(edns(&[option]), expected);
        assert_eq!(edns(&[b"\xff\xff\0\0", option, option]), expected);
    }
    // In queries these have no value.
    for option in [&b"\0\x0b\0\x02\0\x64"[..], b"\0\x13\0\x06\x01\0\0\0\0\x01"] {
        let sent = reply(&view(ZONES), &asking("x.", Rtype::A, &[option, NSID]), 512);
        let message = decode(&sent).unwrap();
        assert_eq!(message.rcode, Rcode::FORMERR.0, "{option:?}");
        assert!(message.opt.is_some_and(|opt| opt.rdata.is_empty()));
    }
}

/// RFC 7828 3.3.2: the time in units of 100 ms.
#[test]
fn the_idle_time_is_told_to_those_who_ask() {
    let view = view(ZONES);
    let asks = asking("www.sub.test.", Rtype::A, &[KEEPALIVE]);
    let sent = reply_with(&ENCRYPTED, &view, &asks, 65_535);
    assert_eq!(told(&sent), [0, 11, 0, 2, 0, 123]);
    assert_eq!(told(&reply(&view, &asks, 512)), b"");
    let asks = asking("www.sub.test.", Rtype::A, &[]);
    assert_eq!(told(&reply_with(&ENCRYPTED, &view, &asks, 65_535)), b"");
    let longest = ServerEdns {
        idle: Some(Duration::MAX),
        ..ENCRYPTED
    };
    let asks = asking("www.sub.test.", Rtype::A, &[KEEPALIVE]);
    let sent = reply_with(&longest, &view, &asks, 65_535);
    assert_eq!(told(&sent), [0, 11, 0, 2, 0xff, 0xff]);
    // Errors tell it too.
    let mut asks = asking("www.sub.test.", Rtype::A, &[KEEPALIVE]);
    asks[2] = 1 << 3;
    let sent = reply_with(&ENCRYPTED, &view, &asks, 65_535);
    assert_eq!((sent[3], told(&sent)), (4, vec![0, 11, 0, 2, 0, 123]));
}

/// RFC 9660 3.2: every response of a zone that encloses the name, and none else.
#[test]
fn the_version_is_that_of_the_zone_in_the_question() {
    let view = view(ZONES);
    let serial = [0, 0, 0, 1];
    for (name, rtype, rcode, labels) in [
        ("www.sub.test.", Rtype::A, Rcode::NOERROR, 2),
        ("WWW.Sub.Test.", Rtype::TXT, Rcode::NOERROR, 2),
        ("no.sub.test.", Rtype::A, Rcode::NXDOMAIN, 2),
        // A chain that goes on in another zone.
        ("al.sub.test.", Rtype::A, Rcode::NOERROR, 2),
        // A referral comes from the zone that delegates, and so does a DS record.
        ("www.cut.sub.test.", Rtype::A, Rcode::NOERROR, 2),
        ("ds.sub.test.", Rtype::DS, Rcode::NOERROR, 2),
        ("ds.sub.test.", Rtype::SOA, Rcode::NOERROR, 3),
        ("www.other.", Rtype::A, Rcode::NOERROR, 1),
        (".", Rtype::SOA, Rcode::NOERROR, 0),
    ] {
        let sent = reply(&view, &asking(name, rtype, &[ZONEVERSION]), 1232);
        let expected = [&[0, 19, 0, 6, labels, 0][..], &serial].concat();
        assert_eq!((told(&sent), sent[3]), (expected, rcode.0 as u8), "{name}");
        let sent = reply(&view, &asking(name, rtype, &[]), 1232);
        assert_eq!(told(&sent), b"", "{name}");
    }
    let asks = asking("www.sub.test.", Rtype::A, &[ZONEVERSION]);
    let parsed = parse(&asks).unwrap();
    let mut answer = resolve(&view, &parsed.question());
    let mut out = [0; 512];
    // Also with SERVFAIL, but not if the zone may not be asked.
    for (rcode, len) in [(Rcode::SERVFAIL, 6 + 10), (Rcode::REFUSED, 6)] {
        answer.refuse(rcode, 23);
        let len_sent = encode(&answer, &parsed, &OURS, 512, &mut out);
        assert_eq!(told(&out[..len_sent]).len(), len);
    }
    // No zone of ours.
    let asks = asking("www.test.", Rtype::A, &[ZONEVERSION]);
    let none = super::view("zone sub.test. 300 300\n");
    assert_eq!(told(&reply(&none, &asks, 512)), [0, 15, 0, 2, 0, 20]);
}

/// RFC 8467 4.1.
#[test]
fn responses_are_padded_to_blocks() {
    let mut text = String::from("zone test. 300 300\n");
    for number in 0..470 {
        let string = "y".repeat(number / 2 + 1);
        text += &format!(
            "t{number}.test. TXT {string}\nt{number}.test. TXT {string}{}\n",
            number % 2
        );
    }
    let view = view(&text);
    let mut lengths = std::collections::BTreeSet::new();
    let names = (0..470).map(|number| format!("t{number}.test."));
    for name in names.chain(["test.".into(), "no.test.".into(), "elsewhere.".into()]) {
        let plain = reply_with(&ENCRYPTED, &view, &asking(&name, Rtype::TXT, &[]), 65_535);
        let asks = asking(&name, Rtype::TXT, &[PADDING]);
        let padded = reply_with(&ENCRYPTED, &view, &asks, 65_535);
        assert!(padded.len().is_multiple_of(468) && padded.len() < plain.len() + 4 + 468);
        let (one, other) = (decode(&plain).unwrap(), decode(&padded).unwrap());
        assert_eq!(one.records, other.records);
        let option = told(&padded).split_off(told(&plain).len());
        let [a, b] = (option.len() as u16 - 4).to_be_bytes();
        assert!(option.starts_with(&[0, 12, a, b]), "{name}");
        assert!(option[4..].iter().all(|octet| *octet == 0), "{name}");
        // Not where everybody can read it.
        assert_eq!(
            reply(&view, &asks, 65_535),
            reply(&view, &asking(&name, Rtype::TXT, &[]), 65_535)
        );
        lengths.insert(padded.len() / 468);
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn padding_never_truncates_and_never_exceeds_the_limit() {
    let view = view("zone test. 300 300\nwww.test. A 192.0.2.1\n");
    let asks = asking("www.test.", Rtype::A, &[PADDING]);
    let least = reply(&view, &asks, 512).len();
    for limit in least..1_000 {
        let sent = reply_with(&ENCRYPTED, &view, &asks, limit);
        let message = decode(&sent).unwrap();
        assert!(!message.is_truncated);
        let expected = match limit {
            468.. => 468,
            limit if limit < least + 4 => least,
            limit => limit,
        };
        assert_eq!(sent.len(), expected, "{limit}");
    }
    // Close to the longest message there are no more blocks.
    for count in 0..100 {
        let mut text = String::from("zone test. 300 300\n");
        for number in 0..254 {
            text += &format!("test. TXT {}{number:03}\n", "x".repeat(240));
        }
        text += &format!("test. TXT {}\n", "z".repeat(1 + count));
        let view = super::view(&text);
        let sent = reply_with(
            &ENCRYPTED,
            &view,
            &asking("test.", Rtype::TXT, &[PADDING]),
            65_535,
        );
        assert!(decode(&sent).is_some_and(|message| !message.is_truncated));
        assert!(
            sent.len() == 65_520 || sent.len() == 65_535,
            "{}",
            sent.len()
        );
    }
}

/// An error that has a TSIG record behind the OPT record is padded as a whole.
#[test]
fn the_padding_counts_what_follows_it() {
    let mut octets = asking("x.", Rtype::A, &[PADDING]);
    octets[11] = 2;
    octets.extend(
        b"\x03key\0\0\xfa\0\xff\0\0\0\0\0\x18\x03md5\0\0\0\x60\x01\x02\x03\x01\x2c\0\x03MAC\xab\xcd\0\0\0\0",
    );
    let sent = reply_with(&ENCRYPTED, &View::default(), &octets, 512);
    assert_eq!((sent[3], sent[11], sent.len()), (9, 2, 468));
    assert!(sent.ends_with(b"\x12\x34\0\x11\0\0"));
}

/// NSID, then ZONEVERSION, then the idle time, then the extended error.
#[test]
fn options_give_way_in_order() {
    let view = view(ZONES);
    let asks = asking(
        "www.sub.test.",
        Rtype::A,
        &[NSID, KEEPALIVE, ZONEVERSION, PADDING],
    );
    let parsed = parse(&asks).unwrap();
    let mut answer = resolve(&view, &parsed.question());
    answer.refuse(Rcode::SERVFAIL, 23);
    let codes = |limit: usize| {
        let mut out = vec![0; limit];
        let len = encode(&answer, &parsed, &ENCRYPTED, limit, &mut out);
        let (told, mut codes) = (told(&out[..len]), Vec::new());
        let mut rest = &told[..];
        while let [_, code, a, b, after @ ..] = rest {
            codes.push(*code);
            rest = &after[usize::from(u16::from_be_bytes([*a, *b]))..];
        }
        codes
    };
    // Header, question and OPT record without options.
    let bare = 12 + 18 + 11;
    for (room, expected) in [
        (15 + 10 + 6 + 6 + 4, &[3, 19, 11, 15, 12][..]),
        (15 + 10 + 6 + 6, &[3, 19, 11, 15]),
        (15 + 10 + 6 + 6 - 1, &[19, 11, 15, 12]),
        (10 + 6 + 6, &[19, 11, 15]),
        (10 + 6 + 6 - 1, &[11, 15, 12]),
        (6 + 6 - 1, &[15, 12]),
        (6, &[15]),
        (5, &[12]),
        (3, &[]),
    ] {
        assert_eq!(codes(bare + room), expected, "{room}");
    }
}

/// A COOKIE option with a server's part of this length.
fn cookie(server_len: u8) -> Vec<u8> {
    let mut option = vec![0, 10, 0, 8 + server_len, 1, 2, 3, 4, 5, 6, 7, 8];
    option.extend((0..server_len).map(|at| 0x40 + at));
    option
}

#[test]
fn cookies_are_read() {
    let read = |options: &[&[u8]]| match parse(&asking("x.", Rtype::A, options)) {
        Ok(query) => Ok(query.edns.unwrap().cookie.map(|cookie| cookie.server)),
        Err(Reject::Reply(refusal)) => Err(refusal.rcode),
        Err(Reject::Silent) => panic!("{options:?}"),
    };
    assert_eq!(read(&[]), Ok(None));
    for len in 0..=40 {
        let expected = match len {
            0 => Ok(Some(ServerCookie::Absent)),
            16 => Ok(Some(ServerCookie::Given(std::array::from_fn(|at| {
                0x40 + at as u8
            })))),
            8..=32 => Ok(Some(ServerCookie::Foreign)),
            _ => Err(Rcode::FORMERR),
        };
        assert_eq!(read(&[&cookie(len)]), expected, "{len}");
    }
    for option in [&[0, 10, 0, 0][..], &[0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7]] {
        assert_eq!(read(&[option]), Err(Rcode::FORMERR));
        // Only the first one counts.
        assert_eq!(read(&[&cookie(0), option]), Ok(Some(ServerCookie::Absent)));
    }
}

#[test]
fn a_whole_cookie_at_the_end_is_seen() {
    for len in 0..=40 {
        let query = asking("x.", Rtype::A, &[&cookie(len)]);
        assert_eq!(may_end_in_cookie(&query), len == 16, "{len}");
    }
    let whole = cookie(16);
    for start in 0..whole.len() {
        assert_eq!(may_end_in_cookie(&whole[start..]), start == 0);
        assert!(!may_end_in_cookie(&whole[..start]));
    }
}

#[test]
fn a_query_without_a_question_may_ask_for_a_cookie() {
    let opt = |option: &[u8]| {
        let len = [0, option.len() as u8];
        [&b"\0\0\x29\x04\xd0\0\0\0\0"[..], &len, option].concat()
    };
    let rcode = |counts: [u16; 4], flags: u8, rest: &[u8]| {
        let counts: Vec<u8> = counts
            .iter()
            .flat_map(|count| count.to_be_bytes())
            .collect();
        match parse(&[&[0, 7, flags, 0], &counts[..], rest].concat()) {
            Err(Reject::Reply(refusal)) => refusal.rcode.0,
            _ => panic!("it has no question"),
        }
    };
    assert_eq!(rcode([0, 0, 0, 1], 0, &opt(&cookie(0))), 0);
    assert_eq!(rcode([0, 0, 0, 1], 0, &opt(&cookie(16))), 0);
    assert_eq!(rcode([0, 0, 0, 1], 0, &opt(NSID)), 1);
    assert_eq!(rcode([0, 0, 0, 0], 0, b""), 1);
    assert_eq!(rcode([0, 0, 0, 1], 0x20, &opt(&cookie(0))), 4, "NOTIFY");
    let two = [
        b"\x01x\0\0\x01\0\x01",
        b"\x01x\0\0\x01\0\x01",
        &opt(&cookie(0))[..],
    ]
    .concat();
    assert_eq!(rcode([2, 0, 0, 1], 0, &two), 1);
}

#[test]
fn a_cookie_is_never_left_out() {
    let view = view(ZONES);
    let ours = ServerEdns {
        nsid: &[b'n'; 255],
        cookie: Some([7; 24]),
        ..OURS
    };
    let long = format!("{0}.{0}.{0}.{1}.", "l".repeat(63), "l".repeat(61));
    let asked = asking(&long, Rtype::A, &[NSID, ZONEVERSION, &cookie(0)]);
    let octets = reply_with(&ours, &view, &asked, 512);
    assert!(octets.len() <= 512);
    let given = [&[0, 10, 0, 24][..], &[7; 24]].concat();
    let options = told(&octets);
    assert!(options.starts_with(&given) && !options.contains(&b'n'));
    // Not even in a truncated response, and it counts for its length.
    let asked = asking("www.sub.test.", Rtype::A, &[&cookie(0)]);
    let whole = reply_with(&ours, &view, &asked, 1232);
    let short = reply_with(&ours, &view, &asked, whole.len() - 1);
    assert_eq!((whole[2] & 2, short[2] & 2), (0, 2));
    assert_eq!((told(&whole), told(&short)), (given.clone(), given));
}
