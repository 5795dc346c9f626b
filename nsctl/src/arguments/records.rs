//! Records, and what is done with them.

use clap::Args;
use etcd::model::{Name, Rtype};

use super::Writing;
use super::values::ttl;

/// The records to add.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// Owner name.
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
    /// Zone to write to [default: the closest one that contains the name].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    /// Write the records even if a zone below ZONE hides them.
    #[arg(long, requires = "zone")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
}
