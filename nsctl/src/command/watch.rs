//! `watch`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use etcd::client::{JournalNews, Since};
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
    if let Some(Since::Revision(since)) = watch.since
        && since > revision
    {
        return Err(Error::Failed(format!(
            "there is no revision {since} yet, etcd is at {revision}: it may be of another cluster, or from before etcd was \
             restored"
        )));
    }
    // If standard output is closed, that is an error at once.
    output::print("")?;
    warn_of_silence(context, &watch).await?;
    let name = watch.subject.name.as_ref();
    let from = Resume {
        cluster_id: start.cluster_id,
        revision: match watch.since {
            Some(Since::Revision(since)) => since,
            _ => revision,
        },
        // The journals have none.
        leased: HashSet::new(),
        unchecked: None,
    };
    if let Some(since @ Since::Time(_)) = watch.since
        && !show_since(context, &watch, since, revision).await?
    {
        return Ok(());
    }
    let zones: Option<Vec<Name>> = match (name, watch.subject.zone.clone()) {
        (Some(name), _) => Some(name.ancestors().collect()),
        (None, zone) => zone.map(|zone| vec![zone]),
    };
    let tell = |news| match report(context, name, news) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(Ok(())),
        Err(error) => ControlFlow::Break(Err(error)),
    };
    let store = context.store();
    output::note(&format!(
        "following the changes after revision {}",
        from.revision
    ));
    tokio::select! {
        end = store.follow_journals(from, zones.as_deref(), tell) => end,
        () = output::reader_left() => Ok(()),
    }
}

/// Shows the changes since a time that the journals have at a revision. Returns whether there still is a reader.
async fn show_since(
    context: &Context,
    watch: &Watch,
    since: Since,
    revision: i64,
) -> Result<bool, Error> {
    let name = watch.subject.name.as_ref();
    let journal = match name {
        Some(name) => around(context, name, since, Some(revision)).await?,
        None => {
            let (store, zone) = (context.store(), watch.subject.zone.as_ref());
            let read = store.recent_journal(zone, since, usize::MAX, Some(revision));
            read.await?.0
        }
    };
    output::report_unreadable(&journal.unreadable);
    for change in journal.entries.iter().rev() {
        if !show(context, change, name)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Warns if no changes can be shown, because the zone does not exist or keeps no journal.
async fn warn_of_silence(context: &Context, watch: &Watch) -> Result<(), Error> {
    let candidates: Vec<Name> = match (&watch.subject.name, &watch.subject.zone) {
        (Some(name), _) => name.ancestors().collect(),
        (None, zone) => zone.iter().cloned().collect(),
    };
    let mut found = None;
    for zone in &candidates {
        found = context.store().zone(zone).await?.1;
        if found.is_some() {
            break;
        }
    }
    let zone = found
        .as_ref()
        .map_or(candidates.first(), |read| Some(&read.apex));
    let Some(zone) = zone else {
        return Ok(());
    };
    match &found {
        None if watch.subject.name.is_some() => {
            output::warning(format!("no zone holds {zone} yet"))
        }
        None => output::warning(format!("there is no zone {zone} yet")),
        Some(read) if read.settings.journal_entries() == 0 => output::warning(format!(
            "zone {zone} keeps no journal, so its changes are not shown: \
             nsctl zone set {zone} --journal-entries COUNT"
        )),
        Some(_) => {}
    }
    Ok(())
}

/// Reports news. Returns whether there still is a reader.
fn report(context: &Context, name: Option<&Name>, news: JournalNews) -> Result<bool, Error> {
    match news {
        JournalNews::Changes(changes) => {
            for change in &changes {
                if !show(context, change, name)? {
                    return Ok(false);
                }
            }
        }
        JournalNews::Unreadable(unreadable) => output::error(unreadable),
        JournalNews::Lost(why) => output::error(format!("{why}; trying again")),
        JournalNews::Back => output::error("connected again"),
        JournalNews::Denied(why) => {
            return Err(Error::Failed(format!(
                "{why}: watch needs one permission for everything below {}/",
                context.store().prefix()
            )));
        }
        JournalNews::Compacted { after } => output::warning(format!(
            "etcd has compacted its history after revision {after}: later changes are only shown if the journals still \
             have them"
        )),
        JournalNews::OtherHistory => {
            return Err(Error::Failed(
                "etcd has another history than before: it was restored from a backup, or another cluster answers. \
                 Revisions shown before do not apply to it. Run the command again"
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
    match context.output {
        Output::Json => output::json_line(&ChangeRow::from(change)),
        Output::Table => {
            let lines = body(change, name)
                .into_iter()
                .map(|line| format!("    {line}"));
            let lines = std::iter::once(head(change).join("  ")).chain(lines);
            let text: String = lines.map(|line| output::readable(&line) + "\n").collect();
            output::print_to_reader(&text)
        }
    }
}
