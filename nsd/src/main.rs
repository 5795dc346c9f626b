//! The `nsd` program: arguments, then [`nsd::run`] or [`nsd::dev`]; errors to exit codes.

use std::process::ExitCode;

use clap::Parser;
use nsd::config::{Arguments, Command, UnusableSettings};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Dev(options)) => nsd::dev::run(options),
        None => nsd::run::run(arguments.options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not be set up yet.
            eprintln!("nsd: {error:#}");
            match error.is::<UnusableSettings>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
