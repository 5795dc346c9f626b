//! Random faults under load, from a seed; what clients saw is checked against what the zones promise.
//!
//! ```text
//! NSD_TEST_SEED=7 cargo test --workspace --test integration random      the faults and writes of seed 7 again
//! NSD_TEST_LONG=1 …                                                  10 minutes instead of one
//! ```
//!
//! A seed gives the same faults in the same order. When exactly they meet which write is up to the machine.

mod faults;
mod stage;

use std::time::Duration;

use tests::clients::EACH;
use tests::history::{Query, Reply, Rule};

use faults::{Fault, Kind};
use stage::Stage;

const SHORT: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

/// How long a broken build may go on until it is found out.
const BROKEN: Duration = Duration::from_secs(20);

/// What a run is to see in each zone at least.
const ANSWERS_MIN: usize = 3_000;

/// What each writer is to get done.
const WRITES_MIN: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn random_faults_break_no_promise() {
    let is_long = std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1");
    let mut stage = Stage::start(&tests::binary("nsd"), tests::seed("random")).await;
    let time = if is_long { LONG } else { SHORT };
    stage.torment(time, &Kind::ALL).await;
    stage.settle().await;
    stage.check();
    for zone in &stage.zones {
        let writes = zone.acknowledged();
        let history = zone.history();
        let says = |query: &&Query| !matches!(query.reply, Reply::ServFail | Reply::Unanswered);
        let answers = history.queries().iter().filter(says).count();
        assert!(
            writes.len() == 2 * EACH && writes.values().all(|count| *count >= WRITES_MIN),
            "a poor test: {writes:?}"
        );
        assert!(answers >= ANSWERS_MIN, "a poor test: {answers} answers");
    }
}

/// `tests/broken` is broken on purpose: its barrier asks nobody, no answer is too old for it, and its zones that are
/// `available` go back now and then. If the checkers did not find that, they would be worth nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_build_is_found_out() {
    let mut stage =
        Stage::start(&tests::binary("examples/nsd-broken"), tests::seed("random")).await;
    stage.torment(BROKEN, &[Kind::CutFrontend]).await;
    // For longer than answers may be old, whatever was picked.
    let long = Fault {
        kind: Kind::CutFrontend,
        target: 0,
        hold: Duration::from_secs(5),
        meanwhile: None,
        pause: Duration::ZERO,
    };
    stage.suffer(&long).await;
    stage.settle().await;
    let [available, bounded, linearizable] = stage.broken_rules();
    assert!(
        available.contains(&Rule::WentBack),
        "that a zone went back was not found: {available:?}"
    );
    assert_eq!(bounded, [Rule::TooOld]);
    assert_eq!(linearizable, [Rule::NotLinearizable]);
}
