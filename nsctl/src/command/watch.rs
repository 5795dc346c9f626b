//! `watch`.

use std::ops::ControlFlow;

use etcd::client::{Journal, JournalNews};
use etcd::mirror::Resume;
use etcd::model::Name;
use etcd::txn::Recorded;

use super::history::{ChangeRow, around, body, head, is_about};
use crate::arguments::{Output, Watch};
use crate::context::Context;
use crate::error::Error;
use crate::output;

pub(super) async fn watch(context: &Context, watch: Watch) -> Result<(), Error> {
    let start = context.store().head().await?;
    let revision = start.store_revision;
    if let Some(zone) = &watch.zone {
        warn_of_silence(context, zone).await?;
    }
    let name = watch.name.as_ref();
    if let Some(since) = watch.since {
        let journal = match name {
            Some(name) => around(context, name, since, Some(revision)).await?,
            None => {
                let (store, zone) = (context.store(), watch.zone.as_ref());
                let read = store.recent_journal(zone, since, usize::MAX, Some(revision));
                read.await?.0
            }
        };
        let Journal {
            entries,
            unreadable,
            ..
        } = journal;
        output::report_unreadable(&unreadable);
        for change in entries.iter().rev() {
            if !show(context, change, name)? {
                return Ok(());
            }
        }
    }
    let is_wanted = |zone: &Name| match (name, &watch.zone) {
        (Some(name), _) => name.ancestors().any(|ancestor| ancestor == *zone),
        (None, Some(wanted)) => zone == wanted,
        (None, None) => true,
    };
    let from = Resume {
        cluster_id: start.cluster_id,
        revision,
    };
    let tell = |news| match told(context, name, news) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(Ok(())),
        Err(error) => ControlFlow::Break(Err(error)),
    };
    context.store().follow_journals(from, is_wanted, tell).await
}

/// Warns that nothing can be seen of a zone, if it does not exist or keeps no journal.
async fn warn_of_silence(context: &Context, zone: &Name) -> Result<(), Error> {
    match context.store().zone(zone).await?.1 {
        None => output::warning(format!("there is no zone {zone} yet")),
        Some(read) if read.settings.journal_entries() == 0 => output::warning(format!(
            "zone {zone} keeps no journal, so its changes are not shown: \
             nsctl zone set {zone} --journal-entries COUNT"
        )),
        Some(_) => {}
    }
    Ok(())
}

/// Tells people or programs the news. Returns whether there still is a reader.
fn told(context: &Context, name: Option<&Name>, news: JournalNews) -> Result<bool, Error> {
    match news {
        JournalNews::Changes(changes) => {
            for change in &changes {
                if !show(context, change, name)? {
                    return Ok(false);
                }
            }
        }
        JournalNews::Unreadable(unreadable) => output::error(unreadable),
        JournalNews::Lost(why) => output::note(&format!("nsctl: {why}; trying again")),
        JournalNews::Back => output::note("nsctl: connected again"),
        JournalNews::Compacted => output::warning(
            "etcd no longer has the history of the time without a connection: changes of which the journals no longer \
             have an entry are missing here",
        ),
        JournalNews::OtherHistory => {
            return Err(Error::Failed(
                "etcd has another history than before: it was restored from a backup, or another cluster answers. \
                 What follows cannot be told from what was shown; start again"
                    .into(),
            ));
        }
    }
    Ok(true)
}

/// Prints a change if it is about the name. Returns whether there still is a reader.
fn show(context: &Context, change: &Recorded, name: Option<&Name>) -> Result<bool, Error> {
    if name.is_some_and(|name| !is_about(&change.entry, name)) {
        return Ok(true);
    }
    let text = match context.output {
        Output::Json => {
            serde_json::to_string(&ChangeRow::from(change)).map_err(Error::failed)? + "\n"
        }
        Output::Table => {
            let lines = body(change, name)
                .into_iter()
                .map(|line| format!("    {line}"));
            let lines = std::iter::once(head(change).join("  ")).chain(lines);
            lines.map(|line| output::readable(&line) + "\n").collect()
        }
    };
    output::print_on(&text)
}
