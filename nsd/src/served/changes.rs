//! What a new view changes, zone by zone.

use std::sync::Arc;

use crate::model::Name;
use crate::zone::{View, Zone};

/// A zone whose records have changed, with the zone before and after.
///
/// It costs two reference counts. Which RRsets differ is computed only by those who ask.
#[derive(Clone)]
pub struct ZoneChange {
    /// The name of the zone.
    pub apex: Name,
    /// The zone in the view that was replaced; none if it is new.
    pub old: Option<Arc<Zone>>,
    /// The zone in the view that replaces it; none if it is gone.
    pub new: Option<Arc<Zone>>,
}

impl ZoneChange {
    /// Those of these zones whose records differ between two views.
    pub fn between<'n>(
        old: &View,
        new: &View,
        apexes: impl IntoIterator<Item = &'n Name>,
    ) -> Vec<Self> {
        let changes = apexes.into_iter().filter_map(|apex| {
            let (old, new) = (old.zone(apex), new.zone(apex));
            let is_same = match (old, new) {
                (Some(old), Some(new)) => has_same_records(old, new),
                (None, None) => true,
                _ => false,
            };
            (!is_same).then(|| ZoneChange {
                apex: apex.clone(),
                old: old.cloned(),
                new: new.cloned(),
            })
        });
        changes.collect()
    }
}

/// Takes as long for a zone of a million RRsets as for one of ten.
fn has_same_records(one: &Arc<Zone>, other: &Arc<Zone>) -> bool {
    let is_same_soa = || {
        let (one, other) = (one.soa(), other.soa());
        one.ttl == other.ttl && one.rdata().eq(other.rdata())
    };
    Arc::ptr_eq(one, other)
        || (is_same_soa() && one.contents().digest() == other.contents().digest())
}
