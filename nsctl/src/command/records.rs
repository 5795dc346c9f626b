//! `add`, `set`, `remove`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use etcd::client::Changed;
use etcd::model::zonefile::RrsetFinding;
use etcd::model::{Change, Edit, Prerequisite, Update};
use etcd::txn::InZone;

use super::change::{ChangeReport, difference_lines};
use crate::arguments::{AddRecords, Placement, RemoveRecords, SetRecords};
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
    let prerequisites = add.conditions.prerequisites(&add.name, add.rtype);
    let edit = Edit {
        default_ttl: None,
        owner: add.name.clone(),
        change,
    };
    apply(context, placement.zone(), prerequisites, edit).await
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
    let edit = Edit {
        default_ttl: None,
        owner: set.name.clone(),
        change,
    };
    apply(
        context,
        placement.zone(),
        set.conditions.prerequisites(&set.name, rtype),
        edit,
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
    let prerequisites = match remove.rtype {
        Some(rtype) => remove.condition.prerequisites(&remove.name, rtype),
        None if remove.condition.is_given() => {
            return Err(Error::usage(
                "--if-revision is about one RRset: give its TYPE",
            ));
        }
        None => Vec::new(),
    };
    let edit = Edit {
        default_ttl: None,
        owner: remove.name.clone(),
        change,
    };
    apply(context, zone, prerequisites, edit).await
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
    zone: Option<InZone<'_>>,
    prerequisites: Vec<Prerequisite>,
    edit: Edit,
) -> Result<(), Error> {
    let update = Update {
        prerequisites,
        edits: vec![edit],
    };
    let changed = context.store().update(zone, &update, &|_| {}).await?;
    let [changed] = &changed[..] else {
        return Err(Error::failed("the change is not of one zone"));
    };
    let edit = &update.edits[0];
    let text = match (changed.written, &edit.change) {
        (true, _) => ChangeText::changed(changed_lines(changed), changed.revision),
        (false, Change::Remove { .. }) => ChangeText::unchanged("not there", changed.revision),
        (false, _) => ChangeText::unchanged("already so", changed.revision),
    };
    warn(context, changed, std::slice::from_ref(edit)).await;
    let report = ChangeReport::of_update(changed);
    report.conclude(context, &text).await
}

/// What an update has changed in a zone, a line for each record.
pub(super) fn changed_lines(changed: &Changed) -> String {
    let mut lines = difference_lines(&changed.differences);
    for (owner, rtype) in &changed.unreadable {
        let _ = writeln!(lines, "- {owner} {rtype}, whose value could not be read");
    }
    lines
}

/// Warns of probable mistakes in the records. They are written by now, so it is no failure if the search for mistakes
/// fails.
pub(super) async fn warn(context: &Context, changed: &Changed, edits: &[Edit]) {
    let store = context.store().with_timeout(WARNINGS_MAX);
    let (zone, revision) = (&changed.zone, changed.revision);
    let mut warned = BTreeSet::new();
    for Edit { owner, change, .. } in edits {
        let (Change::Add { rtype, rdata, .. }
        | Change::Set { rtype, rdata, .. }
        | Change::Replace { rtype, rdata, .. }) = change
        else {
            continue;
        };
        if !owner.is_within(zone) || !changed.written && edits.len() > 1 {
            continue;
        }
        let Ok(found) = store.doubts(zone, owner, *rtype, rdata, revision).await else {
            return;
        };
        let is_new = |finding: &RrsetFinding| warned.insert(finding.reason.clone());
        output::warnings(found.into_iter().filter(is_new).collect());
    }
}
