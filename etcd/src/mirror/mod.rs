//! The state machine that keeps a copy of a prefix of etcd: list, then watch, for ever.
//!
//! It does no input or output. The driver (`client::watch`) does what [`Mirror::handle`] asks for, feeds the result
//! back as an [`Input`], and passes the [`Event`]s on to the owner of the copy.
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
//! - All pages of a list are pinned to the revision R of the first one. The watch starts at R + 1, so nothing is missed
//!   between the two.
//! - Changes are passed on revision by revision: each whole, in order, once. A response marked as a fragment is held
//!   back until the rest of it has arrived.
//! - If etcd compacts to exactly a watch's first revision, the watch may omit that revision's deletions (etcd#18089). So the
//!   revision before is read twice: before the watch opens, and before its first proof. If it is compacted, everything is
//!   listed.
//! - After a lost connection the watch resumes after the last applied revision. Everything is listed again only if etcd
//!   has compacted that revision, is another cluster, or has gone back in time (a restore). The receiver keeps serving
//!   the old copy until [`Event::Listed`]. A copy from a file is resumed in the same way.
//! - **Freshness** is proved by linearizable reads of the head key, which every transaction writes. A copy that has
//!   applied the head's revision, and has as many leased keys as etcd (`leased.rs`), is fresh as of the moment the read
//!   was sent. Progress notifications are not used: several releases of etcd get them wrong. A proof that does not arrive
//!   reveals a dead member or a stalled watch.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};

mod leased;
mod machine;
#[cfg(test)]
mod tests;
mod watch;

pub use crate::schema::KeyValue;
pub use machine::Mirror;

/// A copy to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The cluster it was copied from.
    pub cluster_id: u64,
    /// The copy contains everything up to this revision.
    pub revision: i64,
    /// The leased keys of the copy.
    pub leased: HashSet<Vec<u8>>,
    /// Set if the copy may lack a deletion (etcd#18089), unless etcd still has this revision.
    pub unchecked: Option<i64>,
}

/// What etcd had when it was read linearizably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The revision of the head key; 0 if it does not exist yet.
    pub head: i64,
    /// The revision of the store, at which everything was read.
    pub store: i64,
    /// How many leased keys there were.
    pub leased: usize,
}

impl Newest {
    /// Whether a copy lacks nothing of that, except perhaps expiries of leases.
    pub fn is_applied(&self, applied: Option<i64>) -> bool {
        applied >= Some(self.head)
    }

    /// Whether a copy with this many leased keys lacks nothing of that. One that has applied something later lacks nothing.
    pub fn is_covered(&self, applied: Option<i64>, leased: usize) -> bool {
        applied >= Some(self.store) || (self.is_applied(applied) && self.leased == leased)
    }
}

/// Intervals and timeouts of the mirror.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Number of configured endpoints.
    pub endpoints: usize,
    /// Time between two proofs of freshness.
    pub proof_interval: Duration,
    /// Timeout of every answer except a page of a list. Then the connection counts as dead.
    pub stall: Duration,
    /// Timeout of a page of a list, which is large.
    pub page: Duration,
    /// Shortest and longest backoff before the next attempt, with full jitter.
    pub pause: (Duration, Duration),
    /// Seed of the jitter.
    pub seed: u64,
}

impl Pace {
    /// The defaults for this many endpoints.
    pub fn new(endpoints: usize, seed: u64) -> Self {
        Pace {
            endpoints: endpoints.max(1),
            proof_interval: Duration::from_secs(1),
            stall: Duration::from_secs(3),
            page: Duration::from_secs(10),
            pause: (Duration::from_millis(100), Duration::from_secs(5)),
            seed,
        }
    }
}

/// The header of every response of etcd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The cluster that answered.
    pub cluster_id: u64,
    /// The member that answered.
    pub member_id: u64,
    /// The revision of the store as this member knows it.
    pub revision: i64,
}

/// One change reported by a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: Vec<u8>,
    /// The new value, or none if the key was deleted.
    pub value: Option<Vec<u8>>,
    /// The revision of the change.
    pub mod_revision: i64,
}

/// The kind of a failure: it decides what the mirror does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, or the connection is lost: the next endpoint is tried.
    Unreachable,
    /// Connected, but no proof of freshness in time: the next endpoint is tried.
    Stalled,
    /// etcd has compacted the revision: everything is listed again.
    Compacted,
    /// The token has expired or the password is wrong: the next attempt fetches a new token.
    Unauthenticated,
    /// The user may not read the prefix: the next endpoint is tried. The copy is kept.
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

/// What the driver reports to the mirror.
#[derive(Clone, Debug)]
pub enum Input {
    /// The connection is established.
    Connected,
    /// A page of the list.
    Page {
        /// The response's header. The one of the first page gives the revision of the list.
        header: Header,
        /// The keys, sorted.
        items: Vec<KeyValue>,
        /// Whether more keys follow.
        more: bool,
    },
    /// The watch is established, or has sent a response without changes.
    Watching(Header),
    /// The watch has reported changes.
    Changes {
        /// The response's header.
        header: Header,
        /// In order of revision.
        changes: Vec<KeyChange>,
        /// Whether the next response continues this one, possibly within a revision.
        fragment: bool,
    },
    /// The linearizable read of the head key was answered.
    Head {
        /// When it was sent.
        sent: Instant,
        /// The response's header.
        header: Header,
        /// What it tells.
        newest: Newest,
    },
    /// etcd still had the revision that [`Action::CheckHistory`] asks for.
    HistoryChecked,
    /// What was in progress has failed.
    Failed {
        /// What it means for the next step.
        failure: Failure,
        /// The error's text.
        error: String,
    },
    /// The copy may be wrong: everything is to be listed again.
    Doubt,
    /// [`Mirror::deadline`] has passed.
    Tick,
}

/// What the owner of the copy has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A list begins. Items of an earlier list that did not complete are void.
    Listing,
    /// Items of the list, sorted.
    Items(Vec<KeyValue>),
    /// The list is complete: its items are everything there is at this revision.
    Listed {
        /// The revision.
        revision: i64,
    },
    /// All changes of one revision.
    Revision {
        /// The revision.
        revision: i64,
        /// At least one.
        changes: Vec<KeyChange>,
    },
    /// The copy was complete at this moment.
    Fresh {
        /// The moment.
        at: Instant,
    },
    /// An attempt failed. The mirror retries by itself.
    Lost {
        /// The kind of failure.
        failure: Failure,
        /// What happened.
        cause: Cause,
        /// Index of the endpoint.
        endpoint: usize,
    },
}

/// What the driver has to do now. It also keeps waiting for what is in progress, and for [`Mirror::deadline`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing new.
    Wait,
    /// Drop the connection and all requests.
    Disconnect,
    /// Drop the connection and all requests, and connect to this endpoint with a new token.
    Connect {
        /// Index of the endpoint.
        endpoint: usize,
    },
    /// Drop the watch and read a page.
    List {
        /// The last key of the previous page; none for the first page.
        after: Option<Vec<u8>>,
        /// The revision to read at; none for the first page, which is a linearizable read.
        revision: Option<i64>,
    },
    /// Open a watch.
    Watch {
        /// The first revision to report.
        from: i64,
    },
    /// Read the head key and the number of leased keys linearizably, in parallel to the watch.
    ReadHead,
    /// Read something at this revision, in parallel to the watch, to see whether etcd has compacted it.
    CheckHistory {
        /// The revision.
        revision: i64,
    },
}
