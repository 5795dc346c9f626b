//! Adding, changing and removing zones.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{CookieSecrets, Name, Rdata, Rrset, Rtype, ZoneSettings, is_serial_before};
use crate::schema::{Accepted, Key, KeyValue, Prefix, SerialBase, SettingsChange, encode};

use super::{Op, Plan, Refusal, SerialRead, WantedZone, ZoneChange, ZoneRead};

/// A new zone with these name servers at its apex.
pub fn new_zone(
    apex: &Name,
    settings: ZoneSettings,
    servers: Vec<Rdata>,
) -> Result<WantedZone, Refusal> {
    check(&settings)?;
    let rrset = Rrset::new(
        Rtype::NS,
        settings.default_ttl.max(settings.soa.ttl),
        servers,
    )
    .map_err(|error| Refusal::Rrset(apex.clone(), Rtype::NS, error))?;
    Ok(WantedZone {
        settings,
        serial: None,
        rrsets: Arc::new([((apex.clone(), Rtype::NS), rrset)].into()),
    })
}

/// Plans new settings for a zone. Returns none if they are the same.
pub fn zone_set(
    prefix: &Prefix,
    read: &ZoneRead,
    settings: &ZoneSettings,
) -> Result<Option<Plan>, Refusal> {
    check(settings)?;
    if read.settings == *settings {
        return Ok(None);
    }
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(read.apex.clone()), read.revision);
    plan.put(prefix, &Key::Zone(read.apex.clone()), encode(settings));
    let change = ZoneChange::of_settings(&read.apex, Some(&read.settings), Some(settings));
    plan.touch(prefix, change);
    Ok(Some(plan))
}

/// A zone and the lowest base of its serials. A serial is the base plus a revision.
pub type Raise = (Name, u32);

/// Plans higher serials for those of these zones whose base is too low. Returns the zones that it raises, with their new
/// bases, and no plan if there are none. `keys` is what was read of the zones, in the order of `raises`.
pub fn raise_serials(
    prefix: &Prefix,
    raises: &[Raise],
    keys: &[Option<&KeyValue>],
    as_of: i64,
) -> (Option<Plan>, Vec<ZoneRead>) {
    let (mut plan, mut raised) = (Plan::default(), Vec::new());
    for ((apex, base), item) in raises.iter().zip(keys) {
        let key = Key::Zone(apex.clone());
        // Also of zones that are left out: the copy that was read may be old.
        plan.unchanged(prefix, &key, item.map_or(0, |item| item.mod_revision));
        let read = item.map(|item| ZoneRead::decode(prefix, item, as_of));
        let Some(Ok(mut read)) = read else { continue };
        if is_serial_before(read.settings.serial_base, *base) {
            let old = read.settings.clone();
            read.settings.serial_base = *base;
            plan.changes.push(ZoneChange {
                // There are many zones, and many reads would be necessary.
                prunes: false,
                ..ZoneChange::of_settings(apex, Some(&old), Some(&read.settings))
            });
            plan.put(prefix, &key, encode(&read.settings));
            plan.put(prefix, &Key::Serial(apex.clone()), b"{}".to_vec());
            raised.push(read);
        }
    }
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    ((!raised.is_empty()).then_some(plan), raised)
}

/// Plans the removal of a zone whose settings were written at `revision`. From this transaction on nobody serves it;
/// its RRsets are deleted afterwards. `settings` are none if they cannot be read. Its serial key stays and holds the serial base, so that a later zone of that name
/// continues the serials. It also tells a front-end that lists everything again that the zone was removed and not lost.
pub fn zone_remove(
    prefix: &Prefix,
    apex: &Name,
    revision: i64,
    serial_base: u32,
    settings: Option<&ZoneSettings>,
) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(apex.clone()), revision);
    plan.delete(prefix, &Key::Zone(apex.clone()));
    let serial = Key::Serial(apex.clone());
    plan.put(prefix, &serial, encode(&SerialBase { serial_base }));
    plan.delete(prefix, &Key::LeasedSerial(apex.clone()));
    plan.ops.push(Op::DeleteRange {
        range: prefix.leased_in(apex),
    });
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    // Settings that cannot be read change, too.
    let change = SettingsChange {
        old: settings.cloned(),
        new: None,
    };
    plan.changes.push(ZoneChange {
        settings: Some(Box::new(change)),
        ..ZoneChange::of_settings(apex, settings, None)
    });
    plan
}

/// Plans to delete the serial key of a removed zone.
pub fn forget_serial(prefix: &Prefix, apex: &Name, serial: SerialRead) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Zone(apex.clone()), 0);
    plan.unchanged(prefix, &Key::Serial(apex.clone()), serial.revision);
    plan.delete(prefix, &Key::Serial(apex.clone()));
    // A front-end may have followed an expiry while the zone was removed.
    plan.delete(prefix, &Key::LeasedSerial(apex.clone()));
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans an operator's statement that the records that are gone were deleted on purpose.
pub fn accept(prefix: &Prefix, accepted: Accepted) -> Plan {
    let mut plan = Plan::default();
    plan.put(prefix, &Key::Accepted, encode(&accepted));
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans to write the secrets for cookies. `revision` is that of the ones they replace; 0 if there are none.
pub fn cookie(prefix: &Prefix, revision: i64, secrets: &CookieSecrets) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(prefix, &Key::Cookie, revision);
    plan.put(prefix, &Key::Cookie, encode(secrets));
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

/// Plans to delete records that are not served. `read` is the zone when they were found: one that has switched since
/// may serve them.
pub fn sweep(prefix: &Prefix, apex: &Name, read: Option<&ZoneRead>, range: Range<Vec<u8>>) -> Plan {
    let mut plan = Plan::default();
    plan.unchanged(
        prefix,
        &Key::Zone(apex.clone()),
        read.map_or(0, |read| read.revision),
    );
    plan.ops.push(Op::DeleteRange { range });
    // A deletion leaves no key that shows its revision. The head key tells whoever compares a copy with etcd at some
    // revision that the copy must include this deletion.
    plan.put(prefix, &Key::Head, b"{}".to_vec());
    plan
}

fn check(settings: &ZoneSettings) -> Result<(), Refusal> {
    match settings.fault() {
        Some(setting) => Err(Refusal::Setting(setting)),
        None => Ok(()),
    }
}
