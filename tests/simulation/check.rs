//! What has to be true in every run.
//!
//! - No view mixes revisions: each is what the store holds at its revision.
//! - A proof of freshness never lies: what was committed before it is in the view. A linearizable answer has what was committed
//!   before the question.
//! - Serials never go back on a front-end.
//! - A change is made once or never, and its author is told the truth about it.
//! - Every change of a zone is in its journal, and the journal has nothing that did not happen.
//! - Zones keep the rule for CNAME records, and have what their authors wanted.
//! - Records that are withdrawn, or whose lease has expired, are gone (`run.rs`).
//! - In the end all front-ends have everything, with the same serials (`run.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use etcd::client::ImportMode;
use etcd::model::{Name, Rdata, Rtype, is_serial_before};
use etcd::schema::{JournalEntry, Key, Prefix, decode_journal};
use nsd::mirror::Builder;
use nsd::zone::View;

use crate::actors::{End, address, name_server, owner_name, zone_name};
use crate::model::{Cluster, Store};
use crate::reference::{self, Records, Zones};
use crate::schedule::{Change, Edit, How};

/// Checks what front-ends do while they run.
#[derive(Clone)]
pub(crate) struct Checks {
    cluster: Arc<Cluster>,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    faults: Vec<String>,
    front_ends: BTreeMap<usize, FrontEnd>,
    views: usize,
    proofs: usize,
    reads: usize,
    /// What stores meant, by cluster and revision.
    zones: BTreeMap<(u64, i64), Arc<Zones>>,
}

/// What is known of a front-end.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrontEnd {
    pub(crate) cluster_id: u64,
    pub(crate) fresh: Option<Instant>,
    revision: i64,
    /// Whether its view is what the store had at its revision.
    is_right: bool,
    pub(crate) serials: BTreeMap<Name, u32>,
}

/// Added to the number of a front-end that is going to be lost; its successor has the plain number.
pub(crate) const PREDECESSOR: usize = 1_000;

/// A change, and how it ended for who made it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) label: String,
    pub(crate) change: Change,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) end: End,
}

impl Checks {
    pub(crate) fn new(cluster: &Arc<Cluster>) -> Self {
        Checks {
            cluster: cluster.clone(),
            found: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fault(&self, fault: String) {
        self.lock().faults.push(fault);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// How many views, proofs and linearizable answers were checked.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let found = self.lock();
        (found.views, found.proofs, found.reads)
    }

    pub(crate) fn front_end(&self, number: usize) -> FrontEnd {
        self.lock()
            .front_ends
            .get(&number)
            .cloned()
            .unwrap_or_default()
    }

    /// What a cluster's store means at a revision.
    fn zones(&self, cluster_id: u64, store: &Store, revision: i64) -> Arc<Zones> {
        let place = (cluster_id, revision);
        let mut found = self.lock();
        let zones = found.zones.entry(place).or_insert_with(|| {
            let zones = reference::zones(store, &Prefix::default(), revision);
            Arc::new(zones)
        });
        zones.clone()
    }

    /// A front-end serves another view.
    pub(crate) fn view(&self, number: usize, builder: &Builder, view: &View, is_list: bool) {
        let (Some(cluster_id), Some(revision)) = (builder.cluster_id(), builder.revision()) else {
            return;
        };
        let state = self.cluster.lock();
        let Some(store) = state.store_of(cluster_id) else {
            return self.fault(format!(
                "front-end {number}: cluster {cluster_id} is unknown"
            ));
        };
        let zones = self.zones(cluster_id, store, revision);
        let compared = reference::compare(view, &zones, revision);
        let is_right = compared.is_ok();
        // Where etcd has withheld a deletion, a front-end notices before it counts as fresh.
        if let Err(fault) = compared
            && !state.withheld.contains(&client_of(number))
        {
            self.fault(format!("front-end {number}: {fault}"));
        }
        let mut found = self.lock();
        found.views += 1;
        let front_end = found.front_ends.entry(number).or_default();
        if is_list && front_end.cluster_id != cluster_id {
            *front_end = FrontEnd {
                cluster_id,
                fresh: front_end.fresh,
                ..FrontEnd::default()
            };
        }
        (front_end.revision, front_end.is_right) = (revision, is_right);
        let mut back = Vec::new();
        for zone in view.zones() {
            let (apex, serial) = (zone.apex().clone(), zone.serial());
            let before = front_end.serials.insert(apex.clone(), serial);
            if let Some(before) = before.filter(|before| is_serial_before(serial, *before)) {
                back.push(format!(
                    "front-end {number}: the serial of {apex} goes from {before} back to {serial}"
                ));
            }
        }
        found.faults.extend(back);
    }

    /// A front-end has a proof that its view was complete at a moment.
    pub(crate) fn proof(&self, number: usize, at: Instant) {
        let mut found = self.lock();
        found.proofs += 1;
        found.front_ends.entry(number).or_default().fresh = Some(at);
        drop(found);
        self.complete(number, at, "a proof");
    }

    /// A front-end still takes a moment for that of its last proof.
    pub(crate) fn still_fresh(&self, number: usize, at: Instant) {
        let is_proved = self.front_end(number).fresh >= Some(at);
        if !is_proved {
            self.fault(format!(
                "front-end {number}: fresh as of a moment without a proof"
            ));
        }
    }

    /// A front-end has answered a question that came at a moment, and must not be stale.
    pub(crate) fn read(&self, number: usize, at: Instant) {
        self.lock().reads += 1;
        self.complete(number, at, "a linearizable answer");
    }

    /// Checks that the view of a front-end has everything that was there before a moment.
    fn complete(&self, number: usize, at: Instant, what: &str) {
        let FrontEnd {
            cluster_id,
            revision: applied,
            is_right,
            ..
        } = self.front_end(number);
        let state = self.cluster.lock();
        let fault = |why: String| self.fault(format!("front-end {number}: {what} {why}"));
        if state.ended_before(cluster_id, at) {
            return fault("from a cluster that has been replaced".into());
        }
        let Some(store) = state.store_of(cluster_id) else {
            return fault("without a list".into());
        };
        if !is_right {
            fault(format!("from a wrong view of revision {applied}"));
        }
        let prefix = Prefix::default();
        let mirrored = prefix.all();
        let matters = |revision, key: &Vec<u8>| match prefix.decode(key) {
            Ok(Key::Withdrawn(_) | Key::Frontend(_)) => false,
            // Nobody serves what is only staged, or left over.
            Ok(Key::Rrset {
                zone, generation, ..
            }) => {
                let zones = self.zones(cluster_id, store, revision);
                let zone = zones.get(&zone);
                zone.is_some_and(|zone| zone.settings.generation == generation)
            }
            _ => true,
        };
        let lacks = store
            .commits()
            .filter(|(revision, commit)| *revision > applied && commit.at < at)
            .find(|(revision, commit)| {
                let mut keys = commit.keys.iter().filter(|key| mirrored.contains(*key));
                keys.any(|key| matters(*revision, key))
            });
        if let Some((revision, _)) = lacks {
            fault(format!(
                "although revision {revision} is missing after {applied}"
            ));
        }
    }
}

/// The client that a front-end is. A front-end that is lost and its successor are the same client.
fn client_of(front_end: usize) -> usize {
    front_end % PREDECESSOR
}

/// Checks the history of a store against what the writers were told. `since` is when that history began, if that
/// was with a restore.
pub(crate) fn history(
    checks: &Checks,
    (cluster_id, store): (u64, &Store),
    since: Option<Instant>,
    made: &[Made],
) -> Vec<String> {
    let zones = |revision| checks.zones(cluster_id, store, revision);
    // A change that was planned from the history before a restore may meet the same revisions again, with another past.
    let is_sure = |made: &Made| since.is_none_or(|since| made.began > since);
    let is_mixed = made
        .iter()
        .any(|made| since.is_some_and(|since| made.began <= since && made.ended > since));
    let spans_restore = |entry: &JournalEntry| {
        let mut made = made.iter();
        made.any(|made| entry.author.why.as_ref() == Some(&made.label) && !is_sure(made))
    };
    let mut faults = Vec::new();
    let prefix = Prefix::default();
    let mut entries: BTreeMap<String, Vec<(i64, Name)>> = BTreeMap::new();
    for (revision, commit) in store.commits() {
        let mut journal = BTreeMap::new();
        let mut is_about_zones = false;
        for key in &commit.keys {
            match prefix.decode(key) {
                Ok(Key::Journal { zone, .. }) => {
                    let Some(value) = store
                        .change(key, revision)
                        .and_then(|key| key.value.clone())
                    else {
                        continue;
                    };
                    match decode_journal(&value) {
                        Ok(entry) => drop(journal.insert(zone, entry)),
                        Err(error) => faults.push(format!("revision {revision}: {error}")),
                    }
                }
                Ok(Key::Zone(_) | Key::Rrset { .. }) => is_about_zones = true,
                Ok(_) => {}
                Err(error) => faults.push(format!("revision {revision}: {error}")),
            }
        }
        for (zone, entry) in &journal {
            let label = entry.author.why.clone().unwrap_or_default();
            entries
                .entry(label)
                .or_default()
                .push((revision, zone.clone()));
        }
        if !is_about_zones && journal.is_empty() {
            continue;
        }
        let (old, new) = (zones(revision - 1), zones(revision));
        let all: std::collections::BTreeSet<&Name> = old.keys().chain(new.keys()).collect();
        for apex in all {
            let (old, new) = (old.get(apex), new.get(apex));
            let is_same = match (old, new) {
                (Some(old), Some(new)) => {
                    old.settings == new.settings && old.records == new.records
                }
                (None, None) => true,
                _ => false,
            };
            let entry = journal.get(apex);
            if is_same || entry.is_some_and(spans_restore) {
                continue;
            }
            let Some(entry) = entry else {
                faults.push(format!(
                    "revision {revision} changes {apex} without an entry"
                ));
                continue;
            };
            let is_other_generation = entry.settings.as_ref().is_some_and(|change| {
                let generation = |settings: &Option<etcd::model::ZoneSettings>| {
                    settings.as_ref().map(|settings| settings.generation)
                };
                generation(&change.old) != generation(&change.new)
            });
            let none = Records::new();
            let (old_records, new_records) = (
                old.map_or(&none, |zone| &zone.records),
                new.map_or(&none, |zone| &zone.records),
            );
            let mut told = old_records.clone();
            for change in &entry.rrsets {
                let place = (change.owner.clone(), change.rtype);
                let rdata = |rrset: &etcd::model::Rrset| {
                    rrset
                        .rdata()
                        .iter()
                        .map(|rdata| rdata.wire().to_vec())
                        .collect()
                };
                if change.old.as_ref().map(rdata) != old_records.get(&place).cloned() {
                    faults.push(format!(
                        "revision {revision}: the entry of {apex} has another past"
                    ));
                }
                match &change.new {
                    Some(rrset) => drop(told.insert(place, rdata(rrset))),
                    None => drop(told.remove(&place)),
                }
            }
            if told != *new_records && !is_other_generation && !entry.omits_rrsets {
                faults.push(format!(
                    "revision {revision}: by its journal {apex} has {told:?}, but it has {new_records:?}"
                ));
            }
        }
        if !is_mixed {
            let zones = new.values();
            faults.extend(zones.filter_map(|zone| broken_rule(revision, zone)));
        }
        let labels = journal
            .values()
            .filter_map(|entry| entry.author.why.clone());
        let labels: std::collections::BTreeSet<String> = labels.collect();
        for label in &labels {
            if let Some(made) = made.iter().find(|made| made.label == *label)
                && is_sure(made)
                && let Err(fault) = has_effect(&made.change, &old, &new)
            {
                faults.push(format!("revision {revision}: {label} {fault}"));
            }
        }
    }
    for made in made {
        // What was done before a restore may be gone.
        let is_sure = is_sure(made);
        let entries = entries.get(&made.label).map_or(&[][..], Vec::as_slice);
        faults.extend(ended(made, entries, is_sure));
        if is_sure {
            let revisions = store.revision_at(made.began)..=store.revision_at(made.ended);
            faults.extend(unchanged(revisions.map(&zones), made));
        }
    }
    faults
}

/// All entries of journals after a revision, each with its own and its zone.
pub(crate) fn recorded(store: &Store, after: i64) -> Vec<(i64, Name)> {
    let prefix = Prefix::default();
    let mut all = Vec::new();
    for (revision, commit) in store.commits().filter(|(revision, _)| *revision > after) {
        let mut keys: Vec<&Vec<u8>> = commit.keys.iter().collect();
        keys.sort();
        for key in keys {
            let is_there = store.get(key, revision).is_some();
            if let Ok(Key::Journal { zone, .. }) = prefix.decode(key)
                && is_there
            {
                all.push((revision, zone));
            }
        }
    }
    all
}

/// Checks that a change has made of the zones what it is about.
fn has_effect(change: &Change, old: &Zones, new: &Zones) -> Result<(), String> {
    let records = |zones: &Zones, zone: usize| {
        let zone = zones.get(&zone_name(zone));
        zone.map(|zone| zone.records.clone())
    };
    let is_right = match change {
        Change::Edits(edits) => {
            let wanted = edited(old, edits);
            // One of several zones may be changed in a transaction of its own.
            let is_right = |(apex, zone): (&Name, &reference::Zone)| {
                let before = old.get(apex).map(|zone| &zone.records);
                wanted.get(apex) == Some(&zone.records)
                    || (edits.len() > LARGE && before == Some(&zone.records))
            };
            new.iter().all(is_right)
        }
        Change::ZoneSet { zone, ttl } => {
            let set = new.get(&zone_name(*zone));
            set.is_some_and(|zone| zone.settings.default_ttl == *ttl)
                && records(old, *zone) == records(new, *zone)
        }
        Change::ZoneAdd { zone } => records(old, *zone).is_none() && records(new, *zone).is_some(),
        Change::ZoneRemove { zone } => {
            records(old, *zone).is_some() && records(new, *zone).is_none()
        }
        Change::Import {
            zone,
            mode: ImportMode::Replace,
            names,
            address,
        } => {
            // A new zone also takes over what was above it.
            let file = file_records(*zone, *names, *address);
            let is_there = |records: Records| match old.contains_key(&zone_name(*zone)) {
                true => records == file,
                false => file
                    .iter()
                    .all(|(place, rdata)| records.get(place) == Some(rdata)),
            };
            records(new, *zone).is_some_and(is_there)
        }
        // It may be written in parts.
        Change::Import { .. } | Change::Clean { .. } => true,
    };
    match is_right {
        true => Ok(()),
        false => Err(format!("leaves {new:?} of {old:?}")),
    }
}

/// Updates with more edits may be made zone by zone.
const LARGE: usize = 100;

/// The records of an imported file.
fn file_records(zone: usize, names: usize, last: u8) -> Records {
    let rdata = |rdata: Rdata| [rdata.wire().to_vec()].into();
    let hosts = (0..names).map(|owner| ((owner_name(zone, owner), Rtype::A), rdata(address(last))));
    let servers = ((zone_name(zone), Rtype::NS), rdata(name_server()));
    hosts.chain([servers]).collect()
}

/// A rule of zones that a zone breaks.
fn broken_rule(revision: i64, zone: &reference::Zone) -> Option<String> {
    let mut owners = zone
        .records
        .keys()
        .filter(|(_, rtype)| *rtype == Rtype::CNAME);
    let clash = owners.find(|(owner, _)| {
        let same = zone.records.keys().filter(|(other, _)| other == owner);
        same.count() > 1
    })?;
    Some(format!(
        "revision {revision}: {} has other records beside CNAME",
        clash.0
    ))
}

/// What edits make of zones.
fn edited(zones: &Zones, edits: &[Edit]) -> BTreeMap<Name, Records> {
    let mut records: BTreeMap<Name, Records> = zones
        .iter()
        .map(|(apex, zone)| (apex.clone(), zone.records.clone()))
        .collect();
    for edit in edits {
        let owner = owner_name(edit.zone, edit.owner);
        let Some(apex) = owner.ancestors().find(|name| records.contains_key(name)) else {
            continue;
        };
        let zone = records.entry(apex).or_default();
        let place = (owner.clone(), Rtype::A);
        let rdata = address(edit.address).wire().to_vec();
        match edit.how {
            How::Add => drop(zone.entry(place).or_default().insert(rdata)),
            How::Set => drop(zone.insert(place, [rdata].into())),
            How::Remove => {
                if let Some(all) = zone.get_mut(&place) {
                    all.remove(&rdata);
                    if all.is_empty() {
                        zone.remove(&place);
                    }
                }
            }
            How::RemoveAll => zone.retain(|(other, _), _| *other != owner),
            How::AddAlias => {
                let alias = Rdata::parse(Rtype::CNAME, "n9.example.net.").expect("a name");
                let all = zone.entry((owner, Rtype::CNAME)).or_default();
                all.insert(alias.wire().to_vec());
            }
        }
    }
    records
}

/// Checks what the author of a change was told against the entries that it has.
fn ended(made: &Made, entries: &[(i64, Name)], is_sure: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let Made {
        label, change, end, ..
    } = made;
    let is_once = !matches!(change, Change::Import { .. });
    if is_once {
        let mut zones: Vec<&Name> = entries.iter().map(|(_, zone)| zone).collect();
        zones.sort();
        if zones.windows(2).any(|pair| pair[0] == pair[1]) {
            faults.push(format!("{label} is made more than once: {entries:?}"));
        }
    }
    let is_there = |revision: i64| match change {
        // Written in parts, of which others may have written the last.
        Change::Import {
            mode: ImportMode::Merge,
            ..
        } => entries.iter().any(|(at, _)| *at <= revision),
        _ => entries.iter().any(|(at, _)| *at == revision),
    };
    let is_told = match (end, change) {
        (End::Unknown, _) => true,
        (_, Change::Clean { .. }) => entries.is_empty(),
        (
            End::Done {
                revision,
                written: true,
            },
            _,
        ) => !is_sure || is_there(*revision),
        _ => entries.is_empty(),
    };
    if !is_told {
        faults.push(format!(
            "{label} ended with {end:?}, but its entries are {entries:?}"
        ));
    }
    faults
}

/// Checks that a change that had nothing to do, or was refused for want of a zone, met a state in which that was so.
fn unchanged(mut states: impl Iterator<Item = Arc<Zones>>, made: &Made) -> Option<String> {
    let Change::Edits(edits) = &made.change else {
        return None;
    };
    let is_right = match &made.end {
        End::Done { written: false, .. } => states.any(|zones| {
            let wanted = edited(&zones, edits);
            zones
                .iter()
                .all(|(apex, zone)| wanted.get(apex) == Some(&zone.records))
        }),
        End::Refused(reason) if reason.contains("no zone") => states.any(|zones| {
            let lacks = |edit: &Edit| {
                let owner = owner_name(edit.zone, edit.owner);
                !owner.ancestors().any(|name| zones.contains_key(&name))
            };
            edits.iter().any(lacks)
        }),
        _ => true,
    };
    let label = &made.label;
    (!is_right).then(|| {
        format!(
            "{label} ended with {:?}, for which there was no reason",
            made.end
        )
    })
}
