//! `held export`: what front-ends serve on though etcd has lost it, as master files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use etcd::model::Name;
use etcd::schema::HeldZone;
use reqwest::Response;
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::frontends;
use crate::output;

/// What was written.
#[derive(Serialize)]
struct Report {
    zones: Vec<Written>,
}

#[derive(Serialize)]
struct Written {
    frontend: String,
    #[serde(flatten)]
    held: HeldZone,
    records: u64,
    file: PathBuf,
}

/// A front-end to ask.
struct Source {
    /// Its id; none of one that is asked by its address.
    id: Option<String>,
    /// Where its admin listener is.
    admin: String,
}

impl Source {
    fn shown(&self) -> &str {
        self.id.as_ref().unwrap_or(&self.admin)
    }
}

/// Who is to be asked: the one at an address, or all that are registered. And who cannot be, and why.
async fn sources(
    context: &Context,
    frontend: Option<&str>,
) -> Result<(Vec<Source>, Vec<String>), Error> {
    if let Some(admin) = frontend {
        let admin = admin.to_string();
        return Ok((vec![Source { id: None, admin }], Vec::new()));
    }
    let (mut sources, mut failed) = (Vec::new(), Vec::new());
    for (id, registered) in context.store().frontends().await?.frontends {
        let admin = registered.map_err(|error| error.to_string());
        let admin = admin.and_then(|frontend| {
            let none = || "it has no admin listener".to_string();
            frontend.admin.ok_or_else(none)
        });
        match admin {
            Ok(admin) => sources.push(Source {
                id: Some(id),
                admin,
            }),
            Err(error) => failed.push(format!("{id}: {error}")),
        }
    }
    Ok((sources, failed))
}

pub(super) async fn export(
    context: &Context,
    dir: &Path,
    frontend: Option<&str>,
) -> Result<(), Error> {
    let (sources, failed) = sources(context, frontend).await?;
    let found = find(context, &sources, failed).await?;
    let folder = |error| Error::Failed(format!("cannot make {}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(folder)?;
    // Before anything is written.
    for held in found.keys() {
        let file = dir.join(file_name(held));
        if fs::symlink_metadata(&file).is_ok() {
            let file = file.display();
            return Err(Error::Failed(format!(
                "{file} is there already: nothing was written; name another folder"
            )));
        }
    }
    let mut zones = Vec::new();
    for (zone, (held, source)) in found {
        let file = dir.join(file_name(&zone));
        let id = source.shown();
        let answer = frontends::held_zone(&source.admin, source.id.as_deref(), &zone).await;
        let written = match answer {
            Ok(answer) => save(&file, answer).await,
            Err(error) => Err(error),
        };
        let records = written.map_err(|error| {
            Error::Failed(format!(
                "{zone} was not written, {} of the zones were: {id}: {error}",
                zones.len()
            ))
        })?;
        if context.output == Output::Table {
            let (gone, of, shown) = (held.gone, held.of, file.display());
            output::print(&format!(
                "{shown}: {zone} as {id} serves it, {records} records; etcd has lost {gone} of {of} RRsets\n"
            ))?;
        }
        zones.push(Written {
            frontend: id.to_string(),
            held,
            records,
            file,
        });
    }
    if context.output == Output::Json {
        return output::json(&Report { zones });
    }
    let records: u64 = zones.iter().map(|written| written.records).sum();
    let (count, dir) = (zones.len(), dir.display());
    let plural = if count == 1 { "" } else { "s" };
    output::print(&format!(
        "{count} zone{plural}, {records} records written to {dir}\n"
    ))
}

/// Finds the front-end that has most of each zone.
async fn find<'s>(
    context: &Context,
    sources: &'s [Source],
    mut failed: Vec<String>,
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
            Err(error) => failed.push(format!("{}: {error}", source.shown())),
        }
    }
    match (answered, failed.len()) {
        _ if !found.is_empty() => {
            for error in failed {
                output::note(&format!("nsctl: {error}"));
            }
            Ok(found)
        }
        (0, 0) => Err(Error::Conflict(
            "no front-end is registered that may hold something back".into(),
        )),
        (_, 0) => Err(Error::Conflict("nothing is held back".into())),
        _ => Err(not_known(answered, &failed)),
    }
}

/// Nothing is held back by the front-ends that have answered; but others have not.
pub(super) fn not_known(answered: usize, failed: &[String]) -> Error {
    let failed = failed.join("; ");
    match answered {
        0 => Error::Failed(failed),
        _ => Error::Conflict(format!(
            "nothing is held back by the front-ends that answer; {failed}"
        )),
    }
}

/// Writes an answer to a new file, which is removed again where it is not complete. Returns how many records it has.
async fn save(file: &Path, answer: Response) -> Result<u64, String> {
    let opened = File::create_new(file);
    let mut out = opened.map_err(|error| format!("{}: {error}", file.display()))?;
    let copied = copy(&mut out, answer).await;
    if copied.is_err() {
        let _ = fs::remove_file(file);
    }
    copied
}

async fn copy(out: &mut File, mut answer: Response) -> Result<u64, String> {
    let (mut records, mut line) = (0, Vec::new());
    let mut is_whole = false;
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        out.write_all(&chunk).map_err(|error| error.to_string())?;
        for part in chunk.split_inclusive(|octet| *octet == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                records += u64::from(!line.starts_with(b";"));
                is_whole = line.starts_with(b"; end of ");
                line.clear();
            }
        }
    }
    if !is_whole {
        return Err("it stopped amid the zone".into());
    }
    out.sync_all().map_err(|error| error.to_string())?;
    Ok(records)
}

/// The file's name: the zone's, with what is not safe in a file's name as in a URL.
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
