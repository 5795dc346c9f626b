//! Answers from a view of a known age.

mod limits;
mod policy;

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::metrics::Tally;
use crate::model::Consistency;
use crate::served::{Publisher, Standing};
use crate::zone::tests::{spelled, view};

/// A question for the root's NS records.
pub(crate) const QUERY: [u8; 17] = *b"\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";

/// A service without zones, and the publisher that can give it some.
pub(crate) fn service_without_data() -> (Publisher, Service) {
    let (publisher, served, _) = Publisher::new(View::default(), Standing::default());
    let (barrier, _rounds) = Barrier::new(Duration::ZERO, || std::future::ready(false));
    let service = Service {
        served,
        stale_after: None,
        barrier,
        policy: Arc::default(),
        nsid: String::new(),
        version: String::new(),
        tcp_idle: Duration::from_secs(10),
    };
    (publisher, service)
}

/// The response code and the extended error, if there is one.
type Response = (u8, Option<u8>);

/// The answers to one query for `name` after another, each with what the barrier says then.
fn ask(service: &Service, name: &str, all: &[Confirmation]) -> Vec<Option<Response>> {
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    // With an OPT record, so that there is room for an extended error.
    let query = [
        &b"\0\x07\0\0\0\x01\0\0\0\0\0\x01"[..],
        &spelled(name),
        b"\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
    ]
    .concat();
    let mut respond = |confirmation: &Confirmation| {
        let mut out = [0; 512];
        let request = Request {
            octets: &query,
            peer: &SocketAddr::from(([192, 0, 2, 1], 5300)),
            transport: Transport::Tcp,
            confirmation: *confirmation,
        };
        match responder.respond(&request, &mut Tally::default(), &mut out) {
            Reply::Ready(len) => {
                let has_ede = out[..len - 2].ends_with(&[0, 15, 0, 2]);
                Some((out[3] & 15, has_ede.then(|| out[len - 1])))
            }
            Reply::Silent | Reply::NeedsConfirmation | Reply::Stream(_) => None,
        }
    };
    all.iter().map(&mut respond).collect()
}

fn service() -> (Publisher, Service) {
    let (publisher, service) = service_without_data();
    let service = Service {
        stale_after: Some(Duration::from_secs(30)),
        ..service
    };
    let mut view = view(
        "zone test. 300 300\nwww.test. A 192.0.2.1\nzone bounded. 300 300\nwww.bounded. A 192.0.2.1\n\
         zone strict. 300 300\nwww.strict. A 192.0.2.1\nheld.strict. CNAME www.held-available.\n\
         zone held-available. 300 300\nwww.held-available. A 192.0.2.1\n\
         zone held-bounded. 300 300\nwww.held-bounded. A 192.0.2.1\n\
         zone held-strict. 300 300\nwww.held-strict. A 192.0.2.1\n",
    );
    for (apex, consistency, is_held) in [
        ("bounded.", Consistency::Bounded(60), false),
        ("strict.", Consistency::Linearizable, false),
        ("held-available.", Consistency::Available, true),
        ("held-bounded.", Consistency::Bounded(60), true),
        ("held-strict.", Consistency::Linearizable, true),
    ] {
        let zone = view.zone(&apex.parse().expect("a name")).expect("a zone");
        let zone = (**zone).clone().with_consistency(consistency);
        view.put_zone(Arc::new(if is_held { zone.held() } else { zone }));
    }
    publisher.publish(view, Vec::new());
    (publisher, service)
}

const ALL: [Confirmation; 3] = [
    Confirmation::Unasked,
    Confirmation::Answered(false),
    Confirmation::Answered(true),
];

#[test]
fn stale_answers_say_so_also_behind_a_confirmation_that_failed() {
    let (publisher, service) = service();
    // Nothing was ever proved: only the barrier's word makes it fresh.
    let stale = Some((0, Some(3)));
    let told = ask(&service, "www.test.", &ALL);
    assert_eq!(told, [stale, stale, Some((0, None))]);
    publisher.prove(Instant::now());
    let told = ask(&service, "www.test.", &ALL);
    assert_eq!(told, [Some((0, None)); 3]);
}

#[test]
fn a_held_zone_keeps_no_promise_whatever_the_barrier_says() {
    let (publisher, service) = service();
    publisher.prove(Instant::now());
    let (refused, answered) = (Some((2, Some(23))), Some((0, None)));
    for name in ["www.held-bounded.", "www.held-strict.", "held.strict."] {
        assert_eq!(ask(&service, name, &ALL), [refused; 3], "{name}");
    }
    assert_eq!(ask(&service, "www.held-available.", &ALL), [answered; 3]);
    let strict = ask(&service, "www.strict.", &ALL);
    assert_eq!(strict, [None, refused, answered]);
}

#[test]
fn bounded_is_kept_by_a_proof_or_by_the_barrier() {
    let (publisher, service) = service();
    let (refused, answered) = (Some((2, Some(23))), Some((0, None)));
    publisher.prove(Instant::now());
    assert_eq!(ask(&service, "www.bounded.", &ALL), [answered; 3]);
    publisher.revoke_proof();
    let told = ask(&service, "www.bounded.", &ALL);
    assert_eq!(told, [refused, refused, answered]);
}

/// The response to a query for `www.test. A` with one option.
fn ask_with_option(service: &Service, transport: Transport, option: &[u8]) -> Vec<u8> {
    let (proof, view) = (service.served.proof(), service.served.view());
    let query = [
        &b"\0\x07\0\0\0\x01\0\0\0\0\0\x01\x03www\x04test\0\0\x01\0\x01"[..],
        b"\0\0\x29\x04\xd0\0\0\0\0\0",
        &[option.len() as u8],
        option,
    ]
    .concat();
    let request = Request {
        octets: &query,
        peer: &SocketAddr::from(([192, 0, 2, 1], 5300)),
        transport,
        confirmation: Confirmation::Unasked,
    };
    let mut out = vec![0; OCTETS_MAX];
    let mut responder = service.responder(proof, &view);
    match responder.respond(&request, &mut Tally::default(), &mut out) {
        Reply::Ready(len) => out.truncate(len),
        Reply::Silent | Reply::NeedsConfirmation | Reply::Stream(_) => out.clear(),
    }
    out
}

#[test]
fn each_transport_has_its_options() {
    let (publisher, service) = service();
    publisher.prove(Instant::now());
    let plain = 12 + 14 + 16 + 11;
    // NSID is secret here.
    let keepalive = b"\0\x0b\0\x02\0\x64";
    let version = b"\0\x13\0\x06\x01\0\0\0\0\x01";
    for (transport, has_keepalive, is_padded) in [
        (Transport::Udp, false, false),
        (Transport::Tcp, true, false),
        (Transport::Tls, true, true),
    ] {
        let ask = |option: &[u8]| ask_with_option(&service, transport, option);
        assert_eq!(ask(b"").len(), plain, "{transport:?}");
        assert_eq!(ask(b"\0\x03\0\0").len(), plain, "{transport:?}");
        let (told, len) = (ask(b"\0\x0b\0\0"), plain + keepalive.len());
        assert_eq!(told.ends_with(keepalive), has_keepalive, "{transport:?}");
        assert_eq!(told.len() == len, has_keepalive, "{transport:?}");
        let told = ask(b"\0\x0c\0\0");
        assert_eq!(told.len() == 468, is_padded, "{transport:?}");
        assert_eq!(told.len() == plain, !is_padded, "{transport:?}");
        assert!(ask(b"\0\x13\0\0").ends_with(version), "{transport:?}");
    }
}
