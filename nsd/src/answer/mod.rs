//! From a request to its reply, for all transports.
//!
//! ```text
//! Request: octets, peer, transport ──► Responder::respond ──► Reply: none, one message, a stream of messages,
//!                    ▲                                          │    or NeedsConfirmation
//!                    └────────── Barrier: confirmed, or not ◄───┘
//! ```
//!
//! The responder reads only the published view and its settings: it does not wait, lock or allocate. The sockets are in
//! `server`.

mod barrier;
mod limit;
mod reply;
mod request;
mod responder;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
pub use barrier::{Barrier, Rounds};
pub use reply::{Messages, Reply};
pub use request::{Confirmation, Peer, Request};
pub use responder::Responder;

use crate::policy::Policy;
pub use crate::policy::Transport;
use crate::served::{Proof, Served};
use crate::zone::View;

/// The most octets of a response over UDP, whatever the client accepts: larger ones are fragmented on their way, and
/// fragments get lost (RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;

/// The most octets of a message.
pub const OCTETS_MAX: usize = 65_535;

/// What all transports need to answer queries.
#[derive(Clone)]
pub struct Service {
    /// The zones, and when they were last proved complete.
    pub served: Served,
    /// The age from which answers are marked stale (RFC 8914); `None` never marks them.
    pub stale_after: Option<Duration>,
    /// Where queries for `linearizable` zones wait.
    pub barrier: Barrier,
    /// The settings about clients. A reload replaces them.
    pub policy: Arc<ArcSwap<Policy>>,
    /// Server identity; empty to keep it secret.
    pub nsid: String,
    /// Software version; empty to keep it secret.
    pub version: String,
    /// How long a TCP connection may be idle, to tell clients that ask.
    pub tcp_idle: Duration,
}

impl Service {
    /// A responder for this view and for the policy of this moment. Load `proof` before `view`; otherwise an old view could pass as fresh.
    pub fn responder<'v>(&'v self, proof: Proof, view: &'v View) -> Responder<'v> {
        Responder::new(self, Instant::now(), proof, view)
    }
}
