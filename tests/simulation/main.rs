//! The write protocol, the mirror and the views in a simulation: the product's own client code against a model of etcd, in one
//! thread and on a virtual clock. What happens in a run follows from a seed.
//!
//! - `schedule`: what happens in a run; `run`: lets it happen.
//! - `actors`: writers, announcers and front-ends, which are the product's own code.
//! - `model`: an etcd cluster behind a network.
//! - `reference`: what a store means, worked out in the simplest way; `check`: what has to be true.

mod actors;
mod check;
mod model;
mod reference;
mod run;
mod schedule;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use run::{Counts, Report, run};
use schedule::Schedule;

#[test]
fn every_schedule_keeps_all_promises() {
    let count: u64 = std::env::var("NSD_SIMULATION_COUNT")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000);
    let first: u64 = std::env::var("NSD_SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0);
    let next = AtomicU64::new(first);
    let started = std::time::Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<(Counts, Vec<u64>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut all = Counts::default();
                    let mut failed = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count || failed.len() > 5 {
                            return (all, failed);
                        }
                        let report = run(&Schedule::new(seed, &BTreeSet::new()), false);
                        let Counts {
                            changes,
                            revisions,
                            views,
                            proofs,
                        } = report.counts;
                        all.changes += changes;
                        all.revisions += revisions;
                        all.views += views;
                        all.proofs += proofs;
                        if !report.faults.is_empty() {
                            failed.push(seed);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a run ends")).collect()
    });
    println!("{count} schedules in {:?}: {all:?}", started.elapsed());
    let failed: Vec<u64> = all.iter().flat_map(|(_, failed)| failed.clone()).collect();
    for seed in failed.iter().take(3) {
        tell(*seed);
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Shows a failed run with as few items as still fail.
fn tell(seed: u64) {
    let mut without = BTreeSet::new();
    let all = Schedule::new(seed, &without);
    let mut progress = true;
    while progress {
        progress = false;
        for (number, _) in &all.items {
            if without.contains(number) {
                continue;
            }
            let mut fewer = without.clone();
            fewer.insert(*number);
            if !run(&Schedule::new(seed, &fewer), false).faults.is_empty() {
                without = fewer;
                progress = true;
            }
        }
    }
    let schedule = Schedule::new(seed, &without);
    let Report { faults, story, .. } = run(&schedule, true);
    println!("seed {seed} without {without:?} ({:?}):", schedule.trouble);
    for (number, item) in &schedule.items {
        println!("  {number}: {item:?}");
    }
    for line in &story {
        println!("  {line}");
    }
    for fault in &faults {
        println!("  FAULT {fault}");
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..50 {
        let schedule = Schedule::new(seed, &BTreeSet::new());
        let (first, second) = (run(&schedule, true), run(&schedule, true));
        if first.digest != second.digest {
            let mut lines = first.story.iter().zip(&second.story);
            let at = lines.position(|(first, second)| first != second);
            let around = at.map_or(0..0, |at| at.saturating_sub(8)..at + 1);
            println!("{:#?}", first.story.get(around.clone()));
            println!("{:#?}", second.story.get(around));
        }
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}
