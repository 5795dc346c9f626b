//! A door between a front-end and etcd, to cut the one off without touching the other.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections to one member of etcd, while it is open.
pub struct Gate {
    endpoint: String,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open gate to a URL, with a URL of its own.
    pub async fn to(url: &str) -> Self {
        let target = url
            .strip_prefix("http://")
            .unwrap_or(url)
            .parse()
            .expect("the URL of an address");
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port of the kernel's choice");
        let endpoint = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound socket has an address")
        );
        let (open, state) = watch::channel(true);
        let task = tokio::spawn(accept(listener, target, state));
        Gate {
            endpoint,
            open,
            task,
        }
    }

    /// The URL to give to the front-end.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Drops all connections, and every new one.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *state.borrow() {
            tokio::spawn(forward(client, target, state.clone()));
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = state.wait_for(|open| !open) => {}
    }
}
