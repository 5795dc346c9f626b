//! This front-end in the fleet: its name, its addresses, and its registration in etcd.

mod identity;

use std::net::SocketAddr;

use etcd::client::{self, Registered};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use identity::default_id;

use crate::config::Config;
use crate::served::Standing;

/// Where a front-end is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It answers.
    Serving,
    /// It still answers, but tells load balancers to send no more queries.
    LameDuck,
    /// It leaves the fleet and shuts down.
    Ending,
}

/// Keeps this front-end registered under `id` until `stop` is cancelled. `bound` has the address of the admin listener,
/// then those for DNS.
///
/// It registers only once everything was listed or a snapshot was read, so that `nsctl --wait` does not wait for a
/// front-end without data. A list without zones counts, too: whoever adds the first zone may wait for this front-end.
pub(crate) async fn register(
    config: Config,
    id: String,
    bound: Vec<SocketAddr>,
    mut standing: watch::Receiver<Standing>,
    report: watch::Sender<Registered>,
    stop: CancellationToken,
) {
    let found = async {
        let has_data = |standing: &Standing| standing.applied.is_some();
        standing.wait_for(has_data).await.ok()?;
        Some(identity::frontend(&config, bound).await)
    };
    let Some(Some(frontend)) = stop.run_until_cancelled(found).await else {
        return;
    };
    let (store, prefix) = (config.mirror.store.clone(), config.mirror.prefix.clone());
    client::register(store, prefix, id, frontend, report, stop.cancelled()).await;
}
