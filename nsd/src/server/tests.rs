//! What is answered from a view whose age is known.

use super::*;
use crate::zone::tests::{spelled, view};

/// The response code and the extended error, if there is one.
type Told = (u8, Option<u8>);

/// The answers to queries for `name` that come one after the other, with what is known of the view at each.
fn ask(service: &Service, name: &str, all: &[Asked]) -> Vec<Option<Told>> {
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    // With an OPT record, so that there is room for an extended error.
    let query = [
        &b"\0\x07\0\0\0\x01\0\0\0\0\0\x01"[..],
        &spelled(name),
        b"\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
    ]
    .concat();
    let mut told = |asked: &Asked| {
        let mut out = [0; 512];
        let mut tally = Tally::default();
        match responder.respond(&query, Transport::Tcp, *asked, &mut tally, &mut out) {
            Reply::Ready(len) => {
                let is_told = out[..len - 2].ends_with(&[0, 15, 0, 2]);
                Some((out[3] & 15, is_told.then(|| out[len - 1])))
            }
            Reply::Silent | Reply::Later => None,
        }
    };
    all.iter().map(&mut told).collect()
}

fn service() -> (Publisher, Service) {
    let (publisher, service) = Service::without_data();
    let service = Service {
        stale_after: Some(Duration::from_secs(30)),
        ..service
    };
    let mut view = view(
        "zone test. 300 300\nwww.test. A 192.0.2.1\nzone bounded. 300 300\nwww.bounded. A 192.0.2.1\n",
    );
    let bounded = view
        .zone(&"bounded.".parse().expect("a name"))
        .expect("a zone");
    let bounded = (**bounded)
        .clone()
        .with_consistency(Consistency::Bounded(60));
    view.put_zone(Arc::new(bounded));
    publisher.publish(view);
    (publisher, service)
}

const ALL: [Asked; 3] = [Asked::Now, Asked::Confirmed(false), Asked::Confirmed(true)];

#[test]
fn stale_answers_say_so_also_behind_a_confirmation_that_failed() {
    let (publisher, service) = service();
    // Nothing was ever proved: only the barrier's word makes it fresh.
    let stale = Some((0, Some(3)));
    let told = ask(&service, "www.test.", &ALL);
    assert_eq!(told, [stale, stale, Some((0, None))]);
    publisher.prove(Some(Instant::now()));
    let told = ask(&service, "www.test.", &ALL);
    assert_eq!(told, [Some((0, None)); 3]);
}

#[test]
fn bounded_is_kept_by_a_proof_or_by_the_barrier() {
    let (publisher, service) = service();
    let (refused, answered) = (Some((2, Some(23))), Some((0, None)));
    publisher.prove(Some(Instant::now()));
    assert_eq!(ask(&service, "www.bounded.", &ALL), [answered; 3]);
    publisher.prove(None);
    let told = ask(&service, "www.bounded.", &ALL);
    assert_eq!(told, [refused, refused, answered]);
}
