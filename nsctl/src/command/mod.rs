//! The commands.

mod accept;
mod held;
mod list;
mod master;
mod records;
mod serials;
mod status;
mod verify;
mod zone;

use std::time::Duration;

use etcd::client::{Imported, InZone, Store};
use etcd::model::Name;
use etcd::model::zonefile::Difference;
use etcd::txn::{Change, Line, ZoneRead};
use serde::Serialize;

use self::master::SoaDifference;
use crate::arguments::{Arguments, Command, HeldCommand, Output, Records, Writing};
use crate::error::Error;
use crate::{frontends, output, rdata};

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What every command needs.
pub(crate) struct Context {
    store: Store,
    pub(crate) output: Output,
    pub(crate) timeout: Duration,
    /// Whether nothing is written.
    pub(crate) dry_run: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        store,
        output,
        command,
    } = arguments;
    let timeout = store.timeout;
    let dry_run = command.is_dry_run();
    let reached = Store::new(store.config()?, store.prefix(), timeout);
    let context = Context {
        store: if dry_run { reached.dry_run() } else { reached },
        output,
        timeout,
        dry_run,
    };
    match command {
        Command::Add(Records {
            name,
            rtype,
            rdata,
            placed,
        }) => {
            let change = Change::Add {
                rtype,
                ttl: placed.ttl,
                rdata: rdata::records(rtype, &rdata)?,
            };
            let zone = in_zone(placed.zone.as_ref(), placed.force);
            records::change(&context, &name, zone, &change, placed.writing).await
        }
        Command::Set {
            name,
            rtype,
            rdata,
            replace_all,
            placed,
        } => {
            let change = match (placed.ttl, replace_all) {
                (Some(ttl), _) if rdata.is_empty() => Change::Ttl { rtype, ttl },
                (ttl, replace_all) => {
                    let rdata = rdata::records(rtype, &rdata)?;
                    match replace_all {
                        true => Change::Replace { rtype, ttl, rdata },
                        false => Change::Set { rtype, ttl, rdata },
                    }
                }
            };
            let zone = in_zone(placed.zone.as_ref(), placed.force);
            records::change(&context, &name, zone, &change, placed.writing).await
        }
        Command::Remove {
            name,
            rtype,
            rdata,
            zone,
            writing,
        } => {
            let rdata = match rtype {
                Some(rtype) if !rdata.is_empty() => rdata::records(rtype, &rdata)?,
                _ => Vec::new(),
            };
            let change = Change::Remove { rtype, rdata };
            let zone = in_zone(zone.as_ref(), false);
            records::change(&context, &name, zone, &change, writing).await
        }
        Command::List {
            name,
            zone,
            rtype,
            subtree,
        } => list::list(&context, name, zone, rtype, subtree).await,
        Command::Zone(command) => zone::run(&context, command).await,
        Command::Status { frontend, no_fail } => {
            status::status(&context, frontend.as_deref(), no_fail).await
        }
        Command::Accept { writing } => accept::accept(&context, writing).await,
        Command::Held(HeldCommand::Export { dir, frontend }) => {
            held::export(&context, &dir, frontend.as_deref()).await
        }
        Command::Verify => verify::verify(&context).await,
    }
}

fn in_zone(apex: Option<&Name>, hide: bool) -> Option<InZone<'_>> {
    apex.map(|apex| InZone { apex, hide })
}

/// A record as programs read it.
#[derive(Serialize)]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: String,
}

impl From<&Line> for Shown {
    fn from(line: &Line) -> Self {
        Shown {
            name: line.owner.to_string(),
            unicode: line.owner.unicode(),
            ttl: line.ttl,
            rtype: line.rtype.to_string(),
            rdata: line.rdata.text(line.rtype),
        }
    }
}

impl From<&Difference> for Shown {
    fn from(one: &Difference) -> Self {
        Shown {
            name: one.owner.to_string(),
            unicode: one.owner.unicode(),
            ttl: one.ttl,
            rtype: one.rtype.to_string(),
            rdata: one.rdata.text(one.rtype),
        }
    }
}

/// What a command that writes has done.
#[derive(Serialize)]
struct Report {
    zone: String,
    revision: i64,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<Vec<Shown>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Vec<Shown>>,
    /// What changes in the SOA record.
    #[serde(skip_serializing_if = "Option::is_none")]
    soa: Option<Vec<SoaDifference>>,
    /// How many RRsets are moved from the zone above.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<usize>,
    /// How many RRsets are copied from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<usize>,
    /// The types of the sets that went and whose values could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
}

impl Report {
    fn of(zone: &Name, revision: i64, changed: bool) -> Self {
        Report {
            zone: zone.to_string(),
            revision,
            changed,
            added: None,
            removed: None,
            soa: None,
            moved: None,
            copied: None,
            unreadable: Vec::new(),
        }
    }

    /// The same with what comes from the zone above.
    fn with_moved(self, imported: &Imported) -> Self {
        let some = |count: usize| Some(count).filter(|count| *count > 0);
        Report {
            moved: some(imported.from_above.len() - imported.copied),
            copied: some(imported.copied),
            ..self
        }
    }

    /// The same with these changes.
    fn with(self, differences: &[Difference]) -> Self {
        let of = |added: bool| {
            let those = differences.iter().filter(|one| one.added == added);
            Some(those.map(Shown::from).collect())
        };
        Report {
            added: of(true),
            removed: of(false),
            ..self
        }
    }
}

/// What people read of a change.
#[derive(Default)]
struct Told {
    /// What changes, or would change in a dry run: a line each.
    lines: String,
    /// What was done.
    done: String,
    /// What a dry run says instead.
    would: String,
}

impl Told {
    /// Of a command that found nothing to change.
    fn unchanged(why: &str, revision: i64) -> Self {
        Told {
            lines: String::new(),
            done: format!("unchanged: {why}, revision {revision}\n"),
            would: format!("unchanged: {why}\n"),
        }
    }
}

/// Why a report was not printed. Whoever reads that shall not take the change for undone.
fn unprinted(error: Error, revision: Option<i64>) -> Error {
    let Some(revision) = revision else {
        return error;
    };
    let text = format!("{error}; the change itself is done, revision {revision}");
    error.because(text)
}

/// A report, how many front-ends serve what it is about, if that was waited for, and whether it is of what would be.
#[derive(Serialize)]
struct Waited<'r, R> {
    #[serde(flatten)]
    report: &'r R,
    #[serde(skip_serializing_if = "Option::is_none")]
    frontends: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl Context {
    /// The store, with all its time ahead.
    pub(crate) fn store(&self) -> Store {
        self.store.within(self.timeout)
    }

    /// A zone that has to be there.
    async fn existing_zone(&self, apex: &Name) -> Result<ZoneRead, Error> {
        match self.store().zone(apex).await? {
            (_, Some(read)) => Ok(read),
            (revision, None) => Err(self.no_zone(apex, revision).await),
        }
    }

    /// Why there is no zone of this name as of a revision.
    async fn no_zone(&self, apex: &Name, revision: i64) -> Error {
        match self.store().no_zone(apex, revision).await {
            Ok(refusal) => refusal.into(),
            Err(error) => error.into(),
        }
    }

    /// Waits if asked to, and prints the report; for people, what they are told.
    async fn finish(&self, report: Report, writing: Writing, told: &Told) -> Result<(), Error> {
        let revision = Some(report.revision);
        self.conclude(&report, revision, writing, told).await
    }

    /// The same for a report of any form, of a change at this revision, if there was one.
    async fn conclude(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        writing: Writing,
        told: &Told,
    ) -> Result<(), Error> {
        if self.dry_run {
            return self.conclude_dry_run(report, told);
        }
        let unprinted = |error| unprinted(error, revision);
        if self.output == Output::Table {
            let text = told.lines.clone() + &told.done;
            output::print(&output::readable_lines(&text)).map_err(unprinted)?;
        }
        let waited = match revision.and_then(|revision| writing.awaited(revision)) {
            Some(awaited) => Some(frontends::wait(&self.store(), awaited).await),
            None => None,
        };
        let frontends = waited
            .as_ref()
            .and_then(|waited| waited.as_ref().ok().copied());
        match (self.output, frontends) {
            (Output::Table, Some(count)) => {
                let plural = if count == 1 { "" } else { "s" };
                output::print(&format!("served by {count} front-end{plural}\n"))
                    .map_err(unprinted)?;
            }
            (Output::Table, None) => {}
            (Output::Json, _) => {
                let dry_run = false;
                let waited = Waited {
                    report,
                    frontends,
                    dry_run,
                };
                output::json(&waited).map_err(unprinted)?;
            }
        }
        waited.transpose().map(|_| ())
    }

    /// Reports what was done before an error, which it gives back.
    fn broken_off(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        told: &Told,
        error: Error,
    ) -> Error {
        if revision.is_none() {
            return error;
        }
        let printed = match self.output {
            Output::Table => output::print(&output::readable_lines(&told.lines)),
            Output::Json => output::json(report),
        };
        if let Err(error) = printed {
            output::error(&unprinted(error, revision));
        }
        error
    }

    fn conclude_dry_run(&self, report: &impl Serialize, told: &Told) -> Result<(), Error> {
        match self.output {
            Output::Json => output::json(&Waited {
                report,
                frontends: None,
                dry_run: true,
            })?,
            Output::Table => {
                let text = told.lines.clone() + &told.would;
                output::print(&output::readable_lines(&text))?;
            }
        }
        output::note("dry run: nothing was written");
        Ok(())
    }
}
