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

/// Manages the DNS records in etcd that nsd serves: adds, removes, lists, imports and exports them.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Names are absolute, with or without the final dot.\n\
                  Exit codes: 0 done, 1 failed, 2 usage, 3 conflict or unmet condition, 4 etcd unreachable,\n\
                  5 written, but not served everywhere in time (--wait). deploy/nsctl.md has them by command."
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
    /// Wait for at most TIME until every live front-end serves the change, else exit with 5 [default TIME: 10s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s", value_parser = time)]
    wait: Option<Duration>,
    /// Wait until at least COUNT front-ends serve the change. Implies --wait.
    #[arg(long, value_name = "COUNT")]
    expect: Option<usize>,
    /// Print what would change, without writing it.
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
    /// Adds records to an RRset.
    ///
    /// Each RDATA argument is one record. If that does not parse, all of them together are one record: MX 10
    /// mail.example.org. A TXT string without double quotes is taken literally, whatever its length.
    Add(Records),
    /// Replaces an RRset; without RDATA, changes its TTL.
    Set {
        /// Owner name.
        name: Name,
        /// The record type, as in AAAA or TYPE65280.
        #[arg(value_name = "TYPE")]
        rtype: Rtype,
        /// The records.
        #[arg(required_unless_present = "ttl")]
        rdata: Vec<String>,
        /// Also remove the records of all other types at the name, in the same transaction, for example to replace an
        /// address with a CNAME.
        #[arg(long, requires = "rdata")]
        replace_all: bool,
        #[command(flatten)]
        placed: Placed,
    },
    /// Removes records: the given ones, all of a type, or all at a name.
    Remove {
        /// Owner name.
        name: Name,
        /// The record type.
        #[arg(value_name = "TYPE")]
        rtype: Option<Rtype>,
        /// The records.
        rdata: Vec<String>,
        /// Zone to write to [default: the closest one that contains the name].
        #[arg(long)]
        zone: Option<Name>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Lists records.
    List {
        /// Owner name [default: all names].
        name: Option<Name>,
        /// Only this zone.
        #[arg(long)]
        zone: Option<Name>,
        /// Only this type.
        #[arg(long = "type", value_name = "TYPE")]
        rtype: Option<Rtype>,
        /// Also list the names below NAME.
        #[arg(long, requires = "name")]
        subtree: bool,
    },
    /// Manages zones: settings, import, export, checks.
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Shows the members of etcd and the front-ends, and their problems. Exits with 3 if there are any.
    ///
    /// If etcd has no quorum, it shows what one member still knows, and exits with 4.
    Status {
        /// Ask one front-end by the address of its admin listener, without etcd.
        #[arg(long, value_name = "HOST:PORT")]
        frontend: Option<String>,
        /// Exit with 0 even if there are problems.
        #[arg(long)]
        no_fail: bool,
    },
    /// Accepts a mass deletion that front-ends are holding back.
    ///
    /// A front-end serves a zone as it was up to an hour ago if somebody deletes records without nsctl: the zone's key,
    /// all of its RRsets, or at least 5 and more than half (nsd --hold-loss-over) within an hour. A prefix may have been deleted by
    /// mistake, or the wrong backup restored. `nsctl status` names such zones.
    Accept {
        #[command(flatten)]
        writing: Writing,
    },
    /// Exports zones that front-ends are holding back after a mass deletion.
    #[command(subcommand)]
    Held(HeldCommand),
    /// Compares every member of etcd and every front-end at one revision. Exits with 3 if any differ, with 1 if some
    /// cannot be compared.
    ///
    /// Front-ends are compared by what they have received from etcd. What they serve differs from that while they hold
    /// back a mass deletion: those that do are named.
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
    /// Writes each zone that is held back to a master file, as the front-ends serve it.
    ///
    /// Existing files are not overwritten. `nsctl zone import ZONE FILE` loads one again.
    Export {
        /// Directory for the files, each named after its zone; created if it does not exist.
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
