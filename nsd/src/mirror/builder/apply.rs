//! Applies events: a list replaces everything, a revision changes some of it.

use std::collections::BTreeSet;

use etcd::mirror::{Event, KeyChange, KeyValue};
use etcd::schema::Accepted;
use tracing::warn;

use super::super::decode::{decode, decode_all};
use super::super::kept::Origin;
use super::super::tables::Tables;
use super::{Builder, now};
use crate::model::Name;
use crate::served::{Loss, ZoneChange};

/// Up to this many changes are applied in a moment.
const CHANGES_SHORT: usize = 256;

impl Builder {
    /// Applies an event. None if the view stays the one it was. Otherwise it is another one now, and these zones differ:
    /// possibly none, as after a list that brought the same again.
    pub fn apply(&mut self, event: Event) -> Option<Vec<ZoneChange>> {
        match event {
            Event::Listing => {
                self.listed = Tables::default();
                None
            }
            Event::Items(items) => {
                self.add_items(&items);
                None
            }
            Event::Listed { revision } => Some(self.replace_all(revision)),
            Event::Revision { revision, changes } => self.apply_revision(revision, changes),
            Event::Fresh { .. } => {
                if self.losses.held().is_none() {
                    self.good_at = now();
                }
                self.forget_losses(now());
                None
            }
            Event::Lost { .. } => None,
        }
    }

    /// Whether applying an event takes more than a moment, so that it should not block a thread of the runtime.
    pub(in super::super) fn takes_long(&self, event: &Event) -> bool {
        match event {
            Event::Items(_) | Event::Listed { .. } => true,
            // A change by others may be compared with all of a zone, and with all losses. So may an operator's
            // acceptance of them.
            Event::Revision { changes, .. } => {
                changes.len() > CHANGES_SHORT
                    || !self.losses.is_empty()
                    || (self.guard.is_on() && !self.is_ours(changes))
            }
            Event::Fresh { .. } => !self.losses.is_empty(),
            Event::Listing | Event::Lost { .. } => false,
        }
    }

    fn add_items(&mut self, items: &[KeyValue]) {
        let decoded = decode_all(&self.prefix, items);
        for (item, decoded) in items.iter().zip(decoded) {
            let at = (item.mod_revision, Origin::Ours);
            self.listed.put(&item.key, decoded, at, Some(&self.tables));
        }
    }

    fn replace_all(&mut self, revision: i64) -> Vec<ZoneChange> {
        let listed = std::mem::take(&mut self.listed);
        let next = self.successor(listed, revision);
        let old = self.view.zones().filter(|zone| {
            let new = next.view.zone(zone.apex());
            new.is_none()
        });
        let apexes = old.chain(next.view.zones()).map(|zone| zone.apex());
        let changes = ZoneChange::between(&self.view, &next.view, apexes);
        *self = next;
        changes
    }

    /// The builder that replaces this one after a list. It is made beside this one, so that a panic on the way changes
    /// nothing.
    fn successor(&self, listed: Tables, revision: i64) -> Builder {
        let mut next = Builder::new(self.prefix.clone(), self.consistency, self.guard);
        next.tables = listed;
        next.tables.cookie = next.tables.cookie.or(self.tables.cookie);
        next.revision = Some(revision);
        (next.cluster_id, next.listed_cluster_id) =
            (self.listed_cluster_id, self.listed_cluster_id);
        next.lists = self.lists + 1;
        next.good_at = self.good_at;
        let is_same_history =
            self.cluster_id == self.listed_cluster_id && self.revision <= Some(revision);
        if is_same_history {
            next.tables.find_expiries(&self.tables, revision);
        }
        if self.guard.is_on() && !self.is_accepted(next.tables.accepted, is_same_history) {
            let meant = next.tables.keep_lost(&self.tables, is_same_history, now());
            for (zone, loss) in meant.iter().filter(|(_, loss)| self.guard.is_large(*loss)) {
                let Loss { gone, of } = loss;
                warn!(
                    %zone,
                    revision,
                    "etcd has lost {gone} of {of} RRsets and zone keys of this zone while it was not watched. The loss is not held \
                     back, as nsctl has changed the zone meanwhile: if they were not removed on purpose, restore them"
                );
            }
        }
        next.tables.count_all();
        next.note_expiries(&next.tables.zones.keys().cloned().collect());
        // The earlier digests stay behind, as they may be those of another history.
        next.remember_digest(revision);
        next.build_view(self.losses.held_count());
        next.serials = self.serials.clone();
        for zone in self.view.zones() {
            next.serials.remember(zone, &next.view);
        }
        next.serials.forget(&next.view);
        let zones = next.serials.known().len();
        if zones > 0 {
            warn!(
                zones,
                "serials went back: raise them with nsctl zone raise-serials"
            );
        }
        next
    }

    /// Whether an operator has accepted what a list lacks. In the same history an acceptance counts if it is newer than
    /// the last revision that has come here. In another one revisions say nothing: there it counts if it is newer than
    /// the moment when the view was last known to be good.
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

    fn apply_revision(
        &mut self,
        revision: i64,
        changes: Vec<KeyChange>,
    ) -> Option<Vec<ZoneChange>> {
        let is_ours = self.is_ours(&changes);
        let mut touched = self.apply_changes(revision, is_ours, changes);
        if !is_ours {
            self.note_expiries(&touched);
        }
        if self.tables.accepted.is_some_and(|(at, _)| at == revision) {
            for apex in self.losses.zones() {
                self.tables.zone(apex).kept = None;
                touched.insert(apex.clone());
            }
        }
        self.revision = Some(revision);
        if touched.is_empty() {
            return None;
        }
        let before = self.view.clone();
        let updated = self.update_view(touched, self.losses.held_count());
        for apex in &updated {
            self.tables.count(apex);
        }
        self.remember_digest(revision);
        self.serials.forget(&self.view);
        Some(ZoneChange::between(&before, &self.view, &updated))
    }

    /// Notes in which of these zones leases have expired.
    pub(super) fn note_expiries(&mut self, touched: &BTreeSet<Name>) {
        for apex in touched {
            let zone = self.tables.zones.get(apex);
            let zone = zone.filter(|zone| zone.settings.is_some());
            if let Some(revision) = zone.and_then(|zone| zone.leased.unsettled()) {
                self.expired.insert(apex.clone(), revision);
            }
        }
    }

    /// Whether these are the changes of a transaction of ours, all of which write the head key.
    fn is_ours(&self, changes: &[KeyChange]) -> bool {
        let is_head = |change: &KeyChange| change.value.is_some() && change.key == self.head;
        changes.iter().any(is_head)
    }

    /// Applies changes to the tables. Returns the zones they belong to.
    fn apply_changes(
        &mut self,
        revision: i64,
        is_ours: bool,
        changes: Vec<KeyChange>,
    ) -> BTreeSet<Name> {
        let origin = match is_ours || !self.guard.is_on() {
            true => Origin::Ours,
            false => Origin::Others(now()),
        };
        let mut touched = BTreeSet::new();
        for change in changes {
            touched.extend(match &change.value {
                Some(value) => {
                    let decoded = decode(&self.prefix, &change.key, value);
                    self.tables
                        .put(&change.key, decoded, (revision, origin), None)
                }
                None => self
                    .tables
                    .delete(&self.prefix, &change.key, (revision, origin)),
            });
        }
        touched
    }
}
