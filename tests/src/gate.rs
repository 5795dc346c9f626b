//! A door between a front-end and etcd, to cut the one off without touching the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Forwards connections to one member of etcd, while it is open.
pub struct Gate {
    endpoint: String,
    passage: watch::Sender<Passage>,
    trap: Trap,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passage {
    Closed,
    /// Connections stay, and nothing comes through.
    Silent,
    /// Every octet is late by so much, each way.
    Open(Duration),
}

type State = watch::Receiver<Passage>;

/// Which way octets go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To etcd.
    There,
    /// From etcd.
    Back,
}

/// What the next request with certain octets in it meets with: from then on its connection is late by so much, one way.
#[derive(Clone, Default)]
struct Trap(Arc<Mutex<Caught>>);

#[derive(Default)]
struct Caught {
    laid: Option<(Vec<u8>, Way, Duration)>,
    /// Whether the request has gone on to etcd.
    is_through: bool,
}

impl Trap {
    fn lock(&self) -> MutexGuard<'_, Caught> {
        self.0.lock().expect("no panic with it held")
    }

    /// Whether this is what it was laid for. It is gone then.
    fn springs(&self, octets: &[u8]) -> Option<(Way, Duration)> {
        let is_in = |bait: &[u8]| octets.windows(bait.len()).any(|window| window == bait);
        let sprung = self.lock().laid.take_if(|(bait, ..)| is_in(bait));
        sprung.map(|(_, way, delay)| (way, delay))
    }
}

/// By how much one connection is late each way.
#[derive(Clone, Copy, Default)]
struct Lag {
    there: Duration,
    back: Duration,
}

impl Gate {
    /// An open gate to a URL, with a URL of its own.
    pub async fn to(url: &str) -> Self {
        let (scheme, authority) = url.split_once("://").unwrap_or(("http", url));
        let target = authority.parse().expect("the URL of an address");
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port of the kernel's choice");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (passage, state) = watch::channel(Passage::Open(Duration::ZERO));
        let trap = Trap::default();
        let task = tokio::spawn(accept(listener, target, state, trap.clone()));
        Gate {
            endpoint: format!("{scheme}://{address}"),
            passage,
            trap,
            task,
        }
    }

    /// The URL to give to the front-end.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Drops all connections, and every new one.
    pub fn close(&self) {
        self.passage.send_replace(Passage::Closed);
    }

    /// Keeps all connections, and everything that is sent over them.
    pub fn silence(&self) {
        self.passage.send_replace(Passage::Silent);
    }

    /// Lets everything through, late by so much each way.
    pub fn delay(&self, delay: Duration) {
        self.passage.send_replace(Passage::Open(delay));
    }

    /// Lets the next request that has these octets in it be late, or the answer to it, with all that follows on its
    /// connection. What is under way gets there even if the other end has gone.
    pub fn hold_up(&self, bait: &str, way: Way, delay: Duration) {
        *self.trap.lock() = Caught {
            laid: Some((bait.into(), way, delay)),
            is_through: false,
        };
    }

    /// Whether the request that was waited for has gone on to etcd.
    pub fn is_through(&self) -> bool {
        self.trap.lock().is_through
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.delay(Duration::ZERO);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: State, trap: Trap) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() != Passage::Closed {
            tokio::spawn(forward(client, target, state.clone(), trap.clone()));
        }
    }
}

async fn forward(near: TcpStream, target: SocketAddr, state: State, trap: Trap) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    // Without it, what is small waits for what was sent before; a failure shows as a connection that ends.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (lag, lags) = watch::channel(Lag::default());
    let there = Lane {
        state: state.clone(),
        way: Way::There,
        lags,
        trap: Some((trap, lag)),
    };
    let back = Lane {
        state: state.clone(),
        way: Way::Back,
        lags: there.lags.clone(),
        trap: None,
    };
    let mut closing = state;
    tokio::select! {
        _ = async { tokio::join!(there.go(near_in, far_out), back.go(far_in, near_out)) } => {}
        _ = closing.wait_for(|passage| *passage == Passage::Closed) => {}
    }
}

/// One way of one connection.
struct Lane {
    state: State,
    way: Way,
    lags: watch::Receiver<Lag>,
    /// Where requests come by.
    trap: Option<(Trap, watch::Sender<Lag>)>,
}

/// Octets that came, and when they go on. None at all are the end.
struct Chunk {
    due: Instant,
    octets: Vec<u8>,
    is_caught: bool,
}

impl Lane {
    async fn go(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (sender, mut waiting) = mpsc::channel::<Chunk>(1024);
        let read = async {
            // Dropped at the end of the connection, of which the other side is told so.
            let sender = sender;
            let mut buffer = vec![0; 64 << 10];
            loop {
                let length = from.read(&mut buffer).await.unwrap_or(0);
                let chunk = self.chunk(buffer[..length].to_vec());
                if sender.send(chunk).await.is_err() || length == 0 {
                    break;
                }
            }
        };
        let write = async {
            let mut state = self.state.clone();
            while let Some(chunk) = waiting.recv().await {
                sleep_until(chunk.due).await;
                let is_open = |passage: &Passage| matches!(passage, Passage::Open(_));
                if state.wait_for(is_open).await.is_err()
                    || to.write_all(&chunk.octets).await.is_err()
                {
                    break;
                }
                if let (true, Some((trap, _))) = (chunk.is_caught, &self.trap) {
                    trap.lock().is_through = true;
                }
            }
            to.shutdown().await
        };
        // What fails is seen at both ends, as a connection that ends.
        let _ = tokio::join!(read, write);
    }

    fn chunk(&self, octets: Vec<u8>) -> Chunk {
        let mut is_caught = false;
        if let Some((trap, lag)) = &self.trap
            && let Some((way, delay)) = trap.springs(&octets)
        {
            is_caught = true;
            lag.send_modify(|lag| match way {
                Way::There => lag.there = delay,
                Way::Back => lag.back = delay,
            });
        }
        let lag = match self.way {
            Way::There => self.lags.borrow().there,
            Way::Back => self.lags.borrow().back,
        };
        let delay = match *self.state.borrow() {
            Passage::Open(delay) => delay,
            Passage::Silent | Passage::Closed => Duration::ZERO,
        };
        Chunk {
            due: Instant::now() + delay + lag,
            octets,
            is_caught,
        }
    }
}
