//! `zone import`, `zone diff`, `zone check`: master files.

use std::fmt;
use std::path::Path;

use etcd::client::{ImportHow, ImportMode, Imported, MasterText, Scope};
use etcd::model::zonefile::{self, Checked, Difference, Fault, Finding, Rrsets};
use etcd::model::{Name, Rtype, Soa};
use etcd::txn::{Overlap, RrsetRead};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Context, Report, Shown, Told, plural};
use crate::arguments::{Output, Writing};
use crate::error::Error;
use crate::output;

/// How to import.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) replace: bool,
    pub(super) strict: bool,
    pub(super) move_hidden: bool,
    pub(super) force: bool,
}

/// Reads and checks a file. Every error and warning is told, a line each.
fn read(zone: &Name, file: &Path, signatures: Signatures) -> Result<Checked, Error> {
    checked(zone, file, &open(file)?, signatures)
}

/// What becomes of the records that only a signed zone has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signatures {
    Refuse,
    LeaveOut,
}

fn open(file: &Path) -> Result<MasterText, Error> {
    MasterText::open(file).map_err(|error| Error::Failed(error.to_string()))
}

fn checked(
    zone: &Name,
    file: &Path,
    text: &MasterText,
    signatures: Signatures,
) -> Result<Checked, Error> {
    let checked = text.records(zone).and_then(|mut file| {
        if signatures == Signatures::LeaveOut {
            file.leave_out_dnssec();
        }
        zonefile::check(zone, file)
    });
    let checked = checked.map_err(|faults| {
        tell(&faults, "error");
        Error::Conflict(format!(
            "{} in {}",
            plural(faults.len(), "error"),
            file.display()
        ))
    })?;
    tell(&checked.warnings, "warning");
    Ok(checked)
}

fn tell(faults: &[Fault], level: &str) {
    for Fault { at, reason } in faults {
        let at = at.as_ref().map_or_else(String::new, |at| format!("{at}: "));
        output::note(&format!("{at}{level}: {reason}"));
    }
}

pub(super) async fn import(
    context: &Context,
    apex: &Name,
    file: &Path,
    how: How,
    writing: Writing,
) -> Result<(), Error> {
    let signatures = if how.force {
        Signatures::LeaveOut
    } else {
        Signatures::Refuse
    };
    let text = open(file)?;
    let checked = checked(apex, file, &text, signatures)?;
    let import = ImportHow {
        mode: match how.replace {
            true => ImportMode::Replace,
            false => ImportMode::Merge,
        },
        overlap: overlap(how.move_hidden, how.force),
        exported: text.exported().filter(|_| !how.force),
    };
    if !how.replace
        && let Some(present) = context.store().zone(apex).await?.1
    {
        tell_kept(apex, &soa_differences(&present.zone.soa, &checked.zone.soa));
    }
    if how.strict && !checked.warnings.is_empty() {
        let warnings = plural(checked.warnings.len(), "warning");
        return Err(Error::Conflict(format!(
            "{warnings} in {}: nothing was written, as --strict asks for",
            file.display()
        )));
    }
    if context.dry_run {
        let store = context.store();
        let preview = store.import(apex, &checked, &import, &|_| {}).await?;
        return conclude(context, apex, &preview, writing).await;
    }
    let total = checked.rrsets.len();
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} RRsets, {per_sec}")
    {
        bar.set_style(style);
    }
    let imported = context
        .store()
        .import(apex, &checked, &import, &|written| {
            bar.set_position(written as u64)
        })
        .await;
    bar.finish_and_clear();
    let imported = imported?;
    if let Some(error) = &imported.left {
        output::note(&format!(
            "nsctl: records that nobody serves may be left in the store ({error}): nsctl zone clean {apex} deletes them"
        ));
    }
    conclude(context, apex, &imported, writing).await
}

/// Reports what was written, or would be.
async fn conclude(
    context: &Context,
    apex: &Name,
    imported: &Imported,
    writing: Writing,
) -> Result<(), Error> {
    let soa = imported.soa.as_ref();
    let soa = soa.map_or_else(Vec::new, |(old, new)| soa_differences(old, new));
    // All of a new zone is new: only a dry run shows it.
    let is_listed = context.dry_run || !imported.created;
    let differences = imported.differences.as_slice();
    let told = match imported.changed {
        false => Told::unchanged("already so", imported.revision),
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
            let mut told = Told {
                lines: listed(&soa, if is_listed { differences } else { &[] }),
                done: format!(
                    "{} written to {apex}{what}{deleted}, revision {}\n",
                    plural(imported.written, "RRset"),
                    imported.revision
                ),
                would: String::new(),
            };
            tell_moved(apex, imported, &mut told);
            told
        }
    };
    let report = Report {
        soa: Some(soa),
        ..Report::of(apex, imported.revision, imported.changed).with_moved(imported)
    };
    let report = match is_listed {
        true => report.with(differences),
        false => report,
    };
    context.finish(report, writing, &told).await
}

/// What becomes of records that a zone would hide.
pub(super) fn overlap(move_hidden: bool, force: bool) -> Overlap {
    match (move_hidden, force) {
        (true, _) => Overlap::Move,
        (false, true) => Overlap::Hide,
        (false, false) => Overlap::Refuse,
    }
}

/// Tells how many records come from the zone above, and whether that delegates.
pub(super) fn tell_moved(apex: &Name, imported: &Imported, told: &mut Told) {
    let copied = imported.copied;
    let moved = imported.from_above.len() - copied;
    for (count, done) in [(moved, "moved"), (copied, "copied")] {
        if count > 0 {
            let count = plural(count, "RRset");
            told.done += &format!("{count} {done} here from the zone above\n");
            told.would += &format!("{count} would be {done} here from the zone above\n");
        }
    }
    if let Some(parent) = &imported.not_delegating {
        output::note(&format!(
            "warning: {parent} does not delegate {apex}: add NS records there (nsctl add {apex} NS NAME --zone {parent})"
        ));
    }
}

/// Says that a merge leaves the SOA record as it is.
fn tell_kept(apex: &Name, differences: &[SoaDifference]) {
    if differences.is_empty() {
        return;
    }
    let fields: Vec<String> = differences
        .iter()
        .map(|SoaDifference { field, old, new }| format!("{field} {old}, not {new}"))
        .collect();
    output::note(&format!(
        "nsctl: the zone {apex} keeps its SOA record ({}): nsctl zone set changes it, and --replace takes the file's",
        fields.join("; ")
    ));
}

pub(super) async fn diff(context: &Context, apex: &Name, file: &Path) -> Result<(), Error> {
    let checked = read(apex, file, Signatures::Refuse)?;
    let present = context.existing_zone(apex).await?;
    let stored = context.store().content(&present).await??;
    let differences = zonefile::diff(&stored, &checked.rrsets);
    let soa = soa_differences(&present.zone.soa, &checked.zone.soa);
    show(context, &soa, &differences)?;
    match differences.len() + soa.len() {
        0 => Ok(()),
        count => Err(Error::Conflict(format!(
            "{} between the store and {}",
            plural(count, "difference"),
            file.display()
        ))),
    }
}

/// A field of the SOA record that differs.
#[derive(Serialize)]
pub(super) struct SoaDifference {
    field: &'static str,
    old: String,
    new: String,
}

impl fmt::Display for SoaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SoaDifference { field, old, new } = self;
        write!(f, "~ SOA {field}: {old} -> {new}")
    }
}

/// What differs between two SOA records, their serials apart.
pub(super) fn soa_differences(old: &Soa, new: &Soa) -> Vec<SoaDifference> {
    let fields = |soa: &Soa| {
        [
            ("mname", soa.mname.to_string()),
            ("rname", soa.rname.to_string()),
            ("refresh", soa.refresh.to_string()),
            ("retry", soa.retry.to_string()),
            ("expire", soa.expire.to_string()),
            ("minimum", soa.minimum.to_string()),
            ("ttl", soa.ttl.to_string()),
        ]
    };
    let pairs = fields(old).into_iter().zip(fields(new));
    pairs
        .filter(|(old, new)| old != new)
        .map(|((field, old), (_, new))| SoaDifference { field, old, new })
        .collect()
}

#[derive(Serialize)]
struct ShownDifferences<'a> {
    soa: &'a [SoaDifference],
    removed: Vec<Shown>,
    added: Vec<Shown>,
}

fn show(context: &Context, soa: &[SoaDifference], differences: &[Difference]) -> Result<(), Error> {
    if context.output == Output::Json {
        let of = |added: bool| {
            differences
                .iter()
                .filter(|one| one.added == added)
                .map(Shown::from)
                .collect()
        };
        return output::json(&ShownDifferences {
            soa,
            removed: of(false),
            added: of(true),
        });
    }
    let mut text = listed(soa, differences);
    if text.is_empty() {
        text = "no differences\n".into();
    }
    output::print(&output::readable_lines(&text))
}

pub(super) fn listed(soa: &[SoaDifference], differences: &[Difference]) -> String {
    let soa = soa.iter().map(|one| format!("{one}\n"));
    soa.chain(differences.iter().map(|one| format!("{one}\n")))
        .collect()
}

#[derive(Serialize)]
struct Verdict {
    zone: String,
    serial: u32,
    records: usize,
    warnings: Vec<String>,
}

pub(super) fn check(context: &Context, file: &Path, zone: Option<Name>) -> Result<(), Error> {
    let text = open(file)?;
    let apex = match zone {
        Some(zone) => zone,
        None => guess_apex(file, &text)?,
    };
    let checked = checked(&apex, file, &text, Signatures::Refuse)?;
    let warnings = checked.warnings.iter().map(Fault::to_string).collect();
    sound(context, &apex, checked.serial, &checked.rrsets, warnings)
}

/// Checks what is in the store.
pub(super) async fn check_stored(context: &Context, apex: &Name) -> Result<(), Error> {
    let read = context.existing_zone(apex).await?;
    let serial = context.store().serial(&read).await?;
    let stored = context.store().rrsets(&read, apex, Scope::Subtree).await?;
    output::left_out(&stored.unreadable);
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
    let found = zonefile::examine(apex, Some(&read.zone.soa), &rrsets);
    errors += found.errors.len();
    for Finding { reason, .. } in &found.errors {
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

/// Tells that a zone has no errors.
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
        return output::json(&Verdict {
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

/// Where the SOA record is, if the file says so by itself; else the file's name without its ending.
fn guess_apex(file: &Path, text: &MasterText) -> Result<Name, Error> {
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
    // Faults will be told once the origin is known.
    let records = text.records(&Name::root()).unwrap_or_default().records;
    let soa = records
        .into_iter()
        .find(|record| record.rtype == Rtype::SOA && !record.owner.is_root());
    soa.map(|record| record.owner)
        .or_else(|| text.has_name().then(named).flatten())
        .ok_or_else(|| {
            Error::usage(format!(
                "{} does not tell which zone it is: put the zone in front of it",
                file.display()
            ))
        })
}
