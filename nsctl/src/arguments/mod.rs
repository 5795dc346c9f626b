//! The command line.

mod author;
mod conditions;
mod moment;
mod order;
mod records;
mod values;
mod writing;
mod zones;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use etcd::options::{self, StoreOptions};
use etcd::schema::Author;

pub(crate) use self::records::{
    AddRecords, Announce, Batch, Check, History, ListRecords, Placement, RemoveRecords, SetRecords,
    Watch,
};
pub(crate) use self::values::PrefixWord;
use self::values::time;
use self::writing::ChangeOptions;
pub(crate) use self::writing::WriteOptions;
pub(crate) use self::zones::{
    AddZone, CheckZone, EditZone, ImportZone, RemoveZone, RollbackZone, SetZone, SettingOptions,
    ZoneCommand,
};
use crate::error::Error;
use crate::output;

/// Manages the DNS records in etcd that nsd serves: adds, removes, lists, imports and exports them.
#[derive(Debug, Parser)]
#[command(
    version,
    mut_args(|arg| options::variable(arg, "NSCTL_").global(true)),
    after_help = "Names are absolute, with or without the final dot.\n\
                  Exit codes: 0 done, 1 failed, 2 usage, 3 conflict or unmet condition, 4 etcd unreachable,\n\
                  5 written, but not served everywhere in time (--wait). deploy/nsctl.md lists them by command."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) store: StoreOptions,
    /// Time limit for each step with etcd, as in 500ms, 5s or 1m.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time, help_heading = "Store")]
    pub(crate) timeout: Duration,
    /// What to log to stderr, as in debug or etcd=trace.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "error",
        value_parser = |text: &str| options::log_directives(text, "error"),
        help_heading = "Store"
    )]
    log_level: String,
    /// How to print results.
    #[arg(short, long, value_enum, default_value = "table")]
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds records to an RRset.
    ///
    /// RDATA is one record per argument, or one record made of all arguments, as in `nsctl add example.org MX 10
    /// mail.example.org`. If both are possible, the command is refused; but each argument for TXT and similar types is
    /// one record. A TXT string without double quotes is taken literally, whatever its length.
    Add(AddRecords),
    /// Replaces an RRset; without RDATA, changes its TTL.
    Set(SetRecords),
    /// Removes records: the given ones, all of a type, or all at a name.
    Remove(RemoveRecords),
    /// Makes many changes as one, in the syntax of nsupdate.
    ///
    /// A change is a line: `add NAME [TTL] TYPE RDATA`, `del NAME [TYPE [RDATA]]`, or `set NAME [TTL] TYPE RDATA`, which
    /// replaces an RRset; several set lines of one name and type make one RRset, and `set NAME TTL TYPE` changes a TTL.
    /// Conditions are lines, too: `prereq yxdomain NAME` (it has records), `prereq nxdomain NAME` (it has none), `prereq
    /// yxrrset NAME TYPE [RDATA]` and `prereq nxrrset NAME TYPE`. If one is not met, nothing is written, and the exit code
    /// is 3. `$ORIGIN`, `$TTL`, comments and RDATA are as in master files. Without `$ORIGIN`, names are absolute.
    ///
    /// Each zone is changed completely or not at all. So are several zones together, if everything fits into one etcd
    /// transaction (about 100 RRsets). `--dry-run` shows the differences.
    Batch(Batch),
    /// Announces the records of a service while it runs.
    ///
    /// The records live under a lease in etcd, which it keeps alive. It withdraws them when it gets SIGTERM, SIGINT or SIGHUP,
    /// when COMMAND ends, and while the check fails (twice in a row). If it is killed, or does not reach etcd any more, they go when the
    /// lease expires. Several announcers of one name and type make one RRset, together with the records that nsctl add has
    /// put there. Announced records are not in exports and in the history; `list` shows them with their lease.
    ///
    /// A signal is passed on to COMMAND once the records are withdrawn. The exit code is that of COMMAND, and 0 if it dies of that
    /// signal. For example: nsctl announce api.example.org A 192.0.2.10 --check-tcp 127.0.0.1:8080 -- api-server --port 8080
    Announce(Announce),
    /// Shows changes, the newest first: when, by whom, with what, why, and what they changed.
    ///
    /// Each zone has a journal, which keeps its last changes (`zone set --journal-age` and `--journal-entries`). Changes
    /// that were not made with nsctl are not in it.
    History(History),
    /// Follows changes as they are made, until the output is closed or etcd is restored from a backup.
    ///
    /// After a lost connection it continues where it stopped, without skipping or repeating a change. If etcd has compacted
    /// changes meanwhile, it shows those that the journals still have, and warns. It shows what `history` shows, the oldest first; with `-o json`, one object per line. To continue later, pass the last revision shown to `--since`.
    Watch(Watch),
    /// Lists records.
    List(ListRecords),
    /// Manages zones: settings, import, export, checks.
    #[command(subcommand)]
    Zone(ZoneCommand),
    /// Shows etcd members, front-ends and their problems. Exits with 3 if there is a problem.
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
    /// Accepts all deletions that front-ends are holding back, of all zones at once.
    ///
    /// Front-ends hold back deletions that were not made with nsctl if, within an hour, a zone loses its settings, all
    /// of its RRsets, or more than half of them and at least 5 (nsd --hold-loss-over). The last limit also applies to
    /// all zones together. They keep
    /// serving the zone as it was before (SERVFAIL if it promises freshness), because somebody may have deleted a
    /// prefix by mistake, or restored the wrong backup. `nsctl status` names such zones.
    Accept {
        #[command(flatten)]
        writing: WriteOptions,
    },
    /// Exports the zones for which front-ends are holding back a mass deletion.
    #[command(subcommand)]
    Held(HeldCommand),
    /// Manages the secret of the DNS cookies that front-ends give to their clients.
    #[command(subcommand)]
    Cookie(CookieCommand),
    /// Compares every member of etcd and every front-end at one revision. Exits with 3 if any differ, with 1 if some
    /// cannot be compared.
    ///
    /// Front-ends are compared by what they have received from etcd. While they hold back a mass deletion, they serve
    /// something else: a note names those that do.
    Verify,
}

impl Command {
    /// Who makes the change. `user` is the one that etcd knows.
    pub(crate) fn author(&self, user: Option<String>) -> Author {
        let options = self.change();
        Author {
            by: options
                .and_then(|options| options.by.clone())
                .unwrap_or_else(author::name),
            user,
            via: format!("nsctl {}", self.name()),
            why: options.and_then(|options| options.why.clone()),
        }
    }

    /// The name of the command.
    fn name(&self) -> &'static str {
        match self {
            Command::Add(_) => "add",
            Command::Set(_) => "set",
            Command::Remove(_) => "remove",
            Command::Batch(_) => "batch",
            Command::Announce(_) => "announce",
            Command::History(_) => "history",
            Command::Watch(_) => "watch",
            Command::List(_) => "list",
            Command::Zone(command) => command.name(),
            Command::Status { .. } => "status",
            Command::Accept { .. } => "accept",
            Command::Held(_) => "held",
            Command::Cookie(_) => "cookie",
            Command::Verify => "verify",
        }
    }

    /// The options for its change, if it makes one that is in a journal.
    fn change(&self) -> Option<&ChangeOptions> {
        match self {
            Command::Add(AddRecords { placement, .. })
            | Command::Set(SetRecords { placement, .. }) => Some(&placement.change),
            Command::Remove(RemoveRecords { change, .. })
            | Command::Batch(Batch { change, .. }) => Some(change),
            Command::Zone(command) => command.change(),
            Command::Announce(_)
            | Command::List(_)
            | Command::History(_)
            | Command::Watch(_)
            | Command::Status { .. }
            | Command::Accept { .. }
            | Command::Held(_)
            | Command::Cookie(_)
            | Command::Verify => None,
        }
    }

    /// The options for writing, if it writes.
    pub(crate) fn writing(&self) -> Option<&WriteOptions> {
        match self {
            Command::Accept { writing }
            | Command::Cookie(CookieCommand::Rotate { writing, .. })
            | Command::Zone(ZoneCommand::Clean { writing, .. }) => Some(writing),
            _ => self.change().map(|change| &change.writing),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum HeldCommand {
    /// Writes a master file for each zone that is held back, with what the front-ends serve.
    ///
    /// Existing files are not overwritten. `nsctl zone import ZONE FILE --replace` restores a zone from its
    /// file.
    Export {
        /// Directory for the files, each named after its zone; created if it does not exist.
        dir: PathBuf,
        /// Ask one front-end by the address of its admin listener, without etcd.
        #[arg(long, value_name = "HOST:PORT")]
        frontend: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CookieCommand {
    /// Shows when the secret was rotated, and whether the new one is in use. Secrets are not shown.
    Show,
    /// Adds a new secret, which all front-ends share.
    ///
    /// Front-ends accept cookies of the new secret at once, but make cookies with it only after --after, so that no
    /// front-end gets a cookie whose secret it does not know yet. The first secret, and one that revokes the others, is used
    /// at once: clients then need new cookies.
    Rotate {
        /// Time after which the new secret is used. Every front-end has to know it by then. Cookies are valid for 1h: if
        /// TIME is shorter, two rotations in a row may make valid cookies invalid.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
        after: Duration,
        /// Drop all old secrets and use the new one at once: for when an old one has leaked.
        #[arg(long, conflicts_with = "after")]
        revoke: bool,
        #[command(flatten)]
        writing: WriteOptions,
    },
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut program = Arguments::command();
        program.build();
        Arguments::try_parse_from(order::arranged(std::env::args_os().collect(), &program))
    }

    /// Starts to log to stderr, and warns of unknown variables.
    pub(crate) fn log(&self) {
        let filter = tracing_subscriber::EnvFilter::new(&self.log_level);
        for line in options::unknown_variables("NSCTL_", &Arguments::command()) {
            output::note(&format!("nsctl: warning: {line}"));
        }
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
}

/// Reports in one line what is wrong with the arguments, or prints the help that was asked for.
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
    // clap puts the reason first, then an empty line and hints on usage.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_global_option_has_its_variable() {
        let command = Arguments::command();
        let options: Vec<_> = command.get_arguments().collect();
        assert!(
            options
                .iter()
                .any(|option| option.get_long() == Some("ca-file"))
        );
        for option in options {
            let long = option.get_long().expect("a long name");
            let variable = format!("NSCTL_{}", long.to_uppercase().replace('-', "_"));
            let found = option.get_env().and_then(|name| name.to_str());
            assert_eq!(found, Some(&*variable));
            assert!(option.is_global_set(), "{long}");
        }
    }

    #[test]
    fn every_command_that_writes_has_a_dry_run() {
        for command in [
            "add x A 192.0.2.1",
            "set x A 192.0.2.1",
            "set x A --ttl 5",
            "remove x",
            "batch",
            "batch file",
            "zone edit x",
            "zone rollback x --to 5",
            "accept",
            "cookie rotate",
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
                read.command
                    .writing()
                    .is_some_and(|writing| writing.dry_run)
            };
            assert!(read(&["--dry-run"]) && !read(&[]), "{command}");
        }
    }
}
