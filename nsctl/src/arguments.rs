//! What can be typed.

mod order;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use etcd::client::{self, Config, Tls};
use etcd::model::{Consistency, Name, Rtype, TTL_MAX, Time, TimeError};
use etcd::schema::Prefix;

use crate::error::Error;
use crate::frontends::Awaited;
use crate::output;

/// Serials compare up to a distance of 2^31 (RFC 1982 3.2), and what is added to the revision adds to that.
const RAISE_MAX: i64 = 1 << 30;

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

/// How to reach etcd.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreArguments {
    /// Client URLs of etcd members, separated by commas.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "http://127.0.0.1:2379",
        env = "NSCTL_ENDPOINTS"
    )]
    endpoints: Vec<String>,
    /// Prefix of all keys.
    #[arg(long, global = true, default_value = "/ns", env = "NSCTL_PREFIX")]
    prefix: Prefix,
    /// Certificate authorities to trust, in PEM.
    #[arg(long, global = true, value_name = "FILE", env = "NSCTL_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Client certificate, in PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "key_file",
        env = "NSCTL_CERT_FILE"
    )]
    cert_file: Option<PathBuf>,
    /// Key of the client certificate, in PEM.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        requires = "cert_file",
        env = "NSCTL_KEY_FILE"
    )]
    key_file: Option<PathBuf>,
    /// Name to expect in the server's certificate, if not the URL's.
    #[arg(long, global = true, value_name = "NAME", env = "NSCTL_TLS_NAME")]
    tls_name: Option<String>,
    /// User and password, as NAME:PASSWORD. The environment keeps the password out of process lists.
    #[arg(
        long,
        global = true,
        value_name = "NAME:PASSWORD",
        hide_env_values = true,
        env = "NSCTL_USER"
    )]
    user: Option<String>,
    /// How long etcd may take for one step, as in 500ms, 5s or 1m.
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = time, env = "NSCTL_TIMEOUT")]
    pub(crate) timeout: Duration,
    /// What to log to stderr, as in debug or etcd=trace.
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        default_value = "error",
        value_parser = log_directives,
        env = "NSCTL_LOG_LEVEL"
    )]
    log_level: String,
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
    /// Compares every member of etcd and every front-end at one revision. Exit code 3 if they differ.
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

/// The records to add.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The owner.
    pub(crate) name: Name,
    /// The record type, as in AAAA or TYPE65280.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: Rtype,
    /// The records.
    #[arg(required = true)]
    pub(crate) rdata: Vec<String>,
    #[command(flatten)]
    pub(crate) placed: Placed,
}

/// Where and how records come.
#[derive(Debug, Args)]
pub(crate) struct Placed {
    /// Time to live, in seconds or as in 1h30m [default: the set's, else the zone's].
    #[arg(long, value_parser = ttl)]
    pub(crate) ttl: Option<u32>,
    /// The zone, if not the closest that holds the name.
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    /// Write records that a zone below ZONE hides.
    #[arg(long, requires = "zone")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ZoneCommand {
    /// Adds a zone.
    Add {
        /// The apex.
        zone: Name,
        /// Name servers of the zone; the first is the primary in the SOA record.
        #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
        ns: Vec<Name>,
        /// Move records of the zone above that this one would hide into this one, in the same step.
        #[arg(long = "move", conflicts_with = "force")]
        move_hidden: bool,
        /// Hide records of the zone above.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        writing: Writing,
    },
    /// Changes settings of a zone.
    Set {
        /// The apex.
        zone: Name,
        /// The primary name server in the SOA record.
        #[arg(long, value_name = "NAME")]
        mname: Option<Name>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        writing: Writing,
    },
    /// Lists the zones.
    List,
    /// Shows the settings of a zone.
    Show {
        /// The apex.
        zone: Name,
    },
    /// Removes a zone and all its records. On a terminal it asks first.
    Remove {
        /// The apex.
        zone: Name,
        /// Remove it though its settings in etcd cannot be read.
        #[arg(long)]
        force: bool,
        /// Remove it without asking.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        writing: Writing,
    },
    /// Writes a master file into the store. A zone that is not there is made.
    ///
    /// Records are added to those that are there; with --replace they take their place, in one step. Errors in the
    /// file end the import, warnings do not.
    Import {
        /// The apex, and the origin of the file.
        zone: Name,
        /// The master file; - for standard input.
        file: PathBuf,
        /// Remove what is not in the file. The zone switches to its new content in one step.
        #[arg(long)]
        replace: bool,
        /// Write nothing if there are warnings.
        #[arg(long)]
        strict: bool,
        /// Move records of the zone above into a new zone that would hide them.
        #[arg(long = "move")]
        move_hidden: bool,
        /// Leave out the records of a signed zone, such as RRSIG and DNSKEY. Overwrite what others have changed since
        /// the file was exported. Hide records of the zone above, unless they are moved, or of this one behind a zone
        /// below.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        writing: Writing,
    },
    /// Prints how a master file differs from the zone in the store. Exit code 3 if it does.
    Diff {
        /// The apex, and the origin of the file.
        zone: Name,
        /// The master file; - for standard input.
        file: PathBuf,
    },
    /// Checks a master file, without the store; or a zone in the store, with --stored.
    #[command(allow_missing_positional = true)]
    Check {
        /// The apex, and the origin of the file [default: where the SOA record is, else the file's name].
        zone: Option<Name>,
        /// The master file; - for standard input.
        #[arg(required_unless_present = "stored")]
        file: Option<PathBuf>,
        /// Check this zone as it is in the store. Exit code 3 if it has errors.
        #[arg(long, value_name = "ZONE", conflicts_with_all = ["zone", "file", "zone_option"])]
        stored: Option<Name>,
        /// The same as ZONE, as earlier releases had it.
        #[arg(
            long = "zone",
            value_name = "ZONE",
            hide = true,
            conflicts_with = "zone"
        )]
        zone_option: Option<Name>,
    },
    /// Prints a zone as a master file.
    Export {
        /// The apex.
        zone: Name,
    },
    /// Raises the serials of zones that have gone back, as after etcd was restored from a backup.
    ///
    /// The front-ends know what they served before. Where none of them was running then, --by raises all serials.
    RaiseSerials {
        /// Raise the serials of all zones by so much at least.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=RAISE_MAX))]
        by: Option<u32>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Deletes what is not served: records that a broken import has left behind.
    ///
    /// Of a zone that was removed it also deletes what is remembered of its serials, so that a zone of the same name
    /// does not go on from there.
    Clean {
        /// The apex.
        zone: Name,
        #[command(flatten)]
        writing: Writing,
    },
}

/// Settings of a zone.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Mailbox of the person responsible, as in hostmaster@example.org or as a name [default: hostmaster in the zone].
    #[arg(long, value_parser = mailbox)]
    pub(crate) mbox: Option<Name>,
    /// TTL of records added without one [default: 300].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) default_ttl: Option<u32>,
    /// TTL of the SOA record [default: 3600].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) soa_ttl: Option<u32>,
    /// TTL of negative answers [default: 60].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) minimum: Option<u32>,
    /// How often secondaries look for changes [default: 1h].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) refresh: Option<u32>,
    /// How soon they try again [default: 10m].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) retry: Option<u32>,
    /// When they give up [default: 2w].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) expire: Option<u32>,
    /// How fresh answers have to be: available, bounded:TIME, linearizable, or default for what each front-end is told.
    #[arg(long, value_name = "MODE", value_parser = promise)]
    pub(crate) consistency: Option<Promise>,
}

/// What a zone promises about freshness; none leaves that to the front-ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise(pub(crate) Option<Consistency>);

fn promise(text: &str) -> Result<Promise, String> {
    match text {
        "default" => Ok(Promise(None)),
        _ => text.parse().map(|consistency| Promise(Some(consistency))),
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

impl StoreArguments {
    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix.clone()
    }

    pub(crate) fn config(&self) -> Result<Config, Error> {
        let user = match &self.user {
            None => None,
            Some(user) => match user.split_once(':') {
                Some((name, password)) if !name.is_empty() => Some((name.into(), password.into())),
                _ => return Err(Error::usage("--user is not of the form NAME:PASSWORD")),
            },
        };
        let tls = Tls {
            ca_file: self.ca_file.clone(),
            identity: self.cert_file.clone().zip(self.key_file.clone()),
            server_name: self.tls_name.clone(),
            ..Tls::default()
        };
        let config = Config {
            tls,
            user,
            ..Config::new(self.endpoints.clone())
        };
        config.complete().map_err(Error::Usage)
    }
}

fn ttl(text: &str) -> Result<u32, String> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    match seconds(text) {
        Ok(ttl) if ttl <= TTL_MAX => Ok(ttl),
        // A number that has too many digits is none of the wrong form.
        Err(error) if !is_number => Err(error),
        _ => Err(format!("a TTL is {TTL_MAX} seconds at most (RFC 2181, 8)")),
    }
}

fn log_directives(text: &str) -> Result<String, String> {
    client::log_directives(text, "error")
}

fn seconds(text: &str) -> Result<u32, String> {
    let time: Time = text.parse().map_err(|error: TimeError| error.to_string())?;
    time.seconds()
        .ok_or_else(|| "expected whole seconds, or a time such as 1h30m".into())
}

fn time(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(Time(Duration::ZERO)) => Err("expected a time longer than nothing".into()),
        Ok(Time(time)) => Ok(time),
        Err(error) => Err(TimeError::to_string(&error)),
    }
}

/// A mailbox as people write it, or as RFC 1035 3.3.13 does.
fn mailbox(text: &str) -> Result<Name, String> {
    let name = match text.split_once('@') {
        Some(("", _) | (_, "")) => return Err("not a mailbox: a side of the @ is empty".into()),
        // Labels of domains have a form for Unicode, local parts of mailboxes have none (RFC 6531).
        Some((local, _)) if !local.is_ascii() => {
            return Err(
                "not a mailbox for a SOA record: the part before the @ is not ASCII".into(),
            );
        }
        Some((local, domain)) => format!("{}.{domain}", escaped(local)),
        None => text.to_string(),
    };
    name.parse()
        .map_err(|error| format!("not a mailbox: {error}"))
}

/// A local part as a label: every special character is escaped.
fn escaped(local: &str) -> String {
    let mut label = String::with_capacity(local.len());
    for c in local.chars() {
        if !c.is_ascii_alphanumeric() && !c.is_ascii_control() {
            label.push('\\');
        }
        label.push(c);
    }
    label
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

    #[test]
    fn mailboxes_and_times() {
        assert_eq!(
            mailbox("john.doe@example.org")
                .map(|name| name.to_string())
                .as_deref(),
            Ok("john\\.doe.example.org.")
        );
        assert_eq!(
            mailbox("hostmaster.example.org")
                .map(|name| name.to_string())
                .as_deref(),
            Ok("hostmaster.example.org.")
        );
        assert_eq!(
            mailbox("a;b@ü.org").map(|name| name.to_string()).as_deref(),
            Ok("a\\;b.xn--tda.org.")
        );
        for bad in ["@x..y", "a@b@c", "ü@example.org", "@"] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
        assert_eq!((ttl("1h"), ttl("2147483647")), (Ok(3600), Ok(TTL_MAX)));
        assert!(ttl("2147483648").is_err() && ttl("99999999999").is_err() && ttl("x").is_err());
    }
}
