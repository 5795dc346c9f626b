//! `zone import`.

use etcd::client::{ImportHow, ImportMode, Imported};
use etcd::model::Name;
use etcd::model::zonefile::Checked;
use indicatif::{ProgressBar, ProgressStyle};

use super::file::{self, Signatures};
use super::overlap;
use crate::arguments::ImportZone;
use crate::command::change::{
    ChangeReport, SettingsDifferences, SoaDifference, difference_lines, soa_differences,
};
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output::{self, plural};

pub(super) async fn import(context: &Context, how: ImportZone) -> Result<(), Error> {
    let (apex, path) = (&how.zone, &how.file);
    let signatures = match how.force {
        true => Signatures::LeaveOut,
        false => Signatures::Refuse,
    };
    let text = file::open(path)?;
    let checked = file::check(apex, path, &text, signatures)?;
    let import = ImportHow {
        mode: match how.replace {
            true => ImportMode::Replace,
            false => ImportMode::Merge,
        },
        overlap: overlap::overlap(how.move_hidden, how.force),
        exported: text.exported().filter(|_| !how.force),
        is_at_once: false,
    };
    if !how.replace
        && let Some(present) = context.store().zone(apex).await?.1
    {
        note_kept_soa(
            apex,
            &soa_differences(&present.settings.soa, &checked.settings.soa),
        );
    }
    if how.strict && !checked.warnings.is_empty() {
        return Err(Error::Conflict(format!(
            "{} in {}: nothing was written, as --strict asks for",
            plural(checked.warnings.len(), "warning"),
            path.display()
        )));
    }
    let imported = write(context, apex, &checked, &import).await?;
    let settings = soa_changed(&imported);
    conclude(context, apex, &imported, settings).await
}

/// Imports with a progress bar. A dry run writes nothing.
pub(super) async fn write(
    context: &Context,
    apex: &Name,
    checked: &Checked,
    import: &ImportHow,
) -> Result<Imported, Error> {
    let bar = ProgressBar::new(checked.rrsets.len() as u64);
    let template = "{wide_bar} {human_pos} of {human_len} RRsets, {per_sec}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let progress = |written| bar.set_position(written as u64);
    let store = context.store();
    let imported = store.import(apex, checked, import, &progress).await;
    bar.finish_and_clear();
    let imported = imported?;
    if let Some(error) = &imported.leftover {
        output::error(format!(
            "records that are not served may be left in etcd ({error}): nsctl zone clean {apex} deletes them"
        ));
    }
    Ok(imported)
}

/// What changes in the SOA record, if one is replaced.
pub(super) fn soa_changed(imported: &Imported) -> SettingsDifferences {
    let soa = imported.soa.as_ref();
    SettingsDifferences {
        soa: soa.map_or_else(Vec::new, |(old, new)| soa_differences(old, new)),
        ..SettingsDifferences::default()
    }
}

/// Reports what was written, or would be.
pub(super) async fn conclude(
    context: &Context,
    apex: &Name,
    imported: &Imported,
    settings: SettingsDifferences,
) -> Result<(), Error> {
    // The records of a new zone are all new, so they are only listed in a dry run.
    let is_listed = context.dry_run || !imported.created;
    let differences = imported.differences.as_slice();
    let text = match imported.changed {
        false => ChangeText::unchanged("already so", imported.revision),
        true => {
            let what = if imported.created {
                " (a new zone)"
            } else {
                ""
            };
            let deleted = match imported.deleted {
                0 => String::new(),
                count => format!(", {count} deleted"),
            };
            let mut text = ChangeText {
                lines: settings.lines()
                    + &difference_lines(if is_listed { differences } else { &[] }),
                done: format!(
                    "{} written to {apex}{what}{deleted}, revision {}\n",
                    plural(imported.written, "RRset"),
                    imported.revision
                ),
                would: String::new(),
            };
            overlap::describe_moved(apex, imported, &mut text);
            text
        }
    };
    let report = ChangeReport {
        settings: Some(settings),
        ..ChangeReport::of(apex, imported.revision, imported.changed)
            .with_records_from_above(imported)
    };
    let report = match is_listed {
        true => report.with_records(differences),
        false => report,
    };
    report.conclude(context, &text).await
}

/// Notes that a merge does not change the SOA record.
fn note_kept_soa(apex: &Name, differences: &[SoaDifference]) {
    if differences.is_empty() {
        return;
    }
    let fields: Vec<String> = differences
        .iter()
        .map(|SoaDifference { field, old, new }| format!("{field} {old}, not {new}"))
        .collect();
    output::error(format!(
        "the zone {apex} keeps its SOA record ({}): nsctl zone set changes it, and --replace takes the file's",
        fields.join("; ")
    ));
}
