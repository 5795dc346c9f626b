//! Whether the view has everything that etcd has now.

use etcd::client::Store;
use tokio::sync::watch;

use super::Standing;

/// Waits until the view has everything that was written before the call. Returns whether it has. There is
/// no time limit; the caller sets one.
pub async fn confirm(store: &Store, mut standing: watch::Receiver<Standing>) -> bool {
    let before = standing.borrow().received;
    let Ok((cluster_id, newest)) = store.newest().await else {
        return false;
    };
    // etcd was restored to an earlier revision, which has to be listed first.
    if Some(newest.store) < before {
        return false;
    }
    let covers = |standing: &Standing| standing.covers(cluster_id, &newest);
    standing.wait_for(covers).await.is_ok()
}
