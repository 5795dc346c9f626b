//! `list`.

use std::collections::{BTreeMap, BTreeSet};

use etcd::client::{Scope, Zones};
use etcd::model::{Name, Rrset, Rtype};
use etcd::txn::{LeasedRead, RrsetRead, ZoneRead};
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
    /// The lifetime of the lease in seconds, and the announcer, of records that are announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The zone further down that hides it: that zone answers for the name instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<String>,
}

/// A zone, and those of its RRsets that are listed.
struct ListedZone {
    read: ZoneRead,
    rrsets: Vec<(Name, RrsetRead)>,
    leased: Vec<LeasedRead>,
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
        listed.extend(rows(context, zone, rtype).await?);
    }
    match context.output {
        Output::Json => output::json(&listed),
        Output::Table => show(listed),
    }
}

/// The rows of a zone, those of this type if one is given.
async fn rows(
    context: &Context,
    zone: ListedZone,
    rtype: Option<Rtype>,
) -> Result<Vec<RrsetRow>, Error> {
    let hidden = hidden_by(context, &zone).await?;
    let children = zone.children;
    let apex = zone.read.apex.to_string();
    let row = |owner: &Name, rtype: Rtype, rrset: &Rrset, revision: i64| RrsetRow {
        name: owner.to_string(),
        unicode: owner.unicode(),
        ttl: rrset.ttl(),
        rtype: rtype.to_string(),
        rdata: rrset
            .rdata()
            .iter()
            .map(|rdata| rdata.text(rtype))
            .collect(),
        zone: apex.clone(),
        revision,
        lease: None,
        instance: None,
        hidden_by: None,
    };
    let is_asked = |found: Rtype| rtype.is_none_or(|rtype| rtype == found);
    let mut rows: Vec<((Name, Rtype), RrsetRow)> = Vec::new();
    for (owner, stored) in zone.rrsets {
        if !is_asked(stored.rtype) {
            continue;
        }
        let rrset = match stored.rrset {
            Ok(rrset) => rrset,
            Err(error) => {
                let key = context.store().key_text(&zone.read, &owner, stored.rtype);
                output::error(format!("{key} is left out: {error}"));
                continue;
            }
        };
        let place = (owner, stored.rtype);
        let hidden_by = hidden.get(&place).map(Name::to_string);
        let row = row(&place.0, stored.rtype, &rrset, stored.revision);
        rows.push((place, RrsetRow { hidden_by, ..row }));
    }
    for read in zone.leased.into_iter().filter(|read| is_asked(read.rtype)) {
        let row = RrsetRow {
            lease: Some(read.leased.lease),
            instance: Some(read.instance.to_string()),
            hidden_by: children
                .iter()
                .rfind(|child| read.owner.is_within(child))
                .map(Name::to_string),
            ..row(&read.owner, read.rtype, &read.leased.rrset, read.revision)
        };
        rows.push(((read.owner, read.rtype), row));
    }
    // What is leased comes after the RRset of the zone at the same name.
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn show(listed: Vec<RrsetRow>) -> Result<(), Error> {
    let mut header = vec!["NAME", "TTL", "TYPE", "RDATA"];
    let has_leases = listed.iter().any(|one| one.lease.is_some());
    if has_leases {
        header.push("LEASE");
    }
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
            if has_leases {
                let lease = one.lease.map(|seconds| format!("{seconds}s"));
                row.push(lease.unwrap_or_default());
            }
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
        ..
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
        leased: leased(context, &read, name, subtree).await?,
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
    let listed_zone = |read: ZoneRead, rrsets, leased| ListedZone {
        rrsets,
        leased,
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
        let leased = leased(context, &read, name, subtree).await?;
        zones.push(listed_zone(read, rrsets, leased));
    }
    if !below.zones.is_empty() {
        let top = name.unwrap_or(&root);
        let (stored, unreadable) = context.store().rrsets_below(top, &below).await?;
        output::report_unreadable(&unreadable);
        let range = context.store().prefix().leased_below(top);
        let (found, unreadable) = context.store().leased(range, below.revision).await?;
        output::report_unreadable(&unreadable);
        let mut leased: BTreeMap<Name, Vec<LeasedRead>> = BTreeMap::new();
        for (zone, read) in found {
            leased.entry(zone).or_default().push(read);
        }
        let reads = below.zones.into_iter().zip(stored);
        // The zone whose apex is the name is in `enclosing`; that of the root is in `below`, too.
        let reads = reads.filter(|(read, _)| name != Some(&read.apex));
        zones.extend(reads.map(|(read, stored)| {
            let leased = leased.remove(&read.apex).unwrap_or_default();
            listed_zone(read, stored.rrsets, leased)
        }));
    }
    Ok(zones)
}

/// The name at or below which something of a zone is listed; none if nothing is.
fn top<'n>(read: &'n ZoneRead, name: Option<&'n Name>, subtree: bool) -> Option<(&'n Name, Scope)> {
    let (top, scope) = match name {
        None => (&read.apex, Scope::Subtree),
        Some(name) if subtree => (name, Scope::Subtree),
        Some(name) => (name, Scope::Owner),
    };
    // A zone given with --zone may lie below the name, or elsewhere.
    match scope {
        _ if top.is_within(&read.apex) => Some((top, scope)),
        Scope::Subtree if read.apex.is_within(top) => Some((&read.apex, scope)),
        _ => None,
    }
}

/// Reads the RRsets of a zone at a name, or at and below it.
async fn rrsets(
    context: &Context,
    read: &ZoneRead,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Vec<(Name, RrsetRead)>, Error> {
    let Some((top, scope)) = top(read, name, subtree) else {
        return Ok(Vec::new());
    };
    let stored = context.store().rrsets(read, top, scope).await?;
    output::report_unreadable(&stored.unreadable);
    Ok(stored.rrsets)
}

/// Reads the leased records of a zone at a name, or at and below it.
async fn leased(
    context: &Context,
    read: &ZoneRead,
    name: Option<&Name>,
    subtree: bool,
) -> Result<Vec<LeasedRead>, Error> {
    let Some((top, scope)) = top(read, name, subtree) else {
        return Ok(Vec::new());
    };
    let store = context.store();
    let range = match scope {
        Scope::Owner => store.prefix().leased_at(&read.apex, top),
        Scope::Subtree => store.prefix().leased_in(&read.apex),
    };
    let (found, unreadable) = store.leased(range, read.as_of).await?;
    output::report_unreadable(&unreadable);
    let found = found.into_iter().map(|(_, read)| read);
    Ok(found.filter(|read| read.owner.is_within(top)).collect())
}
