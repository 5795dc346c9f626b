//! `zone clean`.

use etcd::model::Name;
use etcd::txn::Refusal;

use crate::command::change::ChangeReport;
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output::plural;

pub(super) async fn clean(context: &Context, apex: &Name, history: bool) -> Result<(), Error> {
    let read = context.store().zone(apex).await?.1;
    let served = read.as_ref().map(|read| read.settings.generation);
    if !history {
        // What can still be rolled back to stays so.
        context.store().archive_missing(apex).await?;
    }
    let swept = context
        .store()
        .sweep(apex, |generation| Some(generation) != served)
        .await?;
    let forgotten = context.store().forget_serial(apex).await?;
    let (entries, archived) = match history {
        true => context.store().forget_history(apex).await?,
        false => (0, false),
    };
    if read.is_none() && swept == 0 && !forgotten && entries == 0 && !archived {
        return Err(Refusal::UnknownZone(apex.clone()).into());
    }
    let revision = context.store().head().await?.revision;
    let mut lines = String::new();
    if swept > 0 {
        let are = if swept == 1 { "is" } else { "are" };
        lines += &format!("- {} that {are} not served\n", plural(swept, "RRset"));
    }
    if forgotten {
        lines += "- the key that keeps serials of this zone from going back\n";
    }
    if entries > 0 {
        lines += &format!("- the journal, of {}\n", plural(entries, "change"));
    }
    if archived {
        lines += "- what was archived for a rollback\n";
    }
    let report = ChangeReport::of(apex, revision, !lines.is_empty());
    let text = match report.changed {
        true => ChangeText::changed(lines, revision),
        false => ChangeText::unchanged("no records of other generations", revision),
    };
    report.conclude(context, &text).await
}
