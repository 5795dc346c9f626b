//! The options of `nsd dev`.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::model::{Name, NameError};

/// The options of `nsd dev`. Except for `NSD_ETCD` and `NSD_LOG_LEVEL` they have no variables, so that the variables of
/// a front-end on the same host do not change a trial.
#[derive(Clone, Debug, Args)]
pub struct DevOptions {
    /// Address and port to answer DNS on; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:5300", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// Address and port of the admin listener; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:9053", value_name = "ADDR:PORT")]
    pub(crate) admin: SocketAddr,
    /// Also answer over TLS, HTTPS and QUIC, with a self-signed certificate that is made for this run.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Where etcd keeps its data [default: a temporary folder, which is removed at the end].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Import this master file at the start, and replace what the zone has. Can be given several times.
    #[arg(long, value_name = "ZONE=FILE", value_parser = zone_file)]
    pub(crate) zone_file: Vec<(Name, PathBuf)>,
    /// The etcd program.
    #[arg(long, default_value = "etcd", env = "NSD_ETCD", value_name = "PROGRAM")]
    pub(crate) etcd: PathBuf,
    /// What to log to stderr, as in info or warn,etcd=debug.
    #[arg(
        long,
        default_value = "warn",
        env = "NSD_LOG_LEVEL",
        value_name = "LEVEL"
    )]
    pub(crate) log_level: String,
}

/// Why a text is not of the form `ZONE=FILE`.
#[derive(Debug)]
enum ZoneFileError {
    Form,
    /// The zone is not a domain name.
    Zone(String, NameError),
}

impl fmt::Display for ZoneFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneFileError::Form => {
                f.write_str("expected ZONE=FILE, as in example.org=example.org.zone")
            }
            ZoneFileError::Zone(zone, error) => {
                write!(f, "'{zone}' is not a domain name: {error}")
            }
        }
    }
}

impl Error for ZoneFileError {}

fn zone_file(text: &str) -> Result<(Name, PathBuf), ZoneFileError> {
    let (zone, file) = text.split_once('=').ok_or(ZoneFileError::Form)?;
    let zone = zone
        .parse()
        .map_err(|error| ZoneFileError::Zone(zone.into(), error))?;
    Ok((zone, file.into()))
}
