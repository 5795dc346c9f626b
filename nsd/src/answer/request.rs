//! What is known of a message that came in.

use std::net::SocketAddr;

use crate::policy::Transport;

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

/// Whether the view is known to have every write that was acknowledged before the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The barrier was not asked.
    Unasked,
    /// The barrier answered: true if it confirmed the view, false if it could not in time.
    Answered(bool),
}
