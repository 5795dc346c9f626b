//! UDP: threads that each have a socket of their own on every address (SO_REUSEPORT), so that the kernel
//! spreads the clients over them and they share nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use arrayvec::ArrayVec;
#[cfg(not(target_os = "linux"))]
use socket2::SockRef;
use tracing::warn;

#[cfg(target_os = "linux")]
use super::batch::{self, Batch};
use super::seldom::Seldom;
use super::{Asked, Reply, Service, Transport, UDP_OCTETS_MAX};
#[cfg(target_os = "linux")]
use crate::message;
use crate::metrics::{Counters, Metrics, Tally};
use crate::supervisor::{StopFlag, Supervisor};
#[cfg(target_os = "linux")]
use crate::zone::{Probe, View};

/// How often a thread without queries looks whether it is to end.
pub(super) const STOP_POLL: Duration = Duration::from_millis(100);

/// How long a thread that is to end answers what still comes.
const DRAIN: Duration = Duration::from_millis(500);

/// Starts to answer on the sockets of one address.
pub(super) fn start(
    supervisor: &mut Supervisor,
    service: &Service,
    sockets: Vec<UdpSocket>,
    metrics: &Metrics,
) -> io::Result<()> {
    for (worker, socket) in sockets.into_iter().enumerate() {
        let (service, counters) = (service.clone(), metrics.udp(worker));
        let socket = Arc::new(socket);
        let answer = move |stop: &StopFlag| answer(&service, &socket, stop, &counters);
        supervisor.thread(format!("udp-{worker}"), "a batch of queries", answer)?;
    }
    Ok(())
}

/// Says when a thread ends: once it is to, and there is nothing left to be answered.
struct End<'a> {
    stop: &'a StopFlag,
    at: Option<Instant>,
}

impl<'a> End<'a> {
    fn new(stop: &'a StopFlag) -> Self {
        End { stop, at: None }
    }

    /// Before each look at the socket.
    fn is_over(&mut self, socket: &UdpSocket) -> bool {
        if self.at.is_none() && self.stop.is_set() {
            self.at = Some(Instant::now() + DRAIN);
            // Else it waits for what does not come any more.
            let _ = socket.set_nonblocking(true);
        }
        self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// After a look that failed.
    fn is_empty(&self, error: &io::Error) -> bool {
        self.at.is_some() && error.kind() == io::ErrorKind::WouldBlock
    }
}

/// The loop of a thread: take what is there, look the view up once, answer, send.
#[cfg(target_os = "linux")]
fn answer(service: &Service, socket: &Arc<UdpSocket>, stop: &StopFlag, counters: &Arc<Counters>) {
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    let tells_destination = socket.local_addr().is_ok_and(is_any);
    let mut view = service.served.cached();
    let mut batch = Batch::new(tells_destination);
    let mut end = End::new(stop);
    while !end.is_over(socket) {
        let count = match batch.receive(socket) {
            Ok(count) => count,
            Err(error) if end.is_empty(&error) => return,
            Err(error) => {
                // A thread without queries lets go of a view that was replaced, too.
                view.load();
                pause_after(&error);
                continue;
            }
        };
        let mut tally = Tally::default();
        let (proof, view) = (service.served.proof(), view.load());
        warm(view, batch.queries(count));
        let mut responder = service.responder(proof, view);
        let responses = batch.answer(count, |query, envelope, out| {
            let mut respond =
                |asked| responder.respond(query, Transport::Udp, asked, &mut tally, out);
            let reply = match respond(Asked::Now) {
                Reply::Later => {
                    let (envelope, socket) = (envelope(), socket.clone());
                    let send = move |response: &[u8]| envelope.send(&socket, response);
                    match answer_later(service, query, counters, send) {
                        true => Reply::Silent,
                        // Too many wait already.
                        false => respond(Asked::Confirmed(false)),
                    }
                }
                reply => reply,
            };
            match reply {
                Reply::Ready(len) => len,
                Reply::Silent | Reply::Later => 0,
            }
        });
        // Who has an answer is counted.
        counters.add(&tally);
        batch.send(socket, responses);
    }
}

/// Has a query answered once the barrier knows whether the view is complete. False where too many wait for that.
fn answer_later(
    service: &Service,
    query: &[u8],
    counters: &Arc<Counters>,
    send: impl FnOnce(&[u8]) + Send + 'static,
) -> bool {
    let (query, counters, later) = (query.to_vec(), counters.clone(), service.clone());
    service.barrier.wait(move |is_complete| {
        let (mut tally, mut out) = (Tally::default(), [0; UDP_OCTETS_MAX]);
        let (proof, view) = (later.served.proof(), later.served.view());
        let asked = Asked::Confirmed(is_complete);
        let mut responder = later.responder(proof, &view);
        let reply = responder.respond(&query, Transport::Udp, asked, &mut tally, &mut out);
        counters.add(&tally);
        if let Reply::Ready(len) = reply {
            send(&out[..len]);
        }
    })
}

/// Looks up the names of all queries together, one step of each after the other, so that they wait for memory at the
/// same time: in a large zone that is most of what an answer takes. What was looked up is then at hand.
#[cfg(target_os = "linux")]
fn warm<'q>(view: &View, queries: impl Iterator<Item = &'q [u8]>) {
    let begin = |query: &[u8]| view.probe(message::question_name(query)?);
    let mut probes: ArrayVec<Probe<'_>, { batch::BATCH }> = queries.filter_map(begin).collect();
    // Each takes a few steps; those that are done are only looked at.
    while probes
        .iter_mut()
        .fold(false, |more, probe| probe.step() | more)
    {}
}

/// The same, a datagram at a time.
#[cfg(not(target_os = "linux"))]
fn answer(service: &Service, socket: &Arc<UdpSocket>, stop: &StopFlag, counters: &Arc<Counters>) {
    let mut view = service.served.cached();
    let (mut query, mut response) = ([0; 2048], [0; UDP_OCTETS_MAX]);
    let mut end = End::new(stop);
    while !end.is_over(socket) {
        let (len, client) = match socket.recv_from(&mut query) {
            Ok(received) => received,
            Err(error) if end.is_empty(&error) => return,
            Err(error) => {
                view.load();
                pause_after(&error);
                continue;
            }
        };
        // Port 0 cannot be answered.
        if client.port() == 0 {
            continue;
        }
        let (query, mut tally) = (&query[..len], Tally::default());
        let proof = service.served.proof();
        let mut responder = service.responder(proof, view.load());
        let mut respond =
            |asked| responder.respond(query, Transport::Udp, asked, &mut tally, &mut response);
        let mut reply = respond(Asked::Now);
        if reply == Reply::Later {
            let later = socket.clone();
            // Whatever fails is the client's loss, who asks again.
            let send = move |response: &[u8]| {
                let socket = SockRef::from(&*later);
                let _ = socket.send_to_with_flags(response, &client.into(), libc::MSG_DONTWAIT);
            };
            reply = match answer_later(service, query, counters, send) {
                true => Reply::Silent,
                false => respond(Asked::Confirmed(false)),
            };
        }
        counters.add(&tally);
        if let Reply::Ready(len) = reply {
            let _ = socket.send_to(&response[..len], client);
        }
    }
}

/// Waits a little after an error that would come again at once.
fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    static TOLD: Seldom = Seldom::new();
    // A client that went away before its answer came is reported here, too.
    if !matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    ) {
        if let Some(times) = TOLD.tell() {
            warn!(%error, times, "cannot receive over UDP: trying again");
        }
        std::thread::sleep(STOP_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::served::{Publisher, Standing};
    use crate::server::{QUERY, listen};
    use crate::zone::View;

    /// Waits until nobody but the caller has the view.
    fn wait_until_let_go(view: &Arc<View>, why: &str) {
        let start = Instant::now();
        while Arc::strong_count(view) > 1 {
            assert!(start.elapsed() < Duration::from_secs(10), "{why}");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_view_that_was_replaced_is_let_go_and_not_freed() {
        let metrics = Metrics::new(1);
        let (publisher, served, replaced) = Publisher::new(View::default(), Standing::default());
        let service = Service {
            served,
            ..Service::without_data().1
        };
        let listen = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let sockets = listen::bind(&listen, false, 1).expect("a port");
        let mut supervisor = Supervisor::default();
        for sockets in sockets.udp {
            start(&mut supervisor, &service, sockets, &metrics).expect("threads");
        }
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.connect(sockets.addresses[0]).expect("an address");
        let limit = Some(Duration::from_secs(10));
        client.set_read_timeout(limit).expect("a socket");
        let ask = || {
            client.send(&QUERY).expect("sent");
            client.recv(&mut [0; 512]).expect("an answer");
        };
        let kept = || {
            let old = replaced.recv_timeout(Duration::from_secs(10));
            old.expect("the publisher keeps what it replaces")
        };
        ask();
        publisher.publish(View::default());
        let old = kept();
        // The thread moves on at its next query, and this is not the last that holds the view.
        ask();
        wait_until_let_go(&old, "it was asked");
        publisher.publish(View::default());
        let old = kept();
        wait_until_let_go(&old, "it is idle");
        supervisor.end().await;
    }

    #[tokio::test]
    async fn who_has_an_answer_is_counted() {
        let metrics = Metrics::new(1);
        let listen = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let sockets = listen::bind(&listen, false, 1).expect("a port");
        let ((_, service), mut supervisor) = (Service::without_data(), Supervisor::default());
        for sockets in sockets.udp {
            start(&mut supervisor, &service, sockets, &metrics).expect("threads");
        }
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.connect(sockets.addresses[0]).expect("an address");
        // It looks without a pause: the answer is seen as soon as it is there.
        client.set_nonblocking(true).expect("a socket");
        for queries in 1..=1000 {
            client.send(&QUERY).expect("sent");
            let sent = Instant::now();
            while client.recv(&mut [0; 512]).is_err() {
                assert!(sent.elapsed() < Duration::from_secs(10), "no answer");
            }
            assert_eq!(metrics.total(|counters| &counters.queries), queries);
        }
        supervisor.end().await;
    }
}
