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

/// Looks at every front-end's status until it has noticed something.
pub(crate) struct Watcher {
    noticed: Vec<Arc<OnceLock<(Duration, String)>>>,
    _tasks: JoinSet<()>,
}

impl Watcher {
    pub(crate) fn start(frontends: impl Iterator<Item = SocketAddr>) -> Self {
        let since = Instant::now();
        let (mut noticed, mut tasks) = (Vec::new(), JoinSet::new());
        for admin in frontends {
            let told = Arc::<OnceLock<_>>::default();
            noticed.push(told.clone());
            tasks.spawn(async move {
                let what = loop {
                    match notices(admin).await {
                        Some(what) => break what,
                        None => sleep(PAUSE).await,
                    }
                };
                let _ = told.set((since.elapsed(), what));
            });
        }
        Watcher {
            noticed,
            _tasks: tasks,
        }
    }

    /// When the first one did after the beginning, and what it said.
    pub(crate) fn first(&self) -> Option<&(Duration, String)> {
        let told = self.noticed.iter().filter_map(|told| told.get());
        told.min_by_key(|(after, _)| *after)
    }

    /// Whether this one did.
    pub(crate) fn by(&self, frontend: usize) -> bool {
        self.noticed[frontend].get().is_some()
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
