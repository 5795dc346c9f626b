//! Requests that fail over from endpoint to endpoint, until a deadline.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::Client;
use tokio::time::Instant;

use super::{Config, DiscoveredMembers, StoreError};
use crate::schema::{Author, Prefix};

/// A client of the store. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Store {
    pub(crate) config: Arc<Config>,
    prefix: Prefix,
    /// Whether reads are serializable: a member answers from its own copy, which may be old.
    pub(crate) serializable: bool,
    /// Whether changes are only planned, not made.
    dry_run: bool,
    /// Who makes the changes.
    author: Arc<Author>,
    /// Timeout of one step: a change to records, a page of a list, a batch of an import.
    timeout: Duration,
    /// When the current step times out.
    pub(crate) deadline: Instant,
    current: Arc<Mutex<Current>>,
}

/// The connection in use.
struct Current {
    endpoint: usize,
    client: Option<Client>,
}

impl Store {
    /// Creates a store. The timeout of its first step starts now; operations with several steps restart it for each.
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
            author: Arc::default(),
            timeout,
            deadline: Instant::now() + timeout,
            current: Arc::new(current),
        }
    }

    /// The same store with this timeout, which starts now.
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Store {
            timeout,
            deadline: Instant::now() + timeout,
            ..self.clone()
        }
    }

    /// The same store with at least this much time left.
    pub(crate) fn with_time_left(&self, timeout: Duration) -> Self {
        Store {
            deadline: self.deadline.max(Instant::now() + timeout),
            ..self.clone()
        }
    }

    /// The same store, with its timeout started again.
    pub(crate) fn with_fresh_timeout(&self) -> Self {
        self.with_timeout(self.timeout)
    }

    /// The same store, but it only plans changes and reports them as if they were made.
    pub fn dry_run(self) -> Self {
        Store {
            dry_run: true,
            ..self
        }
    }

    /// The same store, whose changes this author makes.
    pub fn with_author(self, author: Author) -> Self {
        Store {
            author: author.into(),
            ..self
        }
    }

    /// Who makes the changes.
    pub(crate) fn author(&self) -> &Author {
        &self.author
    }

    /// Whether changes are only planned.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The prefix of all keys.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        // Nothing panics with the lock held. If it did, the state would still be sound.
        self.current
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The connection in use, or a new one to the current endpoint.
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

    /// Sends a request once, to the current endpoint. After a transient failure the next request goes to the next
    /// endpoint; after a rejected token, over a new connection to the same one.
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
            // Another request may already have moved on.
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

    /// Sends a request that may be repeated, to one endpoint after the other, until the deadline.
    pub(crate) async fn read<T, F>(&self, request: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let mut tokens = 0;
        let mut round = 0;
        let (mut cause, mut fault) = (None, None);
        loop {
            match self.once(&request).await {
                // The deadline cut the last try off, so an earlier error says more.
                Err(error) if error.is_transient() && self.is_late() => {
                    return Err(cause.unwrap_or(error).with_fault(fault));
                }
                // A new connection gets a new token, in case the old one has expired. If that is rejected too, the
                // password is wrong.
                Err(StoreError::Unauthenticated(_)) if tokens < 1 && self.config.user.is_some() => {
                    tokens += 1
                }
                Err(error) if error.is_transient() => {
                    round += 1;
                    cause = Some(error.clone());
                    if round % self.config.count() == 0 {
                        if round == self.config.count() {
                            // Do not keep retrying what cannot work.
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

    /// This store as seen by a single member. Its time limit starts now.
    pub fn at(&self, endpoint: &str) -> Self {
        let config = Config {
            endpoints: vec![endpoint.into()],
            discovered: DiscoveredMembers::default(),
            ..(*self.config).clone()
        };
        Store {
            dry_run: self.dry_run,
            ..Store::new(config, self.prefix.clone(), self.timeout)
        }
    }

    /// The same store, which answers from the copy of the member in use. Reads may be old.
    pub(crate) fn serializable(&self) -> Self {
        Store {
            serializable: true,
            ..self.clone()
        }
    }

    /// This store as seen by any member that answers, with or without a quorum. Reads may be old.
    pub fn without_quorum(&self) -> Self {
        let config = Config {
            needs_leader: false,
            ..(*self.config).clone()
        };
        Store {
            serializable: true,
            dry_run: self.dry_run,
            ..Store::new(config, self.prefix.clone(), self.timeout)
        }
    }

    /// The configured endpoints.
    pub fn endpoints(&self) -> &[String] {
        &self.config.endpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_stays_one_wherever_it_reads() {
        let config = Config::new(vec!["http://127.0.0.1:1".into()]);
        let store = Store::new(config, Prefix::default(), Duration::from_secs(1));
        for is_dry_run in [false, true] {
            let store = match is_dry_run {
                true => store.clone().dry_run(),
                false => store.clone(),
            };
            for other in [
                store.at("http://127.0.0.1:2"),
                store.without_quorum(),
                store.serializable(),
            ] {
                assert_eq!(other.is_dry_run(), is_dry_run);
            }
        }
    }
}
