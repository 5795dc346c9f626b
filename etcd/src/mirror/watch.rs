//! What an open watch waits for: the rest of a response, and proofs of freshness.

use std::time::Instant;

use super::{Change, Config};

#[derive(Debug)]
pub(super) struct Watch {
    /// The front part of a fragmented response.
    pub(super) fragments: Vec<Change>,
    /// When a part of a fragmented response came last.
    pub(super) progress: Option<Instant>,
    /// When to ask for the next proof.
    pub(super) proof_next: Instant,
    /// The read that is under way: when it was sent, and what had been applied by then.
    pub(super) proof_asked: Option<Proof>,
    /// A read was answered, and this revision has to be applied before it proves anything.
    pub(super) proof_due: Option<Proof>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Proof {
    pub(super) sent: Instant,
    pub(super) revision: i64,
}

impl Watch {
    /// A watch that was opened right now, and asks for a proof at once.
    pub(super) fn new(now: Instant) -> Self {
        Watch {
            fragments: Vec::new(),
            progress: None,
            proof_next: now,
            proof_asked: None,
            proof_due: None,
        }
    }

    /// When to ask for the next proof, or to give up, whichever comes first.
    pub(super) fn deadline(&self, config: &Config) -> Instant {
        // While a read is under way no other one is sent.
        let next = self.proof_asked.is_none().then_some(self.proof_next);
        let earliest = next.into_iter().chain(self.due(config)).min();
        earliest.unwrap_or(self.proof_next)
    }

    /// When the answer to the read that is under way is overdue. A response that comes in parts shows that the member
    /// is alive, and may hold up the read on a slow line.
    fn asked_due(&self, config: &Config) -> Option<Instant> {
        let sent = self.proof_asked?.sent;
        Some(self.progress.map_or(sent, |at| at.max(sent)) + config.stall)
    }

    /// When the revision that the oldest open proof waits for is overdue. The rest of a response that comes in parts
    /// has as much time as a page of a list: to drop what has come would mean to fetch it again, for ever.
    fn applied_due(&self, config: &Config) -> Option<Instant> {
        let sent = self.proof_due?.sent;
        Some(match self.progress {
            Some(at) if !self.fragments.is_empty() => at.max(sent) + config.page,
            Some(at) => at.max(sent) + config.stall,
            None => sent + config.stall,
        })
    }

    /// The earlier of the two.
    pub(super) fn due(&self, config: &Config) -> Option<Instant> {
        let due = [self.asked_due(config), self.applied_due(config)];
        due.into_iter().flatten().min()
    }
}
