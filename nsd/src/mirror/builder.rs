//! Builds views from what etcd holds.
//!
//! All generations of a zone are kept, also those that nobody serves: a replaced zone is staged beside
//! the old one, and the change of the zone's settings that names the new generation switches to it.
//!
//! A value that cannot be used is quarantined: what its key said before stays in service, everything
//! else goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use etcd::mirror::{Event, KeyValue};
use etcd::schema::{self, Key, Prefix};
use tracing::{info, warn};

use crate::model::{Consistency, Name, Rtype, Zone as Settings};
use crate::zone::{Contents, Rrset, SoaFields, View, Zone};

/// How many values are worth another thread.
const SHARE_MIN: usize = 1_000;

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
    /// What zones promise that say nothing themselves.
    consistency: Consistency,
    served: Tables,
    /// What a list has brought so far.
    listed: Tables,
    view: View,
}

impl Builder {
    /// A builder with an empty view that is not ready.
    pub fn new(prefix: Prefix, consistency: Consistency) -> Self {
        Builder {
            prefix,
            consistency,
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
            Event::Items(items) => {
                let said = read_all(&self.prefix, &items);
                for (item, said) in items.iter().zip(said) {
                    self.listed
                        .take(&item.key, said, item.mod_revision, Some(&self.served));
                }
                false
            }
            Event::Listed { .. } => {
                self.served = std::mem::take(&mut self.listed);
                self.view = View::default();
                self.view.set_ready(true);
                for (apex, zone) in &self.served.zones {
                    publish(&mut self.view, apex, zone, self.consistency);
                }
                true
            }
            Event::Revision { revision, changes } => {
                let mut touched = BTreeSet::new();
                for change in changes {
                    touched.extend(match &change.value {
                        Some(value) => {
                            let said = read(&self.prefix, &change.key, value);
                            self.served.take(&change.key, said, revision, None)
                        }
                        None => self.served.delete(&self.prefix, &change.key),
                    });
                }
                for apex in &touched {
                    if let Some(zone) = self.served.zones.get(apex) {
                        publish(&mut self.view, apex, zone, self.consistency);
                    }
                    self.served.forget_empty(apex);
                }
                !touched.is_empty()
            }
            Event::Fresh { .. } | Event::Lost { .. } => false,
        }
    }
}

/// What a key and its value say.
enum Said {
    /// Nothing that is served.
    Nothing,
    /// A zone was touched.
    Touched(Name),
    /// The settings of a zone, or what is wrong with them.
    Zone(Name, Result<Settings, String>),
    /// An RRset, or what is wrong with it.
    Rrset(Place, Result<Rrset, String>),
    /// The key is none of ours.
    Unknown(String),
}

/// Where an RRset belongs.
struct Place {
    zone: Name,
    generation: u64,
    owner: Name,
    rtype: Rtype,
}

/// Reads a key and its value.
fn read(prefix: &Prefix, key: &[u8], value: &[u8]) -> Said {
    match prefix.decode(key) {
        Err(error) => Said::Unknown(error.to_string()),
        Ok(Key::Head | Key::Frontend(_)) => Said::Nothing,
        Ok(Key::Serial(apex)) => Said::Touched(apex),
        Ok(Key::Zone(apex)) => {
            let settings = schema::decode_zone(value).map_err(|error| error.to_string());
            Said::Zone(apex, settings)
        }
        Ok(Key::Rrset {
            zone,
            generation,
            owner,
            rtype,
        }) => {
            let place = Place {
                zone,
                generation,
                owner,
                rtype,
            };
            Said::Rrset(place, read_rrset(rtype, value))
        }
    }
}

fn read_rrset(rtype: Rtype, value: &[u8]) -> Result<Rrset, String> {
    if rtype == Rtype::SOA {
        return Err("the SOA record is made of the zone's settings".into());
    }
    let rrset = schema::decode_rrset(rtype, value).map_err(|error| error.to_string())?;
    let rdata = rrset.rdata().iter().map(|rdata| rdata.wire());
    Rrset::new(rrset.ttl(), rdata).ok_or_else(|| "it has more records than a message".into())
}

/// Reads many, on all cores: most of what a first sync takes.
fn read_all(prefix: &Prefix, items: &[KeyValue]) -> Vec<Said> {
    let read_some = |items: &[KeyValue]| -> Vec<Said> {
        let read = |item: &KeyValue| read(prefix, &item.key, &item.value);
        items.iter().map(read).collect()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(SHARE_MIN);
    if items.len() <= share {
        return read_some(items);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(move || read_some(items)))
            .collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

impl Tables {
    /// Takes in what a key and its value say. Returns the zone that is touched. `before` is where the last good
    /// value is looked for when this one is bad; none where it stands in these tables.
    fn take(
        &mut self,
        key: &[u8],
        said: Said,
        revision: i64,
        before: Option<&Tables>,
    ) -> Option<Name> {
        match said {
            Said::Nothing => None,
            Said::Unknown(reason) => {
                self.quarantine(key, &reason);
                None
            }
            Said::Touched(apex) => {
                self.zone(&apex).serial_revision = revision;
                Some(apex)
            }
            Said::Zone(apex, settings) => {
                match settings {
                    Ok(settings) => {
                        self.release(key);
                        self.zone(&apex).settings = Some(settings);
                    }
                    Err(reason) => {
                        self.quarantine(key, &reason);
                        if let Some(last) = before.and_then(|before| before.zones.get(&apex)) {
                            self.zone(&apex).settings.clone_from(&last.settings);
                        }
                    }
                }
                self.zone(&apex).settings_revision = revision;
                Some(apex)
            }
            Said::Rrset(place, rrset) => {
                let rrset = match rrset {
                    Ok(rrset) => {
                        self.release(key);
                        rrset
                    }
                    Err(reason) => {
                        self.quarantine(key, &reason);
                        let zone = before?.zones.get(&place.zone)?;
                        let contents = zone.generations.get(&place.generation)?;
                        let last = contents.get(&place.owner, place.rtype)?;
                        Rrset::new(last.ttl, last.rdata())?
                    }
                };
                let contents = self.zone(&place.zone).generations.entry(place.generation);
                contents
                    .or_insert_with(|| Contents::new(place.zone.clone()))
                    .put(&place.owner, place.rtype, &rrset);
                Some(place.zone)
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

    fn quarantine(&mut self, key: &[u8], reason: &str) {
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
fn publish(view: &mut View, apex: &Name, zone: &ZoneData, default: Consistency) {
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
    let consistency = settings.consistency.unwrap_or(default);
    view.put_zone(Arc::new(
        Zone::new(&soa, contents).with_consistency(consistency),
    ));
}

#[cfg(test)]
mod tests {
    use etcd::mirror::Change;

    use super::*;

    const ZONE: &str = r#"{"soa":{"mname":"ns.x.","rname":"h.x.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":2,"default_ttl":300}"#;

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    fn item(key: &str, value: &str, revision: i64) -> Event {
        Event::Items(vec![KeyValue {
            key: key.into(),
            value: value.into(),
            mod_revision: revision,
        }])
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
        let mut builder = Builder::new(Prefix::default(), Consistency::default());
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
    fn a_long_list_is_taken_in_whole_and_in_order() {
        let mut builder = Builder::new(Prefix::default(), Consistency::default());
        builder.apply(Event::Listing);
        let address = |index: usize| KeyValue {
            key: format!("/ns/v1/rr/x/2/h{index}/A").into(),
            value: match index {
                4321 => "garbage".into(),
                _ => format!(
                    r#"{{"ttl":1,"rdata":["10.0.{}.{}"]}}"#,
                    index >> 8,
                    index & 255
                ),
            }
            .into(),
            mod_revision: 5,
        };
        builder.apply(item("/ns/v1/zone/x", ZONE, 5));
        builder.apply(Event::Items((0..10_000).map(address).collect()));
        builder.apply(Event::Listed { revision: 5 });
        assert_eq!(
            (builder.view().rrset_count(), builder.quarantined()),
            (10_000, 1)
        );
        for index in [0, 999, 1000, 5000, 9999] {
            let expected = vec![10, 0, (index >> 8) as u8, (index & 255) as u8];
            assert_eq!(addresses(&builder, &format!("h{index}.x")), [expected]);
        }
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
