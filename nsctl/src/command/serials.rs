//! `zone raise-serials`.

use std::collections::{BTreeMap, HashMap};

use etcd::model::{Name, is_serial_before};
use serde::Serialize;

use super::{Context, Told, plural};
use crate::arguments::Writing;
use crate::error::Error;
use crate::{frontends, output};

#[derive(Serialize)]
struct Report {
    zones: Vec<Raised>,
    /// None where nothing was behind, and so nothing was written.
    revision: Option<i64>,
}

#[derive(Serialize)]
struct Raised {
    zone: Name,
    before: u32,
    after: u32,
}

pub(super) async fn raise(
    context: &Context,
    by: Option<u32>,
    writing: Writing,
) -> Result<(), Error> {
    let served = served_before(context).await?;
    let zones = context.store().zones().await?;
    output::left_out(&zones.unreadable);
    let serials = context.store().serials(&zones).await?;
    let mut before_of = HashMap::new();
    let mut raises = Vec::new();
    for (read, before) in zones.zones.into_iter().zip(serials) {
        let least = by.map(|by| before.wrapping_add(by));
        let least = served.get(&read.apex).copied().map_or(least, |served| {
            Some(least.map_or(served, |least| later(least, served)))
        });
        // A front-end may not have come to what was raised already.
        let Some(least) = least.filter(|least| is_serial_before(before, *least)) else {
            continue;
        };
        let distance = least.wrapping_sub(before);
        // The transaction touches the serial key, and with that the serial grows by one at least.
        let base = read.zone.serial_base.wrapping_add(distance);
        before_of.insert(read.apex.clone(), before);
        raises.push((read.apex, base));
    }
    let mut report = Report {
        zones: Vec::new(),
        revision: None,
    };
    let (store, all) = (context.store(), raises.len());
    let done = store.raise_serials(raises, |raised| {
        for etcd::client::Raised {
            zone,
            serial,
            revision,
        } in raised
        {
            report.revision = report.revision.max(Some(revision));
            report.zones.push(Raised {
                before: before_of.get(&zone).copied().unwrap_or(serial),
                after: serial,
                zone,
            });
        }
    });
    let done = done.await;
    let told = told(&report);
    match done {
        Ok(()) => {
            let revision = report.revision;
            context.conclude(&report, revision, writing, &told).await
        }
        Err(error) => {
            let count = plural(report.zones.len(), "zone");
            let text = format!("{error}; {count} of {all} raised");
            let error = Error::from(error).because(text);
            Err(context.broken_off(&report, report.revision, &told, error))
        }
    }
}

/// The serials that front-ends have served and that zones are behind now; the latest of each.
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
            // It may know of serials that others do not.
            Err(error) => output::note(&format!("nsctl: {id} was not asked: {error}")),
        }
    }
    Ok(served)
}

/// What people read of it.
fn told(report: &Report) -> Told {
    let line = |raised: &Raised| {
        let Raised {
            zone,
            before,
            after,
        } = raised;
        format!("{zone} {before} -> {after}\n")
    };
    let unchanged = "unchanged: no front-end has served a later serial (--by raises all)\n";
    Told {
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

/// The later of two serials.
fn later(serial: u32, other: u32) -> u32 {
    if is_serial_before(serial, other) {
        other
    } else {
        serial
    }
}
