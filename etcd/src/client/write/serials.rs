//! Raises the serials of many zones at a time.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::ChangeError;
use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::txn::{self, Raise, Reads};

/// Number of zones in a transaction, which writes three keys for each.
const RAISED_AT_ONCE: usize = 39;

/// Number of transactions in flight.
const PARALLEL: usize = 8;

/// A zone that was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The zone.
    pub zone: Name,
    /// Its new serial.
    pub serial: u32,
    /// The revision of the change.
    pub revision: i64,
}

impl Store {
    /// Raises the serials of zones. `told` receives what is done, also before an error. A zone that no longer exists,
    /// or that somebody else has raised far enough, is left out.
    pub async fn raise_serials(
        &self,
        raises: Vec<Raise>,
        mut told: impl FnMut(Vec<Raised>),
    ) -> Result<(), ChangeError> {
        let mut batches = raises.chunks(RAISED_AT_ONCE);
        let mut under_way: VecDeque<JoinHandle<Result<Vec<Raised>, ChangeError>>> = VecDeque::new();
        let mut failed = None;
        loop {
            while failed.is_none() && under_way.len() < PARALLEL {
                let Some(batch) = batches.next() else { break };
                let (store, batch) = (self.clone(), batch.to_vec());
                under_way.push_back(tokio::spawn(async move { store.raise(&batch).await }));
            }
            let Some(task) = under_way.pop_front() else {
                return failed.map_or(Ok(()), Err);
            };
            let ended = task.await;
            match ended.unwrap_or_else(|error| Err(StoreError::from(error).into())) {
                Ok(raised) => told(raised),
                // Wait for the transactions in flight, to report what they do.
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
    }

    /// Raises the zones of one transaction.
    async fn raise(&self, batch: &[Raise]) -> Result<Vec<Raised>, ChangeError> {
        let Some((first, _)) = batch.first() else {
            return Ok(Vec::new());
        };
        let names: Vec<Name> = batch.iter().map(|(zone, _)| zone.clone()).collect();
        let planner = |reads: &Reads| {
            let keys = reads.zone_keys(self.prefix(), &names)?;
            let as_of = reads.revision();
            Ok(txn::raise_serials(self.prefix(), batch, &keys, as_of))
        };
        let done = self.transact(first, planner).await?;
        let raised = done.report.into_iter().map(|read| Raised {
            serial: read.settings.serial(done.revision),
            zone: read.apex,
            revision: done.revision,
        });
        Ok(raised.collect())
    }
}
