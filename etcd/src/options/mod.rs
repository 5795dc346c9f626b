//! Options that both programs have, declared once.
//!
//! clap takes a flag's name, help and type from a field, and serde takes the key of the configuration file from the
//! same field. [`variable`] makes the name of the environment variable from the flag, so an option is one field, and
//! its check.

mod log_level;
mod variables;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

pub use self::log_level::{LogLevelError, log_directives};
pub use self::variables::{nearest, unknown_variables, variable};
use crate::client::{Config, Tls};
use crate::schema::{KeyError, Prefix};

const ENDPOINT_DEFAULT: &str = "http://127.0.0.1:2379";

const PREFIX_DEFAULT: &str = "/ns";

/// How to reach etcd, as given: nothing is checked, and an option that is not given is `None`.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Store")]
#[serde(rename_all = "kebab-case", default)]
pub struct StoreOptions {
    /// Client URLs of etcd members, separated by commas [default: http://127.0.0.1:2379].
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub endpoints: Option<Vec<String>>,
    /// Prefix of all keys [default: /ns].
    #[arg(long)]
    pub prefix: Option<String>,
    /// Certificate authorities to trust, in PEM [default: the system's].
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Client certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Name to expect in etcd's certificate [default: the host in the URL].
    #[arg(long, value_name = "NAME")]
    pub tls_name: Option<String>,
    /// User and password. Other users of the host can see this option in the process list; they cannot see the variable.
    #[arg(long, value_name = "NAME:PASSWORD", hide_env_values = true)]
    pub user: Option<String>,
}

/// Why [`StoreOptions`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOptionsError {
    /// The prefix is not one that keys can have.
    Prefix(String, KeyError),
    /// The user comes without a password.
    User,
    /// A certificate without its key, or a key without its certificate.
    Identity,
}

impl fmt::Display for StoreOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreOptionsError::Prefix(prefix, reason) => {
                write!(f, "the prefix '{prefix}' is not valid: {reason}")
            }
            StoreOptionsError::User => f.write_str("--user is not of the form NAME:PASSWORD"),
            StoreOptionsError::Identity => {
                f.write_str("--cert-file and --key-file must be given together")
            }
        }
    }
}

impl Error for StoreOptionsError {}

impl StoreOptions {
    /// The prefix of all keys.
    pub fn prefix(&self) -> Result<Prefix, StoreOptionsError> {
        let text = self.prefix.as_deref().unwrap_or(PREFIX_DEFAULT);
        text.parse()
            .map_err(|reason| StoreOptionsError::Prefix(text.into(), reason))
    }

    /// How to reach etcd. The endpoints are not checked yet: [`Config::complete`] does that.
    pub fn config(&self) -> Result<Config, StoreOptionsError> {
        let user = match &self.user {
            None => None,
            Some(user) => match user.split_once(':') {
                Some((name, password)) if !name.is_empty() => Some((name.into(), password.into())),
                _ => return Err(StoreOptionsError::User),
            },
        };
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(StoreOptionsError::Identity),
        };
        let endpoints = self.endpoints.clone();
        Ok(Config {
            tls: Tls {
                ca_file: self.ca_file.clone(),
                identity,
                server_name: self.tls_name.clone(),
                ..Tls::default()
            },
            user,
            ..Config::new(endpoints.unwrap_or_else(|| vec![ENDPOINT_DEFAULT.into()]))
        })
    }
}
