//! Clients that may not query.

use core::net::IpAddr;

use super::*;
use crate::policy::Rules;

const CLIENT: &str = "192.0.2.1";

fn rules(allow: &[&str], deny: &[&str]) -> Rules {
    let parse = |texts: &[&str]| {
        let parsed = texts.iter().map(|text| text.parse().expect("a prefix"));
        parsed.collect::<Vec<_>>()
    };
    Rules::new(&parse(allow), &parse(deny))
}

/// A service with zones, and with these rules of the server.
fn service_with(rules: Rules) -> (Publisher, Service) {
    let (publisher, service) = service_without_data();
    let service = Service {
        nsid: "identity".into(),
        ..service
    };
    service.policy.store(Arc::new(Policy {
        rules,
        ..Policy::default()
    }));
    let view = view(
        "zone test. 300 300\nwww.test. A 192.0.2.1\n*.test. TXT wild\nsub.test. NS ns.sub.test.\n\
         ns.sub.test. A 192.0.2.2\n",
    );
    publisher.publish(view, Vec::new());
    (publisher, service)
}

/// A query, with an OPT record if `has_opt`.
fn query(name: &str, rtype: u8, class: u8, has_opt: bool) -> Vec<u8> {
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    [
        &b"\0\x07\0\0\0\x01\0\0\0\0\0"[..],
        &[u8::from(has_opt)],
        &spelled(name),
        &[0, rtype, 0, class],
        if has_opt { opt } else { b"" },
    ]
    .concat()
}

/// The reply to a message from this client, and how many refusals were counted.
fn reply(service: &Service, octets: &[u8], client: &str, transport: Transport) -> (Vec<u8>, u64) {
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    let address: IpAddr = client.parse().expect("an address");
    let request = Request {
        octets,
        peer: &SocketAddr::from((address, 5300)),
        transport,
        confirmation: Confirmation::Unasked,
    };
    let (mut out, mut tally) = (vec![0; 512], Tally::default());
    let Reply::Ready(len) = responder.respond(&request, &mut tally, &mut out) else {
        panic!("no reply");
    };
    out.truncate(len);
    (out, tally.refused_by_policy)
}

/// REFUSED for this query, with its OPT record and EDE 18 in that if the query has one.
fn refused(query: &[u8], has_opt: bool) -> (Vec<u8>, u64) {
    let mut expected = query.to_vec();
    expected[2] |= 0x80;
    expected[3] = 5;
    if has_opt {
        // The length of the options, and the only one.
        let end = expected.len() - 2;
        expected.truncate(end);
        expected.extend([0, 6, 0, 15, 0, 2, 0, 18]);
    }
    (expected, 1)
}

#[test]
fn the_server_refuses_whatever_is_asked() {
    let (_publisher, service) = service_with(rules(&["198.51.100.0/24", "2001:db8::/32"], &[]));
    for transport in Transport::ALL {
        for has_opt in [true, false] {
            for (name, rtype, class) in [
                ("www.test.", 1, 1),
                ("any.test.", 16, 1),
                ("a.sub.test.", 1, 1),
                ("no.zone.", 1, 1),
                // AXFR, and what the server says of itself.
                ("test.", 252, 1),
                ("id.server.", 16, 3),
                ("version.bind.", 16, 3),
            ] {
                let query = query(name, rtype, class, has_opt);
                let expected = refused(&query, has_opt);
                for client in [CLIENT, "::ffff:192.0.2.1", "2001:db9::"] {
                    let told = reply(&service, &query, client, transport);
                    assert_eq!(told, expected, "{name} {client}");
                }
                for client in ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::1"] {
                    let (told, refusals) = reply(&service, &query, client, transport);
                    assert_eq!(refusals, 0, "{name} {client}");
                    assert!(!told.ends_with(&[0, 18]), "{name} {client}");
                }
            }
        }
    }
}

#[test]
fn a_client_that_may_not_query_is_refused_before_there_is_data() {
    let (_publisher, service) = service_without_data();
    let policy = Policy {
        rules: rules(&[], &["192.0.2.0/24"]),
        ..Policy::default()
    };
    service.policy.store(Arc::new(policy));
    let query = query("www.test.", 1, 1, true);
    let told = reply(&service, &query, CLIENT, Transport::Udp);
    assert_eq!(told, refused(&query, true));
    let (told, _) = reply(&service, &query, "192.0.3.1", Transport::Udp);
    assert_eq!(told[3], 2);
}

#[test]
fn errors_of_the_message_come_first() {
    let (_publisher, service) = service_with(rules(&[], &["0.0.0.0/0"]));
    let mut update = query("test.", 6, 1, false);
    update[2] = 5 << 3;
    let mut cut_off = query("test.", 6, 1, false);
    cut_off.pop();
    for (octets, rcode) in [(update, 4), (cut_off, 1)] {
        let (told, refusals) = reply(&service, &octets, CLIENT, Transport::Udp);
        assert_eq!((told[3], refusals), (rcode, 0));
    }
}

#[test]
fn a_new_policy_applies_from_the_next_batch_on() {
    let (_publisher, service) = service_with(Rules::default());
    let query = query("www.test.", 1, 1, true);
    assert_eq!(reply(&service, &query, CLIENT, Transport::Udp).0[3], 0);
    let policy = Policy {
        rules: rules(&[], &["192.0.2.1"]),
        ..Policy::default()
    };
    service.policy.store(Arc::new(policy));
    let told = reply(&service, &query, CLIENT, Transport::Udp);
    assert_eq!(told, refused(&query, true));
}

/// A zone that only 198.51.100.0/24 may ask, one that all may ask with aliases into it, and one between the two.
fn service_with_zones() -> (Publisher, Service) {
    let (publisher, service) = service_without_data();
    let mut view = view(
        "zone open. 300 300\nwww.open. A 192.0.2.1\nal.open. CNAME www.listed.\n\
         dn.open. DNAME listed.\nopen. MX 10 mail.listed.\n\
         sub.open. NS ns.sub.open.\nns.sub.open. A 192.0.2.2\n\
         zone listed. 300 300\nwww.listed. A 192.0.2.3\nback.listed. CNAME www.open.\n\
         mail.listed. A 192.0.2.4\nsub.listed. NS ns.sub.listed.\nns.sub.listed. A 192.0.2.5\n\
         zone strict. 300 300\nwww.strict. A 192.0.2.6\n\
         zone held. 300 300\nwww.held. A 192.0.2.7\n",
    );
    for (apex, consistency, is_held) in [
        ("listed.", Consistency::Available, false),
        ("strict.", Consistency::Linearizable, false),
        ("held.", Consistency::Bounded(60), true),
    ] {
        let zone = view.zone(&apex.parse().expect("a name")).expect("a zone");
        let zone = (**zone).clone().with_consistency(consistency);
        let zone = zone.with_rules(rules(&["198.51.100.0/24"], &["198.51.100.128/25"]));
        view.put_zone(Arc::new(if is_held { zone.held() } else { zone }));
    }
    publisher.publish(view, Vec::new());
    (publisher, service)
}

const ALLOWED: &str = "198.51.100.7";

#[test]
fn a_zone_refuses_whatever_is_asked_of_it() {
    let (_publisher, service) = service_with_zones();
    for transport in Transport::ALL {
        for has_opt in [true, false] {
            for (name, rtype) in [
                ("www.listed.", 1),
                // NODATA, NXDOMAIN, a referral, the apex and an alias.
                ("www.listed.", 28),
                ("no.listed.", 1),
                ("a.sub.listed.", 1),
                ("listed.", 6),
                ("back.listed.", 1),
            ] {
                let query = query(name, rtype, 1, has_opt);
                for client in [CLIENT, "198.51.100.129", "2001:db8::1"] {
                    let told = reply(&service, &query, client, transport);
                    assert_eq!(told, refused(&query, has_opt), "{name} {client}");
                }
                let (told, refusals) = reply(&service, &query, ALLOWED, transport);
                assert_ne!(told[3] & 15, 5, "{name}");
                assert_eq!(refusals, 0, "{name}");
            }
            for name in ["www.open.", "no.open.", "a.sub.open.", "no.zone."] {
                let query = query(name, 1, 1, has_opt);
                let told = reply(&service, &query, CLIENT, transport);
                assert_eq!(told.1, 0, "{name}");
                assert_eq!(told, reply(&service, &query, ALLOWED, transport));
            }
        }
    }
}

#[test]
fn a_chain_of_aliases_ends_before_a_zone_that_refuses() {
    let (_publisher, service) = service_with_zones();
    for (name, allowed, denied) in [("al.open.", 2, 1), ("www.dn.open.", 3, 2)] {
        let query = query(name, 1, 1, true);
        for (client, answers) in [(ALLOWED, allowed), (CLIENT, denied)] {
            let (told, refusals) = reply(&service, &query, client, Transport::Tcp);
            // AA, NOERROR; answers; no records about the other zone in the authority section; OPT.
            assert_eq!(
                (told[2] & 4, told[3], refusals),
                (4, 0, 0),
                "{name} {client}"
            );
            assert_eq!(told[6..12], [0, answers, 0, 0, 0, 1], "{name} {client}");
            let leaks = told.windows(4).any(|octets| octets == [192, 0, 2, 3]);
            assert_eq!(leaks, client == ALLOWED, "{name} {client}");
        }
    }
    // The zone of the question decides, also if the chain leads to one that all may ask.
    let query = query("back.listed.", 1, 1, true);
    let told = reply(&service, &query, CLIENT, Transport::Tcp);
    assert_eq!(told, refused(&query, true));
    // Additional records come from the zone that answers, never from another one.
    let query = self::query("open.", 15, 1, true);
    let (told, _) = reply(&service, &query, CLIENT, Transport::Tcp);
    assert_eq!(told[6..12], [0, 1, 0, 0, 0, 1]);
}

#[test]
fn a_refusal_keeps_the_promise_of_its_zone() {
    let (publisher, service) = service_with_zones();
    publisher.prove(Instant::now());
    // The address that `ask` has is refused, if the lists are known to be up to date.
    let (unproved, refused) = (Some((2, Some(23))), Some((5, Some(18))));
    assert_eq!(
        ask(&service, "www.strict.", &ALL),
        [None, unproved, refused]
    );
    assert_eq!(ask(&service, "www.held.", &ALL), [unproved; 3]);
    assert_eq!(ask(&service, "www.listed.", &ALL), [refused; 3]);
    publisher.revoke_proof();
    assert_eq!(ask(&service, "www.listed.", &ALL), [refused; 3]);
}
