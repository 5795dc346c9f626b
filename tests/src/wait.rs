//! Waiting for conditions, never for time to pass.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(20);

/// How long the last look may take.
const LAST: Duration = Duration::from_secs(10);

/// Asks again and again until the answer is `Ok`, and returns it. Panics at the limit, with what the
/// last answer said.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + limit;
    let mut last = String::from("never got an answer");
    loop {
        // The last look comes after the limit, with time of its own: before it nobody may have been let run.
        let started = Instant::now();
        match timeout_at(deadline.max(started + LAST), check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => last = reason,
            Err(_) => {
                panic!("not within {limit:?}: {what}; the check itself did not end; before: {last}")
            }
        }
        assert!(
            started < deadline,
            "not within {limit:?}: {what}; last: {last}"
        );
        sleep(PAUSE).await;
    }
}

/// A condition, for the checks of [`eventually`].
pub fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}
