//! `held export`: writes the zones that front-ends hold back after a loss in etcd to master files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use etcd::model::Name;
use etcd::schema::HeldZone;
use reqwest::Response;
use serde::Serialize;

use crate::arguments::Output;
use crate::context::Context;
use crate::error::Error;
use crate::frontends::{self, NoAnswer};
use crate::output::{self, plural};

#[derive(Serialize)]
struct ExportReport {
    zones: Vec<ExportedZone>,
}

#[derive(Serialize)]
struct ExportedZone {
    frontend: String,
    #[serde(flatten)]
    held: HeldZone,
    records: u64,
    file: PathBuf,
}

/// A front-end to ask.
struct Source {
    /// Its id, unless only its address was given.
    id: Option<String>,
    /// The address of its admin listener.
    admin: String,
}

impl Source {
    fn name(&self) -> &str {
        self.id.as_ref().unwrap_or(&self.admin)
    }
}

/// Front-ends that could not be asked, with the reason.
type Failed = Vec<(String, NoAnswer)>;

/// Why a zone was not written to its file.
#[derive(Debug)]
enum NotExported {
    NoAnswer(NoAnswer),
    /// The connection failed amid the zone.
    Broken(reqwest::Error),
    /// The answer lacks the line that ends a zone.
    Truncated,
    File(PathBuf, io::Error),
}

impl fmt::Display for NotExported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotExported::NoAnswer(error) => error.fmt(f),
            NotExported::Broken(error) => {
                write!(f, "the connection failed: {}", frontends::root_cause(error))
            }
            NotExported::Truncated => f.write_str("the answer ended before the zone did"),
            NotExported::File(file, error) => write!(f, "{}: {error}", file.display()),
        }
    }
}

pub(super) async fn export(
    context: &Context,
    dir: &Path,
    frontend: Option<&str>,
) -> Result<(), Error> {
    let (sources, failed) = sources(context, frontend).await?;
    let found = find(context, &sources, failed).await?;
    create_folder(dir, found.keys())?;
    let mut zones: Vec<ExportedZone> = Vec::new();
    for (zone, (held, source)) in found {
        let file = dir.join(file_name(&zone));
        let frontend = source.name().to_string();
        let records = save(source, &zone, &file).await.map_err(|error| {
            Error::Failed(format!(
                "{zone} was not written ({frontend}: {error}); {} written before it",
                plural(zones.len(), "zone")
            ))
        })?;
        if context.output == Output::Table {
            let (gone, of, shown) = (held.gone, held.of, file.display());
            output::print(&format!(
                "{shown}: {zone} as {frontend} serves it, {records} records; etcd has lost {gone} of {of} RRsets\n"
            ))?;
        }
        zones.push(ExportedZone {
            frontend,
            held,
            records,
            file,
        });
    }
    if context.output == Output::Json {
        return output::json(&ExportReport { zones });
    }
    let records: u64 = zones.iter().map(|zone| zone.records).sum();
    output::print(&format!(
        "{}, {records} records written to {}\n",
        plural(zones.len(), "zone"),
        dir.display()
    ))
}

/// Returns the front-ends to ask, which are the one at an address or all that are registered, and those that cannot be
/// asked.
async fn sources(
    context: &Context,
    frontend: Option<&str>,
) -> Result<(Vec<Source>, Failed), Error> {
    if let Some(admin) = frontend {
        let admin = admin.to_string();
        return Ok((vec![Source { id: None, admin }], Vec::new()));
    }
    let (mut sources, mut failed) = (Vec::new(), Vec::new());
    for (id, registered) in context.store().frontends().await?.frontends {
        match frontends::admin(&registered) {
            Ok(admin) => sources.push(Source {
                id: Some(id),
                admin,
            }),
            Err(error) => failed.push((id, error)),
        }
    }
    Ok((sources, failed))
}

/// Finds the front-end that has most of each zone.
async fn find<'s>(
    context: &Context,
    sources: &'s [Source],
    mut failed: Failed,
) -> Result<BTreeMap<Name, (HeldZone, &'s Source)>, Error> {
    let mut found: BTreeMap<Name, (HeldZone, &Source)> = BTreeMap::new();
    let mut answered = 0;
    for source in sources {
        let (admin, id) = (&source.admin, source.id.as_deref());
        match frontends::get_at::<Vec<HeldZone>>(admin, id, "held", context.timeout).await {
            Ok(zones) => {
                answered += 1;
                for held in zones {
                    let best = found.get(&held.zone);
                    if best.is_none_or(|(best, _)| best.of < held.of) {
                        found.insert(held.zone.clone(), (held, source));
                    }
                }
            }
            Err(error) => failed.push((source.name().into(), error)),
        }
    }
    match (answered, failed.len()) {
        _ if !found.is_empty() => {
            for (id, error) in failed {
                output::error(format!("{id}: {error}"));
            }
            Ok(found)
        }
        (0, 0) => Err(no_frontend()),
        (_, 0) => Err(Error::Conflict("nothing is held back".into())),
        _ => Err(unknown(answered, &failed)),
    }
}

/// The error if there is nobody to ask.
pub(super) fn no_frontend() -> Error {
    Error::Conflict("no front-end is registered, so none can hold anything back".into())
}

/// The error if those that answered hold nothing back, but others did not answer.
pub(super) fn unknown(answered: usize, failed: &[(String, NoAnswer)]) -> Error {
    let failed: Vec<String> = failed
        .iter()
        .map(|(id, error)| format!("{id}: {error}"))
        .collect();
    let failed = failed.join("; ");
    match answered {
        0 => Error::Failed(failed),
        _ => Error::Conflict(format!(
            "nothing is held back by the front-ends that answer; {failed}"
        )),
    }
}

/// Creates the folder. If it exists, it must have no file for any of the zones: nothing is written unless all can be.
fn create_folder<'z>(dir: &Path, zones: impl Iterator<Item = &'z Name>) -> Result<(), Error> {
    let failed = |error| Error::Failed(format!("cannot create {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    for zone in zones {
        let file = dir.join(file_name(zone));
        if fs::symlink_metadata(&file).is_ok() {
            return Err(Error::Failed(format!(
                "{} is there already: nothing was written; name another folder",
                file.display()
            )));
        }
    }
    Ok(())
}

/// Writes a zone to a new file, which is removed again if it is not complete. Returns the number of records.
async fn save(source: &Source, zone: &Name, file: &Path) -> Result<u64, NotExported> {
    let answer = frontends::held_zone(&source.admin, source.id.as_deref(), zone).await;
    let answer = answer.map_err(NotExported::NoAnswer)?;
    let failed = |error| NotExported::File(file.into(), error);
    let mut out = File::create_new(file).map_err(failed)?;
    let mut copied = copy(&mut out, answer, failed).await;
    if copied.is_ok() {
        copied = out.sync_all().map_err(failed).and(copied);
    }
    if copied.is_err() {
        let _ = fs::remove_file(file);
    }
    copied
}

async fn copy(
    out: &mut File,
    mut answer: Response,
    failed: impl Fn(io::Error) -> NotExported,
) -> Result<u64, NotExported> {
    let (mut records, mut line) = (0, Vec::new());
    let mut is_complete = false;
    while let Some(chunk) = answer.chunk().await.map_err(NotExported::Broken)? {
        out.write_all(&chunk).map_err(&failed)?;
        for part in chunk.split_inclusive(|octet| *octet == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                records += u64::from(!line.starts_with(b";"));
                is_complete = line.starts_with(b"; end of ");
                line.clear();
            }
        }
    }
    match is_complete {
        true => Ok(records),
        false => Err(NotExported::Truncated),
    }
}

/// Names a file after its zone; characters that are not safe in a file name are percent-encoded, as in a URL.
fn file_name(zone: &Name) -> String {
    let text = zone.to_string();
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    let octets = text
        .strip_suffix('.')
        .filter(|text| !text.is_empty())
        .unwrap_or("root")
        .bytes();
    let safe = octets.map(|octet| match plain(octet) {
        true => char::from(octet).to_string(),
        false => format!("%{octet:02X}"),
    });
    safe.collect::<String>() + ".zone"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_their_zones() {
        for (zone, file) in [
            ("example.org.", "example.org.zone"),
            (".", "root.zone"),
            (
                "0/25.2.0.192.in-addr.arpa.",
                "0%2F25.2.0.192.in-addr.arpa.zone",
            ),
            (r"\.\.\047.x.", r"%5C.%5C.%2F.x.zone"),
        ] {
            let zone: Name = zone.parse().expect(zone);
            assert_eq!(file_name(&zone), file);
        }
    }
}
