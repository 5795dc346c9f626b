//! Decides which losses are held back: somebody may have deleted a prefix, or restored the wrong backup.
//!
//! A loss is what others have deleted: RRsets, or the key of a zone. What a transaction of ours deletes is not a loss;
//! all of ours write the head key. A zone is held back if its own loss is large. All zones with a loss are held back if
//! the losses together are large for the whole store.

use std::collections::BTreeMap;

use crate::model::Name;
use crate::served::Loss;

/// When losses are held back.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// A loss of more than this many percent is held back; 100 holds nothing back.
    pub percent: u8,
}

impl Default for Guard {
    fn default() -> Self {
        Guard { percent: 50 }
    }
}

impl Guard {
    /// A loss of fewer RRsets than this is not held back, unless nothing is left.
    pub const LOSS_MIN: usize = 5;

    /// For how many seconds a loss is added to later ones. So keys that are deleted one by one are noticed, too. Older
    /// losses that were not held back are taken as intended.
    pub const WINDOW_S: u64 = 3600;

    /// Whether anything is held back at all.
    pub(super) fn is_on(self) -> bool {
        self.percent < 100
    }

    /// Whether a loss is so large that it is held back.
    pub fn is_large(self, Loss { gone, of }: Loss) -> bool {
        // The key of a zone counts as one more, and may still be there.
        let is_all = gone > 0 && gone + 1 >= of;
        let is_much = gone >= Self::LOSS_MIN && gone * 100 > of * usize::from(self.percent);
        self.is_on() && (is_all || is_much)
    }
}

/// The losses of all zones, and their sums.
#[derive(Default)]
pub(super) struct Losses {
    zones: BTreeMap<Name, ZoneLoss>,
    /// How many RRsets and keys all zones have lost.
    gone: usize,
    /// The losses that are held back, summed up.
    held: Loss,
    held_count: usize,
    /// Whether all zones with a loss are held back.
    pub(super) are_all_losses_held: bool,
}

#[derive(Clone, Copy)]
struct ZoneLoss {
    loss: Loss,
    is_held: bool,
}

impl Losses {
    /// Sets what a zone has lost, if anything, and whether that is held back.
    pub(super) fn set(&mut self, apex: &Name, loss: Option<Loss>, is_held: bool) {
        let new = loss.map(|loss| ZoneLoss { loss, is_held });
        let old = match new {
            Some(new) => self.zones.insert(apex.clone(), new),
            None => self.zones.remove(apex),
        };
        if let Some(ZoneLoss { loss, is_held }) = old {
            self.gone -= loss.gone;
            if is_held {
                self.held_count -= 1;
                self.held.gone -= loss.gone;
                self.held.of -= loss.of;
            }
        }
        if let Some(ZoneLoss { loss, is_held }) = new {
            self.gone += loss.gone;
            if is_held {
                self.held_count += 1;
                self.held.gone += loss.gone;
                self.held.of += loss.of;
            }
        }
    }

    /// How many zones are held back.
    pub(super) fn held_count(&self) -> usize {
        self.held_count
    }

    /// The zones that are held back, each with its loss.
    pub(super) fn held_zones(&self) -> impl Iterator<Item = (&Name, Loss)> {
        let held = self.zones.iter().filter(|(_, zone)| zone.is_held);
        held.map(|(apex, zone)| (apex, zone.loss))
    }

    /// Whether no zone has a loss.
    pub(super) fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// All zones with a loss.
    pub(super) fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.keys()
    }

    /// The losses that are held back, summed up, and in how many zones.
    pub(super) fn held(&self) -> Option<(Loss, usize)> {
        (self.held_count > 0).then_some((self.held, self.held_count))
    }

    /// The losses of all zones, summed up. `served` is how many RRsets are served. That has the SOA record of each
    /// zone, which stands for its key; and what is held back, which is not added again.
    pub(super) fn total(&self, served: usize) -> Loss {
        Loss {
            gone: self.gone,
            of: served + self.gone - self.held.gone,
        }
    }
}
