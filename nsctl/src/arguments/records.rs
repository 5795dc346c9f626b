//! `add`, `set`, `remove`, `batch`, `announce`, `history` and `list`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use etcd::client::Since;
use etcd::model::{Name, Rtype};

use super::conditions::{Conditions, IfRevision};
use super::moment::since;
use super::values::{count, lease, time, ttl};
use super::writing::ChangeOptions;

/// `add`.
#[derive(Debug, Args)]
pub(crate) struct AddRecords {
    /// Owner name.
    pub(crate) name: Name,
    /// Record type, as in AAAA or TYPE65280.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: Rtype,
    /// The records.
    #[arg(required = true)]
    pub(crate) rdata: Vec<String>,
    #[command(flatten)]
    pub(crate) placement: Placement,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

/// `set`.
#[derive(Debug, Args)]
pub(crate) struct SetRecords {
    /// Owner name.
    pub(crate) name: Name,
    /// Record type, as in AAAA or TYPE65280.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: Rtype,
    /// The records.
    #[arg(required_unless_present = "ttl")]
    pub(crate) rdata: Vec<String>,
    /// Also remove the records of all other types at the name, in the same transaction, for example to replace an
    /// address with a CNAME.
    #[arg(long, requires = "rdata")]
    pub(crate) replace_all: bool,
    #[command(flatten)]
    pub(crate) placement: Placement,
    #[command(flatten)]
    pub(crate) conditions: Conditions,
}

/// `remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveRecords {
    /// Owner name.
    pub(crate) name: Name,
    /// Record type [default: all types]; required with --if-revision.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: Option<Rtype>,
    /// The records [default: all of the type].
    pub(crate) rdata: Vec<String>,
    /// Zone to write to [default: the closest one that contains the name].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    #[command(flatten)]
    pub(crate) condition: IfRevision,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `batch`.
#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// File with the changes; - is standard input.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Zone to write to [default: for each name the closest one that contains it].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    /// Write the records even if a zone below ZONE hides them.
    #[arg(long, requires = "zone")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// What changes are about.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// Only changes of the records at this name, and changes of the whole zone.
    #[arg(conflicts_with = "zone")]
    pub(crate) name: Option<Name>,
    /// Only this zone [default: all zones].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
}

/// `history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Only changes after this revision, or made since this time (2026-11-27T10:30:00Z) or within this long (90m, 2d).
    #[arg(long, value_name = "REVISION|TIME", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// The most changes to show.
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = count)]
    pub(crate) limit: usize,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// Begin with the changes after this revision, or those made since this time (2026-11-27T10:30:00Z) or within this
    /// long (90m, 2d) [default: now].
    #[arg(long, value_name = "REVISION|TIME", value_parser = since)]
    pub(crate) since: Option<Since>,
}

/// `announce`.
#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// Owner name.
    pub(crate) name: Name,
    /// Record type, as in A or SRV.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: Rtype,
    /// The records.
    #[arg(required = true)]
    pub(crate) rdata: Vec<String>,
    /// Time to live, in seconds or as in 1m30s; at most that of the lease [default: the zone's default TTL
    /// or the lease, whichever is shorter].
    #[arg(long, value_parser = ttl)]
    pub(crate) ttl: Option<u32>,
    /// How long the records stay after the last sign of life, in seconds or as in 1m30s; from 2s to 1d.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = lease)]
    pub(crate) lease: u32,
    /// Zone to announce in [default: the closest one that contains the name].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    #[command(flatten)]
    pub(crate) check: Check,
    /// Time between two checks.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time, requires = "Check")]
    pub(crate) check_interval: Duration,
    /// After `--`: a command to run. The records are announced as long as it runs.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What is checked before and while records are announced.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Check {
    /// Announce only while this URL answers with a status below 400, as in http://127.0.0.1:8080/health.
    #[arg(long, value_name = "URL")]
    pub(crate) check_http: Option<String>,
    /// Announce only while this address accepts TCP connections.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) check_tcp: Option<String>,
    /// Announce only while this shell command ends with 0.
    #[arg(long, value_name = "CMD")]
    pub(crate) check_cmd: Option<String>,
}

/// `list`.
#[derive(Debug, Args)]
pub(crate) struct ListRecords {
    /// Owner name [default: all names].
    pub(crate) name: Option<Name>,
    /// Only this zone.
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    /// Only this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) rtype: Option<Rtype>,
    /// Also list the names below NAME.
    #[arg(long, requires = "name")]
    pub(crate) subtree: bool,
}

/// Where records are written, and with which TTL.
#[derive(Debug, Args)]
pub(crate) struct Placement {
    /// Time to live, in seconds or as in 1h30m [default: the RRset's, otherwise the zone's default TTL].
    #[arg(long, value_parser = ttl)]
    pub(crate) ttl: Option<u32>,
    /// Zone to write to [default: the closest one that contains the name].
    #[arg(long)]
    pub(crate) zone: Option<Name>,
    /// Write the records even if a zone below ZONE hides them.
    #[arg(long, requires = "zone")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}
