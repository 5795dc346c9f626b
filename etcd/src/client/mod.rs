//! The only part that does input and output.
//!
//! - `connect`: connections to single endpoints, and requests that fail over from one endpoint to the next.
//! - `read`: lists at one revision; zones, RRsets, front-ends and members as they are stored.
//! - `write`: changes, imports and deletions; each is retried until it is applied, refused or out of time.
//! - `watch`: the driver of the mirror, and the follower of journals.
//! - `lease`: keeps something under a lease; `registration`: a front-end's key; `announcement`: records.
//!
//! etcd-client neither fails over, nor reconnects a watch, nor skips a dead endpoint. So every connection here is to
//! one endpoint, and its user moves on to the next endpoint when this one does not answer.

mod announcement;
mod connect;
mod lease;
mod read;
mod registration;
mod watch;
mod write;

pub use announcement::{AnnouncementNews, announce};
pub use connect::{
    Config, DiscoveredMembers, EndpointError, EndpointFault, Simulated, Store, StoreError, Tls,
    certified_key, read_small_file,
};
pub use read::{
    Fleet, Head, Journal, Member, MemberState, RangeRead, RrsetsRead, Scope, Since, Survey,
    Uncovered, UnreadableFrontend, ZonePast, Zones,
};
pub use registration::{Registered, register};
pub use watch::{JournalNews, MirrorStatus, watch};
pub use write::{
    ChangeError, Changed, CookieRead, CookieRotation, Exported, FileError, FileText, ImportHow,
    ImportMode, Imported, Progress, Raised, Removed, Rollback,
};
