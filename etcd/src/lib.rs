//! DNS records in etcd.
//!
//! - [`model`]: names, types, rdata, RRsets, zones, master files.
//! - [`schema`]: the keys and values that hold them in etcd.
//! - [`txn`]: plans changes as etcd transactions.
//! - [`mirror`]: the state machine that keeps a copy of everything, by list and watch.
//! - `client` (feature `client`): the only part that does input and output.
//! - `options` (feature `options`): the command-line options that the programs share.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

#[cfg(feature = "client")]
pub mod client;
pub mod mirror;
pub mod model;
#[cfg(feature = "options")]
pub mod options;
pub mod schema;
pub mod txn;
