//! `list`.

use std::collections::{BTreeMap, BTreeSet};

use etcd::client::{Scope, Zones};
use etcd::model::{Name, Rtype};
use etcd::txn::{RrsetRead, ZoneRead};
use serde::Serialize;

use crate::arguments::{ListRecords, Output};
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// An RRset as programs read it.
#[derive(Serialize)]
struct RrsetRow {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: Vec<String>,
    zone: String,
    /// The revision that wrote it, for `--if-revision`.
    revision: i64,
    /// The zone further down that hides it: that zone answers for the name instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<String>,
}

/// A zone, and those of its RRsets that are listed.
struct ListedZone {
    read: ZoneRead,
    rrsets: Vec<(Name, RrsetRead)>,
    /// The zones below it.
    children: BTreeSet<Name>,
}

pub(super) async fn list(context: &Context, list: ListRecords) -> Result<(), Error> {
    let ListRecords {
        name,
        zone,
        rtype,
        subtree,
    } = list;
    if rtype == Some(Rtype::SOA) {
        return Err(Error::usage(
            "the SOA record is not stored as a record: use nsctl zone show ZONE",
        ));
    }
    let zones = match &zone {
        Some(apex) => vec![one_zone(context, apex, name.as_ref(), subtree).await?],
        None => all_zones(context, name.as_ref(), subtree).await?,
    };
    let mut listed = Vec::new();
    for zone in zones {
        let hidden = hidden_by(context, &zone).await?;
        let is_asked = |read: &RrsetRead| rtype.is_none_or(|rtype| rtype == read.rtype);
        for (owner, stored) in zone.rrsets.into_iter().filter(|(_, read)| is_asked(read)) {
            let rrset = match stored.rrset {
                Ok(rrset) => rrset,
                Err(error) => {
                    let key = context.store().key_text(&zone.read, &owner, stored.rtype);
                    output::error(format!("{key} is left out: {error}"));
                    continue;
                }
            };
            let hidden_by = hidden.get(&(owner.clone(), stored.rtype));
            let rdata = rrset.rdata().iter();
            listed.push(RrsetRow {
                name: owner.to_string(),
                unicode: owner.unicode(),
                ttl: rrset.ttl(),
                rtype: stored.rtype.to_string(),
                rdata: rdata.map(|rdata| rdata.text(stored.rtype)).collect(),
                zone: zone.read.apex.to_string(),
                revision: stored.revision,
                hidden_by: hidden_by.map(Name::to_string),
            });
        }
    }
    match context.output {
        Output::Json => output::json(&listed),
        Output::Table => show(listed),
    }
}

fn show(listed: Vec<RrsetRow>) -> Result<(), Error> {
    let mut header = vec!["NAME", "TTL", "TYPE", "RDATA"];
    if listed.iter().any(|one| one.hidden_by.is_some()) {
        header.push("HIDDEN BY ZONE");
    }
    let mut rows = Vec::new();
    for one in listed {
        for rdata in one.rdata {
            let mut row = vec![
                one.name.clone(),
                one.ttl.to_string(),
                one.rtype.clone(),
                rdata,
            ];
            if header.len() > row.len() {
                row.push(one.hidden_by.clone().unwrap_or_default());
            }
            rows.push(row);
        }
    }
    output::table(&header, rows, "no records")
}

/// Maps each hidden RRset to the zone below that hides it.
async fn hidden_by(
    context: &Context,
    zone: &ListedZone,
) -> Result<BTreeMap<(Name, Rtype), Name>, Error> {
    let ListedZone {
        read,
        rrsets,
        children,
    } = zone;
    let hidden = context.store().hidden(read, children, rrsets).await?;
    let by = hidden
        .into_iter()
        .map(|one| ((one.owner, one.rtype), one.by));
    Ok(by.collect())
}

/// Reads what is listed of one zone.
async fn one_zone(
    context: &Context,
    apex: &Name,
    name: Option<&Name>,
    subtree: bool,
) -> Result<ListedZone, Error> {
    let read = context.existing_zone(apex).await?;
    Ok(ListedZone {
        rrsets: rrsets(context, &read, name, subtree).await?,
        children: context.store().children(apex, read.as_of).await?,
        read,
    })
}

/// Reads what is listed if no zone is given, at one revision: with a request for each zone that encloses the name, and
/// one list of all zones below it; without a name, of all zones.
async fn all_zones(
    context: &Context,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Vec<ListedZone>, Error> {
    let root = Name::root();
    let (enclosing, below) = match name {
        None => (Zones::default(), context.store().zones().await?),
        Some(name) => {
            let enclosing = context.store().enclosing(name).await?;
            let below = match subtree {
                true => {
                    context
                        .store()
                        .zones_below(name, enclosing.revision)
                        .await?
                }
                false => Zones::default(),
            };
            (enclosing, below)
        }
    };
    output::report_unreadable(&enclosing.unreadable);
    output::report_unreadable(&below.unreadable);
    let readable = enclosing.zones.iter().chain(&below.zones);
    let unreadable = enclosing.unreadable_apexes.iter();
    let unreadable = unreadable.chain(&below.unreadable_apexes);
    let all = readable.map(|read| &read.apex).chain(unreadable);
    let all: BTreeSet<Name> = all.cloned().collect();
    let listed_zone = |read: ZoneRead, rrsets| ListedZone {
        rrsets,
        // In canonical order, the zones below one follow directly after it.
        children: all
            .range(read.apex.clone()..)
            .skip(1)
            .take_while(|apex| apex.is_within(&read.apex))
            .cloned()
            .collect(),
        read,
    };
    let mut zones = Vec::new();
    for read in enclosing.zones {
        let rrsets = rrsets(context, &read, name, subtree).await?;
        zones.push(listed_zone(read, rrsets));
    }
    if !below.zones.is_empty() {
        let top = name.unwrap_or(&root);
        let (stored, unreadable) = context.store().rrsets_below(top, &below).await?;
        output::report_unreadable(&unreadable);
        let reads = below.zones.into_iter().zip(stored);
        // The zone whose apex is the name is in `enclosing`; that of the root is in `below`, too.
        let reads = reads.filter(|(read, _)| name != Some(&read.apex));
        zones.extend(reads.map(|(read, stored)| listed_zone(read, stored.rrsets)));
    }
    Ok(zones)
}

/// Reads the RRsets of a zone at a name, or at and below it.
async fn rrsets(
    context: &Context,
    read: &ZoneRead,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Vec<(Name, RrsetRead)>, Error> {
    let (top, scope) = match name {
        None => (&read.apex, Scope::Subtree),
        Some(name) if subtree => (name, Scope::Subtree),
        Some(name) => (name, Scope::Owner),
    };
    // A zone given with --zone may lie below the name, or elsewhere.
    let top = match scope {
        _ if top.is_within(&read.apex) => top,
        Scope::Subtree if read.apex.is_within(top) => &read.apex,
        _ => return Ok(Vec::new()),
    };
    let stored = context.store().rrsets(read, top, scope).await?;
    output::report_unreadable(&stored.unreadable);
    Ok(stored.rrsets)
}
