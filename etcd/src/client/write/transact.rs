//! Changes in one round: read nearby, commit with comparisons, and plan again from what a lost transaction returns.
//!
//! The nearest member's copy may be old. That is enough to plan from, because the transaction compares what the plan
//! depends on. It is not enough to refuse a change, or to find it unnecessary: before that, the same is read
//! linearizably. Where a comparison fails, the transaction returns what it was planned from as it is now. So a change
//! takes one round of consensus, and one more each time that it is outrun.

use super::ChangeError;
use super::attempts::{Attempts, Tried};
use crate::client::connect::Store;
use crate::client::connect::StoreError;
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
    /// Makes the change at a name that the planner plans. No plan means that nothing has to change.
    pub(super) async fn transact<T>(
        &self,
        name: &Name,
        planner: impl Fn(&Reads) -> Result<(Option<Plan>, T), NoPlan>,
    ) -> Result<Transacted<T>, ChangeError> {
        let head = Get::key(self.prefix(), &Key::Head);
        let mut attempts = Attempts::new(self, name);
        let (mut reads, mut is_current) = (Reads::default(), false);
        loop {
            let store = attempts.store();
            match planner(&reads) {
                Err(NoPlan::Read(mut gets)) => {
                    let revision = match reads.is_empty() {
                        true => {
                            gets.push(head.clone());
                            None
                        }
                        false => Some(reads.revision()),
                    };
                    let more = match is_current {
                        true => store.fetch(&gets, revision).await,
                        false => store.nearest().fetch(&gets, revision).await,
                    };
                    match more {
                        Ok(more) => reads.add(more),
                        Err(StoreError::Compacted) if !store.is_late() => reads = Reads::default(),
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok((Some(plan), report)) if is_current || !self.is_dry_run() => {
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
                        Tried::Lost(anew) => (is_current, reads) = (!anew.is_empty(), anew),
                    }
                }
                _ if !is_current => {
                    reads = store.fetch(&reads.gets(), None).await?;
                    is_current = true;
                }
                Ok((_, report)) => {
                    let [last] = reads.all([std::slice::from_ref(&head)]).unwrap_or_default();
                    let last = last.into_iter().flatten().next();
                    return Ok(Transacted {
                        revision: last.map_or(0, |last| last.mod_revision),
                        written: false,
                        report,
                    });
                }
                Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
                Err(NoPlan::Unreadable(key)) => return Err(StoreError::Unreadable(key).into()),
            }
        }
    }
}
