//! The registration of a front-end: a key under a lease that is kept alive.

use std::future::Future;
use std::mem::Discriminant;
use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::client::connect::{Config, StoreError};
use crate::client::lease::{self, Asked, Leasehold, within};
use crate::schema::{Frontend, Key, Prefix, encode};
use crate::txn::Lease;

/// Lifetime of the lease, in seconds: for this long a front-end counts as live after its last sign of life.
const TTL_SECONDS: u32 = 10;

/// The state of a registration.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    /// When it was last confirmed.
    at: Option<Instant>,
    /// Why it may be missing.
    trouble: Option<String>,
}

impl Registered {
    /// Whether the registration was confirmed within the lifetime of the lease.
    pub fn is_held(&self) -> bool {
        let ttl = Duration::from_secs(TTL_SECONDS.into());
        self.at.is_some_and(|at| at.elapsed() < ttl)
    }

    /// The last error, if the registration is not confirmed.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

/// Registers a front-end and keeps it registered until `stop` completes. Then it revokes the lease, so that nobody
/// waits for this front-end any more. Failures are retried, at one endpoint after the other. `report` receives every
/// change of the state.
pub async fn register(
    config: Config,
    prefix: Prefix,
    id: String,
    frontend: Frontend,
    report: watch::Sender<Registered>,
    stop: impl Future<Output = ()>,
) {
    let mut registration = Registration {
        key: prefix.encode(&Key::Frontend(id)),
        value: encode(&frontend),
        frontend,
        report,
        is_placed: false,
        told: Vec::new(),
    };
    let lease = lease::keep(&config, TTL_SECONDS, &mut registration, stop).await;
    registration.report.send_replace(Registered::default());
    if let Some(lease) = lease {
        lease::revoke(&config, lease).await;
    }
}

/// A registration in progress.
struct Registration {
    key: Vec<u8>,
    value: Vec<u8>,
    /// Whether the key was written under this lease.
    is_placed: bool,
    frontend: Frontend,
    report: watch::Sender<Registered>,
    /// The kinds of errors logged since the registration was last confirmed.
    told: Vec<Discriminant<StoreError>>,
}

impl Leasehold for Registration {
    async fn place(&mut self, asked: Asked<'_>, lease: Lease) -> Result<bool, StoreError> {
        let endpoint = asked.endpoint;
        match self.put(asked, lease.id).await {
            Ok(()) => {
                if !std::mem::take(&mut self.told).is_empty() {
                    info!(endpoint, "registration confirmed");
                }
                self.report.send_modify(|report| report.trouble = None);
                Ok(true)
            }
            // The key stays as long as its lease is kept alive. So a front-end that lost its permission, or whose
            // store is full, stays visible.
            Err(StoreError::Denied(reason)) => {
                let needed = format!(
                    "{reason}: a registration needs permission to read and write {}",
                    self.key_text()
                );
                self.complain(endpoint, &StoreError::Denied(needed));
                Ok(self.is_placed)
            }
            Err(error @ StoreError::Full) => {
                self.complain(endpoint, &error);
                Ok(self.is_placed)
            }
            Err(error @ StoreError::Taken(_)) => {
                self.complain(endpoint, &error);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, at: Instant, is_there: bool) {
        self.report
            .send_modify(|report| report.at = is_there.then_some(at));
    }

    /// Logs an error: the first of its kind as a warning.
    fn complain(&mut self, endpoint: &str, error: &StoreError) {
        let is_news = self.is_placed
            || matches!(
                error,
                StoreError::Denied(_) | StoreError::Full | StoreError::Taken(_)
            );
        let kind = std::mem::discriminant(error);
        self.report
            .send_modify(|report| report.trouble = Some(error.to_string()));
        if is_news && !self.told.contains(&kind) {
            self.told.push(kind);
            warn!(endpoint, %error, "cannot keep the front-end registered: retrying");
        } else {
            debug!(endpoint, %error, "cannot confirm the registration: retrying");
        }
    }

    fn granted(&mut self) {
        self.is_placed = false;
    }
}

impl Registration {
    /// Writes the key if it is missing, for example after somebody deleted the prefix. The registration of another
    /// front-end is left alone, because otherwise nobody would wait for that one. One of an earlier process at the same
    /// addresses is replaced.
    async fn put(&mut self, asked: Asked<'_>, lease: i64) -> Result<(), StoreError> {
        let Asked {
            client,
            endpoint,
            timeout,
        } = asked;
        let found = client.get(self.key.clone(), None);
        let found = within(timeout, endpoint, found).await?;
        let found = found.kvs().first();
        if found.is_some_and(|found| found.lease() == lease) {
            self.is_placed = true;
            return Ok(());
        }
        // A value that cannot be read belongs to nobody.
        let other = found.and_then(|found| serde_json::from_slice::<Frontend>(found.value()).ok());
        if let Some(other) = other
            && (self.is_placed || !other.is_at(&self.frontend))
        {
            return Err(StoreError::Taken(format!(
                "{} is the registration of another front-end, at {}: give each an id of its own; what an ended one has \
                 left expires within {TTL_SECONDS} s",
                self.key_text(),
                other.dns.join(", "),
            )));
        }
        let unchanged = found.map_or(0, etcd_client::KeyValue::mod_revision);
        let unchanged = Compare::mod_revision(self.key.clone(), CompareOp::Equal, unchanged);
        let options = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(self.key.clone(), self.value.clone(), Some(options));
        let put = client.txn(Txn::new().when([unchanged]).and_then([put]));
        if !within(timeout, endpoint, put).await?.succeeded() {
            return Err(StoreError::Contended(self.key_text()));
        }
        self.is_placed = true;
        info!(endpoint, key = self.key_text(), "registered");
        Ok(())
    }

    fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}
