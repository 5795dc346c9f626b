//! What every command has at hand: etcd, and how to report a change.

use std::ops::Not;
use std::time::Duration;

use etcd::client::Store;
use etcd::model::Name;
use etcd::txn::ZoneRead;
use serde::Serialize;

use crate::arguments::{Output, WriteOptions};
use crate::error::Error;
use crate::frontends::Awaited;
use crate::output::plural;
use crate::{frontends, output};

/// What every command needs.
pub(crate) struct Context {
    store: Store,
    pub(crate) output: Output,
    pub(crate) timeout: Duration,
    /// Whether this is a dry run.
    pub(crate) dry_run: bool,
    /// What to wait for after a change.
    awaited: Option<Awaited>,
}

/// What people read about a change. Each field is empty or ends with a newline.
#[derive(Default)]
pub(crate) struct ChangeText {
    /// What changes, or would change in a dry run.
    pub(crate) lines: String,
    /// The result.
    pub(crate) done: String,
    /// The result of a dry run.
    pub(crate) would: String,
}

impl ChangeText {
    /// For a command that found something to change, and whose result needs no more words.
    pub(crate) fn changed(lines: String, revision: i64) -> Self {
        ChangeText {
            lines,
            done: format!("done, revision {revision}\n"),
            would: String::new(),
        }
    }

    /// For a command that found nothing to change.
    pub(crate) fn unchanged(why: &str, revision: i64) -> Self {
        ChangeText {
            lines: String::new(),
            done: format!("unchanged: {why}, revision {revision}\n"),
            would: format!("unchanged: {why}\n"),
        }
    }
}

/// A report for programs, as printed.
#[derive(Serialize)]
struct Printed<'r, R> {
    #[serde(flatten)]
    report: &'r R,
    /// How many front-ends serve the change, if that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    frontends: Option<usize>,
    #[serde(skip_serializing_if = "Not::not")]
    dry_run: bool,
}

impl Context {
    /// For a command, with its options for writing if it writes.
    pub(crate) fn new(
        store: Store,
        output: Output,
        timeout: Duration,
        writing: Option<&WriteOptions>,
    ) -> Self {
        let dry_run = writing.is_some_and(|writing| writing.dry_run);
        Context {
            store: if dry_run { store.dry_run() } else { store },
            output,
            timeout,
            dry_run,
            awaited: writing.and_then(WriteOptions::awaited),
        }
    }

    /// Returns the store, which writes nothing in a dry run. The time limit of a step starts now.
    pub(crate) fn store(&self) -> Store {
        self.store.with_timeout(self.timeout)
    }

    /// Reads a zone's settings; it is an error if the zone does not exist.
    pub(crate) async fn existing_zone(&self, apex: &Name) -> Result<ZoneRead, Error> {
        match self.store().zone(apex).await? {
            (_, Some(read)) => Ok(read),
            (revision, None) => Err(self.no_zone(apex, revision).await),
        }
    }

    /// Returns the reason why there is no zone of this name at a revision.
    pub(crate) async fn no_zone(&self, apex: &Name, revision: i64) -> Error {
        match self.store().no_zone(apex, revision).await {
            Ok(refusal) => refusal.into(),
            Err(error) => error.into(),
        }
    }

    /// Reports a change and, if asked to, waits until front-ends serve it. The text for people is printed before the
    /// wait; the report for programs after it, because it contains the result. `revision` is that of the change, or
    /// `None` if nothing was written.
    pub(crate) async fn conclude(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        text: &ChangeText,
    ) -> Result<(), Error> {
        if self.dry_run {
            return self.conclude_dry_run(report, text);
        }
        let unprinted = |error| unprinted(error, revision);
        if self.output == Output::Table {
            let text = text.lines.clone() + &text.done;
            output::print(&output::readable_lines(&text)).map_err(unprinted)?;
        }
        let waited = match revision.zip(self.awaited) {
            Some((revision, awaited)) => {
                Some(frontends::wait(&self.store(), revision, awaited).await)
            }
            None => None,
        };
        let frontends = waited
            .as_ref()
            .and_then(|waited| waited.as_ref().ok().copied());
        match (self.output, frontends) {
            (Output::Table, Some(count)) => {
                output::print(&format!("served by {}\n", plural(count, "front-end")))
            }
            (Output::Table, None) => Ok(()),
            (Output::Json, _) => output::json(&Printed {
                report,
                frontends,
                dry_run: false,
            }),
        }
        .map_err(unprinted)?;
        waited.transpose().map(|_| ())
    }

    /// Reports what was written before `error` occurred, if anything was, and returns `error`.
    pub(crate) fn broken_off(
        &self,
        report: &impl Serialize,
        revision: Option<i64>,
        text: &ChangeText,
        error: Error,
    ) -> Error {
        if revision.is_none() {
            return error;
        }
        let printed = match self.output {
            Output::Table => output::print(&output::readable_lines(&text.lines)),
            Output::Json => output::json(report),
        };
        if let Err(error) = printed {
            output::error(unprinted(error, revision));
        }
        error
    }

    fn conclude_dry_run(&self, report: &impl Serialize, text: &ChangeText) -> Result<(), Error> {
        match self.output {
            Output::Json => output::json(&Printed {
                report,
                frontends: None,
                dry_run: true,
            })?,
            Output::Table => {
                let text = text.lines.clone() + &text.would;
                output::print(&output::readable_lines(&text))?;
            }
        }
        output::note("dry run: nothing was written");
        Ok(())
    }
}

/// Says in the error that the change was made, although its report could not be printed.
fn unprinted(error: Error, revision: Option<i64>) -> Error {
    let Some(revision) = revision else {
        return error;
    };
    let text = format!("{error}; the change itself is done, revision {revision}");
    error.because(text)
}
