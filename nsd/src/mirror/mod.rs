//! From etcd to what is served: builds views from the mirror's events, publishes them in one step, and
//! keeps track of how fresh they are.

mod builder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use etcd::client;
use etcd::mirror::{Config as Pace, Event, Failure};
use etcd::schema::Prefix;
use tokio::sync::watch;
use tracing::{info, warn};

pub use builder::Builder;

use crate::memory;
use crate::model::Consistency;
use crate::server::Proved;
use crate::zone::View;

/// The view that is served. Readers load it without waiting; it is replaced as a whole.
pub type Published = Arc<ArcSwap<View>>;

/// How the mirror stands.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// Whether the first sync is done.
    pub ready: bool,
    /// The revision that is served; none before the first sync.
    pub applied: Option<i64>,
    /// The moment as of which the copy was last proved complete.
    pub last_fresh: Option<Instant>,
    /// Whether the watch is established.
    pub watching: bool,
    /// The endpoint in use.
    pub endpoint: String,
    /// The member there, once it has answered.
    pub member_id: Option<u64>,
    /// What is wrong, if something is.
    pub trouble: Option<String>,
    /// How many zones are served.
    pub zones: usize,
    /// How many RRsets are served.
    pub rrsets: usize,
    /// How many keys have values that cannot be used.
    pub quarantined: usize,
    /// How often everything had to be listed.
    pub lists: u64,
}

impl Freshness {
    /// How long ago the copy was last proved complete.
    pub fn age(&self) -> Option<Duration> {
        self.last_fresh.map(|at| at.elapsed())
    }
}

/// Mirrors etcd into `published` for ever.
pub async fn run(
    store: client::Config,
    prefix: Prefix,
    consistency: Consistency,
    published: Published,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
) {
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    let pace = Pace::new(store.endpoints.len(), seed);
    let endpoints = store.endpoints.clone();
    let mut builder = Builder::new(prefix.clone(), consistency);
    let mut lists = 0;
    let mut lost: Option<Failure> = None;
    let mut is_trim_due = false;
    let mut take = |events: Vec<Event>, status: &client::Status| {
        let mut changed = false;
        for event in events {
            match &event {
                Event::Listed { revision } => {
                    lists += 1;
                    is_trim_due = true;
                    info!(revision, lists, "synced");
                }
                Event::Lost { failure, endpoint } => {
                    let reason = status.trouble.as_deref().unwrap_or_default();
                    // The same trouble over and over is one line, not one a try.
                    if lost.replace(*failure) != Some(*failure) {
                        let serving = builder.view().is_ready();
                        let endpoint = endpoints.get(*endpoint).map_or("", String::as_str);
                        warn!(
                            endpoint,
                            ?failure,
                            reason,
                            serving,
                            "etcd is lost, trying on"
                        );
                    }
                }
                Event::Fresh { .. } if lost.take().is_some() => {
                    info!(
                        endpoint = status.endpoint,
                        revision = status.applied,
                        "fresh again"
                    );
                }
                _ => {}
            }
            changed |= builder.apply(event);
        }
        if changed {
            published.store(Arc::new(builder.view().clone()));
        }
        // Only now: what is proved is what is published.
        if let Some(at) = status.last_fresh {
            proved.set(at);
        }
        freshness.send_modify(|freshness| {
            freshness.ready = builder.view().is_ready();
            freshness.applied = if freshness.ready {
                status.applied
            } else {
                None
            };
            freshness.last_fresh = status.last_fresh;
            freshness.watching = status.watching;
            freshness.endpoint.clone_from(&status.endpoint);
            freshness.member_id = status.member_id;
            freshness.trouble.clone_from(&status.trouble);
            freshness.quarantined = builder.quarantined();
            freshness.lists = lists;
            if changed {
                freshness.zones = builder.view().zone_count();
                freshness.rrsets = builder.view().rrset_count();
            }
        });
        if std::mem::take(&mut is_trim_due) {
            // It takes a moment, and nobody waits for it.
            tokio::task::spawn_blocking(memory::trim);
        }
    };
    client::watch(store, prefix, pace, |events, status| {
        if events.iter().any(|event| matches!(event, Event::Items(_))) {
            // A page takes a while: others go on meanwhile, on other threads.
            tokio::task::block_in_place(|| take(events, status));
        } else {
            take(events, status);
        }
    })
    .await;
}
