//! `list`.

use etcd::client::{Scope, Zones};
use etcd::model::{Name, Rtype};
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
    let zones = zones(context, name.as_ref(), zone, subtree).await?;
    output::left_out(&zones.unreadable);
    for read in zones.zones {
        // Zones below the name that is asked for are listed from their apex.
        let below = name
            .as_ref()
            .filter(|name| name.is_within(&read.apex))
            .unwrap_or(&read.apex);
        let stored = context.store().rrsets(&read, below, scope).await?;
        output::left_out(&stored.unreadable);
        for (owner, stored) in stored.rrsets {
            if rtype.is_some_and(|rtype| rtype != stored.rtype) {
                continue;
            }
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
    let rows = listed.into_iter().flat_map(
        |Listed {
             name,
             ttl,
             rtype,
             rdata,
             ..
         }| {
            rdata
                .into_iter()
                .map(move |rdata| vec![name.clone(), ttl.to_string(), rtype.clone(), rdata])
        },
    );
    output::table(
        &["NAME", "TTL", "TYPE", "RDATA"],
        rows.collect(),
        "no records",
    )
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
