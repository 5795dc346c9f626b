//! A zone without what others have deleted of it: what is served where that is held back.
//!
//! From the first such deletion on the zone is kept beside what etcd has of it. It shares all that is the same, so it
//! costs next to nothing. Our own changes are made to both, so that they are served also while a loss is held back.

use super::guard::Loss;
use super::tables::ZoneData;
use crate::model::zonefile::may_stand_beside_cname;
use crate::model::{Name, Rtype, Zone as Settings};
use crate::zone::{Contents, Rrset};

/// What is kept of a zone.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) settings: Settings,
    /// The serial does not go back, either.
    pub(super) serial_revision: i64,
    pub(super) contents: Contents,
    /// How many RRsets of these etcd has not.
    pub(super) gone: usize,
    /// When the first of them was lost, in seconds of Unix time.
    pub(super) since: u64,
    /// Whether this is what is served.
    pub(super) is_held: bool,
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

impl ZoneData {
    /// What the zone has lost to others.
    pub(super) fn loss(&self) -> Option<Loss> {
        let kept = self.kept.as_ref().filter(|kept| kept.gone > 0)?;
        Some(Loss {
            gone: kept.gone,
            of: kept.contents.rrset_count() + 1,
        })
    }

    /// The RRsets that are served as etcd has them.
    pub(super) fn current(&self) -> Option<&Contents> {
        let number = self.settings.as_ref()?.generation;
        Some(&self.generations.get(&number)?.contents)
    }

    /// Keeps the zone as it is, if it is served and not kept yet: others are about to change it.
    pub(super) fn keep(&mut self, apex: &Name, now: u64) {
        if let (None, Some(settings)) = (&self.kept, &self.settings) {
            let contents = self.current().cloned();
            self.kept = Some(Box::new(Kept {
                settings: settings.clone(),
                serial_revision: self.serial_revision,
                contents: contents.unwrap_or_else(|| Contents::new(apex.clone())),
                gone: 0,
                since: now,
                is_held: false,
            }));
        }
    }

    /// Takes along an RRset that is about to be put into the generation that is served.
    pub(super) fn keep_put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset, by: By) {
        if self.kept.is_none() {
            return;
        }
        let is_there = |contents: &Contents| contents.get(owner, rtype).is_some();
        let is_back = !self.current().is_some_and(is_there);
        let Some(kept) = &mut self.kept else { return };
        let was_kept = is_there(&kept.contents);
        if was_kept || by == By::Us {
            kept.contents.put(owner, rtype, rrset);
        }
        kept.gone -= usize::from(was_kept && is_back);
        if by == By::Us {
            self.keep_rules(owner, rtype);
        }
    }

    /// Gives up what cannot stand beside an RRset of ours: it was put where the other one was gone (RFC 2181 10.1).
    fn keep_rules(&mut self, owner: &Name, rtype: Rtype) {
        let current = self.current().cloned();
        let Some(kept) = &mut self.kept else { return };
        let types = kept.contents.types(owner).into_iter();
        for other in types.filter(|other| *other != rtype && !may_stand_beside_cname(*other)) {
            let is_gone = current
                .as_ref()
                .is_none_or(|current| current.get(owner, other).is_none());
            if (rtype == Rtype::CNAME || other == Rtype::CNAME) && is_gone {
                kept.contents.remove(owner, other);
                kept.gone -= 1;
            }
        }
    }

    /// Takes along an RRset that is about to be deleted from the generation that is served, and is there.
    pub(super) fn keep_removal(&mut self, apex: &Name, owner: &Name, rtype: Rtype, by: By) {
        if let By::Others(now) = by {
            self.keep(apex, now);
        }
        let Some(kept) = &mut self.kept else { return };
        match by {
            By::Us => drop(kept.contents.remove(owner, rtype)),
            By::Others(_) => kept.gone += usize::from(kept.contents.get(owner, rtype).is_some()),
        }
    }

    /// Takes along that the settings have become others, or that they are gone.
    pub(super) fn keep_settings(&mut self, before: Option<&Settings>, by: By) {
        let is_same = matches!((before, &self.settings), (Some(old), Some(new)) if old.generation == new.generation);
        if by == By::Us && !is_same {
            self.kept = None;
        }
        let Some(kept) = &mut self.kept else { return };
        if is_same && let Some(settings) = &self.settings {
            kept.settings = settings.clone();
        }
        self.count_gone();
    }

    /// Looks which of the RRsets that are kept etcd has not.
    pub(super) fn count_gone(&mut self) {
        let Some(kept) = &self.kept else { return };
        let gone = match (&self.settings, self.current()) {
            (None, _) => kept.contents.rrset_count() + 1,
            (_, None) => kept.contents.rrset_count(),
            (_, Some(current)) => kept.contents.missing_in(current),
        };
        if let Some(kept) = &mut self.kept {
            kept.gone = gone;
        }
    }

    /// Compares with what the zone was before everything was listed again. Who made the changes in between is not
    /// known; `is_touched` says that a transaction of ours has changed the zone since.
    pub(super) fn keep_of(&mut self, apex: &Name, before: &ZoneData, is_touched: bool, now: u64) {
        let generation =
            |zone: &ZoneData| zone.settings.as_ref().map(|settings| settings.generation);
        let is_same = generation(self).is_some() && generation(self) == generation(before);
        let mut before = before.clone();
        before.keep(apex, now);
        let Some(mut kept) = before.kept else { return };
        // What is held back already stays so, but for another generation of ours.
        if is_touched && !(kept.is_held && is_same) {
            return;
        }
        if let Some(current) = self.current() {
            if kept.contents.digest() == current.digest() {
                return;
            }
            let mut contents = current.clone();
            contents.fill(&kept.contents);
            kept.contents = contents;
        }
        if is_same && let Some(settings) = &self.settings {
            kept.settings = settings.clone();
        }
        kept.serial_revision = before.serial_revision.max(kept.serial_revision);
        self.kept = Some(kept);
        self.count_gone();
    }
}
