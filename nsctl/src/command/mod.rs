//! The commands.

mod accept;
mod list;
mod master;
mod records;
mod serials;
mod status;
mod verify;
mod zone;

use std::time::Duration;

use etcd::client::Store;
use etcd::model::zonefile::Difference;
use etcd::txn::{Change, Line};
use serde::Serialize;

use crate::arguments::{Arguments, Command, Output, Wait};
use crate::error::Error;
use crate::{frontends, output, rdata};

/// What every command needs.
pub(crate) struct Context {
    store: Store,
    pub(crate) output: Output,
    pub(crate) timeout: Duration,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let Arguments {
        store,
        output,
        command,
    } = arguments;
    let timeout = store.timeout;
    let context = Context {
        store: Store::new(store.config()?, store.prefix(), timeout),
        output,
        timeout,
    };
    match command {
        Command::Add(given) => {
            let change = Change::Add {
                rtype: given.rtype,
                ttl: given.ttl,
                rdata: rdata::records(given.rtype, &given.rdata)?,
            };
            records::change(
                &context,
                &given.name,
                given.zone.as_ref(),
                &change,
                given.wait,
            )
            .await
        }
        Command::Set(given) => {
            let change = Change::Set {
                rtype: given.rtype,
                ttl: given.ttl,
                rdata: rdata::records(given.rtype, &given.rdata)?,
            };
            records::change(
                &context,
                &given.name,
                given.zone.as_ref(),
                &change,
                given.wait,
            )
            .await
        }
        Command::Remove {
            name,
            rtype,
            rdata,
            zone,
            wait,
        } => {
            let rdata = match rtype {
                Some(rtype) if !rdata.is_empty() => rdata::records(rtype, &rdata)?,
                _ => Vec::new(),
            };
            records::change(
                &context,
                &name,
                zone.as_ref(),
                &Change::Remove { rtype, rdata },
                wait,
            )
            .await
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
        Command::Accept { wait } => accept::accept(&context, wait).await,
        Command::Verify => verify::verify(&context).await,
    }
}

/// A record as programs read it.
#[derive(Serialize)]
struct Shown {
    name: String,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: String,
}

impl From<&Line> for Shown {
    fn from(line: &Line) -> Self {
        Shown {
            name: line.owner.to_string(),
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
}

/// A report, and how many front-ends serve what it is about, if that was waited for.
#[derive(Serialize)]
struct Waited<'r, R> {
    #[serde(flatten)]
    report: &'r R,
    #[serde(skip_serializing_if = "Option::is_none")]
    frontends: Option<usize>,
}

impl Context {
    /// The store, with all its time ahead.
    pub(crate) fn store(&self) -> Store {
        self.store.within(self.timeout)
    }

    /// Waits if asked to, and prints the report; for people, as the line given.
    async fn finish(&self, report: Report, wait: Wait, line: &str) -> Result<(), Error> {
        let revision = Some(report.revision);
        self.conclude(&report, revision, wait, line).await
    }

    /// The same for a report of any form, of a change at this revision, if there was one.
    async fn conclude(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        wait: Wait,
        text: &str,
    ) -> Result<(), Error> {
        // Whoever reads that the output failed shall not take the change for undone.
        let unprinted = |error: Error| match revision {
            Some(revision) => {
                let text = format!("{error}; the change itself is done, revision {revision}");
                error.because(text)
            }
            None => error,
        };
        if self.output == Output::Table {
            output::print(text).map_err(unprinted)?;
        }
        let waited = match revision.and_then(|revision| wait.awaited(revision)) {
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
            (Output::Json, _) => output::json(&Waited { report, frontends }).map_err(unprinted)?,
        }
        waited.transpose().map(|_| ())
    }
}
