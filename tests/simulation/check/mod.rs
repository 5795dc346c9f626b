//! What has to be true in every run.
//!
//! - No view mixes revisions: each is what the store holds at its revision.
//! - A proof of freshness never lies: what was committed before it is in the view. A linearizable answer has what was committed
//!   before the question.
//! - Serials never go back on a front-end.
//! - A change is made once or never, and its author is told the truth about it.
//! - Every change of a zone is in its journal, and the journal has nothing that did not happen.
//! - Zones keep the rule for CNAME records, and have what their authors wanted.
//! - Records that are withdrawn, or whose lease has expired, are gone (`run.rs`).
//! - In the end all front-ends have everything, with the same serials (`run.rs`).
//!
//! `front_ends` checks them while they run, `history` what is in the store in the end; `effect` has what changes are to do.

mod effect;
mod front_ends;
mod history;

use std::time::Instant;

pub(crate) use front_ends::{Checks, PREDECESSOR};
pub(crate) use history::{History, recorded};

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
}
