//! Stages a zone's content as a generation that nobody serves yet, until one transaction switches to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::ChangeError;
use super::commit::Committed;
use crate::client::connect::{Store, StoreError};
use crate::model::rules::Violation;
use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype};
use crate::txn::{self, Behind, Op, Plan, Refusal, Slot, Staged, ZoneRead};

/// Number of batches in flight.
const PARALLEL: usize = 8;

/// Called with the number of RRsets written so far.
pub type Progress<'a> = &'a (dyn Fn(usize) + Send + Sync);

/// What a change of a zone has staged so far.
pub(super) struct Staging<'a> {
    store: &'a Store,
    apex: &'a Name,
    progress: Progress<'a>,
    /// What may be switched to.
    content: Option<StagedContent>,
    /// Abandoned generations that may be left in the store, with the reason.
    left: Vec<(u64, StoreError)>,
}

/// A staged generation, for one state of the zone's settings.
struct StagedContent {
    staged: Staged,
    zone_revision: i64,
    rrsets: Arc<Rrsets>,
}

impl<'a> Staging<'a> {
    pub(super) fn new(store: &'a Store, apex: &'a Name, progress: Progress<'a>) -> Self {
        Staging {
            store,
            apex,
            progress,
            content: None,
            left: Vec::new(),
        }
    }

    /// Takes the generation of an earlier try, if it can still be switched to, and stages this content otherwise. Returns the
    /// generation, and the changes that lead from it to the content. None if the zone changes meanwhile.
    pub(super) async fn stage(
        &mut self,
        slot: &Slot,
        rrsets: &Arc<Rrsets>,
    ) -> Result<Option<(Staged, Behind)>, ChangeError> {
        if let Some(content) = &self.content {
            let store = self.store.with_fresh_timeout();
            let is_fit = content.zone_revision == slot.zone_revision();
            if is_fit && store.holds(&content.staged).await? {
                let behind = txn::behind(&content.rrsets, rrsets);
                return Ok(Some((content.staged.clone(), behind)));
            }
            self.give_up().await;
        }
        let claimed = self.store.claim(slot, rrsets, &mut self.left).await?;
        let Some(staged) = claimed else {
            return Ok(None);
        };
        self.content = Some(StagedContent {
            staged: staged.clone(),
            zone_revision: slot.zone_revision(),
            rrsets: rrsets.clone(),
        });
        if self
            .store
            .fill(slot, rrsets, &staged, self.progress)
            .await?
        {
            return Ok(Some((staged, Behind::new())));
        }
        self.give_up().await;
        Ok(None)
    }

    /// Brings a staged generation up to date with this content. Returns what is to be written to it together with the
    /// switch, which is all of `behind`, or nothing. None if the zone changes meanwhile.
    pub(super) async fn catch_up(
        &mut self,
        slot: &Slot,
        staged: &Staged,
        behind: &mut Behind,
        rrsets: &Arc<Rrsets>,
    ) -> Result<Option<Vec<Op>>, ChangeError> {
        let mut plans = txn::catch_up(self.store.prefix(), slot, staged.generation, behind);
        if plans.len() <= 1 {
            return Ok(Some(plans.pop().map_or_else(Vec::new, |plan| plan.ops)));
        }
        for plan in plans {
            if !self
                .store
                .with_fresh_timeout()
                .put_repeatedly(&plan)
                .await?
            {
                return Ok(None);
            }
        }
        if let Some(content) = &mut self.content {
            content.rrsets = rrsets.clone();
        }
        behind.clear();
        Ok(Some(Vec::new()))
    }

    /// Deletes a staged generation that can no longer be switched to.
    pub(super) async fn give_up(&mut self) {
        if let Some(StagedContent { staged, .. }) = self.content.take() {
            let generation = staged.generation;
            let swept = self.store.sweep(self.apex, |other| other == generation);
            self.left
                .extend(swept.await.err().map(|why| (generation, why)));
        }
    }

    /// Cleans up after a switch from this zone with this content, when nobody writes to it any more: archives the content,
    /// and deletes all unserved generations of this change. Later generations may belong to others.
    pub(super) async fn switched_from(&mut self, replaced: Option<(&ZoneRead, Option<&Rrsets>)>) {
        self.content = None;
        let left = self.left.drain(..).map(|(generation, _)| generation);
        let mut gone: BTreeSet<u64> = left.collect();
        let mut failed = None;
        if let Some((ZoneRead { settings, .. }, content)) = replaced {
            let (generation, kept) = (settings.generation, settings.journal_archives());
            gone.insert(generation);
            if let Some(content) = content {
                let archived = self.store.archive(self.apex, generation, content, kept);
                failed = archived.await.err().map(|why| (generation, why));
            }
        }
        // What could not be archived stays where it was.
        gone.retain(|generation| {
            failed
                .as_ref()
                .is_none_or(|(failed, _)| failed != generation)
        });
        self.left.extend(failed);
        let Some(first) = gone.first() else { return };
        let swept = self.store.sweep(self.apex, |other| gone.contains(&other));
        self.left.extend(swept.await.err().map(|why| (*first, why)));
    }

    /// Why unserved records may be left in the store.
    pub(super) fn leftover(&mut self) -> Option<StoreError> {
        self.left.pop().map(|(_, why)| why)
    }

    /// Cleans up after a change that failed.
    pub(super) async fn failed(&mut self, error: ChangeError) -> ChangeError {
        // A failing store cannot delete either, and may still apply the switch to what is staged.
        if let ChangeError::Refused(_) | ChangeError::Conflict { .. } = error {
            self.give_up().await;
        }
        match self.content.is_none() && self.left.is_empty() {
            true => error,
            false => ChangeError::LeftStaged(Box::new(error), self.apex.clone()),
        }
    }
}

impl Store {
    /// Whether a staged generation is still in the store, judged by its first key.
    async fn holds(&self, staged: &Staged) -> Result<bool, StoreError> {
        let (_, values) = self
            .get_all(std::slice::from_ref(&staged.first), None)
            .await?;
        Ok(values
            .into_iter()
            .flatten()
            .any(|item| item.mod_revision == staged.revision))
    }

    /// Starts a generation that nobody serves, by writing its first batch. None if the zone changes meanwhile.
    /// Generations that may have been started and are abandoned are added to `left`.
    async fn claim(
        &self,
        slot: &Slot,
        rrsets: &Rrsets,
        left: &mut Vec<(u64, StoreError)>,
    ) -> Result<Option<Staged>, ChangeError> {
        let (apex, present) = (&slot.apex, slot.present.as_ref());
        // Only for its deadline: each batch has a timeout of its own.
        let first_step = self.with_fresh_timeout();
        let mut generation = slot.revision.unsigned_abs();
        loop {
            generation += 1;
            let mut plans = txn::stage(self.prefix(), apex, present, generation, rrsets);
            let Some(first) = plans.next() else {
                return Err(Refusal::Rule(Violation::Missing(apex.clone(), Rtype::NS)).into());
            };
            match self.with_fresh_timeout().commit(&first, &[]).await {
                Ok(Committed::At(revision)) => {
                    return Ok(Some(Staged {
                        generation,
                        first: first_key(&first),
                        revision,
                    }));
                }
                Ok(Committed::Lost(_)) => {
                    let (_, now) = self.with_fresh_timeout().zone(apex).await?;
                    if now.map_or(0, |now| now.revision) != slot.zone_revision() {
                        return Ok(None);
                    }
                }
                Err(error @ (StoreError::Unreachable(_) | StoreError::Full)) => {
                    // The batch may have been applied, or may be applied later; nobody serves it. Or the generation is
                    // somebody else's. So start another one.
                    left.push((generation, error.clone()));
                    if first_step.is_late() || matches!(error, StoreError::Full) {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes the rest of a generation. False if the zone changes meanwhile.
    async fn fill(
        &self,
        slot: &Slot,
        rrsets: &Rrsets,
        staged: &Staged,
        progress: Progress<'_>,
    ) -> Result<bool, StoreError> {
        let (apex, present) = (&slot.apex, slot.present.as_ref());
        let mut plans = txn::stage(self.prefix(), apex, present, staged.generation, rrsets);
        let mut written = plans.next().map_or(0, |first| first.ops.len());
        progress(written);
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < PARALLEL
                && let Some(plan) = plans.next()
            {
                let (store, count) = (self.clone(), plan.ops.len());
                under_way.spawn(async move {
                    let done = store.with_fresh_timeout().put_repeatedly(&plan).await?;
                    Ok::<_, StoreError>(done.then_some(count))
                });
            }
            let Some(done) = under_way.join_next().await else {
                return Ok(true);
            };
            // The batches in flight compare the same settings, so they fail, too.
            let Some(count) = done?? else {
                return Ok(false);
            };
            written += count;
            progress(written);
        }
    }

    /// Commits a plan that may be sent, and applied, more than once. Returns false if a comparison fails.
    pub(super) async fn put_repeatedly(&self, plan: &Plan) -> Result<bool, StoreError> {
        loop {
            match self.commit(plan, &[]).await {
                Ok(done) => return Ok(matches!(done, Committed::At(_))),
                Err(StoreError::Unreachable(_)) if !self.is_late() => {
                    tokio::time::sleep(std::time::Duration::from_millis(50 + fastrand::u64(..100)))
                        .await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The first key that a plan writes.
fn first_key(plan: &Plan) -> Vec<u8> {
    match plan.ops.first() {
        Some(Op::Put { key, .. } | Op::PutLeased { key, .. } | Op::Delete { key }) => key.clone(),
        Some(Op::DeleteRange { range }) => range.start.clone(),
        None => Vec::new(),
    }
}
