//! What a store means, worked out in the simplest way: to compare with what front-ends make of it.

use std::collections::{BTreeMap, BTreeSet};

use etcd::model::{Name, Rrset, Rtype, ZoneSettings};
use etcd::schema::{self, Key, Prefix};
use nsd::zone::{View, Zone as Served};

use crate::model::Store;

/// The records of a zone, without their TTLs, by owner and type.
pub(crate) type Records = BTreeMap<(Name, Rtype), BTreeSet<Vec<u8>>>;

/// A zone.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) settings: ZoneSettings,
    /// The served generation.
    pub(crate) records: Records,
    /// The same with leased records.
    pub(crate) with_leased: Records,
    /// The revision of the zone's serial.
    pub(crate) touched: i64,
    /// The revisions in which leases have expired: the serial may follow one of them before it is written.
    pub(crate) expiries: BTreeSet<i64>,
}

/// All zones.
pub(crate) type Zones = BTreeMap<Name, Zone>;

/// The zones of a store at a revision.
pub(crate) fn zones(store: &Store, prefix: &Prefix, revision: i64) -> Zones {
    let all = prefix.all();
    let all = store.range(&all.start, &all.end, revision);
    let mut zones = Zones::new();
    let mut touched: BTreeMap<Name, i64> = BTreeMap::new();
    let mut leased: Vec<(Name, Name, Rtype, Rrset)> = Vec::new();
    let mut rrsets: Vec<(Name, u64, Name, Rtype, Rrset)> = Vec::new();
    for (key, version) in all {
        let value = version.value.as_deref().unwrap_or_default();
        match prefix.decode(key).expect("a key of ours") {
            Key::Zone(apex) => {
                let settings = schema::decode_zone(value).expect("settings");
                let zone = Zone {
                    settings,
                    records: Records::new(),
                    with_leased: Records::new(),
                    touched: version.modified,
                    expiries: BTreeSet::new(),
                };
                zones.insert(apex, zone);
            }
            Key::Serial(apex) | Key::LeasedSerial(apex) => {
                let last = touched.entry(apex).or_default();
                *last = version.modified.max(*last);
            }
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                let rrset = schema::decode_rrset(rtype, value).expect("an RRset");
                rrsets.push((zone, generation, owner, rtype, rrset));
            }
            Key::Leased {
                zone, owner, rtype, ..
            } => {
                let read = schema::decode_leased(rtype, value).expect("leased records");
                leased.push((zone, owner, rtype, read.rrset));
            }
            _ => {}
        }
    }
    for (apex, revision) in touched {
        if let Some(zone) = zones.get_mut(&apex) {
            zone.touched = revision;
        }
    }
    for (key, at) in store.deletions(prefix.leased(), revision) {
        if let Ok(Key::Leased { zone, .. }) = prefix.decode(key)
            && let Some(zone) = zones.get_mut(&zone)
        {
            zone.expiries.insert(at);
        }
    }
    for (apex, generation, owner, rtype, rrset) in rrsets {
        if let Some(zone) = zones.get_mut(&apex)
            && zone.settings.generation == generation
        {
            zone.records.insert((owner, rtype), rdata(&rrset));
        }
    }
    for zone in zones.values_mut() {
        zone.with_leased = zone.records.clone();
    }
    for (apex, owner, rtype, rrset) in leased {
        let Some(zone) = zones.get_mut(&apex) else {
            continue;
        };
        // A CNAME record hides what is announced at its name.
        if !zone.records.contains_key(&(owner.clone(), Rtype::CNAME)) {
            let records = zone.with_leased.entry((owner, rtype)).or_default();
            records.extend(rdata(&rrset));
        }
    }
    zones
}

/// The records of an RRset.
pub(crate) fn rdata(rrset: &Rrset) -> BTreeSet<Vec<u8>> {
    let wire = rrset.rdata().iter().map(|rdata| rdata.wire().to_vec());
    wire.collect()
}

/// What is wrong with a view that was made of these zones, at a revision.
pub(crate) fn compare(view: &View, zones: &Zones, revision: i64) -> Result<(), String> {
    let served: BTreeMap<&Name, &Served> =
        view.zones().map(|zone| (zone.apex(), &**zone)).collect();
    if !served.keys().copied().eq(zones.keys()) {
        return Err(format!(
            "revision {revision}: zones {:?} are served, but there are {:?}",
            served.keys(),
            zones.keys()
        ));
    }
    for (apex, zone) in zones {
        let served = served[apex];
        let mut records = Records::new();
        for (owner, rtype, rrset) in served.contents().iter() {
            let rdata = rrset.rdata().map(<[u8]>::to_vec).collect();
            records.insert((owner, rtype), rdata);
        }
        if records != zone.with_leased {
            return Err(format!(
                "revision {revision}: {apex} is served with {records:?}, but has {:?}",
                zone.with_leased
            ));
        }
        // Whoever finds out from a list that leases have expired takes the revision of the list for that.
        let last = match zone.expiries.is_empty() {
            true => zone.touched,
            false => revision,
        };
        let mut revisions = zone.touched..=last;
        if !revisions.any(|revision| zone.settings.serial(revision) == served.serial()) {
            return Err(format!(
                "revision {revision}: {apex} has the serial {}, not that of {} or {:?}",
                served.serial(),
                zone.touched,
                zone.expiries
            ));
        }
    }
    Ok(())
}
