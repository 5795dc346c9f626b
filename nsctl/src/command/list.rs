//! `list`.

use etcd::model::{Name, Rtype};
use etcd::txn::ZoneRead;
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::output;

#[derive(Serialize)]
struct Listed {
    name: String,
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
    let mut listed = Vec::new();
    for read in zones(context, name.as_ref(), zone, subtree).await? {
        // Zones below the name that is asked for are listed from their apex.
        let below = name
            .as_ref()
            .filter(|name| name.is_within(&read.apex))
            .unwrap_or(&read.apex);
        for (owner, stored) in context.store().rrsets(&read, below).await? {
            let wanted = rtype.is_none_or(|rtype| rtype == stored.rtype)
                && (subtree || name.as_ref().is_none_or(|name| *name == owner));
            if !wanted {
                continue;
            }
            match stored.rrset {
                Ok(rrset) => listed.push(Listed {
                    name: owner.to_string(),
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

/// The zones that can hold what is asked for.
async fn zones(
    context: &Context,
    name: Option<&Name>,
    zone: Option<Name>,
    subtree: bool,
) -> Result<Vec<ZoneRead>, Error> {
    if let Some(apex) = zone {
        let read = context.store().zone(&apex).await?.1;
        return Ok(vec![read.ok_or_else(|| {
            Error::Conflict(format!("there is no zone {apex}"))
        })?]);
    }
    let Some(name) = name else {
        return Ok(context.store().zones().await?);
    };
    let closest = context.store().zone_for(name, None).await?.1;
    let mut zones: Vec<ZoneRead> = closest.into_iter().collect();
    if subtree {
        let below = context
            .store()
            .zones()
            .await?
            .into_iter()
            .filter(|read| read.apex != *name && read.apex.is_within(name));
        zones.extend(below);
    }
    Ok(zones)
}
