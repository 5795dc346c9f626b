//! `zone check`.

use std::path::Path;

use etcd::client::{FileText, Scope};
use etcd::model::zonefile::{self, FileFinding, RrsetFinding, Rrsets};
use etcd::model::{Name, Rtype};
use etcd::txn::RrsetRead;
use serde::Serialize;

use super::file::{self, Signatures};
use crate::arguments::{CheckZone, Output};
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, plural};

#[derive(Serialize)]
struct CheckReport {
    zone: String,
    serial: u32,
    records: usize,
    warnings: Vec<String>,
}

pub(super) async fn check(context: &Context, check: CheckZone) -> Result<(), Error> {
    let CheckZone { zone, file, stored } = check;
    match (stored, file) {
        (Some(apex), _) => check_stored(context, &apex).await,
        (None, Some(file)) => check_file(context, &file, zone),
        // The command line requires one of them.
        (None, None) => Err(Error::usage("a file or --stored is needed")),
    }
}

fn check_file(context: &Context, path: &Path, zone: Option<Name>) -> Result<(), Error> {
    let text = file::open(path)?;
    let apex = match zone {
        Some(zone) => zone,
        None => guess_apex(path, &text)?,
    };
    let checked = file::check(&apex, path, &text, Signatures::Refuse)?;
    let warnings = checked
        .warnings
        .iter()
        .map(FileFinding::to_string)
        .collect();
    sound(context, &apex, checked.serial, &checked.rrsets, warnings)
}

/// Checks a zone as it is in etcd.
async fn check_stored(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = context.existing_zone(apex).await?;
    let serial = context.store().serial(&read).await?;
    let stored = context.store().rrsets(&read, apex, Scope::Subtree).await?;
    output::report_unreadable(&stored.unreadable);
    let mut rrsets = Rrsets::new();
    let mut errors = stored.unreadable.len();
    for (owner, RrsetRead { rtype, rrset, .. }) in stored.rrsets {
        match rrset {
            Ok(rrset) => drop(rrsets.insert((owner, rtype), rrset)),
            Err(error) => {
                errors += 1;
                let key = context.store().key_text(&read, &owner, rtype);
                output::note(&format!(
                    "error: the value of {key} cannot be read: {error}"
                ));
            }
        }
    }
    let found = zonefile::examine(apex, Some(&read.settings.soa), &rrsets);
    errors += found.errors.len();
    for RrsetFinding { reason, .. } in &found.errors {
        output::note(&format!("error: {reason}"));
    }
    let warnings = found
        .doubts
        .iter()
        .map(|doubt| doubt.reason.clone())
        .collect();
    output::warnings(found.doubts);
    if errors > 0 {
        return Err(Error::Conflict(format!(
            "{} in {apex}",
            plural(errors, "error")
        )));
    }
    sound(context, apex, serial, &rrsets, warnings)
}

/// Reports a zone that has no errors.
fn sound(
    context: &Context,
    apex: &Name,
    serial: u32,
    rrsets: &Rrsets,
    warnings: Vec<String>,
) -> Result<(), Error> {
    let records = 1 + rrsets
        .values()
        .map(|rrset| rrset.rdata().len())
        .sum::<usize>();
    if context.output == Output::Json {
        return output::json(&CheckReport {
            zone: apex.to_string(),
            serial,
            records,
            warnings,
        });
    }
    let warned = match warnings.len() {
        0 => String::new(),
        count => format!(", {}", plural(count, "warning")),
    };
    output::print(&output::readable_lines(&format!(
        "zone {apex} is sound: serial {serial}, {}{warned}\n",
        plural(records, "record")
    )))
}

/// Guesses which zone a file is of: the owner of the SOA record if that is an absolute name, otherwise the file's name
/// without its extension.
fn guess_apex(file: &Path, text: &FileText) -> Result<Name, Error> {
    let named = || {
        let stem = file.file_name()?.to_str()?;
        let stem = [".zone", ".db", ".txt"]
            .iter()
            .find_map(|ending| stem.strip_suffix(ending))
            .unwrap_or(stem);
        stem.strip_prefix("db.")
            .unwrap_or(stem)
            .parse::<Name>()
            .ok()
    };
    // Errors are reported later, when the origin is known.
    let records = text.records(&Name::root()).unwrap_or_default().records;
    let soa = records
        .into_iter()
        .find(|record| record.rtype == Rtype::SOA && !record.owner.is_root());
    soa.map(|record| record.owner)
        .or_else(|| text.has_name().then(named).flatten())
        .ok_or_else(|| {
            Error::usage(format!(
                "{} does not say which zone it is: put the zone before the file",
                file.display()
            ))
        })
}
