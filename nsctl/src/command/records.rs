//! `add`, `set`, `remove`.

use std::fmt::Write;
use std::time::Duration;

use etcd::client::Changed;
use etcd::model::{Name, Rtype};
use etcd::txn::{Change, InZone};

use super::change::{ChangeReport, RecordRow};
use crate::arguments::{AddRecords, Placement, RemoveRecords, SetRecords, WriteOptions};
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::{output, rdata};

/// Time limit of the search for warnings: the change is made by then, and only its report waits.
const WARNINGS_MAX: Duration = Duration::from_secs(1);

pub(super) async fn add(context: &Context, add: AddRecords) -> Result<(), Error> {
    let placement = &add.placement;
    let change = Change::Add {
        rtype: add.rtype,
        ttl: placement.ttl,
        rdata: rdata::records(add.rtype, &add.rdata)?,
    };
    apply(
        context,
        &add.name,
        placement.zone(),
        &change,
        placement.writing,
    )
    .await
}

pub(super) async fn set(context: &Context, set: SetRecords) -> Result<(), Error> {
    let (placement, rtype) = (&set.placement, set.rtype);
    let change = match placement.ttl {
        Some(ttl) if set.rdata.is_empty() => Change::Ttl { rtype, ttl },
        ttl => {
            let rdata = rdata::records(rtype, &set.rdata)?;
            match set.replace_all {
                true => Change::Replace { rtype, ttl, rdata },
                false => Change::Set { rtype, ttl, rdata },
            }
        }
    };
    apply(
        context,
        &set.name,
        placement.zone(),
        &change,
        placement.writing,
    )
    .await
}

pub(super) async fn remove(context: &Context, remove: RemoveRecords) -> Result<(), Error> {
    let rdata = match remove.rtype {
        Some(rtype) if !remove.rdata.is_empty() => rdata::records(rtype, &remove.rdata)?,
        _ => Vec::new(),
    };
    let change = Change::Remove {
        rtype: remove.rtype,
        rdata,
    };
    let zone = remove
        .zone
        .as_ref()
        .map(|apex| InZone { apex, hide: false });
    apply(context, &remove.name, zone, &change, remove.writing).await
}

impl Placement {
    /// The zone that was given.
    fn zone(&self) -> Option<InZone<'_>> {
        let hide = self.force;
        self.zone.as_ref().map(|apex| InZone { apex, hide })
    }
}

async fn apply(
    context: &Context,
    owner: &Name,
    zone: Option<InZone<'_>>,
    change: &Change,
    writing: WriteOptions,
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
    let text = match (changed.written, change) {
        (true, _) => ChangeText::changed(lines, changed.revision),
        (false, Change::Remove { .. }) => ChangeText::unchanged("not there", changed.revision),
        (false, _) => ChangeText::unchanged("already so", changed.revision),
    };
    let report = ChangeReport {
        added: Some(changed.added.iter().map(RecordRow::from).collect()),
        removed: Some(changed.removed.iter().map(RecordRow::from).collect()),
        unreadable: changed.unreadable.iter().map(Rtype::to_string).collect(),
        ..ChangeReport::of(&changed.zone, changed.revision, changed.written)
    };
    warn(context, &changed, owner, change).await;
    report.conclude(context, writing, &text).await
}

/// Warns of probable mistakes in the records. They are written by now, so it is no failure if the search for mistakes
/// fails.
async fn warn(context: &Context, changed: &Changed, owner: &Name, change: &Change) {
    let (Change::Add { rtype, rdata, .. }
    | Change::Set { rtype, rdata, .. }
    | Change::Replace { rtype, rdata, .. }) = change
    else {
        return;
    };
    let store = context.store().with_timeout(WARNINGS_MAX);
    let found = store.doubts(&changed.zone, owner, *rtype, rdata, changed.revision);
    let found = found.await;
    output::warnings(found.unwrap_or_default());
}
