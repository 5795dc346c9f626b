//! A front-end's registration: a key under a lease that is kept alive.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Client, GetOptions, PutOptions};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::{Config, StoreError};
use crate::schema::{Frontend, Key, Prefix, encode};

/// How long a front-end counts as live after it was last heard of, in seconds. etcd makes leases shorter
/// than a few seconds longer by itself.
const TTL_SECONDS: i64 = 10;

/// Registers a front-end and keeps it registered until `stop` comes true; then gives the lease up, so
/// that nobody waits for it any more. Whatever fails is tried again, at one endpoint after the other.
pub async fn register(
    config: Config,
    prefix: Prefix,
    id: String,
    frontend: Frontend,
    stop: impl Future<Output = ()>,
) {
    let key = prefix.encode(&Key::Frontend(id));
    let mut lease = None;
    let mut registered = false;
    tokio::pin!(stop);
    for endpoint in config.endpoints.iter().cycle() {
        let held = hold(
            &config,
            endpoint,
            &key,
            &frontend,
            &mut lease,
            &mut registered,
        );
        tokio::select! {
            () = &mut stop => break,
            error = held => {
                if registered {
                    warn!(endpoint, %error, "registration lost, trying again");
                } else {
                    debug!(endpoint, %error, "not registered yet");
                }
                registered = false;
                tokio::select! {
                    () = &mut stop => break,
                    () = tokio::time::sleep(Duration::from_millis(200 + fastrand::u64(..800))) => {}
                }
            }
        }
    }
    if let Some(lease) = lease {
        revoke(config, lease).await;
    }
}

/// Gives a lease up. All members are asked at once: any may be gone, and whoever ends waits for this.
async fn revoke(config: Config, lease: i64) {
    let mut asked = JoinSet::new();
    for endpoint in config.endpoints.clone() {
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
    // Over time, it expires by itself.
    let _ = tokio::time::timeout(config.request_timeout, revoked).await;
}

/// Holds the registration through one endpoint until that fails.
async fn hold(
    config: &Config,
    endpoint: &str,
    key: &[u8],
    frontend: &Frontend,
    lease: &mut Option<i64>,
    registered: &mut bool,
) -> StoreError {
    let result: Result<(), StoreError> = async {
        let mut client = config.connect(endpoint).await?;
        let id = match *lease {
            Some(id) if alive(config, &mut client, endpoint, id).await? => id,
            _ => {
                let granted =
                    within(config, endpoint, client.lease_grant(TTL_SECONDS, None)).await?;
                *lease.insert(granted.id())
            }
        };
        let options = PutOptions::new().with_lease(id);
        within(
            config,
            endpoint,
            client.put(key, encode(frontend), Some(options)),
        )
        .await?;
        info!(endpoint, key = %String::from_utf8_lossy(key), "registered");
        *registered = true;
        let (mut keeper, mut stream) =
            within(config, endpoint, client.lease_keep_alive(id)).await?;
        loop {
            tokio::time::sleep(Duration::from_secs(TTL_SECONDS as u64 / 3)).await;
            within(config, endpoint, keeper.keep_alive()).await?;
            match within(config, endpoint, stream.message()).await? {
                Some(kept) if kept.ttl() > 0 => {
                    // Whoever deletes a prefix deletes registrations, too.
                    let here = GetOptions::new().with_count_only();
                    let found = within(config, endpoint, client.get(key, Some(here))).await?;
                    if found.count() == 0 {
                        return Err(StoreError::Other("the key was deleted".into()));
                    }
                }
                _ => {
                    *lease = None;
                    return Err(StoreError::Other("the lease has expired".into()));
                }
            }
        }
    }
    .await;
    result
        .err()
        .unwrap_or_else(|| StoreError::timeout(endpoint))
}

async fn alive(
    config: &Config,
    client: &mut Client,
    endpoint: &str,
    id: i64,
) -> Result<bool, StoreError> {
    let left = within(config, endpoint, client.lease_time_to_live(id, None)).await?;
    Ok(left.ttl() > 0)
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
