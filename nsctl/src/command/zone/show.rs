//! `zone list` and `zone show`.

use std::collections::BTreeMap;

use etcd::client::Scope;
use etcd::model::{Name, ZoneSettings};
use etcd::txn::{ZoneRead, hidden_among_read};
use serde::Serialize;

use crate::arguments::Output;
use crate::command::change::listed_prefixes;
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, plural};

/// A zone and its settings.
#[derive(Serialize)]
struct ZoneRow<'a> {
    zone: &'a Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    serial: u32,
    #[serde(flatten)]
    settings: &'a ZoneSettings,
}

pub(super) async fn list(context: &Context) -> Result<(), Error> {
    let zones = context.store().zones().await?;
    output::report_unreadable(&zones.unreadable);
    let serials = context.store().serials(&zones).await?;
    let rows = zones
        .zones
        .iter()
        .zip(serials)
        .map(|(read, serial)| ZoneRow {
            zone: &read.apex,
            unicode: read.apex.unicode(),
            serial,
            settings: &read.settings,
        });
    if context.output == Output::Json {
        return output::json(&rows.collect::<Vec<_>>());
    }
    let rows = rows.map(|row| {
        vec![
            row.zone.to_string(),
            row.serial.to_string(),
            row.settings.soa.mname.to_string(),
            row.settings.default_ttl.to_string(),
        ]
    });
    output::table(
        &["ZONE", "SERIAL", "PRIMARY", "DEFAULT TTL"],
        rows.collect(),
        "no zones",
    )
}

/// Records of a zone that are not served, as they belong to another generation.
#[derive(Serialize)]
struct NotServed {
    generation: u64,
    rrsets: usize,
}

/// Records of a zone that a zone below hides.
#[derive(Serialize)]
struct HiddenBy {
    zone: Name,
    rrsets: usize,
}

/// A zone, its settings, and counts of its records.
#[derive(Serialize)]
struct ZoneDetails<'a> {
    #[serde(flatten)]
    row: ZoneRow<'a>,
    rrsets: usize,
    not_served: Vec<NotServed>,
    hidden: Vec<HiddenBy>,
}

pub(super) async fn show(context: &Context, apex: &Name) -> Result<(), Error> {
    let mut read = context.existing_zone(apex).await?;
    let served = read.settings.generation;
    let generations = context.store().generations(apex, Some(read.as_of)).await?;
    let (served, others): (Vec<_>, Vec<_>) = generations
        .into_iter()
        .partition(|(generation, _)| *generation == served);
    let settings = &mut read.settings;
    // Programs get the defaults, too.
    settings.journal_age = Some(settings.journal_age());
    settings.journal_entries = Some(settings.journal_entries());
    settings.journal_archives = Some(settings.journal_archives());
    let details = ZoneDetails {
        row: ZoneRow {
            zone: apex,
            unicode: apex.unicode(),
            serial: context.store().serial(&read).await?,
            settings: &read.settings,
        },
        rrsets: served.iter().map(|(_, count)| count).sum(),
        not_served: others
            .into_iter()
            .map(|(generation, rrsets)| NotServed { generation, rrsets })
            .collect(),
        hidden: hidden(context, &read).await?,
    };
    match context.output {
        Output::Json => output::json(&details),
        Output::Table => show_table(&details),
    }
}

/// Counts the RRsets that each zone below hides.
async fn hidden(context: &Context, read: &ZoneRead) -> Result<Vec<HiddenBy>, Error> {
    let children = context.store().children(&read.apex, read.as_of).await?;
    if children.is_empty() {
        return Ok(Vec::new());
    }
    let stored = context
        .store()
        .rrsets(read, &read.apex, Scope::Subtree)
        .await?;
    let mut behind: BTreeMap<Name, usize> = BTreeMap::new();
    for one in hidden_among_read(&read.apex, &children, &stored.rrsets) {
        *behind.entry(one.by).or_default() += 1;
    }
    let behind = behind.into_iter();
    Ok(behind
        .map(|(zone, rrsets)| HiddenBy { zone, rrsets })
        .collect())
}

fn show_table(details: &ZoneDetails<'_>) -> Result<(), Error> {
    let ZoneDetails { row, rrsets, .. } = details;
    let zone = row.settings;
    let soa = &zone.soa;
    let consistency = match zone.consistency {
        Some(consistency) => consistency.to_string(),
        None => "as set on each front-end".into(),
    };
    let seconds = |time: u32| format!("{time} s");
    let refresh = format!("{}, {}, {} s", soa.refresh, soa.retry, soa.expire);
    let journal = match zone.journal_entries() {
        0 => "none".into(),
        entries => format!(
            "{} of the last {} s, {}",
            plural(entries, "change"),
            zone.journal_age(),
            plural(zone.journal_archives(), "archive")
        ),
    };
    let settings = [
        ("zone", row.zone.to_string()),
        ("serial", row.serial.to_string()),
        ("primary", soa.mname.to_string()),
        ("mailbox", soa.rname.to_string()),
        ("refresh, retry, expire", refresh),
        ("negative TTL", seconds(soa.minimum.min(soa.ttl))),
        ("SOA TTL", seconds(soa.ttl)),
        ("default TTL", seconds(zone.default_ttl)),
        ("consistency", consistency),
        ("allow-query", listed_prefixes(&zone.allow_query)),
        ("deny-query", listed_prefixes(&zone.deny_query)),
        ("journal", journal),
        ("RRsets", rrsets.to_string()),
        ("generation", zone.generation.to_string()),
    ];
    let not_served = details.not_served.iter().map(|one| {
        let NotServed { generation, rrsets } = one;
        let remedy = "nsctl zone clean deletes them";
        let rrsets = plural(*rrsets, "RRset");
        let text = format!("{rrsets} of generation {generation} ({remedy})");
        ("not served", text)
    });
    let hidden = details.hidden.iter().map(|HiddenBy { zone, rrsets }| {
        let text = format!("{} by the zone {zone}", plural(*rrsets, "RRset"));
        ("hidden", text)
    });
    let rows = settings.into_iter().chain(not_served).chain(hidden);
    let rows = rows.map(|(setting, value)| vec![setting.into(), value]);
    output::table(&["SETTING", "VALUE"], rows.collect(), "")
}
