//! `zone raise-serials`.

use std::collections::{BTreeMap, HashMap};

use etcd::client::Raised;
use etcd::model::{Name, is_serial_before};
use etcd::txn::ZoneRead;
use serde::Serialize;

use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output::plural;
use crate::{frontends, output};

#[derive(Serialize)]
struct RaiseReport {
    zones: Vec<RaisedRow>,
    /// `None` if no serial was behind, and so nothing was written.
    revision: Option<i64>,
}

#[derive(Serialize)]
struct RaisedRow {
    zone: Name,
    before: u32,
    after: u32,
}

pub(super) async fn raise(context: &Context, by: Option<u32>) -> Result<(), Error> {
    let served = served_before(context).await?;
    let zones = context.store().zones().await?;
    output::report_unreadable(&zones.unreadable);
    let serials = context.store().serials(&zones).await?;
    let mut before_of = HashMap::new();
    let mut raises = Vec::new();
    for (read, before) in zones.zones.into_iter().zip(serials) {
        let Some(base) = raised_base(&read, before, by, served.get(&read.apex).copied()) else {
            continue;
        };
        before_of.insert(read.apex.clone(), before);
        raises.push((read.apex, base));
    }
    let mut report = RaiseReport {
        zones: Vec::new(),
        revision: None,
    };
    let (store, all) = (context.store(), raises.len());
    let done = store.raise_serials(raises, |raised| {
        for Raised {
            zone,
            serial,
            revision,
        } in raised
        {
            report.revision = report.revision.max(Some(revision));
            report.zones.push(RaisedRow {
                before: before_of.get(&zone).copied().unwrap_or(serial),
                after: serial,
                zone,
            });
        }
    });
    let done = done.await;
    let text = text(&report);
    match done {
        Ok(()) => {
            let revision = report.revision;
            context.conclude(&report, revision, &text).await
        }
        Err(error) => {
            let count = plural(report.zones.len(), "zone");
            let reason = format!("{error}; {count} of {all} raised");
            let error = Error::from(error).because(reason);
            Err(context.broken_off(&report, report.revision, &text, error))
        }
    }
}

/// Returns the base that raises a zone's serial by at least `by`, and at least to what front-ends have served; `None`
/// if it is that far already.
fn raised_base(read: &ZoneRead, serial: u32, by: Option<u32>, served: Option<u32>) -> Option<u32> {
    let raised = by.map(|by| serial.wrapping_add(by));
    let least = match (raised, served) {
        (Some(raised), Some(served)) => later(raised, served),
        (raised, served) => raised.or(served)?,
    };
    // A front-end that lags still reports a serial that has been raised already.
    let distance = is_serial_before(serial, least).then(|| least.wrapping_sub(serial))?;
    // The transaction writes the serial's key, so the serial grows by at least one more.
    Some(read.settings.serial_base.wrapping_add(distance))
}

/// Returns the newest serial that front-ends have served of each zone that is behind it now.
async fn served_before(context: &Context) -> Result<BTreeMap<Name, u32>, Error> {
    let fleet = context.store().frontends().await?;
    let registered = fleet.frontends;
    let mut served: BTreeMap<Name, u32> = BTreeMap::new();
    for (id, answer) in frontends::get_all(&registered, "serials", context.timeout).await {
        match answer {
            Ok(serials) => {
                let serials: BTreeMap<Name, u32> = serials;
                for (zone, serial) in serials {
                    let known = served.entry(zone).or_insert(serial);
                    *known = later(*known, serial);
                }
            }
            // Only this one may know some of the serials.
            Err(error) => output::error(format!(
                "the serials that {id} has served are unknown: {error}"
            )),
        }
    }
    Ok(served)
}

fn text(report: &RaiseReport) -> ChangeText {
    let line = |raised: &RaisedRow| {
        let RaisedRow {
            zone,
            before,
            after,
        } = raised;
        format!("{zone} {before} -> {after}\n")
    };
    let unchanged = "unchanged: no front-end has served a later serial (--count raises all)\n";
    ChangeText {
        lines: report.zones.iter().map(line).collect(),
        done: match report.revision {
            Some(revision) => format!("done, revision {revision}\n"),
            None => unchanged.into(),
        },
        would: match report.revision {
            Some(_) => String::new(),
            None => unchanged.into(),
        },
    }
}

/// Returns the later of two serials (RFC 1982).
fn later(serial: u32, other: u32) -> u32 {
    if is_serial_before(serial, other) {
        other
    } else {
        serial
    }
}
