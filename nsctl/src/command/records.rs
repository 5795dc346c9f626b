//! `add`, `set`, `remove`.

use std::fmt::Write;

use etcd::model::Name;
use etcd::txn::Change;

use super::{Context, Report, Shown};
use crate::arguments::Wait;
use crate::error::Error;

pub(super) async fn change(
    context: &Context,
    owner: &Name,
    zone: Option<&Name>,
    change: &Change,
    wait: Wait,
) -> Result<(), Error> {
    let changed = context.store().change(owner, zone, change).await?;
    let mut text = String::new();
    for (sign, lines) in [('-', &changed.removed), ('+', &changed.added)] {
        for line in lines {
            let _ = writeln!(
                text,
                "{sign} {} {} {} {}",
                line.owner,
                line.ttl,
                line.rtype,
                line.rdata.text(line.rtype)
            );
        }
    }
    let outcome = match (changed.written, change) {
        (true, _) if text.is_empty() => "done by an earlier try of this command",
        (true, _) => "done",
        (false, Change::Remove { .. }) => "unchanged: not there",
        (false, _) => "unchanged: already so",
    };
    let _ = writeln!(text, "{outcome}, revision {}", changed.revision);
    let report = Report {
        zone: changed.zone.to_string(),
        revision: changed.revision,
        changed: changed.written,
        added: Some(changed.added.iter().map(Shown::from).collect()),
        removed: Some(changed.removed.iter().map(Shown::from).collect()),
    };
    context.finish(report, wait, &text).await
}
