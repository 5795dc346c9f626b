//! End to end: real etcd clusters, real `nsd` and `nsctl` processes, real queries. One module a theme.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and standard output is where skipped parts are told"
)]

mod announce;
mod attempts;
mod auth;
mod batch;
mod behind;
mod compaction;
mod consistency;
mod desk;
mod dev;
mod editing;
mod empty;
mod encrypted;
mod flood;
mod guard;
mod harness;
mod hidden;
mod history;
mod leader;
mod leftovers;
mod limits;
mod listen;
mod lost;
mod malformed;
mod many;
mod members;
mod misbehaving;
mod options;
mod outage;
mod output;
mod pipes;
mod poison;
mod policy;
mod proxy;
mod races;
mod random;
mod records;
mod refusals;
mod replace;
mod restore;
mod rolling;
mod settings;
mod signals;
mod snapshot;
mod status;
mod tls;
mod torn;
mod unicode;
mod unreadable;
mod verify;
mod waiting;
mod warnings;
mod watch;
mod writers;
