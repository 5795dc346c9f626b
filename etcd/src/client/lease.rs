//! Keeps something in etcd under a lease, which is kept alive through one endpoint after the other.

use std::convert::Infallible;
use std::future::Future;
use std::time::{Duration, Instant};

use etcd_client::Client;
use tokio::task::JoinSet;

use crate::client::connect::{Config, StoreError, now};
use crate::txn::Lease;

/// The longest wait for the answer to a keep-alive, as a share of the lease's lifetime. `etcd grpc-proxy` answers only when it renews the lease itself, three times
/// in the lifetime of a lease. With the pause before, this leaves time to try another endpoint.
const KEEP_ALIVE_SHARE: f64 = 0.4;

/// The longest time between two looks at what is kept: somebody may have deleted it.
const LOOK: Duration = Duration::from_secs(5);

/// What is kept in etcd under a lease.
pub(super) trait Leasehold: Send {
    /// Makes sure that it is there, under this lease. Returns whether it is; an error ends the connection, and another endpoint
    /// is tried.
    fn place(
        &mut self,
        asked: Asked<'_>,
        lease: Lease,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes whether it was there when the lease was last kept alive, at this time.
    fn note(&mut self, at: Instant, is_there: bool);

    /// Notes that the lease cannot be kept alive through an endpoint.
    fn complain(&mut self, endpoint: &str, error: &StoreError);

    /// Notes that a new lease begins, under which nothing is there yet.
    fn granted(&mut self);
}

/// The connection through which a lease is kept alive.
pub(super) struct Asked<'a> {
    pub(super) client: &'a mut Client,
    pub(super) endpoint: &'a str,
    /// Timeout of a request: less than the lease has left.
    pub(super) timeout: Duration,
}

/// Keeps something under a lease with this lifetime, in seconds, until `stop` completes. Returns the lease if there is one:
/// whoever has stopped it revokes it. Failures are retried, at one endpoint after the other.
pub(super) async fn keep(
    config: &Config,
    seconds: u32,
    held: &mut impl Leasehold,
    stop: impl Future<Output = ()>,
) -> Option<i64> {
    // A missed keep-alive is noticed after at most 73 % of the lifetime: a third, and KEEP_ALIVE_SHARE. The rest must suffice to
    // pause, connect elsewhere, and ask once.
    let lifetime = Duration::from_secs(seconds.into());
    let (pause_max, third) = (lifetime / 12, lifetime / 3);
    let mut keeper = Keeper {
        config: Config {
            connect_timeout: config.connect_timeout.min(third),
            request_timeout: config.request_timeout.min(third),
            ..config.clone()
        },
        seconds,
        lease: None,
    };
    tokio::pin!(stop);
    for index in 0.. {
        let endpoint = &keeper.config.url(index);
        tokio::select! {
            biased;
            () = &mut stop => break,
            error = keeper.hold(endpoint, held) => {
                held.complain(endpoint, &error);
                let pause = Duration::from_millis(200 + fastrand::u64(..800));
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = tokio::time::sleep(pause.min(pause_max)) => {}
                }
            }
        }
    }
    keeper.lease.map(|lease| lease.id)
}

/// Revokes a lease. Returns whether a member confirms that it is gone. All members are asked at once, because any may be down and
/// shutdown waits for this.
pub(super) async fn revoke(config: &Config, lease: i64) -> bool {
    let mut asked = JoinSet::new();
    for endpoint in config.urls() {
        let config = config.clone();
        asked.spawn(async move {
            let mut client = config.connect(&endpoint).await.ok()?;
            let revoked = client.lease_revoke(lease).await.map(drop);
            match revoked.map_err(|error| StoreError::from_etcd(error, &endpoint)) {
                Ok(()) | Err(StoreError::LeaseExpired) => Some(()),
                Err(_) => None,
            }
        });
    }
    let revoked = async {
        while let Some(answer) = asked.join_next().await {
            if matches!(answer, Ok(Some(_))) {
                return true;
            }
        }
        false
    };
    // If none answers in time, the lease expires by itself.
    let revoked = tokio::time::timeout(config.request_timeout, revoked).await;
    revoked.unwrap_or(false)
}

struct Keeper {
    config: Config,
    seconds: u32,
    lease: Option<Lease>,
}

impl Keeper {
    /// Keeps the lease alive through one endpoint until that fails.
    async fn hold(&mut self, endpoint: &str, held: &mut impl Leasehold) -> StoreError {
        match self.keep(endpoint, held).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn keep(
        &mut self,
        endpoint: &str,
        held: &mut impl Leasehold,
    ) -> Result<Infallible, StoreError> {
        let mut client = self.config.connect(endpoint).await?;
        let lease = self.lease(&mut client, endpoint, held).await?;
        let lifetime = Duration::from_secs(lease.ttl.into());
        let timeout = self.config.request_timeout;
        let patience = timeout.max(lifetime.mul_f64(KEEP_ALIVE_SHARE));
        let kept = client.lease_keep_alive(lease.id);
        let (mut keeper, mut stream) = within(patience, endpoint, kept).await?;
        loop {
            let asked = now();
            within(timeout, endpoint, keeper.keep_alive()).await?;
            let kept = within(patience, endpoint, stream.message()).await?;
            let Some(kept) = kept else {
                // The lease may still live.
                return Err(StoreError::Unreachable(format!(
                    "{endpoint}: the stream of keep-alives has ended"
                )));
            };
            if kept.ttl() <= 0 {
                self.lease = None;
                return Err(StoreError::LeaseExpired);
            }
            let connection = Asked {
                client: &mut client,
                endpoint,
                timeout,
            };
            let is_there = held.place(connection, lease).await?;
            held.note(asked, is_there);
            let next = asked + LOOK.min(lifetime / 3);
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// The lease, if it is still alive; otherwise a new one.
    async fn lease(
        &mut self,
        client: &mut Client,
        endpoint: &str,
        held: &mut impl Leasehold,
    ) -> Result<Lease, StoreError> {
        let timeout = self.config.request_timeout;
        if let Some(lease) = self.lease {
            let left = client.lease_time_to_live(lease.id, None);
            // etcd rounds down: 0 means less than a second; below 0 the lease is gone.
            if within(timeout, endpoint, left).await?.ttl() >= 0 {
                return Ok(lease);
            }
        }
        let granted = client.lease_grant(self.seconds.into(), None);
        let granted = within(timeout, endpoint, granted).await?;
        held.granted();
        Ok(*self.lease.insert(Lease {
            id: granted.id(),
            // etcd extends leases that are shorter than a few seconds.
            ttl: u32::try_from(granted.ttl()).unwrap_or(self.seconds),
        }))
    }
}

/// Sends a request, and waits as long as the endpoint may take.
pub(super) async fn within<T>(
    timeout: Duration,
    endpoint: &str,
    request: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(timeout, request).await {
        Ok(answer) => answer.map_err(|error| StoreError::from_etcd(error, endpoint)),
        Err(_) => Err(StoreError::timeout(endpoint)),
    }
}
