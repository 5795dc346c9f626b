//! Commits plans as etcd transactions.

use etcd_client::{Compare, CompareOp, DeleteOptions, PutOptions, Txn, TxnOp};

use crate::client::connect::{Store, StoreError, kv_client};
use crate::client::read::{found, to_op};
use crate::txn::{self, Get, Op, Plan, Reads};

/// The result of a commit.
#[derive(Debug)]
pub(super) enum Committed {
    /// Applied, at this revision.
    At(i64),
    /// A comparison failed; nothing was written. Has what was read instead.
    Lost(Reads),
}

impl Store {
    /// Sends a plan once, and reads `gets` if one of its comparisons fails. An error leaves open whether it was applied.
    pub(super) async fn commit(&self, plan: &Plan, gets: &[Get]) -> Result<Committed, StoreError> {
        let gets_again = gets.iter().map(|get| to_op(get, None, false));
        let txn = to_txn(plan).or_else(gets_again.collect::<Vec<_>>());
        let response = self.once(|client| {
            let txn = txn.clone();
            async move { kv_client(&client).txn(txn).await }
        });
        let response = response.await?;
        let revision = response.header().map_or(0, |header| header.revision());
        Ok(if response.succeeded() {
            Committed::At(revision)
        } else {
            let found = gets.iter().cloned().zip(found(&response));
            Committed::Lost(Reads::at(revision, found))
        })
    }
}

fn to_txn(plan: &Plan) -> Txn {
    let compares: Vec<Compare> = plan
        .compares
        .iter()
        .map(|compare| match compare {
            txn::Compare::Unchanged { key, revision } => {
                Compare::mod_revision(key.clone(), CompareOp::Equal, *revision)
            }
            txn::Compare::NotWrittenSince { range, revision } => {
                Compare::mod_revision(range.start.clone(), CompareOp::Less, revision + 1)
                    .with_range(range.end.clone())
            }
        })
        .collect();
    let ops: Vec<TxnOp> = plan
        .ops
        .iter()
        .map(|op| match op {
            Op::Put { key, value } => TxnOp::put(key.clone(), value.clone(), None),
            Op::PutLeased { key, value, lease } => {
                let options = PutOptions::new().with_lease(*lease);
                TxnOp::put(key.clone(), value.clone(), Some(options))
            }
            Op::Delete { key } => TxnOp::delete(key.clone(), None),
            Op::DeleteRange { range } => TxnOp::delete(
                range.start.clone(),
                Some(DeleteOptions::new().with_range(range.end.clone())),
            ),
        })
        .collect();
    Txn::new().when(compares).and_then(ops)
}
