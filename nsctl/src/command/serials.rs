//! `zone raise-serials`.

use std::collections::BTreeMap;

use etcd::model::{Name, Zone};
use serde::Serialize;

use super::Context;
use crate::arguments::{Output, Wait};
use crate::error::Error;
use crate::{frontends, output};

#[derive(Serialize)]
struct Report {
    zones: Vec<Raised>,
    revision: Option<i64>,
    frontends: Option<usize>,
}

#[derive(Serialize)]
struct Raised {
    zone: Name,
    before: u32,
    after: u32,
}

pub(super) async fn raise(context: &Context, by: Option<u32>, wait: Wait) -> Result<(), Error> {
    let served = served_before(context).await?;
    let mut report = Report {
        zones: Vec::new(),
        revision: None,
        frontends: None,
    };
    for read in context.store().zones().await? {
        let before = context.store().serial(&read).await?;
        let least = by.map(|by| before.wrapping_add(by));
        let least = served.get(&read.apex).copied().map_or(least, |served| {
            Some(least.map_or(served, |least| later(least, served)))
        });
        let Some(distance) = least.map(|least| least.wrapping_sub(before)) else {
            continue;
        };
        // The transaction touches the serial key, and with that the serial grows by one at least.
        let base = read.zone.serial_base.wrapping_add(distance);
        let edit = |zone: &mut Zone| zone.serial_base = later(zone.serial_base, base);
        let change = context.store().zone_set(&read.apex, edit).await;
        let (revision, _) = change.inspect_err(|_| told_so_far(context, &report))?;
        let (zone, after) = (read.apex, base.wrapping_add(revision as u32));
        report.zones.push(Raised {
            zone,
            before,
            after,
        });
        report.revision = Some(revision);
    }
    told_so_far(context, &report);
    let waited = match report.revision {
        Some(revision) => context.wait(revision, wait).await,
        None => None,
    };
    report.frontends = waited
        .as_ref()
        .and_then(|waited| waited.as_ref().ok().copied());
    if context.output == Output::Json {
        output::json(&report)?;
    }
    waited.transpose().map(|_| ())
}

/// The serials that front-ends have served and that zones are behind now; the latest of each.
async fn served_before(context: &Context) -> Result<BTreeMap<Name, u32>, Error> {
    let registered = context.store().frontends().await?;
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

fn told_so_far(context: &Context, report: &Report) {
    if context.output != Output::Table {
        return;
    }
    for Raised {
        zone,
        before,
        after,
    } in &report.zones
    {
        output::print(&format!("{zone} {before} -> {after}\n"));
    }
    output::print(&match report.revision {
        Some(revision) => format!("done, revision {revision}\n"),
        None => "unchanged: no front-end has served a later serial (--by raises all)\n".into(),
    });
}

/// The later of two serials (RFC 1982 3.2).
fn later(serial: u32, other: u32) -> u32 {
    if (other.wrapping_sub(serial) as i32) > 0 {
        other
    } else {
        serial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_go_round() {
        assert_eq!((later(1, 2), later(2, 1), later(7, 7)), (2, 2, 7));
        assert_eq!((later(u32::MAX, 3), later(3, u32::MAX)), (3, 3));
    }
}
