//! Writes a generation that nobody serves yet.

use tokio::task::JoinSet;

use super::ChangeError;
use super::commit::Committed;
use crate::client::connect::{Store, StoreError};
use crate::model::Rtype;
use crate::model::rules::Violation;
use crate::model::zonefile::Rrsets;
use crate::txn::{self, Op, Plan, Refusal, Slot, Staged};

/// Number of batches in flight.
const PARALLEL: usize = 8;

/// Called with the number of RRsets written so far.
pub type Progress<'a> = &'a (dyn Fn(usize) + Send + Sync);

impl Store {
    /// Whether a staged generation is still in the store, judged by its first key.
    pub(super) async fn holds(&self, staged: &Staged) -> Result<bool, StoreError> {
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
    pub(super) async fn claim(
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
                Err(error @ StoreError::Unreachable(_)) => {
                    // The batch may have been applied, or may be applied later; nobody serves it. Or the generation is
                    // somebody else's. So start another one.
                    left.push((generation, error.clone()));
                    if first_step.is_late() {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes the rest of a generation. False if the zone changes meanwhile.
    pub(super) async fn fill(
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
                    let done = store.with_fresh_timeout().put_staged(&plan).await?;
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

    /// Writes a batch. Nobody else writes to a staged generation, so it may be sent repeatedly. Returns false if the
    /// zone has changed.
    async fn put_staged(&self, plan: &Plan) -> Result<bool, StoreError> {
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
        Some(Op::Put { key, .. } | Op::Delete { key }) => key.clone(),
        Some(Op::DeleteRange { range }) => range.start.clone(),
        None => Vec::new(),
    }
}
