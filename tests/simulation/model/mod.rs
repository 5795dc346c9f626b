//! A model of an etcd cluster behind a network, all in one thread and on a virtual clock.
//!
//! - `store`: what etcd stores, at every revision.
//! - `cluster`: members that lag behind, the leader, leases, and what goes wrong.
//! - `server`: etcd's gRPC services, as one member offers them.
//! - `line`: the connections of one client to one member, which lose, delay and repeat.

mod cluster;
mod line;
mod server;
mod store;

pub(crate) use cluster::{Cluster, Cut, Network, State, now};
pub(crate) use line::line;
pub(crate) use store::Store;
