//! `add`, `set`, `remove`.

use std::fmt::Write;
use std::time::Duration;

use etcd::client::InZone;
use etcd::model::{Name, Rtype};
use etcd::txn::Change;

use super::{Context, Report, Shown, Told};
use crate::arguments::Writing;
use crate::error::Error;
use crate::output;

/// How long the search for warnings may take: the change is done by then, and its result waits for them.
const WARNINGS_MAX: Duration = Duration::from_secs(1);

pub(super) async fn change(
    context: &Context,
    owner: &Name,
    zone: Option<InZone<'_>>,
    change: &Change,
    writing: Writing,
) -> Result<(), Error> {
    let changed = context.store().change(owner, zone, change).await?;
    let mut lines = String::new();
    for (sign, changes) in [('-', &changed.removed), ('+', &changed.added)] {
        for line in changes {
            let _ = writeln!(
                lines,
                "{sign} {} {} {} {}",
                line.owner,
                line.ttl,
                line.rtype,
                line.rdata.text(line.rtype)
            );
        }
    }
    for rtype in &changed.unreadable {
        let _ = writeln!(lines, "- {owner} {rtype}, whose value could not be read");
    }
    let told = match (changed.written, change) {
        (true, _) => Told {
            lines,
            done: format!("done, revision {}\n", changed.revision),
            ..Told::default()
        },
        (false, Change::Remove { .. }) => Told::unchanged("not there", changed.revision),
        (false, _) => Told::unchanged("already so", changed.revision),
    };
    let report = Report {
        added: Some(changed.added.iter().map(Shown::from).collect()),
        removed: Some(changed.removed.iter().map(Shown::from).collect()),
        unreadable: changed.unreadable.iter().map(Rtype::to_string).collect(),
        ..Report::of(&changed.zone, changed.revision, changed.written)
    };
    warn(context, &changed.zone, owner, change).await;
    context.finish(report, writing, &told).await
}

/// Tells what is likely not meant about the records. What keeps us from finding out is no failure: they are written.
async fn warn(context: &Context, zone: &Name, owner: &Name, change: &Change) {
    let (Change::Add { rtype, rdata, .. }
    | Change::Set { rtype, rdata, .. }
    | Change::Replace { rtype, rdata, .. }) = change
    else {
        return;
    };
    let store = context.store().within(WARNINGS_MAX);
    let found = store.doubts(zone, owner, *rtype, rdata).await;
    output::warnings(found.unwrap_or_default());
}
