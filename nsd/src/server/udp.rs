//! UDP: threads that each have a socket of their own on every address (SO_REUSEPORT), so that the kernel
//! spreads the clients over them and they share nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::Cache;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::warn;

use super::{OCTETS_MAX, Service, Transport};
use crate::metrics::{Counters, Metrics};

/// How often a thread without queries looks whether it is to end.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Octets that wait in the kernel when a thread is behind.
const BUFFER_OCTETS: usize = 4 << 20;

/// The threads that answer.
#[derive(Debug)]
pub struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// The addresses, with the ports that were chosen where none was given.
    pub addresses: Vec<SocketAddr>,
}

/// Binds every address and starts to answer.
pub fn start(
    service: &Service,
    listen: &[SocketAddr],
    workers: usize,
    metrics: &Metrics,
) -> io::Result<Workers> {
    let mut sockets = Vec::new();
    let mut addresses = Vec::new();
    for &address in listen {
        let first = bind(address).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on UDP {address}: {error}"),
            )
        })?;
        let bound = first.local_addr()?;
        addresses.push(bound);
        sockets.push((0, first));
        for worker in 1..workers {
            sockets.push((worker, bind(bound)?));
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for (worker, socket) in sockets {
        let (service, stop, counters) = (service.clone(), stop.clone(), metrics.udp(worker));
        let thread = std::thread::Builder::new().name(format!("udp-{worker}"));
        threads.push(thread.spawn(move || answer(&service, &socket, &stop, &counters))?);
    }
    Ok(Workers {
        stop,
        threads,
        addresses,
    })
}

impl Workers {
    /// Ends the threads, after what they are just answering.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A thread that has panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel grants what it may; that is no reason not to serve.
    let _ = socket.set_recv_buffer_size(BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(BUFFER_OCTETS);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(STOP_POLL))?;
    Ok(socket)
}

fn answer(service: &Service, socket: &UdpSocket, stop: &AtomicBool, counters: &Counters) {
    let mut view = Cache::new(service.view.clone());
    let (mut query, mut response) = (vec![0; OCTETS_MAX], vec![0; OCTETS_MAX]);
    while !stop.load(Ordering::Relaxed) {
        let (len, client) = match socket.recv_from(&mut query) {
            Ok(received) => received,
            Err(error) => {
                use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
                // A client that went away before its answer came is reported here, too.
                if !matches!(
                    error.kind(),
                    WouldBlock | TimedOut | Interrupted | ConnectionRefused
                ) {
                    warn!(%error, "cannot receive");
                    std::thread::sleep(STOP_POLL);
                }
                continue;
            }
        };
        let len = service.respond(
            view.load(),
            &query[..len],
            Transport::Udp,
            counters,
            &mut response,
        );
        // Port 0 cannot be answered. Whatever else fails is the client's loss, who asks again.
        if len > 0 && client.port() != 0 {
            let _ = socket.send_to(&response[..len], client);
        }
    }
}
