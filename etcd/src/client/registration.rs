//! The registration of a front-end: a key under a lease that is kept alive.

use std::convert::Infallible;
use std::future::Future;
use std::mem::Discriminant;
use std::time::{Duration, Instant};

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::client::connect::{Config, StoreError};
use crate::schema::{Frontend, Key, Prefix, encode};

/// Lifetime of the lease, in seconds: for this long a front-end counts as live after its last sign of life. etcd
/// extends leases that are shorter than a few seconds.
const TTL_SECONDS: i64 = 10;

/// Timeout of a keep-alive. `etcd grpc-proxy` answers only when it renews the lease itself, three times in the lifetime
/// of a lease. With the pause before, this leaves time to try another endpoint.
const KEPT: Duration = Duration::from_secs(4);

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
        let ttl = Duration::from_secs(TTL_SECONDS as u64);
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
        config,
        report,
        lease: None,
        is_placed: false,
        told: Vec::new(),
    };
    tokio::pin!(stop);
    for index in 0.. {
        let endpoint = &registration.config.url(index);
        tokio::select! {
            () = &mut stop => break,
            error = registration.hold(endpoint) => {
                registration.complain(endpoint, &error);
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(Duration::from_millis(200 + fastrand::u64(..800))) => {}
                }
            }
        }
    }
    registration.report.send_replace(Registered::default());
    if let Some(lease) = registration.lease {
        revoke(registration.config, lease).await;
    }
}

/// Revokes a lease. All members are asked at once, because any may be down and shutdown waits for this.
async fn revoke(config: Config, lease: i64) {
    let mut asked = JoinSet::new();
    for endpoint in config.urls() {
        let config = config.clone();
        asked.spawn(async move {
            let mut client = config.connect(&endpoint).await.ok()?;
            client.lease_revoke(lease).await.ok()
        });
    }
    let revoked = async {
        while let Some(answer) = asked.join_next().await {
            if matches!(answer, Ok(Some(_))) {
                return;
            }
        }
    };
    // If none answers in time, the lease expires by itself.
    let _ = tokio::time::timeout(config.request_timeout, revoked).await;
}

/// A registration in progress.
struct Registration {
    config: Config,
    key: Vec<u8>,
    value: Vec<u8>,
    lease: Option<i64>,
    /// Whether the key was written under this lease.
    is_placed: bool,
    frontend: Frontend,
    report: watch::Sender<Registered>,
    /// The kinds of errors logged since the registration was last confirmed.
    told: Vec<Discriminant<StoreError>>,
}

impl Registration {
    /// Keeps the registration through one endpoint until that fails.
    async fn hold(&mut self, endpoint: &str) -> StoreError {
        match self.keep(endpoint).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn keep(&mut self, endpoint: &str) -> Result<Infallible, StoreError> {
        let config = self.config.clone();
        let mut client = config.connect(endpoint).await?;
        let lease = match self.lease {
            Some(lease) if self.is_alive(&mut client, endpoint, lease).await? => lease,
            _ => {
                let granted = client.lease_grant(TTL_SECONDS, None);
                let granted = within(&config, endpoint, granted).await?.id();
                self.is_placed = false;
                *self.lease.insert(granted)
            }
        };
        let patient = Config {
            request_timeout: config.request_timeout.max(KEPT),
            ..config.clone()
        };
        let kept = client.lease_keep_alive(lease);
        let (mut keeper, mut stream) = within(&patient, endpoint, kept).await?;
        loop {
            let asked = Instant::now();
            within(&config, endpoint, keeper.keep_alive()).await?;
            let kept = within(&patient, endpoint, stream.message()).await?;
            if kept.is_none_or(|kept| kept.ttl() <= 0) {
                self.lease = None;
                return Err(StoreError::LeaseExpired);
            }
            let is_there = match self.place(&mut client, endpoint, lease).await {
                Ok(()) => {
                    if !std::mem::take(&mut self.told).is_empty() {
                        info!(endpoint, "registration confirmed");
                    }
                    self.report.send_modify(|report| report.trouble = None);
                    true
                }
                // The key stays as long as its lease is kept alive. So a front-end that lost its permission, or whose
                // store is full, stays visible.
                Err(error @ (StoreError::Denied(_) | StoreError::Full | StoreError::Taken(_))) => {
                    self.complain(endpoint, &error);
                    self.is_placed && !matches!(error, StoreError::Taken(_))
                }
                Err(error) => return Err(error),
            };
            self.report
                .send_modify(|report| report.at = is_there.then_some(asked));
            tokio::time::sleep(Duration::from_secs(TTL_SECONDS as u64 / 3)).await;
        }
    }

    async fn is_alive(
        &self,
        client: &mut Client,
        endpoint: &str,
        lease: i64,
    ) -> Result<bool, StoreError> {
        let left = client.lease_time_to_live(lease, None);
        Ok(within(&self.config, endpoint, left).await?.ttl() > 0)
    }

    /// Calls [`Self::put`], and names the key in the error if that is denied.
    async fn place(
        &mut self,
        client: &mut Client,
        endpoint: &str,
        lease: i64,
    ) -> Result<(), StoreError> {
        let placed = self.put(client, endpoint, lease).await;
        placed.map_err(|error| match error {
            StoreError::Denied(reason) => StoreError::Denied(format!(
                "{reason}: a registration needs permission to read and write {}",
                self.key_text()
            )),
            error => error,
        })
    }

    /// Writes the key if it is missing, for example after somebody deleted the prefix. The registration of another
    /// front-end is left alone, because otherwise nobody would wait for that one. One of an earlier process at the same
    /// addresses is replaced.
    async fn put(
        &mut self,
        client: &mut Client,
        endpoint: &str,
        lease: i64,
    ) -> Result<(), StoreError> {
        let found = client.get(self.key.clone(), None);
        let found = within(&self.config, endpoint, found).await?;
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
        if !within(&self.config, endpoint, put).await?.succeeded() {
            return Err(StoreError::Contended(self.key_text()));
        }
        self.is_placed = true;
        info!(endpoint, key = self.key_text(), "registered");
        Ok(())
    }

    fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
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
}

async fn within<T>(
    config: &Config,
    endpoint: &str,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(config.request_timeout, request).await {
        Ok(answer) => answer.map_err(|error| StoreError::from_etcd(error, endpoint)),
        Err(_) => Err(StoreError::timeout(endpoint)),
    }
}
