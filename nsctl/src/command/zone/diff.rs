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
    show(context, &soa, &differences)?;
    match differences.len() + soa.len() {
        0 => Ok(()),
        count => Err(Error::Conflict(format!(
            "{} between etcd and {}",
            plural(count, "difference"),
            path.display()
        ))),
    }
}

fn show(context: &Context, soa: &[SoaDifference], differences: &[Difference]) -> Result<(), Error> {
    if context.output == Output::Json {
        return output::json(&DiffReport {
            soa,
            removed: rows(differences, false),
            added: rows(differences, true),
        });
    }
    let mut text = difference_lines(soa, differences);
    if text.is_empty() {
        text = "no differences\n".into();
    }
    output::print(&output::readable_lines(&text))
}
