//! One run of a schedule.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd::schema::{Prefix, key_text};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use crate::actors::{self, Defect, End};
use crate::check::{self, Checks, Made};
use crate::model::{Cluster, Cut, Network, State, now};
use crate::reference;
use crate::schedule::{Change, Fault, Item, MEMBERS, Schedule};

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
    let config = |client| actors::config(&cluster, client, started);
    actors::prepare(&actors::store(&config(0), "the preparations")).await;
    let began = now();
    let checks = Checks::new(&cluster);
    let made: AllMade = Arc::default();
    cluster.set_network(network(schedule));
    let at = |offset: Duration| tokio::time::Instant::from_std(began + offset);

    let mut writers: BTreeMap<usize, Vec<(Duration, String, Change)>> = BTreeMap::new();
    let mut kills = BTreeMap::new();
    let mut announcers = Vec::new();
    let mut front_ends = Vec::new();
    for (number, item) in &schedule.items {
        match item.clone() {
            Item::Change {
                writer,
                pause,
                change,
            } => {
                writers
                    .entry(writer)
                    .or_default()
                    .push((pause, format!("change {number}"), change))
            }
            Item::KillWriter { writer, at } => drop(kills.insert(writer, at)),
            Item::Announcer {
                owner,
                address,
                lease,
                from,
                until,
                is_killed,
            } => {
                let store = actors::store(&config(*number), "an announcement");
                let (from, until) = (at(from), at(until));
                let instance = *number as u64;
                announcers.push((
                    instance,
                    tokio::spawn(async move {
                        sleep_until(from).await;
                        let stop = async {
                            sleep_until(until).await;
                            if is_killed {
                                std::future::pending::<()>().await;
                            }
                        };
                        let announced =
                            actors::announce(&store, owner, address, (lease, instance), stop);
                        match is_killed {
                            true => tokio::time::timeout_at(until, announced)
                                .await
                                .ok()
                                .flatten(),
                            false => announced.await,
                        }
                    }),
                ));
            }
            Item::FrontEnd { from, until } => {
                let (config, checks, number) = (config(*number), checks.clone(), *number);
                let (from, until) = (at(from), at(until));
                front_ends.push((
                    number,
                    tokio::spawn(async move {
                        sleep_until(from).await;
                        let first = actors::front_end(
                            config.clone(),
                            number + check::PREDECESSOR,
                            checks.clone(),
                            defect,
                        );
                        let _ = tokio::time::timeout_at(until, first).await;
                        actors::front_end(config, number, checks, defect).await;
                    }),
                ));
            }
            Item::Network(..) => {}
            other => drop(tokio::spawn(disturb(cluster.clone(), other, began))),
        }
    }
    let mut writing = Vec::new();
    for (writer, changes) in writers {
        let (config, made) = (config(writer), made.clone());
        let task = tokio::spawn(write(config, changes, made.clone()));
        if let Some(kill) = kills.get(&writer) {
            let (task, kill) = (task.abort_handle(), at(*kill));
            tokio::spawn(async move {
                sleep_until(kill).await;
                task.abort();
            });
        }
        writing.push(task);
    }

    sleep_until(at(schedule.trouble)).await;
    heal(&cluster, schedule);
    for task in writing {
        match timeout(REST, task).await {
            Err(_) => checks.fault("a writer does not come to an end".into()),
            Ok(Err(error)) if error.is_panic() => {
                checks.fault(format!("a writer has panicked: {error}"))
            }
            Ok(_) => {}
        }
    }
    for (instance, task) in announcers {
        let ended = timeout(REST, task).await;
        match ended {
            Err(_) => checks.fault(format!("announcer {instance} does not come to an end")),
            Ok(Err(error)) => checks.fault(format!("announcer {instance} has panicked: {error}")),
            Ok(Ok(withdrawn)) => {
                // A restore may have brought them back.
                let is_restored = cluster.lock().began_at().is_some();
                let is_there = is_announced(&cluster, Some(instance));
                if withdrawn == Some(true) && is_there && !is_restored {
                    checks.fault(format!(
                        "announcer {instance} is gone, and its records are not"
                    ));
                }
            }
        }
    }
    sleep(schedule.aftermath()).await;
    if is_announced(&cluster, None) {
        checks.fault("records stay although all announcers are gone".into());
    }
    rest(&cluster, &checks, &front_ends).await;

    let made = made.lock().expect("no writer has panicked").clone();
    let state = cluster.lock();
    let since = state.began_at();
    for fault in check::history(&checks, (state.id, &state.store), since, &made) {
        checks.fault(fault);
    }
    let mut story = state.log.clone().unwrap_or_default();
    if is_told {
        story.extend(tell(&state, &made, started));
    }
    let (views, proofs, reads) = checks.counts();
    Report {
        faults: checks.faults(),
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
async fn write(
    config: etcd::client::Config,
    changes: Vec<(Duration, String, Change)>,
    all: AllMade,
) {
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

fn network(schedule: &Schedule) -> Network {
    let mut network = Network::default();
    for (_, item) in &schedule.items {
        if let Item::Network(fault, likelihood) = item {
            *match fault {
                Fault::LosesRequests => &mut network.lost_requests,
                Fault::LosesAnswers => &mut network.lost_answers,
                Fault::IsSlow => &mut network.slow,
                Fault::Repeats => &mut network.duplicates,
                Fault::Breaks => &mut network.broken,
                Fault::Stalls => &mut network.stalled,
            } = *likelihood;
        }
    }
    network
}

/// Lets one thing go wrong, at its time.
async fn disturb(cluster: Arc<Cluster>, item: Item, began: Instant) {
    let until = |offset: Duration| sleep_until(tokio::time::Instant::from_std(began + offset));
    match item {
        Item::Cut {
            client,
            member,
            is_refused,
            from,
            until: end,
        } => {
            until(from).await;
            cluster.cut(
                client,
                member,
                if is_refused {
                    Cut::Refused
                } else {
                    Cut::Silent
                },
            );
            until(end).await;
            cluster.mend(client, member);
        }
        Item::Isolated {
            member,
            from,
            until: end,
        } => {
            until(from).await;
            cluster.isolate(member);
            until(end).await;
            cluster.rejoin(member);
        }
        Item::NoLeader { from, until: end } => {
            until(from).await;
            cluster.lose_leader();
            until(end).await;
            cluster.elect();
        }
        Item::Compaction { at, kept } => {
            until(at).await;
            cluster.compact(kept);
        }
        Item::Restore { at, back } => {
            until(at).await;
            cluster.restore(back);
        }
        Item::Change { .. }
        | Item::KillWriter { .. }
        | Item::Announcer { .. }
        | Item::FrontEnd { .. }
        | Item::Network(..) => {}
    }
}

/// From now on nothing goes wrong. What ends at this moment by itself may end after this.
fn heal(cluster: &Cluster, schedule: &Schedule) {
    cluster.set_network(Network::default());
    for (_, item) in &schedule.items {
        match item {
            Item::Cut { client, member, .. } => cluster.mend(*client, *member),
            Item::Isolated { member, .. } => cluster.rejoin(*member),
            Item::NoLeader { .. } => cluster.elect(),
            _ => {}
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
