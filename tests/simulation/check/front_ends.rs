//! Front-ends, while they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use etcd::model::{Digest, Name, is_serial_before};
use etcd::schema::{Census, Key, Prefix};
use nsd::mirror::Builder;
use nsd::zone::View;

use crate::model::{Cluster, Store};
use crate::reference::{self, Zones};

/// Checks what front-ends do while they run.
#[derive(Clone)]
pub(crate) struct Checks {
    pub(super) cluster: Arc<Cluster>,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    broken: Vec<String>,
    front_ends: BTreeMap<usize, FrontEnd>,
    views: usize,
    proofs: usize,
    reads: usize,
    /// What stores meant, by cluster and revision.
    zones: BTreeMap<(u64, i64), Arc<Zones>>,
    /// The digests of what they held.
    digests: BTreeMap<(u64, i64), Digest>,
    /// The announcers that have withdrawn their records, each with the revision then.
    withdrawals: Vec<(u64, i64)>,
}

/// Where a view comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Snapshot { is_unchecked: bool },
    List,
    Changes,
}

/// What is known of a front-end.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrontEnd {
    pub(crate) cluster_id: u64,
    pub(crate) fresh: Option<Instant>,
    /// When the last question came that it gave a linearizable answer to.
    pub(crate) answered: Option<Instant>,
    revision: i64,
    /// The first revision of its copy since it last started, empty or from a snapshot.
    since: i64,
    /// The revisions that it left out since, as it listed everything: those after the first of each, up to the second.
    jumps: Vec<(i64, i64)>,
    /// Whether its view is what the store had at its revision.
    is_right: bool,
    pub(crate) serials: BTreeMap<Name, u32>,
}

/// Added to the number of a front-end that is going to be lost; its successor has the plain number.
pub(crate) const PREDECESSOR: usize = 1_000;

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

    /// A promise is broken.
    pub(crate) fn broken(&self, what: String) {
        self.lock().broken.push(what);
    }

    /// The promises that were broken.
    pub(crate) fn all_broken(&self) -> Vec<String> {
        self.lock().broken.clone()
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

    /// The digest of what a cluster's store held at a revision.
    fn digest(&self, cluster_id: u64, store: &Store, revision: i64) -> Digest {
        let digest = || {
            let (prefix, mut census) = (Prefix::default(), Census::default());
            let all = prefix.all();
            for (key, version) in store.range(&all.start, &all.end, revision) {
                let value = version.value.as_deref().unwrap_or_default();
                census.take(&prefix, key, value, version.modified);
            }
            census.digest()
        };
        let place = (cluster_id, revision);
        *self.lock().digests.entry(place).or_insert_with(digest)
    }

    /// What a cluster's store means at a revision.
    pub(super) fn zones(&self, cluster_id: u64, store: &Store, revision: i64) -> Arc<Zones> {
        let place = (cluster_id, revision);
        let mut found = self.lock();
        let zones = found.zones.entry(place).or_insert_with(|| {
            let zones = reference::zones(store, &Prefix::default(), revision);
            Arc::new(zones)
        });
        zones.clone()
    }

    /// An announcer was told that its records are withdrawn.
    pub(crate) fn withdrawn(&self, instance: u64) {
        let revision = self.cluster.lock().store.revision();
        self.lock().withdrawals.push((instance, revision));
    }

    /// The announcers that have withdrawn their records, each with the revision then.
    pub(super) fn withdrawals(&self) -> Vec<(u64, i64)> {
        self.lock().withdrawals.clone()
    }

    /// A front-end starts.
    pub(crate) fn started(&self, number: usize) {
        let mut found = self.lock();
        let front_end = found.front_ends.entry(number).or_default();
        (front_end.since, front_end.jumps) = (0, Vec::new());
    }

    /// Whether a front-end has had this key, and can tell that this cluster's store deleted it at this revision.
    pub(super) fn has_seen(
        &self,
        number: usize,
        (cluster_id, store): (u64, &Store),
        (key, deleted_at): (&[u8], i64),
    ) -> bool {
        let front_end = self.front_end(number);
        let is_there = |revision| store.get(key, revision).is_some();
        let is_left_out = |(from, to): &(i64, i64)| (from + 1..=*to).contains(&deleted_at);
        front_end.cluster_id == cluster_id
            && (1..deleted_at).contains(&front_end.since)
            && front_end
                .jumps
                .iter()
                .all(|jump| !is_left_out(jump) || is_there(jump.0))
    }

    /// A front-end serves another view.
    pub(crate) fn view(&self, number: usize, builder: &Builder, view: &View, source: Source) {
        let (Some(cluster_id), Some(revision)) = (builder.cluster_id(), builder.revision()) else {
            return;
        };
        let mut state = self.cluster.lock();
        if source == Source::List {
            // A list is whole.
            state.withheld.remove(&client_of(number));
        }
        if source == (Source::Snapshot { is_unchecked: true }) {
            // It may lack what was withheld from the front-end that saved it.
            state.withheld.insert(client_of(number));
        }
        let Some(store) = state.store_of(cluster_id) else {
            return self.broken(format!(
                "front-end {number}: cluster {cluster_id} is unknown"
            ));
        };
        let zones = self.zones(cluster_id, store, revision);
        let mut compared = reference::compare(view, &zones, revision);
        if builder.digest_at(revision) != Some(self.digest(cluster_id, store, revision)) {
            let other = format!("revision {revision} has another digest");
            compared = compared.and(Err(other));
        }
        let is_right = compared.is_ok();
        // Where etcd has withheld a deletion, a front-end notices before it counts as fresh.
        if let Err(why) = compared
            && !state.withheld.contains(&client_of(number))
        {
            self.broken(format!("front-end {number}: {why}"));
        }
        let mut found = self.lock();
        found.views += 1;
        let front_end = found.front_ends.entry(number).or_default();
        if source != Source::Changes && front_end.cluster_id != cluster_id {
            *front_end = FrontEnd {
                cluster_id,
                fresh: front_end.fresh,
                answered: front_end.answered,
                ..FrontEnd::default()
            };
        }
        match (source, front_end.since) {
            (Source::Changes, _) => {}
            (_, 0) => front_end.since = revision,
            _ => front_end.jumps.push((front_end.revision, revision)),
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
        found.broken.extend(back);
    }

    /// A front-end has a proof that its view was complete at a moment.
    pub(crate) fn proof(&self, number: usize, at: Instant) {
        let mut found = self.lock();
        found.proofs += 1;
        found.front_ends.entry(number).or_default().fresh = Some(at);
        drop(found);
        self.complete(number, at, "a proof");
    }

    /// A front-end reports `at` as its last proof: it must not be later than the last one seen here, or of a copy in doubt.
    pub(crate) fn still_fresh(&self, number: usize, at: Instant, is_doubted: bool) {
        let is_proved = self.front_end(number).fresh >= Some(at) && !is_doubted;
        if !is_proved {
            self.broken(format!(
                "front-end {number}: fresh as of a moment without a proof"
            ));
        }
    }

    /// A front-end has answered a question that came at a moment, and must not be stale.
    pub(crate) fn read(&self, number: usize, at: Instant) {
        let mut found = self.lock();
        found.reads += 1;
        found.front_ends.entry(number).or_default().answered = Some(at);
        drop(found);
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
        let broken = |why: String| self.broken(format!("front-end {number}: {what} {why}"));
        if state.ended_before(cluster_id, at) {
            return broken("from a cluster that has been replaced".into());
        }
        let Some(store) = state.store_of(cluster_id) else {
            return broken("without a list".into());
        };
        if !is_right {
            broken(format!("from a wrong view of revision {applied}"));
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
            broken(format!(
                "although revision {revision} is missing after {applied}"
            ));
        }
    }
}

/// The client that a front-end is. A front-end that is lost and its successor are the same client.
fn client_of(front_end: usize) -> usize {
    front_end % PREDECESSOR
}
