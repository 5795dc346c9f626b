//! `list`.

use std::collections::{BTreeMap, BTreeSet};

use etcd::client::{Scope, Zones};
use etcd::model::{Name, Rtype};
use etcd::txn::{RrsetRead, ZoneRead};
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::output;

#[derive(Serialize)]
struct Listed {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unicode: Option<String>,
    ttl: u32,
    #[serde(rename = "type")]
    rtype: String,
    rdata: Vec<String>,
    zone: String,
    /// The zone below that answers instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<String>,
}

/// A zone and what is listed of it.
struct Part {
    read: ZoneRead,
    rrsets: Vec<(Name, RrsetRead)>,
    /// The zones below it.
    children: BTreeSet<Name>,
}

pub(super) async fn list(
    context: &Context,
    name: Option<Name>,
    zone: Option<Name>,
    rtype: Option<Rtype>,
    subtree: bool,
) -> Result<(), Error> {
    if rtype == Some(Rtype::SOA) {
        return Err(Error::usage(
            "the SOA record is not stored as a record: use nsctl zone show ZONE",
        ));
    }
    let parts = match &zone {
        Some(apex) => vec![part_of(context, apex, name.as_ref(), subtree).await?],
        None => parts(context, name.as_ref(), subtree).await?,
    };
    let mut listed = Vec::new();
    for part in parts {
        let hidden = hidden_by(context, &part).await?;
        let those = part.rrsets.into_iter();
        for (owner, stored) in
            those.filter(|(_, read)| rtype.is_none_or(|rtype| rtype == read.rtype))
        {
            let rrset = match stored.rrset {
                Ok(rrset) => rrset,
                Err(error) => {
                    let key = context.store().key_text(&part.read, &owner, stored.rtype);
                    output::note(&format!("nsctl: {key} is left out: {error}"));
                    continue;
                }
            };
            let hidden_by = hidden.get(&(owner.clone(), stored.rtype));
            let rdata = rrset.rdata().iter();
            listed.push(Listed {
                name: owner.to_string(),
                unicode: owner.unicode(),
                ttl: rrset.ttl(),
                rtype: stored.rtype.to_string(),
                rdata: rdata.map(|rdata| rdata.text(stored.rtype)).collect(),
                zone: part.read.apex.to_string(),
                hidden_by: hidden_by.map(Name::to_string),
            });
        }
    }
    match context.output {
        Output::Json => output::json(&listed),
        Output::Table => show(listed),
    }
}

fn show(listed: Vec<Listed>) -> Result<(), Error> {
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

/// Which zone below answers instead, for RRsets that are hidden.
async fn hidden_by(context: &Context, part: &Part) -> Result<BTreeMap<(Name, Rtype), Name>, Error> {
    let Part {
        read,
        rrsets,
        children,
    } = part;
    let hidden = context.store().hidden(read, children, rrsets).await?;
    let by = hidden
        .into_iter()
        .map(|one| ((one.owner, one.rtype), one.by));
    Ok(by.collect())
}

/// What is listed of one zone.
async fn part_of(
    context: &Context,
    apex: &Name,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Part, Error> {
    let read = context.existing_zone(apex).await?;
    Ok(Part {
        rrsets: rrsets(context, &read, name, subtree).await?,
        children: context.store().children(apex, read.as_of).await?,
        read,
    })
}

/// What is listed of all zones, read at one revision: of those that a name is in with a request for each, of those
/// below it in one pass.
async fn parts(context: &Context, name: Option<&Name>, subtree: bool) -> Result<Vec<Part>, Error> {
    let root = Name::root();
    let (around, below) = match name {
        None => (Zones::default(), context.store().zones().await?),
        Some(name) => {
            let around = context.store().enclosing(name).await?;
            let below = match subtree {
                true => context.store().zones_below(name, around.revision).await?,
                false => Zones::default(),
            };
            (around, below)
        }
    };
    output::left_out(&around.unreadable);
    output::left_out(&below.unreadable);
    let zones = around.zones.iter().chain(&below.zones);
    let unreadable = around.unreadable_apexes.iter();
    let unreadable = unreadable.chain(&below.unreadable_apexes);
    let all = zones.map(|read| &read.apex).chain(unreadable);
    let all: BTreeSet<Name> = all.cloned().collect();
    let part = |read: ZoneRead, rrsets| Part {
        rrsets,
        // In canonical order those below a zone come right behind it.
        children: all
            .range(read.apex.clone()..)
            .skip(1)
            .take_while(|apex| apex.is_within(&read.apex))
            .cloned()
            .collect(),
        read,
    };
    let mut parts = Vec::new();
    for read in around.zones {
        let rrsets = rrsets(context, &read, name, subtree).await?;
        parts.push(part(read, rrsets));
    }
    if !below.zones.is_empty() {
        let top = name.unwrap_or(&root);
        let (stored, unreadable) = context.store().rrsets_below(top, &below).await?;
        output::left_out(&unreadable);
        let reads = below.zones.into_iter().zip(stored);
        // At the root, its own zone is among them.
        let reads = reads.filter(|(read, _)| name != Some(&read.apex));
        parts.extend(reads.map(|(read, stored)| part(read, stored.rrsets)));
    }
    Ok(parts)
}

/// The RRsets of a zone that are asked for.
async fn rrsets(
    context: &Context,
    read: &ZoneRead,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Vec<(Name, RrsetRead)>, Error> {
    let (below, scope) = match name {
        None => (&read.apex, Scope::Subtree),
        Some(name) if subtree => (name, Scope::Subtree),
        Some(name) => (name, Scope::Owner),
    };
    // A zone that is given may be below the name, or elsewhere.
    let below = match scope {
        _ if below.is_within(&read.apex) => below,
        Scope::Subtree if read.apex.is_within(below) => &read.apex,
        _ => return Ok(Vec::new()),
    };
    let stored = context.store().rrsets(read, below, scope).await?;
    output::left_out(&stored.unreadable);
    Ok(stored.rrsets)
}
