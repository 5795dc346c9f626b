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

use etcd::client::{InZone, Store};
use etcd::model::Name;
use etcd::model::zonefile::Difference;
use etcd::txn::{Change, Line};
use serde::Serialize;

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
    /// The types of the sets that went and whose values could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<String>,
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

    /// Waits if asked to, and prints the report; for people, as the text given. The last line of that says what was
    /// done, which a dry run leaves out.
    async fn finish(&self, report: Report, writing: Writing, text: &str) -> Result<(), Error> {
        let revision = Some(report.revision);
        self.conclude(&report, revision, writing, text).await
    }

    /// The same for a report of any form, of a change at this revision, if there was one.
    async fn conclude(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        writing: Writing,
        text: &str,
    ) -> Result<(), Error> {
        if self.dry_run {
            return self.conclude_dry_run(report, text);
        }
        // Whoever reads that the output failed shall not take the change for undone.
        let unprinted = |error: Error| match revision {
            Some(revision) => {
                let text = format!("{error}; the change itself is done, revision {revision}");
                error.because(text)
            }
            None => error,
        };
        if self.output == Output::Table {
            output::print(&output::readable_lines(text)).map_err(unprinted)?;
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

    fn conclude_dry_run(&self, report: &impl Serialize, text: &str) -> Result<(), Error> {
        match self.output {
            Output::Json => output::json(&Waited {
                report,
                frontends: None,
                dry_run: true,
            })?,
            Output::Table => {
                let lines = text.trim_end_matches('\n').rsplit_once('\n');
                output::print(&lines.map_or_else(String::new, |(lines, _)| format!("{lines}\n")))?;
            }
        }
        output::note("dry run: nothing was written");
        Ok(())
    }
}
