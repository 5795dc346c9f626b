//! TCP (RFC 7766): many queries a connection, answered in the order they come.
//!
//! A connection has no buffers of its own. It is read into those of its thread, answered, and written from there in one
//! go; only the beginning of a query, and what a slow client does not accept, is kept beside it, and counts against a
//! limit for all connections ([`super::connections`]).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::connections::{Connections, Limits, Seat};
use super::listen::BACKLOG;
use super::seldom::Seldom;
use super::{Asked, OCTETS_MAX, Reply, Service, Transport};
use crate::metrics::{Counters, Tally};

/// Accepts connections until it is to stop; then what has come is answered, for so long as the limits say.
pub(super) async fn serve(
    service: Service,
    listener: Arc<TcpListener>,
    connections: Arc<Connections>,
    counters: Arc<Counters>,
    stop: CancellationToken,
) {
    let open = TaskTracker::new();
    // Connections that have come before the end are served, but not for ever.
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
        let mut seat = connections.seat(SocketAddr::ip(&client)).await;
        // A token of its own: looking at it, connections do not get in each other's way.
        let (service, counters, stop) = (service.clone(), counters.clone(), stop.child_token());
        let limits = connections.limits;
        open.spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let dismissed = seat.is_dismissed();
            tokio::select! {
                // In this order a query that has come before the dismissal is answered.
                biased;
                // What a client does to its own connection is no news.
                _ = converse(&service, stream, &mut seat, limits, &counters, stop) => {}
                () = dismissed => {}
            }
            drop(seat);
        });
    }
    drop(listener);
    open.close();
    let _ = timeout(connections.limits.drain, open.wait()).await;
}

/// Copes with an error of `accept`. None of them ends the listener, and none is tried again at once if it would only come
/// back.
async fn pause_after(error: &io::Error, connections: &Connections) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    static TOLD: Seldom = Seldom::new();
    // The client was gone before it was its turn: the next one may be there.
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        return;
    }
    if let Some(times) = TOLD.tell() {
        warn!(%error, times, "cannot accept TCP connections: closing idle ones, and trying again");
    }
    // Most likely the system is out of file descriptors or memory, and a connection has some of both.
    connections.dismiss_idlest();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// How long a connection is still read from at the end: what was sent before may be on its way.
const LINGER: Duration = Duration::from_millis(100);

/// A message with its length in front.
const FRAME_MAX: usize = 2 + OCTETS_MAX;

/// So much is read at once, about a hundred queries. Then it is the other connections' turn.
const READ: usize = 4 << 10;

/// Room for what is read, and for the responses to it: one more behind as many as make a full one.
struct Buffers {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

thread_local! {
    /// One for each thread of the runtime. No connection needs it between two turns, so that thousands of them take no
    /// more memory than a few.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        input: vec![0; FRAME_MAX].into(),
        output: vec![0; 2 * FRAME_MAX].into(),
    });
}

/// What a connection keeps between two turns: nothing, as long as whole queries come and responses are accepted.
#[derive(Default)]
struct Kept {
    /// The beginning of a query, or queries that have to wait.
    input: Vec<u8>,
    /// Responses that the client has not accepted yet.
    output: Vec<u8>,
    /// Whether more has come than was read at once.
    left_behind: bool,
}

/// Serves one connection: takes what has come, answers all of it, sends all answers with one system call.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    service: &Service,
    mut stream: S,
    seat: &mut Seat,
    limits: Limits,
    counters: &Counters,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut kept = Kept::default();
    // Renewed by whole queries, and once by the beginning of one: an octet now and then keeps no connection.
    let mut due = Instant::now() + limits.idle;
    let mut is_last = false;
    let mut stopped = pin!(stop.cancelled());
    let (mut reads, mut asked) = (true, Asked::Now);
    loop {
        let had_begun = !kept.input.is_empty();
        let turn = poll_fn(|context| {
            let stream = Pin::new(&mut stream);
            kept.turn(context, stream, reads, |queries, out| {
                answer_now(service, asked, counters, queries, out)
            })
        });
        let batch = tokio::select! {
            biased;
            turn = timeout_at(due, turn) => match turn?? {
                Some(batch) => batch,
                None => return Ok(()),
            },
            () = &mut stopped, if !is_last => {
                (is_last, due) = (true, Instant::now() + LINGER);
                continue;
            }
        };
        if batch.taken > 0 {
            seat.is_in_use();
        }
        if !is_last && (batch.taken > 0 || !had_begun) {
            let is_idle = kept.input.is_empty();
            due = Instant::now() + if is_idle { limits.idle } else { limits.query };
        }
        seat.hold(kept.octets());
        if !kept.output.is_empty() {
            timeout(limits.write, stream.write_all(&kept.output)).await??;
            kept.output = Vec::new();
            seat.is_in_use();
            seat.hold(kept.octets());
        }
        if kept.left_behind || batch.end == End::Output {
            tokio::task::yield_now().await;
        }
        (reads, asked) = match batch.end {
            End::Input => (true, Asked::Now),
            End::Output => (false, asked),
            // All that has come by now may be answered with what is told now.
            End::Later => (false, Asked::Confirmed(service.barrier.confirmed().await)),
            // Nothing that follows such a message makes sense.
            End::Senseless => return Ok(()),
        };
    }
}

impl Kept {
    /// How many octets of memory this is.
    fn octets(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Whether what is kept and what follows it are no whole query yet.
    fn is_partial(&self, next: &[u8]) -> bool {
        let mut octets = self.input.iter().chain(next);
        let len = match (octets.next(), octets.next()) {
            (Some(a), Some(b)) => usize::from(u16::from_be_bytes([*a, *b])),
            _ => 0,
        };
        self.input.len() + next.len() < 2 + len
    }

    /// Takes in what has come, unless only what is kept is to be answered; answers as much as possible, and sends the
    /// responses as far as the client accepts them. None at the end of the stream.
    fn turn<S: AsyncRead + AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        mut stream: Pin<&mut S>,
        reads: bool,
        answer: impl FnOnce(&[u8], &mut [u8]) -> Batch,
    ) -> Poll<io::Result<Option<Batch>>> {
        BUFFERS.with_borrow_mut(|Buffers { input, output }| {
            let mut filled = self.input.len();
            if reads {
                let end = input.len().min(filled + READ);
                let mut room = ReadBuf::new(&mut input[filled..end]);
                ready!(stream.as_mut().poll_read(context, &mut room))?;
                if room.filled().is_empty() {
                    return Poll::Ready(Ok(None));
                }
                self.left_behind = room.remaining() == 0;
                let next = room.filled();
                if self.is_partial(next) {
                    // Only what is new is copied: it may come octet by octet.
                    self.input.extend_from_slice(next);
                    return Poll::Ready(Ok(Some(Batch {
                        taken: 0,
                        made: 0,
                        end: End::Input,
                    })));
                }
                filled += next.len();
            }
            input[..self.input.len()].copy_from_slice(&self.input);
            let batch = answer(&input[..filled], output);
            self.input = input[batch.taken..filled].to_vec();
            let mut unsent = &output[..batch.made];
            while !unsent.is_empty() {
                match stream.as_mut().poll_write(context, unsent)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(sent) => unsent = &unsent[sent..],
                    Poll::Pending => break,
                }
            }
            self.output = unsent.to_vec();
            Poll::Ready(Ok(Some(batch)))
        })
    }
}

/// Answers a batch from the view that is published now.
fn answer_now(
    service: &Service,
    asked: Asked,
    counters: &Counters,
    queries: &[u8],
    out: &mut [u8],
) -> Batch {
    let mut tally = Tally::default();
    let (proof, view) = (service.served.proof(), service.served.view());
    let mut responder = service.responder(proof, &view);
    let batch = answer(queries, out, |query, out| {
        responder.respond(query, Transport::Tcp, asked, &mut tally, out)
    });
    counters.add(&tally);
    batch
}

/// What was done with messages that have come in.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    /// How many octets of them were taken.
    taken: usize,
    /// How many octets of responses there are.
    made: usize,
    end: End,
}

/// Why a batch has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// There is no whole message any more.
    Input,
    /// There may be no room for another response.
    Output,
    /// The next message needs the barrier.
    Later,
    /// The last message gets no response.
    Senseless,
}

/// Answers the whole messages at the front of `input`, as long as `output` has room for the largest response.
fn answer(
    input: &[u8],
    output: &mut [u8],
    mut respond: impl FnMut(&[u8], &mut [u8]) -> Reply,
) -> Batch {
    let (mut taken, mut made) = (0, 0);
    let end = loop {
        let message = input[taken..].split_first_chunk();
        let Some(query) =
            message.and_then(|(len, rest)| rest.get(..u16::from_be_bytes(*len).into()))
        else {
            break End::Input;
        };
        if output.len() - made < FRAME_MAX {
            break End::Output;
        }
        let (front, out) = output[made..].split_at_mut(2);
        match respond(query, &mut out[..OCTETS_MAX]) {
            Reply::Ready(len) => {
                front.copy_from_slice(&(len as u16).to_be_bytes());
                made += 2 + len;
            }
            Reply::Later => break End::Later,
            Reply::Silent => {
                taken += 2 + query.len();
                break End::Senseless;
            }
        }
        taken += 2 + query.len();
    };
    Batch { taken, made, end }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;

    use super::*;
    use crate::server::QUERY;

    #[test]
    fn whole_messages_are_answered_together() {
        let mut output = vec![0; 2 * FRAME_MAX];
        let mut turned = |input: &[u8]| {
            let batch = answer(input, &mut output, |query, out| {
                if query.is_empty() {
                    return Reply::Silent;
                }
                if query == b"later" {
                    return Reply::Later;
                }
                out[..query.len()].copy_from_slice(query);
                out[..query.len()].reverse();
                Reply::Ready(query.len())
            });
            (output[..batch.made].to_vec(), batch.taken, batch.end)
        };
        assert_eq!(
            turned(b"\0\x02ab\0\x03cde\0\x02f"),
            (b"\0\x02ba\0\x03edc".to_vec(), 9, End::Input)
        );
        for part in [&b""[..], b"\0", b"\0\x01"] {
            assert_eq!(turned(part), (vec![], 0, End::Input));
        }
        // What has no response ends it; what was answered before is sent.
        assert_eq!(
            turned(b"\0\x01a\0\0\0\x01b"),
            (b"\0\x01a".to_vec(), 5, End::Senseless)
        );
        // What is answered later is not taken yet.
        assert_eq!(
            turned(b"\0\x01a\0\x05later\0\x01b"),
            (b"\0\x01a".to_vec(), 3, End::Later)
        );
    }

    #[test]
    fn the_largest_responses_wait_for_room() {
        let mut output = vec![0; 2 * FRAME_MAX];
        let input = [0, 1, b'a'].repeat(4);
        let batch = answer(&input, &mut output, |_, out| Reply::Ready(out.len()));
        assert_eq!(
            batch,
            Batch {
                taken: 6,
                made: 2 * FRAME_MAX,
                end: End::Output
            }
        );
    }

    #[test]
    fn a_connection_keeps_only_what_has_to_wait() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        // Room for 8 octets each way.
        let (mut client, mut server) = tokio::io::duplex(8);
        let mut kept = Kept::default();
        let mut turn = |reads| {
            let echo = |input: &[u8], output: &mut [u8]| {
                answer(input, output, |query, out| {
                    out[..query.len()].copy_from_slice(query);
                    Reply::Ready(query.len())
                })
            };
            let turn = kept.turn(&mut context, Pin::new(&mut server), reads, echo);
            let taken = match turn {
                Poll::Ready(Ok(Some(batch))) => Some(batch.taken),
                _ => None,
            };
            let capacity = [kept.input.capacity(), kept.output.capacity()];
            (taken, [kept.input.len(), kept.output.len()], capacity)
        };
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut send = |octets: &[u8]| {
            let sent = Pin::new(&mut client).poll_write(&mut context, octets);
            assert!(matches!(sent, Poll::Ready(Ok(sent)) if sent == octets.len()));
        };
        assert_eq!(turn(true), (None, [0, 0], [0, 0]), "nothing has come");
        send(b"\0\x01a\0\x03b");
        assert_eq!(turn(true), (Some(3), [3, 0], [3, 0]), "half a query waits");
        send(b"cd");
        assert_eq!(turn(true), (Some(5), [0, 0], [0, 0]), "it is answered");
        send(b"\0\x02ef");
        assert_eq!(turn(true), (Some(4), [0, 4], [0, 4]), "nobody reads");
    }

    #[test]
    fn a_query_that_comes_octet_by_octet_is_copied_a_few_times() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut client, mut server) = tokio::io::duplex(8);
        let mut kept = Kept::default();
        let (mut looks, mut places) = (0, 0);
        let query = [&b"\x10\0"[..], &[b'x'; 0x1000]].concat();
        for octet in &query {
            let sent = Pin::new(&mut client).poll_write(&mut context, &[*octet]);
            assert!(matches!(sent, Poll::Ready(Ok(1))));
            let before = kept.octets();
            let turn = kept.turn(&mut context, Pin::new(&mut server), true, |input, _| {
                looks += 1;
                Batch {
                    taken: input.len(),
                    made: 0,
                    end: End::Input,
                }
            });
            assert!(matches!(turn, Poll::Ready(Ok(Some(_)))));
            places += usize::from(kept.octets() != before);
        }
        assert_eq!((looks, kept.octets()), (1, 0));
        assert!(places < 20, "it was moved {places} times");
    }

    #[tokio::test]
    async fn who_has_come_before_the_end_is_served() {
        let (_, service) = Service::without_data();
        let limit = Duration::from_secs(5);
        let connections = Connections::new(Limits::new(1000, limit, limit), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        // Nobody has accepted these yet.
        let query = [b"\0\x11", &QUERY[..]].concat();
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await.expect("it listens");
            client.write_all(&query).await.expect("sent");
            clients.push(client);
        }
        let counters = Arc::new(Counters::default());
        let stop = CancellationToken::new();
        stop.cancel();
        serve(service, listener.into(), connections, counters, stop).await;
        for mut client in clients {
            let mut response = Vec::new();
            client.read_to_end(&mut response).await.expect("an answer");
            // Nothing is known yet: SERVFAIL.
            assert!(response.len() > 5 && response[5] & 15 == 2, "{response:?}");
        }
    }
}
