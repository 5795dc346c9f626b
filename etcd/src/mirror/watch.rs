//! What an open watch waits for: the rest of a fragmented response, and proofs of freshness.

use std::time::Instant;

use super::{KeyChange, Newest, Pace};

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
    /// The revision before the watch's first; None once etcd has shown that it still has it.
    pub(super) before: Option<i64>,
    /// Whether a check of the history is in progress.
    pub(super) is_checking: bool,
    /// What a read that was sent at this moment has told. It proves freshness once the copy has all of that.
    pub(super) proof_due: Option<(Instant, Newest)>,
}

/// A linearizable read of the head key.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadRead {
    pub(super) sent: Instant,
    pub(super) revision: i64,
}

impl Watch {
    /// A watch that was opened just now. It asks for a proof at once.
    pub(super) fn new(now: Instant, before: Option<i64>) -> Self {
        Watch {
            fragments: Vec::new(),
            progress: None,
            proof_next: now,
            proof_asked: None,
            before,
            is_checking: false,
            proof_due: None,
        }
    }

    /// When to ask for the next proof or to give up, whichever comes first.
    pub(super) fn deadline(&self, pace: &Pace) -> Instant {
        let next = (!self.is_reading()).then_some(self.proof_next);
        let earliest = next.into_iter().chain(self.due(pace)).min();
        earliest.unwrap_or(self.proof_next)
    }

    /// Whether a read is in progress; there is one at most.
    pub(super) fn is_reading(&self) -> bool {
        self.proof_asked.is_some() || self.is_checking
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
        let (sent, _) = self.proof_due?;
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

/// The changes of each revision. None if they are not in order: etcd guarantees that, and without it nothing that follows can
/// be trusted.
pub(super) fn by_revision(changes: Vec<KeyChange>) -> Option<Vec<(i64, Vec<KeyChange>)>> {
    let mut groups: Vec<(i64, Vec<KeyChange>)> = Vec::new();
    for change in changes {
        match groups.last_mut() {
            Some((revision, _)) if change.mod_revision < *revision => return None,
            Some((revision, group)) if change.mod_revision == *revision => group.push(change),
            _ => groups.push((change.mod_revision, vec![change])),
        }
    }
    Some(groups)
}
