//! The members of a cluster, its leader, its leases, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::sleep;
use tonic::Status;

use super::Store;

/// How often etcd looks for leases that have expired.
const EXPIRY: Duration = Duration::from_millis(500);

/// How likely it is that the network and the members do this to one message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    /// A request is lost on its way.
    pub(crate) lost_requests: f64,
    /// The answer is lost.
    pub(crate) lost_answers: f64,
    /// A request, an answer or a change on its way to a member takes up to some seconds.
    pub(crate) slow: f64,
    /// A proxy loses the answer to a write, and sends the write once more.
    pub(crate) duplicates: f64,
    /// The connection breaks.
    pub(crate) broken: f64,
    /// A stream stays open, and nothing comes any more.
    pub(crate) stalled: f64,
}

/// How a client is cut off from a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing comes back.
    Silent,
    /// Connections are refused.
    Refused,
}

/// A cluster, shared by all who use it.
pub(crate) struct Cluster {
    state: Mutex<State>,
    /// Wakes all who wait with every change, in the order in which they began to. (A `watch` channel wakes at random.)
    changed: Notify,
}

pub(crate) struct State {
    pub(crate) id: u64,
    pub(crate) store: Store,
    /// The histories that restores have ended, by cluster.
    pub(crate) ended: BTreeMap<u64, Store>,
    /// When that was.
    ends: BTreeMap<u64, Instant>,
    members: Vec<Member>,
    has_leader: bool,
    /// Counts changes of the leader.
    term: u64,
    leases: BTreeMap<i64, Lease>,
    /// Whether the last restore has skipped the revisions that the history before it had.
    skipped: bool,
    /// The lifetimes of all leases that were ever granted.
    lifetimes: BTreeMap<i64, Duration>,
    cuts: BTreeMap<(usize, usize), Cut>,
    network: Network,
    /// The clients whose watches have lacked a deletion.
    pub(crate) withheld: BTreeSet<usize>,
    full: Full,
    /// What has become of every message, if anybody wants to know.
    pub(crate) log: Option<Vec<String>>,
    started: Instant,
    pub(super) random: fastrand::Rng,
}

/// Whether the store is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    No,
    /// So many more writes are applied, and then answered as if they were not.
    Soon(u32),
    Yes,
}

#[derive(Clone, Copy, Default)]
struct Member {
    /// What its copy has.
    applied: i64,
    /// Whether it is cut off from the others.
    is_isolated: bool,
}

#[derive(Clone, Copy)]
struct Lease {
    ttl: Duration,
    expires: Instant,
}

/// Now, by the virtual clock.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Cluster {
    /// A cluster with an empty store, whose members live as long as the runtime.
    pub(crate) fn start(members: usize, seed: u64) -> Arc<Self> {
        let state = State {
            id: 1,
            store: Store::default(),
            ended: BTreeMap::new(),
            ends: BTreeMap::new(),
            members: vec![
                Member {
                    applied: 1,
                    is_isolated: false
                };
                members
            ],
            has_leader: true,
            term: 1,
            leases: BTreeMap::new(),
            skipped: false,
            lifetimes: BTreeMap::new(),
            cuts: BTreeMap::new(),
            network: Network::default(),
            withheld: BTreeSet::new(),
            full: Full::No,
            log: None,
            started: now(),
            random: fastrand::Rng::with_seed(seed),
        };
        let cluster = Arc::new(Cluster {
            state: Mutex::new(state),
            changed: Notify::new(),
        });
        for member in 0..members {
            tokio::spawn(cluster.clone().replicate(member));
        }
        tokio::spawn(cluster.clone().expire());
        cluster
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes all who wait for something.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_waiters();
        changed
    }

    /// Completes with the next change after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Waits until something is so.
    async fn wait_until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed();
            if is_so(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Sets how often things go wrong from now on.
    pub(crate) fn set_network(&self, network: Network) {
        self.change(|state| state.network = network);
    }

    /// Cuts a client off from a member.
    pub(crate) fn cut(&self, client: usize, member: usize, cut: Cut) {
        self.change(|state| state.cuts.insert((client, member), cut));
    }

    /// Cuts a member off from the others.
    pub(crate) fn isolate(&self, member: usize) {
        self.change(|state| state.members[member].is_isolated = true);
    }

    /// Joins a client and a member again.
    pub(crate) fn mend(&self, client: usize, member: usize) {
        self.change(|state| state.cuts.remove(&(client, member)));
    }

    /// Joins a member and the others again.
    pub(crate) fn rejoin(&self, member: usize) {
        self.change(|state| state.members[member].is_isolated = false);
    }

    /// From now on nothing goes wrong, whatever was broken.
    pub(crate) fn heal(&self) {
        self.change(|state| {
            state.network = Network::default();
            state.cuts.clear();
            for member in &mut state.members {
                member.is_isolated = false;
            }
            state.has_leader = true;
            state.full = Full::No;
            state.renew_leases();
        });
    }

    /// The store has no more room.
    pub(crate) fn fill(&self) {
        self.change(|state| state.full = Full::Soon(state.random.u32(1..=8)));
    }

    /// The store has room again.
    pub(crate) fn make_room(&self) {
        self.change(|state| state.full = Full::No);
    }

    /// The leader is lost. What is being proposed may be lost with it.
    pub(crate) fn lose_leader(&self) {
        self.change(|state| {
            state.has_leader = false;
            state.term += 1;
        });
    }

    /// There is a leader again. It starts all leases anew.
    pub(crate) fn elect(&self) {
        self.change(|state| {
            state.has_leader = true;
            state.renew_leases();
        });
    }

    /// Compacts all but the last revisions.
    pub(crate) fn compact(&self, kept: i64) {
        self.change(|state| {
            let until = state.store.revision() - kept;
            state.store.compacted = state.store.compacted.max(until);
        });
    }

    /// Starts another cluster from a backup of some revisions ago, under the same addresses. It may skip some revisions then.
    pub(crate) fn restore(&self, back: i64, skipped: i64) {
        self.change(|state| {
            let ended = state.store.clone();
            let revision = (ended.revision() - back).max(1);
            state.ended.insert(state.id, ended);
            state.ends.insert(state.id, now());
            state.id += 1;
            state.term += 1;
            state.store.restore(revision);
            if skipped > 0 {
                state.store.skip(back + skipped, now());
            }
            state.skipped = skipped > 0;
            let revision = state.store.revision();
            for member in &mut state.members {
                member.applied = revision;
            }
            state.restore_leases();
        });
    }

    /// Revokes a lease that does not last long, as an operator could: that of an announcer.
    pub(crate) fn revoke_any(&self) {
        self.change(|state| {
            let mut leases = state.leases.iter();
            let short = leases.find(|(_, lease)| lease.ttl < Duration::from_secs(60));
            if let Some(id) = short.map(|(id, _)| *id) {
                state.revoke(id);
            }
        });
    }

    /// Brings changes to a member.
    async fn replicate(self: Arc<Self>, member: usize) {
        loop {
            self.wait_until(|state| {
                let Member {
                    applied,
                    is_isolated,
                } = state.members[member];
                !is_isolated && applied < state.store.revision()
            })
            .await;
            let lag = self.lock().delay();
            sleep(lag).await;
            if !self.lock().members[member].is_isolated {
                self.change(|state| state.catch_up(member));
            }
        }
    }

    /// Deletes what belongs to leases that have expired.
    async fn expire(self: Arc<Self>) {
        loop {
            sleep(EXPIRY).await;
            let expired: Vec<i64> = {
                let state = self.lock();
                let leases = state.leases.iter();
                let expired =
                    leases.filter(|(_, lease)| state.has_leader && lease.expires <= now());
                expired.map(|(id, _)| *id).collect()
            };
            for id in expired {
                self.change(|state| state.revoke(id));
            }
        }
    }

    /// Waits until a member can answer linearizably; then it has everything.
    pub(super) async fn linearize(&self, member: usize) {
        self.wait_until(|state| state.is_connected(member)).await;
        self.change(|state| state.catch_up(member));
    }

    /// Has the cluster agree on a change that came to a member. If the leader changes meanwhile, this may fail although the change
    /// is made.
    pub(super) async fn propose<T>(
        &self,
        member: usize,
        change: impl FnOnce(&mut State) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let (id, term, is_connected, delay) = {
            let mut state = self.lock();
            let is_connected = state.is_connected(member);
            (state.id, state.term, is_connected, state.delay())
        };
        if !is_connected && self.lock().random.bool() {
            sleep(delay).await;
            return Err(Status::unavailable("etcdserver: no leader"));
        }
        self.wait_until(|state| state.is_connected(member)).await;
        sleep(delay).await;
        self.change(|state| {
            let is_lost = state.term != term && state.random.bool();
            if state.id != id || is_lost || !state.is_connected(member) {
                return Err(Status::unavailable("etcdserver: leader changed"));
            }
            let changed = change(state);
            state.catch_up(member);
            match state.term != term && state.random.bool() {
                true => Err(Status::unavailable("etcdserver: request timed out")),
                false => changed,
            }
        })
    }

    /// Waits until a client can talk to a member. False if that refuses to.
    pub(super) async fn wait_for_line(&self, client: usize, member: usize) -> bool {
        let cut = |state: &State| state.cuts.get(&(client, member)).copied();
        self.wait_until(|state| cut(state) != Some(Cut::Silent))
            .await;
        cut(&self.lock()).is_none()
    }
}

impl State {
    /// The store of a cluster, as it is or as it was in the end.
    pub(crate) fn store_of(&self, id: u64) -> Option<&Store> {
        match id == self.id {
            true => Some(&self.store),
            false => self.ended.get(&id),
        }
    }

    /// Whether a cluster was replaced before this moment.
    pub(crate) fn ended_before(&self, id: u64, at: Instant) -> bool {
        self.ends.get(&id).is_some_and(|end| *end < at)
    }

    /// When the present history began, if that was with a restore.
    pub(crate) fn began_at(&self) -> Option<Instant> {
        self.ends.values().next_back().copied()
    }

    /// Whether revisions of the present history may mean something else in one that a restore has ended.
    pub(crate) fn repeats_revisions(&self) -> bool {
        !self.ends.is_empty() && !self.skipped
    }

    /// Makes a change that writes, unless the store is full.
    pub(super) fn write<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let full = || {
            Err(Status::resource_exhausted(
                "etcdserver: mvcc: database space exceeded",
            ))
        };
        if self.full == Full::Yes {
            return full();
        }
        let changed = change(self)?;
        if let Full::Soon(count) = self.full {
            self.full = match count {
                0 | 1 => Full::Yes,
                more => Full::Soon(more - 1),
            };
            return full();
        }
        Ok(changed)
    }

    pub(super) fn log(&mut self, what: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            let after = (now() - self.started).as_secs_f64();
            log.push(format!("{after:9.4} {}", what()));
        }
    }

    /// How long a message takes.
    pub(super) fn delay(&mut self) -> Duration {
        let is_slow = self.random.f64() < self.network.slow;
        let most = if is_slow { 3_000_000 } else { 4_000 };
        Duration::from_micros(self.random.u64(..most))
    }

    /// Whether something goes wrong with a message.
    pub(super) fn goes_wrong(&mut self, how: fn(&Network) -> f64) -> bool {
        self.random.f64() < how(&self.network)
    }

    pub(super) fn is_cut(&self, client: usize, member: usize) -> bool {
        self.cuts.contains_key(&(client, member))
    }

    pub(super) fn is_isolated(&self, member: usize) -> bool {
        self.members[member].is_isolated
    }

    fn is_connected(&self, member: usize) -> bool {
        self.has_leader && !self.members[member].is_isolated
    }

    pub(super) fn applied(&self, member: usize) -> i64 {
        self.members[member].applied
    }

    fn catch_up(&mut self, member: usize) {
        self.members[member].applied = self.store.revision();
    }

    fn renew_leases(&mut self) {
        for lease in self.leases.values_mut() {
            lease.expires = now() + lease.ttl;
        }
    }

    /// Brings back the leases of the keys that a restore has brought back.
    fn restore_leases(&mut self) {
        let all = self.store.range(&[0], &[0xff], self.store.revision());
        let held = all.into_iter().map(|(_, version)| version.lease);
        let held: BTreeSet<i64> = held.collect();
        let lifetimes = self.lifetimes.iter();
        let held = lifetimes.filter(|(id, _)| held.contains(id));
        let leases = held.map(|(id, ttl)| {
            let (ttl, expires) = (*ttl, now() + *ttl);
            (*id, Lease { ttl, expires })
        });
        self.leases = leases.collect();
    }

    /// The leases that there are.
    pub(super) fn leases(&self) -> BTreeSet<i64> {
        self.leases.keys().copied().collect()
    }

    /// Grants a lease, and returns its ID.
    pub(super) fn grant(&mut self, ttl: Duration) -> i64 {
        let id = self.random.i64(1..);
        let expires = now() + ttl;
        self.leases.insert(id, Lease { ttl, expires });
        self.lifetimes.insert(id, ttl);
        id
    }

    /// Renews a lease. Returns its lifetime; none if there is no such lease.
    pub(super) fn keep_alive(&mut self, id: i64) -> Option<Duration> {
        let lease = self.leases.get_mut(&id)?;
        // etcd answers only once it is revoked; here the answer comes at once, which is harder.
        if lease.expires <= now() {
            return None;
        }
        lease.expires = now() + lease.ttl;
        Some(lease.ttl)
    }

    /// How much is left of a lease.
    pub(super) fn time_left(&self, id: i64) -> Option<Duration> {
        let lease = self.leases.get(&id)?;
        Some(lease.expires.saturating_duration_since(now()))
    }

    /// Ends a lease, and deletes what belongs to it. False if there is no such lease.
    pub(super) fn revoke(&mut self, id: i64) -> bool {
        let is_there = self.leases.remove(&id).is_some();
        let all = self.store.range(&[0], &[0xff], self.store.revision());
        let held = all.into_iter().filter(|(_, version)| version.lease == id);
        let held: Vec<Vec<u8>> = held.map(|(key, _)| key.clone()).collect();
        self.store.delete(held, now());
        is_there
    }
}
