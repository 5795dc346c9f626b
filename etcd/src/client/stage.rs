//! Writing a generation that nobody serves yet.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::import::Progress;
use super::store::Committed;
use super::{ChangeError, Store, StoreError};
use crate::model::zonefile::Rrsets;
use crate::txn::{self, Op, Plan, Refusal, Slot, Staged};

/// How many batches are under way at once.
const PARALLEL: usize = 8;

impl Store {
    /// Whether a staged generation is still there from its first key on.
    pub(super) async fn holds(&self, staged: &Staged) -> Result<bool, StoreError> {
        let (_, values) = self
            .get_all(std::slice::from_ref(&staged.first), None)
            .await?;
        Ok(values
            .into_iter()
            .flatten()
            .any(|item| item.mod_revision == staged.revision))
    }

    /// Writes a generation that nobody serves. Nothing where the zone changes meanwhile.
    pub(super) async fn stage(
        &self,
        slot: &Slot,
        rrsets: &Rrsets,
        progress: Progress<'_>,
    ) -> Result<Option<Staged>, ChangeError> {
        let (apex, present) = (&slot.apex, slot.present.as_ref());
        let mut generation = slot.revision.unsigned_abs() + 1;
        let first_step = self.anew();
        loop {
            let mut plans = txn::stage(self.prefix(), apex, present, generation, rrsets);
            let Some(first) = plans.next() else {
                return Err(Refusal::Content(format!("the zone {apex} would be empty")).into());
            };
            let committed = match self.anew().commit(&first).await {
                Err(StoreError::Unreachable(_)) if !first_step.is_late() => {
                    // It may have been done, or be done yet, and serves nobody; or the generation is somebody else's.
                    // So another one is begun, and this one left to `zone clean`.
                    generation += 1;
                    continue;
                }
                committed => committed?,
            };
            match committed {
                Committed::Lost => {
                    let (_, now) = self.anew().zone(apex).await?;
                    if now.map_or(0, |now| now.revision) != slot.zone_revision() {
                        return Ok(None);
                    }
                    generation += 1;
                }
                Committed::At(revision) => {
                    let staged = Staged {
                        generation,
                        first: first_key(&first),
                        revision,
                    };
                    let mut written = first.ops.len();
                    progress(written);
                    let mut under_way: VecDeque<(usize, JoinHandle<Result<bool, StoreError>>)> =
                        VecDeque::new();
                    loop {
                        let next = plans.next();
                        if (next.is_none() || under_way.len() >= PARALLEL)
                            && let Some((count, task)) = under_way.pop_front()
                        {
                            let result = task
                                .await
                                .map_err(|error| StoreError::Other(error.to_string()));
                            if !result.and_then(|result| result)? {
                                // Those that are under way can no more be done than this one.
                                self.sweep(apex, |other| other == generation).await?;
                                return Ok(None);
                            }
                            written += count;
                            progress(written);
                        }
                        match next {
                            Some(plan) => {
                                let (store, count) = (self.clone(), plan.ops.len());
                                under_way.push_back((
                                    count,
                                    tokio::spawn(
                                        async move { store.anew().put_staged(&plan).await },
                                    ),
                                ));
                            }
                            None if under_way.is_empty() => return Ok(Some(staged)),
                            None => {}
                        }
                    }
                }
            }
        }
    }

    /// Nobody else writes to a staged generation, so a batch may be sent as often as it takes. Says whether it was
    /// done: not where the zone has changed.
    async fn put_staged(&self, plan: &Plan) -> Result<bool, StoreError> {
        loop {
            match self.commit(plan).await {
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

/// The first key that a plan of puts writes.
fn first_key(plan: &Plan) -> Vec<u8> {
    match plan.ops.first() {
        Some(Op::Put { key, .. } | Op::Delete { key }) => key.clone(),
        Some(Op::DeleteRange { range }) => range.start.clone(),
        None => Vec::new(),
    }
}
