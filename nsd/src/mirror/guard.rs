//! What a view has lost, and whether that may be an accident: somebody has deleted a prefix, or restored the wrong
//! backup.

use crate::zone::View;

/// Says which losses are held back.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// A loss of more than this many percent is; none with 100.
    pub percent: u8,
}

/// RRsets that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub gone: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for Guard {
    fn default() -> Self {
        Guard { percent: 50 }
    }
}

impl Guard {
    /// So many RRsets may always go.
    pub const LOSS_MIN: usize = 1000;

    /// What the new view lacks of the old one, if that is to be held back.
    pub fn loss(self, old: &View, new: &View) -> Option<Loss> {
        let of = old.rrset_count();
        if of <= Self::LOSS_MIN || self.percent >= 100 {
            return None;
        }
        let zones = old.zones().map(|zone| match new.zone(zone.apex()) {
            Some(new) => zone.contents().missing_in(new.contents()),
            None => zone.rrset_count(),
        });
        let gone: usize = zones.sum();
        self.is_large(gone, of).then_some(Loss { gone, of })
    }

    /// Whether so few RRsets are there that [`Guard::loss`] need not look which: as many as are fewer are gone at least.
    pub fn is_surely_lost(self, old: &View, new: &View) -> bool {
        let fewer = old.rrset_count().saturating_sub(new.rrset_count());
        self.is_large(fewer, old.rrset_count())
    }

    fn is_large(self, gone: usize, of: usize) -> bool {
        gone > Self::LOSS_MIN && gone * 100 > of * usize::from(self.percent)
    }
}
