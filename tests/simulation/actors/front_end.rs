use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use etcd::client::{self, Config, MirrorStatus};
use etcd::mirror::{Event, Pace};
use etcd::model::Consistency;
use etcd::schema::Prefix;
use nsd::answer::Barrier;
use nsd::mirror::{Builder, Expiries, Guard, Saved};
use nsd::served::{Standing, confirm};
use nsd::zone::View;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::client::store;
use crate::check::{Checks, Source};
use crate::model::now;
use crate::schedule::MEMBERS;

/// A defect that a front-end can have, as those of `nsd-broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Defect {
    /// The barrier of `linearizable` asks nobody.
    NoBarrier,
    /// The view counts as proved all the time.
    AlwaysFresh,
    /// Every third revision, the view of two revisions before is served again.
    GoesBack,
}

/// The last snapshot of a front-end, which its successor starts from.
pub(crate) type Shelf = Arc<Mutex<Option<Saved>>>;

/// How long a linearizable answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

const CONSISTENCY: Consistency = Consistency::Available;

const GUARD: Guard = Guard { percent: 100 };

/// A front-end.
pub(crate) struct FrontEnd {
    pub(crate) config: Config,
    pub(crate) number: usize,
    pub(crate) checks: Checks,
    pub(crate) defect: Option<Defect>,
    /// How often it saves a snapshot, and where.
    pub(crate) saves: Option<(Duration, Shelf)>,
}

impl FrontEnd {
    /// Mirrors the store for ever, and passes each view, proof and answer to the checks. It starts from a snapshot, if there is
    /// one.
    pub(crate) async fn run(self) {
        let prefix = Prefix::default();
        self.checks.started(self.number);
        let saved = self
            .saves
            .as_ref()
            .and_then(|(_, shelf)| lock(shelf).take());
        let resume = saved.as_ref().map(Saved::resume);
        let builder = match saved {
            Some(saved) => Builder::restore(CONSISTENCY, GUARD, saved),
            None => Builder::new(prefix.clone(), CONSISTENCY, GUARD),
        };
        let is_unchecked = resume
            .as_ref()
            .is_some_and(|resume| resume.unchecked.is_some());
        let standing = watch::Sender::new(Standing {
            applied: builder.revision(),
            cluster_id: builder.cluster_id(),
            unchecked: is_unchecked,
            ..Standing::default()
        });
        if resume.is_some() {
            let checks = &self.checks;
            checks.view(
                self.number,
                &builder,
                builder.view(),
                Source::Snapshot { is_unchecked },
            );
        }
        let mut feed = Feed {
            number: self.number,
            checks: &self.checks,
            defect: self.defect,
            builder: &Mutex::new(builder),
            standing: &standing,
            expiries: &Expiries::default(),
            earlier: VecDeque::new(),
            revisions: 0,
        };
        let store = store(&self.config, "a serial");
        let (barrier, rounds) = {
            let (store, standing) = (store.clone(), standing.subscribe());
            let defect = self.defect;
            Barrier::new(PATIENCE, move || {
                let (store, standing) = (store.with_timeout(PATIENCE), standing.clone());
                async move {
                    let confirmed = timeout(PATIENCE, confirm(&store, standing));
                    defect == Some(Defect::NoBarrier) || confirmed.await.unwrap_or(false)
                }
            })
        };
        let reading = async {
            loop {
                sleep(Duration::from_secs(2).mul_f64(fastrand::f64())).await;
                let asked = now();
                if barrier.confirmed().await {
                    self.checks.read(self.number, asked);
                }
            }
        };
        let (builder, expiries, relist) = (feed.builder, feed.expiries, Notify::new());
        let take = |events, status: &MirrorStatus| feed.take(events, status);
        let watching = client::watch(self.config.clone(), prefix, pace(), resume, &relist, take);
        tokio::select! {
            biased;
            () = watching => {}
            () = rounds.serve() => {}
            () = reading => {}
            () = expiries.settle(&store) => {}
            () = save(self.saves.as_ref(), builder, &standing) => {}
        }
    }
}

fn pace() -> Pace {
    Pace {
        proof_interval: Duration::from_millis(500),
        stall: Duration::from_millis(1_200),
        page: Duration::from_millis(2_500),
        pause: (Duration::from_millis(50), Duration::from_millis(800)),
        ..Pace::new(MEMBERS, fastrand::u64(..))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody has panicked")
}

/// Saves snapshots, as nsd's saver does: none of a copy in doubt.
async fn save(
    saves: Option<&(Duration, Shelf)>,
    builder: &Mutex<Builder>,
    standing: &watch::Sender<Standing>,
) {
    let Some((every, shelf)) = saves else {
        return std::future::pending().await;
    };
    loop {
        sleep(*every).await;
        if !standing.borrow().doubted {
            *lock(shelf) = lock(builder).save();
        }
    }
}

/// Takes what the watch brings, as nsd does.
struct Feed<'f> {
    number: usize,
    checks: &'f Checks,
    defect: Option<Defect>,
    builder: &'f Mutex<Builder>,
    standing: &'f watch::Sender<Standing>,
    expiries: &'f Expiries,
    /// The views of the last revisions, the newest last.
    earlier: VecDeque<View>,
    revisions: usize,
}

impl Feed<'_> {
    fn take(&mut self, events: Vec<Event>, status: &MirrorStatus) {
        let mut builder = lock(self.builder);
        for event in events {
            let (source, fresh) = match &event {
                Event::Listed { .. } => (Some(Source::List), None),
                Event::Revision { .. } => (Some(Source::Changes), None),
                Event::Fresh { at } => (None, Some(*at)),
                _ => (None, None),
            };
            if source == Some(Source::List) {
                builder.set_cluster(status.cluster_id);
            }
            builder.apply(event);
            if let Some(source) = source {
                let view = self.served(builder.view());
                self.checks.view(self.number, &builder, &view, source);
            }
            if let Some(at) = fresh {
                self.checks.proof(self.number, at);
            }
        }
        builder.set_unchecked(status.unchecked);
        if self.defect == Some(Defect::AlwaysFresh) && builder.revision().is_some() {
            self.checks.proof(self.number, now());
        }
        self.standing.send_modify(|standing| {
            standing.applied = builder.revision();
            standing.cluster_id = builder.cluster_id();
            standing.follow(status);
        });
        self.expiries.note(builder.take_expired());
        if let Some(at) = status.last_fresh {
            self.checks.still_fresh(self.number, at, status.doubted);
        }
    }

    /// The view that is served instead of this one.
    fn served(&mut self, view: &View) -> View {
        if self.defect != Some(Defect::GoesBack) {
            return view.clone();
        }
        self.revisions += 1;
        self.earlier.push_back(view.clone());
        if self.earlier.len() > 3 {
            self.earlier.pop_front();
        }
        let back = if self.revisions.is_multiple_of(3) {
            0
        } else {
            self.earlier.len() - 1
        };
        self.earlier[back].clone()
    }
}
