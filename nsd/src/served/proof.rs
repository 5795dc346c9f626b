//! How fresh the view is: a moment that the mirror sets and every answer may look at.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Stands for never.
const NEVER: u64 = u64::MAX;

/// The moment as of which the view was last proved to be complete. Shared by the mirror and all servers, which
/// read it without waiting.
#[derive(Debug)]
pub(super) struct Proved {
    start: Instant,
    /// Milliseconds after the start; [`NEVER`] before the first proof, and after one was revoked.
    millis: AtomicU64,
}

impl Proved {
    /// Nothing is proved yet, and nothing will be as of a moment before `start`.
    pub(super) fn never(start: Instant) -> Self {
        Proved {
            start,
            millis: AtomicU64::new(NEVER),
        }
    }

    /// The view was complete at this moment.
    pub(super) fn set(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.start).as_millis() as u64;
        self.millis.store(millis, Ordering::Release);
    }

    /// What was proved so far may have been wrong.
    pub(super) fn revoke(&self) {
        self.millis.store(NEVER, Ordering::Release);
    }

    /// The last proof. A view that is loaded after this is at least as new as what was proved.
    pub(super) fn last(&self) -> Proof {
        match self.millis.load(Ordering::Acquire) {
            NEVER => Proof(None),
            millis => Proof(Some(self.start + Duration::from_millis(millis))),
        }
    }
}

/// The moment of a proof; none if there is none that counts.
#[derive(Clone, Copy, Debug)]
pub struct Proof(Option<Instant>);

impl Proof {
    /// How long ago that was.
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
