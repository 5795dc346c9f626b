//! Reads several keys in one transaction.

use etcd_client::{GetOptions, Txn, TxnOp, TxnOpResponse};

use crate::client::connect::{Store, StoreError, header, key_value, kv_client};
use crate::mirror::{Header, KeyValue};
use crate::schema::Key;

/// The newest revisions when a linearizable read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The revision of the last transaction on our keys; 0 if there was none.
    pub revision: i64,
    /// The revision of the whole store, which others may write to, too.
    pub store_revision: i64,
    /// The cluster these revisions belong to.
    pub cluster_id: u64,
}

impl Store {
    /// Reads several keys in one transaction, at a revision if one is given. Returns the response's header and the
    /// value of each key that exists.
    pub(crate) async fn get_all(
        &self,
        keys: &[Vec<u8>],
        revision: Option<i64>,
    ) -> Result<(Header, Vec<Option<KeyValue>>), StoreError> {
        let options = revision.map(|revision| GetOptions::new().with_revision(revision));
        let gets: Vec<TxnOp> = keys
            .iter()
            .map(|key| TxnOp::get(key.clone(), options.clone()))
            .collect();
        let (header, found) = self.get_at_once(gets).await?;
        let first = |items: Vec<KeyValue>| items.into_iter().next();
        Ok((header, found.into_iter().map(first).collect()))
    }

    /// Does several reads in one transaction. Returns the response's header and the keys that each read found.
    pub(crate) async fn get_at_once(
        &self,
        gets: Vec<TxnOp>,
    ) -> Result<(Header, Vec<Vec<KeyValue>>), StoreError> {
        let txn = Txn::new().and_then(gets);
        let response = self
            .read(|client| {
                let txn = txn.clone();
                async move { kv_client(&client).txn(txn).await }
            })
            .await?;
        let responses = response.op_responses().into_iter();
        let found = responses.map(|response| match response {
            TxnOpResponse::Get(mut got) => got.take_kvs().into_iter().map(key_value).collect(),
            _ => Vec::new(),
        });
        Ok((header(response.header()), found.collect()))
    }

    /// Reads the newest revisions linearizably.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let (header, values) = self
            .get_all(&[self.prefix().encode(&Key::Head)], None)
            .await?;
        let head = values.into_iter().flatten().next();
        Ok(Head {
            revision: head.map_or(0, |head| head.mod_revision),
            store_revision: header.revision,
            cluster_id: header.cluster_id,
        })
    }
}
