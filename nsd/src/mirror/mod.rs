//! From etcd to what is served: builds views from the mirror's events, publishes each in one step, and tells how
//! fresh they are.
//!
//! Each of these uses only those above it:
//!
//! - `guard`: which losses are held back.
//! - `decode`: from a key and its value to records and settings.
//! - `kept`: the copy of a zone that is served while a loss is held back.
//! - `leased`: the leased records of a zone, and its contents with them.
//! - `zone_data`: what etcd holds of one zone; `tables`: of all zones.
//! - `snapshot`: the tables in a file, for a restart without etcd.
//! - `builder`: makes the view from the tables.
//! - `feed`: takes the watch's events through all of that, and publishes the result.
//! - `expiries`: makes serials grow after leases have expired.
//! - `saver`: when the snapshot is written; `audit`: compares the tables with etcd now and then.

mod audit;
mod builder;
mod decode;
mod expiries;
mod feed;
mod guard;
mod kept;
mod leased;
mod saver;
mod snapshot;
mod tables;
mod zone_data;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd::client::{self, Store};
use etcd::mirror::{Pace, Resume};
use etcd::schema::Prefix;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use builder::Builder;
pub use expiries::Expiries;
use feed::{Feed, update_from};
pub use guard::Guard;
use saver::Saver;
pub use snapshot::{Saved, check as check_snapshot};

use crate::model::{Consistency, CookieSecret, CookieSecrets};
use crate::served::{Publisher, Served, Standing};
use crate::supervisor::Supervisor;

/// How long etcd may take for one page of an audit.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the mirror.
#[derive(Clone, Debug)]
pub struct MirrorSettings {
    /// How to reach etcd.
    pub store: client::Config,
    /// Prefix of all keys.
    pub prefix: Prefix,
    /// The promise of zones whose settings make none.
    pub consistency: Consistency,
    /// Which losses are held back.
    pub guard: Guard,
    /// The file of the local snapshot, and how often it is written.
    pub snapshot: Option<(PathBuf, Duration)>,
    /// How often the mirror is compared with etcd; none for never.
    pub audit: Option<Duration>,
    /// Whether the front-end is ready even without a zone.
    pub allow_empty: bool,
}

/// A handle to the builder, which the mirror updates and the admin listener reads. No query waits for it.
#[derive(Clone)]
pub struct SharedBuilder(Arc<Mutex<Builder>>);

impl SharedBuilder {
    /// Starts from the local snapshot, or from nothing if there is none that can be used.
    pub(crate) fn open(settings: &MirrorSettings) -> (Self, Option<Resume>) {
        let (prefix, consistency, guard) = (
            settings.prefix.clone(),
            settings.consistency,
            settings.guard,
        );
        let read = match &settings.snapshot {
            Some((path, _)) => read_snapshot(path, &prefix),
            None => None,
        };
        let resume = read.as_ref().map(Saved::resume);
        let builder = match read {
            Some(saved) => Builder::restore(consistency, guard, saved),
            None => Builder::new(prefix, consistency, guard),
        };
        (SharedBuilder(Arc::new(Mutex::new(builder))), resume)
    }

    /// Locks the builder.
    pub fn lock(&self) -> MutexGuard<'_, Builder> {
        // After a panic the restarted mirror replaces the data with a list, so what is there may be used until then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret for cookies of this front-end alone, until it learns the fleet's.
fn local_secrets() -> Option<CookieSecrets> {
    let mut secret = [0; 16];
    match getrandom::fill(&mut secret) {
        Ok(()) => Some(CookieSecrets::only(CookieSecret(secret), 0)),
        Err(error) => {
            warn!(%error, "the kernel gives no random numbers: clients get no cookies until nsctl cookie rotate is run");
            None
        }
    }
}

fn read_snapshot(path: &Path, prefix: &Prefix) -> Option<Saved> {
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

/// A mirror that is open, but not started yet.
pub struct Mirror {
    settings: MirrorSettings,
    builder: SharedBuilder,
    resume: Option<Resume>,
    publisher: Publisher,
}

impl Mirror {
    /// Opens the mirror. It serves the local snapshot, or nothing yet.
    pub fn open(settings: MirrorSettings) -> (Self, Served) {
        let (builder, resume) = SharedBuilder::open(&settings);
        let revision = resume.as_ref().map(|resume| resume.revision);
        let mut standing = Standing {
            allow_empty: settings.allow_empty,
            received: revision,
            leased: resume.as_ref().map_or(0, |resume| resume.leased.len()),
            snapshot: revision,
            unchecked: resume
                .as_ref()
                .is_some_and(|resume| resume.unchecked.is_some()),
            ..Standing::default()
        };
        let (view, secrets) = {
            let builder = builder.lock();
            update_from(&mut standing, &builder);
            (builder.view().clone(), builder.cookie())
        };
        let (publisher, served) = Publisher::start(view, standing);
        if let Some(secrets) = secrets.or_else(local_secrets) {
            publisher.use_cookie(secrets);
        }
        let mirror = Mirror {
            settings,
            builder,
            resume,
            publisher,
        };
        (mirror, served)
    }

    /// A handle to the builder.
    pub fn builder(&self) -> SharedBuilder {
        self.builder.clone()
    }

    /// Starts to mirror etcd. After a panic, which is a bug, the published view stays in service and everything is
    /// listed again.
    pub fn start(self, supervisor: &mut Supervisor) {
        let Mirror {
            settings,
            builder,
            mut resume,
            publisher,
        } = self;
        supervisor.task("the mirror", move |stop| {
            let (settings, builder) = (settings.clone(), builder.clone());
            run(settings, builder, resume.take(), publisher.clone(), stop)
        });
    }
}

async fn run(
    settings: MirrorSettings,
    builder: SharedBuilder,
    resume: Option<Resume>,
    publisher: Publisher,
    stop: CancellationToken,
) {
    // A panic may have left the builder amid a revision. The view published before stays in service, and confirms
    // nothing until everything is listed again.
    let is_restarted = resume.is_none() && builder.lock().revision().is_some();
    if is_restarted {
        builder.lock().reset_view(publisher.view());
        publisher.revoke_proof();
        publisher.update(|standing| standing.doubted = true);
    }
    let relist = Notify::new();
    let saver = Saver::new(&settings, &builder, &publisher);
    let mut saved = saver.as_ref().and_then(|saver| saver.edition());
    let expiries = Arc::new(Expiries::default());
    let mut feed = Feed {
        builder: builder.clone(),
        publisher: publisher.clone(),
        store: settings.store.clone(),
        last_failure: None,
        is_restarted,
        expiries: expiries.clone(),
        is_memory_trim_due: resume.is_some(),
    };
    let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    let pace = Pace::new(settings.store.endpoints.len(), seed);
    let (store, prefix) = (settings.store.clone(), settings.prefix.clone());
    let watching = client::watch(store, prefix, pace, resume, &relist, |events, status| {
        if feed.takes_long(&events) {
            // Other tasks move to other threads meanwhile.
            tokio::task::block_in_place(|| feed.take(events, status));
        } else {
            feed.take(events, status);
        }
    });
    let store = Store::new(settings.store, settings.prefix, PAGE_TIMEOUT);
    let settling = store.clone();
    let audits = async {
        match settings.audit {
            Some(every) => {
                audit::run(store, every, builder.clone(), &relist, publisher.clone()).await
            }
            None => std::future::pending().await,
        }
    };
    let snapshots = async {
        match &saver {
            Some(saver) => saver.save_forever(&mut saved).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = watching => {}
        () = audits => {}
        () = snapshots => {}
        () = expiries.settle(&settling) => {}
        () = stop.cancelled() => {}
    }
    if let Some(saver) = &saver {
        saver.save(&mut saved).await;
    }
}
