//! `zone`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use etcd::model::Name;

use super::Writing;
use super::values::{Promise, mailbox, promise, seconds, ttl};

/// Serials compare up to a distance of 2^31 (RFC 1982 3.2), and what is added to the revision adds to that.
const RAISE_MAX: i64 = 1 << 30;

#[derive(Debug, Subcommand)]
pub(crate) enum ZoneCommand {
    /// Adds a zone.
    Add {
        /// The apex.
        zone: Name,
        /// Name servers of the zone; the first is the primary in the SOA record. The TTL of these records is the larger of
        /// --default-ttl and --soa-ttl.
        #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
        ns: Vec<Name>,
        /// Move the records that this zone would hide from the zone above into it, in the same transaction.
        #[arg(long = "move", conflicts_with = "force")]
        move_hidden: bool,
        /// Create the zone even if it hides records of the zone above, or if its settings in etcd were deleted but not by
        /// nsctl, so that front-ends may still serve it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        writing: Writing,
    },
    /// Changes settings of a zone.
    Set {
        /// The apex.
        zone: Name,
        /// The primary name server in the SOA record.
        #[arg(long, value_name = "NAME")]
        mname: Option<Name>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        writing: Writing,
    },
    /// Lists the zones.
    List,
    /// Shows the settings of a zone.
    Show {
        /// The apex.
        zone: Name,
    },
    /// Removes a zone and all its records. On a terminal it asks first.
    Remove {
        /// The apex.
        zone: Name,
        /// Remove the zone even if its settings in etcd cannot be read.
        #[arg(long)]
        force: bool,
        /// Do not ask for confirmation.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        writing: Writing,
    },
    /// Imports a master file. The zone is created if it does not exist.
    ///
    /// Records are merged with those in etcd, and the zone keeps its SOA record. With --replace the file becomes the
    /// whole zone, in one step. Errors in the file stop the import, warnings do not.
    Import {
        /// The apex, and the origin of the file.
        zone: Name,
        /// The master file; - for standard input.
        file: PathBuf,
        /// Replace the zone's records and SOA record with those of the file, in one step. Its other settings stay:
        /// consistency and default TTL. Exits with 3 if the zone has changed since the file was exported.
        #[arg(long)]
        replace: bool,
        /// Write nothing if there are warnings.
        #[arg(long)]
        strict: bool,
        /// Move the records that a new zone would hide from the zone above into it.
        #[arg(long = "move")]
        move_hidden: bool,
        /// Leave out the records of a signed zone, such as RRSIG and DNSKEY. Overwrite what others have changed, or
        /// removed, since the file was exported. Hide records of the zone above, unless they are moved, or of this one
        /// behind a zone below.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        writing: Writing,
    },
    /// Compares a master file with the zone in etcd. Exits with 3 if they differ.
    Diff {
        /// The apex, and the origin of the file.
        zone: Name,
        /// The master file; - for standard input.
        file: PathBuf,
    },
    /// Checks a master file, without etcd; with --stored, a zone in etcd.
    #[command(allow_missing_positional = true)]
    Check {
        /// The apex, and the origin of the file [default: where the SOA record is, else the file's name].
        zone: Option<Name>,
        /// The master file; - for standard input.
        #[arg(required_unless_present = "stored")]
        file: Option<PathBuf>,
        /// Check this zone as it is in etcd. Exits with 3 if it has errors.
        #[arg(long, value_name = "ZONE", conflicts_with_all = ["zone", "file", "zone_option"])]
        stored: Option<Name>,
        /// The same as ZONE, as earlier releases had it.
        #[arg(
            long = "zone",
            value_name = "ZONE",
            hide = true,
            conflicts_with = "zone"
        )]
        zone_option: Option<Name>,
    },
    /// Prints a zone as a master file.
    Export {
        /// The apex.
        zone: Name,
    },
    /// Raises zone serials that went back, as after etcd was restored from a backup.
    ///
    /// The front-ends know which serials they served before. If none of them was running then, raise all serials with
    /// --by.
    RaiseSerials {
        /// Raise the serials of all zones by at least COUNT. A serial counts from etcd's revision at its last change, so
        /// it also grows by all that was written to etcd since then.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=RAISE_MAX))]
        by: Option<u32>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Deletes records that are not served, which an aborted import has left behind.
    ///
    /// For a zone that was removed, it also deletes what is remembered of its serials; a new zone of that name then
    /// starts afresh.
    Clean {
        /// The apex.
        zone: Name,
        #[command(flatten)]
        writing: Writing,
    },
}

/// Settings of a zone.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Mailbox of the person responsible, as in hostmaster@example.org or as a name [default: hostmaster in the zone].
    #[arg(long, value_parser = mailbox)]
    pub(crate) mbox: Option<Name>,
    /// TTL of records added without one [default: 300].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) default_ttl: Option<u32>,
    /// TTL of the SOA record [default: 3600].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) soa_ttl: Option<u32>,
    /// TTL of negative answers [default: 60].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) minimum: Option<u32>,
    /// How often secondaries look for changes [default: 1h].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) refresh: Option<u32>,
    /// How soon secondaries retry [default: 10m].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) retry: Option<u32>,
    /// When secondaries stop answering [default: 2w].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) expire: Option<u32>,
    /// Freshness promise: available, bounded:TIME (2s or more), linearizable, or default for each front-end's own.
    #[arg(long, value_name = "MODE", value_parser = promise)]
    pub(crate) consistency: Option<Promise>,
}
