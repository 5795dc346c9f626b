//! What etcd stores: every key at every revision, and what transactions do to it. Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use etcd_client::proto::{
    PbCompare, PbKeyValue, PbRangeRequest, PbRangeResponse, PbResponseOp, PbTargetUnion,
    PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
};
use tonic::Status;

/// The most operations in a transaction, as in etcd's defaults.
const OPS_MAX: usize = 128;

/// The most octets of a request, as in etcd's defaults.
const OCTETS_MAX: usize = 3 << 19;

/// A larger limit marks a page of a list.
const PAGE_MIN: i64 = 100;

/// A page returns one in so many of the remaining keys, so that short lists have pages too.
const PAGES: usize = 3;

/// A key after a change.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) created: i64,
    pub(crate) modified: i64,
    /// How often it was written since it was created; 0 for a deletion.
    pub(crate) version: i64,
    pub(crate) lease: i64,
    /// None if it was deleted.
    pub(crate) value: Option<Vec<u8>>,
}

/// What one revision changed.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) at: Instant,
    pub(crate) keys: Vec<Vec<u8>>,
}

/// All keys, with their history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    /// That of revision 2 first: an empty store has revision 1.
    commits: Vec<Commit>,
    /// What is older cannot be read.
    pub(crate) compacted: i64,
}

/// The first revision that changes anything.
const FIRST: i64 = 2;

impl Store {
    pub(crate) fn revision(&self) -> i64 {
        self.commits.len() as i64 + FIRST - 1
    }

    /// All revisions that changed something, with what.
    pub(crate) fn commits(&self) -> impl DoubleEndedIterator<Item = (i64, &Commit)> {
        let commits = self.commits.iter().enumerate();
        commits.map(|(index, commit)| (index as i64 + FIRST, commit))
    }

    pub(crate) fn commit(&self, revision: i64) -> Option<&Commit> {
        let index = usize::try_from(revision - FIRST).ok()?;
        self.commits.get(index)
    }

    /// The last revision up to this moment.
    pub(crate) fn revision_at(&self, at: Instant) -> i64 {
        self.commits.partition_point(|commit| commit.at <= at) as i64 + FIRST - 1
    }

    /// A key at a revision.
    pub(crate) fn get(&self, key: &[u8], revision: i64) -> Option<&Version> {
        last(self.keys.get(key)?, revision).filter(|version| version.value.is_some())
    }

    /// What a revision did to a key.
    pub(crate) fn change(&self, key: &[u8], revision: i64) -> Option<&Version> {
        last(self.keys.get(key)?, revision).filter(|version| version.modified == revision)
    }

    /// The keys from one to another, at a revision.
    pub(crate) fn range(
        &self,
        start: &[u8],
        end: &[u8],
        revision: i64,
    ) -> Vec<(&Vec<u8>, &Version)> {
        if end.is_empty() {
            let found = self.keys.get_key_value(start);
            let found = found.and_then(|(key, versions)| Some((key, last(versions, revision)?)));
            return found
                .filter(|(_, version)| version.value.is_some())
                .into_iter()
                .collect();
        }
        if start >= end {
            return Vec::new();
        }
        let range = self.keys.range(start.to_vec()..end.to_vec());
        range
            .filter_map(|(key, versions)| Some((key, last(versions, revision)?)))
            .filter(|(_, version)| version.value.is_some())
            .collect()
    }

    /// Goes back to a revision, as a backup of then does.
    pub(crate) fn restore(&mut self, revision: i64) {
        self.commits.truncate((revision - FIRST + 1) as usize);
        for versions in self.keys.values_mut() {
            versions.retain(|version| version.modified <= revision);
        }
        self.keys.retain(|_, versions| !versions.is_empty());
        self.compacted = self.compacted.min(revision);
    }

    /// Skips some revisions, and compacts what was before.
    pub(crate) fn skip(&mut self, count: i64, at: Instant) {
        let keys = Vec::new();
        let skipped = std::iter::repeat_n(Commit { at, keys }, count as usize);
        self.commits.extend(skipped);
        self.compacted = self.revision();
    }

    /// The keys of a range that were deleted up to a revision, each with when.
    pub(crate) fn deletions(
        &self,
        range: Range<Vec<u8>>,
        until: i64,
    ) -> impl Iterator<Item = (&Vec<u8>, i64)> {
        let keys = self.keys.range(range);
        keys.flat_map(move |(key, versions)| {
            let gone = versions.iter().filter(|version| version.value.is_none());
            let gone = gone.map(|version| version.modified);
            gone.filter(move |at| *at <= until).map(move |at| (key, at))
        })
    }

    /// Deletes keys in a revision of its own.
    pub(crate) fn delete(&mut self, keys: Vec<Vec<u8>>, at: Instant) {
        let mut write = Write::new(self, at);
        for key in keys {
            write.delete(key);
        }
        write.end();
    }

    /// Does what a transaction asks for. Its reads see what was there before; puts and deletions have no response.
    pub(crate) fn txn(
        &mut self,
        txn: &PbTxnRequest,
        at: Instant,
        is_lease: impl Fn(i64) -> bool,
    ) -> Result<(bool, Vec<PbResponseOp>), Status> {
        check(txn)?;
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let ops = match succeeded {
            true => &txn.success,
            false => &txn.failure,
        };
        let mut responses = Vec::new();
        let revision = self.revision();
        for op in ops {
            if let Some(PbTxnOpRequest::RequestRange(range)) = &op.request {
                responses.push(PbResponseOp {
                    response: Some(PbTxnOpResponse::ResponseRange(self.read(range, revision)?)),
                });
            }
        }
        let lacks_lease = ops.iter().any(|op| match &op.request {
            Some(PbTxnOpRequest::RequestPut(put)) => put.lease != 0 && !is_lease(put.lease),
            _ => false,
        });
        if lacks_lease {
            return Err(Status::not_found("etcdserver: requested lease not found"));
        }
        let mut write = Write::new(self, at);
        for op in ops {
            match &op.request {
                Some(PbTxnOpRequest::RequestPut(put)) => {
                    write.put(put.key.clone(), put.value.clone(), put.lease);
                }
                Some(PbTxnOpRequest::RequestDeleteRange(delete)) => {
                    write.delete_range(&delete.key, &delete.range_end);
                }
                _ => {}
            }
        }
        write.end();
        Ok((succeeded, responses))
    }

    /// Answers a transaction that only reads, from what there was at a revision.
    pub(crate) fn read_txn(
        &self,
        txn: &PbTxnRequest,
        revision: i64,
    ) -> Result<(bool, Vec<PbResponseOp>), Status> {
        assert!(txn.compare.is_empty(), "the model compares in writes only");
        let mut responses = Vec::new();
        for op in &txn.success {
            if let Some(PbTxnOpRequest::RequestRange(range)) = &op.request {
                responses.push(PbResponseOp {
                    response: Some(PbTxnOpResponse::ResponseRange(self.read(range, revision)?)),
                });
            }
        }
        Ok((true, responses))
    }

    /// Puts a key.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>, lease: i64, at: Instant) {
        let mut write = Write::new(self, at);
        write.put(key, value, lease);
        write.end();
    }

    fn holds(&self, compare: &PbCompare) -> bool {
        const EQUAL: i32 = 0;
        const GREATER: i32 = 1;
        const LESS: i32 = 2;
        let revision = self.revision();
        let found = self.range(&compare.key, &compare.range_end, revision);
        let Some(PbTargetUnion::ModRevision(wanted)) = compare.target_union else {
            panic!("no such comparison is known: {compare:?}");
        };
        let holds = |modified: i64| match compare.result {
            EQUAL => modified == wanted,
            GREATER => modified > wanted,
            LESS => modified < wanted,
            _ => modified != wanted,
        };
        match found.is_empty() {
            // etcd compares a key that does not exist as one of revision 0.
            true => holds(0),
            false => found.iter().all(|(_, version)| holds(version.modified)),
        }
    }

    /// Answers a read from what there was at a revision, or at the one that it asks for.
    pub(crate) fn read(
        &self,
        range: &PbRangeRequest,
        newest: i64,
    ) -> Result<PbRangeResponse, Status> {
        const ASCENDING: i32 = 1;
        const BY_MOD: i32 = 3;
        let revision = match range.revision {
            0 => newest,
            asked if asked > newest => {
                return Err(Status::out_of_range(
                    "etcdserver: mvcc: required revision is a future revision",
                ));
            }
            asked if asked < self.compacted => {
                return Err(Status::out_of_range(
                    "etcdserver: mvcc: required revision has been compacted",
                ));
            }
            asked => asked,
        };
        let mut found = self.range(&range.key, &range.range_end, revision);
        let count = found.len() as i64;
        found.retain(|(_, version)| version.modified >= range.min_mod_revision);
        if range.sort_order == ASCENDING && range.sort_target == BY_MOD {
            found.sort_by_key(|(_, version)| version.modified);
        }
        let limit = match range.limit {
            0 => found.len(),
            // Lists come in pages, however short they are.
            limit if limit > PAGE_MIN => found.len().div_ceil(PAGES).max(1),
            limit => limit as usize,
        };
        let more = found.len() > limit;
        found.truncate(if range.count_only { 0 } else { limit });
        let kvs = found.into_iter().map(|(key, version)| PbKeyValue {
            value: match range.keys_only {
                true => Vec::new(),
                false => version.value.clone().unwrap_or_default(),
            },
            ..key_value(key, version)
        });
        Ok(PbRangeResponse {
            header: None,
            kvs: kvs.collect(),
            more,
            count,
        })
    }
}

/// A key as etcd sends it.
pub(crate) fn key_value(key: &[u8], version: &Version) -> PbKeyValue {
    PbKeyValue {
        key: key.to_vec(),
        create_revision: version.created,
        mod_revision: version.modified,
        version: version.version,
        value: version.value.clone().unwrap_or_default(),
        lease: version.lease,
    }
}

/// The last of these versions up to a revision.
fn last(versions: &[Version], revision: i64) -> Option<&Version> {
    let count = versions.partition_point(|version| version.modified <= revision);
    versions[..count].last()
}

/// What etcd refuses before it looks at any key.
fn check(txn: &PbTxnRequest) -> Result<(), Status> {
    let sides = [txn.compare.len(), txn.success.len(), txn.failure.len()];
    if sides.into_iter().any(|count| count > OPS_MAX) {
        return Err(Status::invalid_argument(
            "etcdserver: too many operations in txn request",
        ));
    }
    let mut keys = std::collections::BTreeSet::new();
    let mut octets = 0;
    for op in &txn.success {
        if let Some(PbTxnOpRequest::RequestPut(put)) = &op.request {
            octets += put.key.len() + put.value.len();
            if !keys.insert(&put.key) {
                return Err(Status::invalid_argument(
                    "etcdserver: duplicate key given in txn request",
                ));
            }
        }
    }
    for op in &txn.success {
        if let Some(PbTxnOpRequest::RequestDeleteRange(delete)) = &op.request {
            let is_put = match delete.range_end.is_empty() {
                true => keys.contains(&delete.key),
                false => keys
                    .iter()
                    .any(|key| **key >= delete.key && **key < delete.range_end),
            };
            if is_put {
                return Err(Status::invalid_argument(
                    "etcdserver: duplicate key given in txn request",
                ));
            }
        }
    }
    if octets > OCTETS_MAX {
        return Err(Status::invalid_argument("etcdserver: request is too large"));
    }
    Ok(())
}

/// A revision that is being written; there is none if nothing changes.
struct Write<'s> {
    store: &'s mut Store,
    at: Instant,
    keys: Vec<Vec<u8>>,
}

impl<'s> Write<'s> {
    fn new(store: &'s mut Store, at: Instant) -> Self {
        Write {
            store,
            at,
            keys: Vec::new(),
        }
    }

    fn revision(&self) -> i64 {
        self.store.revision() + 1
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, lease: i64) {
        let revision = self.revision();
        let before = self.store.get(&key, revision);
        let (created, version) =
            before.map_or((revision, 1), |before| (before.created, before.version + 1));
        let version = Version {
            created,
            modified: revision,
            version,
            lease,
            value: Some(value),
        };
        self.store
            .keys
            .entry(key.clone())
            .or_default()
            .push(version);
        self.keys.push(key);
    }

    fn delete(&mut self, key: Vec<u8>) {
        let revision = self.revision();
        if self.store.get(&key, revision).is_some() {
            let gone = Version {
                created: 0,
                modified: revision,
                version: 0,
                lease: 0,
                value: None,
            };
            self.store.keys.entry(key.clone()).or_default().push(gone);
            self.keys.push(key);
        }
    }

    fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        let revision = self.revision();
        let found = self.store.range(start, end, revision).into_iter();
        let found: Vec<Vec<u8>> = found.map(|(key, _)| key.clone()).collect();
        for key in found {
            self.delete(key);
        }
    }

    fn end(self) {
        if !self.keys.is_empty() {
            let Write { store, at, keys } = self;
            store.commits.push(Commit { at, keys });
        }
    }
}
