//! Requests with failover over the endpoints until a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::Client;
use tokio::time::Instant;

use super::{Config, Learned, StoreError};
use crate::schema::Prefix;

/// The store, as the writers see it. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Store {
    pub(crate) config: Arc<Config>,
    prefix: Prefix,
    /// Whether a member answers reads from its own copy, which may be old.
    pub(crate) serializable: bool,
    /// Whether changes are planned only, and not made.
    dry_run: bool,
    /// How long one step may take: a change to records, a page of a list, a batch of an import.
    timeout: Duration,
    /// The step that is under way is to be done by then.
    pub(crate) deadline: Instant,
    current: Arc<Mutex<Current>>,
}

struct Current {
    endpoint: usize,
    client: Option<Client>,
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
    pub(crate) fn at_least(&self, timeout: Duration) -> Self {
        Store {
            deadline: self.deadline.max(Instant::now() + timeout),
            ..self.clone()
        }
    }

    /// The same store with its time for a step anew.
    pub(crate) fn anew(&self) -> Self {
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
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether there is no time left.
    pub(crate) fn is_late(&self) -> bool {
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
    pub(crate) async fn once<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
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
    pub(crate) async fn read<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
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
