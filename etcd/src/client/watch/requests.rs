//! The requests that the mirror needs, as futures.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use etcd_client::{Client, GetOptions, Txn, TxnOp, WatchOptions, WatchStream};
use tokio::task::JoinHandle;

use crate::client::connect::{Config, MESSAGE_MAX, StoreError, header, kv_client, now};
use crate::client::read::{PageSize, decode, found, next_key};
use crate::mirror::{Input, Newest};
use crate::txn::Found;

/// A request in progress.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// The result of a step.
pub(super) enum Step {
    Connected(Box<Connection>),
    /// A page, and how large the next one may be.
    Page(Input, PageSize),
    Opened(WatchStream),
}

/// Two connections to one member, because reads must not hold up the watch (etcd#15402).
pub(super) struct Connection {
    endpoint: String,
    watch: Client,
    read: Client,
}

impl Connection {
    /// Connects to an endpoint.
    pub(super) fn open(config: Config, endpoint: String) -> Pending<Step> {
        Box::pin(async move {
            let (watch, read) =
                tokio::try_join!(config.connect(&endpoint), config.connect(&endpoint))?;
            Ok(Step::Connected(Box::new(Connection {
                endpoint,
                watch,
                read,
            })))
        })
    }

    /// Reads the page of a range that follows the key `after`: at a revision, or linearizably without one. Only what was
    /// changed after a revision, if that is not 0.
    pub(super) fn page(
        &self,
        range: Range<Vec<u8>>,
        after_revision: i64,
        after: Option<Vec<u8>>,
        revision: Option<i64>,
        mut size: PageSize,
    ) -> Pending<Step> {
        let start = after.map_or(range.start, next_key);
        let options = GetOptions::new()
            .with_range(range.end)
            .with_limit(size.keys())
            .with_revision(revision.unwrap_or(0))
            // 0 means no limit, and etcd then takes a quicker way.
            .with_min_mod_revision(if after_revision > 0 {
                after_revision + 1
            } else {
                0
            });
        let (mut kv, endpoint) = (kv_client(&self.read), self.endpoint.clone());
        aside(async move {
            let asked = now();
            let got = kv.get(start, Some(options)).await;
            let got = got.map_err(|error| StoreError::from_etcd(error, &endpoint))?;
            let (header, items, more) = decode(got)?;
            size.learn(&items, asked.elapsed());
            let page = Input::Page {
                header,
                items,
                more,
            };
            Ok(Step::Page(page, size))
        })
    }

    /// Opens a watch of a range from a revision on.
    pub(super) fn watch(&self, range: Range<Vec<u8>>, head: Vec<u8>, from: i64) -> Pending<Step> {
        let options = WatchOptions::new()
            .with_range(range.end)
            .with_start_revision(from)
            .with_fragment();
        let (check, watch) = (
            self.check_history(head, from - 1, true),
            self.watch.watch_client(),
        );
        let mut watch = watch.max_decoding_message_size(MESSAGE_MAX);
        let endpoint = self.endpoint.clone();
        let told = move |error| StoreError::from_etcd(error, &endpoint);
        Box::pin(async move {
            // Any other error of that read is ignored: the watch will meet it, too.
            if let Err(StoreError::Compacted) = check.await {
                return Err(StoreError::Compacted);
            }
            let opened = watch.watch(range.start, Some(options)).await;
            opened.map(Step::Opened).map_err(told)
        })
    }

    /// Reads at a revision, the one before a watch's first. Fails with `Compacted` if the watch may lack deletions (etcd#18089).
    /// A serializable read may be answered from the cache of `etcd grpc-proxy`.
    pub(super) fn check_history(
        &self,
        head: Vec<u8>,
        revision: i64,
        is_serializable: bool,
    ) -> Pending<Input> {
        let mut options = GetOptions::new().with_revision(revision).with_count_only();
        if is_serializable {
            options = options.with_serializable();
        }
        let (mut kv, endpoint) = (kv_client(&self.read), self.endpoint.clone());
        Box::pin(async move {
            let there = kv.get(head, Some(options)).await;
            there.map_err(|error| StoreError::from_etcd(error, &endpoint))?;
            Ok(Input::HistoryChecked)
        })
    }

    /// Reads the head key linearizably, and counts the keys of a range if one is given.
    pub(super) fn head(&self, key: Vec<u8>, leased: Option<Range<Vec<u8>>>) -> Pending<Input> {
        let (mut kv, endpoint) = (kv_client(&self.read), self.endpoint.clone());
        let count = leased.map(|leased| {
            let options = GetOptions::new().with_range(leased.end).with_count_only();
            TxnOp::get(leased.start, Some(options))
        });
        let reads: Vec<TxnOp> = [TxnOp::get(key, None)].into_iter().chain(count).collect();
        let sent = now();
        Box::pin(async move {
            let got = kv.txn(Txn::new().and_then(reads)).await;
            let got = got.map_err(|error| StoreError::from_etcd(error, &endpoint))?;
            let (header, found) = (header(got.header()), found(&got));
            let found: Vec<Found> = found.collect();
            let head = found.first().and_then(|found| found.items.first());
            Ok(Input::Head {
                sent,
                header,
                newest: Newest {
                    head: head.map_or(0, |head| head.mod_revision),
                    store: header.revision,
                    leased: found.get(1).map_or(0, |found| found.count),
                },
            })
        })
    }

    /// Asks, after a pause, for the client URLs of the voting members: learners refuse most requests.
    pub(super) fn members(&self, after: Duration) -> Pending<Vec<String>> {
        let mut cluster = self.read.cluster_client();
        Box::pin(async move {
            tokio::time::sleep(after).await;
            let told = cluster.member_list().await;
            let told = told.map_err(|error| StoreError::from_etcd(error, "the cluster"))?;
            let voting = told.members().iter().filter(|member| !member.is_learner());
            Ok(voting
                .flat_map(|member| member.client_urls().to_vec())
                .collect())
        })
    }
}

/// A task that is aborted when this is dropped.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a request in a task of its own, so that it makes progress while nobody polls it. Dropping it aborts the task.
fn aside<T: Send + 'static>(
    request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Pending<T> {
    let mut task = Aborted(tokio::spawn(request));
    Box::pin(async move { (&mut task.0).await? })
}
