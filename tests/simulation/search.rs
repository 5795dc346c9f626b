//! Runs schedules until one fails, and drops the items that it fails without.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::actors::Defect;
use crate::run::{Counts, Report, run};
use crate::schedule::Schedule;

/// A run that takes so long is stuck: its tasks wake each other for ever.
const STUCK: Duration = Duration::from_secs(60);

/// The seed of a run under way, and when it began.
type Running = Mutex<Option<(u64, Instant)>>;

/// Runs the schedules of some seeds on all cores, until one fails. Returns whether all promises were kept.
pub(crate) fn search(first: u64, count: u64, defect: Option<Defect>) -> bool {
    let (next, started) = (AtomicU64::new(first), Instant::now());
    let failed = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (running, is_done): (Vec<Running>, _) = (
        (0..threads).map(|_| Mutex::default()).collect(),
        AtomicBool::new(false),
    );
    let search = |running: &Running| {
        let mut counts = Counts::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_over = || failed.lock().is_ok_and(|failed| failed.is_some());
            if seed >= first + count || is_over() {
                *running.lock().expect("nobody has panicked") = None;
                return counts;
            }
            *running.lock().expect("nobody has panicked") = Some((seed, Instant::now()));
            let report = run(&Schedule::new(seed, &BTreeSet::new()), defect, false);
            counts.add(report.counts);
            if !report.broken.is_empty()
                && let Ok(mut failed) = failed.lock()
            {
                *failed = Some(seed);
            }
        }
    };
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        scope.spawn(|| end_if_stuck(&running, &is_done));
        let start = |running| scope.spawn(move || search(running));
        let threads: Vec<_> = running.iter().map(start).collect();
        for thread in threads {
            counts.add(thread.join().expect("a run ends"));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let Counts {
        runs,
        changes,
        revisions,
        views,
        proofs,
        reads,
    } = counts;
    say(&format!(
        "{runs} schedules in {:.0} s: {changes} changes, {revisions} revisions, {views} views, {proofs} proofs of freshness, \
         {reads} linearizable answers",
        started.elapsed().as_secs_f64()
    ));
    let Some(seed) = failed.into_inner().expect("a run ends") else {
        return true;
    };
    if replay(seed, &shrink(seed, defect), defect) {
        say("The same run does not fail any more: it does not follow from its seed alone.");
    }
    false
}

/// Ends the program if a run is stuck.
fn end_if_stuck(running: &[Running], is_done: &AtomicBool) {
    while !is_done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
        for running in running {
            let running = *running.lock().expect("nobody has panicked");
            if let Some((seed, _)) = running.filter(|(_, began)| began.elapsed() > STUCK) {
                say(&format!(
                    "BROKEN: the run of seed {seed} does not come to an end"
                ));
                std::process::exit(1);
            }
        }
    }
}

/// The items that a failing schedule fails without.
fn shrink(seed: u64, defect: Option<Defect>) -> BTreeSet<usize> {
    let mut without = BTreeSet::new();
    loop {
        let before = without.len();
        for (number, _) in Schedule::new(seed, &without).items {
            let mut fewer = without.clone();
            fewer.insert(number);
            if !run(&Schedule::new(seed, &fewer), defect, false)
                .broken
                .is_empty()
            {
                without = fewer;
            }
        }
        if without.len() == before {
            return without;
        }
    }
}

/// Runs one schedule, and tells what happens. Returns whether all promises were kept.
pub(crate) fn replay(seed: u64, without: &BTreeSet<usize>, defect: Option<Defect>) -> bool {
    let schedule = Schedule::new(seed, without);
    let Report { broken, story, .. } = run(&schedule, defect, true);
    let left_out: Vec<String> = without.iter().map(usize::to_string).collect();
    let mut how = match left_out.is_empty() {
        true => String::new(),
        false => format!(" --without {}", left_out.join(",")),
    };
    if let Some(defect) = defect.and_then(|defect| defect.to_possible_value()) {
        how += &format!(" --defect {}", defect.get_name());
    }
    say(&format!(
        "\ntarget/debug/simulation --replay --seed {seed}{how}\nthings go wrong for {:?}; the schedule:",
        schedule.trouble
    ));
    for (number, item) in &schedule.items {
        say(&format!("  {number}: {item:?}"));
    }
    say("what happens:");
    for line in &story {
        say(&format!("  {line}"));
    }
    for what in &broken {
        say(&format!("BROKEN: {what}"));
    }
    broken.is_empty()
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_run_each_time() {
        for seed in 0..200 {
            let schedule = Schedule::new(seed, &BTreeSet::new());
            let (first, second) = (run(&schedule, None, true), run(&schedule, None, true));
            let mut lines = first.story.iter().zip(&second.story);
            let at = lines.position(|(first, second)| first != second);
            let around = at.map_or(0..0, |at| at.saturating_sub(8)..at + 1);
            let (one, other) = (first.story.get(around.clone()), second.story.get(around));
            assert_eq!(one, other, "seed {seed}");
            assert_eq!(first.story.len(), second.story.len(), "seed {seed}");
        }
    }

    #[test]
    fn the_defects_of_broken_front_ends_are_found_and_shrunk() {
        let broken = |seed, without: &BTreeSet<usize>, defect| {
            run(&Schedule::new(seed, without), Some(defect), false).broken
        };
        for (defect, what) in [
            (Defect::NoBarrier, "a linearizable answer"),
            (Defect::AlwaysFresh, "a proof"),
            (Defect::GoesBack, "back to"),
        ] {
            let none = BTreeSet::new();
            let is_found = |seed: &u64| {
                let broken = broken(*seed, &none, defect);
                broken.iter().any(|one| one.contains(what))
            };
            let seed = (0..1_000).find(is_found);
            let seed = seed.unwrap_or_else(|| panic!("{defect:?} is not found"));
            // What is left out is not needed, and something always is.
            let without = shrink(seed, Some(defect));
            assert!(!without.is_empty() && !broken(seed, &without, defect).is_empty());
        }
    }
}
