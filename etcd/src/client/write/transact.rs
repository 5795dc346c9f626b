//! Changes in one round of consensus: read, commit with comparisons, and plan again from what a transaction whose
//! comparisons fail returns.
//!
//! The reads are serializable: the member in use answers them from its own copy, which may be old. That is enough to plan
//! from, because the transaction compares what the plan depends on. It is not enough to refuse a change, to find it
//! unnecessary, or for a dry run: before that, the same is read linearizably. Where a comparison fails, the transaction
//! returns what it was planned from as it is now. So a change takes one round of consensus, and one more each time that
//! others were first or the copy was old.

use super::ChangeError;
use super::attempts::{Attempts, Tried};
use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::schema::Key;
use crate::txn::{Get, NoPlan, OPS_MAX, Plan, Reads};

/// A change that is made, or that was not necessary.
pub(super) struct Transacted<T> {
    /// The revision of the change, or of the last one if nothing had to change.
    pub(super) revision: i64,
    /// Whether anything was written; in a dry run, whether anything would be.
    pub(super) written: bool,
    /// What the planner says about it.
    pub(super) report: T,
}

impl Store {
    /// Makes the change that the planner plans; `name` is for messages. No plan means that nothing has to change.
    pub(super) async fn transact<T>(
        &self,
        name: &Name,
        planner: impl Fn(&Reads) -> Result<(Option<Plan>, T), NoPlan>,
    ) -> Result<Transacted<T>, ChangeError> {
        let head = Get::key(self.prefix(), &Key::Head);
        let mut attempts = Attempts::new(self, name);
        let (mut reads, mut is_current) = (Reads::default(), false);
        loop {
            if reads.gets().len() > OPS_MAX {
                // To plan so much has used up time.
                attempts.renew();
            }
            let stamp = attempts.stamp();
            let store = attempts.store();
            let planned = planner(&reads).and_then(|(plan, report)| {
                let plan = plan.map(|plan| plan.recorded(self.prefix(), &reads, &stamp));
                Ok((plan.transpose()?, report))
            });
            let more = match planned {
                Err(NoPlan::Read(mut gets)) => {
                    let revision = reads.pinned();
                    if reads.is_empty() && !gets.contains(&head) {
                        gets.push(head.clone());
                    }
                    match is_current {
                        true => store.fetch(&gets, revision).await,
                        false => store.fetch_serializable(&gets, revision).await,
                    }
                }
                Ok((Some(plan), report)) if is_current || !self.is_dry_run() => {
                    if reads.gets().len() > OPS_MAX {
                        attempts.renew();
                    }
                    // A very long name needs more reads than a transaction takes. Then it returns nothing, and they are read again.
                    let gets = Some(reads.gets()).filter(|gets| gets.len() <= OPS_MAX);
                    let gets = gets.unwrap_or_default();
                    match attempts.attempt(&plan, reads.revision(), &gets).await? {
                        Tried::Done(revision) => {
                            return Ok(Transacted {
                                revision,
                                written: true,
                                report,
                            });
                        }
                        // The copy of the member in use may be old.
                        Tried::Lost(now) => (is_current, reads) = (true, now),
                    }
                    continue;
                }
                _ if !is_current => {
                    is_current = true;
                    let gets = std::mem::take(&mut reads).gets();
                    store.fetch(&gets, None).await
                }
                Ok((_, report)) => {
                    let last = reads.key(self.prefix(), &Key::Head).ok().flatten();
                    return Ok(Transacted {
                        revision: last.map_or(0, |last| last.mod_revision),
                        written: false,
                        report,
                    });
                }
                Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
                Err(NoPlan::Unreadable(key)) => return Err(StoreError::Unreadable(key).into()),
            };
            match more {
                Ok(more) => reads.add(more),
                // The revision of the first reads is gone.
                Err(StoreError::Compacted) if !store.is_late() => reads = Reads::default(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
