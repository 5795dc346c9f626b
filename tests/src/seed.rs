//! Seeds of tests that do something else in each run.

/// The seed for a test: `NSD_TEST_SEED`, else another one each time. Prints how to repeat the run.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("NSD_TEST_SEED").ok();
    let seed = given.map_or_else(
        || fastrand::u64(..1_000_000),
        |text| text.parse().expect("NSD_TEST_SEED is a number"),
    );
    println!(
        "{test}: seed {seed}; to repeat it: NSD_TEST_SEED={seed} cargo test --workspace --test integration {test}"
    );
    seed
}
