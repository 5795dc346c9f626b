//! Settings: from flags, from `NSD_*` variables, from a TOML file. A flag wins over a variable, a
//! variable over the file, the file over the default.

mod check;
mod dev;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
pub use check::Config;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
pub use dev::DevOptions;
use etcd::client;
use etcd::options::{self, StoreOptions};
use serde::{Deserialize, Serialize};

use crate::model::{Consistency, Time};

/// Authoritative DNS front-end that answers from an in-memory mirror of etcd.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    mut_args(|arg| options::variable(arg, "NSD_")),
    after_help = "Every option but --config is also a key of the configuration file, and every option is also a\nvariable: --listen is listen = [\"…\"] in the file, and NSD_LISTEN. An option wins over a variable,\na variable over the file.\n\nExit codes: 0 ended by SIGTERM or SIGINT, 1 failed, 2 settings, or files that they name, cannot be used."
)]
pub struct Arguments {
    /// The settings of a front-end.
    #[command(flatten)]
    pub options: ServeOptions,
    /// What to do other than serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs everything on this machine for a trial: starts a private etcd, serves on 127.0.0.1, and stops both at the
    /// end.
    Dev(DevOptions),
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
#[serde(rename_all = "kebab-case", default)]
pub struct ServeOptions {
    /// TOML file with any of the other settings.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// How to reach etcd.
    #[command(flatten)]
    #[serde(flatten)]
    pub store: StoreOptions,
    /// Also ask etcd for its members, and try their advertised client URLs after the endpoints [default: false].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Store")]
    pub discover_members: Option<bool>,

    /// Addresses and ports for DNS over UDP and TCP. [::]:53 is IPv6 only; for both families give 0.0.0.0:53 [::]:53
    /// [default: 127.0.0.1:53 [::1]:53, as far as the host has them].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "ADDR:PORT", help_heading = "Service")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Address and port of the admin listener (HTTP: /healthz, /readyz, /status, /metrics) [default: 127.0.0.1:9053].
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Service")]
    pub admin: Option<SocketAddr>,
    /// Threads that answer UDP, for each address [default: one for each core].
    #[arg(long, value_name = "COUNT", help_heading = "Service")]
    pub udp_workers: Option<usize>,
    /// Freshness promise of zones that set none: available, bounded:TIME (2s or more) or linearizable [default:
    /// available].
    #[arg(long, value_name = "MODE", help_heading = "Freshness")]
    pub consistency: Option<Consistency>,
    /// Answers carry EDE 3 (Stale Answer) once the data was last proved fresh this long ago; 0 for never [default:
    /// 30s].
    #[arg(long, value_name = "TIME", help_heading = "Freshness")]
    pub stale_after: Option<Time>,

    /// File to which the served data is saved, for a restart without etcd [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Outages")]
    pub snapshot: Option<PathBuf>,
    /// How often the snapshot is written, as in 30s or 5m [default: 1m].
    #[arg(long, value_name = "TIME", help_heading = "Outages")]
    pub snapshot_interval: Option<Time>,
    /// Hold back deletions that nsctl did not make if they exceed this percentage of a zone's RRsets, or of all
    /// zones', and are at least 5 RRsets, or all of them, or a zone's key; 100 holds nothing back [default: 50].
    #[arg(long, value_name = "PERCENT", help_heading = "Outages")]
    pub hold_loss_over: Option<u8>,
    /// How often all data is compared with etcd, as in 1h; 0 for never [default: 1h].
    #[arg(long, value_name = "TIME", help_heading = "Outages")]
    pub audit_interval: Option<Time>,

    /// How long to keep answering after SIGTERM while /readyz returns 503, so that load balancers can move away
    /// [default: 0].
    #[arg(long, value_name = "TIME", help_heading = "Service")]
    pub lameduck: Option<Time>,
    /// Be ready without any zone, and do not warn. Otherwise /readyz returns 503 until there is one, since an empty
    /// mirror usually means a wrong --prefix [default: false].
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Service"
    )]
    pub allow_empty: Option<bool>,
    /// Maximum number of TCP connections; one client may have a quarter of them [default: 1000].
    #[arg(long, value_name = "COUNT", help_heading = "Service")]
    pub tcp_connections: Option<usize>,
    /// When an idle TCP connection is closed, from 1s to 1h [default: 10s].
    #[arg(long, value_name = "TIME", help_heading = "Service")]
    pub tcp_idle: Option<Time>,

    /// Name of this front-end, unique in the fleet [default: host name and port].
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub id: Option<String>,
    /// Address at which nsctl reaches this front-end, if it listens on all addresses [default: the source address
    /// towards etcd].
    #[arg(long, value_name = "ADDR", help_heading = "Identity")]
    pub advertise: Option<std::net::IpAddr>,
    /// Answer to NSID and to CHAOS id.server [default: none, REFUSED].
    #[arg(long, value_name = "TEXT", help_heading = "Identity")]
    pub nsid: Option<String>,
    /// Answer to CHAOS version.bind [default: none, REFUSED].
    #[arg(long, value_name = "TEXT", help_heading = "Identity")]
    pub server_version: Option<String>,

    /// What to log, as in info or warn,etcd=debug [default: info].
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<String>,
    /// Form of log lines [default: text].
    #[arg(long, value_enum, help_heading = "Logs")]
    pub log_format: Option<LogFormat>,
}

/// Says of an error that settings cannot be used, or files that they name.
#[derive(Clone, Copy, Debug)]
pub struct Unusable;

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the settings cannot be used")
    }
}

/// A warning for each variable that looks like one of nsd's, but is none.
pub fn unknown_variables() -> Vec<String> {
    options::unknown_variables("NSD_", &Arguments::command())
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
    let hint = match options::nearest(key, settings.iter().copied()) {
        Some(nearest) => format!(", did you mean '{nearest}'?"),
        None => ": nsd --help lists them".into(),
    };
    Some(format!("there is no setting '{key}'{hint}"))
}

impl ServeOptions {
    /// Adds what the configuration file says, and checks all of it. Errors are [`Unusable`].
    pub fn complete(self) -> anyhow::Result<Config> {
        self.merged()
            .and_then(ServeOptions::check)
            .context(Unusable)
    }

    /// The same settings with those that only the configuration file has.
    pub fn merged(&self) -> anyhow::Result<ServeOptions> {
        match &self.config {
            Some(path) => self.merge(path),
            None => Ok(self.clone()),
        }
    }

    /// The names of the settings that `others` have otherwise.
    pub fn differences(&self, others: &ServeOptions) -> anyhow::Result<Vec<String>> {
        let [own, others] = [self, others].map(toml::Table::try_from);
        let (own, others) = (own?, others?);
        let added = others.keys().filter(|name| !own.contains_key(*name));
        let names = own.keys().chain(added);
        let differs = names.filter(|name| own.get(*name) != others.get(*name));
        Ok(differs.cloned().collect())
    }

    fn merge(&self, path: &Path) -> anyhow::Result<ServeOptions> {
        let text = client::read_small(path)
            .and_then(|octets| String::from_utf8(octets).map_err(io::Error::other))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let place = || format!("in {}", path.display());
        let mut table: toml::Table = toml::from_str(&text).with_context(place)?;
        if let Some(error) = unknown_key(&table) {
            return Err(anyhow!(error).context(place()));
        }
        // First into the types, for an error that names the line. What is flattened has no lines, so it comes by itself.
        toml::from_str::<StoreOptions>(&text)
            .and_then(|_| toml::from_str::<ServeOptions>(&text))
            .with_context(place)?;
        // Then key by key, so that flags and variables win.
        table.extend(toml::Table::try_from(self)?);
        Ok(table.try_into()?)
    }
}

#[cfg(test)]
mod tests;
