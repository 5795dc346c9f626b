//! TCP (RFC 7766): many queries a connection, answered in the order they come; idle connections are closed,
//! and there is a limit to how many there are.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::{OCTETS_MAX, Service, Transport};
use crate::metrics::{Counters, Tally};

/// Limits that keep one client, or all of them, from taking everything.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at most.
    pub connections: usize,
    /// When an idle connection is closed, and one whose client does not take its answers.
    pub idle: Duration,
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

/// Accepts connections until `stop` comes true; those that are open then are served until they are idle.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    limits: Limits,
    counters: Arc<Counters>,
    mut stop: watch::Receiver<bool>,
) {
    let open = Arc::new(Mutex::new(Open::default()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
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
        tokio::spawn(async move {
            // What a client does to its own connection is no news.
            let _ = converse(&service, stream, limits.idle, &counters, stop).await;
            drop(seat);
        });
    }
}

async fn converse(
    service: &Service,
    mut stream: TcpStream,
    idle: Duration,
    counters: &Counters,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut query = Vec::new();
    // Two octets for the length in front.
    let mut response = vec![0; 2 + OCTETS_MAX];
    loop {
        let len = tokio::select! {
            len = timeout(idle, stream.read_u16()) => usize::from(len??),
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        };
        query.resize(len, 0);
        timeout(idle, stream.read_exact(&mut query)).await??;
        let mut tally = Tally::default();
        let len = {
            let view = service.view.load();
            service
                .responder(&view)
                .respond(&query, Transport::Tcp, &mut tally, &mut response[2..])
        };
        counters.add(&tally);
        if len == 0 {
            // Nothing that follows such a message makes sense.
            return Ok(());
        }
        response[..2].copy_from_slice(&(len as u16).to_be_bytes());
        timeout(idle, stream.write_all(&response[..2 + len])).await??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_limited_and_given_back() {
        let open = Arc::new(Mutex::new(Open::default()));
        let limits = Limits {
            connections: 4,
            idle: Duration::from_secs(1),
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
