//! `zone diff`.

use std::path::Path;

use etcd::model::Name;
use etcd::model::zonefile::{self, Difference};
use serde::Serialize;

use super::file::{self, Signatures};
use crate::arguments::Output;
use crate::command::change::{RecordRow, SoaDifference, difference_lines, rows, soa_differences};
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, plural};

#[derive(Serialize)]
struct DiffReport<'a> {
    soa: &'a [SoaDifference],
    /// Other settings that differ, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<&'a str>,
    removed: Vec<RecordRow>,
    added: Vec<RecordRow>,
}

pub(super) async fn diff(context: &Context, apex: &Name, path: &Path) -> Result<(), Error> {
    let text = file::open(path)?;
    let checked = file::check(apex, path, &text, Signatures::Refuse)?;
    let present = context.existing_zone(apex).await?;
    let stored = context.store().content(&present).await??;
    let differences = zonefile::diff(&stored, &checked.rrsets);
    let soa = soa_differences(&present.settings.soa, &checked.settings.soa);
    let between = format!("etcd and {}", path.display());
    conclude(context, &soa, "", &differences, &between)
}

/// Shows differences, and fails if there are any. `settings` are those that are not in a master file, a line each.
pub(super) fn conclude(
    context: &Context,
    soa: &[SoaDifference],
    settings: &str,
    differences: &[Difference],
    between: &str,
) -> Result<(), Error> {
    if context.output == Output::Json {
        let lines = settings.lines().filter(|line| !line.starts_with("~ SOA "));
        output::json(&DiffReport {
            soa,
            settings: lines.map(|line| line.trim_start_matches("~ ")).collect(),
            removed: rows(differences, false),
            added: rows(differences, true),
        })?;
    } else {
        // The settings have the differences of the SOA record, too.
        let soa = if settings.is_empty() { soa } else { &[] };
        let mut text = settings.to_string() + &difference_lines(soa, differences);
        if text.is_empty() {
            text = "no differences\n".into();
        }
        output::print(&output::readable_lines(&text))?;
    }
    match differences.len() + soa.len().max(settings.lines().count()) {
        0 => Ok(()),
        count => Err(Error::Conflict(format!(
            "{} between {between}",
            plural(count, "difference")
        ))),
    }
}
