//! Defects that the checkers of `tests/src/history` must find; only with the feature `broken-for-tests`.
//!
//! - The barrier of `linearizable` asks nobody (`run.rs`): the view that is there has to do.
//! - `bounded` knows no limit (`server/mod.rs`).
//! - The mirror (`mirror/builder.rs`) loses some revisions of zones that are `available`. Only of those
//!   zones, so that each defect is found by a rule of its own.

use etcd::mirror::Event;
use etcd::schema::{Key, Prefix};

use crate::model::Consistency;
use crate::zone::View;

/// One revision of so many is lost.
const LOST: i64 = 20;

/// Whether the mirror loses this event.
pub(crate) fn loses(event: &Event, prefix: &Prefix, view: &View) -> bool {
    let Event::Revision { revision, changes } = event else {
        return false;
    };
    revision % LOST == 0
        && changes
            .iter()
            .any(|change| match prefix.decode(&change.key) {
                Ok(Key::Rrset { zone, .. }) => {
                    let zone = view.zone(&zone);
                    zone.is_some_and(|zone| zone.consistency() == Consistency::Available)
                }
                _ => false,
            })
}
