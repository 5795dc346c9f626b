//! `batch`.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

use etcd::client::{ChangeError, Changed, FileText};
use etcd::model::{Batch, Edit};
use etcd::txn::{InZone, Part, Refusal};
use indicatif::ProgressBar;
use serde::Serialize;

use super::change::ChangeReport;
use super::records::{changed_lines, warn};
use crate::arguments;
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output::{self, plural};

/// Number of edits up to which probable mistakes are looked for: that takes a read for each.
const WARNED_MAX: usize = 100;

/// What the batch has changed.
#[derive(Serialize)]
struct BatchReport {
    /// The last revision.
    revision: i64,
    changed: bool,
    zones: Vec<ChangeReport>,
}

pub(super) async fn batch(context: &Context, how: arguments::Batch) -> Result<(), Error> {
    let batch = read(&how.file)?;
    let apex = match (&batch.zone, &how.zone) {
        (Some(zone), Some(given)) if zone != given => {
            return Err(Error::usage(format!(
                "--zone is {given}, but the batch is for the zone {zone}"
            )));
        }
        (zone, given) => zone.as_ref().or(given.as_ref()),
    };
    let hide = how.force;
    let zone = apex.map(|apex| InZone { apex, hide });
    let bar = ProgressBar::new_spinner();
    let progress = |written| bar.set_message(format!("{} written", plural(written, "RRset")));
    let store = context.store();
    let changed = store.update(zone, &batch.update, &progress).await;
    bar.finish_and_clear();
    let changed = changed.map_err(|error| located(&batch, error))?;
    for zone in &changed {
        if let Some(error) = &zone.leftover {
            output::error(format!(
                "records that are not served may be left in etcd ({error}): nsctl zone clean {} deletes them",
                zone.zone
            ));
        }
    }
    let report = BatchReport {
        revision: changed.iter().map(|zone| zone.revision).max().unwrap_or(0),
        changed: changed.iter().any(|zone| zone.written),
        zones: changed.iter().map(ChangeReport::of_update).collect(),
    };
    let text = match report.changed {
        true => {
            let lines = changed.iter().map(changed_lines).collect();
            ChangeText::changed(lines, report.revision)
        }
        false => ChangeText::unchanged("already so", report.revision),
    };
    let at: BTreeSet<i64> = changed
        .iter()
        .filter(|zone| zone.written)
        .map(|zone| zone.revision)
        .collect();
    if at.len() > 1 {
        output::note("too many changes for one transaction: each zone was changed in its own");
    }
    if batch.update.edits.len() <= WARNED_MAX {
        warn_each(context, &changed, &batch.update.edits).await;
    }
    context
        .conclude(&report, Some(report.revision), &text)
        .await
}

/// How messages name a file.
fn named(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".into(),
        false => path.display().to_string(),
    }
}

/// Reads the batch. Each error is printed, a line each.
fn read(path: &Path) -> Result<Batch, Error> {
    if path == Path::new("-") && std::io::stdin().is_terminal() {
        output::note("reading changes from the terminal, up to Ctrl-D");
    }
    let text = FileText::open(path).map_err(Error::failed)?;
    let batch = text.batch().map_err(|faults| {
        for fault in &faults {
            output::note(&fault.to_string());
        }
        Error::Conflict(format!(
            "{} in {}: nothing was written",
            plural(faults.len(), "error"),
            named(path)
        ))
    })?;
    if batch.update.edits.is_empty() && batch.update.prerequisites.is_empty() {
        return Err(Error::usage(format!("{} has no changes", named(path))));
    }
    Ok(batch)
}

/// Prints each part that was refused, with its line.
fn located(batch: &Batch, error: ChangeError) -> Error {
    let refused = match error.refusal() {
        Some(Refusal::Parts(parts)) => parts.clone(),
        _ => return error.into(),
    };
    for (part, refusal) in &refused {
        let at = match part {
            Part::Prerequisite(number) => &batch.prerequisites_at[*number],
            Part::Edit(number) => &batch.edits_at[*number],
        };
        output::note(&format!("{at}: {refusal}"));
    }
    // More is to be told than the refusal: what was written before, or is left.
    if !matches!(error, ChangeError::Refused(_)) {
        return error.into();
    }
    let is_prerequisite = |(part, _): &(Part, _)| matches!(part, Part::Prerequisite(_));
    let count = match refused.iter().all(is_prerequisite) {
        true => plural(refused.len(), "unmet prerequisite"),
        false => plural(refused.len(), "refused change"),
    };
    Error::Conflict(format!("{count}: nothing was written"))
}

async fn warn_each(context: &Context, changed: &[Changed], edits: &[Edit]) {
    for zone in changed {
        let is_here = |edit: &&Edit| {
            let closest = changed
                .iter()
                .filter(|other| edit.owner.is_within(&other.zone))
                .max_by_key(|other| other.zone.label_count());
            closest.is_some_and(|closest| closest.zone == zone.zone)
        };
        let edits: Vec<Edit> = edits.iter().filter(is_here).cloned().collect();
        warn(context, zone, &edits).await;
    }
}
