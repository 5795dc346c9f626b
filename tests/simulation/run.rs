//! One run of a schedule.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd::client::Config;
use etcd::schema::key_text;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout, timeout_at};

use crate::actors::{self, Defect, End, FrontEnd, Told, Writer};
use crate::check::{Checks, History, Made, PREDECESSOR, REST, is_announced};
use crate::model::{Cluster, State, now};
use crate::schedule::{Change, Edit, How, Item, MEMBERS, Mishap, Parting, Schedule};
use crate::trouble;

/// The result of a run.
pub(crate) struct Report {
    /// The promises that were broken; empty if none was.
    pub(crate) broken: Vec<String>,
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
    let mut scene = Scene {
        schedule,
        checks: Checks::new(&cluster),
        cluster,
        defect,
        started: now(),
        began: now(),
        made: Arc::default(),
        end: Arc::default(),
    };
    actors::prepare(&scene.writer(0)).await;
    scene.began = now();
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

type Announcers = Vec<(u64, JoinHandle<()>)>;

impl Scene<'_> {
    fn config(&self, client: usize) -> Config {
        let ahead = self.schedule.items.iter().find_map(|(_, item)| match item {
            Item::Clock {
                client: other,
                ahead,
            } if *other == client => Some(*ahead),
            _ => None,
        });
        actors::config(&self.cluster, client, self.started, ahead.unwrap_or(0))
    }

    /// How many entries journals keep, if that is few.
    fn journal_entries(&self) -> Option<u32> {
        self.schedule.items.iter().find_map(|(_, item)| match item {
            Item::SmallJournals { entries } => Some(*entries),
            _ => None,
        })
    }

    /// Whether journals may lose entries during the run.
    fn forgets(&self) -> bool {
        let is_far = |(_, item): &(usize, Item)| {
            const MONTH: u64 = 30 * 86_400;
            matches!(item, Item::Clock { ahead, .. } if ahead.unsigned_abs() > MONTH - 7_200)
        };
        self.journal_entries().is_some() || self.schedule.items.iter().any(is_far)
    }

    /// Whether writes may come twice.
    fn repeats_writes(&self) -> bool {
        let repeats = |(_, item): &(usize, Item)| matches!(item, Item::Network(Mishap::Repeats, _));
        self.schedule.items.iter().any(repeats)
    }

    fn writer(&self, number: usize) -> Writer {
        Writer {
            config: self.config(number),
            journal_entries: self.journal_entries(),
        }
    }

    fn at(&self, offset: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.began + offset)
    }

    /// Runs the schedule, then waits until all clients are idle.
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
        self.write_once_more().await;
        self.end_announcers(announcers).await;
        self.checks.at_rest(&front_ends).await;
        if let Some(told) = told {
            self.checks.all_told(&told, self.forgets()).await;
        }
        for (_, item) in &self.schedule.items {
            if let Item::Past { zone, part } = item {
                let store = actors::store(&self.config(0), "nothing");
                let (zone, forgets) = ((*zone, *part), self.forgets());
                self.checks.past(&store, zone, forgets).await;
            }
        }
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
        let start = |(number, changes): (usize, Vec<_>)| {
            let (writer, all) = (self.writer(number), self.made.clone());
            let task = tokio::spawn(async move {
                for (pause, label, change) in changes {
                    sleep(pause).await;
                    write(&writer, label, change, &all).await;
                }
            });
            if let Some(kill) = kills.get(&number).copied() {
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
                self.checks
                    .broken("a writer does not come to an end".into());
            }
        }
    }

    /// Checks that a change can be made again.
    async fn write_once_more(&self) {
        let edit = Edit {
            zone: 0,
            owner: 0,
            how: How::Set,
            address: 200,
        };
        let change = Change::Edits {
            required: None,
            edits: vec![edit],
        };
        let end = write(
            &self.writer(0),
            "the last change".into(),
            change,
            &self.made,
        )
        .await;
        if !matches!(end, End::Done { .. } | End::Refused(_)) {
            let what = format!("a change ends with {end:?} although nothing goes wrong any more");
            self.checks.broken(what);
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
            let (cluster, checks) = (self.cluster.clone(), self.checks.clone());
            let withdrawn = move |is_withdrawn: bool| {
                // A restore may have brought them back.
                let is_restored = cluster.lock().began_at().is_some();
                if !is_withdrawn || is_restored {
                    return;
                }
                checks.withdrawn(instance);
                if is_announced(&cluster, Some(instance)) {
                    let what = format!("announcer {instance} has withdrawn records that stay");
                    checks.broken(what);
                }
            };
            let task = tokio::spawn(async move {
                sleep_until(from).await;
                let stop = async {
                    match how {
                        Parting::Stops => sleep_until(until).await,
                        Parting::IsKilled => std::future::pending().await,
                        Parting::Stays => end.notified().await,
                    }
                };
                let lease = (lease, instance);
                let announced = actors::announce(&store, owner, address, lease, stop, withdrawn);
                match how {
                    Parting::IsKilled => drop(timeout_at(until, announced).await),
                    Parting::Stops | Parting::Stays => announced.await,
                }
            });
            announcers.push((instance, task));
        }
        announcers
    }

    /// Waits until the announcers have ended that do, ends those that stay, and checks what is left.
    async fn end_announcers(&self, announcers: Announcers) {
        let staying = self.schedule.items.iter().filter_map(|(number, item)| {
            let Item::Announcer { owner, how, .. } = item else {
                return None;
            };
            matches!(how, Parting::Stays).then_some((*number as u64, *owner))
        });
        let staying: Vec<(u64, usize)> = staying.collect();
        if !staying.is_empty() {
            sleep(self.schedule.aftermath()).await;
            self.checks.all_announced(&staying);
        }
        self.end.notify_waiters();
        for (instance, task) in announcers {
            if timeout(REST, task).await.is_err() {
                let what = format!("announcer {instance} does not come to an end");
                self.checks.broken(what);
            }
        }
        sleep(self.schedule.aftermath()).await;
        self.checks.none_after_withdrawal();
        if is_announced(&self.cluster, None) {
            let what = "records stay although all announcers are gone";
            self.checks.broken(what.into());
        }
    }

    /// Starts the front-ends, and returns the numbers of those that stay.
    fn start_front_ends(&self) -> Vec<usize> {
        let mut front_ends = Vec::new();
        for (number, item) in &self.schedule.items {
            let Item::FrontEnd { from, until, saves } = item.clone() else {
                continue;
            };
            let saves = saves.map(|every| (every, Arc::default()));
            let front_end = |number| FrontEnd {
                config: self.config(number % PREDECESSOR),
                number,
                checks: self.checks.clone(),
                defect: self.defect,
                saves: saves.clone(),
            };
            let (first, second) = (front_end(number + PREDECESSOR), front_end(*number));
            let (from, until) = (self.at(from), self.at(until));
            tokio::spawn(async move {
                sleep_until(from).await;
                let _ = timeout_at(until, first.run()).await;
                second.run().await;
            });
            front_ends.push(*number);
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

    fn report(&self, is_told: bool) -> Report {
        let made = self.made.lock().expect("no writer has panicked");
        let state = self.cluster.lock();
        let history = History {
            checks: &self.checks,
            cluster_id: state.id,
            store: &state.store,
            since: state.began_at(),
            repeats_revisions: state.repeats_revisions(),
            forgets: self.forgets(),
            repeats_writes: self.repeats_writes(),
            made: &made,
        };
        history.check();
        let mut story = state.log.clone().unwrap_or_default();
        if is_told {
            story.extend(tell(&state, &made, self.started));
        }
        let (views, proofs, reads) = self.checks.counts();
        Report {
            broken: self.checks.all_broken(),
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

/// Makes a change, and returns how it ended.
async fn write(writer: &Writer, label: String, change: Change, all: &AllMade) -> End {
    let mut recorder = Recorder {
        all,
        made: Made {
            label: label.clone(),
            change: change.clone(),
            began: now(),
            ended: now(),
            // Unless it ends otherwise before the writer is killed.
            end: End::Unknown,
            may_leave: true,
        },
    };
    (recorder.made.end, recorder.made.may_leave) = writer.make(&label, &change).await;
    recorder.made.end.clone()
}

/// Records a change when it has ended, or its writer has been killed.
struct Recorder<'a> {
    all: &'a AllMade,
    made: Made,
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if let Ok(mut all) = self.all.lock() {
            all.push(Made {
                ended: now(),
                ..self.made.clone()
            });
        }
    }
}
