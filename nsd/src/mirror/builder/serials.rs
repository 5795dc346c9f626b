//! Serials that went back, as after a restore of etcd from a backup. Secondaries ignore a zone until its serial is higher
//! than the one they have (RFC 1982).

use std::collections::BTreeMap;

use crate::model::{Name, is_serial_before};
use crate::zone::{View, Zone};

/// The highest serial served of each zone whose serial has gone back.
#[derive(Clone, Default)]
pub(super) struct Serials(BTreeMap<Name, u32>);

impl Serials {
    pub(super) fn new(known: BTreeMap<Name, u32>) -> Self {
        Serials(known)
    }

    /// All that is remembered, also of zones that are gone.
    pub(super) fn known(&self) -> &BTreeMap<Name, u32> {
        &self.0
    }

    /// Remembers the serial of a zone that was replaced if the serial in `view` is lower.
    pub(super) fn remember(&mut self, old: &Zone, view: &View) {
        let new = view.zone(old.apex());
        if new.is_some_and(|new| is_serial_before(new.serial(), old.serial())) {
            let highest = self.0.entry(old.apex().clone()).or_insert(old.serial());
            if is_serial_before(*highest, old.serial()) {
                *highest = old.serial();
            }
        }
    }

    /// Forgets the serials that zones have caught up with. Those of a removed zone stay, as the zone may come back.
    pub(super) fn forget(&mut self, view: &View) {
        self.0.retain(|apex, serial| {
            view.zone(apex)
                .is_none_or(|zone| is_serial_before(zone.serial(), *serial))
        });
    }

    /// The zones of `view` whose serial is lower than one served before, each with that earlier serial.
    pub(super) fn behind(&self, view: &View) -> BTreeMap<Name, u32> {
        let known = self.0.iter();
        known
            .filter(|(apex, _)| view.zone(apex).is_some())
            .map(|(apex, serial)| (apex.clone(), *serial))
            .collect()
    }
}
