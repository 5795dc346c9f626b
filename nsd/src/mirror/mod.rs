//! From etcd to what is served: builds views from the mirror's events, publishes them in one step, and
//! keeps track of how fresh they are.
//!
//! - `tables`: what etcd holds, decoded; `builder`: the view that this makes.
//! - `guard`: which losses are held back; `kept`: what is served then.
//! - `publish`: puts a view in the place of another, and frees that one.
//! - `snapshot`: the tables in a file, for a restart without etcd.
//! - `audit`: the tables held against etcd.

mod audit;
mod builder;
mod guard;
mod kept;
mod publish;
mod snapshot;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use etcd::client::{self, Head, Status, Store};
use etcd::mirror::{Config as Pace, Event, Failure, Resume};
use etcd::schema::Prefix;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

pub use audit::Audit;
pub use builder::Builder;
use builder::Edition;
pub use guard::{Guard, Loss};
pub use publish::{Published, Publisher};
pub use snapshot::check as check_snapshot;

use crate::memory;
use crate::model::Consistency;
use crate::server::Proved;

/// How long etcd may take for one page of an audit.
const PAGE: Duration = Duration::from_secs(10);

/// What makes the mirror panic would most likely do so again at once.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

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

/// How the mirror stands.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    /// Whether there is something to serve: the first sync is done, or a snapshot was read, and there is a zone.
    pub ready: bool,
    /// Whether it is ready without any zone, too.
    pub allow_empty: bool,
    /// The revision that is served; none before there is something to serve.
    pub applied: Option<i64>,
    /// The revision that has come from etcd, served or held back.
    pub mirrored: Option<i64>,
    /// The moment as of which the copy was last proved complete; none while it is in doubt.
    pub last_fresh: Option<Instant>,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether what is served is not to be taken for what etcd holds until all of it is listed again.
    pub doubted: bool,
    /// The endpoint in use.
    pub endpoint: String,
    /// The cluster that is mirrored.
    pub cluster_id: Option<u64>,
    /// The member there, once it has answered.
    pub member_id: Option<u64>,
    /// What is wrong, if something is.
    pub trouble: Option<String>,
    /// What etcd has lost and is held back, if anything is.
    pub held: Option<Loss>,
    /// How many zones are held back.
    pub held_zones: usize,
    /// How many zones are served.
    pub zones: usize,
    /// How many RRsets are served.
    pub rrsets: usize,
    /// How many keys have values that cannot be used.
    pub quarantined: usize,
    /// How many zones have a serial that is behind one that was served before.
    pub serials_behind: usize,
    /// How often everything had to be listed.
    pub lists: u64,
    /// How often the cluster was another one.
    pub cluster_changes: u64,
    /// How often the mirror was held against etcd.
    pub audits: u64,
    /// How often the two were not the same.
    pub differences: u64,
    /// The last time.
    pub audit: Option<Audit>,
    /// The revision of the local snapshot.
    pub snapshot: Option<i64>,
}

impl Freshness {
    /// Before anything has come from etcd: what the local snapshot has, if there is one.
    pub fn at_start((mirrored, resume): &(Mirrored, Option<Resume>), settings: &Settings) -> Self {
        let revision = resume.as_ref().map(|resume| resume.revision);
        let mut freshness = Freshness {
            allow_empty: settings.allow_empty,
            mirrored: revision,
            snapshot: revision,
            ..Freshness::default()
        };
        freshness.follow(&mirrored.lock());
        freshness
    }

    /// Takes over what the builder has come to.
    fn follow(&mut self, builder: &Builder) {
        let is_empty = builder.view().zone_count() == 0;
        self.ready = builder.view().is_ready() && (!is_empty || self.allow_empty);
        self.cluster_id = builder.cluster_id();
        self.applied = builder.revision();
        self.held = builder.held().map(|(loss, _)| loss);
        self.held_zones = builder.held().map_or(0, |(_, zones)| zones);
        self.quarantined = builder.quarantine().len();
        self.serials_behind = builder.serials_behind().len();
        self.zones = builder.view().zone_count();
        self.rrsets = builder.view().rrset_count();
    }

    /// How long ago the copy was last proved complete.
    pub fn age(&self) -> Option<Duration> {
        self.last_fresh.map(|at| at.elapsed())
    }

    /// Whether what is served has all that the store had then. A view of another cluster has not, however high its
    /// revision, nor has one that was found to differ. Zones that are held back say so themselves.
    pub fn covers(&self, head: &Head) -> bool {
        !self.doubted
            && self.cluster_id == Some(head.cluster_id)
            && self.applied >= Some(head.revision)
    }
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

/// Mirrors etcd into `published`, which has what `mirrored` was opened with, until `stop` comes true. Should it panic,
/// which is a defect, what is there is served on, and all of it is listed again.
pub async fn run(
    settings: Settings,
    (mirrored, mut resume): (Mirrored, Option<Resume>),
    published: Published,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
    stop: watch::Receiver<bool>,
) {
    let publisher = Publisher::start(published);
    loop {
        let follow = tokio::spawn(follow(
            settings.clone(),
            (mirrored.clone(), resume.take()),
            publisher.clone(),
            proved.clone(),
            freshness.clone(),
            stop.clone(),
        ));
        match follow.await {
            Err(failed) if failed.is_panic() => {
                error!("the mirror has panicked, which is a defect: listing all of it again");
                // What was taken in before that may not have been published, and will be told of as served.
                let view = mirrored.lock().view().clone();
                publisher.publish(view);
                sleep(PANIC_PAUSE).await;
            }
            _ => return,
        }
    }
}

async fn follow(
    settings: Settings,
    (mirrored, resume): (Mirrored, Option<Resume>),
    publisher: Publisher,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
    mut stop: watch::Receiver<bool>,
) {
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
        if events.iter().any(takes_long) {
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
        _ = stop.wait_for(|stop| *stop) => {}
    }
    if let Some(saver) = &saver {
        saver.save(&mut saved).await;
    }
}

/// Whether an event takes more than a moment to take in.
fn takes_long(event: &Event) -> bool {
    matches!(event, Event::Items(_) | Event::Listed { .. })
}

/// Writes the local snapshot.
struct Saver {
    path: PathBuf,
    every: Duration,
    mirrored: Mirrored,
    freshness: watch::Sender<Freshness>,
}

impl Saver {
    fn new(
        settings: &Settings,
        mirrored: &Mirrored,
        freshness: &watch::Sender<Freshness>,
    ) -> Option<Self> {
        let (path, every) = settings.snapshot.clone()?;
        let (mirrored, freshness) = (mirrored.clone(), freshness.clone());
        Some(Saver {
            path,
            every,
            mirrored,
            freshness,
        })
    }

    fn edition(&self) -> Option<Edition> {
        self.mirrored.lock().edition()
    }

    async fn save_for_ever(&self, saved: &mut Option<Edition>) {
        loop {
            sleep(self.every).await;
            self.save(saved).await;
        }
    }

    /// Writes the snapshot, if what is served is not what the last one has.
    async fn save(&self, last: &mut Option<Edition>) {
        // A restart would take a copy in doubt for a good one.
        if self.edition() == *last || self.freshness.borrow().doubted {
            return;
        }
        let (mirrored, path) = (self.mirrored.clone(), self.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            // What is saved is looked at only then: nothing older is written after it.
            let turn = snapshot::turn();
            let (edition, saved) = {
                let builder = mirrored.lock();
                (builder.edition(), builder.save()?)
            };
            Some(snapshot::write(&turn, &path, &saved).map(|()| (edition, saved.revision)))
        });
        let shown = self.path.display();
        match written.await {
            Ok(Some(Ok((edition, revision)))) => {
                debug!(snapshot = %shown, revision, "snapshot written");
                *last = edition;
                self.freshness
                    .send_modify(|freshness| freshness.snapshot = Some(revision));
            }
            Ok(Some(Err(error))) => {
                error!(snapshot = %shown, %error, "cannot write the snapshot");
            }
            // There is nothing yet.
            Ok(None) => {}
            Err(error) => error!(%error, "the snapshot was not written"),
        }
    }
}

/// Takes what the watch brings.
struct Feed {
    mirrored: Mirrored,
    publisher: Publisher,
    proved: Arc<Proved>,
    freshness: watch::Sender<Freshness>,
    store: client::Config,
    lost: Option<Failure>,
    is_trim_due: bool,
}

impl Feed {
    fn take(&mut self, events: Vec<Event>, status: &Status) {
        let (mut changed, mut lists) = (false, 0);
        let (mut synced, mut is_fresh) = (None, false);
        for event in events {
            match &event {
                Event::Listed { revision } => {
                    synced = Some(*revision);
                    lists += 1;
                }
                Event::Fresh { .. } => is_fresh = true,
                Event::Lost { failure, endpoint } => self.log_lost(*failure, *endpoint, status),
                _ => {}
            }
            let mut builder = self.mirrored.lock();
            if matches!(event, Event::Listed { .. }) {
                builder.set_cluster(status.cluster_id);
            }
            changed |= builder.apply(event);
        }
        self.is_trim_due |= lists > 0;
        if changed {
            let view = self.mirrored.lock().view().clone();
            self.publisher.publish(view);
        }
        // Only now: what is proved is what is published.
        match status.last_fresh {
            Some(at) => self.proved.set(at),
            // A copy in doubt may have been incomplete at the moment of its last proof.
            None => self.proved.revoke(),
        }
        let before = self.freshness.borrow().cluster_id;
        self.tell(|freshness| {
            freshness.mirrored = status.applied;
            freshness.last_fresh = status.last_fresh;
            freshness.watching = status.watching;
            freshness.doubted = status.doubted;
            freshness.endpoint.clone_from(&status.endpoint);
            freshness.member_id = status.member_id;
            freshness.trouble.clone_from(&status.trouble);
            freshness.lists += lists;
            if before.is_some() && before != freshness.cluster_id {
                freshness.cluster_changes += 1;
                let cluster = freshness.cluster_id.unwrap_or(0);
                warn!(
                    cluster = format!("{cluster:x}"),
                    "etcd is another cluster now"
                );
            }
        });
        // Who reads this may ask at once.
        if let Some(revision) = synced {
            info!(revision, "synced");
        }
        if is_fresh && self.lost.take().is_some() {
            let (endpoint, revision) = (&status.endpoint, status.applied);
            info!(endpoint, revision, "fresh again");
        }
        if std::mem::take(&mut self.is_trim_due) {
            // It takes a moment, and nobody waits for it.
            tokio::task::spawn_blocking(memory::trim);
        }
    }

    /// Tells everybody how the mirror stands.
    fn tell(&self, more: impl FnOnce(&mut Freshness)) {
        let builder = self.mirrored.lock();
        self.freshness.send_modify(|freshness| {
            freshness.follow(&builder);
            more(freshness);
        });
    }

    /// The same trouble over and over is one line, not one a try.
    fn log_lost(&mut self, failure: Failure, endpoint: usize, status: &Status) {
        if self.lost.replace(failure) == Some(failure) {
            return;
        }
        let reason = status.trouble.as_deref().unwrap_or_default();
        let serving = self.mirrored.lock().view().is_ready();
        let urls = self.store.urls();
        let endpoint = urls.get(endpoint).map_or("", String::as_str);
        warn!(
            endpoint,
            ?failure,
            reason,
            serving,
            "etcd is lost, trying on"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_takes_back_what_was_proved() {
        let settings = Settings {
            store: client::Config::new(vec![]),
            prefix: Prefix::default(),
            consistency: Consistency::Available,
            guard: Guard::default(),
            snapshot: None,
            audit: None,
            allow_empty: false,
        };
        let start = Instant::now();
        let (freshness, told) = watch::channel(Freshness::default());
        let mut feed = Feed {
            mirrored: Mirrored::open(&settings).0,
            publisher: Publisher::new(Published::default()).0,
            proved: Arc::new(Proved::never(start)),
            freshness,
            store: settings.store,
            lost: None,
            is_trim_due: false,
        };
        let proved = feed.proved.clone();
        let mut status = Status {
            applied: Some(8),
            last_fresh: Some(start),
            endpoint: String::new(),
            cluster_id: Some(1),
            member_id: None,
            watching: true,
            doubted: false,
            trouble: None,
        };
        feed.take(vec![Event::Fresh { at: start }], &status);
        assert_eq!(proved.last().age(start), Some(Duration::ZERO));
        assert!(told.borrow().age().is_some());
        (status.doubted, status.last_fresh) = (true, None);
        feed.take(vec![Event::Listing], &status);
        assert_eq!(proved.last().age(start), None, "`bounded` has to refuse");
        assert!(told.borrow().age().is_none());
    }

    #[test]
    fn what_another_cluster_had_covers_nothing() {
        let head = Head {
            revision: 8,
            store: 9,
            cluster_id: 1,
        };
        let fresh = Freshness {
            applied: Some(8),
            cluster_id: Some(1),
            ..Freshness::default()
        };
        assert!(fresh.covers(&head));
        let behind = Freshness {
            applied: Some(7),
            ..fresh.clone()
        };
        let of_another = Freshness {
            applied: Some(100),
            cluster_id: Some(2),
            ..fresh.clone()
        };
        let doubted = Freshness {
            doubted: true,
            ..fresh
        };
        for not in [behind, of_another, doubted, Freshness::default()] {
            assert!(!not.covers(&head), "{not:?}");
        }
    }
}
