//! What a new view changes, zone by zone.

use std::sync::Arc;

use tracing::{Level, debug};

use crate::model::{Name, Rtype};
use crate::zone::{Contents, RrsetChange, View, Zone};

/// A zone whose records have changed, with the zone before and after.
///
/// It costs two reference counts. Which RRsets differ is computed only for those who ask.
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
    /// The changes of those of these zones whose records differ between two views. It takes as long for a zone of a
    /// million RRsets as for one of ten.
    pub fn between<'n>(
        old: &View,
        new: &View,
        apexes: impl IntoIterator<Item = &'n Name>,
    ) -> Vec<Self> {
        let changes = apexes.into_iter().filter_map(|apex| {
            let change = ZoneChange {
                apex: apex.clone(),
                old: old.zone(apex).cloned(),
                new: new.zone(apex).cloned(),
            };
            change.has_effect().then_some(change)
        });
        changes.collect()
    }

    /// Whether the records differ. It compares digests.
    pub fn has_effect(&self) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => !has_same_records(old, new),
            (None, None) => false,
            _ => true,
        }
    }

    /// The RRsets that differ, the SOA record included, in no order. The cost goes with the number of changes if one
    /// version was made from the other, and with the size of the zone after everything was listed again.
    pub fn rrsets(&self) -> impl Iterator<Item = RrsetChange<'_>> {
        let (old, new) = (self.old.as_deref(), self.new.as_deref());
        let (old_soa, new_soa) = (old.map(Zone::soa), new.map(Zone::soa));
        let soa = (old_soa != new_soa).then(|| RrsetChange {
            owner: self.apex.clone(),
            rtype: Rtype::SOA,
            old: old_soa,
            new: new_soa,
        });
        let others = Contents::changes(old.map(Zone::contents), new.map(Zone::contents));
        soa.into_iter().chain(others)
    }
}

fn has_same_records(one: &Arc<Zone>, other: &Arc<Zone>) -> bool {
    Arc::ptr_eq(one, other)
        || (one.soa() == other.soa() && one.contents().digest() == other.contents().digest())
}

/// Logs the changes, for operators who run with `--log-level info,nsd::mirror=debug`.
pub(crate) fn log(changes: &[ZoneChange]) {
    if !tracing::enabled!(target: "nsd::mirror", Level::DEBUG) {
        return;
    }
    for change in changes {
        let (mut added, mut changed, mut removed) = (0, 0, 0);
        for rrset in change.rrsets() {
            *match (rrset.old, rrset.new) {
                (None, _) => &mut added,
                (_, None) => &mut removed,
                _ => &mut changed,
            } += 1;
        }
        let serial = |zone: &Option<Arc<Zone>>| zone.as_ref().map(|zone| zone.serial());
        debug!(
            target: "nsd::mirror",
            zone = %change.apex,
            serial_before = serial(&change.old),
            serial = serial(&change.new),
            added,
            changed,
            removed,
            "zone changed"
        );
    }
}
