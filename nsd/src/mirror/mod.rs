//! From etcd to what is served: builds views from the mirror's events, publishes them in one step, and
//! keeps track of how fresh they are.
//!
//! - `tables`: what etcd holds, decoded; `builder`: the view that this makes.
//! - `guard`: which losses are held back; `kept`: what is served then.
//! - `publish`: puts a view in the place of another, and frees that one.
//! - `feed`: takes the watch's events through all of that; `freshness`: how the mirror stands after them.
//! - `snapshot`: the tables in a file, for a restart without etcd; `saver`: when that is written.
//! - `audit`: the tables held against etcd.

mod audit;
mod builder;
mod feed;
mod freshness;
mod guard;
mod kept;
mod publish;
mod saver;
mod snapshot;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd::client::{self, Store};
use etcd::mirror::{Config as Pace, Resume};
use etcd::schema::Prefix;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use audit::Audit;
pub use builder::Builder;
use feed::Feed;
pub use freshness::Freshness;
pub use guard::{Guard, Loss};
pub use publish::{Published, Publisher};
use saver::Saver;
pub use snapshot::check as check_snapshot;

use crate::model::Consistency;
use crate::server::Proved;
use crate::supervisor::Supervisor;

/// How long etcd may take for one page of an audit.
const PAGE: Duration = Duration::from_secs(10);

/// How the mirror is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to reach etcd.
    pub store: client::Config,
    /// Prefix of all keys.
    pub prefix: Prefix,
    /// What answers promise where a zone says nothing.
    pub consistency: Consistency,
    /// Which losses are held back.
    pub guard: Guard,
    /// The local snapshot, and how often it is written.
    pub snapshot: Option<(PathBuf, Duration)>,
    /// How often the mirror is held against etcd; none for never.
    pub audit: Option<Duration>,
    /// Whether the front-end is ready without any zone.
    pub allow_empty: bool,
}

/// The builder, which the mirror feeds and others look into. No query waits for it.
#[derive(Clone)]
pub struct Mirrored(Arc<Mutex<Builder>>);

impl Mirrored {
    /// What is there to begin with: the local snapshot, or nothing. A snapshot that is no good is none.
    pub fn open(settings: &Settings) -> (Self, Option<Resume>) {
        let (prefix, consistency, guard) = (
            settings.prefix.clone(),
            settings.consistency,
            settings.guard,
        );
        let read = match &settings.snapshot {
            Some((path, _)) => read_snapshot(path, &prefix),
            None => None,
        };
        let resume = read.as_ref().map(|saved| Resume {
            cluster_id: saved.cluster_id,
            revision: saved.revision,
        });
        let builder = match read {
            Some(saved) => Builder::restore(consistency, guard, saved),
            None => Builder::new(prefix, consistency, guard),
        };
        (Mirrored(Arc::new(Mutex::new(builder))), resume)
    }

    /// The builder, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Builder> {
        // A panic is a defect, but none that makes what is there worse than it is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_snapshot(path: &Path, prefix: &Prefix) -> Option<snapshot::Saved> {
    let shown = path.display();
    match snapshot::read(path, prefix) {
        Ok(Some(saved)) => {
            info!(snapshot = %shown, revision = saved.revision, good_at = saved.good_at, "snapshot read");
            Some(saved)
        }
        Ok(None) => {
            info!(snapshot = %shown, "there is no snapshot yet");
            None
        }
        Err(reason) => {
            warn!(snapshot = %shown, %reason, "snapshot not used");
            None
        }
    }
}

/// Starts to mirror etcd into what `publisher` publishes, which has what `mirrored` was opened with. Should it panic, which
/// is a defect, what is there is served on, and all of it is listed again.
pub fn start(
    supervisor: &mut Supervisor,
    settings: Settings,
    (mirrored, mut resume): (Mirrored, Option<Resume>),
    publisher: Publisher,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
) {
    supervisor.task("the mirror", move |stop| {
        follow(
            settings.clone(),
            (mirrored.clone(), resume.take()),
            publisher.clone(),
            proved.clone(),
            freshness.clone(),
            stop,
        )
    });
}

async fn follow(
    settings: Settings,
    (mirrored, resume): (Mirrored, Option<Resume>),
    publisher: Publisher,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
    stop: CancellationToken,
) {
    // What was taken in before a panic may not have been published, and will be told of as served.
    let view = mirrored.lock().view().clone();
    publisher.publish(view);
    let doubt = Notify::new();
    let saver = Saver::new(&settings, &mirrored, &freshness);
    let mut saved = saver.as_ref().and_then(|saver| saver.edition());
    let mut feed = Feed {
        mirrored: mirrored.clone(),
        publisher,
        proved,
        freshness: freshness.clone(),
        store: settings.store.clone(),
        lost: None,
        is_trim_due: resume.is_some(),
    };
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    let pace = Pace::new(settings.store.endpoints.len(), seed);
    let (store, prefix) = (settings.store.clone(), settings.prefix.clone());
    let watching = client::watch(store, prefix, pace, resume, &doubt, |events, status| {
        if feed.takes_long(&events) {
            // Others go on meanwhile, on other threads.
            tokio::task::block_in_place(|| feed.take(events, status));
        } else {
            feed.take(events, status);
        }
    });
    let store = Store::new(settings.store, settings.prefix, PAGE);
    let audits = async {
        match settings.audit {
            Some(every) => {
                audit::run(store, every, mirrored.clone(), &doubt, freshness.clone()).await
            }
            None => std::future::pending().await,
        }
    };
    let snapshots = async {
        match &saver {
            Some(saver) => saver.save_for_ever(&mut saved).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = watching => {}
        () = audits => {}
        () = snapshots => {}
        () = stop.cancelled() => {}
    }
    if let Some(saver) = &saver {
        saver.save(&mut saved).await;
    }
}
