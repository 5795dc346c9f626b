//! The settings, from flags, `NSD_*` variables and a TOML file. A flag wins over a variable, a variable over the file, and
//! the file over the default.

mod check;
mod dev;
mod file;
mod options;

use std::fmt;

use anyhow::Context;
pub use check::{Config, Encrypted};
use clap::{CommandFactory, Parser, Subcommand};
pub use dev::DevOptions;
pub use options::{LogFormat, ServeOptions};

/// Authoritative DNS front-end that answers from an in-memory mirror of etcd.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    mut_args(|arg| etcd::options::variable(arg, "NSD_")),
    after_help = "Every option is also a variable, and every option but --config is also a key of the configuration file:\n--listen is NSD_LISTEN, and listen = [\"…\"] in the file. An option wins over a variable, a variable\nover the file.\n\nExit codes: 0 ended by SIGTERM or SIGINT, 1 failed, 2 settings, or files that they name, cannot be used."
)]
pub struct Arguments {
    /// The options of a front-end.
    #[command(flatten)]
    pub options: ServeOptions,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a trial on this machine: starts a private etcd, serves on 127.0.0.1, and stops both at the end.
    Dev(DevOptions),
}

/// The context of an error about settings, or about files that they name: it decides the exit code.
#[derive(Clone, Copy, Debug)]
pub struct UnusableSettings;

impl fmt::Display for UnusableSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings cannot be used")
    }
}

/// Returns a warning for each `NSD_` variable that no option reads.
pub fn unknown_variables() -> Vec<String> {
    etcd::options::unknown_variables("NSD_", &Arguments::command())
}

impl ServeOptions {
    /// Adds the settings of the configuration file, and checks all of them. Errors are [`UnusableSettings`].
    pub fn complete(self) -> anyhow::Result<Config> {
        self.merged()
            .and_then(ServeOptions::check)
            .context(UnusableSettings)
    }
}

#[cfg(test)]
mod tests;
