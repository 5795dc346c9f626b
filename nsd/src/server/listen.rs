//! Binds UDP and TCP sockets on the same addresses and ports.
//!
//! IPv6 sockets accept IPv6 only, so `0.0.0.0:53` and `[::]:53` can be bound together.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tracing::info;

#[cfg(target_os = "linux")]
use super::batch;
use super::{cannot_listen, udp};

/// The most connections that wait in the kernel to be accepted.
pub(super) const BACKLOG: usize = 1024;

/// The size of the kernel's buffers for a UDP socket, in octets.
const UDP_BUFFER_OCTETS: usize = 4 << 20;

/// How many ports to try if the system chooses: it chooses one that is free for TCP, which may be taken for UDP.
const PORTS_TRIED: usize = 20;

/// Sockets that are bound.
#[derive(Debug, Default)]
pub struct Sockets {
    /// The addresses, with the port that the system chose in place of 0.
    pub addresses: Vec<SocketAddr>,
    /// For each address, a socket per worker.
    pub udp: Vec<Vec<UdpSocket>>,
    /// A listener for each address.
    pub tcp: Vec<TcpListener>,
    /// The addresses for encrypted transports, with the port that the system chose in place of 0.
    pub encrypted: EncryptedAddresses,
    /// The listeners for DNS over TLS.
    pub tls: Vec<TcpListener>,
    /// The listeners for DNS over HTTPS.
    pub https: Vec<TcpListener>,
    /// The sockets for DNS over QUIC.
    pub quic: Vec<UdpSocket>,
}

impl Sockets {
    /// Binds these addresses for the encrypted transports.
    pub fn bind_encrypted(&mut self, addresses: &EncryptedAddresses) -> io::Result<()> {
        let tcp = |address| bind_tcp(address).map_err(|error| ("TCP", error));
        let udp = |address| bind_quic(address).map_err(|error| ("UDP", error));
        (self.encrypted.tls, self.tls) = bind_all(&addresses.tls, tcp, TcpListener::local_addr)?;
        (self.encrypted.https, self.https) =
            bind_all(&addresses.https, tcp, TcpListener::local_addr)?;
        (self.encrypted.quic, self.quic) = bind_all(&addresses.quic, udp, UdpSocket::local_addr)?;
        Ok(())
    }
}

/// Binds all of these. Returns the addresses, too, with the ports that the system chose.
fn bind_all<S>(
    addresses: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> Result<S, (&'static str, io::Error)>,
    local: impl Fn(&S) -> io::Result<SocketAddr>,
) -> io::Result<(Vec<SocketAddr>, Vec<S>)> {
    let bound = addresses.iter().map(|&address| {
        let socket = bind(address)
            .map_err(|(protocol, error)| BindError { protocol, error }.into_error(address))?;
        Ok((local(&socket)?, socket))
    });
    bound.collect()
}

impl fmt::Display for EncryptedAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("tls", &self.tls),
            ("https", &self.https),
            ("quic", &self.quic),
        ];
        let all = all
            .iter()
            .flat_map(|(name, addresses)| addresses.iter().map(move |at| (name, at)));
        for (index, (name, address)) in all.enumerate() {
            let separator = if index > 0 { "," } else { "" };
            write!(f, "{separator}{name}://{address}")?;
        }
        Ok(())
    }
}

/// Where to answer over encrypted transports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptedAddresses {
    /// For DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// For DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// For DNS over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// Binds every address. With `where_possible`, skips addresses of a family that this host does not have; at least one
/// address has to remain.
pub fn bind(listen: &[SocketAddr], where_possible: bool, workers: usize) -> io::Result<Sockets> {
    let mut sockets = Sockets::default();
    let mut left_out = None;
    for &address in listen {
        match bind_free(address, workers) {
            Ok((tcp, udp)) => {
                sockets.addresses.push(tcp.local_addr()?);
                sockets.tcp.push(tcp);
                sockets.udp.push(udp);
            }
            Err(failed) if where_possible && failed.is_missing_family() => {
                info!(%address, error = %failed.error, "not listening here: the host does not have this address family");
                left_out.get_or_insert((address, failed));
            }
            Err(failed) => return Err(failed.into_error(address)),
        }
    }
    match left_out {
        Some((address, failed)) if sockets.addresses.is_empty() => Err(failed.into_error(address)),
        _ => Ok(sockets),
    }
}

/// The error of binding an address.
struct BindError {
    protocol: &'static str,
    error: io::Error,
}

impl BindError {
    /// Whether the host lacks the address family: IPv6 may be disabled in the kernel or on the interfaces.
    fn is_missing_family(&self) -> bool {
        self.error.raw_os_error() == Some(libc::EAFNOSUPPORT)
            || self.error.kind() == io::ErrorKind::AddrNotAvailable
    }

    fn into_error(self, address: SocketAddr) -> io::Error {
        let BindError { protocol, error } = self;
        io::Error::new(error.kind(), cannot_listen(protocol, address, &error))
    }
}

/// Binds one address. For port 0 finds a port that is free for both TCP and UDP.
fn bind_free(
    address: SocketAddr,
    workers: usize,
) -> Result<(TcpListener, Vec<UdpSocket>), BindError> {
    let mut tries = if address.port() == 0 { PORTS_TRIED } else { 1 };
    loop {
        tries -= 1;
        let failed = |protocol| move |error| BindError { protocol, error };
        let tcp = bind_tcp(address).map_err(failed("TCP"))?;
        let bound = tcp.local_addr().map_err(failed("TCP"))?;
        let udp: io::Result<Vec<UdpSocket>> = (0..workers).map(|_| bind_udp(bound)).collect();
        match udp {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if tries == 0 => return Err(failed("UDP")(error)),
            Err(_) => {}
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // After a restart, connections of the previous process may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG as i32)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_quic(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The kernel may grant less, which is enough to serve.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(UDP_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(udp::STOP_POLL))?;
    #[cfg(target_os = "linux")]
    if address.ip().is_unspecified() {
        batch::tell_destination(&socket, address.is_ipv6())?;
    }
    Ok(socket)
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that no host has (RFC 5737, RFC 3849).
    const NOWHERE: [&str; 2] = ["192.0.2.1:0", "[2001:db8::1]:0"];

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| text.parse().expect("an address");
        texts.iter().map(parse).collect()
    }

    #[test]
    fn addresses_of_missing_families_are_skipped_on_request() {
        let listen = addresses(&[NOWHERE[1], "127.0.0.1:0"]);
        let sockets = bind(&listen, true, 2).expect("one of them can be bound");
        assert_eq!(sockets.addresses.len(), 1);
        assert_eq!(sockets.addresses[0].ip(), listen[1].ip());
        assert_eq!((sockets.udp[0].len(), sockets.tcp.len()), (2, 1));
        let error = bind(&listen, false, 2).expect_err("an address that is not there");
        assert!(error.to_string().contains("TCP [2001:db8::1]:0"), "{error}");
        let error = bind(&addresses(&NOWHERE), true, 1).expect_err("none is there");
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
        // An address in use is not missing.
        let taken = sockets.addresses;
        bind(&taken, true, 1).expect_err("another one listens there");
    }

    #[test]
    fn ipv6_sockets_leave_ipv4_alone() {
        let any = addresses(&["[::]:0"]);
        if bind(&any, false, 1).is_err() {
            return; // There is no IPv6 here.
        }
        // Another process may have the port for IPv4, but not time and again.
        let both = (0..PORTS_TRIED).any(|_| {
            let ipv6 = bind(&any, false, 1).expect("it was there a moment ago");
            let ipv4 = SocketAddr::from(([0, 0, 0, 0], ipv6.addresses[0].port()));
            bind(&[ipv4], false, 1).is_ok()
        });
        assert!(both, "an IPv6 socket takes the port for IPv4, too");
    }
}
