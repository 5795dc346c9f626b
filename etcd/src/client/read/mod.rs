//! Reads: lists at one revision; zones, RRsets, front-ends and members as they are stored.
//!
//! What belongs together is read as of one revision: a zone's RRsets and its serial as of the revision at which the
//! zone itself was read, or an import in between would show a half of each. A key whose value cannot be read is left
//! out and named; it does not keep anybody from reading the others.

mod doubts;
mod frontends;
mod keys;
mod list;
mod members;
mod overlap;
mod page;
mod rrsets;
mod zones;

pub use frontends::{Fleet, UnreadableFrontend};
pub use keys::Head;
pub use list::{Listed, Survey};
pub use members::{Member, MemberState};
pub use overlap::Uncovered;
pub(crate) use page::{PageSize, check};
pub use rrsets::{Scope, Stored};
pub use zones::Zones;
