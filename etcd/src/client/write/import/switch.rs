//! Stages all of a zone, then switches to it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::ChangeError;
use super::super::attempts::Attempts;
use super::prepare::Prepared;
use super::{Import, Imported, differences};
use crate::model::zonefile::Rrsets;
use crate::txn::{self, Slot, Staged, ZoneRead};

/// A generation staged for one state of the zone's settings.
pub(super) struct StagedContent {
    staged: Staged,
    zone_revision: i64,
    moved: Rrsets,
}

impl Import<'_> {
    /// Stages the content and switches to it. None if the zone changes meanwhile.
    pub(super) async fn switch(
        &mut self,
        slot: &Slot,
        prepared: &Prepared,
        attempts: &mut Attempts<'_>,
        imported: Imported,
    ) -> Result<Option<Imported>, ChangeError> {
        let rrsets = &prepared.wanted.rrsets;
        let Some(staged) = self.stage(slot, prepared).await? else {
            return Ok(None);
        };
        let is_exact = self.how.exported.is_some();
        let mut plan = txn::flip(
            self.store.prefix(),
            slot,
            &prepared.wanted,
            &staged,
            is_exact,
        );
        prepared.parent_changes.add_to(&mut plan);
        attempts.renew();
        let since = attempts.store().head().await?.store_revision;
        // If this fails, the staged generation stays: nobody serves it, and the switch may still be applied.
        let Some(revision) = attempts.commit(&plan, since).await? else {
            return Ok(None);
        };
        self.staged = None;
        let mut old = None;
        if let Some(present) = &slot.present {
            // The replaced content includes everything that others wrote until then.
            let before = ZoneRead {
                as_of: revision - 1,
                ..present.clone()
            };
            let before = self.store.content(&before).await;
            old = before.ok().and_then(Result::ok).map(Cow::Owned);
            old = old.or(prepared.old.as_ref().map(Cow::Borrowed));
        }
        let present = slot.present.as_ref();
        self.clean_up(present.map(|present| present.settings.generation))
            .await;
        Ok(Some(Imported {
            revision,
            written: rrsets.len(),
            deleted: old.as_deref().map_or(0, |old| {
                old.keys().filter(|key| !rrsets.contains_key(key)).count()
            }),
            differences: differences(old.as_deref(), rrsets),
            ..imported
        }))
    }

    /// Stages the content, unless it is still staged from an earlier try. None if the zone changes meanwhile.
    async fn stage(
        &mut self,
        slot: &Slot,
        prepared: &Prepared,
    ) -> Result<Option<Staged>, ChangeError> {
        if let Some(content) = &self.staged {
            let is_fit = content.zone_revision == slot.zone_revision()
                && content.moved == prepared.parent_changes.moved;
            if is_fit
                && self
                    .store
                    .with_fresh_timeout()
                    .holds(&content.staged)
                    .await?
            {
                return Ok(Some(content.staged.clone()));
            }
            self.give_up_staged().await;
        }
        let rrsets = &prepared.wanted.rrsets;
        let claimed = self.store.claim(slot, rrsets, &mut self.left).await?;
        let Some(staged) = claimed else {
            return Ok(None);
        };
        self.staged = Some(StagedContent {
            staged: staged.clone(),
            zone_revision: slot.zone_revision(),
            moved: prepared.parent_changes.moved.clone(),
        });
        if self
            .store
            .fill(slot, rrsets, &staged, self.progress)
            .await?
        {
            return Ok(Some(staged));
        }
        self.give_up_staged().await;
        Ok(None)
    }

    /// Deletes a staged generation that can no longer be switched to.
    pub(super) async fn give_up_staged(&mut self) {
        if let Some(StagedContent { staged, .. }) = self.staged.take() {
            let generation = staged.generation;
            let swept = self.store.sweep(self.apex, |other| other == generation);
            self.left
                .extend(swept.await.err().map(|why| (generation, why)));
        }
    }

    /// Deletes the unserved generations after a switch, when nobody writes to them any more. Later generations may
    /// belong to other imports in progress.
    async fn clean_up(&mut self, replaced: Option<u64>) {
        let left = self.left.drain(..).map(|(generation, _)| generation);
        let gone: BTreeSet<u64> = left.chain(replaced).collect();
        let Some(first) = gone.first() else { return };
        let swept = self.store.sweep(self.apex, |other| gone.contains(&other));
        self.left.extend(swept.await.err().map(|why| (*first, why)));
    }
}
