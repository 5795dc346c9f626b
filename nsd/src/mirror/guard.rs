//! Which losses are held back: somebody may have deleted a prefix, or restored the wrong backup.
//!
//! A loss is what others have deleted: RRsets, or the key of a zone. What a transaction of ours deletes is none; they
//! all touch the head key. Each zone with a loss is on the books here. A zone is held back where its own loss is large;
//! all zones with a loss are held back where the losses together are large for the whole store.

use std::collections::BTreeMap;

use crate::model::Name;
use crate::served::Loss;

/// Says which losses are held back.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// A loss of more than this many percent is; none with 100.
    pub percent: u8,
}

impl Default for Guard {
    fn default() -> Self {
        Guard { percent: 50 }
    }
}

impl Guard {
    /// A loss of fewer RRsets than this is never held back, unless no RRset at all is left.
    pub const LOSS_MIN: usize = 5;

    /// How long a loss adds up with later ones, in seconds, so that keys that are deleted one by one are found out, too.
    /// What was deleted longer ago, and did not come to enough, was meant.
    pub const MEMORY: u64 = 3600;

    /// Whether anything is held back at all.
    pub(super) fn is_on(self) -> bool {
        self.percent < 100
    }

    /// Whether so much is held back.
    pub fn is_large(self, Loss { gone, of }: Loss) -> bool {
        // The key of a zone counts as one more, and may be there still.
        let is_all = gone > 0 && gone + 1 >= of;
        let is_much = gone >= Self::LOSS_MIN && gone * 100 > of * usize::from(self.percent);
        self.is_on() && (is_all || is_much)
    }
}

/// The zones that have lost something.
#[derive(Default)]
pub(super) struct Losses {
    zones: BTreeMap<Name, Entry>,
    /// What all zones have lost, and what those have that are held back.
    gone: usize,
    held: Loss,
    held_zones: usize,
    /// Whether all of them are held back.
    pub(super) is_all_held: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    loss: Loss,
    is_held: bool,
}

impl Losses {
    /// Takes down what a zone has lost, if anything, and whether that is held back.
    pub(super) fn set(&mut self, apex: &Name, loss: Option<Loss>, is_held: bool) {
        let new = loss.map(|loss| Entry { loss, is_held });
        let old = match new {
            Some(new) => self.zones.insert(apex.clone(), new),
            None => self.zones.remove(apex),
        };
        if let Some(Entry { loss, is_held }) = old {
            self.gone -= loss.gone;
            if is_held {
                self.held_zones -= 1;
                self.held.gone -= loss.gone;
                self.held.of -= loss.of;
            }
        }
        if let Some(Entry { loss, is_held }) = new {
            self.gone += loss.gone;
            if is_held {
                self.held_zones += 1;
                self.held.gone += loss.gone;
                self.held.of += loss.of;
            }
        }
    }

    /// How many zones are held back.
    pub(super) fn held_count(&self) -> usize {
        self.held_zones
    }

    /// The zones that are held back.
    pub(super) fn held_zones(&self) -> impl Iterator<Item = (&Name, Loss)> {
        let held = self.zones.iter().filter(|(_, entry)| entry.is_held);
        held.map(|(apex, entry)| (apex, entry.loss))
    }

    /// Whether no zone has lost anything.
    pub(super) fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// All zones that have lost something.
    pub(super) fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.keys()
    }

    /// What is held back of all zones together, and how many these are.
    pub(super) fn held(&self) -> Option<(Loss, usize)> {
        (self.held_zones > 0).then_some((self.held, self.held_zones))
    }

    /// What all zones have lost together, given how many RRsets are served.
    pub(super) fn total(&self, served: usize) -> Loss {
        Loss {
            gone: self.gone,
            of: served + self.gone - self.held.gone,
        }
    }
}
