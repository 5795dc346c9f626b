//! A door between a front-end and etcd, to cut the one off without touching the other.

use std::net::SocketAddr;
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
        let task = tokio::spawn(accept(listener, target, state));
        Gate {
            endpoint: format!("{scheme}://{address}"),
            passage,
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

async fn accept(listener: TcpListener, target: SocketAddr, state: State) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() != Passage::Closed {
            tokio::spawn(forward(client, target, state.clone()));
        }
    }
}

async fn forward(near: TcpStream, target: SocketAddr, state: State) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    // Without it, what is small waits for what was sent before; a failure shows as a connection that ends.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let (there, back) = (state.clone(), state.clone());
    let mut closing = state;
    tokio::select! {
        _ = async { tokio::join!(one_way(near_in, far_out, there), one_way(far_in, near_out, back)) } => {}
        _ = closing.wait_for(|passage| *passage == Passage::Closed) => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: State) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let arrivals = state.clone();
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let delay = match *arrivals.borrow() {
                Passage::Open(delay) => delay,
                Passage::Silent | Passage::Closed => Duration::ZERO,
            };
            let chunk = (Instant::now() + delay, buffer[..length].to_vec());
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, octets)) = waiting.recv().await {
            sleep_until(due).await;
            let is_open = |passage: &Passage| matches!(passage, Passage::Open(_));
            if state.wait_for(is_open).await.is_err() || to.write_all(&octets).await.is_err() {
                break;
            }
        }
        to.shutdown().await
    };
    // What fails is seen at both ends, as a connection that ends.
    let _ = tokio::join!(read, write);
}
