//! What can be typed.

mod order;
mod records;
mod store;
mod values;
mod zones;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use etcd::client;
use etcd::model::{Name, Rtype};

pub(crate) use self::records::{Placed, Records};
pub(crate) use self::store::StoreArguments;
use self::values::time;
pub(crate) use self::zones::{Settings, ZoneCommand};
use crate::error::Error;
use crate::frontends::Awaited;
use crate::output;

/// How long `--wait` waits where it does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// Adds, removes, lists, imports and exports DNS records in etcd.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Names are absolute, with or without the final dot.\n\
                  Exit codes: 0 done, 1 failed, 2 usage, 3 conflict or unmet condition, 4 store unreachable, 5 wait timed out."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// How to print results.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        env = "NSCTL_OUTPUT"
    )]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What every command that writes takes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Writing {
    /// Return when every live front-end serves the change, after TIME at the latest [default TIME: 10s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s", value_parser = time)]
    wait: Option<Duration>,
    /// Wait until COUNT front-ends or more serve it, too; --wait says how long.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
    /// Print what would change, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Writing {
    /// What to wait for after a change at this revision, if anything.
    pub(crate) fn awaited(self, revision: i64) -> Option<Awaited> {
        let limit = self.wait.or(self.expect.map(|_| WAIT_DEFAULT))?;
        Some(Awaited {
            revision,
            limit,
            count: self.expect.unwrap_or(1),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds records to those that are there.
    ///
    /// Each RDATA is one record; where that gives none, all together are one: MX 10 mail.example.org.
    /// A TXT text without double quotes is taken as it is, whatever its length.
    Add(Records),
    /// Replaces all records of a type at a name; without RDATA, changes their TTL.
    Set {
        /// The owner.
        name: Name,
        /// The record type, as in AAAA or TYPE65280.
        #[arg(value_name = "TYPE")]
        rtype: Rtype,
        /// The records.
        #[arg(required_unless_present = "ttl")]
        rdata: Vec<String>,
        /// Remove the records of all other types at the name in the same step, as to replace an address by a CNAME.
        #[arg(long, requires = "rdata")]
        replace_all: bool,
        #[command(flatten)]
        placed: Placed,
    },
    /// Removes records: those given, all of a type, or all at a name.
    Remove {
        /// The owner.
        name: Name,
        /// The record type.
        #[arg(value_name = "TYPE")]
        rtype: Option<Rtype>,
        /// The records.
        rdata: Vec<String>,
        /// The zone, if not the closest that holds the name.
        #[arg(long)]
        zone: Option<Name>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Lists records.
    List {
        /// The owner; all of them if none is given.
        name: Option<Name>,
        /// Only this zone.
        #[arg(long)]
        zone: Option<Name>,
        /// Only this type.
        #[arg(long = "type", value_name = "TYPE")]
        rtype: Option<Rtype>,
        /// The names below NAME, too.
        #[arg(long, requires = "name")]
        subtree: bool,
    },
    /// Zones.
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Shows the members of etcd and the front-ends, and what is wrong with them. Exit code 3 if something is.
    ///
    /// Where etcd has no quorum it shows what any member still knows, with exit code 4.
    Status {
        /// Ask one front-end by the address of its admin listener, without etcd.
        #[arg(long, value_name = "HOST:PORT")]
        frontend: Option<String>,
        /// Exit with 0 whatever is wrong.
        #[arg(long)]
        no_fail: bool,
    },
    /// Accepts a mass deletion that front-ends are holding back.
    ///
    /// A zone that loses more than half of its records, or its key, to anybody but nsctl is served on as it was: somebody
    /// may have deleted a prefix, or restored the wrong backup. `nsctl status` names such zones.
    Accept {
        #[command(flatten)]
        writing: Writing,
    },
    /// Records that etcd has lost, and that front-ends serve on.
    #[command(subcommand)]
    Held(HeldCommand),
    /// Compares every member of etcd and every front-end at one revision. Exit code 3 if they differ, 1 if one could not be compared.
    Verify,
}

impl Command {
    /// Whether it is to write nothing.
    pub(crate) fn is_dry_run(&self) -> bool {
        let writing = match self {
            Command::Add(Records { placed, .. }) | Command::Set { placed, .. } => &placed.writing,
            Command::Remove { writing, .. } | Command::Accept { writing } => writing,
            Command::Zone(command) => match command {
                ZoneCommand::Add { writing, .. }
                | ZoneCommand::Set { writing, .. }
                | ZoneCommand::Remove { writing, .. }
                | ZoneCommand::Import { writing, .. }
                | ZoneCommand::RaiseSerials { writing, .. }
                | ZoneCommand::Clean { writing, .. } => writing,
                ZoneCommand::List
                | ZoneCommand::Show { .. }
                | ZoneCommand::Diff { .. }
                | ZoneCommand::Check { .. }
                | ZoneCommand::Export { .. } => return false,
            },
            Command::List { .. } | Command::Status { .. } | Command::Held(_) | Command::Verify => {
                return false;
            }
        };
        writing.dry_run
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// Writes every zone that is held back to a master file of its own, as the front-ends serve it.
    ///
    /// A file that is there already is not overwritten. `nsctl zone import ZONE FILE` loads one again.
    Export {
        /// The folder for the files, each named after its zone; it is made if it is not there.
        dir: PathBuf,
        /// Ask one front-end by the address of its admin listener, without etcd.
        #[arg(long, value_name = "HOST:PORT")]
        frontend: Option<String>,
    },
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut program = Arguments::command();
        program.build();
        Arguments::try_parse_from(order::arranged(std::env::args_os().collect(), &program))
    }

    /// Logs go to stderr, beside the error line.
    pub(crate) fn log(&self) {
        let filter = tracing_subscriber::EnvFilter::new(&self.store.log_level);
        let mut known = Vec::new();
        add_variables(&Arguments::command(), &mut known);
        for line in client::unknown_variables("NSCTL_", &known) {
            output::note(&format!("nsctl: warning: {line}"));
        }
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
}

/// Tells what is wrong with the arguments in one line, and help where that was asked for.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion,
    };
    match error.kind() {
        DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        DisplayHelp | DisplayVersion => {
            return output::exit_code(output::help(&error.render()));
        }
        _ => {}
    }
    // The reason, and what follows it until the first empty line; then come hints on usage.
    let text = error.to_string();
    let reason = text
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ");
    let error = Error::usage(reason.strip_prefix("error: ").unwrap_or(&reason));
    output::error(&error);
    error.exit_code()
}

/// Adds the variables that a command and those below it read.
fn add_variables(command: &clap::Command, known: &mut Vec<String>) {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    known.extend(names.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        add_variables(command, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_writes_can_be_tried() {
        for command in [
            "add x A 192.0.2.1",
            "set x A 192.0.2.1",
            "set x A --ttl 5",
            "remove x",
            "accept",
            "zone add x --ns y",
            "zone set x",
            "zone remove x",
            "zone import x file",
            "zone raise-serials",
            "zone clean x",
        ] {
            let read = |more: &[&str]| {
                let words = ["nsctl"].into_iter().chain(command.split(' '));
                let words = words.chain(more.iter().copied());
                let read = Arguments::try_parse_from(words).expect(command);
                read.command.is_dry_run()
            };
            assert!(read(&["--dry-run"]) && !read(&[]), "{command}");
        }
    }
}
