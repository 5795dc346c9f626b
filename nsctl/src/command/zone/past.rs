//! `zone export --at`, `zone diff --from` and `zone rollback`: zones as they were.

use std::io::{self, IsTerminal};

use etcd::client::{Exported, ImportHow, ImportMode, ZonePast};
use etcd::model::zonefile::{self, Checked};
use etcd::model::{Name, ZoneSettings};
use etcd::txn::{Moment, Overlap};

use super::{diff, import};
use crate::arguments::RollbackZone;
use crate::command::change::{difference_lines, settings_changed, soa_differences};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// The present.
const NOW: Moment = Moment::Revision(i64::MAX);

/// What a zone was at a moment. It is an error if there was none.
async fn past(
    context: &Context,
    apex: &Name,
    moment: Moment,
) -> Result<(ZoneSettings, ZonePast), Error> {
    let found = context.store().zone_past(apex, moment).await?;
    let found = found.map_err(|why| Error::Conflict(format!("{apex}: {why}")))?;
    match found.past.settings.clone() {
        Some(settings) => Ok((settings, found)),
        // It has never existed, as far as is known.
        None if found.revision == 0 => Err(context.no_zone(apex, found.as_of).await),
        None => Err(Error::Conflict(format!(
            "the zone {apex} did not exist then"
        ))),
    }
}

/// Prints a zone as it was.
pub(super) async fn export(context: &Context, apex: &Name, at: Moment) -> Result<(), Error> {
    let (settings, found) = past(context, apex, at).await?;
    let serial = settings.serial(found.revision);
    let mut text = format!("; {apex} as it was at revision {}\n", found.revision);
    zonefile::write(&mut text, apex, &settings, serial, &found.past.rrsets)
        .map_err(Error::failed)?;
    output::print(&text)
}

/// Shows what has changed from one moment to another.
pub(super) async fn changed(
    context: &Context,
    apex: &Name,
    from: Moment,
    to: Option<Moment>,
) -> Result<(), Error> {
    let (old_settings, old) = past(context, apex, from).await?;
    let (new_settings, new) = past(context, apex, to.unwrap_or(NOW)).await?;
    let between = format!("revision {} and revision {}", old.revision, new.revision);
    let settings = settings_changed(&old_settings, &new_settings);
    let soa = soa_differences(&old_settings.soa, &new_settings.soa);
    let differences = zonefile::diff(&old.past.rrsets, &new.past.rrsets);
    diff::conclude(context, &soa, &settings, &differences, &between)
}

/// Makes a zone what it was.
pub(super) async fn rollback(context: &Context, rollback: RollbackZone) -> Result<(), Error> {
    let apex = &rollback.zone;
    // First: if etcd is restored from now on, nothing is written.
    let cluster_id = context.store().head().await?.cluster_id;
    let (settings, found) = past(context, apex, rollback.to).await?;
    let now = context.store().zone_past(apex, NOW).await?;
    let now = now.map_err(|why| Error::Conflict(format!("{apex}: {why}")))?;
    if !rollback.yes && !context.dry_run && io::stdin().is_terminal() {
        let before = now.past.settings.as_ref().unwrap_or(&settings);
        let mut after = settings.clone();
        after.keep_journal_of(before);
        let lines = settings_changed(before, &after)
            + &difference_lines(&[], &zonefile::diff(&now.past.rrsets, &found.past.rrsets));
        // There is nothing to ask about where nothing changes.
        let question = format!(
            "{}Make {apex} what it was at revision {}? [y/N] ",
            output::readable_lines(&lines),
            found.revision
        );
        if !lines.is_empty() && !output::confirm(&question) {
            return Err(Error::Failed("nothing was written".into()));
        }
    }
    let checked = Checked {
        serial: settings.serial(found.revision),
        settings,
        rrsets: found.past.rrsets,
        warnings: Vec::new(),
    };
    let how = ImportHow {
        mode: ImportMode::Restore,
        overlap: match rollback.force {
            true => Overlap::Hide,
            false => Overlap::Refuse,
        },
        exported: Some(Exported {
            zone: apex.clone(),
            // Later changes were not shown, and are not rolled back.
            revision: now.as_of,
            cluster_id,
            prefix: context.store().prefix().clone(),
        }),
    };
    let imported = import::write(context, apex, &checked, &how).await?;
    let before = now.past.settings.as_ref().unwrap_or(&checked.settings);
    let mut after = checked.settings.clone();
    after.keep_journal_of(before);
    let settings = settings_changed(before, &after);
    let others = settings.lines().filter(|line| !line.starts_with("~ SOA "));
    let others: Vec<String> = others.map(String::from).collect();
    import::conclude(context, apex, &imported, &others).await
}
