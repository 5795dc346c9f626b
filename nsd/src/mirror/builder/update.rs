//! Brings the view up to date with the tables, and decides what is held back.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{error, info};

use super::Builder;
use crate::model::Name;
use crate::served::Loss;

/// How many of the zones that are held back the log names.
const ZONES_LOGGED: usize = 5;

impl Builder {
    /// Makes the first view of a new builder. `held_before` is how many zones the builder that it replaces held back; 0 if
    /// there was none.
    pub(super) fn build_view(&mut self, held_before: usize) {
        self.view.set_ready(true);
        self.view.set_consistency(self.consistency);
        let all = self.tables.zones.keys().cloned().collect();
        self.update_view(all, held_before);
    }

    /// Brings zones in the view up to date. Returns which: those given and, if the losses of all zones together have just
    /// become large enough to be held back, or no longer are, also every zone with a loss.
    pub(super) fn update_view(
        &mut self,
        mut zones: BTreeSet<Name>,
        held_before: usize,
    ) -> BTreeSet<Name> {
        for apex in &zones {
            self.update_zone(apex);
        }
        let total = self.losses.total(self.view.rrset_count());
        let are_all_losses_held = self.guard.is_large(total);
        if are_all_losses_held != self.losses.are_all_losses_held {
            self.losses.are_all_losses_held = are_all_losses_held;
            let lossy: Vec<Name> = self.losses.zones().cloned().collect();
            for apex in &lossy {
                self.update_zone(apex);
            }
            zones.extend(lossy);
        }
        self.log_held(held_before);
        zones
    }

    fn update_zone(&mut self, apex: &Name) {
        let Some(zone) = self.tables.zones.get_mut(apex) else {
            return;
        };
        zone.drop_unneeded();
        let loss = zone.loss();
        let is_large = |loss| self.losses.are_all_losses_held || self.guard.is_large(loss);
        let is_held = loss.is_some_and(is_large);
        if let Some(kept) = &mut zone.kept {
            kept.is_held = is_held;
        }
        self.losses.set(apex, loss, is_held);
        let old = self.view.zone(apex).cloned();
        match zone.served(apex, self.consistency) {
            Some(zone) => self.view.put_zone(Arc::new(zone)),
            None => drop(self.view.remove_zone(apex)),
        }
        if let Some(old) = old {
            self.serials.remember(&old, &self.view);
        }
    }

    /// Logs if the number of zones that are held back has changed.
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
                    "etcd has lost {gone} of {of} RRsets and zone keys in these zones: they are served as before, until the RRsets \
                     are back or an operator accepts the loss with nsctl accept"
                );
            }
            Some((_, zones)) if zones < before => {
                info!(revision, zones, "fewer zones are held back")
            }
            None if before > 0 => info!(revision, "no zone is held back any more"),
            _ => {}
        }
    }

    /// Forgets the losses in zones that are not held back if they are too old to add up with new ones.
    pub(super) fn forget_losses(&mut self, now: u64) {
        let all: Vec<Name> = self.losses.zones().cloned().collect();
        for apex in all {
            let zone = self.tables.zone(&apex);
            zone.forget_losses(now);
            let is_held = zone.kept.as_ref().is_some_and(|kept| kept.is_held);
            self.losses.set(&apex, zone.loss(), is_held);
        }
    }
}
