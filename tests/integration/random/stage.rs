//! A cluster, front-ends behind gates, zones of each kind, and clients that record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::clients::{Queries, Recorded, Writers, last, was_down, was_unsynced};
use tests::history::{Promise, Rule};
use tests::{Cluster, Frontend, Gate, Nsctl};
use tokio::time::sleep;

use super::{Fault, Kind};

const MEMBERS: usize = 3;
const FRONTENDS: usize = 3;

/// RRsets a zone.
const RRSETS: usize = 6;

/// Queries a second to each front-end for each zone.
const RATE: u32 = 70;

/// Of each of twelve writers, on average.
const PAUSE: Duration = Duration::from_millis(150);

/// How soon front-ends have everything when all faults are healed.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Everything that a run needs.
pub(super) struct Stage {
    // First, as fields are dropped in order: a front-end that outlives its etcd fills its log with that.
    pub(super) places: Vec<Place>,
    pub(super) zones: Vec<Arc<Recorded>>,
    pub(super) cluster: Cluster,
    writers: Option<Writers>,
    /// Front-ends that may not be synced yet, and since when.
    restarted: Vec<(usize, Instant)>,
    random: fastrand::Rng,
    program: PathBuf,
}

/// A front-end with what is around it.
pub(super) struct Place {
    pub(super) frontend: Frontend,
    /// To each member, the one that it prefers first.
    pub(super) gates: Vec<Gate>,
    queries: Queries,
}

impl Stage {
    /// Starts it all. The front-ends run this build.
    pub(super) async fn start(program: &Path, seed: u64) -> Self {
        let cluster = Cluster::start(MEMBERS, &[]).await;
        let nsctl = Nsctl::new(cluster.endpoints());
        let mut zones = Vec::new();
        for (apex, promise) in [
            ("available.test", Promise::Available),
            ("bounded.test", Promise::Bounded(Duration::from_secs(2))),
            ("linearizable.test", Promise::Linearizable),
        ] {
            zones.push(Arc::new(Recorded::add(&nsctl, apex, promise, RRSETS).await));
        }
        let mut places = Vec::new();
        for index in 0..FRONTENDS {
            places.push(Place::start(program, index, &cluster, &zones).await);
        }
        let writers = Writers::start(cluster.endpoints(), &zones, PAUSE, seed).await;
        Stage {
            places,
            zones,
            cluster,
            writers: Some(writers),
            restarted: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
            program: program.into(),
        }
    }

    /// One fault of these kinds after the other for so long, each healed before the next one.
    pub(super) async fn torment(&mut self, time: Duration, kinds: &[Kind]) {
        let start = Instant::now();
        while start.elapsed() < time {
            let fault = Fault::pick(&mut self.random, kinds);
            println!(
                "random: after {:5.1} s: {fault:?}",
                start.elapsed().as_secs_f64()
            );
            self.suffer(&fault).await;
        }
    }

    /// One fault, and its healing.
    pub(super) async fn suffer(&mut self, fault: &Fault) {
        let since = Instant::now();
        self.inject(fault.kind, fault.target).await;
        sleep(fault.hold / 2).await;
        if let Some((kind, target)) = fault.meanwhile {
            self.at_once(kind, target).await;
        }
        sleep(fault.hold / 2).await;
        self.heal(fault.kind, fault.target, since).await;
        for (index, since) in std::mem::take(&mut self.restarted) {
            let frontend = &self.places[index].frontend;
            frontend.ready().await;
            was_unsynced(&self.zones, &frontend.id, since);
        }
        sleep(fault.pause).await;
    }

    /// SIGKILL to a front-end, and another one in its place, which may have to wait for the end of a fault.
    pub(super) async fn restart(&mut self, index: usize) {
        let since = Instant::now();
        let place = &mut self.places[index];
        place.frontend.kill();
        let endpoints = place.endpoints();
        let id = place.frontend.id.clone();
        place.frontend = Frontend::start_program(&self.program, &id, &endpoints, &[]).await;
        place.queries.moved(place.frontend.dns);
        was_down(&self.zones, &id, since);
        self.restarted.push((index, since));
    }

    /// Ends the writers, waits until the front-ends have it all, and asks for the last state.
    pub(super) async fn settle(&mut self) {
        let writers = self.writers.take().expect("it is settled once");
        writers.stop().await;
        self.cluster.healthy().await;
        let nsctl = Nsctl::new(self.cluster.endpoints());
        let revision = nsctl.write("zone add last.test --ns ns1.example.org").await;
        for place in &self.places {
            place.frontend.applied(revision, CATCH_UP).await;
        }
        let frontends: Vec<&Frontend> = self.places.iter().map(|place| &place.frontend).collect();
        last(&nsctl, &frontends, &self.zones).await;
        for place in std::mem::take(&mut self.places) {
            place.queries.stop().await;
        }
        for zone in &self.zones {
            println!("random: {}", zone.summary());
        }
    }

    /// Panics with the violations of all zones.
    pub(super) fn check(&self) {
        self.zones.iter().for_each(|zone| zone.check());
    }

    /// The rules that are broken, zone by zone.
    pub(super) fn broken_rules(&self) -> [Vec<Rule>; 3] {
        let rules = self.zones.iter().map(|zone| {
            let found = zone
                .history()
                .check(&zone.promise)
                .err()
                .unwrap_or_default();
            for violation in &found {
                println!("random: {}: {violation}", zone.apex);
            }
            let mut rules: Vec<Rule> = found.iter().map(|violation| violation.rule).collect();
            rules.dedup();
            rules
        });
        let rules: Vec<Vec<Rule>> = rules.collect();
        rules.try_into().expect("three zones")
    }
}

impl Place {
    async fn start(
        program: &Path,
        index: usize,
        cluster: &Cluster,
        zones: &[Arc<Recorded>],
    ) -> Self {
        let mut gates = Vec::new();
        for member in 0..cluster.size() {
            let member = (index + member) % cluster.size();
            gates.push(Gate::to(cluster.endpoint(member)).await);
        }
        let endpoints: Vec<String> = gates.iter().map(|gate| gate.endpoint().into()).collect();
        let id = format!("fe{}", index + 1);
        let frontend = Frontend::start_program(program, &id, &endpoints, &[]).await;
        frontend.ready().await;
        Place {
            queries: Queries::start(&frontend, RATE, zones).await,
            frontend,
            gates,
        }
    }

    fn endpoints(&self) -> Vec<String> {
        self.gates
            .iter()
            .map(|gate| gate.endpoint().into())
            .collect()
    }
}
