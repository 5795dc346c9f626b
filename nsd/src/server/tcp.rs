//! TCP (RFC 7766): many queries per connection, answered in the order in which they come.
//!
//! - `turn`: reads what has come, answers it and writes the responses, in the buffers of the thread.
//! - `frames`: finds the whole messages in what was read, and answers them.
//!
//! A connection has no buffers of its own. It keeps only the beginning of a query and responses that a slow client has
//! not accepted, and these count against a limit for all connections ([`super::connections`]).

mod frames;
#[cfg(test)]
mod tests;
mod turn;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::FRAME_MAX;
use super::connections::{ConnectionLimits, Connections, Seat};
use super::https::Https;
use super::listen::BACKLOG;
use super::log_limit::LogLimit;
use crate::answer::{Barrier, Confirmation, Messages, Request, Service, Transport};
use crate::metrics::{Counters, Tally};
use frames::{Answered, Next, answer};
use turn::Leftovers;

/// How long a connection is still read from at shutdown: queries that were sent before may be on their way.
const LINGER: Duration = Duration::from_millis(100);

/// How many octets of plain text a TLS connection buffers for a client that does not accept them.
const TLS_BUFFER: usize = 16 << 10;

/// A listener, and what its connections speak.
#[derive(Clone)]
pub(super) struct StreamListener {
    pub(super) listener: Arc<TcpListener>,
    pub(super) protocol: StreamProtocol,
}

/// What is spoken on a connection.
#[derive(Clone)]
pub(super) enum StreamProtocol {
    /// DNS messages (RFC 7766).
    Tcp,
    /// DNS messages over TLS (RFC 7858).
    Tls(TlsAcceptor),
    /// HTTP over TLS (RFC 8484).
    Https(TlsAcceptor, Https),
}

impl StreamProtocol {
    /// The listener's name, for the log.
    pub(super) fn what(&self) -> &'static str {
        match self {
            StreamProtocol::Tcp => "a TCP listener",
            StreamProtocol::Tls(_) => "a TLS listener",
            StreamProtocol::Https(..) => "an HTTPS listener",
        }
    }
}

/// Accepts connections until `stop` is cancelled; then answers what has come, within the grace period of the limits.
pub(super) async fn serve(
    service: Service,
    StreamListener { listener, protocol }: StreamListener,
    connections: Arc<Connections>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let open = TaskTracker::new();
    // Connections that are already in the backlog are served too, but not more, or it would never end.
    let mut last = BACKLOG;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        last -= usize::from(stop.is_cancelled());
        if last == 0 {
            break;
        }
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error, &connections).await;
                continue;
            }
        };
        let seat = connections.seat(client.ip()).await;
        // A token of its own: connections that poll a shared one contend for its lock.
        let opened = Opened {
            service: service.clone(),
            client,
            seat,
            limits: connections.limits,
            counters: counters.clone(),
            stop: stop.child_token(),
        };
        let protocol = protocol.clone();
        open.spawn(async move {
            let dismissed = opened.seat.dismissed();
            tokio::select! {
                // In this order a query that has come before the dismissal is answered.
                biased;
                // Errors are not logged: they only concern this client.
                _ = opened.serve(stream, protocol) => {}
                () = dismissed => {}
            }
        });
    }
    drop(listener);
    open.close();
    let _ = timeout(connections.limits.drain, open.wait()).await;
}

/// A connection that was accepted.
struct Opened {
    service: Service,
    client: SocketAddr,
    seat: Seat,
    limits: ConnectionLimits,
    counters: Arc<Counters>,
    stop: CancellationToken,
}

impl Opened {
    async fn serve(self, stream: TcpStream, protocol: StreamProtocol) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let limits = self.limits;
        match protocol {
            StreamProtocol::Tcp => self.converse(stream, Transport::Tcp).await,
            StreamProtocol::Tls(acceptor) => {
                let mut stream = self.begin_tls(stream, &acceptor).await?;
                self.converse(&mut stream, Transport::Tls).await?;
                // Tells the client that nothing was cut off.
                timeout(limits.write, stream.shutdown()).await?
            }
            StreamProtocol::Https(acceptor, https) => {
                let stream = self.begin_tls(stream, &acceptor).await?;
                let seat = Arc::new(self.seat);
                https
                    .converse(stream, self.client, seat, limits, self.stop)
                    .await;
                Ok(())
            }
        }
    }

    /// Waits for the handshake.
    async fn begin_tls(
        &self,
        stream: TcpStream,
        acceptor: &TlsAcceptor,
    ) -> io::Result<TlsStream<TcpStream>> {
        let handshake = acceptor.accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(TLS_BUFFER));
        });
        // Also at shutdown, for queries that are on their way; the grace period ends all of it.
        let begun = match timeout(self.limits.handshake, handshake).await {
            Ok(begun) => begun,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        if begun.is_err() {
            let failed = &self.counters.handshakes_failed;
            failed.fetch_add(1, Ordering::Relaxed);
        }
        begun
    }

    /// Exchanges DNS messages.
    async fn converse(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        transport: Transport,
    ) -> io::Result<()> {
        let answer = |confirmation, queries: &[u8], out: &mut [u8]| {
            let from = (self.client, transport, confirmation);
            answer_now(&self.service, from, &self.counters, queries, out)
        };
        let (barrier, seat) = (&self.service.barrier, &mut self.seat);
        converse(stream, seat, self.limits, self.stop, barrier, answer).await
    }
}

/// Handles an error of `accept`: none ends the listener, and after one that would come again at once this pauses.
async fn pause_after(error: &io::Error, connections: &Connections) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    static LIMIT: LogLimit = LogLimit::new();
    // The client has gone before its connection was accepted; others may be waiting behind it.
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        return;
    }
    if let Some(times) = LIMIT.count() {
        warn!(%error, times, "cannot accept connections: closing idle ones, and trying again");
    }
    // Most likely the process is out of file descriptors or memory: closing a connection frees some.
    connections.dismiss_idlest();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Answers queries from the view that is published now.
fn answer_now(
    service: &Service,
    (client, transport, confirmation): (SocketAddr, Transport, Confirmation),
    counters: &Counters,
    queries: &[u8],
    out: &mut [u8],
) -> Answered {
    let mut tally = Tally::default();
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    let answered = answer(queries, out, |octets, out| {
        let request = Request {
            octets,
            peer: &client,
            transport,
            confirmation,
        };
        responder.respond(&request, &mut tally, out)
    });
    counters.add(&tally);
    answered
}

/// Serves one connection: reads what has come, has `answer` answer all of it, and sends the responses with one system
/// call.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    seat: &mut Seat,
    limits: ConnectionLimits,
    stop: CancellationToken,
    barrier: &Barrier,
    answer: impl Fn(Confirmation, &[u8], &mut [u8]) -> Answered,
) -> io::Result<()> {
    let mut conversation = Conversation {
        stream,
        seat,
        limits,
        leftovers: Leftovers::default(),
    };
    // Only whole queries extend it, and once the beginning of one: single octets do not keep a connection open.
    let mut due = Instant::now() + limits.idle;
    // At shutdown: only what comes within LINGER is still answered.
    let mut is_last = false;
    let mut stopped = pin!(stop.cancelled());
    let (mut reads, mut confirmation) = (true, Confirmation::Unasked);
    loop {
        let had_begun = !conversation.leftovers.input.is_empty();
        let turn = conversation.turn(reads, |queries, out| answer(confirmation, queries, out));
        let answered = tokio::select! {
            biased;
            turn = timeout_at(due, turn) => match turn?? {
                Some(answered) => answered,
                None => return Ok(()),
            },
            () = &mut stopped, if !is_last => {
                (is_last, due) = (true, Instant::now() + LINGER);
                continue;
            }
        };
        if answered.taken > 0 {
            conversation.seat.mark_used();
        }
        if !is_last && (answered.taken > 0 || !had_begun) {
            due = conversation.due();
        }
        conversation.flush().await?;
        if conversation.leftovers.left_behind || matches!(answered.next, Next::Flush) {
            yield_now().await;
        }
        (reads, confirmation) = match answered.next {
            Next::Read => (true, Confirmation::Unasked),
            Next::Flush => (false, confirmation),
            // What has come until now may use the same confirmation.
            Next::Barrier => (false, Confirmation::Answered(barrier.confirmed().await)),
            Next::Stream(messages) => {
                conversation.send_all(messages).await?;
                if !is_last {
                    due = conversation.due();
                }
                (false, Confirmation::Unasked)
            }
            // What follows such a message makes no sense.
            Next::Close => return Ok(()),
        };
    }
}

/// A connection that is being served.
struct Conversation<'c, S> {
    stream: S,
    seat: &'c mut Seat,
    limits: ConnectionLimits,
    leftovers: Leftovers,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<'_, S> {
    /// When the next query, or the rest of the one that has begun, has to be there.
    fn due(&self) -> Instant {
        let is_idle = self.leftovers.input.is_empty();
        let wait = if is_idle {
            self.limits.idle
        } else {
            self.limits.query
        };
        Instant::now() + wait
    }

    /// See [`Leftovers::turn`].
    async fn turn(
        &mut self,
        reads: bool,
        mut answer: impl FnMut(&[u8], &mut [u8]) -> Answered,
    ) -> io::Result<Option<Answered>> {
        let Conversation {
            stream, leftovers, ..
        } = self;
        poll_fn(|context| leftovers.turn(context, Pin::new(&mut *stream), reads, &mut answer)).await
    }

    /// Waits until the client has accepted all responses, but no longer than the write limit.
    async fn flush(&mut self) -> io::Result<()> {
        self.seat.hold(self.leftovers.octets());
        if !self.leftovers.output.is_empty() {
            timeout(
                self.limits.write,
                self.stream.write_all(&self.leftovers.output),
            )
            .await??;
            self.leftovers.output = Vec::new();
            self.leftovers.is_unsent = true;
            self.seat.mark_used();
            self.seat.hold(self.leftovers.octets());
        }
        if std::mem::take(&mut self.leftovers.is_unsent) {
            timeout(self.limits.write, self.stream.flush()).await??;
        }
        Ok(())
    }

    /// Sends a stream of messages. Makes no more of them than fit into the buffer before the client has accepted these.
    async fn send_all(&mut self, mut messages: Box<dyn Messages>) -> io::Result<()> {
        let mut more = true;
        while more {
            let Conversation {
                stream, leftovers, ..
            } = self;
            more =
                poll_fn(|context| leftovers.send(context, Pin::new(&mut *stream), &mut *messages))
                    .await?;
            self.flush().await?;
            self.seat.mark_used();
            yield_now().await;
        }
        Ok(())
    }
}
