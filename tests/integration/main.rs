//! End to end: real etcd clusters, real `nsd` and `nsctl` processes, real queries. One module a theme.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is the report"
)]

mod harness;
