//! The settings of `nsd dev`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::model::Name;

/// What `nsd dev` takes.
#[derive(Clone, Debug, Args)]
pub struct DevOptions {
    /// Address and port to answer DNS on; with port 0 a free one.
    #[arg(long, default_value = "127.0.0.1:5300", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// Address and port of the admin listener; with port 0 a free one.
    #[arg(long, default_value = "127.0.0.1:9053", value_name = "ADDR:PORT")]
    pub(crate) admin: SocketAddr,
    /// Where etcd keeps its data; a temporary folder, removed at the end, if not given.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A zone to import at the start, in place of what is there of it.
    #[arg(long, value_name = "ZONE=FILE", value_parser = zone_file)]
    pub(crate) zone_file: Vec<(Name, PathBuf)>,
    /// The etcd program.
    #[arg(long, default_value = "etcd", env = "NSD_ETCD", value_name = "PROGRAM")]
    pub(crate) etcd: PathBuf,
    /// What to log to stderr.
    #[arg(
        long,
        default_value = "warn",
        env = "NSD_LOG_LEVEL",
        value_name = "LEVEL"
    )]
    pub(crate) log_level: String,
}

fn zone_file(text: &str) -> Result<(Name, PathBuf), String> {
    let (zone, file) = text
        .split_once('=')
        .ok_or("expected ZONE=FILE, as in example.org=example.org.zone")?;
    let zone = zone
        .parse()
        .map_err(|error| format!("'{zone}' is not a domain name: {error}"))?;
    Ok((zone, file.into()))
}
