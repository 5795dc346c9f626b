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

pub(super) async fn list(
    context: &Context,
    name: Option<Name>,
    zone: Option<Name>,
    rtype: Option<Rtype>,
    subtree: bool,
) -> Result<(), Error> {
    let scope = match (&name, subtree) {
        (Some(_), false) => Scope::Owner,
        _ => Scope::Subtree,
    };
    let mut listed = Vec::new();
    let is_given = zone.is_some();
    let zones = zones(context, name.as_ref(), zone, subtree).await?;
    output::left_out(&zones.unreadable);
    let all: BTreeSet<Name> = zones.zones.iter().map(|read| read.apex.clone()).collect();
    for read in zones.zones {
        // Zones below the name that is asked for are listed from their apex.
        let below = name
            .as_ref()
            .filter(|name| name.is_within(&read.apex))
            .unwrap_or(&read.apex);
        let stored = context.store().rrsets(&read, below, scope).await?;
        output::left_out(&stored.unreadable);
        let children = match is_given {
            true => context.store().children(&read.apex, read.as_of).await?,
            // In canonical order those below a zone come right behind it.
            false => all
                .range(read.apex.clone()..)
                .skip(1)
                .take_while(|apex| apex.is_within(&read.apex))
                .cloned()
                .collect(),
        };
        let hidden = hidden_by(context, &read, &children, &stored.rrsets).await?;
        for (owner, stored) in stored.rrsets {
            if rtype.is_some_and(|rtype| rtype != stored.rtype) {
                continue;
            }
            let hidden_by = hidden.get(&(owner.clone(), stored.rtype));
            match stored.rrset {
                Ok(rrset) => listed.push(Listed {
                    name: owner.to_string(),
                    unicode: owner.unicode(),
                    ttl: rrset.ttl(),
                    rtype: stored.rtype.to_string(),
                    rdata: rrset
                        .rdata()
                        .iter()
                        .map(|rdata| rdata.text(stored.rtype))
                        .collect(),
                    zone: read.apex.to_string(),
                    hidden_by: hidden_by.map(Name::to_string),
                }),
                Err(error) => {
                    let key = context.store().key_text(&read, &owner, stored.rtype);
                    output::note(&format!("nsctl: {key} is left out: {error}"));
                }
            }
        }
    }
    if context.output == Output::Json {
        return output::json(&listed);
    }
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
async fn hidden_by(
    context: &Context,
    read: &ZoneRead,
    children: &BTreeSet<Name>,
    rrsets: &[(Name, RrsetRead)],
) -> Result<BTreeMap<(Name, Rtype), Name>, Error> {
    let hidden = context.store().hidden(read, children, rrsets).await?;
    let by = hidden
        .into_iter()
        .map(|one| ((one.owner, one.rtype), one.by));
    Ok(by.collect())
}

/// The zones that can hold what is asked for, all read at one revision.
async fn zones(
    context: &Context,
    name: Option<&Name>,
    zone: Option<Name>,
    subtree: bool,
) -> Result<Zones, Error> {
    if let Some(apex) = zone {
        let (revision, read) = context.store().zone(&apex).await?;
        let read = read.ok_or_else(|| Error::Conflict(format!("there is no zone {apex}")))?;
        return Ok(Zones {
            revision,
            zones: vec![read],
            unreadable: Vec::new(),
        });
    }
    let Some(name) = name else {
        return Ok(context.store().zones().await?);
    };
    let mut zones = context.store().enclosing(name).await?;
    if subtree {
        let below = context.store().zones_below(name, zones.revision).await?;
        // At the root, its own zone is among them.
        let below_it = below.zones.into_iter().filter(|read| read.apex != *name);
        zones.zones.extend(below_it);
        zones.unreadable.extend(below.unreadable);
    }
    Ok(zones)
}
