//! Builds views from the mirror's events, and holds zones back that have lost too much.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use etcd::mirror::{Change, Event};
use etcd::schema::{Accepted, Key, Prefix};
use tracing::{error, info, warn};

use super::guard::{Guard, Losses};
use super::kept::By;
use super::snapshot::Saved;
use super::tables::{self, Tables, ZoneData};
use crate::model::{Consistency, Digest, Name, ZoneSettings, is_serial_before as is_before};
use crate::served::Loss;
use crate::zone::{Contents, SoaFields, View, Zone};

/// Of how many revisions the digest is remembered: those of some seconds, however many come.
const DIGESTS_MAX: usize = 8192;

/// So many changes are taken in in a moment, if nothing else is to be done for them.
const CHANGES_SHORT: usize = 256;

/// How many of the zones that are held back the log names.
const ZONES_LOGGED: usize = 5;

/// The builder.
pub struct Builder {
    prefix: Prefix,
    /// The head key.
    head: Vec<u8>,
    /// What zones promise that say nothing themselves.
    consistency: Consistency,
    guard: Guard,
    /// What etcd holds.
    tables: Tables,
    /// What a list has brought so far.
    listed: Tables,
    /// What is served.
    view: View,
    /// The revision of the view; none before the first list.
    revision: Option<i64>,
    /// The cluster that the tables are of, and the one that the list that comes is of.
    cluster_id: Option<u64>,
    listed_cluster_id: Option<u64>,
    /// How often everything was listed.
    lists: u64,
    /// What zones have lost, and which are held back.
    losses: Losses,
    /// The digest of the tables, revision by revision.
    digests: VecDeque<(i64, Digest)>,
    /// Zones whose serial has gone back, and what it was.
    serials: BTreeMap<Name, u32>,
    /// When the view was last known to be what etcd holds, in seconds of Unix time.
    good_at: u64,
}

/// What is served, as far as snapshots tell it apart.
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
            digests: VecDeque::new(),
            serials: BTreeMap::new(),
            good_at: 0,
        }
    }

    /// A builder that goes on from what was saved.
    pub fn restore(consistency: Consistency, guard: Guard, saved: Saved) -> Self {
        let mut builder = Builder::new(saved.prefix, consistency, guard);
        builder.tables = saved.tables;
        builder.tables.count_all();
        builder.serials = saved.serials;
        builder.good_at = saved.good_at;
        builder.cluster_id = Some(saved.cluster_id);
        builder.revision = Some(saved.revision);
        builder.build(0);
        builder.remember(saved.revision);
        builder
    }

    /// All there is to go on from.
    pub fn save(&self) -> Option<Saved> {
        Some(Saved {
            prefix: self.prefix.clone(),
            cluster_id: self.cluster_id?,
            revision: self.revision?,
            good_at: self.good_at,
            tables: self.tables.clone(),
            serials: self.serials.clone(),
        })
    }

    /// Which edition of the data is served. A list makes another one, also at the revision that was there before: what
    /// is at a revision is not the same in another history, nor in a copy that was mended.
    pub(super) fn edition(&self) -> Option<Edition> {
        let lists = self.lists;
        self.revision.map(|revision| Edition { lists, revision })
    }

    /// The cluster that the data are of, once one has answered.
    pub fn cluster_id(&self) -> Option<u64> {
        self.cluster_id
    }

    /// Says which cluster the list that comes is of.
    pub fn set_cluster(&mut self, cluster_id: Option<u64>) {
        self.listed_cluster_id = cluster_id;
    }

    /// What etcd holds, as it has come here.
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

    /// What was lost and is held back, of how many zones.
    pub fn held(&self) -> Option<(Loss, usize)> {
        self.losses.held()
    }

    /// The zones that are held back, and what each has lost.
    pub fn held_zones(&self) -> impl Iterator<Item = (&Name, Loss)> {
        self.losses.held_zones()
    }

    /// A zone that is held back, as it is served, with its settings.
    pub fn held_zone(&self, apex: &Name) -> Option<(ZoneSettings, Arc<Zone>)> {
        let kept = self.tables.zones.get(apex)?.kept.as_ref()?;
        let zone = self.view.zone(apex).filter(|_| kept.is_held)?;
        Some((kept.settings.clone(), zone.clone()))
    }

    /// Keys whose values cannot be used, and why.
    pub fn quarantine(&self) -> &BTreeMap<Vec<u8>, String> {
        &self.tables.quarantine
    }

    /// Zones whose serial is behind one that was served before, with that.
    pub fn serials_behind(&self) -> BTreeMap<Name, u32> {
        let known = self.serials.iter();
        known
            .filter(|(apex, _)| self.view.zone(apex).is_some())
            .map(|(apex, serial)| (apex.clone(), *serial))
            .collect()
    }

    /// The digest after the last change up to a revision that has come here; none where that is not known any more.
    /// Whether there are changes up to that revision that have not come is for the caller to know.
    pub fn digest_at(&self, revision: i64) -> Option<Digest> {
        let after = self.digests.partition_point(|(at, _)| *at <= revision);
        Some(self.digests.get(after.checked_sub(1)?)?.1)
    }

    /// Takes an event in, and says whether the view is another one now.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Listing => {
                self.listed = Tables::default();
                false
            }
            Event::Items(items) => {
                let said = tables::read_all(&self.prefix, &items);
                for (item, said) in items.iter().zip(said) {
                    let at = (item.mod_revision, By::Us);
                    self.listed.take(&item.key, said, at, Some(&self.tables));
                }
                false
            }
            Event::Listed { revision } => {
                self.listed(revision);
                true
            }
            Event::Revision { revision, changes } => self.changed(revision, changes),
            Event::Fresh { .. } => {
                if self.losses.held().is_none() {
                    self.good_at = now();
                }
                self.forget_losses(now());
                false
            }
            Event::Lost { .. } => false,
        }
    }

    /// Whether it takes more than a moment to take an event in, so that others have to go on meanwhile.
    pub(super) fn takes_long(&self, event: &Event) -> bool {
        match event {
            Event::Items(_) | Event::Listed { .. } => true,
            // What others change may be held against all of a zone, and against all losses, and what operators accept
            // is about all of these.
            Event::Revision { changes, .. } => {
                changes.len() > CHANGES_SHORT
                    || !self.losses.is_empty()
                    || (self.guard.is_on() && !self.is_own(changes))
            }
            Event::Fresh { .. } => !self.losses.is_empty(),
            Event::Listing | Event::Lost { .. } => false,
        }
    }

    fn listed(&mut self, revision: i64) {
        let listed = std::mem::take(&mut self.listed);
        *self = self.successor(listed, revision);
    }

    /// What takes the place of this builder when everything was listed again. It is put together beside what there is:
    /// should that panic, nothing is served, and nothing forgotten, that was not before.
    fn successor(&self, listed: Tables, revision: i64) -> Builder {
        let mut next = Builder::new(self.prefix.clone(), self.consistency, self.guard);
        next.tables = listed;
        next.revision = Some(revision);
        (next.cluster_id, next.listed_cluster_id) =
            (self.listed_cluster_id, self.listed_cluster_id);
        next.lists = self.lists + 1;
        next.good_at = self.good_at;
        let is_same_history =
            self.cluster_id == self.listed_cluster_id && self.revision <= Some(revision);
        if self.guard.is_on() && !self.is_accepted(next.tables.accepted, is_same_history) {
            let meant = next.tables.keep_of(&self.tables, is_same_history, now());
            for (zone, loss) in meant.iter().filter(|(_, loss)| self.guard.is_large(*loss)) {
                let Loss { gone, of } = loss;
                warn!(
                    %zone,
                    revision,
                    "etcd has lost {gone} of {of} RRsets of this zone while it could not be watched. They are not held \
                     back, as nsctl has changed the zone meanwhile, too: if they were not removed on purpose, restore them"
                );
            }
        }
        next.tables.count_all();
        // Another history has other digests: none is taken along.
        next.remember(revision);
        next.build(self.losses.held_count());
        next.serials = self.serials.clone();
        for zone in self.view.zones() {
            next.remember_serial(zone);
        }
        next.forget_serials();
        if !next.serials.is_empty() {
            let zones = next.serials.len();
            warn!(
                zones,
                "serials went back: raise them with nsctl zone raise-serials"
            );
        }
        next
    }

    /// Whether an operator has accepted what a list lacks: since the last revision that has come here, or, where that says
    /// nothing, since the view was last seen to be sound. A word from before that is about something else.
    fn is_accepted(&self, listed: Option<(i64, Accepted)>, is_same_history: bool) -> bool {
        let Some((revision, accepted)) = listed else {
            return false;
        };
        let known = self.tables.accepted.map(|(_, accepted)| accepted);
        match is_same_history {
            true => self.revision < Some(revision),
            false => known != Some(accepted) && accepted.at >= self.good_at,
        }
    }

    fn changed(&mut self, revision: i64, changes: Vec<Change>) -> bool {
        let mut touched = self.take_in(revision, changes);
        if self.tables.accepted.is_some_and(|(at, _)| at == revision) {
            for apex in self.losses.zones() {
                self.tables.zone(apex).kept = None;
                touched.insert(apex.clone());
            }
        }
        self.revision = Some(revision);
        if touched.is_empty() {
            return false;
        }
        self.show(&touched, self.losses.held_count());
        for apex in &touched {
            self.tables.count(apex);
        }
        self.remember(revision);
        self.forget_serials();
        true
    }

    /// Whether these changes are of a transaction of ours: all of them touch the head key.
    fn is_own(&self, changes: &[Change]) -> bool {
        let is_head = |change: &Change| change.value.is_some() && change.key == self.head;
        changes.iter().any(is_head)
    }

    /// Takes changes into the tables, and tells the zones they are about.
    fn take_in(&mut self, revision: i64, changes: Vec<Change>) -> BTreeSet<Name> {
        let by = match !self.guard.is_on() || self.is_own(&changes) {
            true => By::Us,
            false => By::Others(now()),
        };
        let mut touched = BTreeSet::new();
        for change in changes {
            touched.extend(match &change.value {
                Some(value) => {
                    let said = tables::read(&self.prefix, &change.key, value);
                    self.tables.take(&change.key, said, (revision, by), None)
                }
                None => self.tables.delete(&self.prefix, &change.key, by),
            });
        }
        touched
    }

    /// Brings zones in the view up to date: as etcd has them, or as they are kept where too much is lost.
    fn show(&mut self, touched: &BTreeSet<Name>, held_before: usize) {
        for apex in touched {
            self.show_zone(apex);
        }
        let total = self.losses.total(self.view.rrset_count());
        let is_all_held = self.guard.is_large(total);
        if is_all_held != self.losses.is_all_held {
            self.losses.is_all_held = is_all_held;
            let all: Vec<Name> = self.losses.zones().cloned().collect();
            for apex in &all {
                self.show_zone(apex);
            }
        }
        self.log_held(held_before);
    }

    fn show_zone(&mut self, apex: &Name) {
        let Some(zone) = self.tables.zones.get_mut(apex) else {
            return;
        };
        zone.keep_needed();
        let loss = zone.loss();
        let is_large = |loss| self.losses.is_all_held || self.guard.is_large(loss);
        let is_held = loss.is_some_and(is_large);
        if let Some(kept) = &mut zone.kept {
            kept.is_held = is_held;
        }
        self.losses.set(apex, loss, is_held);
        let old = self.view.zone(apex).cloned();
        put(&mut self.view, apex, zone, self.consistency);
        if let Some(old) = old {
            self.remember_serial(&old);
        }
    }

    /// One line where more zones, or fewer, are held back than before.
    fn log_held(&self, before: usize) {
        let revision = self.revision;
        match self.losses.held() {
            Some((Loss { gone, of }, zones)) if zones > before => {
                let named = self.losses.held_zones().take(ZONES_LOGGED);
                let named: Vec<String> = named.map(|(apex, _)| apex.to_string()).collect();
                let first = named.join(" ");
                error!(
                    revision,
                    zones,
                    first,
                    "etcd has lost {gone} of {of} RRsets in these zones: the loss is held back, and they are served as before, \
                     until the RRsets are there again, or until an operator accepts the loss with nsctl accept"
                );
            }
            Some((_, zones)) if zones < before => {
                info!(revision, zones, "fewer zones are held back")
            }
            None if before > 0 => info!(revision, "no zone is held back any more"),
            _ => {}
        }
    }

    /// Forgets what was lost too long ago to add up with what is lost now, in zones that are not held back.
    fn forget_losses(&mut self, now: u64) {
        let all: Vec<Name> = self.losses.zones().cloned().collect();
        for apex in all {
            let zone = self.tables.zone(&apex);
            zone.forget_losses(now);
            let (loss, is_held) = (
                zone.loss(),
                zone.kept.as_ref().is_some_and(|kept| kept.is_held),
            );
            self.losses.set(&apex, loss, is_held);
        }
    }

    /// Remembers the serial that a zone had, where it has gone back.
    fn remember_serial(&mut self, old: &Zone) {
        let new = self.view.zone(old.apex());
        if new.is_some_and(|new| is_before(new.serial(), old.serial())) {
            let highest = self
                .serials
                .entry(old.apex().clone())
                .or_insert(old.serial());
            if is_before(*highest, old.serial()) {
                *highest = old.serial();
            }
        }
    }

    /// Forgets serials that have been caught up with. Those of a zone that is removed may yet come back with it.
    fn forget_serials(&mut self) {
        if !self.serials.is_empty() {
            let view = &self.view;
            let is_behind = |zone: &Arc<Zone>, serial| is_before(zone.serial(), serial);
            self.serials
                .retain(|apex, serial| view.zone(apex).is_none_or(|zone| is_behind(zone, *serial)));
        }
    }

    /// Makes the first view of the tables. So many zones were held back before.
    fn build(&mut self, held_before: usize) {
        self.view.set_ready(true);
        self.view.set_consistency(self.consistency);
        let all: BTreeSet<Name> = self.tables.zones.keys().cloned().collect();
        self.show(&all, held_before);
    }

    fn remember(&mut self, revision: i64) {
        if self.digests.len() == DIGESTS_MAX {
            self.digests.pop_front();
        }
        self.digests.push_back((revision, self.tables.digest()));
    }
}

fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| time.as_secs())
}

/// Brings the zone in the view up to date: to what etcd says, or to what is kept of it.
fn put(view: &mut View, apex: &Name, zone: &ZoneData, default: Consistency) {
    let held = zone.kept.as_ref().filter(|kept| kept.is_held);
    let current = zone.settings.as_ref();
    let Some(settings) = held.map(|kept| &kept.settings).or(current) else {
        view.remove_zone(apex);
        return;
    };
    let soa = &settings.soa;
    let kept_revision = held.map_or(0, |kept| kept.serial_revision);
    let touched = match zone.serial_revision.max(kept_revision) {
        0 => zone.settings_revision,
        revision => revision,
    };
    let soa = SoaFields {
        mname: soa.mname.clone(),
        rname: soa.rname.clone(),
        serial: settings.serial(touched),
        refresh: soa.refresh,
        retry: soa.retry,
        expire: soa.expire,
        minimum: soa.minimum,
        ttl: soa.ttl,
    };
    // A clone shares everything: it costs the same for a zone of ten names and of a million.
    let contents = match held {
        Some(kept) => kept.contents().clone(),
        None => zone
            .current()
            .cloned()
            .unwrap_or_else(|| Contents::new(apex.clone())),
    };
    let consistency = match settings.consistency.unwrap_or(default) {
        Consistency::Available => Consistency::Available,
        // What is held back is not what etcd holds, and so never fresh.
        _ if held.is_some() => Consistency::Bounded(0),
        promised => promised,
    };
    view.put_zone(Arc::new(
        Zone::new(&soa, contents).with_consistency(consistency),
    ));
}

#[cfg(test)]
mod tests;
