//! Finds out what an import has to write.

use std::sync::Arc;

use super::super::ChangeError;
use super::{Import, ImportMode, Imported};
use crate::client::connect::Store;
use crate::model::zonefile::Rrsets;
use crate::model::{Soa, ZoneSettings};
use crate::txn::{self, Compare, Overlap, ParentChanges, Refusal, Slot, WantedZone};

/// The content to write, given the state of the zone.
pub(super) struct Prepared {
    pub(super) wanted: WantedZone,
    /// The present content, if it exists and can be read.
    pub(super) old: Option<Rrsets>,
    pub(super) parent_changes: ParentChanges,
}

/// Number of RRsets that a plan changes.
#[derive(Default)]
pub(super) struct Count {
    pub(super) written: usize,
    pub(super) deleted: usize,
}

impl Import<'_> {
    /// Reads the present content, and finds out what is to be written.
    pub(super) async fn prepare(&self, slot: &Slot) -> Result<Prepared, ChangeError> {
        let mut wanted = self.wanted.clone();
        let (mut old, mut parent_changes) = (None, ParentChanges::default());
        let mut changed = slot.serial.revision;
        match &slot.present {
            None if self.how.overlap == Overlap::Hide => {}
            None => {
                let above = self.store.with_fresh_timeout().above(self.apex).await?;
                let (prefix, overlap) = (self.store.prefix(), self.how.overlap);
                parent_changes =
                    txn::plan_parent_changes(prefix, self.apex, &above, &wanted.rrsets, overlap)?;
                if !parent_changes.moved.is_empty() {
                    Arc::make_mut(&mut wanted.rrsets).extend(parent_changes.moved.clone());
                }
            }
            Some(present) => {
                match self.how.mode {
                    // Another journal might not reach as far back, and the rollback could not be rolled back.
                    ImportMode::Restore => wanted.settings.keep_journal_of(&present.settings),
                    _ => wanted.settings.keep_others_of(&present.settings),
                }
                let (content, newest) = self.store.content_and_newest(present).await?;
                old = content.ok();
                changed = changed.max(present.revision).max(newest);
            }
        }
        let mut prepared = Prepared {
            wanted,
            old,
            parent_changes,
        };
        // If the zone already has the content of the file, nothing is overwritten.
        if !prepared.is_there(slot) {
            self.check_exported(slot, changed)?;
        }
        let (rrsets, old) = (&prepared.wanted.rrsets, prepared.old.as_ref());
        let below = self.below(slot.revision, rrsets, old).await?;
        prepared.parent_changes.compares.extend(below);
        Ok(prepared)
    }

    /// Refuses to overwrite a change, made at revision `changed`, that is newer than the exported file.
    fn check_exported(&self, slot: &Slot, changed: i64) -> Result<(), Refusal> {
        let Some(exported) = self.how.exported.as_ref().map(|from| from.revision) else {
            return Ok(());
        };
        if exported >= changed && exported <= slot.revision {
            return Ok(());
        }
        let zone = self.apex.clone();
        match &slot.present {
            Some(_) if self.how.mode == ImportMode::Restore => Err(Refusal::ChangedMeanwhile(zone)),
            Some(_) => Err(Refusal::ChangedSince {
                zone,
                exported,
                changed,
            }),
            // The zone never existed here, or nothing is known of it any more.
            None if changed == 0 => Ok(()),
            None => Err(Refusal::RemovedSince {
                zone,
                exported,
                removed: changed,
            }),
        }
    }

    /// Checks that no zone below hides part of the content. Returns the comparison that keeps it so.
    pub(super) async fn below(
        &self,
        as_of: i64,
        content: &Rrsets,
        old: Option<&Rrsets>,
    ) -> Result<Option<Compare>, ChangeError> {
        if self.how.overlap == Overlap::Hide {
            return Ok(None);
        }
        let children = self.store.children(self.apex, as_of).await?;
        txn::check_below(self.apex, &children, content, old)?;
        Ok(Some(Compare::NotWrittenSince {
            range: self.store.prefix().zones_below(self.apex),
            revision: as_of,
        }))
    }
}

impl Prepared {
    /// Whether the zone already has this content, and no lower serial.
    pub(super) fn is_there(&self, slot: &Slot) -> bool {
        let is_same = |settings: &ZoneSettings| {
            let serial = settings.serial(slot.serial.revision);
            self.wanted.has_settings_of(settings) && self.wanted.allows_serial(serial)
        };
        let present = slot.present.as_ref();
        present.is_some_and(|present| is_same(&present.settings))
            && self.old.as_ref() == Some(&*self.wanted.rrsets)
    }

    /// The plan from the present to the wanted content, if it fits into one transaction, and the number of RRsets it
    /// changes.
    pub(super) fn difference(&self, store: &Store, slot: &Slot) -> Option<(txn::Plan, Count)> {
        let none = Rrsets::new();
        let old = match (&slot.present, &self.old) {
            (None, _) => &none,
            (Some(_), old) => old.as_ref()?,
        };
        let reserved = self.parent_changes.ops_count();
        let mut plan = txn::write_difference(store.prefix(), slot, &self.wanted, old, reserved)?;
        let folder = store.prefix().generations(&slot.apex);
        let mut count = Count::default();
        for op in &plan.ops {
            match op {
                txn::Op::Put { key, .. } if folder.contains(key) => count.written += 1,
                txn::Op::Delete { key } if folder.contains(key) => count.deleted += 1,
                _ => {}
            }
        }
        self.parent_changes.add_to(&mut plan);
        Some((plan, count))
    }

    /// The part of the result about the zone above.
    pub(super) fn taken(&self) -> Imported {
        let ParentChanges {
            moved,
            copied,
            not_delegating,
            ..
        } = &self.parent_changes;
        Imported {
            from_above: moved.clone(),
            copied: *copied,
            not_delegating: not_delegating.clone(),
            ..Imported::default()
        }
    }

    /// The old and the new SOA record, if one is replaced.
    pub(super) fn soa(&self, slot: &Slot) -> Option<(Soa, Soa)> {
        let present = slot.present.as_ref()?;
        Some((
            present.settings.soa.clone(),
            self.wanted.settings.soa.clone(),
        ))
    }
}
