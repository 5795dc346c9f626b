//! `nsd`: a front-end that answers DNS from an in-memory mirror of etcd.
//!
//! ```text
//! etcd ──► mirror ──► zone::View ──published──► answer ◄──► server ◄──► clients
//!            │                                  │
//!            └──► admin (status, metrics) ◄─────┘ counters
//! ```
//!
//! - [`zone`], [`message`]: pure. The view that is served and the resolver over it; octets to questions and
//!   answers to octets. They know nothing of etcd, clocks or sockets.
//! - [`answer`]: from a request to its reply, for all transports. Reads the published view, never waits for anything else.
//! - [`server`]: the sockets, UDP and TCP.
//! - [`mirror`]: builds views from what etcd says and publishes them, and knows how fresh they are.
//! - [`config`], [`admin`], [`metrics`], [`run`], [`dev`]: settings, HTTP, counters, life and death of
//!   the process, and the trial mode.
//!
//! All but the pure parts is behind the feature `daemon`, which is on by default.

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
#[cfg(feature = "daemon")]
pub mod run;
#[cfg(feature = "daemon")]
pub mod served;
#[cfg(feature = "daemon")]
pub mod server;
#[cfg(feature = "daemon")]
pub mod supervisor;
pub mod zone;

/// The record model, which is all that the pure parts see of the `etcd` crate.
pub use etcd::model;
