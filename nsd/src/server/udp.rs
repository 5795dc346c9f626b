//! UDP: on every address each thread has a socket of its own (SO_REUSEPORT). The kernel spreads the clients over the
//! threads, and these share nothing.

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
use super::batch::{self, Batch, Envelope};
use super::log_limit::LogLimit;
use crate::answer::{Confirmation, Peer, Reply, Request, Service, Transport, UDP_OCTETS_MAX};
#[cfg(target_os = "linux")]
use crate::message;
use crate::metrics::{Counters, Metrics, Tally};
use crate::supervisor::{StopFlag, Supervisor};
#[cfg(target_os = "linux")]
use crate::zone::{Probe, View};

/// How often an idle thread checks whether to stop.
pub(super) const STOP_POLL: Duration = Duration::from_millis(100);

/// Grace period for queries in flight at shutdown.
const DRAIN: Duration = Duration::from_millis(500);

/// Starts the threads that answer on the sockets of one address.
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

/// Decides when a thread ends: once it has to stop, and all queries that came before are answered.
struct Drain<'a> {
    stop: &'a StopFlag,
    until: Option<Instant>,
}

impl<'a> Drain<'a> {
    fn new(stop: &'a StopFlag) -> Self {
        Drain { stop, until: None }
    }

    /// Call it before each receive. Returns true when the grace period is over.
    fn is_over(&mut self, socket: &UdpSocket) -> bool {
        if self.until.is_none() && self.stop.is_set() {
            self.until = Some(Instant::now() + DRAIN);
            // From now on an empty socket means that the thread is done.
            let _ = socket.set_nonblocking(true);
        }
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether this error of a receive means that nothing is left to answer.
    fn is_done(&self, error: &io::Error) -> bool {
        self.until.is_some() && error.kind() == io::ErrorKind::WouldBlock
    }
}

/// The loop of a thread: receive a batch, load the view once, answer, send.
#[cfg(target_os = "linux")]
fn answer(service: &Service, socket: &Arc<UdpSocket>, stop: &StopFlag, counters: &Arc<Counters>) {
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    let tells_destination = socket.local_addr().is_ok_and(is_any);
    let mut view = service.served.cached();
    let mut batch = Batch::new(tells_destination);
    let mut drain = Drain::new(stop);
    while !drain.is_over(socket) {
        let count = match batch.receive(socket) {
            Ok(count) => count,
            Err(error) if drain.is_done(&error) => return,
            Err(error) => {
                // Loading drops the old view, so that an idle thread does not keep it in memory.
                view.load();
                pause_after(&error);
                continue;
            }
        };
        let mut tally = Tally::default();
        let (proof, view) = (service.served.proof(), view.load());
        warm(view, batch.queries(count).map(|(query, _)| query));
        let mut responder = service.responder(proof, view);
        if count > 1 {
            responder.warm_limits(batch.queries(count));
        }
        let responses = batch.answer(count, |query, sender, out| {
            let mut request = request(query, sender);
            let mut reply = responder.respond(&request, &mut tally, out);
            if let Reply::NeedsConfirmation = reply {
                let socket = socket.clone();
                let send = move |sender: Envelope, response: &[u8]| sender.send(&socket, response);
                if answer_later(service, query, sender.envelope(), counters, send) {
                    return 0;
                }
                // Too many wait already.
                request.confirmation = Confirmation::Answered(false);
                reply = responder.respond(&request, &mut tally, out);
            }
            octets_of(&reply)
        });
        // Before sending, so that every client with an answer is already counted.
        counters.add(&tally);
        batch.send(socket, responses);
    }
}

fn request<'q>(octets: &'q [u8], peer: &'q dyn Peer) -> Request<'q> {
    Request {
        octets,
        peer,
        transport: Transport::Udp,
        confirmation: Confirmation::Unasked,
    }
}

/// The number of octets to send.
fn octets_of(reply: &Reply) -> usize {
    match reply {
        Reply::Ready(len) => *len,
        // Streams are only for requests over TCP.
        Reply::Silent | Reply::NeedsConfirmation | Reply::Stream(_) => 0,
    }
}

/// Answers a query once the barrier tells whether the view is complete. Returns false if too many queries wait for it.
fn answer_later<P: Peer + Send + 'static>(
    service: &Service,
    query: &[u8],
    peer: P,
    counters: &Arc<Counters>,
    send: impl FnOnce(P, &[u8]) + Send + 'static,
) -> bool {
    let (query, counters, later) = (query.to_vec(), counters.clone(), service.clone());
    service.barrier.wait(move |is_complete| {
        let (mut tally, mut out) = (Tally::default(), [0; UDP_OCTETS_MAX]);
        let (proof, view) = (later.served.proof(), later.served.view());
        let request = Request {
            confirmation: Confirmation::Answered(is_complete),
            ..request(&query, &peer)
        };
        let reply = (later.responder(proof, &view)).respond(&request, &mut tally, &mut out);
        counters.add(&tally);
        if let Reply::Ready(len) = reply {
            send(peer, &out[..len]);
        }
    })
}

/// Looks up the names of all queries together, one step of each at a time, so that their cache misses overlap. In a
/// large zone cache misses take most of the time of an answer; afterwards the nodes are in the cache.
#[cfg(target_os = "linux")]
fn warm<'q>(view: &View, queries: impl Iterator<Item = &'q [u8]>) {
    let begin = |query: &[u8]| view.probe(message::question_name(query)?);
    let mut probes: ArrayVec<Probe<'_>, { batch::BATCH }> = queries.filter_map(begin).collect();
    // Lookups take a few steps each; a step of one that is done does nothing.
    while probes
        .iter_mut()
        .fold(false, |more, probe| probe.step() | more)
    {}
}

/// The loop of a thread where there is no `recvmmsg`: one datagram at a time.
#[cfg(not(target_os = "linux"))]
fn answer(service: &Service, socket: &Arc<UdpSocket>, stop: &StopFlag, counters: &Arc<Counters>) {
    let mut view = service.served.cached();
    let (mut query, mut response) = ([0; 2048], [0; UDP_OCTETS_MAX]);
    let mut drain = Drain::new(stop);
    while !drain.is_over(socket) {
        let (len, client) = match socket.recv_from(&mut query) {
            Ok(received) => received,
            Err(error) if drain.is_done(&error) => return,
            Err(error) => {
                view.load();
                pause_after(&error);
                continue;
            }
        };
        // Nothing can be sent to port 0.
        if client.port() == 0 {
            continue;
        }
        let (query, mut tally) = (&query[..len], Tally::default());
        let proof = service.served.proof();
        let mut responder = service.responder(proof, view.load());
        let mut request = request(query, &client);
        let mut reply = responder.respond(&request, &mut tally, &mut response);
        if let Reply::NeedsConfirmation = reply {
            let later = socket.clone();
            // Errors are ignored: the client asks again.
            let send = move |client: SocketAddr, response: &[u8]| {
                let socket = SockRef::from(&*later);
                let _ = socket.send_to_with_flags(response, &client.into(), libc::MSG_DONTWAIT);
            };
            if answer_later(service, query, client, counters, send) {
                continue;
            }
            // Too many wait already.
            request.confirmation = Confirmation::Answered(false);
            reply = responder.respond(&request, &mut tally, &mut response);
        }
        counters.add(&tally);
        let len = octets_of(&reply);
        if len > 0 {
            let _ = socket.send_to(&response[..len], client);
        }
    }
}

/// Pauses after an error that would most likely come again at once.
fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    static LIMIT: LogLimit = LogLimit::new();
    // ConnectionRefused: a client was gone before its answer came.
    if !matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    ) {
        if let Some(times) = LIMIT.count() {
            warn!(%error, times, "cannot receive over UDP: trying again");
        }
        std::thread::sleep(STOP_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::tests::{QUERY, service_without_data};
    use crate::served::{Publisher, Standing};
    use crate::server::listen;
    use crate::zone::View;

    /// Waits until only the caller has the view.
    fn wait_until_dropped(view: &Arc<View>, why: &str) {
        let start = Instant::now();
        while Arc::strong_count(view) > 1 {
            assert!(start.elapsed() < Duration::from_secs(10), "{why}");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn threads_drop_a_replaced_view_and_do_not_free_it() {
        let metrics = Metrics::new(1);
        let (publisher, served, replaced) = Publisher::new(View::default(), Standing::default());
        let service = Service {
            served,
            ..service_without_data().1
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
            old.expect("the publisher keeps what it replaces").0
        };
        ask();
        publisher.publish(View::default(), Vec::new());
        let old = kept();
        // The thread loads the new view at its next query.
        ask();
        wait_until_dropped(&old, "it was asked");
        publisher.publish(View::default(), Vec::new());
        let old = kept();
        wait_until_dropped(&old, "it is idle");
        supervisor.end().await;
    }

    #[tokio::test]
    async fn a_query_is_counted_before_its_answer_is_sent() {
        let metrics = Metrics::new(1);
        let listen = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let sockets = listen::bind(&listen, false, 1).expect("a port");
        let ((_, service), mut supervisor) = (service_without_data(), Supervisor::default());
        for sockets in sockets.udp {
            start(&mut supervisor, &service, sockets, &metrics).expect("threads");
        }
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.connect(sockets.addresses[0]).expect("an address");
        // Polling sees the answer as soon as it is there.
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
