//! Simulates the write protocol, the mirror and the view builder: the product's own code against a model of etcd, in one thread and
//! on a virtual clock. A seed determines the whole run.
//!
//! - `schedule`: what happens in a run; `run`: lets it happen; `trouble`: makes things go wrong.
//! - `actors`: writers, announcers, front-ends and a follower of journals, which are the product's own code.
//! - `model`: an etcd cluster behind a network.
//! - `reference`: what a store means, worked out in the simplest way; `check`: what has to be true.
//! - `search`: runs schedules until one fails, and drops the items that it fails without.

mod actors;
mod check;
mod model;
mod reference;
mod run;
mod schedule;
mod search;
mod trouble;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Parser;

/// Runs random schedules against a model of etcd until one breaks a promise.
#[derive(Parser)]
struct Arguments {
    /// The seed of the first schedule.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many schedules to run.
    #[arg(long, default_value_t = 100_000, conflicts_with = "replay")]
    count: u64,
    /// Run only the schedule of this seed, and print everything that happens.
    #[arg(long)]
    replay: bool,
    /// Give the front-ends this defect, which the checks have to find.
    #[arg(long)]
    defect: Option<actors::Defect>,
    /// The numbers of items to leave out of the schedule.
    #[arg(long, value_delimiter = ',', requires = "replay")]
    without: Vec<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run::abort_on_panic();
    let without: BTreeSet<usize> = arguments.without.into_iter().collect();
    let is_kept = match arguments.replay {
        true => search::replay(arguments.seed, &without, arguments.defect),
        false => search::search(arguments.seed, arguments.count, arguments.defect),
    };
    match is_kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
