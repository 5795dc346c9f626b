//! Reads: lists at one revision; zones, RRsets, front-ends and members as they are stored.
//!
//! What belongs together is read at one revision: a zone's RRsets and its serial at the revision at which the zone
//! itself was read. Otherwise an import in between would show half of each. A key whose value cannot be read is left
//! out and named; the others are still read.

mod doubts;
mod frontends;
mod journal;
mod keys;
mod list;
mod members;
mod overlap;
mod page;
mod rrsets;
mod zones;

pub use frontends::{Fleet, UnreadableFrontend};
pub(crate) use journal::recorded;
pub use journal::{Journal, Since, ZonePast};
pub use keys::Head;
pub(crate) use keys::{found, to_op};
pub use list::{RangeRead, Survey};
pub use members::{Member, MemberState};
pub use overlap::Uncovered;
pub(crate) use page::{PageSize, decode, next_key};
pub use rrsets::{RrsetsRead, Scope};
pub use zones::Zones;
