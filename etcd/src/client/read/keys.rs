//! Reads several ranges of keys at one revision.

use etcd_client::{GetOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, TxnResponse};

use crate::client::connect::{Store, StoreError, header, key_value, kv_client};
use crate::mirror::{Header, Newest};
use crate::schema::{Key, KeyValue};
use crate::txn::{Found, Get, OPS_MAX, Reads};

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
        let key = |key: &Vec<u8>| Get {
            start: key.clone(),
            end: Vec::new(),
            limit: 0,
            keys_only: false,
            after: 0,
            oldest_first: false,
        };
        let gets: Vec<Get> = keys.iter().map(key).collect();
        let (header, found) = self.get_at_once(&gets, revision).await?;
        let first = |found: Found| found.items.into_iter().next();
        Ok((header, found.into_iter().map(first).collect()))
    }

    /// Reads these ranges at one revision: at this one if given, otherwise at the newest that the member has.
    pub(crate) async fn fetch(
        &self,
        gets: &[Get],
        mut revision: Option<i64>,
    ) -> Result<Reads, StoreError> {
        let mut reads = Reads::default();
        let is_one = gets.len() <= OPS_MAX;
        for gets in gets.chunks(OPS_MAX) {
            // Each of several is a step.
            let store = if is_one {
                self.clone()
            } else {
                self.with_fresh_timeout()
            };
            let (header, found) = store.get_at_once(gets, revision).await?;
            let revision = *revision.get_or_insert(header.revision);
            reads.add(Reads::at(revision, gets.iter().cloned().zip(found)));
        }
        Ok(reads)
    }

    /// The same from the copy of the member in use, which may be old; linearizably if that does not have the revision, or
    /// does not know of a permission.
    pub(crate) async fn fetch_serializable(
        &self,
        gets: &[Get],
        revision: Option<i64>,
    ) -> Result<Reads, StoreError> {
        match self.serializable().fetch(gets, revision).await {
            Err(StoreError::Behind(_) | StoreError::Denied(_)) => self.fetch(gets, revision).await,
            other => other,
        }
    }

    /// Does several reads in one transaction. Returns the response's header and the keys that each read found.
    pub(super) async fn get_at_once(
        &self,
        gets: &[Get],
        revision: Option<i64>,
    ) -> Result<(Header, Vec<Found>), StoreError> {
        let ops = gets
            .iter()
            .map(|get| to_op(get, revision, self.serializable));
        let txn = Txn::new().and_then(ops.collect::<Vec<_>>());
        let response = self
            .read(|client| {
                let txn = txn.clone();
                async move { kv_client(&client).txn(txn).await }
            })
            .await?;
        Ok((header(response.header()), found(&response).collect()))
    }

    /// Reads the newest revisions linearizably.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let gets = [Get::key(self.prefix(), &Key::Head)];
        let (header, found) = self.get_at_once(&gets, None).await?;
        Ok(Head::of(header, &found))
    }

    /// Reads what a copy must have to lack nothing, linearizably. Also returns the cluster.
    pub async fn newest(&self) -> Result<(u64, Newest), StoreError> {
        let leased = Get {
            // The count is that of all of them.
            keys_only: true,
            ..Get::range(self.prefix().leased(), 1)
        };
        let gets = [Get::key(self.prefix(), &Key::Head), leased];
        let (header, found) = self.get_at_once(&gets, None).await?;
        let newest = Newest {
            head: Head::of(header, &found).revision,
            store: header.revision,
            leased: found.get(1).map_or(0, |found| found.count),
        };
        Ok((header.cluster_id, newest))
    }
}

impl Head {
    /// `found` has the head key first.
    fn of(header: Header, found: &[Found]) -> Self {
        let head = found.first().and_then(|found| found.items.first());
        Head {
            revision: head.map_or(0, |head| head.mod_revision),
            store_revision: header.revision,
            cluster_id: header.cluster_id,
        }
    }
}

/// A read as an operation of a transaction.
pub(crate) fn to_op(get: &Get, revision: Option<i64>, serializable: bool) -> TxnOp {
    let mut options = GetOptions::new()
        .with_limit(get.limit)
        .with_revision(revision.unwrap_or(0));
    if !get.end.is_empty() {
        options = options.with_range(get.end.clone());
    }
    if get.after > 0 {
        options = options.with_min_mod_revision(get.after + 1);
    }
    if get.oldest_first {
        options = options.with_sort(SortTarget::Mod, SortOrder::Ascend);
    }
    if get.keys_only {
        options = options.with_keys_only();
    }
    if serializable {
        options = options.with_serializable();
    }
    TxnOp::get(get.start.clone(), Some(options))
}

/// What each read of a transaction found.
pub(crate) fn found(response: &TxnResponse) -> impl Iterator<Item = Found> {
    let responses = response.op_responses().into_iter();
    responses.map(|response| match response {
        TxnOpResponse::Get(mut got) => Found {
            count: usize::try_from(got.count()).unwrap_or(0),
            version: got.kvs().first().map_or(0, |first| first.version()),
            items: got.take_kvs().into_iter().map(key_value).collect(),
        },
        _ => Found::default(),
    })
}
