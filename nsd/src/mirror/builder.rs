//! Builds views from the mirror's events, and holds one back that has lost too much.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use etcd::mirror::{Change, Event};
use etcd::schema::{Key, Prefix};
use tracing::{error, info, warn};

use super::guard::{Guard, Loss};
use super::snapshot::Saved;
use super::tables::{self, Tables, ZoneData};
use crate::model::{Consistency, Digest, Name, is_serial_before as is_before};
use crate::zone::{Contents, SoaFields, View, Zone};

/// Of how many revisions the digest is remembered: those of some seconds, however many come.
const DIGESTS_MAX: usize = 8192;

/// The builder.
pub struct Builder {
    prefix: Prefix,
    /// The head key, and where the settings of zones are.
    head: Vec<u8>,
    zones: Range<Vec<u8>>,
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
    /// The cluster that the tables are of.
    cluster_id: Option<u64>,
    /// How often everything was listed.
    lists: u64,
    /// What would be served, had it not lost too much.
    held: Option<Held>,
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

struct Held {
    view: View,
    revision: i64,
    loss: Loss,
    /// With so many RRsets it is worth another look.
    again_at: usize,
}

impl Builder {
    /// A builder with an empty view that is not ready.
    pub fn new(prefix: Prefix, consistency: Consistency, guard: Guard) -> Self {
        Builder {
            head: prefix.encode(&Key::Head),
            zones: prefix.zones(),
            prefix,
            consistency,
            guard,
            tables: Tables::default(),
            listed: Tables::default(),
            view: View::default(),
            revision: None,
            cluster_id: None,
            lists: 0,
            held: None,
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
        let view = builder.build();
        builder.publish(view, saved.revision);
        builder.remember(saved.revision);
        builder
    }

    /// All there is to go on from, if that is what is served: what is held back is not saved.
    pub fn save(&self) -> Option<Saved> {
        let revision = self.revision.filter(|_| self.held.is_none())?;
        Some(Saved {
            prefix: self.prefix.clone(),
            cluster_id: self.cluster_id?,
            revision,
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
        self.cluster_id = cluster_id;
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

    /// What was lost, if that is held back.
    pub fn held(&self) -> Option<Loss> {
        self.held.as_ref().map(|held| held.loss)
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
                    self.listed
                        .take(&item.key, said, item.mod_revision, Some(&self.tables));
                }
                false
            }
            Event::Listed { revision } => self.listed(revision),
            Event::Revision { revision, changes } => self.changed(revision, changes),
            Event::Fresh { .. } => {
                if self.held.is_none() {
                    self.good_at = now();
                }
                false
            }
            Event::Lost { .. } => false,
        }
    }

    fn listed(&mut self, revision: i64) -> bool {
        self.lists += 1;
        let before = self.tables.accepted;
        self.tables = std::mem::take(&mut self.listed);
        self.tables.count_all();
        // Another history has other digests.
        self.digests.clear();
        self.remember(revision);
        let view = self.build();
        // A word that was given before the view was last seen to be sound is about something else.
        let is_accepted = self.tables.accepted != before
            && self
                .tables
                .accepted
                .is_some_and(|accepted| accepted.at >= self.good_at);
        self.judge(view, revision, is_accepted)
    }

    fn changed(&mut self, revision: i64, changes: Vec<Change>) -> bool {
        let (is_suspect, before) = (self.is_suspect(&changes), self.tables.accepted);
        let is_of_zone = self.is_of_zone(&changes);
        let touched = self.take_in(revision, changes);
        let is_accepted = self.tables.accepted.is_some() && self.tables.accepted != before;
        if touched.is_empty() && self.held.is_none() {
            self.revision = Some(revision);
            return false;
        }
        let mut view = self
            .held
            .as_ref()
            .map_or(&self.view, |held| &held.view)
            .clone();
        for apex in &touched {
            if let Some(zone) = self.tables.zones.get(apex) {
                put(&mut view, apex, zone, self.consistency);
            }
            self.tables.count(apex);
        }
        self.remember(revision);
        match &mut self.held {
            // Another generation may be all that is missing.
            Some(held)
                if !is_accepted
                    && view.rrset_count() < held.again_at
                    && (!is_of_zone || self.guard.is_surely_lost(&self.view, &view)) =>
            {
                (held.view, held.revision) = (view, revision);
                return false;
            }
            None if !is_suspect => {
                self.view = view;
                self.revision = Some(revision);
                self.forget_serials();
                return true;
            }
            _ => {}
        }
        self.judge(view, revision, is_accepted)
    }

    /// Takes changes into the tables, and tells the zones they are about.
    fn take_in(&mut self, revision: i64, changes: Vec<Change>) -> BTreeSet<Name> {
        let mut touched = BTreeSet::new();
        for change in changes {
            touched.extend(match &change.value {
                Some(value) => {
                    let said = tables::read(&self.prefix, &change.key, value);
                    self.tables.take(&change.key, said, revision, None)
                }
                None => self.tables.delete(&self.prefix, &change.key),
            });
        }
        touched
    }

    /// Whether a change may be an accident. Our own transactions, which all touch the head key, are none, nor is a
    /// change that is small.
    fn is_suspect(&self, changes: &[Change]) -> bool {
        let is_own = |change: &Change| change.key == self.head && change.value.is_some();
        let deleted = changes.iter().filter(|change| change.value.is_none());
        (deleted.count() > Guard::LOSS_MIN || self.is_of_zone(changes))
            && !changes.iter().any(is_own)
    }

    /// Whether a change is one of zones, and not of their records only.
    fn is_of_zone(&self, changes: &[Change]) -> bool {
        let of_zone = |change: &Change| self.zones.contains(&change.key);
        changes.iter().any(of_zone)
    }

    /// Serves a view, or holds it back. Says whether it is served.
    fn judge(&mut self, view: View, revision: i64, is_accepted: bool) -> bool {
        let loss = self.guard.loss(&self.view, &view);
        match loss.filter(|_| !is_accepted) {
            Some(loss) => self.hold(view, revision, loss),
            None => self.publish(view, revision),
        }
        self.held.is_none()
    }

    /// Serves what was held back, or what has come.
    fn publish(&mut self, view: View, revision: i64) {
        for old in self.view.zones() {
            let new = view.zone(old.apex());
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
        if self.held.take().is_some() {
            info!(revision, "no longer held back");
        }
        self.view = view;
        self.revision = Some(revision);
        self.forget_serials();
        if !self.serials.is_empty() {
            let zones = self.serials.len();
            warn!(zones, "serials have gone back: nsctl zone raise-serials");
        }
    }

    fn hold(&mut self, view: View, revision: i64, loss: Loss) {
        if self.held.as_ref().is_none_or(|held| held.loss != loss) {
            let Loss { gone, of } = loss;
            error!(
                revision,
                "etcd has lost {gone} of {of} RRsets: held back, and the old ones served on, until they are there \
                 again or an operator says that this is meant: nsctl accept"
            );
        }
        // To look for all RRsets takes a while in a large zone: not before a tenth more is there.
        let again_at = view.rrset_count() + view.rrset_count() / 10 + 1;
        self.held = Some(Held {
            view,
            revision,
            loss,
            again_at,
        });
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

    /// The view that the tables make.
    fn build(&self) -> View {
        let mut view = View::default();
        view.set_ready(true);
        view.set_consistency(self.consistency);
        for (apex, zone) in &self.tables.zones {
            put(&mut view, apex, zone, self.consistency);
        }
        view
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

/// Brings the zone in the view up to what etcd says.
fn put(view: &mut View, apex: &Name, zone: &ZoneData, default: Consistency) {
    let Some(settings) = &zone.settings else {
        view.remove_zone(apex);
        return;
    };
    let soa = &settings.soa;
    let touched = if zone.serial_revision > 0 {
        zone.serial_revision
    } else {
        zone.settings_revision
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
    let served = zone.generations.get(&settings.generation);
    let contents = served.map_or_else(
        || Contents::new(apex.clone()),
        |generation| generation.contents.clone(),
    );
    let consistency = settings.consistency.unwrap_or(default);
    view.put_zone(Arc::new(
        Zone::new(&soa, contents).with_consistency(consistency),
    ));
}

#[cfg(test)]
mod tests;
