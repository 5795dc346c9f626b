//! Harness of the integration tests: clusters of real etcd members, real `nsd` and `nsctl` processes,
//! and real queries, built and read by a DNS library that is not ours.
//!
//! Nothing here waits for a fixed time to pass so that something else may have happened: [`eventually`]
//! asks for the condition itself, until a limit. All that is started here ends with the value that
//! stands for it, also when a test panics.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and standard output is where skipped parts are told"
)]

/// Tells that a part of a test is left out, and why, also where the test passes and what it prints is not shown:
/// `skipped!("there is no such program: what it would have shown")`.
#[macro_export]
macro_rules! skipped {
    ($($reason:tt)*) => {
        $crate::tell_skipped(format_args!($($reason)*))
    };
}

#[doc(hidden)]
pub fn tell_skipped(reason: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Unlike what the printing macros write, this is not kept back.
    let line = format!("skipped, as {reason}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is there");
}

pub mod clients;
pub mod cluster;
pub mod dns;
pub mod encrypted;
mod expiries;
mod frontend;
mod gate;
pub mod history;
mod http;
mod load;
mod machine;
mod nsctl;
mod process;
mod seed;
mod single;
mod temp;
pub mod transports;
mod wait;
mod world;

pub use cluster::Cluster;
pub use expiries::Expiries;
pub use frontend::Frontend;
pub use gate::{Gate, Way};
pub use http::{Response, get};
pub use load::{Expected, Load, Report};
pub use machine::machine;
pub use nsctl::{Nsctl, Output};
pub use process::{Process, binary};
pub use seed::seed;
pub use single::Single;
pub use temp::{TempDir, free_port};
pub use wait::{ensure, eventually};
pub use world::{World, expect_at};
