//! Stages all of a zone, then switches to it.

use std::borrow::Cow;

use super::super::ChangeError;
use super::super::attempts::Attempts;
use super::prepare::Prepared;
use super::{Import, Imported, differences};
use crate::txn::{self, Slot, ZoneRead};

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
        let Some((staged, mut behind)) = self.staging.stage(slot, rrsets).await? else {
            return Ok(None);
        };
        let caught_up = self.staging.catch_up(slot, &staged, &mut behind, rrsets);
        let Some(ops) = caught_up.await? else {
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
        plan.ops.extend(ops);
        prepared.parent_changes.add_to(&mut plan);
        attempts.renew();
        let since = attempts.store().head().await?.store_revision;
        // If this fails, the staged generation stays: nobody serves it, and the switch may still be applied.
        let Some(revision) = attempts.commit(&plan, since).await? else {
            return Ok(None);
        };
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
        let replaced = slot
            .present
            .as_ref()
            .map(|present| (present, old.as_deref()));
        self.staging.switched_from(replaced).await;
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
}
