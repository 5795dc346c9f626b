//! Benchmarks: one command a table. `run.sh` installs the peers, builds in release and calls this.
//!
//! Server and generator are pinned to a core each and talk over a veth pair between two network namespaces, which
//! this makes and removes, so that nothing leaves the machine. Every figure that is compared is measured in the
//! same run as what it is compared with, in turns, and the median of the turns is told.
#![allow(
    clippy::print_stdout,
    reason = "a benchmark tells its readings on standard output"
)]

mod cores;
mod data;
mod delay;
mod echo;
mod encrypted;
mod flood;
mod forge;
mod generator;
mod journal;
mod linearizable;
mod load;
mod net;
mod nodes;
mod peers;
mod policy;
mod propagation;
mod report;
mod scale;
mod server;
mod stall;
mod store;
mod updates;
mod zones;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What all tables share.
pub(crate) struct Run {
    /// Small and short: only to see that it works.
    pub(crate) quick: bool,
    /// Where tables and plots go.
    pub(crate) results: PathBuf,
}

impl Run {
    /// One value for readings, another one where it is only to be seen that it works.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// Measures nsd, beside other name servers.
#[derive(Parser)]
struct Arguments {
    /// Small and short: only to see that it works.
    #[arg(long, global = true)]
    quick: bool,
    /// Folder for tables and plots.
    #[arg(
        long,
        global = true,
        default_value = "target/bench",
        value_name = "DIR"
    )]
    results: PathBuf,
    #[command(subcommand)]
    table: Table,
}

#[derive(Subcommand)]
enum Table {
    /// Answers a second, CPU a query and latency, beside NSD, Knot, BIND and PowerDNS.
    Peers {
        /// Only these, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "SERVER")]
        only: Vec<server::Kind>,
    },
    /// Answers a second over TLS, HTTPS and QUIC, beside BIND.
    Encrypted,
    /// Answers a second of 1 to 12 front-ends that have a share of the CPU each.
    Nodes,
    /// Answers a second by the rate and the cores of the generator.
    Cores,
    /// From a commit until every front-end answers with it.
    Propagation(propagation::Options),
    /// Answers a second and latency while updates come.
    Updates,
    /// Reads of etcd and latency of linearizable answers, beside available ones.
    Linearizable,
    /// Memory, first sync, import and one update, by the number of RRsets.
    Scale,
    /// What the journal of a zone costs.
    Journal,
    /// Lists of zones and raised serials, by the number of zones.
    Zones,
    /// What clients get beside a flood with forged addresses, with response rate limiting and without.
    Flood,
    /// Answers a second with access lists, rate limits and cookies.
    Policy,
    /// All of them.
    All,
    /// The floor: sends every datagram back with one bit turned.
    #[command(hide = true)]
    Echo {
        /// Where.
        address: SocketAddr,
    },
    /// Sends queries at a rate, and measures the latency of each.
    #[command(hide = true)]
    Load(load::Options),
    /// Asks over QUIC.
    #[command(hide = true)]
    Quic(encrypted::QuicOptions),
    /// A flood with forged addresses.
    #[command(hide = true)]
    Forge(forge::Options),
    /// The clients beside a flood.
    #[command(hide = true)]
    Clients(flood::Options),
    /// Prints what the admin listener of a front-end has at a path.
    #[command(hide = true)]
    Fetch { admin: SocketAddr, path: String },
    /// Makes changes, one after the other.
    #[command(hide = true)]
    Change(journal::Options),
    /// Writes to etcd at a rate.
    #[command(hide = true)]
    Write(updates::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = Run {
        quick: arguments.quick,
        results: arguments.results,
    };
    let result = match arguments.table {
        Table::Echo { address } => echo::run(address),
        Table::Load(options) => load::run(&options),
        Table::Quic(options) => encrypted::ask_over_quic(&options),
        Table::Forge(options) => forge::run(&options),
        Table::Clients(options) => flood::clients(&options),
        Table::Fetch { admin, path } => linearizable::fetch(admin, &path),
        Table::Change(options) => journal::change(&options),
        Table::Write(options) => updates::write(&options),
        table => measure(&run, &table),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(run: &Run, table: &Table) -> Result<(), String> {
    std::fs::create_dir_all(&run.results)
        .map_err(|error| format!("cannot make {}: {error}", run.results.display()))?;
    match table {
        Table::Peers { only } => peers::run(run, only),
        Table::Encrypted => encrypted::run(run),
        Table::Nodes => nodes::run(run),
        Table::Cores => cores::run(run),
        Table::Propagation(options) => propagation::run(run, options),
        Table::Updates => updates::run(run),
        Table::Linearizable => linearizable::run(run),
        Table::Journal => journal::run(run),
        Table::Zones => zones::run(run),
        Table::Scale => scale::run(run),
        Table::Flood => flood::run(run),
        Table::Policy => policy::run(run),
        _ => {
            peers::run(run, &[])?;
            encrypted::run(run)?;
            nodes::run(run)?;
            cores::run(run)?;
            updates::run(run)?;
            linearizable::run(run)?;
            flood::run(run)?;
            policy::run(run)?;
            journal::run(run)?;
            zones::run(run)?;
            scale::run(run)?;
            propagation::run(run, &propagation::Options::default())
        }
    }
}
