//! Right answers, by the word of others:
//!
//! - `ferret_valid`, `ferret_invalid`: the Ferret data set, what four name servers answer and four checkers
//!   refuse. In `../shared`, and only run where that is.
//! - `differential`: random zones and queries, against Knot and NLnet Labs' NSD.
//! - `transports`: whether every transport gives the same answers.
//! - `clients`: whether dig, kdig, drill and delv read what we send.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and standard output is where skipped parts are told"
)]

mod clients;
mod differential;
mod ferret;
mod ferret_invalid;
mod ferret_valid;
mod response;
mod transports;
mod zones;
