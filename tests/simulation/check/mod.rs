//! What has to be true in every run.
//!
//! - No view mixes revisions: each is what the store holds at its revision. (A view that lacks a deletion because of etcd#18089 is
//!   allowed until the next proof.)
//! - A proof of freshness never lies: what was committed before it is in the view. A linearizable answer has what was committed
//!   before the question.
//! - Serials never go back on a front-end.
//! - A change is made once or never, and its author is told the truth about it.
//! - Every change of a zone is in its journal, and the journal has nothing that did not happen.
//! - Zones keep the rule for CNAME records, and have what their authors wanted.
//! - No record outlives its announcer and its lease, or comes back after its withdrawal. Announcers that stay are announced.
//! - The reason for a refusal, or for "nothing to change", held at some revision between start and end.
//! - A follower of the journals is told every change, once and in order.
//! - The journal gives back what a zone was at an earlier revision.
//! - What a change leaves in the store that nobody serves, its author is told of.
//! - Writers and announcers finish. Once all trouble has ended, changes succeed, and linearizable questions are answered.
//! - In the end all front-ends have everything, with the same serials and digests; the serials cover every expiry that one of them could see.
//!
//! `front_ends` checks them while they run, `history` what is in the store in the end, and `end` what is so then. `effect` has what
//! each change must do, `reason` when it is unnecessary or refused.

mod effect;
mod end;
mod front_ends;
mod history;
mod reason;

use std::time::Instant;

pub(crate) use end::{REST, is_announced};
pub(crate) use front_ends::{Checks, PREDECESSOR, Source};
pub(crate) use history::History;

use crate::actors::End;
use crate::schedule::Change;

/// A change, and how it ended for who made it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) label: String,
    pub(crate) change: Change,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) end: End,
    /// Whether records may be left that nobody serves.
    pub(crate) may_leave: bool,
}
