//! TCP (RFC 7766): many queries a connection, answered in the order they come; idle connections are closed,
//! and there is a limit to how many there are.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::{Asked, OCTETS_MAX, Reply, Service, Transport};
use crate::metrics::{Counters, Tally};

/// Limits that keep one client, or all of them, from taking everything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at most.
    pub connections: usize,
    /// When an idle connection is closed, and one whose client does not take its answers.
    pub idle: Duration,
    /// How long what has come may take to be answered when all ends.
    pub drain: Duration,
}

/// Connections that there are, by client.
#[derive(Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// Counts a connection as long as it lives.
struct Seat {
    open: Arc<Mutex<Open>>,
    client: IpAddr,
}

impl Seat {
    /// A seat for a connection of this client. None if all are taken, or a quarter of all by this client.
    fn take(open: &Arc<Mutex<Open>>, client: IpAddr, limits: Limits) -> Option<Self> {
        let mut table = open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.by_client.get(&client).copied().unwrap_or(0);
        if table.total >= limits.connections || own >= limits.connections.div_ceil(4) {
            return None;
        }
        table.total += 1;
        table.by_client.insert(client, own + 1);
        Some(Seat {
            open: open.clone(),
            client,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        table.total -= 1;
        match table.by_client.get_mut(&self.client) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(table.by_client.remove(&self.client)),
        }
    }
}

/// Accepts connections until `stop` comes true; then what has come is answered, for so long as the limits say.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    limits: Limits,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    let open = Arc::new(Mutex::new(Open::default()));
    let (alive, mut ended) = mpsc::channel::<()>(1);
    // Connections that have come before the end are served, but not for ever.
    let mut last = BACKLOG;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        last -= usize::from(*stop.borrow());
        if last == 0 {
            break;
        }
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others will be closed.
                warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Beyond the limit a connection is closed at once: the client tells that from a lost one.
        let Some(seat) = Seat::take(&open, SocketAddr::ip(&client), limits) else {
            continue;
        };
        let (service, counters, stop) = (service.clone(), counters.clone(), stop.clone());
        let alive = alive.clone();
        tokio::spawn(async move {
            // What a client does to its own connection is no news.
            let _ = converse(&service, stream, limits.idle, &counters, stop).await;
            drop((seat, alive));
        });
    }
    drop((listener, alive));
    // Nobody sends: it ends with the last connection.
    let _ = timeout(limits.drain, ended.recv()).await;
}

/// So many connections may have come that were not accepted yet.
const BACKLOG: usize = 1024;

/// How long a connection is still read from at the end: what was sent before may be on its way.
const LINGER: Duration = Duration::from_millis(100);

/// A message with its length in front.
const FRAME_MAX: usize = 2 + OCTETS_MAX;

/// Serves one connection: takes what has come, answers all of it, sends all answers with one system call.
async fn converse(
    service: &Service,
    mut stream: TcpStream,
    idle: Duration,
    counters: &Counters,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Room for one more response behind as many as make a full one. Untouched memory is not there yet.
    let (mut input, mut output) = (vec![0; FRAME_MAX], vec![0; 2 * FRAME_MAX]);
    let mut filled = 0;
    // Renewed by whole messages only: one octet now and then keeps no connection.
    let mut due = Instant::now() + idle;
    let mut is_last = false;
    loop {
        let read = tokio::select! {
            biased;
            read = timeout_at(due, stream.read(&mut input[filled..])) => read??,
            _ = stop.wait_for(|stop| *stop), if !is_last => {
                (is_last, due) = (true, Instant::now() + LINGER);
                continue;
            }
        };
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let (mut taken, mut asked) = (0, Asked::Now);
        loop {
            let mut tally = Tally::default();
            let batch = {
                let (proof, view) = (service.proved.last(), service.view.load());
                let mut responder = service.responder(proof, &view);
                answer(&input[taken..filled], &mut output, |query, out| {
                    responder.respond(query, Transport::Tcp, asked, &mut tally, out)
                })
            };
            counters.add(&tally);
            taken += batch.taken;
            if batch.taken > 0 && !is_last {
                due = Instant::now() + idle;
            }
            if batch.made > 0 {
                timeout(idle, stream.write_all(&output[..batch.made])).await??;
            }
            match batch.end {
                End::Input => break,
                End::Output => {}
                // All that has come by now may be answered with what is told now.
                End::Later => asked = Asked::Confirmed(service.barrier.confirmed().await),
                // Nothing that follows such a message makes sense.
                End::Senseless => return Ok(()),
            }
        }
        input.copy_within(taken..filled, 0);
        filled -= taken;
    }
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

    #[tokio::test]
    async fn who_has_come_before_the_end_is_served() {
        let service = Service::without_data();
        let limits = Limits {
            connections: 1000,
            idle: Duration::from_secs(5),
            drain: Duration::from_secs(5),
        };
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
        let (stop, stopped) = watch::channel(true);
        serve(service, listener, limits, counters, stopped).await;
        for mut client in clients {
            let mut response = Vec::new();
            client.read_to_end(&mut response).await.expect("an answer");
            // Nothing is known yet: SERVFAIL.
            assert!(response.len() > 5 && response[5] & 15 == 2, "{response:?}");
        }
        drop(stop);
    }

    #[test]
    fn seats_are_limited_and_given_back() {
        let open = Arc::new(Mutex::new(Open::default()));
        let limits = Limits {
            connections: 4,
            idle: Duration::from_secs(1),
            drain: Duration::ZERO,
        };
        let client = |last| IpAddr::from([192, 0, 2, last]);
        let first = Seat::take(&open, client(1), limits);
        assert!(first.is_some() && Seat::take(&open, client(1), limits).is_none());
        let others: Vec<Seat> = (2..=4)
            .filter_map(|last| Seat::take(&open, client(last), limits))
            .collect();
        assert!(others.len() == 3 && Seat::take(&open, client(5), limits).is_none());
        drop(first);
        assert!(Seat::take(&open, client(5), limits).is_some());
        drop(others);
        assert!(open.lock().expect("the table").by_client.is_empty());
    }
}
