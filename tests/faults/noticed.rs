//! How soon front-ends say that something is wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::get;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A copy that was not proved for so long is said to be old.
const AGE_MAX: u64 = 3000;

const PAUSE: Duration = Duration::from_millis(30);

/// Looks at every front-end's status until one of them has noticed something.
pub(crate) struct Watcher {
    first: Arc<OnceLock<(Duration, String)>>,
    _tasks: JoinSet<()>,
}

impl Watcher {
    pub(crate) fn start(frontends: impl Iterator<Item = SocketAddr>) -> Self {
        let (first, since) = (Arc::<OnceLock<_>>::default(), Instant::now());
        let mut tasks = JoinSet::new();
        for admin in frontends {
            let first = first.clone();
            tasks.spawn(async move {
                while first.get().is_none() {
                    if let Some(what) = notices(admin).await {
                        // Another one may have been first.
                        let _ = first.set((since.elapsed(), what));
                    }
                    sleep(PAUSE).await;
                }
            });
        }
        Watcher {
            first,
            _tasks: tasks,
        }
    }

    /// When the first one did after the beginning, and what it said.
    pub(crate) fn first(&self) -> Option<&(Duration, String)> {
        self.first.get()
    }
}

/// What a front-end says is wrong; one that does not answer says nothing.
async fn notices(admin: SocketAddr) -> Option<String> {
    let response = get(admin, "/status").await.ok()?;
    let status: Value = serde_json::from_str(&response.body).ok()?;
    let age = status["fresh_age_ms"].as_u64();
    match &status["trouble"] {
        Value::String(trouble) => Some(trouble.clone()),
        _ => age
            .filter(|&age| age > AGE_MAX)
            .map(|age| format!("{age} ms old")),
    }
}
