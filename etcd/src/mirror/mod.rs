//! The state machine that keeps a copy of a prefix of etcd: list, then watch, for ever.
//!
//! It performs no input or output. The driver (`client::watch`) does what [`Mirror::handle`] asks for,
//! feeds what comes of it back as an [`Input`], and passes the [`Event`]s on to whoever keeps the data.
//!
//! ```text
//!                 first time, compacted, other cluster,
//!                 revision gone back, in doubt
//!              ┌───────────────────────────────────────────────┐
//!              │                                               │
//!  Pausing ─► Connecting ─► Listing ─► Opening ─► Watching ────┤
//!     ▲            └───── resume ────────▲                     │
//!     └────── unreachable, stalled, denied, unauthenticated ───┘
//! ```
//!
//! - A list is read in pages that are all pinned to the revision R of the first one; the watch starts
//!   at R + 1, so nothing is missed between the two.
//! - Changes are passed on revision by revision, each whole, in order, once. A response marked as a
//!   fragment is kept back until the rest of it has come.
//! - After a lost connection the watch resumes behind the last applied revision. Only where etcd no
//!   longer has it, or is another cluster, or has gone back in time (a restore), everything is listed
//!   again; the receiver keeps serving the old copy until [`Event::Listed`]. A copy that was kept
//!   elsewhere, in a file, is resumed from in the same way.
//! - **Freshness** is proved by linearizable reads of the head key, which every transaction touches: a
//!   copy that has applied the head's revision is fresh as of the moment that the read was sent.
//!   Progress notifications are not needed, and not trusted: several releases of etcd get them wrong.
//!   A proof that stays out shows a dead member or a watch that has stalled silently.

use std::fmt;
use std::time::{Duration, Instant};

mod machine;
#[cfg(test)]
mod tests;
mod watch;

pub use machine::Mirror;

/// A copy that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The cluster it was made of.
    pub cluster_id: u64,
    /// Everything up to this revision is in it.
    pub revision: i64,
}

/// How the mirror paces itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many endpoints there are to go round.
    pub endpoints: usize,
    /// Time between two proofs of freshness.
    pub proof_interval: Duration,
    /// How long any answer may stay out before the connection counts as dead; but for a page of a list, which is
    /// large.
    pub stall: Duration,
    /// How long a page of a list may stay out.
    pub page: Duration,
    /// The bounds of the pause before another attempt; the actual one is random (full jitter).
    pub pause: (Duration, Duration),
    /// Seed of that randomness.
    pub seed: u64,
}

impl Config {
    /// The defaults for so many endpoints.
    pub fn new(endpoints: usize, seed: u64) -> Self {
        Config {
            endpoints: endpoints.max(1),
            proof_interval: Duration::from_secs(1),
            stall: Duration::from_secs(3),
            page: Duration::from_secs(10),
            pause: (Duration::from_millis(100), Duration::from_secs(5)),
            seed,
        }
    }
}

/// What every response of etcd begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster that answered.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The revision of the store as that member knew it.
    pub revision: i64,
}

/// A key and its value at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that wrote it.
    pub mod_revision: i64,
}

/// One change that a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// The new value, or none where the key was deleted.
    pub value: Option<Vec<u8>>,
    /// The revision that made the change.
    pub mod_revision: i64,
}

/// The kind of a failure: it decides what the mirror does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, or the connection is gone: another endpoint is tried.
    Unreachable,
    /// Connected, but no proof of freshness within the limit: another endpoint is tried.
    Stalled,
    /// The revision asked for is no longer there: everything is listed again.
    Compacted,
    /// The token has expired or the password is wrong: another attempt with a new token.
    Unauthenticated,
    /// The user may not read the prefix: tried again, more slowly. The copy is kept.
    Denied,
}

/// What happened when an attempt failed, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The driver met an error; this is its text.
    Error(String),
    /// An answer did not come in time.
    NoAnswer,
    /// No proof of freshness came in time.
    NoProof,
    /// A page announces more keys, but does not get further than the one before.
    StuckList,
    /// An address that was only found, not configured, belongs to another cluster.
    OtherCluster,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Error(text) => text,
            Cause::NoAnswer => "no answer in time",
            Cause::NoProof => "no proof of freshness within the limit",
            Cause::StuckList => "the list does not get beyond a page",
            Cause::OtherCluster => "another cluster answers there",
        })
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection asked for is there.
    Connected,
    /// A page of the list.
    Page {
        /// The response's header; of the first page it names the revision.
        header: Header,
        /// The keys, sorted.
        items: Vec<KeyValue>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// The watch is established, or shows a sign of life.
    Watching(Header),
    /// Changes came.
    Changes {
        /// The response's header.
        header: Header,
        /// In order of revision.
        changes: Vec<Change>,
        /// Whether the next response goes on where this one stops, maybe amid a revision.
        fragment: bool,
    },
    /// The linearizable read of the head key was answered.
    Head {
        /// When it was sent.
        sent: Instant,
        /// The response's header.
        header: Header,
        /// The head key's revision, 0 where there is no such key yet.
        revision: i64,
    },
    /// What was under way has failed.
    Failed {
        /// What it means for the next step.
        failure: Failure,
        /// The error's text.
        error: String,
    },
    /// The copy is in doubt: everything is to be listed again.
    Doubt,
    /// The deadline has passed.
    Tick,
}

/// What the keeper of the data has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A list begins: items gathered for an earlier one that never ended are void.
    Listing,
    /// Items of the list, sorted.
    Items(Vec<KeyValue>),
    /// The list is complete: its items are the whole content at this revision.
    Listed {
        /// The revision.
        revision: i64,
    },
    /// All changes of one revision.
    Revision {
        /// The revision.
        revision: i64,
        /// At least one.
        changes: Vec<Change>,
    },
    /// What has been applied was everything there was at this moment.
    Fresh {
        /// The moment.
        at: Instant,
    },
    /// An attempt failed; the mirror goes on by itself.
    Lost {
        /// The kind of failure.
        failure: Failure,
        /// What happened.
        cause: Cause,
        /// The endpoint.
        endpoint: usize,
    },
}

/// What the driver has to do now. It always also waits for what is under way, and for
/// [`Mirror::deadline`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing new.
    Wait,
    /// Drop all that is under way.
    Disconnect,
    /// Drop all that is under way and connect to this endpoint, with a new token.
    Connect {
        /// Index of the endpoint.
        endpoint: usize,
    },
    /// Drop the watch and read a page.
    List {
        /// The last key of the page before; none for the first page.
        after: Option<Vec<u8>>,
        /// The revision to read at; none for the first page, which is read linearizably.
        revision: Option<i64>,
    },
    /// Open a watch.
    Watch {
        /// The first revision to report.
        from: i64,
    },
    /// Read the head key linearizably, beside the watch.
    ReadHead,
}
