//! Limits log lines that would otherwise be repeated very often.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

/// Allows one line per minute, and counts the events in between.
pub(super) struct LogLimit(Mutex<(Option<Instant>, u64)>);

impl LogLimit {
    pub(super) const fn new() -> Self {
        LogLimit(Mutex::new((None, 0)))
    }

    /// Counts an event. Returns the number of events since the last line if it is time for another.
    pub(super) fn count(&self) -> Option<u64> {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = &mut *state;
        *times += 1;
        if last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_tells_the_number_of_events() {
        let limit = LogLimit::new();
        let start = Instant::now();
        let counts: Vec<Option<u64>> = [0, 1, 59, 60, 61, 119, 200]
            .map(|seconds| limit.count_at(start + Duration::from_secs(seconds)))
            .into();
        assert_eq!(counts, [Some(1), None, None, Some(3), None, None, Some(3)]);
    }
}
