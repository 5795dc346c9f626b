//! Records, and what is done with them.

use clap::Args;
use etcd::model::{Name, Rtype};

use super::Writing;
use super::values::ttl;

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
