//! An update of a zone that etcd does not take as one transaction: the zone's new content is staged as a generation
//! that nobody serves, and one transaction switches to it.
//!
//! Others may change the zone meanwhile. The switch fails then. The update is applied to what they left, and what that
//! changes in the staged generation is written together with the next try to switch.

use super::super::attempts::Attempts;
use super::super::stage::Staging;
use super::super::{ChangeError, Progress};
use super::Changed;
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Rrsets};
use crate::model::{Name, Update};
use crate::txn::{self, Compare, NoPlan, Reads, WantedZone, ZoneRead};

/// An update of one zone.
pub(super) struct StagedUpdate<'a> {
    pub(super) store: &'a Store,
    pub(super) apex: &'a Name,
    /// Whether records may be hidden by a zone below.
    pub(super) hide: bool,
    /// All of it is about this zone.
    pub(super) update: &'a Update,
}

impl StagedUpdate<'_> {
    pub(super) async fn run(&self, progress: Progress<'_>) -> Result<Changed, ChangeError> {
        let mut attempts = Attempts::new(self.store, self.apex);
        let mut staging = Staging::new(self.store, self.apex, progress);
        loop {
            match self.attempt(&mut attempts, &mut staging).await {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    let leftover = staging.leftover();
                    return Ok(Changed {
                        leftover,
                        ..changed
                    });
                }
                Err(error) => return Err(staging.failed(error).await),
            }
        }
    }

    /// Stages the content and switches to it. None if the zone changes meanwhile.
    async fn attempt(
        &self,
        attempts: &mut Attempts<'_>,
        staging: &mut Staging<'_>,
    ) -> Result<Option<Changed>, ChangeError> {
        let slot = self.store.with_fresh_timeout().slot(self.apex).await?;
        let Some(present) = &slot.present else {
            let store = self.store.with_fresh_timeout();
            return Err(store.no_zone(self.apex, slot.revision).await?.into());
        };
        self.check_prerequisites(present).await?;
        let old = self.store.content(present).await??;
        let edits: Vec<_> = self.update.edits.iter().enumerate().collect();
        let rrsets = txn::edited(present, &old, &edits)?;
        let below = self.below(present, &rrsets, &old).await?;
        let changed = Changed {
            zone: self.apex.clone(),
            revision: slot.revision,
            written: old != rrsets,
            differences: zonefile::diff(&old, &rrsets),
            unreadable: Vec::new(),
            leftover: None,
        };
        if !changed.written || self.store.is_dry_run() {
            staging.give_up().await;
            return Ok(Some(changed));
        }
        let wanted = WantedZone {
            settings: present.settings.clone(),
            serial: None,
            rrsets: rrsets.into(),
        };
        let Some((staged, ops)) = staging.stage(&slot, &wanted.rrsets).await? else {
            return Ok(None);
        };
        let mut plan = txn::flip(self.store.prefix(), &slot, &wanted, &staged, true);
        plan.ops.extend(ops);
        plan.compares.extend(below);
        attempts.renew();
        let since = attempts.store().head().await?.store_revision;
        // If this fails, the staged generation stays: nobody serves it, and the switch may still be applied.
        let Some(revision) = attempts.commit(&plan, since).await? else {
            return Ok(None);
        };
        staging
            .switched_from(Some(present.settings.generation))
            .await;
        Ok(Some(Changed {
            revision,
            ..changed
        }))
    }

    /// Checks the prerequisites at the revision at which the zone was read. The switch fails if the zone changes.
    async fn check_prerequisites(&self, present: &ZoneRead) -> Result<(), ChangeError> {
        let update = Update {
            edits: Vec::new(),
            ..self.update.clone()
        };
        let store = self.store.with_fresh_timeout();
        let (prefix, as_of) = (store.prefix(), Some(present.as_of));
        let mut reads = Reads::default();
        loop {
            match txn::update(prefix, &reads, None, &update) {
                Ok(_) => return Ok(()),
                Err(NoPlan::Read(gets)) => reads.add(store.fetch(&gets, as_of).await?),
                Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
                Err(NoPlan::Unreadable(key)) => return Err(StoreError::Unreadable(key).into()),
            }
        }
    }

    /// Checks that no zone below hides what the update adds. Returns the comparison that keeps it so.
    async fn below(
        &self,
        present: &ZoneRead,
        content: &Rrsets,
        old: &Rrsets,
    ) -> Result<Option<Compare>, ChangeError> {
        if self.hide {
            return Ok(None);
        }
        let children = self.store.children(self.apex, present.as_of).await?;
        txn::check_below(self.apex, &children, content, Some(old))?;
        Ok(Some(Compare::NotWrittenSince {
            range: self.store.prefix().zones_below(self.apex),
            revision: present.as_of,
        }))
    }
}
