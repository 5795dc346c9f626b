//! What is known of a message that came in.

use std::net::SocketAddr;

/// A message that came in, and how.
#[derive(Clone, Copy)]
pub struct Request<'q> {
    /// The message.
    pub octets: &'q [u8],
    /// Its sender.
    pub peer: &'q dyn Peer,
    /// How it came, and how its response goes.
    pub transport: Transport,
    /// What the barrier says about the view.
    pub confirmation: Confirmation,
}

/// The sender of a request. Over UDP the address is converted from the kernel's format only when it is used.
pub trait Peer {
    /// The address and port.
    fn address(&self) -> SocketAddr;
}

impl Peer for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

/// How a request and its response travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram each. The client and [`UDP_OCTETS_MAX`](super::UDP_OCTETS_MAX) limit the response.
    Udp,
    /// In a stream of messages of at most [`OCTETS_MAX`](super::OCTETS_MAX).
    Tcp,
    /// In such a stream over TLS (RFC 7858).
    Tls,
    /// In an HTTP request and its response (RFC 8484).
    Https,
    /// In a QUIC stream each (RFC 9250).
    Quic,
}

impl Transport {
    /// Whether nobody on the way can read the messages.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }

    /// Whether clients may ask how long their connection may be idle (RFC 7828): only over TCP, with or without TLS.
    /// Over UDP the option is ignored (3.2.2); HTTP and QUIC have means of their own.
    pub fn has_keepalive(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

/// Whether the view is known to have every write that was acknowledged before the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The barrier was not asked.
    Unasked,
    /// The barrier answered: true if it confirmed the view, false if it could not in time.
    Answered(bool),
}
