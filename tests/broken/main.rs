//! `nsd-broken`: a front-end that breaks promises on purpose. The checkers of `tests/src/history` must find that out.
//!
//! The defects are put between the mirror and the servers, where `nsd` puts the two together:
//!
//! - The barrier of `linearizable` asks nobody: the view that is there has to do.
//! - The view always counts as proved just now, so no answer is too old for `bounded`.
//! - Zones that are `available` go back to an earlier version now and then. Only those zones do, so that each defect
//!   is found by a rule of its own.
//!
//! This is an example of the tests' package: `cargo build` never makes it, and no feature puts it into `nsd`.

use std::collections::{HashMap, VecDeque};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use nsd::answer::{Barrier, Service};
use nsd::config::Arguments;
use nsd::model::{Consistency, Name};
use nsd::served::{Publisher, Served, Standing};
use nsd::zone::{View, Zone};

/// How often the view is passed on to the servers.
const PASSED_ON: Duration = Duration::from_millis(2);

/// Every so many versions of a zone an earlier one is served instead.
const GOES_BACK: u64 = 20;

/// How many versions back that one is.
const VERSIONS: usize = 10;

/// How long a query may wait at the barrier.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match nsd::run::run_with(Arguments::parse().options, broken) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nsd-broken: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the defects in.
fn broken(sound: Service) -> Service {
    let (barrier, rounds) = Barrier::new(PATIENCE, || std::future::ready(true));
    tokio::spawn(async move { rounds.serve().await });
    let (publisher, served) = Publisher::start(View::default(), Standing::default());
    tokio::spawn(pass_on(sound.served.clone(), publisher));
    Service {
        served,
        barrier,
        ..sound
    }
}

/// Passes views on to the servers for ever, each with what is broken about it.
async fn pass_on(from: Served, to: Publisher) {
    let mut histories = HashMap::new();
    let mut last = None;
    loop {
        let sound = Arc::clone(&from.view());
        if !last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &sound)) {
            to.publish(set_back(&sound, &mut histories), Vec::new());
            last = Some(sound);
        }
        to.prove(Instant::now());
        tokio::time::sleep(PASSED_ON).await;
    }
}

/// What a zone was before.
#[derive(Default)]
struct History {
    count: u64,
    versions: VecDeque<Arc<Zone>>,
}

/// The same view, with earlier versions of some zones that are `available`.
fn set_back(sound: &View, histories: &mut HashMap<Name, History>) -> View {
    let mut view = sound.clone();
    let is_available = |zone: &&Arc<Zone>| zone.consistency() == Consistency::Available;
    for zone in sound.zones().filter(is_available) {
        let history = histories.entry(zone.apex().clone()).or_default();
        let newest = history.versions.back();
        if newest.is_some_and(|newest| Arc::ptr_eq(newest, zone)) {
            continue;
        }
        history.count += 1;
        history.versions.push_back(zone.clone());
        if history.versions.len() > VERSIONS {
            history.versions.pop_front();
        }
        if history.count.is_multiple_of(GOES_BACK)
            && let Some(oldest) = history.versions.front()
        {
            view.put_zone(oldest.clone());
        }
    }
    view
}
