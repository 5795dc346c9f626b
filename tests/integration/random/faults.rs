//! Faults: which there are, how one is picked, made and healed.

use std::time::{Duration, Instant};

use tests::Gate;
use tests::clients::was_down;

use super::Stage;

/// What can be wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A member is frozen.
    FreezeMember,
    /// All members are frozen.
    FreezeCluster,
    /// Two members are frozen: there is no quorum.
    FreezeMajority,
    /// A member is killed.
    KillMember,
    /// A member is off the network.
    DisconnectMember,
    /// A front-end reaches no member.
    CutFrontend,
    /// A front-end does not reach the member that it prefers.
    CutPreferred,
    /// A front-end is frozen.
    FreezeFrontend,
    /// Nothing is wrong, so that something else happens on its own.
    Nothing,
}

impl Kind {
    pub(super) const ALL: [Kind; 9] = [
        Kind::FreezeMember,
        Kind::FreezeCluster,
        Kind::FreezeMajority,
        Kind::KillMember,
        Kind::DisconnectMember,
        Kind::CutFrontend,
        Kind::CutPreferred,
        Kind::FreezeFrontend,
        Kind::Nothing,
    ];
}

/// What happens in one moment, also during a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Compact,
    Defragment,
    MoveLeader,
    RestartFrontend,
}

impl Event {
    const ALL: [Event; 4] = [
        Event::Compact,
        Event::Defragment,
        Event::MoveLeader,
        Event::RestartFrontend,
    ];
}

/// A fault, and maybe an event amid it, each with the number of the member or front-end that it is about.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) target: usize,
    pub(super) hold: Duration,
    pub(super) meanwhile: Option<(Event, usize)>,
    /// After it, without any fault.
    pub(super) pause: Duration,
}

impl Fault {
    pub(super) fn pick(random: &mut fastrand::Rng, kinds: &[Kind]) -> Self {
        let kind = kinds[random.usize(..kinds.len())];
        let event = Event::ALL[random.usize(..Event::ALL.len())];
        let (target, other) = (random.usize(..3), random.usize(..3));
        let has_event = kind == Kind::Nothing || random.bool();
        Fault {
            kind,
            target,
            hold: Duration::from_millis(random.u64(500..5_000)),
            meanwhile: has_event.then_some((event, other)),
            pause: Duration::from_millis(random.u64(200..2_000)),
        }
    }
}

impl Stage {
    pub(super) async fn inject(&mut self, kind: Kind, target: usize) {
        match kind {
            Kind::FreezeMember => self.cluster.pause(target).await,
            Kind::FreezeCluster => self.cluster.pause_all().await,
            Kind::FreezeMajority => {
                self.cluster.pause(target).await;
                self.cluster.pause(self.after(target)).await;
            }
            Kind::KillMember => self.cluster.kill_member(target).await,
            // Where members are processes it says that it cannot.
            Kind::DisconnectMember => drop(self.cluster.disconnect(target).await),
            Kind::CutFrontend => self.places[target].gates.iter().for_each(Gate::close),
            Kind::CutPreferred => self.places[target].gates[0].close(),
            Kind::FreezeFrontend => self.places[target].frontend.freeze(),
            Kind::Nothing => {}
        }
    }

    /// Takes back what [`Stage::inject`] did, and waits until all members answer.
    pub(super) async fn heal(&mut self, kind: Kind, target: usize, since: Instant) {
        match kind {
            Kind::FreezeMember => self.cluster.unpause(target).await,
            Kind::FreezeCluster => self.cluster.unpause_all().await,
            Kind::FreezeMajority => {
                self.cluster.unpause(target).await;
                self.cluster.unpause(self.after(target)).await;
            }
            Kind::KillMember => self.cluster.start_member(target).await,
            Kind::DisconnectMember => self.cluster.reconnect(target).await,
            Kind::CutFrontend | Kind::CutPreferred => {
                self.places[target].gates.iter().for_each(Gate::open);
            }
            Kind::FreezeFrontend => {
                self.places[target].frontend.thaw();
                was_down(&self.zones, &self.places[target].frontend.id, since);
            }
            Kind::Nothing => {}
        }
        self.cluster.healthy().await;
    }

    fn after(&self, member: usize) -> usize {
        (member + 1) % self.cluster.size()
    }

    /// Makes an event happen. Those of etcd may fail: there may be a fault.
    pub(super) async fn at_once(&mut self, event: Event, target: usize) {
        match event {
            Event::Compact => self.compact(target).await,
            Event::Defragment => drop(self.cluster.try_etcdctl_at(target, &["defrag"]).await),
            Event::MoveLeader => self.move_leader(target).await,
            Event::RestartFrontend => self.restart(target).await,
        }
    }

    async fn compact(&self, member: usize) {
        let states = self.cluster.states().await;
        let revision = states.iter().flatten().map(|state| state.revision).max();
        if let Some(revision) = revision {
            let args = ["compact", &revision.to_string()];
            let _ = self.cluster.try_etcdctl_at(member, &args).await;
        }
    }

    async fn move_leader(&self, member: usize) {
        let states = self.cluster.states().await;
        let leads = |state: &Option<tests::cluster::MemberState>| {
            state.is_some_and(|state| state.id == state.leader)
        };
        if let (Some(leader), Some(next)) = (states.iter().position(leads), states[member]) {
            let args = ["move-leader", &format!("{:x}", next.id)];
            let _ = self.cluster.try_etcdctl_at(leader, &args).await;
        }
    }
}
