//! What an open watch waits for: the rest of a fragmented response, and proofs of freshness.

use std::time::Instant;

use super::{KeyChange, Pace};

/// An open watch.
#[derive(Debug)]
pub(super) struct Watch {
    /// The fragments of a response so far.
    pub(super) fragments: Vec<KeyChange>,
    /// When the last fragment arrived.
    pub(super) progress: Option<Instant>,
    /// When to send the next read of the head key.
    pub(super) proof_next: Instant,
    /// The read in progress, with the revision that had been applied when it was sent.
    pub(super) proof_asked: Option<HeadRead>,
    /// An answered read. It proves freshness once the copy has what etcd had then.
    pub(super) proof_due: Option<Answered>,
}

/// A linearizable read of the head key.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadRead {
    pub(super) sent: Instant,
    pub(super) revision: i64,
}

/// The answer to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) sent: Instant,
    /// The revision of the head key.
    pub(super) head: i64,
    /// The revision of the store, at which everything was read.
    pub(super) store: i64,
    /// The number of leased keys.
    pub(super) leased: usize,
}

impl Answered {
    /// Whether a copy lacks nothing of what etcd had, but perhaps expiries of leases.
    pub(super) fn is_applied(&self, applied: Option<i64>) -> bool {
        applied >= Some(self.head)
    }

    /// Whether a copy with so many leased keys lacks nothing of what etcd had. Something that came later includes
    /// everything.
    pub(super) fn is_covered(&self, applied: Option<i64>, leased: usize) -> bool {
        applied >= Some(self.store) || (self.is_applied(applied) && self.leased == leased)
    }
}

impl Watch {
    /// A watch that was opened just now. It asks for a proof at once.
    pub(super) fn new(now: Instant) -> Self {
        Watch {
            fragments: Vec::new(),
            progress: None,
            proof_next: now,
            proof_asked: None,
            proof_due: None,
        }
    }

    /// When to ask for the next proof or to give up, whichever comes first.
    pub(super) fn deadline(&self, pace: &Pace) -> Instant {
        // At most one read is in progress.
        let next = self.proof_asked.is_none().then_some(self.proof_next);
        let earliest = next.into_iter().chain(self.due(pace)).min();
        earliest.unwrap_or(self.proof_next)
    }

    /// When the answer to the read is overdue. Fragments of a response show that the member is alive; on a slow line they
    /// may delay the read.
    fn asked_due(&self, pace: &Pace) -> Option<Instant> {
        let sent = self.proof_asked?.sent;
        Some(self.progress.map_or(sent, |at| at.max(sent)) + pace.stall)
    }

    /// When the revision that the open proof waits for is overdue. The rest of a fragmented response gets as much time
    /// as a page of a list: dropping the fragments would mean fetching them again, for ever.
    fn applied_due(&self, pace: &Pace) -> Option<Instant> {
        let sent = self.proof_due?.sent;
        Some(match self.progress {
            Some(at) if !self.fragments.is_empty() => at.max(sent) + pace.page,
            Some(at) => at.max(sent) + pace.stall,
            None => sent + pace.stall,
        })
    }

    /// The earlier of the two.
    pub(super) fn due(&self, pace: &Pace) -> Option<Instant> {
        let due = [self.asked_due(pace), self.applied_due(pace)];
        due.into_iter().flatten().min()
    }
}
