//! Builds views from what etcd holds.
//!
//! All generations of a zone are kept, also those that nobody serves: a replaced zone is staged beside
//! the old one, and the change of the zone's settings that names the new generation switches to it.
//!
//! A value that cannot be used is quarantined: what its key said before stays in service, everything
//! else goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use etcd::mirror::Event;
use etcd::schema::{self, Key, Prefix};
use tracing::{info, warn};

use crate::model::{Name, Rtype, Zone as Settings};
use crate::zone::{Contents, Rrset, SoaFields, View, Zone};

/// What etcd says about one zone.
#[derive(Default)]
struct ZoneData {
    settings: Option<Settings>,
    /// The revision that wrote the settings, and the one that touched the serial key last.
    settings_revision: i64,
    serial_revision: i64,
    generations: BTreeMap<u64, Contents>,
}

#[derive(Default)]
struct Tables {
    zones: HashMap<Name, ZoneData>,
    /// Keys whose values cannot be used.
    quarantine: BTreeSet<Vec<u8>>,
}

/// The builder.
pub struct Builder {
    prefix: Prefix,
    served: Tables,
    /// What a list has brought so far.
    listed: Tables,
    view: View,
}

impl Builder {
    /// A builder with an empty view that is not ready.
    pub fn new(prefix: Prefix) -> Self {
        Builder {
            prefix,
            served: Tables::default(),
            listed: Tables::default(),
            view: View::default(),
        }
    }

    /// The view after the last event.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// How many keys have values that cannot be used.
    pub fn quarantined(&self) -> usize {
        self.served.quarantine.len()
    }

    /// Takes an event in, and says whether the view is another one now.
    pub fn apply(&mut self, event: Event) -> bool {
        match event {
            Event::Listing => {
                self.listed = Tables::default();
                false
            }
            Event::Item(item) => {
                self.listed.put(
                    &self.prefix,
                    &item.key,
                    &item.value,
                    item.mod_revision,
                    Some(&self.served),
                );
                false
            }
            Event::Listed { .. } => {
                self.served = std::mem::take(&mut self.listed);
                self.view = View::default();
                self.view.set_ready(true);
                for (apex, zone) in &self.served.zones {
                    publish(&mut self.view, apex, zone);
                }
                true
            }
            Event::Revision { revision, changes } => {
                let mut touched = BTreeSet::new();
                for change in changes {
                    touched.extend(match &change.value {
                        Some(value) => {
                            self.served
                                .put(&self.prefix, &change.key, value, revision, None)
                        }
                        None => self.served.delete(&self.prefix, &change.key),
                    });
                }
                for apex in &touched {
                    if let Some(zone) = self.served.zones.get(apex) {
                        publish(&mut self.view, apex, zone);
                    }
                    self.served.forget_empty(apex);
                }
                !touched.is_empty()
            }
            Event::Fresh { .. } | Event::Lost { .. } => false,
        }
    }
}

impl Tables {
    /// Takes a value in. Returns the zone that is touched. `before` is where the last good value is
    /// looked for when this one is bad; none where it stands in these tables.
    fn put(
        &mut self,
        prefix: &Prefix,
        key: &[u8],
        value: &[u8],
        revision: i64,
        before: Option<&Tables>,
    ) -> Option<Name> {
        let decoded = match prefix.decode(key) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.quarantine(key, &error);
                return None;
            }
        };
        match decoded {
            Key::Head | Key::Frontend(_) => None,
            Key::Serial(apex) => {
                self.zone(&apex).serial_revision = revision;
                Some(apex)
            }
            Key::Zone(apex) => {
                match schema::decode_zone(value) {
                    Ok(settings) => {
                        self.release(key);
                        self.zone(&apex).settings = Some(settings);
                    }
                    Err(error) => {
                        self.quarantine(key, &error);
                        if let Some(last) = before.and_then(|before| before.zones.get(&apex)) {
                            self.zone(&apex).settings.clone_from(&last.settings);
                        }
                    }
                }
                self.zone(&apex).settings_revision = revision;
                Some(apex)
            }
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                let rrset = match schema::decode_rrset(rtype, value) {
                    Ok(rrset) if rtype != Rtype::SOA => {
                        self.release(key);
                        Rrset::new(rrset.ttl(), rrset.rdata().iter().map(|rdata| rdata.wire()))
                    }
                    Ok(_) => {
                        self.quarantine(key, &"the SOA record is made of the zone's settings");
                        return None;
                    }
                    Err(error) => {
                        self.quarantine(key, &error);
                        let last = before?
                            .zones
                            .get(&zone)?
                            .generations
                            .get(&generation)?
                            .get(&owner, rtype)?;
                        Rrset::new(last.ttl, last.rdata())
                    }
                }?;
                let contents = self.zone(&zone).generations.entry(generation);
                contents
                    .or_insert_with(|| Contents::new(zone.clone()))
                    .put(&owner, rtype, &rrset);
                Some(zone)
            }
        }
    }

    /// Takes a key out. Returns the zone that is touched.
    fn delete(&mut self, prefix: &Prefix, key: &[u8]) -> Option<Name> {
        self.release(key);
        match prefix.decode(key).ok()? {
            Key::Head | Key::Frontend(_) => None,
            Key::Serial(apex) => {
                self.zone(&apex).serial_revision = 0;
                Some(apex)
            }
            Key::Zone(apex) => {
                self.zone(&apex).settings = None;
                Some(apex)
            }
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                let generations = &mut self.zone(&zone).generations;
                let contents = generations.get_mut(&generation)?;
                contents.remove(&owner, rtype);
                if contents.rrset_count() == 0 {
                    generations.remove(&generation);
                }
                Some(zone)
            }
        }
    }

    fn zone(&mut self, apex: &Name) -> &mut ZoneData {
        if !self.zones.contains_key(apex) {
            self.zones.insert(apex.clone(), ZoneData::default());
        }
        self.zones
            .get_mut(apex)
            .expect("it was put there right before")
    }

    /// Forgets a zone that etcd has nothing about any more.
    fn forget_empty(&mut self, apex: &Name) {
        let empty = |zone: &ZoneData| {
            zone.settings.is_none() && zone.serial_revision == 0 && zone.generations.is_empty()
        };
        if self.zones.get(apex).is_some_and(empty) {
            self.zones.remove(apex);
        }
    }

    fn quarantine(&mut self, key: &[u8], reason: &dyn std::fmt::Display) {
        let shown = String::from_utf8_lossy(key);
        warn!(key = %shown, %reason, "value quarantined: what the key said before stays in service");
        self.quarantine.insert(key.to_vec());
    }

    fn release(&mut self, key: &[u8]) {
        if !self.quarantine.is_empty() && self.quarantine.remove(key) {
            info!(key = %String::from_utf8_lossy(key), "value is sound again");
        }
    }
}

/// Brings the zone in the view up to what etcd says.
fn publish(view: &mut View, apex: &Name, zone: &ZoneData) {
    let Some(settings) = &zone.settings else {
        view.remove_zone(apex);
        return;
    };
    let soa = &settings.soa;
    let touched = if zone.serial_revision > 0 {
        zone.serial_revision
    } else {
        zone.settings_revision
    };
    let soa = SoaFields {
        mname: soa.mname.clone(),
        rname: soa.rname.clone(),
        serial: settings.serial(touched),
        refresh: soa.refresh,
        retry: soa.retry,
        expire: soa.expire,
        minimum: soa.minimum,
        ttl: soa.ttl,
    };
    // A clone shares everything: it costs the same for a zone of ten names and of a million.
    let contents = zone.generations.get(&settings.generation).cloned();
    let contents = contents.unwrap_or_else(|| Contents::new(apex.clone()));
    view.put_zone(Arc::new(Zone::new(&soa, contents)));
}

#[cfg(test)]
mod tests {
    use etcd::mirror::{Change, KeyValue};

    use super::*;

    const ZONE: &str = r#"{"soa":{"mname":"ns.x.","rname":"h.x.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":2,"default_ttl":300}"#;

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    fn item(key: &str, value: &str, revision: i64) -> Event {
        Event::Item(KeyValue {
            key: key.into(),
            value: value.into(),
            mod_revision: revision,
        })
    }

    fn change(revision: i64, changes: &[(&str, Option<&str>)]) -> Event {
        let changes = changes.iter().map(|(key, value)| Change {
            key: (*key).into(),
            value: value.map(Into::into),
            mod_revision: revision,
        });
        Event::Revision {
            revision,
            changes: changes.collect(),
        }
    }

    /// Lists a zone `x` with an address at `a.x`.
    fn listed() -> Builder {
        let mut builder = Builder::new(Prefix::default());
        assert!(!builder.view().is_ready());
        builder.apply(Event::Listing);
        builder.apply(item("/ns/v1/zone/x", ZONE, 7));
        builder.apply(item("/ns/v1/serial/x", "{}", 9));
        builder.apply(item(
            "/ns/v1/rr/x/2/a/A",
            r#"{"ttl":60,"rdata":["192.0.2.1"]}"#,
            9,
        ));
        builder.apply(item(
            "/ns/v1/rr/x/3/b/A",
            r#"{"ttl":60,"rdata":["192.0.2.2"]}"#,
            9,
        ));
        assert!(
            !builder.view().is_ready(),
            "nothing is published before the list is complete"
        );
        assert!(builder.apply(Event::Listed { revision: 9 }));
        builder
    }

    fn addresses(builder: &Builder, owner: &str) -> Vec<Vec<u8>> {
        let zone = builder.view().zone(&name("x")).expect("the zone");
        zone.get(&name(owner), Rtype::A)
            .map_or_else(Vec::new, |rrset| {
                rrset.rdata().map(<[u8]>::to_vec).collect()
            })
    }

    fn serial(builder: &Builder) -> u32 {
        let zone = builder.view().zone(&name("x")).expect("the zone");
        let rdata = zone.soa().rdata().next().expect("one record").to_vec();
        let at = rdata.len() - 20;
        u32::from_be_bytes([rdata[at], rdata[at + 1], rdata[at + 2], rdata[at + 3]])
    }

    #[test]
    fn a_list_is_published_at_its_end() {
        let builder = listed();
        assert!(builder.view().is_ready());
        assert_eq!(
            (addresses(&builder, "a.x"), addresses(&builder, "b.x")),
            (vec![vec![192, 0, 2, 1]], vec![])
        );
        assert_eq!(serial(&builder), 9);
    }

    #[test]
    fn changes_are_published_revision_by_revision() {
        let mut builder = listed();
        let add = change(
            11,
            &[
                (
                    "/ns/v1/rr/x/2/c/A",
                    Some(r#"{"ttl":1,"rdata":["192.0.2.3"]}"#),
                ),
                ("/ns/v1/serial/x", Some("{}")),
                ("/ns/v1/head", Some("{}")),
            ],
        );
        assert!(builder.apply(add));
        assert_eq!(
            (addresses(&builder, "c.x").len(), serial(&builder)),
            (1, 11)
        );
        assert!(builder.apply(change(
            12,
            &[("/ns/v1/rr/x/2/c/A", None), ("/ns/v1/serial/x", Some("{}"))]
        )));
        assert_eq!(
            (addresses(&builder, "c.x").len(), serial(&builder)),
            (0, 12)
        );
        assert!(!builder.apply(change(
            13,
            &[
                ("/ns/v1/head", Some("{}")),
                ("/ns/v1/frontend/a", Some("{}"))
            ]
        )));
    }

    #[test]
    fn a_generation_is_switched_in_one_step() {
        let mut builder = listed();
        let flipped = ZONE.replace("\"generation\":2", "\"generation\":3");
        builder.apply(change(
            20,
            &[
                ("/ns/v1/zone/x", Some(&flipped)),
                ("/ns/v1/serial/x", Some("{}")),
            ],
        ));
        assert_eq!(
            (
                addresses(&builder, "a.x").len(),
                addresses(&builder, "b.x").len()
            ),
            (0, 1)
        );
        builder.apply(change(21, &[("/ns/v1/rr/x/2/a/A", None)]));
        assert_eq!(addresses(&builder, "b.x").len(), 1);
    }

    #[test]
    fn a_removed_zone_is_gone_at_once_and_wholly() {
        let mut builder = listed();
        builder.apply(change(
            30,
            &[("/ns/v1/zone/x", None), ("/ns/v1/serial/x", None)],
        ));
        assert_eq!(builder.view().zone_count(), 0);
        builder.apply(change(
            31,
            &[("/ns/v1/rr/x/2/a/A", None), ("/ns/v1/rr/x/3/b/A", None)],
        ));
        assert!(builder.served.zones.is_empty());
    }

    #[test]
    fn a_bad_value_is_quarantined_and_the_last_good_one_served() {
        let mut builder = listed();
        builder.apply(change(
            40,
            &[
                ("/ns/v1/rr/x/2/a/A", Some("garbage")),
                (
                    "/ns/v1/rr/x/2/d/A",
                    Some(r#"{"ttl":1,"rdata":["192.0.2.4"]}"#),
                ),
            ],
        ));
        assert_eq!(
            (
                addresses(&builder, "a.x").len(),
                addresses(&builder, "d.x").len(),
                builder.quarantined()
            ),
            (1, 1, 1)
        );
        // Also over a relist.
        builder.apply(Event::Listing);
        builder.apply(item("/ns/v1/zone/x", "{}", 41));
        builder.apply(item("/ns/v1/rr/x/2/a/A", "garbage", 40));
        builder.apply(item(
            "/ns/v1/rr/x/2/e/A",
            r#"{"ttl":1,"rdata":["::1"]}"#,
            40,
        ));
        builder.apply(item("/ns/v1/bogus", "", 40));
        builder.apply(Event::Listed { revision: 41 });
        assert_eq!(
            (
                addresses(&builder, "a.x").len(),
                addresses(&builder, "e.x").len(),
                builder.quarantined()
            ),
            (1, 0, 4)
        );
        // Sound again, and deleted.
        builder.apply(change(
            42,
            &[
                (
                    "/ns/v1/rr/x/2/a/A",
                    Some(r#"{"ttl":1,"rdata":["192.0.2.5"]}"#),
                ),
                ("/ns/v1/rr/x/2/e/A", None),
            ],
        ));
        assert_eq!(
            (addresses(&builder, "a.x"), builder.quarantined()),
            (vec![vec![192, 0, 2, 5]], 2)
        );
    }

    #[test]
    fn a_list_that_broke_off_leaves_no_trace() {
        let mut builder = listed();
        builder.apply(Event::Listing);
        builder.apply(item("/ns/v1/zone/y", ZONE, 50));
        builder.apply(Event::Listing);
        builder.apply(item("/ns/v1/zone/x", ZONE, 50));
        builder.apply(Event::Listed { revision: 50 });
        assert_eq!(builder.view().zone_count(), 1);
        assert_eq!(addresses(&builder, "a.x").len(), 0);
    }
}
