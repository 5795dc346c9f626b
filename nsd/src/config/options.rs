//! The options of a front-end, as given.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use etcd::options::StoreOptions;
use serde::{Deserialize, Serialize};

use crate::model::{AddressPrefix, Consistency, Time};

/// Forms of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// The options of a front-end, as given: nothing is checked, and an option that is not given is `None`.
///
/// The options of a front-end are declared only here; those of the store, which `nsctl` shares, in [`StoreOptions`].
/// clap and serde make an option's flag and its key in the configuration file from the field's name, and
/// [`etcd::options::variable`] its variable.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ServeOptions {
    /// TOML file with any of the other options.
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
    /// Addresses and ports for DNS over TLS (RFC 7858), usually with port 853 [default: none].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "ADDR:PORT", help_heading = "Encrypted transports")]
    pub tls_listen: Option<Vec<SocketAddr>>,
    /// Addresses and ports for DNS over HTTPS (RFC 8484), usually with port 443 [default: none].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "ADDR:PORT", help_heading = "Encrypted transports")]
    pub https_listen: Option<Vec<SocketAddr>>,
    /// Path at which DNS over HTTPS answers queries [default: /dns-query].
    #[arg(long, value_name = "PATH", help_heading = "Encrypted transports")]
    pub https_path: Option<String>,
    /// Addresses and ports for DNS over QUIC (RFC 9250), usually with port 853 [default: none].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "ADDR:PORT", help_heading = "Encrypted transports")]
    pub quic_listen: Option<Vec<SocketAddr>>,
    /// Certificate for the encrypted transports, in PEM, with the chain up to the authority. It is read again when the
    /// file changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", help_heading = "Encrypted transports")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Encrypted transports")]
    pub tls_key: Option<PathBuf>,
    /// Address and port of the admin listener (HTTP: /healthz, /readyz, /status, /metrics) [default: 127.0.0.1:9053].
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Service")]
    pub admin: Option<SocketAddr>,
    /// Number of threads that answer UDP, for each address [default: one for each core].
    #[arg(long, value_name = "COUNT", help_heading = "Service")]
    pub udp_workers: Option<usize>,
    /// Maximum number of connections over TCP, TLS, HTTPS and QUIC together; one client (a /64 of IPv6) may have a quarter
    /// of them [default: 1000].
    #[arg(long, value_name = "COUNT", help_heading = "Service")]
    pub tcp_connections: Option<usize>,
    /// Close a connection after this idle time, from 1s to 1h [default: 10s].
    #[arg(long, value_name = "TIME", help_heading = "Service")]
    pub tcp_idle: Option<Time>,
    /// How long to keep answering after SIGTERM while /readyz returns 503, so that load balancers can take it out of
    /// service [default: 0].
    #[arg(long, value_name = "TIME", help_heading = "Service")]
    pub lameduck: Option<Time>,
    /// Be ready without any zone, and do not warn. Otherwise /readyz returns 503 until there is one, since an empty
    /// mirror usually means a wrong --prefix [default: false].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Service")]
    pub allow_empty: Option<bool>,

    /// Prefixes of the clients that may query; all others get REFUSED with EDE 18 (Prohibited). Zones can have lists of
    /// their own (nsctl zone set --allow-query), and a client has to pass both. Read again on SIGHUP [default: all].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "PREFIX", help_heading = "Clients")]
    pub allow_query: Option<Vec<AddressPrefix>>,
    /// Prefixes of the clients that may not query, whatever --allow-query says. Read again on SIGHUP [default: none].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "PREFIX", help_heading = "Clients")]
    pub deny_query: Option<Vec<AddressPrefix>>,

    /// Give clients server cookies (RFC 7873, RFC 9018), and exempt those that send theirs back from rate limits. Read
    /// again on SIGHUP [default: true].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Clients")]
    pub cookies: Option<bool>,

    /// How many responses a second each client network (/24 of IPv4, /56 of IPv6) gets for the same name over UDP; 0
    /// for no limit. Names that are answered from a wildcard, a DNAME record or a referral share one limit for each
    /// zone. Like all of these limits it is read again on SIGHUP [default: 0].
    #[arg(long, value_name = "COUNT", help_heading = "Rate limits")]
    pub rrl_answers: Option<u32>,
    /// How many NXDOMAIN responses a second each client network gets for names in the same zone; 0 for no limit
    /// [default: 0].
    #[arg(long, value_name = "COUNT", help_heading = "Rate limits")]
    pub rrl_nxdomains: Option<u32>,
    /// How many other errors a second each client network gets; 0 for no limit [default: 0].
    #[arg(long, value_name = "COUNT", help_heading = "Rate limits")]
    pub rrl_errors: Option<u32>,
    /// Of the responses over a limit, send one in COUNT truncated, so that real clients ask again over TCP: 1 sends all
    /// of them, 0 none; at most 10 [default: 2].
    #[arg(long, value_name = "COUNT", help_heading = "Rate limits")]
    pub rrl_slip: Option<u8>,
    /// Prefixes of clients without rate limits [default: none].
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "PREFIX", help_heading = "Rate limits")]
    pub rrl_exempt: Option<Vec<AddressPrefix>>,
    /// Limit nothing, and only count in nsd_rrl_would_total what would have been limited [default: false].
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Rate limits")]
    pub rrl_log_only: Option<bool>,

    /// Freshness promise of zones that set none: available, bounded:TIME (2s or more) or linearizable [default:
    /// available].
    #[arg(long, value_name = "MODE", help_heading = "Freshness")]
    pub consistency: Option<Consistency>,
    /// Mark answers as stale (EDE 3, Stale Answer) when the data has not been proved fresh for this long; 0 for never
    /// [default: 30s].
    #[arg(long, value_name = "TIME", help_heading = "Freshness")]
    pub stale_after: Option<Time>,

    /// File to which the served data is saved, for a restart without etcd [default: none].
    #[arg(long, value_name = "FILE", help_heading = "Outages")]
    pub snapshot: Option<PathBuf>,
    /// How often to write the snapshot, as in 30s or 5m [default: 1m].
    #[arg(long, value_name = "TIME", help_heading = "Outages")]
    pub snapshot_interval: Option<Time>,
    /// Hold back large deletions that nsctl did not make: within an hour, the settings of a zone, all of its RRsets, or
    /// at least 5 and more than this percentage, of one zone or of all zones together. Such zones are served as they
    /// were (SERVFAIL if they promise freshness) until nsctl accept; 100 holds nothing back [default: 50].
    #[arg(long, value_name = "PERCENT", help_heading = "Outages")]
    pub hold_loss_over: Option<u8>,
    /// How often to compare all data with etcd, as in 1h; 0 for never [default: 1h].
    #[arg(long, value_name = "TIME", help_heading = "Outages")]
    pub audit_interval: Option<Time>,

    /// Name of this front-end, unique in the fleet [default: host name and port].
    #[arg(long, value_name = "NAME", help_heading = "Identity")]
    pub id: Option<String>,
    /// Address at which nsctl reaches this front-end, needed if a listener is bound to 0.0.0.0 or [::] [default: the
    /// source address towards etcd].
    #[arg(long, value_name = "ADDR", help_heading = "Identity")]
    pub advertise: Option<IpAddr>,
    /// Text to return for NSID, and for CHAOS id.server and hostname.bind [default: none; CHAOS is refused].
    #[arg(long, value_name = "TEXT", help_heading = "Identity")]
    pub nsid: Option<String>,
    /// Text to return for CHAOS version.bind and version.server [default: none; refused].
    #[arg(long, value_name = "TEXT", help_heading = "Identity")]
    pub server_version: Option<String>,

    /// What to log, as in info or warn,etcd=debug [default: info].
    #[arg(long, value_name = "LEVEL", help_heading = "Logs")]
    pub log_level: Option<String>,
    /// Form of log lines [default: text].
    #[arg(long, value_enum, help_heading = "Logs")]
    pub log_format: Option<LogFormat>,
}
