//! `zone remove`.

use std::io::{self, IsTerminal};

use etcd::client::{Removed, StoreError, Uncovered};
use etcd::txn::{Refusal, ZoneRead};

use crate::arguments::RemoveZone;
use crate::command::change::ChangeReport;
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output::{self, plural};

/// How many RRsets are shown of a zone before it is removed.
const REMOVED_SHOWN: usize = 10;

pub(super) async fn remove(context: &Context, remove: RemoveZone) -> Result<(), Error> {
    let RemoveZone {
        zone: apex,
        force,
        yes,
        ..
    } = &remove;
    let (count, mut lines) = match context.store().zone(apex).await {
        Ok((_, Some(present))) => contents(context, &present).await?,
        Ok((revision, None)) => return Err(context.no_zone(apex, revision).await),
        // Without its settings, it is not known which of its records are served.
        Err(StoreError::Unreadable(_)) if *force => ("all its records".into(), String::new()),
        Err(error) => return Err(error.into()),
    };
    if !*yes && !context.dry_run && io::stdin().is_terminal() {
        // The list is part of the question: standard output may be redirected.
        let question = format!("{lines}Remove the zone {apex} with {count}? [y/N] ");
        if !output::confirm(&question) {
            return Err(Error::Failed("nothing was removed".into()));
        }
        lines.clear();
    }
    let removed = context.store().zone_remove(apex, *force).await?;
    let Some(Removed {
        revision,
        uncovered,
        leftover,
    }) = removed
    else {
        return Err(Refusal::UnknownZone(apex.clone()).into());
    };
    if let Some(error) = leftover {
        output::error(format!(
            "its records are still in etcd ({error}): nsctl zone clean {apex} deletes them"
        ));
    }
    let mut text = ChangeText {
        lines,
        done: format!("zone {apex} removed, revision {revision}\n"),
        would: format!("zone {apex} would be removed\n"),
    };
    if let Some(Uncovered { zone, names }) = uncovered {
        let names = format!("the records of {zone} at {}", plural(names.len(), "name"));
        text.done += &format!("{names} are answered again: nsctl list {apex} --subtree\n");
        text.would += &format!("{names} would be answered again\n");
    }
    let report = ChangeReport::of(apex, revision, true);
    report.conclude(context, &text).await
}

/// Describes what is removed with a zone: the number of RRsets, and the records of the first ones, a line each.
async fn contents(context: &Context, present: &ZoneRead) -> Result<(String, String), Error> {
    let generations = context
        .store()
        .generations(&present.apex, Some(present.as_of))
        .await?;
    let served = generations
        .iter()
        .find(|(generation, _)| *generation == present.settings.generation);
    let count = served.map_or(0, |(_, count)| *count);
    let some = context
        .store()
        .some_rrsets(present, REMOVED_SHOWN as i64)
        .await?;
    let mut text = String::new();
    for (owner, stored) in &some {
        let rtype = stored.rtype;
        match &stored.rrset {
            Ok(rrset) => {
                let ttl = rrset.ttl();
                text.extend(
                    rrset
                        .rdata()
                        .iter()
                        .map(|rdata| format!("- {owner} {ttl} {rtype} {}\n", rdata.text(rtype))),
                );
            }
            Err(_) => text += &format!("- {owner} {rtype}, whose value could not be read\n"),
        }
    }
    let more = count.saturating_sub(some.len());
    if more > 0 {
        text += &format!("- and {} more\n", plural(more, "RRset"));
    }
    Ok((plural(count, "RRset"), text))
}
