//! `nsd`: a front-end that answers DNS from an in-memory mirror of etcd.
//!
//! ```text
//! etcd ──► mirror ──► zone::View ──published──► answer ◄──► server ◄──► clients
//!            │                                  │
//!            └──► admin (status, metrics) ◄─────┘ counters
//! ```
//!
//! - [`zone`], [`message`]: pure. The view and the resolver over it; octets to questions and answers to octets. Of
//!   the `etcd` crate they use only `model`; they use no clock and no socket.
//! - [`policy`]: pure. Who may do what, and how often.
//! - [`answer`]: from a request to its reply, for all transports. It reads the published view, and waits for etcd only if the
//!   answer has to be linearizable.
//! - [`server`]: the sockets, UDP and TCP.
//! - [`mirror`]: builds views from what etcd holds, and publishes them.
//! - [`served`]: the published view, how fresh it is, and the state of the mirror. The mirror writes it; all others read it.
//! - [`fleet`]: the name of this front-end, and its registration in etcd.
//! - [`config`], [`admin`], [`metrics`], [`run`], [`dev`]: settings, HTTP, counters, start and shutdown of the process, and
//!   the trial mode. [`supervisor`]: owns the long-running tasks and threads.
//!
//! All but the pure parts need the feature `daemon`, which is on by default.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

#[cfg(feature = "daemon")]
pub mod admin;
#[cfg(feature = "daemon")]
pub mod answer;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod dev;
#[cfg(feature = "daemon")]
pub mod fleet;
#[cfg(feature = "daemon")]
mod memory;
pub mod message;
#[cfg(feature = "daemon")]
pub mod metrics;
#[cfg(feature = "daemon")]
pub mod mirror;
pub mod policy;
#[cfg(feature = "daemon")]
pub mod run;
#[cfg(feature = "daemon")]
pub mod served;
#[cfg(feature = "daemon")]
pub mod server;
#[cfg(feature = "daemon")]
pub mod supervisor;
pub mod zone;

/// The record model: all that the pure parts use of the `etcd` crate.
pub use etcd::model;
