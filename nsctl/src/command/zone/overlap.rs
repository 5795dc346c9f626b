//! Records that a zone hides or takes over from the zone above.

use etcd::client::Imported;
use etcd::model::Name;
use etcd::txn::Overlap;

use crate::context::ChangeText;
use crate::output::{self, plural};

/// Chooses what happens to records that a zone would hide.
pub(super) fn overlap(move_hidden: bool, force: bool) -> Overlap {
    match (move_hidden, force) {
        (true, _) => Overlap::Move,
        (false, true) => Overlap::Hide,
        (false, false) => Overlap::Refuse,
    }
}

/// Describes how many records come from the zone above. Warns if that does not delegate the zone.
pub(super) fn describe_moved(apex: &Name, imported: &Imported, text: &mut ChangeText) {
    let copied = imported.copied;
    let moved = imported.from_above.len() - copied;
    for (count, done) in [(moved, "moved"), (copied, "copied")] {
        if count > 0 {
            let count = plural(count, "RRset");
            text.done += &format!("{count} {done} here from the zone above\n");
            text.would += &format!("{count} would be {done} here from the zone above\n");
        }
    }
    if let Some(parent) = &imported.not_delegating {
        output::warning(format!(
            "{parent} does not delegate {apex}: add NS records there (nsctl add {apex} NS NAME --zone {parent})"
        ));
    }
}
