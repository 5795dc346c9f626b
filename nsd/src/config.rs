//! Settings: from flags, from `NSD_*` variables, from a TOML file. A flag wins over a variable, a
//! variable over the file, the file over the default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use etcd::client::{self, Tls};
use serde::{Deserialize, Serialize};

use crate::model::{Consistency, Time};
use crate::{dev, mirror};

/// Authoritative DNS front-end that answers from an in-memory mirror of etcd.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Every option is also a key of the configuration file, and a variable: --listen is\nlisten = [\"…\"] there, and NSD_LISTEN.\n\nExit codes: 0 ended as it was told to, 1 failed, 2 the settings, or files that they name, cannot be used."
)]
pub struct Arguments {
    /// The settings of a front-end.
    #[command(flatten)]
    pub options: Options,
    /// Something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tries it all out on this machine: starts a private etcd, serves on 127.0.0.1, and takes it down again.
    Dev(dev::Options),
}

/// Forms of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The settings as they are typed: nothing is checked, and what is not given is not there.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// TOML file with any of these settings.
    #[arg(long, value_name = "FILE", env = "NSD_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Client URLs of etcd members, separated by commas [default: http://127.0.0.1:2379].
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "URL",
        env = "NSD_ENDPOINTS",
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// Whether to ask the cluster for its members, and to try their advertised client URLs, too, after the endpoints
    /// [default: false].
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "NSD_DISCOVER_MEMBERS",
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discover_members: Option<bool>,
    /// Prefix of all keys [default: /ns].
    #[arg(long, env = "NSD_PREFIX", help_heading = "Store")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Certificate authorities to trust, in PEM [default: the system's].
    #[arg(long, value_name = "FILE", env = "NSD_CA_FILE", help_heading = "Store")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Client certificate, in PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "NSD_CERT_FILE",
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate, in PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "NSD_KEY_FILE",
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Name to expect in etcd's certificate, if not the URL's.
    #[arg(
        long,
        value_name = "NAME",
        env = "NSD_TLS_NAME",
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
    /// User and password, as NAME:PASSWORD. File and variable keep the password out of process lists.
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        env = "NSD_USER",
        hide_env_values = true,
        help_heading = "Store"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,

    /// Addresses and ports to answer DNS on, over UDP and TCP. [::]:53 is all of IPv6 and no IPv4: for both, give
    /// 0.0.0.0:53 [::]:53 [default: 127.0.0.1:53 [::1]:53, where the host has them].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "ADDR:PORT", env = "NSD_LISTEN", help_heading = "Service")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Address and port of the admin listener (HTTP: /healthz, /readyz, /status, /metrics) [default: 127.0.0.1:9053].
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "NSD_ADMIN",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// Threads that answer UDP [default: one a core].
    #[arg(
        long,
        value_name = "COUNT",
        env = "NSD_UDP_WORKERS",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_workers: Option<usize>,
    /// What answers promise where a zone says nothing: available, bounded:TIME or linearizable [default: available].
    #[arg(
        long,
        value_name = "MODE",
        env = "NSD_CONSISTENCY",
        help_heading = "Freshness"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Time without a proof of freshness after which answers say that they are stale (EDE 3); 0 for never [default: 30s].
    #[arg(
        long,
        value_name = "TIME",
        env = "NSD_STALE_AFTER",
        help_heading = "Freshness"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Time>,

    /// File for what is served, for a restart without etcd [default: none].
    #[arg(
        long,
        value_name = "FILE",
        env = "NSD_SNAPSHOT",
        help_heading = "Outages"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<PathBuf>,
    /// How often that is written, as in 30s or 5m [default: 1m].
    #[arg(
        long,
        value_name = "TIME",
        env = "NSD_SNAPSHOT_INTERVAL",
        help_heading = "Outages"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_interval: Option<Time>,
    /// Percentage of a zone's RRsets, or of all, that others than nsctl may delete from etcd before the front-end holds
    /// that back; 100 to hold nothing back [default: 50].
    #[arg(
        long,
        value_name = "PERCENT",
        env = "NSD_HOLD_LOSS_OVER",
        help_heading = "Outages"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_loss_over: Option<u8>,
    /// How often everything is compared with etcd, as in 1h; 0 for never [default: 1h].
    #[arg(
        long,
        value_name = "TIME",
        env = "NSD_AUDIT_INTERVAL",
        help_heading = "Outages"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_interval: Option<Time>,

    /// How long it answers on after SIGTERM while /readyz says 503, so that others stop asking it [default: 0].
    #[arg(
        long,
        value_name = "TIME",
        env = "NSD_LAMEDUCK",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lameduck: Option<Time>,
    /// Whether it is ready without any zone. Otherwise /readyz says 503 until there is one: an empty mirror mostly means a
    /// wrong --prefix [default: false].
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "NSD_ALLOW_EMPTY",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// TCP connections at most at once [default: 1000].
    #[arg(
        long,
        value_name = "COUNT",
        env = "NSD_TCP_CONNECTIONS",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_connections: Option<usize>,
    /// Time after which an idle TCP connection is closed, from 1s to 1h [default: 10s].
    #[arg(
        long,
        value_name = "TIME",
        env = "NSD_TCP_IDLE",
        help_heading = "Service"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_idle: Option<Time>,

    /// Name of this front-end, unique in the fleet [default: host name and port].
    #[arg(long, value_name = "NAME", env = "NSD_ID", help_heading = "Identity")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Address under which others reach this front-end, where it listens on all [default: the one towards etcd].
    #[arg(
        long,
        value_name = "ADDR",
        env = "NSD_ADVERTISE",
        help_heading = "Identity"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<std::net::IpAddr>,
    /// Answer to NSID and to CHAOS id.server [default: none, REFUSED].
    #[arg(long, value_name = "TEXT", env = "NSD_NSID", help_heading = "Identity")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<String>,
    /// Answer to CHAOS version.bind [default: none, REFUSED].
    #[arg(
        long,
        value_name = "TEXT",
        env = "NSD_SERVER_VERSION",
        help_heading = "Identity"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,

    /// What to log, as in info or warn,etcd=debug [default: info].
    #[arg(
        long,
        value_name = "LEVEL",
        env = "NSD_LOG_LEVEL",
        help_heading = "Logs"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Form of log lines [default: text].
    #[arg(long, value_enum, env = "NSD_LOG_FORMAT", help_heading = "Logs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
}

/// The settings as they are used.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the mirror is kept.
    pub mirror: mirror::Settings,
    /// Where to answer DNS.
    pub listen: Vec<SocketAddr>,
    /// Whether addresses of a family that the host does not have are left out, as nobody asked for them.
    pub listens_where_possible: bool,
    /// Where the admin listener is.
    pub admin: SocketAddr,
    /// Threads a UDP address.
    pub udp_workers: usize,
    /// From which age on answers say that they are stale; none for never.
    pub stale_after: Option<Duration>,
    /// TCP connections at most.
    pub tcp_connections: usize,
    /// When an idle TCP connection is closed.
    pub tcp_idle: Duration,
    /// How long it answers on once it is told to end.
    pub lameduck: Duration,
    /// Name in the fleet; none to make one of the host's name.
    pub id: Option<String>,
    /// Address for others.
    pub advertise: Option<std::net::IpAddr>,
    /// Server identity; empty if it is not told.
    pub nsid: String,
    /// Software version; empty if it is not told.
    pub server_version: String,
    /// What to log.
    pub log_level: String,
    /// How to log.
    pub log_format: LogFormat,
}

/// Says of an error that settings cannot be used, or files that they name.
#[derive(Clone, Copy, Debug)]
pub struct Unusable;

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the settings cannot be used")
    }
}

/// The variables that are read.
pub fn variables() -> Vec<String> {
    let command = Arguments::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let variables = commands
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_env);
    variables
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// What is wrong with a key that no setting has, and which one may have been meant.
fn unknown_key(table: &toml::Table) -> Option<String> {
    let command = Arguments::command();
    let settings: Vec<&str> = command
        .get_arguments()
        .filter(|setting| setting.get_id() != "config")
        .filter_map(clap::Arg::get_long)
        .collect();
    let key = table.keys().find(|key| !settings.contains(&key.as_str()))?;
    let hint = match client::nearest(key, settings.iter().copied()) {
        Some(nearest) => format!(", did you mean '{nearest}'?"),
        None => ": nsd --help lists them".into(),
    };
    Some(format!("there is no setting '{key}'{hint}"))
}

impl Options {
    /// Adds what the configuration file says, and checks all of it. Errors are [`Unusable`].
    pub fn complete(self) -> anyhow::Result<Config> {
        self.merged().and_then(Options::check).context(Unusable)
    }

    /// The same settings with those that only the configuration file has.
    pub fn merged(&self) -> anyhow::Result<Options> {
        match &self.config {
            Some(path) => self.merge(path),
            None => Ok(self.clone()),
        }
    }

    /// The names of the settings that `others` have otherwise.
    pub fn differences(&self, others: &Options) -> anyhow::Result<Vec<String>> {
        let [own, others] = [self, others].map(toml::Table::try_from);
        let (own, others) = (own?, others?);
        let added = others.keys().filter(|name| !own.contains_key(*name));
        let names = own.keys().chain(added);
        let differs = names.filter(|name| own.get(*name) != others.get(*name));
        Ok(differs.cloned().collect())
    }

    fn merge(&self, path: &Path) -> anyhow::Result<Options> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let place = || format!("in {}", path.display());
        let mut table: toml::Table = toml::from_str(&text).with_context(place)?;
        // Once into the type, for an error that names the line; then key by key, so that what is typed wins.
        let typed = toml::from_str::<Options>(&text);
        typed.map_err(|error| match unknown_key(&table) {
            Some(told) => anyhow!(told).context(place()),
            None => anyhow!(error).context(place()),
        })?;
        table.extend(toml::Table::try_from(self)?);
        Ok(table.try_into()?)
    }

    fn check(self) -> anyhow::Result<Config> {
        let user = match &self.user {
            None => None,
            Some(user) => match user.split_once(':') {
                Some((name, password)) if !name.is_empty() => Some((name.into(), password.into())),
                _ => bail!("user is not of the form NAME:PASSWORD"),
            },
        };
        let identity = match (self.cert_file, self.key_file) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => bail!("cert-file and key-file belong together"),
        };
        let tls = Tls {
            ca_file: self.ca_file,
            identity,
            server_name: self.tls_name,
            ..Tls::default()
        };
        let endpoints = self
            .endpoints
            .unwrap_or_else(|| vec!["http://127.0.0.1:2379".into()]);
        let store = client::Config {
            tls,
            user,
            discover: self.discover_members.unwrap_or(false),
            ..client::Config::new(endpoints)
        };
        store.tls.check()?;
        let prefix = self.prefix.as_deref().unwrap_or("/ns");
        let listens_where_possible = self.listen.is_none();
        let listen = self.listen.unwrap_or_else(|| {
            let port = 53;
            vec![
                ([127, 0, 0, 1], port).into(),
                (std::net::Ipv6Addr::LOCALHOST, port).into(),
            ]
        });
        if listen.is_empty() {
            bail!("no address to listen on is given");
        }
        for (what, text) in [
            ("nsid", &self.nsid),
            ("server-version", &self.server_version),
            ("id", &self.id),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > 255) {
                bail!("{what} is longer than 255 octets");
            }
        }
        if self
            .id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.contains(|c: char| c.is_control() || c == '/'))
        {
            bail!("id is empty, or has a slash or a control character");
        }
        let count = |what: &str, given: Option<usize>, default: usize, max: usize| match given
            .unwrap_or(default)
        {
            count if (1..=max).contains(&count) => Ok(count),
            _ => Err(anyhow!("{what} is a number from 1 to {max}")),
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let time = |given: Option<Time>, default: u64| {
            given.map_or(Duration::from_secs(default), |Time(time)| time)
        };
        let or_never = |given: Option<Time>, default: u64| {
            Some(time(given, default)).filter(|time| !time.is_zero())
        };
        let snapshot_interval = or_never(self.snapshot_interval, 60)
            .context("snapshot-interval is a time longer than nothing")?;
        if let Some(path) = &self.snapshot {
            // Better found out now than when it is needed.
            mirror::check_snapshot(path)
                .with_context(|| format!("cannot write a snapshot to {}", path.display()))?;
        }
        let mirror = mirror::Settings {
            store: store.complete().map_err(|error| anyhow!(error))?,
            prefix: prefix
                .parse()
                .with_context(|| format!("the prefix '{prefix}' does not do"))?,
            consistency: self.consistency.unwrap_or_default(),
            guard: match self.hold_loss_over.unwrap_or(50) {
                percent @ 0..=100 => mirror::Guard { percent },
                _ => bail!("hold-loss-over is a percentage from 0 to 100"),
            },
            snapshot: self.snapshot.map(|path| (path, snapshot_interval)),
            audit: or_never(self.audit_interval, 3600),
            allow_empty: self.allow_empty.unwrap_or(false),
        };
        Ok(Config {
            mirror,
            listen,
            listens_where_possible,
            admin: self.admin.unwrap_or_else(|| ([127, 0, 0, 1], 9053).into()),
            udp_workers: count("udp-workers", self.udp_workers, cores.min(1024), 1024)?,
            stale_after: or_never(self.stale_after, 30),
            tcp_connections: count("tcp-connections", self.tcp_connections, 1000, 1_000_000)?,
            tcp_idle: time(self.tcp_idle, 10)
                .clamp(Duration::from_secs(1), Duration::from_secs(3600)),
            lameduck: time(self.lameduck, 0),
            id: self.id,
            advertise: self.advertise,
            nsid: self.nsid.unwrap_or_default(),
            server_version: self.server_version.unwrap_or_default(),
            log_level: client::log_directives(self.log_level.as_deref().unwrap_or("info"), "info")
                .map_err(|error| anyhow!("log-level: {error}"))?,
            log_format: self.log_format.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn parse(arguments: &[&str]) -> Options {
        Arguments::try_parse_from([&["nsd"], arguments].concat())
            .expect("arguments")
            .options
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = file(
            "prefix = \"/file\"\nlisten = [\"127.0.0.1:1\"]\nid = \"file\"\nlog-format = \"json\"\n",
        );
        let path = file.path().to_str().expect("a path");
        let config = parse(&[
            "--config",
            path,
            "--id",
            "flag",
            "--listen",
            "127.0.0.1:2",
            "127.0.0.1:3",
        ])
        .complete();
        let config = config.expect("sound settings");
        assert_eq!(config.mirror.prefix.to_string(), "/file");
        assert_eq!(
            config.listen,
            ["127.0.0.1:2", "127.0.0.1:3"].map(|a| a.parse().expect("an address"))
        );
        assert_eq!(
            (config.id.as_deref(), config.log_format),
            (Some("flag"), LogFormat::Json)
        );
    }

    #[test]
    fn times_are_written_in_one_way() {
        let minute = Some(Duration::from_secs(60));
        for text in [
            "60",
            "60.0",
            "\"60\"",
            "\"1m\"",
            "\"60s\"",
            "\"0m60s\"",
            "\"60000ms\"",
        ] {
            let keys = [
                "stale-after",
                "tcp-idle",
                "audit-interval",
                "snapshot-interval",
            ];
            let lines = keys.map(|key| format!("{key} = {text}\n")).concat();
            let file = file(&lines);
            let options = parse(&["--config", file.path().to_str().expect("a path")]);
            let config = options.complete().expect(text);
            assert_eq!(config.stale_after, minute, "{text}");
            assert_eq!(Some(config.tcp_idle), minute, "{text}");
            assert_eq!(config.mirror.audit, minute, "{text}");
        }
        for text in ["60", "1m", "60s", "0.5m30s"] {
            let config = parse(&["--stale-after", text, "--audit-interval", "0"]).complete();
            let config = config.expect(text);
            assert_eq!((config.stale_after, config.mirror.audit), (minute, None));
        }
        let never = parse(&["--stale-after", "0s"]).complete();
        assert_eq!(never.expect("sound settings").stale_after, None);
    }

    #[test]
    fn all_variables_are_known() {
        let variables = variables();
        for name in ["NSD_LISTEN", "NSD_CONFIG", "NSD_ETCD", "NSD_LOG_LEVEL"] {
            assert!(variables.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, reason) in [
            ("listn = []", "no setting 'listn', did you mean 'listen'"),
            ("stale_after = 5", "did you mean 'stale-after'"),
            ("config = \"x\"", "no setting 'config'"),
            (
                "id = \"a\"\nwhatever = 1",
                "no setting 'whatever': nsd --help",
            ),
            ("log-level = \"nonsense\"", "'nonsense' is no log level"),
            ("stale-after = -1", "a number alone counts seconds"),
            ("tcp-idle = \"1y\"", "line 1"),
            ("snapshot-interval = 0", "snapshot-interval is a time"),
            ("listen = [\"x\"]", "line 1"),
            ("udp-workers = 0", "udp-workers is a number from 1"),
            ("user = \"x\"", "NAME:PASSWORD"),
            ("cert-file = \"x\"", "belong together"),
            ("endpoints = [\"ftp://x:1\"]", "scheme"),
            ("prefix = \"/\"", "prefix"),
            ("consistency = \"bounded\"", "available, bounded:TIME"),
            ("id = \"a/b\"", "slash"),
            ("snapshot-interval = \"often\"", "expected a time such as"),
            ("snapshot = \"/nonexistent/file\"", "/nonexistent/file"),
            ("snapshot = \"/\"", "to /: it is a folder"),
            ("hold-loss-over = 101", "percentage"),
            ("audit-interval = \"-1s\"", "expected a time such as"),
        ] {
            let file = file(text);
            let error = parse(&["--config", file.path().to_str().expect("a path")])
                .complete()
                .expect_err(text);
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
        let error = parse(&["--config", "/nonexistent"])
            .complete()
            .expect_err("no file");
        assert!(format!("{error:#}").contains("/nonexistent") && error.is::<Unusable>());
    }
}
