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

/// What the next request with certain octets in it meets with: from then on its connection is held up, one way, until
/// that is let go.
#[derive(Clone)]
struct Trap {
    caught: Arc<Mutex<Caught>>,
    /// Whether nothing is held up.
    free: watch::Sender<bool>,
}

#[derive(Default)]
struct Caught {
    laid: Option<(Vec<u8>, Way)>,
    /// Whether the request has gone on to etcd.
    is_through: bool,
}

impl Trap {
    fn new() -> Self {
        Trap {
            caught: Arc::default(),
            free: watch::Sender::new(true),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Caught> {
        self.caught.lock().expect("no panic with it held")
    }

    /// Which way is held up now, if this is what it was laid for. It is gone then.
    fn springs(&self, octets: &[u8]) -> Option<Way> {
        let is_in = |bait: &[u8]| octets.windows(bait.len()).any(|window| window == bait);
        let sprung = self.lock().laid.take_if(|(bait, _)| is_in(bait));
        sprung.map(|(_, way)| way)
    }
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
        let trap = Trap::new();
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

    /// Keeps the next request that has these octets in it, or the answer to it, with all that follows on its
    /// connection, until it is let go. What is under way gets there even if the other end has gone.
    pub fn hold_up(&self, bait: &str, way: Way) {
        self.trap.free.send_replace(false);
        *self.trap.lock() = Caught {
            laid: Some((bait.into(), way)),
            is_through: false,
        };
    }

    /// Lets what is held up go on.
    pub fn let_go(&self) {
        self.trap.free.send_replace(true);
    }

    /// Whether the request that was waited for has come.
    pub fn is_caught(&self) -> bool {
        self.trap.lock().laid.is_none()
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
    let held = watch::Sender::new(None);
    let lane = |way| Lane {
        state: state.clone(),
        way,
        trap: trap.clone(),
        held: held.clone(),
    };
    let (there, back) = (lane(Way::There), lane(Way::Back));
    let mut closing = state.clone();
    tokio::select! {
        _ = async { tokio::join!(there.go(near_in, far_out), back.go(far_in, near_out)) } => {}
        _ = closing.wait_for(|passage| *passage == Passage::Closed) => {}
    }
}

/// One way of one connection.
struct Lane {
    state: State,
    way: Way,
    trap: Trap,
    /// Which way of the connection is held up.
    held: watch::Sender<Option<Way>>,
}

/// Octets that came, and when they go on. None at all are the end.
struct Chunk {
    due: Instant,
    octets: Vec<u8>,
    is_caught: bool,
    is_held: bool,
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
                if chunk.is_held
                    && self
                        .trap
                        .free
                        .subscribe()
                        .wait_for(|free| *free)
                        .await
                        .is_err()
                {
                    break;
                }
                let is_open = |passage: &Passage| matches!(passage, Passage::Open(_));
                if state.wait_for(is_open).await.is_err()
                    || to.write_all(&chunk.octets).await.is_err()
                {
                    break;
                }
                if chunk.is_caught {
                    self.trap.lock().is_through = true;
                }
            }
            to.shutdown().await
        };
        // What fails is seen at both ends, as a connection that ends.
        let _ = tokio::join!(read, write);
    }

    fn chunk(&self, octets: Vec<u8>) -> Chunk {
        let sprung = match self.way {
            Way::There => self.trap.springs(&octets),
            Way::Back => None,
        };
        if sprung.is_some() {
            self.held.send_replace(sprung);
        }
        let delay = match *self.state.borrow() {
            Passage::Open(delay) => delay,
            Passage::Silent | Passage::Closed => Duration::ZERO,
        };
        Chunk {
            due: Instant::now() + delay,
            octets,
            is_caught: sprung.is_some(),
            is_held: *self.held.borrow() == Some(self.way),
        }
    }
}
