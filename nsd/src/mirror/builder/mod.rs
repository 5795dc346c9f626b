//! Builds views from the mirror's events, and holds back the losses that the guard finds too large.
//!
//! - `apply`: from an event to the tables.
//! - `update`: from the tables to the view.
//! - `digests`: the digest of the tables at past revisions; `serials`: serials that went back.

mod apply;
mod digests;
mod serials;
mod update;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use etcd::schema::{Key, Prefix};

use self::digests::Digests;
use self::serials::Serials;
use super::guard::{Guard, Losses};
use super::snapshot::Saved;
use super::tables::Tables;
use crate::model::{Consistency, CookieSecrets, Digest, Name, ZoneSettings};
use crate::served::Loss;
use crate::zone::{Contents, View};

/// What etcd holds, and the view that is built from it.
pub struct Builder {
    prefix: Prefix,
    /// The head key, which every transaction of ours touches.
    head: Vec<u8>,
    /// The promise of zones whose settings make none.
    consistency: Consistency,
    guard: Guard,
    /// What etcd holds.
    tables: Tables,
    /// What a list that is under way has brought so far.
    listed: Tables,
    /// What is served.
    view: View,
    /// The revision of the view; none before the first list.
    revision: Option<i64>,
    /// The cluster that the tables come from.
    cluster_id: Option<u64>,
    /// The cluster that the list under way comes from.
    listed_cluster_id: Option<u64>,
    /// How often everything was listed.
    lists: u64,
    /// What zones have lost, and which of them are held back.
    losses: Losses,
    digests: Digests,
    serials: Serials,
    /// Zones in which leases have expired, each with the revision, until [`take_expired`](Self::take_expired).
    expired: BTreeMap<Name, i64>,
    /// When the view was last known to be what etcd holds, in seconds of Unix time.
    good_at: u64,
    /// See [`etcd::mirror::Resume::unchecked`].
    unchecked: Option<i64>,
}

/// Tells apart the states of the data for snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition {
    lists: u64,
    revision: i64,
}

impl Builder {
    /// A builder with an empty view that is not ready.
    pub fn new(prefix: Prefix, consistency: Consistency, guard: Guard) -> Self {
        Builder {
            head: prefix.encode(&Key::Head),
            prefix,
            consistency,
            guard,
            tables: Tables::default(),
            listed: Tables::default(),
            view: View::default(),
            revision: None,
            cluster_id: None,
            listed_cluster_id: None,
            lists: 0,
            losses: Losses::default(),
            digests: Digests::default(),
            serials: Serials::default(),
            expired: BTreeMap::new(),
            good_at: 0,
            unchecked: None,
        }
    }

    /// A builder that goes on from a snapshot.
    pub fn restore(consistency: Consistency, guard: Guard, saved: Saved) -> Self {
        let mut builder = Builder::new(saved.prefix, consistency, guard);
        builder.tables = saved.tables;
        builder.tables.count_all();
        builder.serials = Serials::new(saved.serials);
        builder.good_at = saved.good_at;
        builder.unchecked = saved.unchecked;
        builder.cluster_id = Some(saved.cluster_id);
        builder.revision = Some(saved.revision);
        builder.note_expiries(&builder.tables.zones.keys().cloned().collect());
        builder.build_view(0);
        builder.remember_digest(saved.revision);
        builder
    }

    /// Goes back to the view that is published, after a panic amid a revision. What the next list changes is then told
    /// relative to that view.
    pub(super) fn reset_view(&mut self, published: View) {
        self.view = published;
    }

    /// The zones in which leases have expired since the last call, each with the revision of the last expiry.
    pub fn take_expired(&mut self) -> BTreeMap<Name, i64> {
        std::mem::take(&mut self.expired)
    }

    /// The secrets for cookies, if etcd has had any.
    pub(super) fn cookie(&self) -> Option<CookieSecrets> {
        self.tables.cookie
    }

    /// What a snapshot has to hold; none before the first list.
    pub fn save(&self) -> Option<Saved> {
        Some(Saved {
            prefix: self.prefix.clone(),
            cluster_id: self.cluster_id?,
            revision: self.revision?,
            good_at: self.good_at,
            tables: self.tables.clone(),
            serials: self.serials.known().clone(),
            unchecked: self.unchecked,
        })
    }

    /// The edition of the data that is served. A list makes another one even if the revision stays: another history, or a
    /// copy that was repaired, may hold something else at the same revision.
    pub(super) fn edition(&self) -> Option<Edition> {
        let lists = self.lists;
        self.revision.map(|revision| Edition { lists, revision })
    }

    /// The cluster that the data come from, once one has answered.
    pub fn cluster_id(&self) -> Option<u64> {
        self.cluster_id
    }

    /// Sets the cluster that the list under way comes from.
    pub fn set_cluster(&mut self, cluster_id: Option<u64>) {
        self.listed_cluster_id = cluster_id;
    }

    /// Says whether what etcd holds may lack a deletion.
    pub fn set_unchecked(&mut self, unchecked: Option<i64>) {
        self.unchecked = unchecked;
    }

    /// A copy of what etcd holds, as far as its changes have come. It shares its memory with the builder.
    pub(super) fn tables(&self) -> Tables {
        self.tables.clone()
    }

    /// The view after the last event.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The revision of the view.
    pub fn revision(&self) -> Option<i64> {
        self.revision
    }

    /// The losses that are held back, summed up, and in how many zones.
    pub fn held(&self) -> Option<(Loss, usize)> {
        self.losses.held()
    }

    /// The zones that are held back, each with its loss.
    pub fn held_zones(&self) -> impl Iterator<Item = (&Name, Loss)> {
        self.losses.held_zones()
    }

    /// A zone that is held back, as it is served but without leased records: its settings, its serial and its contents.
    pub fn held_zone(&self, apex: &Name) -> Option<(ZoneSettings, u32, Contents)> {
        let kept = self.tables.zones.get(apex)?.kept.as_ref()?;
        let zone = self.view.zone(apex).filter(|_| kept.is_held)?;
        Some((
            kept.settings.clone(),
            zone.serial(),
            kept.contents().clone(),
        ))
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Keys whose values cannot be used, and why.
    pub fn quarantine(&self) -> &BTreeMap<Vec<u8>, String> {
        &self.tables.quarantine
    }

    /// Zones whose serial is lower than one served before, each with that earlier serial.
    pub fn serials_behind(&self) -> BTreeMap<Name, u32> {
        self.serials.behind(&self.view)
    }

    /// The digest of what etcd held at a revision, from the last change up to it that has come here. None if that is not
    /// remembered any more. The caller has to know whether changes up to that revision are still to come.
    pub fn digest_at(&self, revision: i64) -> Option<Digest> {
        self.digests.at(revision)
    }

    fn remember_digest(&mut self, revision: i64) {
        self.digests.push(revision, self.tables.digest());
    }
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
