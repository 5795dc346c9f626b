//! DNS records in etcd.
//!
//! - [`model`]: names, types, rdata, RRsets, zones, master files.
//! - [`schema`]: how they are laid out in etcd, keys and values.
//! - [`txn`]: changes to them as plans of etcd transactions.
//! - [`mirror`]: the state machine that keeps a copy of all of it, by list and watch.
//! - `client` (feature `client`): the only part that does input and output.
//! - `options` (feature `options`): the command-line options that the programs share.

#[cfg(feature = "client")]
pub mod client;
pub mod mirror;
pub mod model;
#[cfg(feature = "options")]
pub mod options;
pub mod schema;
pub mod txn;
