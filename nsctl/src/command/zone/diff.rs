//! `zone diff`.

use std::path::Path;

use etcd::model::Name;
use etcd::model::zonefile::{self, Difference};
use serde::Serialize;

use super::file::{self, Signatures};
use crate::arguments::Output;
use crate::command::change::{
    RecordRow, SettingsDifferences, difference_lines, rows, soa_differences,
};
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, plural};

#[derive(Serialize)]
struct DiffReport<'a> {
    #[serde(flatten)]
    settings: &'a SettingsDifferences,
    removed: Vec<RecordRow>,
    added: Vec<RecordRow>,
}

pub(super) async fn diff(context: &Context, apex: &Name, path: &Path) -> Result<(), Error> {
    let text = file::open(path)?;
    let checked = file::check(apex, path, &text, Signatures::Refuse)?;
    let present = context.existing_zone(apex).await?;
    let stored = context.store().content(&present).await??;
    let differences = zonefile::diff(&stored, &checked.rrsets);
    let settings = SettingsDifferences {
        soa: soa_differences(&present.settings.soa, &checked.settings.soa),
        ..SettingsDifferences::default()
    };
    let between = format!("etcd and {}", path.display());
    conclude(context, &settings, &differences, &between)
}

/// Shows differences, and fails if there are any.
pub(super) fn conclude(
    context: &Context,
    settings: &SettingsDifferences,
    differences: &[Difference],
    between: &str,
) -> Result<(), Error> {
    if context.output == Output::Json {
        output::json(&DiffReport {
            settings,
            removed: rows(differences, false),
            added: rows(differences, true),
        })?;
    } else {
        let mut text = settings.lines() + &difference_lines(differences);
        if text.is_empty() {
            text = "no differences\n".into();
        }
        output::print(&output::readable_lines(&text))?;
    }
    match differences.len() + settings.count() {
        0 => Ok(()),
        count => Err(Error::Conflict(format!(
            "{} between {between}",
            plural(count, "difference")
        ))),
    }
}
