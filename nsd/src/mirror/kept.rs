//! A zone without what others have deleted of it: what is served where that is held back.
//!
//! From the first such deletion on the zone is kept beside what etcd has of it. It shares all that is the same, so it
//! costs next to nothing. Our own changes are made to both, so that they are served also while a loss is held back.
//!
//! Losses count for an hour, each from its own time on. For that the zone is kept as it was at several moments, at least
//! [`STEP`] apart. The oldest copy is judged and served; it is dropped once the next one is older than an hour.

use std::collections::VecDeque;

use super::guard::Guard;
use super::tables::ZoneData;
use crate::model::rules::is_cname_clash;
use crate::model::{Name, Rtype, ZoneSettings};
use crate::served::Loss;
use crate::zone::{Contents, Rrset};

/// The time between two copies of a zone, in seconds: a loss may count for so much longer than an hour.
const STEP: u64 = Guard::MEMORY / 4;

/// What is kept of a zone.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) settings: ZoneSettings,
    /// The serial does not go back, either.
    pub(super) serial_revision: i64,
    /// The zone as it was at several moments, the oldest first. There is at least one.
    copies: VecDeque<Past>,
    /// When something was lost last, in seconds of Unix time.
    pub(super) lost_at: u64,
    /// Whether this is what is served.
    pub(super) is_held: bool,
}

/// A zone without what others have deleted since a moment.
#[derive(Clone)]
struct Past {
    contents: Contents,
    /// How many RRsets of these etcd has not; one more where it has not even the key of the zone.
    gone: usize,
    /// The moment, in seconds of Unix time.
    since: u64,
}

/// Whose change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A transaction of ours, which are meant.
    Us,
    /// Anybody else.
    Others(
        /// When, in seconds of Unix time.
        u64,
    ),
}

impl Kept {
    /// A zone of which `gone` RRsets, or keys, were gone when the last of them was lost.
    pub(super) fn new(
        (settings, serial_revision): (ZoneSettings, i64),
        (contents, gone): (Contents, usize),
        lost_at: u64,
        is_held: bool,
    ) -> Self {
        let first = Past {
            contents,
            gone,
            since: lost_at,
        };
        Kept {
            settings,
            serial_revision,
            copies: [first].into(),
            lost_at,
            is_held,
        }
    }

    /// The zone without what others have deleted.
    pub(super) fn contents(&self) -> &Contents {
        &self.oldest().contents
    }

    /// How many RRsets of these etcd has not; one more where it has not even the key of the zone.
    pub(super) fn gone(&self) -> usize {
        self.oldest().gone
    }

    fn oldest(&self) -> &Past {
        self.copies.front().expect("there is at least one copy")
    }

    /// Begins another copy when it is time to. `current` is what etcd has right before a loss.
    fn begin(&mut self, current: Option<&Contents>, now: u64) {
        let is_due = |last: &Past| now >= last.since + STEP;
        if let Some(current) = current
            && !self.is_held
            && self.copies.back().is_some_and(is_due)
        {
            self.copies.push_back(Past {
                contents: current.clone(),
                gone: 0,
                since: now,
            });
        }
    }

    /// Drops copies of which nothing is gone, and says whether there is another one.
    fn is_needed(&mut self) -> bool {
        while self.copies.front().is_some_and(|oldest| oldest.gone == 0) {
            self.copies.pop_front();
        }
        !self.copies.is_empty()
    }
}

impl Past {
    /// Takes along an RRset that is about to be put. `types` are those that etcd has at its owner.
    fn put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset, types: &[Rtype]) {
        let is_lost = |other: &Rtype| !types.contains(other);
        for other in self.contents.types(owner).iter().filter(|t| is_lost(t)) {
            if *other == rtype {
                self.gone -= 1;
            } else if is_cname_clash(rtype, *other) {
                // It was put where the other one was gone.
                self.contents.remove(owner, *other);
                self.gone -= 1;
            }
        }
        self.contents.put(owner, rtype, rrset);
    }
}

impl ZoneData {
    /// What the zone has lost to others.
    pub(super) fn loss(&self) -> Option<Loss> {
        let kept = self.kept.as_ref().filter(|kept| kept.gone() > 0)?;
        Some(Loss {
            gone: kept.gone(),
            of: kept.contents().rrset_count() + 1,
        })
    }

    /// Forgets what was lost too long ago to add up with what is lost now, and was not enough to be held back.
    pub(super) fn forget_losses(&mut self, now: u64) {
        let begin = now.saturating_sub(Guard::MEMORY);
        let Some(kept) = self.kept.as_mut().filter(|kept| !kept.is_held) else {
            return;
        };
        while kept.copies.get(1).is_some_and(|next| next.since <= begin) {
            kept.copies.pop_front();
        }
        if kept.lost_at < begin || !kept.is_needed() {
            self.kept = None;
        }
    }

    /// Drops what is kept where nothing is gone any more.
    pub(super) fn keep_needed(&mut self) {
        if self.kept.as_mut().is_some_and(|kept| !kept.is_needed()) {
            self.kept = None;
        }
    }

    /// The RRsets that are served as etcd has them.
    pub(super) fn current(&self) -> Option<&Contents> {
        let number = self.settings.as_ref()?.generation;
        Some(&self.generations.get(&number)?.contents)
    }

    /// Keeps the zone as it is, if it is served: others are about to change it.
    pub(super) fn keep(&mut self, apex: &Name, now: u64) {
        self.forget_losses(now);
        let current = self.current().cloned();
        match (&mut self.kept, &self.settings) {
            (Some(kept), _) => kept.begin(current.as_ref(), now),
            (None, Some(settings)) => {
                let contents = current.unwrap_or_else(|| Contents::new(apex.clone()));
                let settings = (settings.clone(), self.serial_revision);
                self.kept = Some(Box::new(Kept::new(settings, (contents, 0), now, false)));
            }
            (None, None) => {}
        }
    }

    /// Takes along an RRset that is about to be put into the generation that is served. What others add to a zone that is
    /// held back is not served.
    pub(super) fn keep_put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset, by: By) {
        if self.kept.is_none() {
            return;
        }
        let current = self.current();
        let types = current.map_or_else(Vec::new, |current| current.types(owner));
        let Some(kept) = &mut self.kept else { return };
        for copy in &mut kept.copies {
            let is_kept = copy.contents.get(owner, rtype).is_some();
            if by == By::Us || is_kept || !kept.is_held {
                copy.put(owner, rtype, rrset, &types);
            }
        }
    }

    /// Takes along an RRset that is about to be deleted from the generation that is served, and is there.
    pub(super) fn keep_removal(&mut self, apex: &Name, owner: &Name, rtype: Rtype, by: By) {
        if let By::Others(now) = by {
            self.keep(apex, now);
        }
        let Some(kept) = &mut self.kept else { return };
        if let By::Others(now) = by {
            kept.lost_at = now;
        }
        for copy in &mut kept.copies {
            match by {
                By::Us => drop(copy.contents.remove(owner, rtype)),
                By::Others(_) => {
                    copy.gone += usize::from(copy.contents.get(owner, rtype).is_some());
                }
            }
        }
    }

    /// Takes along that the settings have become others, or that they are gone.
    pub(super) fn keep_settings(&mut self, before: Option<&ZoneSettings>, by: By) {
        let is_same = matches!((before, &self.settings), (Some(old), Some(new)) if old.generation == new.generation);
        if by == By::Us && !is_same {
            self.kept = None;
        }
        let Some(kept) = &mut self.kept else { return };
        if is_same {
            if let Some(settings) = &self.settings {
                kept.settings = settings.clone();
            }
            return;
        }
        if let By::Others(now) = by {
            kept.lost_at = now;
        }
        self.count_gone();
    }

    /// Looks which of the RRsets that are kept etcd has not.
    fn count_gone(&mut self) {
        let (current, is_there) = (self.current().cloned(), self.settings.is_some());
        let Some(kept) = &mut self.kept else { return };
        for copy in &mut kept.copies {
            copy.gone = match &current {
                Some(current) => copy.contents.missing_in(current),
                None => copy.contents.rrset_count() + usize::from(!is_there),
            };
        }
    }

    /// Compares with what the zone was before everything was listed again. Who made the changes in between is not
    /// known; `is_touched` says that a transaction of ours has changed the zone since, and then what is gone counts as
    /// meant. Returns what that was.
    pub(super) fn keep_of(
        &mut self,
        apex: &Name,
        before: &ZoneData,
        is_touched: bool,
        now: u64,
    ) -> Option<Loss> {
        let generation =
            |zone: &ZoneData| zone.settings.as_ref().map(|settings| settings.generation);
        let is_same = generation(self).is_some() && generation(self) == generation(before);
        let (contents, last) = match (&before.kept, &before.settings) {
            (Some(kept), _) => (kept.contents().clone(), Some(kept)),
            (None, Some(_)) => {
                let current = before.current().cloned();
                let contents = current.unwrap_or_else(|| Contents::new(apex.clone()));
                (contents, None)
            }
            (None, None) => return None,
        };
        let is_held = last.is_some_and(|kept| kept.is_held);
        // What is held back already stays so, but for another generation of ours.
        if is_touched && !(is_held && is_same) {
            return self.loss_since(before, is_same);
        }
        if self
            .current()
            .is_some_and(|current| current.digest() == contents.digest())
        {
            return None;
        }
        let last_settings = last.map(|kept| &kept.settings).or(before.settings.as_ref());
        let settings = self
            .settings
            .as_ref()
            .filter(|_| is_same)
            .or(last_settings)?;
        let serial_revision = before
            .serial_revision
            .max(last.map_or(0, |kept| kept.serial_revision));
        let contents = match self.current() {
            Some(current) => {
                let mut filled = current.clone();
                filled.fill(&contents, is_cname_clash);
                filled
            }
            None => contents,
        };
        let settings = (settings.clone(), serial_revision);
        let kept = Kept::new(settings, (contents, 0), now, is_held);
        self.kept = Some(Box::new(kept));
        self.count_gone();
        if let (Some(last), Some(kept)) = (last, &mut self.kept)
            && kept.gone() <= last.gone()
        {
            kept.lost_at = last.lost_at;
        }
        None
    }

    /// What etcd lacks of what the zone had, unless it has another generation now: that is ours.
    fn loss_since(&self, before: &ZoneData, is_same: bool) -> Option<Loss> {
        let had = before.current()?;
        let of = had.rrset_count() + 1;
        let gone = match (&self.settings, self.current()) {
            (None, _) => of,
            (Some(_), None) if is_same => had.rrset_count(),
            (Some(_), Some(current)) if is_same => had.missing_in(current),
            _ => 0,
        };
        (gone > 0).then_some(Loss { gone, of })
    }
}

#[cfg(test)]
mod tests;
