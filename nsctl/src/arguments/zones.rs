//! `zone …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use etcd::model::Name;
use etcd::txn::Moment;

use super::moment::moment;
use super::values::{PrefixWord, Promise, mailbox, prefix, promise, seconds, some_seconds, ttl};
use super::writing::{ChangeOptions, WriteOptions};

/// The limit of `raise-serials --count`. A serial is newer than another if it is less than 2^31 ahead (RFC 1982 3.2); the
/// rest leaves room for the revisions since the zone's last change, which are added too.
const RAISE_MAX: i64 = 1 << 30;

#[derive(Debug, Subcommand)]
pub(crate) enum ZoneCommand {
    /// Adds a zone.
    Add(AddZone),
    /// Changes settings of a zone.
    Set(SetZone),
    /// Lists the zones.
    List,
    /// Shows the settings of a zone.
    Show {
        /// The apex.
        zone: Name,
    },
    /// Removes a zone and all its records. On a terminal it asks first.
    Remove(RemoveZone),
    /// Imports a master file (zone file). The zone is created if it does not exist.
    ///
    /// Records are merged with those in etcd, and the zone keeps its SOA record. With --replace the file becomes the
    /// whole zone, in one step. Errors in the file stop the import, warnings do not.
    Import(ImportZone),
    /// Compares the zone in etcd with a master file, or with an earlier state. Exits with 3 if they differ.
    Diff {
        /// The apex, and the origin of the file.
        zone: Name,
        /// The master file; - for standard input.
        #[arg(required_unless_present = "from", conflicts_with = "from")]
        file: Option<PathBuf>,
        /// Show what has changed since this revision or time, as in 1234, 2026-11-27T10:30:00Z or 90m (ago).
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        from: Option<Moment>,
        /// Up to this revision or time [default: now].
        #[arg(long, value_name = "MOMENT", value_parser = moment, requires = "from")]
        to: Option<Moment>,
    },
    /// Checks a master file, without etcd; with --stored, a zone in etcd.
    #[command(allow_missing_positional = true)]
    Check(CheckZone),
    /// Prints a zone as a master file.
    Export {
        /// The apex.
        zone: Name,
        /// As it was at this revision or time, as in 1234, 2026-11-27T10:30:00Z or 90m (ago).
        #[arg(long, value_name = "MOMENT", value_parser = moment)]
        at: Option<Moment>,
    },
    /// Opens a zone as a master file in an editor (VISUAL, EDITOR, otherwise vi), and writes what was edited as one change.
    ///
    /// If others change the zone meanwhile, or the file has errors, nothing is written, and the file is kept.
    Edit(EditZone),
    /// Restores an earlier state of a zone, records and settings, as one change. On a terminal it shows the differences and
    /// asks first.
    ///
    /// The rollback is a change like any other, so it can be rolled back, too.
    Rollback(RollbackZone),
    /// Raises zone serials that went back, for example because etcd was restored from a backup.
    ///
    /// The running front-ends know which serials they have served. If none of them was running before the restore,
    /// raise all serials with --count.
    RaiseSerials {
        /// Raise the serials of all zones by at least COUNT: each also gains the number of revisions that etcd has made
        /// since the zone's last change.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=RAISE_MAX))]
        count: Option<u32>,
        #[command(flatten)]
        change: ChangeOptions,
    },
    /// Deletes unserved records that an aborted import, batch or removal left in etcd. Records that are only hidden by a
    /// zone below are kept.
    ///
    /// For a zone that was removed, or whose settings were lost, it also deletes the key that keeps its serials from
    /// going back: a new zone of that name starts afresh.
    Clean {
        /// The apex.
        zone: Name,
        /// Also delete the zone's journal, and what is archived for `zone rollback`.
        #[arg(long)]
        history: bool,
        #[command(flatten)]
        writing: WriteOptions,
    },
}

impl ZoneCommand {
    /// The name of the command.
    pub(super) fn name(&self) -> &'static str {
        match self {
            ZoneCommand::Add(_) => "zone add",
            ZoneCommand::Set(_) => "zone set",
            ZoneCommand::Remove(_) => "zone remove",
            ZoneCommand::Import(_) => "zone import",
            ZoneCommand::RaiseSerials { .. } => "zone raise-serials",
            ZoneCommand::Clean { .. } => "zone clean",
            ZoneCommand::List => "zone list",
            ZoneCommand::Show { .. } => "zone show",
            ZoneCommand::Diff { .. } => "zone diff",
            ZoneCommand::Check(_) => "zone check",
            ZoneCommand::Export { .. } => "zone export",
            ZoneCommand::Edit(_) => "zone edit",
            ZoneCommand::Rollback(_) => "zone rollback",
        }
    }

    /// The options for its change, if it makes one.
    pub(super) fn change(&self) -> Option<&ChangeOptions> {
        match self {
            ZoneCommand::Add(AddZone { change, .. })
            | ZoneCommand::Set(SetZone { change, .. })
            | ZoneCommand::Remove(RemoveZone { change, .. })
            | ZoneCommand::Import(ImportZone { change, .. })
            | ZoneCommand::Edit(EditZone { change, .. })
            | ZoneCommand::Rollback(RollbackZone { change, .. })
            | ZoneCommand::RaiseSerials { change, .. } => Some(change),
            ZoneCommand::Clean { .. }
            | ZoneCommand::List
            | ZoneCommand::Show { .. }
            | ZoneCommand::Diff { .. }
            | ZoneCommand::Check(_)
            | ZoneCommand::Export { .. } => None,
        }
    }
}

/// `zone add`.
#[derive(Debug, Args)]
pub(crate) struct AddZone {
    /// The apex.
    pub(crate) zone: Name,
    /// Name servers of the zone; the first is the primary in the SOA record. The TTL of these records is the larger of
    /// --default-ttl and --soa-ttl.
    #[arg(long, required = true, num_args = 1.., value_name = "NAME")]
    pub(crate) ns: Vec<Name>,
    /// Move into this zone, in the same transaction, those records of its parent zone that it would hide.
    #[arg(long = "move", conflicts_with = "force")]
    pub(crate) move_hidden: bool,
    /// Create the zone even if it hides records of the zone above, or if front-ends may still be serving an old zone of
    /// this name, because its settings were deleted without nsctl.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) settings: SettingOptions,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone set`.
#[derive(Debug, Args)]
pub(crate) struct SetZone {
    /// The apex.
    pub(crate) zone: Name,
    /// The primary name server in the SOA record.
    #[arg(long, value_name = "NAME")]
    pub(crate) mname: Option<Name>,
    #[command(flatten)]
    pub(crate) settings: SettingOptions,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone edit`.
#[derive(Debug, Args)]
pub(crate) struct EditZone {
    /// The apex.
    pub(crate) zone: Name,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackZone {
    /// The apex.
    pub(crate) zone: Name,
    /// The revision or time to go back to, as in 1234, 2026-11-27T10:30:00Z or 90m (ago).
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) to: Moment,
    /// Restore records even if a zone below hides them, and a zone even if it hides records of the zone above.
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveZone {
    /// The apex.
    pub(crate) zone: Name,
    /// Remove the zone even if its settings in etcd cannot be read.
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone import`.
#[derive(Debug, Args)]
pub(crate) struct ImportZone {
    /// The apex, and the origin of the file.
    pub(crate) zone: Name,
    /// The master file; - for standard input.
    pub(crate) file: PathBuf,
    /// Replace the zone's records and SOA record with those of the file, in one step. Its other settings stay.
    /// Exits with 3 if the zone has changed since the file was exported.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Write nothing if there are warnings.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Move into the new zone those records of its parent zone that it would hide.
    #[arg(long = "move")]
    pub(crate) move_hidden: bool,
    /// Import in spite of any of these: the file has records of a signed zone, such as RRSIG and DNSKEY (they are left
    /// out); the zone has changed, or was removed, since the file was exported (it is overwritten); the new zone hides
    /// records of the zone above (unless --move moves them), or a zone below hides records of the imported zone.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

/// `zone check`.
#[derive(Debug, Args)]
pub(crate) struct CheckZone {
    /// The apex, and the origin of the file [default: the owner of the SOA record, otherwise the file's name].
    pub(crate) zone: Option<Name>,
    /// The master file; - for standard input.
    #[arg(required_unless_present = "stored")]
    pub(crate) file: Option<PathBuf>,
    /// Check this zone as it is in etcd. Exits with 3 if it has errors.
    #[arg(long, value_name = "ZONE", conflicts_with_all = ["zone", "file"])]
    pub(crate) stored: Option<Name>,
}

/// Settings of a zone.
#[derive(Clone, Debug, Args)]
pub(crate) struct SettingOptions {
    /// Mailbox of the person responsible, as in hostmaster@example.org or as a name [default for a new zone: hostmaster
    /// in the zone].
    #[arg(long, value_parser = mailbox)]
    pub(crate) mbox: Option<Name>,
    /// TTL of records added without one [default for a new zone: 300].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) default_ttl: Option<u32>,
    /// TTL of the SOA record [default for a new zone: 3600].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) soa_ttl: Option<u32>,
    /// TTL of negative answers [default for a new zone: 60].
    #[arg(long, value_name = "TTL", value_parser = ttl)]
    pub(crate) minimum: Option<u32>,
    /// How often secondaries look for changes [default for a new zone: 1h].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) refresh: Option<u32>,
    /// How soon secondaries retry after a failure [default for a new zone: 10m].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) retry: Option<u32>,
    /// How long secondaries keep answering when they cannot reach a primary [default for a new zone: 2w].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) expire: Option<u32>,
    /// Freshness promise: available, bounded:TIME (2s or more), linearizable, or default, which leaves it to each
    /// front-end (nsd --consistency).
    #[arg(long, value_name = "MODE", value_parser = promise)]
    pub(crate) consistency: Option<Promise>,
    /// Prefixes of the clients that may query the zone, as in 192.0.2.0/24; all others get REFUSED. The list replaces
    /// the zone's list; the value `any` removes it: then every client that --deny-query does not name may query. The
    /// lists of each front-end (nsd --allow-query) apply too.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "PREFIX", value_parser = prefix)]
    pub(crate) allow_query: Option<Vec<PrefixWord>>,
    /// Prefixes of the clients that may not query the zone, whatever --allow-query says; the value `none`
    /// removes the list.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "PREFIX", value_parser = prefix)]
    pub(crate) deny_query: Option<Vec<PrefixWord>>,
    /// How long the zone's journal keeps an entry [default for a new zone: 30d].
    #[arg(long, value_name = "TIME", value_parser = some_seconds)]
    pub(crate) journal_age: Option<u32>,
    /// How many entries the zone's journal keeps; 0: no journal [default for a new zone: 500].
    #[arg(long, value_name = "COUNT")]
    pub(crate) journal_entries: Option<u32>,
    /// How many replaced versions of the whole zone to keep for a rollback [default for a new zone: 3].
    #[arg(long, value_name = "COUNT")]
    pub(crate) journal_archives: Option<u32>,
}
