//! `zone export --at`, `zone diff --from` and `zone rollback`: zones as they were.

use std::io::{self, IsTerminal};

use etcd::client::ZonePast;
use etcd::model::zonefile;
use etcd::model::{Name, ZoneSettings};
use etcd::txn::{Moment, NotRecorded, Overlap};

use super::{diff, import};
use crate::arguments::RollbackZone;
use crate::command::change::{difference_lines, settings_differences};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// What a zone was at a moment. It is an error if there was none.
async fn past(
    context: &Context,
    apex: &Name,
    moment: Moment,
) -> Result<(ZoneSettings, ZonePast), Error> {
    let found = context.store().zone_past(apex, moment).await?;
    let found = found.map_err(|why| not_recorded(apex, &why))?;
    match found.past.settings.clone() {
        Some(settings) => Ok((settings, found)),
        None => Err(not_there(context, apex, moment, &found).await),
    }
}

fn not_recorded(apex: &Name, why: &NotRecorded) -> Error {
    Error::Conflict(format!("{apex}: {why}"))
}

/// Why there is nothing to show of a zone.
async fn not_there(context: &Context, apex: &Name, moment: Moment, found: &ZonePast) -> Error {
    match moment == Moment::Now || found.revision == 0 && moment != Moment::Revision(0) {
        // It does not exist, and has never existed as far as is known.
        true => context.no_zone(apex, found.as_of).await,
        false => Error::Conflict(format!("the zone {apex} did not exist then")),
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
    let (new_settings, new) = past(context, apex, to.unwrap_or(Moment::Now)).await?;
    let between = format!("revision {} and revision {}", old.revision, new.revision);
    let settings = settings_differences(&old_settings, &new_settings);
    let differences = zonefile::diff(&old.past.rrsets, &new.past.rrsets);
    diff::conclude(context, &settings, &differences, &between)
}

/// Makes a zone what it was.
pub(super) async fn rollback(context: &Context, rollback: RollbackZone) -> Result<(), Error> {
    let apex = &rollback.zone;
    let store = context.store();
    let found = store.rollback(apex, rollback.to).await?;
    let found = found.map_err(|why| not_recorded(apex, &why))?;
    let overlap = match rollback.force {
        true => Overlap::Hide,
        false => Overlap::Refuse,
    };
    let Some((checked, how)) = found.import(&store, apex, overlap) else {
        return Err(not_there(context, apex, rollback.to, &found.then).await);
    };
    let before = found.now.past.settings.as_ref();
    let before = before.unwrap_or(&checked.settings);
    let mut after = checked.settings.clone();
    after.keep_journal_of(before);
    let settings = settings_differences(before, &after);
    if !rollback.yes && !context.dry_run && io::stdin().is_terminal() {
        let differences = zonefile::diff(&found.now.past.rrsets, &checked.rrsets);
        let lines = settings.lines() + &difference_lines(&differences);
        // There is nothing to ask about where nothing changes.
        let question = format!(
            "{}Make {apex} what it was at revision {}? [y/N] ",
            output::readable_lines(&lines),
            found.then.revision
        );
        if !lines.is_empty() && !output::confirm(&question) {
            return Err(Error::Failed("nothing was written".into()));
        }
    }
    let imported = import::write(context, apex, &checked, &how).await?;
    import::conclude(context, apex, &imported, settings).await
}
