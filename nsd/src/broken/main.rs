//! `nsd-broken`: a front-end with the defects of the feature `broken-for-tests`.

use std::process::ExitCode;

use clap::Parser;
use nsd::config::Arguments;

fn main() -> ExitCode {
    match nsd::run::run(Arguments::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nsd-broken: {error:#}");
            ExitCode::FAILURE
        }
    }
}
