//! One run of a schedule.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd::client::Config;
use etcd::model::Rtype;
use etcd::schema::{Prefix, key_text};
use etcd::txn::Moment;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout, timeout_at};

use crate::actors::{self, Defect, End, Told};
use crate::check::{self, Checks, History, Made};
use crate::model::{Cluster, State, now};
use crate::reference::{self, Records};
use crate::schedule::{Change, Item, MEMBERS, Parting, Schedule};
use crate::trouble;

/// How long everything may take to come to rest after the last fault.
const REST: Duration = Duration::from_secs(20);

/// What came of a run.
pub(crate) struct Report {
    /// What was wrong; empty if nothing was.
    pub(crate) faults: Vec<String>,
    /// What happened, for people.
    pub(crate) story: Vec<String>,
    pub(crate) counts: Counts,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) runs: usize,
    pub(crate) changes: usize,
    pub(crate) revisions: usize,
    pub(crate) views: usize,
    pub(crate) proofs: usize,
    pub(crate) reads: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Counts) {
        self.runs += other.runs;
        self.changes += other.changes;
        self.revisions += other.revisions;
        self.views += other.views;
        self.proofs += other.proofs;
        self.reads += other.reads;
    }
}

thread_local! {
    /// The seed of the run in this thread.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Ends the program when anything panics. A task that does would otherwise just be gone.
pub(crate) fn abort_on_panic() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        told(panic);
        eprintln!("BROKEN: a panic in the run of seed {}", SEED.get());
        std::process::exit(1);
    }));
}

/// Runs a schedule, if need be with front-ends that are broken. The story is only told if it is asked for.
pub(crate) fn run(schedule: &Schedule, defect: Option<Defect>, is_told: bool) -> Report {
    SEED.set(schedule.seed);
    fastrand::seed(schedule.seed);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(simulate(schedule, defect, is_told))
}

/// The changes that writers have made, in the order in which they ended.
type AllMade = Arc<Mutex<Vec<Made>>>;

async fn simulate(schedule: &Schedule, defect: Option<Defect>, is_told: bool) -> Report {
    let cluster = Cluster::start(MEMBERS, schedule.seed);
    cluster.lock().log = is_told.then(Vec::new);
    let started = now();
    let prepared = actors::config(&cluster, 0, started);
    actors::prepare(&actors::store(&prepared, "the preparations")).await;
    let scene = Scene {
        schedule,
        checks: Checks::new(&cluster),
        cluster,
        defect,
        started,
        began: now(),
        made: Arc::default(),
        end: Arc::default(),
    };
    scene.play().await;
    scene.report(is_told)
}

/// A run under way.
struct Scene<'s> {
    schedule: &'s Schedule,
    cluster: Arc<Cluster>,
    checks: Checks,
    defect: Option<Defect>,
    started: Instant,
    /// When the preparations had ended.
    began: Instant,
    made: AllMade,
    /// Ends the announcers that stay.
    end: Arc<Notify>,
}

type Announcers = Vec<(u64, JoinHandle<Option<bool>>)>;

type FrontEnds = Vec<(usize, JoinHandle<()>)>;

impl Scene<'_> {
    fn config(&self, client: usize) -> Config {
        actors::config(&self.cluster, client, self.started)
    }

    fn at(&self, offset: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.began + offset)
    }

    /// Lets everything happen, and waits until it has come to rest.
    async fn play(&self) {
        self.cluster.set_network(trouble::network(self.schedule));
        let writers = self.start_writers();
        let announcers = self.start_announcers();
        let front_ends = self.start_front_ends();
        let told = self.start_follower();
        for (_, item) in &self.schedule.items {
            let (cluster, item) = (self.cluster.clone(), item.clone());
            tokio::spawn(trouble::disturb(cluster, item, self.began));
        }
        sleep_until(self.at(self.schedule.trouble)).await;
        self.cluster.heal();
        self.end_writers(writers).await;
        self.check_announced().await;
        self.end.notify_waiters();
        self.end_announcers(announcers).await;
        sleep(self.schedule.aftermath()).await;
        if is_announced(&self.cluster, None) {
            let fault = "records stay although all announcers are gone";
            self.checks.fault(fault.into());
        }
        rest(&self.cluster, &self.checks, &front_ends).await;
        self.check_follower(&told).await;
        self.check_past().await;
    }

    fn start_writers(&self) -> Vec<JoinHandle<()>> {
        let mut writers: BTreeMap<usize, Vec<(Duration, String, Change)>> = BTreeMap::new();
        let mut kills = BTreeMap::new();
        for (number, item) in &self.schedule.items {
            match item.clone() {
                Item::Change {
                    writer,
                    pause,
                    change,
                } => {
                    let changes = writers.entry(writer).or_default();
                    changes.push((pause, format!("change {number}"), change));
                }
                Item::KillWriter { writer, at } => drop(kills.insert(writer, self.at(at))),
                _ => {}
            }
        }
        let start = |(writer, changes): (usize, _)| {
            let task = tokio::spawn(write(self.config(writer), changes, self.made.clone()));
            if let Some(kill) = kills.get(&writer).copied() {
                let task = task.abort_handle();
                tokio::spawn(async move {
                    sleep_until(kill).await;
                    task.abort();
                });
            }
            task
        };
        writers.into_iter().map(start).collect()
    }

    async fn end_writers(&self, writers: Vec<JoinHandle<()>>) {
        for task in writers {
            if timeout(REST, task).await.is_err() {
                self.checks.fault("a writer does not come to an end".into());
            }
        }
    }

    fn start_announcers(&self) -> Announcers {
        let mut announcers = Vec::new();
        for (number, item) in &self.schedule.items {
            let Item::Announcer {
                owner,
                address,
                lease,
                from,
                until,
                how,
            } = item.clone()
            else {
                continue;
            };
            let store = actors::store(&self.config(*number), "an announcement");
            let (from, until) = (self.at(from), self.at(until));
            let (instance, end) = (*number as u64, self.end.clone());
            let task = tokio::spawn(async move {
                sleep_until(from).await;
                let stop = async {
                    match how {
                        Parting::Stops => sleep_until(until).await,
                        Parting::IsKilled => std::future::pending().await,
                        Parting::Stays => end.notified().await,
                    }
                };
                let announced = actors::announce(&store, owner, address, (lease, instance), stop);
                match how {
                    Parting::IsKilled => timeout_at(until, announced).await.ok().flatten(),
                    Parting::Stops | Parting::Stays => announced.await,
                }
            });
            announcers.push((instance, task));
        }
        announcers
    }

    /// Checks that those who stay are announced. A CNAME record, or the lack of a zone, is a reason not to be.
    async fn check_announced(&self) {
        let stays = |(_, item): &(usize, Item)| {
            matches!(
                item,
                Item::Announcer {
                    how: Parting::Stays,
                    ..
                }
            )
        };
        if !self.schedule.items.iter().any(stays) {
            return;
        }
        sleep(self.schedule.aftermath()).await;
        let zones = {
            let state = self.cluster.lock();
            let revision = state.store.revision();
            reference::zones(&state.store, &Prefix::default(), revision)
        };
        for (number, item) in &self.schedule.items {
            if let Item::Announcer {
                owner,
                how: Parting::Stays,
                ..
            } = item
            {
                let owner = actors::owner_name(0, *owner);
                let zone = owner.ancestors().find_map(|name| zones.get(&name));
                let is_free = |zone: &reference::Zone| {
                    !zone.records.contains_key(&(owner.clone(), Rtype::CNAME))
                };
                let instance = *number as u64;
                if zone.is_some_and(is_free) && !is_announced(&self.cluster, Some(instance)) {
                    let fault = format!("announcer {instance} stays, and its records are gone");
                    self.checks.fault(fault);
                }
            }
        }
    }

    async fn end_announcers(&self, announcers: Announcers) {
        for (instance, task) in announcers {
            let Ok(withdrawn) = timeout(REST, task).await else {
                let fault = format!("announcer {instance} does not come to an end");
                self.checks.fault(fault);
                continue;
            };
            // A restore may have brought them back.
            let is_restored = self.cluster.lock().began_at().is_some();
            let is_there = is_announced(&self.cluster, Some(instance));
            if withdrawn.ok().flatten() == Some(true) && is_there && !is_restored {
                let fault = format!("announcer {instance} is gone, and its records are not");
                self.checks.fault(fault);
            }
        }
    }

    fn start_front_ends(&self) -> FrontEnds {
        let mut front_ends = Vec::new();
        for (number, item) in &self.schedule.items {
            let Item::FrontEnd { from, until } = item.clone() else {
                continue;
            };
            let (config, checks, number) = (self.config(*number), self.checks.clone(), *number);
            let (from, until, defect) = (self.at(from), self.at(until), self.defect);
            let task = tokio::spawn(async move {
                sleep_until(from).await;
                let first = number + check::PREDECESSOR;
                let first = actors::front_end(config.clone(), first, checks.clone(), defect);
                let _ = timeout_at(until, first).await;
                actors::front_end(config, number, checks, defect).await;
            });
            front_ends.push((number, task));
        }
        front_ends
    }

    /// Starts a follower of all journals, if there is to be one. It begins after the preparations.
    fn start_follower(&self) -> Option<Arc<Mutex<Told>>> {
        let is_follower = |(_, item): &&(usize, Item)| matches!(item, Item::Follower);
        let (number, _) = self.schedule.items.iter().find(is_follower)?;
        let store = actors::store(&self.config(*number), "nothing");
        let (told, revision) = (Arc::default(), self.cluster.lock().store.revision());
        tokio::spawn(actors::follow(store, revision, Arc::clone(&told)));
        Some(told)
    }

    /// Checks that a follower was told every change, once and in order.
    async fn check_follower(&self, told: &Option<Arc<Mutex<Told>>>) {
        let Some(told) = told else { return };
        let deadline = now() + REST;
        loop {
            let fault = {
                let (state, told) = (
                    self.cluster.lock(),
                    told.lock().expect("it has not panicked"),
                );
                // Whoever has followed another history is told, and starts anew.
                if state.began_at().is_some() {
                    return;
                }
                let all = check::recorded(&state.store, told.from);
                (told.changes != all).then(|| format!("told {:?} of {all:?}", told.changes))
            };
            match fault {
                None => return,
                Some(fault) if now() > deadline => return self.checks.fault(fault),
                Some(_) => sleep(Duration::from_millis(500)).await,
            }
        }
    }

    /// Checks that what the journal says of the past is so, for some moments.
    async fn check_past(&self) {
        let Some((zone, part)) = self.schedule.items.iter().find_map(|(_, item)| match item {
            Item::Past { zone, part } => Some((*zone, *part)),
            _ => None,
        }) else {
            return;
        };
        let (revision, apex) = (
            self.cluster.lock().store.revision(),
            actors::zone_name(zone),
        );
        let then = (revision as f64 * part) as i64;
        let store = actors::store(&self.config(0), "nothing");
        let past = match store.zone_past(&apex, Moment::Revision(then)).await {
            Ok(Ok(past)) => past.past,
            // Its archive may be missing, if the writer that replaced the zone was killed.
            Ok(Err(_)) => return,
            Err(error) => return self.checks.fault(format!("the past of {apex}: {error}")),
        };
        let state = self.cluster.lock();
        let zones = reference::zones(&state.store, &Prefix::default(), then);
        let zone = zones.get(&apex);
        let wanted = zone.map_or_else(Records::new, |zone| zone.records.clone());
        let told = past.rrsets.iter();
        let told: Records = told
            .map(|(place, rrset)| (place.clone(), reference::rdata(rrset)))
            .collect();
        if past.settings.is_some() != zone.is_some() || told != wanted {
            let fault = format!("at revision {then} {apex} had {wanted:?}, and not {told:?}");
            self.checks.fault(fault);
        }
    }

    fn report(&self, is_told: bool) -> Report {
        let made = self.made.lock().expect("no writer has panicked");
        let state = self.cluster.lock();
        let history = History {
            checks: &self.checks,
            cluster_id: state.id,
            store: &state.store,
            since: state.began_at(),
            made: &made,
        };
        history.check();
        let mut story = state.log.clone().unwrap_or_default();
        if is_told {
            story.extend(tell(&state, &made, self.started));
        }
        let (views, proofs, reads) = self.checks.counts();
        Report {
            faults: self.checks.faults(),
            counts: Counts {
                runs: 1,
                changes: made.len(),
                revisions: state.store.commits().count(),
                views,
                proofs,
                reads,
            },
            story,
        }
    }
}

/// The histories of the store, and what writers did.
fn tell(state: &State, made: &[Made], started: Instant) -> Vec<String> {
    let after = |at: Instant| (at - started).as_secs_f64();
    let mut story = Vec::new();
    for (id, store) in state.ended.iter().chain([(&state.id, &state.store)]) {
        story.push(format!("cluster {id}"));
        for (revision, commit) in store.commits() {
            let keys: Vec<String> = commit.keys.iter().map(|key| key_text(key)).collect();
            let at = after(commit.at);
            story.push(format!("{at:9.4} revision {revision}: {}", keys.join(" ")));
        }
    }
    for made in made {
        let (from, until) = (after(made.began), after(made.ended));
        let Made {
            label, change, end, ..
        } = made;
        story.push(format!(
            "{from:9.4} to {until:.4} {label} {change:?}: {end:?}"
        ));
    }
    story
}

/// Makes changes one after the other.
async fn write(config: Config, changes: Vec<(Duration, String, Change)>, all: AllMade) {
    for (pause, label, change) in changes {
        sleep(pause).await;
        let store = actors::store(&config, &label);
        let mut made = Unfinished {
            all: all.clone(),
            made: Some(Made {
                label,
                change: change.clone(),
                began: now(),
                ended: now(),
                end: End::Unknown,
            }),
        };
        let end = actors::make(&store, &change).await;
        made.end(end);
    }
}

/// A change that counts as unknown when its writer is killed.
struct Unfinished {
    all: AllMade,
    made: Option<Made>,
}

impl Unfinished {
    fn end(&mut self, end: End) {
        if let Some(made) = &mut self.made {
            made.end = end;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some(mut made), Ok(mut all)) = (self.made.take(), self.all.lock()) {
            made.ended = now();
            all.push(made);
        }
    }
}

/// Whether an announcer's records are there, or any.
fn is_announced(cluster: &Cluster, instance: Option<u64>) -> bool {
    let state = cluster.lock();
    let range = Prefix::default().leased();
    let revision = state.store.revision();
    let found = state.store.range(&range.start, &range.end, revision);
    found.into_iter().any(|(key, _)| match instance {
        Some(instance) => key.ends_with(format!("/{instance:016x}").as_bytes()),
        None => true,
    })
}

/// Waits until every front-end has caught up and all have the same serials.
async fn rest(cluster: &Cluster, checks: &Checks, front_ends: &[(usize, JoinHandle<()>)]) {
    let deadline = now() + REST;
    loop {
        let behind: Vec<String> = front_ends
            .iter()
            .filter_map(|(number, _)| Some((number, behind(cluster, checks, *number)?)))
            .map(|(number, what)| format!("front-end {number}: {what} in the end"))
            .collect();
        if behind.is_empty() {
            return;
        }
        if now() > deadline {
            behind.into_iter().for_each(|fault| checks.fault(fault));
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What a front-end still lacks.
fn behind(cluster: &Cluster, checks: &Checks, number: usize) -> Option<String> {
    let state = cluster.lock();
    let front_end = checks.front_end(number);
    let last = state.store.commits().next_back();
    if front_end.cluster_id != state.id || front_end.fresh <= last.map(|(_, commit)| commit.at) {
        return Some("it has not caught up".into());
    }
    let revision = state.store.revision();
    let zones = reference::zones(&state.store, &Prefix::default(), revision);
    zones.iter().find_map(|(apex, zone)| {
        let (serial, wanted) = (
            front_end.serials.get(apex),
            zone.settings.serial(zone.touched),
        );
        (serial != Some(&wanted)).then(|| format!("{apex} has the serial {serial:?}, not {wanted}"))
    })
}
