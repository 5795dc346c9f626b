//! Reads and commits, with failover over the endpoints until a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, KvClient, ResponseHeader, Txn, TxnOp,
    TxnOpResponse,
};
use tokio::time::Instant;

use super::{Config, Learned, StoreError};
use crate::mirror::{Header, KeyValue};
use crate::schema::{Key, Prefix};
use crate::txn::{self, Op, Plan};

/// Responses may be as long as they are: a page of long TXT records, a large transaction.
const MESSAGE_MAX: usize = 1 << 30;

/// The store, as the writers see it. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Store {
    pub(super) config: Arc<Config>,
    prefix: Prefix,
    /// Whether a member answers reads from its own copy, which may be old.
    pub(super) serializable: bool,
    /// Whether changes are planned only, and not made.
    dry_run: bool,
    /// How long one step may take: a change to records, a page of a list, a batch of an import.
    timeout: Duration,
    /// The step that is under way is to be done by then.
    pub(super) deadline: Instant,
    current: Arc<Mutex<Current>>,
}

struct Current {
    endpoint: usize,
    client: Option<Client>,
}

/// What a commit came to.
#[derive(Debug)]
pub(super) enum Committed {
    /// Done, at this revision.
    At(i64),
    /// A comparison failed; nothing was written.
    Lost,
}

/// How far the data had come when a linearizable read was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The revision of the last transaction of ours, 0 if there was none.
    pub revision: i64,
    /// The revision of the whole store, which others may write to, too.
    pub store: i64,
    /// The cluster that these are revisions of.
    pub cluster_id: u64,
}

impl Store {
    /// A store that has `timeout` from now on for the step it is asked for; what takes many steps has it
    /// for each.
    pub fn new(config: Config, prefix: Prefix, timeout: Duration) -> Self {
        let current = Mutex::new(Current {
            endpoint: 0,
            client: None,
        });
        Store {
            config: Arc::new(config),
            prefix,
            serializable: false,
            dry_run: false,
            timeout,
            deadline: Instant::now() + timeout,
            current: Arc::new(current),
        }
    }

    /// The same store with so much time from now on.
    pub fn within(&self, timeout: Duration) -> Self {
        Store {
            timeout,
            deadline: Instant::now() + timeout,
            ..self.clone()
        }
    }

    /// The same store with so much time from now on, or what it has left if that is more.
    pub(super) fn at_least(&self, timeout: Duration) -> Self {
        Store {
            deadline: self.deadline.max(Instant::now() + timeout),
            ..self.clone()
        }
    }

    /// The same store with its time for a step anew.
    pub(super) fn anew(&self) -> Self {
        self.within(self.timeout)
    }

    /// The same store, which only plans changes, and reports them as if they were made.
    pub fn dry_run(self) -> Self {
        Store {
            dry_run: true,
            ..self
        }
    }

    /// Whether changes are not made.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether there is no time left.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        // Nothing panics with the lock held; if it did, the state would still be sound.
        self.current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn client(&self) -> Result<(usize, Client), StoreError> {
        let endpoint = {
            let current = self.lock();
            if let Some(client) = &current.client {
                return Ok((current.endpoint, client.clone()));
            }
            current.endpoint
        };
        let client = self.config.connect(&self.config.url(endpoint)).await?;
        let mut current = self.lock();
        if current.endpoint == endpoint {
            current.client = Some(client.clone());
        }
        Ok((endpoint, client))
    }

    /// Does one request at one endpoint, once.
    async fn once<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let asked = self.lock().endpoint;
        let name = &self.config.url(asked);
        let limit = self
            .deadline
            .min(Instant::now() + self.config.request_timeout);
        let answered = async {
            let (_, client) = self.client().await?;
            match tokio::time::timeout_at(limit, request(client)).await {
                Ok(answer) => answer.map_err(|error| StoreError::from_etcd(error, name)),
                Err(_) => Err(StoreError::timeout(name)),
            }
        };
        let result = answered.await;
        if let Err(error) = &result {
            let mut current = self.lock();
            // Another request may have moved on already.
            if current.endpoint == asked
                && (error.is_transient() || matches!(error, StoreError::Unauthenticated(_)))
            {
                current.client = None;
                if error.is_transient() {
                    current.endpoint = (asked + 1) % self.config.count();
                }
            }
        }
        result
    }

    /// Does a request that may be repeated, at one endpoint after the other, until the deadline.
    pub(super) async fn read<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut tokens = 0;
        let mut round = 0;
        let (mut cause, mut fault) = (None, None);
        loop {
            match self.once(&request).await {
                // The last try was cut off by the deadline; what an earlier one said is worth more.
                Err(error) if error.is_transient() && self.is_late() => {
                    return Err(cause.unwrap_or(error).with_fault(fault));
                }
                // A token that has expired is fetched anew with the next connection; a wrong password stays wrong.
                Err(StoreError::Unauthenticated(_)) if tokens < 1 && self.config.user.is_some() => {
                    tokens += 1
                }
                Err(error) if error.is_transient() => {
                    round += 1;
                    cause = Some(error.clone());
                    if round % self.config.count() == 0 {
                        if round == self.config.count() {
                            // What cannot work is not tried until the time is up.
                            let found = self.config.diagnose_all();
                            let found = tokio::time::timeout_at(self.deadline, found).await;
                            fault = found.unwrap_or(Ok(None))?;
                        }
                        let pause = Duration::from_millis(100 + fastrand::u64(..100));
                        tokio::time::sleep_until(self.deadline.min(Instant::now() + pause)).await;
                        if self.is_late() {
                            return Err(error.with_fault(fault));
                        }
                    }
                }
                other => return other,
            }
        }
    }

    /// Commits a plan, once: a failure leaves open whether it was done.
    pub(super) async fn commit(&self, plan: &Plan) -> Result<Committed, StoreError> {
        let txn = to_txn(plan);
        let response = self.once(|client| {
            let txn = txn.clone();
            async move { kv(&client).txn(txn).await }
        });
        let response = response.await?;
        Ok(if response.succeeded() {
            Committed::At(response.header().map_or(0, |header| header.revision()))
        } else {
            Committed::Lost
        })
    }

    /// Reads several keys in one transaction, at a revision if one is given: who answered, and each key's value if it
    /// is there.
    pub(super) async fn get_all(
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

    /// Does several reads in one transaction: who answered, and what each has found.
    pub(super) async fn get_at_once(
        &self,
        gets: Vec<TxnOp>,
    ) -> Result<(Header, Vec<Vec<KeyValue>>), StoreError> {
        let txn = Txn::new().and_then(gets);
        let response = self
            .read(|client| {
                let txn = txn.clone();
                async move { kv(&client).txn(txn).await }
            })
            .await?;
        let responses = response.op_responses().into_iter();
        let found = responses.map(|response| match response {
            TxnOpResponse::Get(mut got) => got.take_kvs().into_iter().map(key_value).collect(),
            _ => Vec::new(),
        });
        Ok((header(response.header()), found.collect()))
    }

    /// How far the data have come.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let (header, values) = self
            .get_all(&[self.prefix.encode(&Key::Head)], None)
            .await?;
        let head = values.into_iter().flatten().next();
        Ok(Head {
            revision: head.map_or(0, |head| head.mod_revision),
            store: header.revision,
            cluster_id: header.cluster_id,
        })
    }

    /// This store as one member has it.
    pub fn at(&self, endpoint: &str) -> Self {
        let config = Config {
            endpoints: vec![endpoint.into()],
            learned: Learned::default(),
            ..(*self.config).clone()
        };
        Store::new(config, self.prefix.clone(), self.timeout)
    }

    /// This store as any member has it that answers, with or without a quorum. What it reads may be old.
    pub fn without_quorum(&self) -> Self {
        let config = Config {
            needs_leader: false,
            ..(*self.config).clone()
        };
        Store {
            serializable: true,
            ..Store::new(config, self.prefix.clone(), self.timeout)
        }
    }

    /// The URLs that it asks.
    pub fn endpoints(&self) -> &[String] {
        &self.config.endpoints
    }
}

pub(super) fn kv(client: &Client) -> KvClient {
    client
        .kv_client()
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX)
}

pub(super) fn header(of: Option<&ResponseHeader>) -> Header {
    of.map_or(Header::default(), |header| Header {
        cluster_id: header.cluster_id(),
        member_id: header.member_id(),
        revision: header.revision(),
    })
}

pub(super) fn key_value(item: etcd_client::KeyValue) -> KeyValue {
    let mod_revision = item.mod_revision();
    let (key, value) = item.into_key_value();
    KeyValue {
        key,
        value,
        mod_revision,
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
            Op::Delete { key } => TxnOp::delete(key.clone(), None),
            Op::DeleteRange { range } => TxnOp::delete(
                range.start.clone(),
                Some(DeleteOptions::new().with_range(range.end.clone())),
            ),
        })
        .collect();
    Txn::new().when(compares).and_then(ops)
}
