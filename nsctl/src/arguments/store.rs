//! How to reach etcd.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use etcd::client::{Config, Tls};
use etcd::schema::Prefix;

use super::values::{log_directives, time};
use crate::error::Error;

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
    /// Certificate authorities to trust, in PEM [default: the system's].
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
    /// Name to expect in the server's certificate [default: the host in the URL].
    #[arg(long, global = true, value_name = "NAME", env = "NSCTL_TLS_NAME")]
    tls_name: Option<String>,
    /// User and password. Prefer the variable, which process lists do not show.
    #[arg(
        long,
        global = true,
        value_name = "NAME:PASSWORD",
        hide_env_values = true,
        env = "NSCTL_USER"
    )]
    user: Option<String>,
    /// Time limit for each step with etcd, as in 500ms, 5s or 1m.
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
    pub(super) log_level: String,
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
        config
            .complete()
            .map_err(|error| Error::Usage(error.to_string()))
    }
}
