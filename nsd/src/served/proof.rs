//! The proof of freshness: a moment that the mirror sets and every answer may read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No moment.
const NEVER: u64 = u64::MAX;

/// The moment as of which the view was last proved complete. Servers read it without waiting.
#[derive(Debug)]
pub(super) struct Proved {
    start: Instant,
    /// Milliseconds after the start; [`NEVER`] before the first proof, and after one was revoked.
    millis: AtomicU64,
}

impl Proved {
    /// Starts without a proof. Later ones are of moments after `start`.
    pub(super) fn never(start: Instant) -> Self {
        Proved {
            start,
            millis: AtomicU64::new(NEVER),
        }
    }

    /// The time since the start.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Sets the moment at which the view was complete.
    pub(super) fn set(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.start).as_millis() as u64;
        self.millis.store(millis, Ordering::Release);
    }

    /// Takes back the last proof, which may have been wrong.
    pub(super) fn revoke(&self) {
        self.millis.store(NEVER, Ordering::Release);
    }

    /// The last proof. A view that is loaded after it is at least as new as the one it is about.
    pub(super) fn last(&self) -> Proof {
        match self.millis.load(Ordering::Acquire) {
            NEVER => Proof(None),
            millis => Proof(Some(self.start + Duration::from_millis(millis))),
        }
    }
}

/// The moment of a proof; none if nothing is proved.
#[derive(Clone, Copy, Debug)]
pub struct Proof(Option<Instant>);

impl Proof {
    /// The age of the proof.
    pub fn age(self, now: Instant) -> Option<Duration> {
        self.0.map(|at| now.saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_from_the_last_proof() {
        let start = Instant::now();
        let proved = Proved::never(start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(proved.last().age(after(100)), None);
        proved.set(after(5));
        assert_eq!(proved.last().age(after(5)), Some(Duration::ZERO));
        assert_eq!(proved.last().age(after(8)), Some(Duration::from_secs(3)));
        // A proof from before the clock was read again is no age below zero.
        assert_eq!(proved.last().age(after(4)), Some(Duration::ZERO));
        proved.revoke();
        assert_eq!(proved.last().age(after(8)), None);
    }
}
