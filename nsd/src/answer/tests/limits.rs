//! Rate limits and cookies.

use core::net::IpAddr;

use super::*;
use crate::model::{CookieSecret, CookieSecrets};
use crate::policy::{Limits, PrefixSet, Rates};

const CLIENT: [u8; 4] = [192, 0, 2, 1];

/// One response of each kind a second.
fn one_each() -> Limits {
    Limits {
        rates: Rates {
            answers: 1,
            nxdomains: 1,
            errors: 1,
            slip: 2,
        },
        ..Limits::default()
    }
}

/// A COOKIE option without a server's part.
const NEW: &[u8] = &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];

fn service_with(limits: Limits) -> (Publisher, Service) {
    let (publisher, service) = service_without_data();
    let service = Service {
        nsid: "identity".into(),
        ..service
    };
    limit(&service, limits);
    let view = view(
        "zone test. 300 300\nwww.test. A 192.0.2.1\nmail.test. A 192.0.2.1\n*.w.test. A 192.0.2.1\n\
         sub.test. NS ns.sub.test.\nns.sub.test. A 192.0.2.2\nd.test. DNAME w.test.\n",
    );
    publisher.publish(view, Vec::new());
    (publisher, service)
}

/// Gives the service other limits, as a reload does.
fn limit(service: &Service, limits: Limits) {
    let policy = Policy {
        limits,
        has_cookies: true,
        ..Policy::default()
    };
    let last = service.policy.load();
    service.policy.store(Arc::new(policy.after(&last, [3, 4])));
}

/// A query for an address, with an OPT record that asks for NSID.
fn query(name: &str) -> Vec<u8> {
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x03\0\0";
    let header = b"\0\x07\0\0\0\x01\0\0\0\0\0\x01";
    [&header[..], &spelled(name), &[0, 1, 0, 1], opt].concat()
}

/// A query with this one option.
fn query_with(name: &str, option: &[u8]) -> Vec<u8> {
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0";
    let header = b"\0\x07\0\0\0\x01\0\0\0\0\0\x01";
    let len = [option.len() as u8];
    [
        &header[..],
        &spelled(name),
        &[0, 1, 0, 1],
        opt,
        &len,
        option,
    ]
    .concat()
}

/// The COOKIE option that a response ends with, if it has one.
fn cookie_of(response: &[u8]) -> Option<Vec<u8>> {
    let option = &response[response.len() - 28..];
    option.starts_with(&[0, 10, 0, 24]).then(|| option.to_vec())
}

fn secret(octet: u8) -> CookieSecrets {
    CookieSecrets::only(CookieSecret([octet; 16]), 0)
}

/// What became of a message, and what was counted.
fn respond(service: &Service, octets: &[u8], client: [u8; 4], by: Transport) -> (Vec<u8>, Tally) {
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    // Time stands still.
    responder.now -= service.served.uptime(responder.now);
    responder.cookies = Some((service.served.cookie(), 1_800_000_000));
    let request = Request {
        octets,
        peer: &SocketAddr::from((IpAddr::from(client), 5300)),
        transport: by,
        confirmation: Confirmation::Unasked,
    };
    let (mut out, mut tally) = (vec![0; 512], Tally::default());
    match responder.respond(&request, &mut tally, &mut out) {
        Reply::Ready(len) => out.truncate(len),
        Reply::Silent => out.clear(),
        Reply::NeedsConfirmation | Reply::Stream(_) => panic!("not asked for"),
    }
    (out, tally)
}

/// What became of so many queries for these names in turn: `+` for a response, `T` for a truncated one, `-` for none.
fn fates(service: &Service, names: &[&str], client: [u8; 4], by: Transport) -> String {
    let fate = |name: &&str| {
        let (response, _) = respond(service, &query(name), client, by);
        match response.get(2) {
            None => '-',
            Some(flags) if flags & 2 != 0 => 'T',
            Some(_) => '+',
        }
    };
    names.iter().map(fate).collect()
}

#[test]
fn each_class_has_its_limit() {
    let (_publisher, service) = service_with(one_each());
    let udp = |names: &[&str]| fates(&service, names, CLIENT, Transport::Udp);
    assert_eq!(udp(&["www.test."; 6]), "+-T-T-");
    // Another name has a limit of its own, and spelling makes no difference.
    assert_eq!(udp(&["mail.test.", "WWW.test.", "MAIL.test."]), "+T-");
    // All that a zone answers without having the name.
    assert_eq!(
        udp(&["a.w.test.", "b.w.test.", "c.sub.test.", "x.d.test."]),
        "+-T-"
    );
    assert_eq!(udp(&["no1.test.", "no2.test.", "no3.test."]), "+-T");
    assert_eq!(udp(&["elsewhere.", "else.where.", "other."]), "+-T");
    let garbage = [&query("www.test.")[..], b"?"].concat();
    assert!(
        respond(&service, &garbage, CLIENT, Transport::Udp)
            .0
            .is_empty()
    );
    // Another network, and the same one over TCP.
    assert_eq!(
        fates(&service, &["www.test."; 2], [192, 0, 3, 1], Transport::Udp),
        "+-"
    );
    assert_eq!(
        fates(&service, &["www.test."; 9], CLIENT, Transport::Tcp),
        "+++++++++"
    );
    assert_eq!(
        fates(&service, &["www.test."; 2], CLIENT, Transport::Tls),
        "++"
    );
}

#[test]
fn queries_that_would_wait_are_limited_before_and_counted_once() {
    let (publisher, service) = service_with(Limits {
        rates: Rates {
            slip: 0,
            ..one_each().rates
        },
        ..one_each()
    });
    let mut view = view("zone test. 300 300\nwww.test. A 192.0.2.1\nmail.test. A 192.0.2.1\n");
    let zone = view
        .zone(&"test.".parse().expect("a name"))
        .expect("a zone");
    let zone = (**zone).clone().with_consistency(Consistency::Linearizable);
    view.put_zone(Arc::new(zone));
    publisher.publish(view, Vec::new());
    let ask = |name: &str, confirmation| {
        let (proof, view) = (service.served.proof(), service.served.view());
        let mut responder = service.responder(proof, &view);
        // Time stands still.
        responder.now -= service.served.uptime(responder.now);
        let request = Request {
            octets: &query(name),
            peer: &SocketAddr::from((IpAddr::from(CLIENT), 5300)),
            transport: Transport::Udp,
            confirmation,
        };
        let mut tally = Tally::default();
        let fate = match responder.respond(&request, &mut tally, &mut [0; 512]) {
            Reply::Ready(_) => "answered",
            Reply::NeedsConfirmation => "waits",
            Reply::Silent => "dropped",
            Reply::Stream(_) => "a stream",
        };
        (fate, tally.queries)
    };
    for name in ["www.test.", "mail.test."] {
        assert_eq!(ask(name, Confirmation::Unasked), ("waits", 0));
        assert_eq!(ask(name, Confirmation::Unasked), ("dropped", 1));
        // The first one has waited, and is not counted a second time.
        assert_eq!(ask(name, Confirmation::Answered(true)), ("answered", 1));
    }
}

#[test]
fn a_truncated_response_is_not_longer_than_the_query() {
    let slip = Rates {
        slip: 1,
        ..one_each().rates
    };
    let (_publisher, service) = service_with(Limits {
        rates: slip,
        ..one_each()
    });
    for name in ["www.test.", "no.test.", "elsewhere."] {
        let query = query(name);
        let (whole, counted) = respond(&service, &query, CLIENT, Transport::Udp);
        assert_eq!(whole[2] & 2, 0, "{name}");
        assert_eq!((counted.rrl_slipped, counted.truncated), (0, 0));
        let (slipped, counted) = respond(&service, &query, CLIENT, Transport::Udp);
        // NOERROR, so that nobody takes the rest of it for an answer.
        assert_eq!((slipped[2], slipped[3]), (0x82, 0), "{name}");
        assert_eq!(slipped[4..12], [0, 1, 0, 0, 0, 0, 0, 1], "{name}");
        assert!(slipped.len() <= query.len(), "{name}");
        assert_eq!((counted.rrl_slipped, counted.truncated), (1, 1));
        assert_eq!((counted.queries, counted.rrl_dropped), (1, 0));
    }
}

#[test]
fn some_clients_are_exempt_and_limits_can_be_tried() {
    let net = "192.0.2.0/28".parse().expect("a prefix");
    let (_publisher, service) = service_with(Limits {
        exempt: PrefixSet::new(&[net]),
        ..one_each()
    });
    let names = ["www.test."; 3];
    assert_eq!(fates(&service, &names, CLIENT, Transport::Udp), "+++");
    let other = [192, 0, 2, 16];
    assert_eq!(fates(&service, &names, other, Transport::Udp), "+-T");
    // The buckets stay over a reload.
    limit(
        &service,
        Limits {
            is_log_only: true,
            ..one_each()
        },
    );
    let (response, counted) = respond(&service, &query("www.test."), other, Transport::Udp);
    assert!(response.len() > query("www.test.").len());
    let counts = (counted.rrl_would, counted.rrl_dropped, counted.rrl_slipped);
    assert_eq!(counts, (1, 0, 0));
    limit(&service, Limits::default());
    assert!(
        service.policy.load().limiter.is_none(),
        "nothing is limited"
    );
    assert_eq!(fates(&service, &names, other, Transport::Udp), "+++");
}

#[test]
fn clients_with_a_valid_cookie_have_no_limit() {
    let (publisher, service) = service_with(one_each());
    publisher.use_cookie(secret(1));
    let ask = |client, octets: &[u8]| respond(&service, octets, client, Transport::Udp);
    let (response, _) = ask(CLIENT, &query_with("www.test.", NEW));
    let cookie = cookie_of(&response).expect("a cookie");
    assert_eq!(cookie[4..12], NEW[4..], "the client's part comes back");
    let known = query_with("www.test.", &cookie);
    for _ in 0..5 {
        let (response, counted) = ask(CLIENT, &known);
        assert_eq!((response[2] & 2, response[3]), (0, 0));
        assert_eq!(cookie_of(&response), Some(cookie.clone()));
        assert_eq!(counted.rrl_dropped + counted.rrl_slipped, 0);
    }
    // The same cookie from somewhere else is not valid; nor is one that is changed, or of another server.
    let mut changed = cookie.clone();
    changed[27] ^= 1;
    let foreign = [&[0, 10, 0, 16][..], &cookie[4..20]].concat();
    let other = [192, 0, 3, 1];
    for option in [&cookie[..], &changed, &foreign] {
        let limited = query_with("www.test.", option);
        let client = if option == cookie { other } else { CLIENT };
        let outcomes = (0..4).map(|_| ask(client, &limited).1.rrl_dropped);
        assert!(outcomes.sum::<u64>() > 0, "{option:?}");
    }
    // Over TCP all of them are answered.
    let (response, _) = respond(
        &service,
        &query_with("www.test.", &changed),
        CLIENT,
        Transport::Tcp,
    );
    assert_eq!(response[3], 0);
    assert_eq!(cookie_of(&response), Some(cookie));
}

#[test]
fn under_pressure_a_client_gets_a_cookie_instead_of_a_truncated_response() {
    let (publisher, service) = service_with(one_each());
    publisher.use_cookie(secret(1));
    for name in ["www.test.", "no.test.", "elsewhere."] {
        let asked = query_with(name, NEW);
        let ask = |octets: &[u8]| respond(&service, octets, CLIENT, Transport::Udp);
        assert!(ask(&asked).0.len() > asked.len(), "{name}");
        assert!(ask(&asked).0.is_empty(), "{name}");
        let (bad, counted) = ask(&asked);
        // BADCOOKIE is 23: 7 in the header, 1 in the OPT record. Not truncated.
        let extended = bad[bad.len() - 28 - 6];
        assert_eq!((bad[2] & 2, bad[3], extended), (0, 7, 1), "{name}");
        assert_eq!((counted.rrl_slipped, counted.truncated), (1, 0));
        // Two of three would be answered: not more octets go out than come in.
        assert_eq!(bad.len(), asked.len() + 16);
        let cookie = cookie_of(&bad).expect("a cookie");
        let (answer, _) = ask(&query_with(name, &cookie));
        assert_ne!(answer[3], 7, "{name}");
    }
}

#[test]
fn cookies_can_be_turned_off_and_need_a_secret() {
    let (publisher, service) = service_with(Limits::default());
    let asked = query_with("www.test.", NEW);
    let ask = || cookie_of(&respond(&service, &asked, CLIENT, Transport::Udp).0);
    assert_eq!(ask(), None, "no secret is known");
    publisher.use_cookie(secret(1));
    let first = ask().expect("a cookie");
    // The same one until it is old, so compare those of the same second.
    publisher.use_cookie(secret(2));
    assert_ne!(ask().expect("a cookie")[20..], first[20..]);
    service.policy.store(Arc::default());
    assert_eq!(ask(), None);
}

#[test]
fn a_message_may_only_ask_for_a_cookie() {
    let (publisher, service) = service_with(Limits::default());
    let ask = |option: &[u8]| {
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0";
        let header = b"\0\x07\0\0\0\0\0\0\0\0\0\x01";
        let octets = [&header[..], opt, &[option.len() as u8], option].concat();
        let (response, _) = respond(&service, &octets, CLIENT, Transport::Udp);
        // The response code with its upper bits, in the OPT record at the end of the header.
        (
            u16::from(response[17]) << 4 | u16::from(response[3]),
            response,
        )
    };
    assert_eq!(ask(NEW).0, 1, "no secret is known");
    publisher.use_cookie(secret(1));
    let (rcode, response) = ask(NEW);
    let mut cookie = cookie_of(&response).expect("a cookie");
    assert_eq!((rcode, response.len()), (0, 12 + 11 + 28));
    assert_eq!(ask(&cookie).0, 0);
    cookie[27] ^= 1;
    assert_eq!(ask(&cookie).0, 23);
}
