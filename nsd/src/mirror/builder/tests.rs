//! Which views are built from which events.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use etcd::mirror::{Event, KeyChange, KeyValue};
use etcd::schema::Census;

use super::*;
use crate::model::Rtype;
use crate::policy::Rules;
use crate::served::{ZoneChange, log_changes};

mod leased;
mod model;

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
    let changes = changes.iter().map(|(key, value)| KeyChange {
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
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), Guard::default());
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
    assert!(builder.apply(Event::Listed { revision: 9 }).is_some());
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
    assert!(builder.apply(add).is_some());
    assert_eq!(
        (addresses(&builder, "c.x").len(), serial(&builder)),
        (1, 11)
    );
    let removal = change(
        12,
        &[("/ns/v1/rr/x/2/c/A", None), ("/ns/v1/serial/x", Some("{}"))],
    );
    assert!(builder.apply(removal).is_some());
    assert_eq!(
        (addresses(&builder, "c.x").len(), serial(&builder)),
        (0, 12)
    );
    let no_zone = change(
        13,
        &[
            ("/ns/v1/head", Some("{}")),
            ("/ns/v1/frontend/a", Some("{}")),
        ],
    );
    assert!(builder.apply(no_zone).is_none());
}

/// The zones that are said to have changed, each with the types of its RRsets that did.
fn changed(changes: Option<Vec<ZoneChange>>) -> Option<Vec<(String, Vec<Rtype>)>> {
    let rtypes = |change: &ZoneChange| change.rrsets().map(|rrset| rrset.rtype).collect();
    let changes = changes?.into_iter();
    Some(
        changes
            .map(|change| (change.apex.to_string(), rtypes(&change)))
            .collect(),
    )
}

#[test]
fn only_zones_whose_records_differ_are_said_to_have_changed() {
    let mut builder = listed();
    let staged = ("/ns/v1/rr/x/3/c/A", Some(ONE));
    let told = builder.apply(change(11, &[staged, HEAD]));
    assert_eq!(changed(told), Some(vec![]), "nobody serves it yet");
    let served = [
        ("/ns/v1/rr/x/2/c/A", Some(ONE)),
        ("/ns/v1/serial/x", Some("{}")),
        HEAD,
    ];
    let told = builder.apply(change(12, &served));
    let both = vec![("x.".to_string(), vec![Rtype::SOA, Rtype::A])];
    assert_eq!(changed(told), Some(both));
    let items = addresses_listed(3);
    assert!(!relist(&mut builder, 13, items.clone()).is_empty());
    assert!(
        relist(&mut builder, 14, items).is_empty(),
        "all of it is the same"
    );
}

#[test]
fn what_a_view_changes_is_logged() {
    let mut builder = listed();
    let told = builder.apply(change(
        12,
        &[
            ("/ns/v1/rr/x/2/c/A", Some(ONE)),
            ("/ns/v1/rr/x/2/a/A", None),
            ("/ns/v1/serial/x", Some("{}")),
            HEAD,
        ],
    ));
    let log = logged(|| log_changes(&told.expect("a change")));
    let line = "zone changed zone=x. serial_before=9 serial=12 added=1 changed=1 removed=1";
    assert!(
        log.contains(line) && log.contains(" nsd::mirror: "),
        "{log}"
    );
}

#[test]
fn after_a_panic_changes_are_told_from_the_view_that_is_published() {
    let mut builder = with(addresses_listed(3));
    let published = builder.view().clone();
    apply(&mut builder, 6, &deleted(0..1));
    builder.reset_view(published);
    let changes = relist(&mut builder, 6, addresses_listed(2));
    let rrsets: Vec<_> = changes.iter().flat_map(ZoneChange::rrsets).collect();
    assert_eq!(rrsets.len(), 1, "{rrsets:?}");
    assert_eq!(rrsets[0].owner, name("h2.x"));
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
            HEAD,
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
        &[
            ("/ns/v1/zone/x", None),
            ("/ns/v1/serial/x", None),
            ("/ns/v1/head", Some("{}")),
        ],
    ));
    assert_eq!(builder.view().zone_count(), 0);
    builder.apply(change(
        31,
        &[("/ns/v1/rr/x/2/a/A", None), ("/ns/v1/rr/x/3/b/A", None)],
    ));
    assert!(builder.tables.zones.is_empty());
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
            builder.quarantine().len()
        ),
        (1, 1, 1)
    );
    // A list keeps it, too.
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
            builder.quarantine().len()
        ),
        (1, 0, 4)
    );
    // The value becomes readable again, or is deleted.
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
        (addresses(&builder, "a.x"), builder.quarantine().len()),
        (vec![vec![192, 0, 2, 5]], 2)
    );
}

#[test]
fn a_long_list_is_taken_in_whole_and_in_order() {
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), Guard::default());
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
        (builder.view().rrset_count(), builder.quarantine().len()),
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
    builder.apply(item("/ns/v1/serial/x", "{}", 50));
    builder.apply(Event::Listed { revision: 50 });
    assert_eq!(builder.view().zone_count(), 1);
    assert_eq!(addresses(&builder, "a.x").len(), 0);
}

/// A zone `x` with this many addresses, as a list brings it.
fn addresses_listed(count: usize) -> Vec<KeyValue> {
    let mut items = vec![KeyValue {
        key: "/ns/v1/zone/x".into(),
        value: ZONE.into(),
        mod_revision: 5,
    }];
    items.extend((0..count).map(|index| KeyValue {
        key: format!("/ns/v1/rr/x/2/h{index}/A").into(),
        value: r#"{"ttl":1,"rdata":["192.0.2.1"]}"#.into(),
        mod_revision: 5,
    }));
    items
}

fn relist(builder: &mut Builder, revision: i64, items: Vec<KeyValue>) -> Vec<ZoneChange> {
    builder.apply(Event::Listing);
    builder.set_cluster(Some(1));
    builder.apply(Event::Items(items));
    let changes = builder.apply(Event::Listed { revision });
    changes.expect("a list makes another view")
}

/// A builder that has listed these items.
fn with(items: Vec<KeyValue>) -> Builder {
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), Guard::default());
    relist(&mut builder, 5, items);
    builder
}

fn large() -> Builder {
    with(addresses_listed(3000))
}

/// How many RRsets are held back, of how many, in how many zones.
fn held(builder: &Builder) -> Option<(usize, usize, usize)> {
    let held = builder.held();
    held.map(|(Loss { gone, of }, zones)| (gone, of, zones))
}

const ONE: &str = r#"{"ttl":1,"rdata":["192.0.2.1"]}"#;
const NINE: &str = r#"{"ttl":1,"rdata":["192.0.2.9"]}"#;
const HEAD: (&str, Option<&str>) = ("/ns/v1/head", Some("{}"));

/// Deletions of some of those addresses.
fn deleted(indexes: Range<usize>) -> Vec<(String, Option<&'static str>)> {
    let key = |index| format!("/ns/v1/rr/x/2/h{index}/A");
    indexes.map(|index| (key(index), None)).collect()
}

/// Puts of the zone and its first addresses.
fn listed_again(count: usize) -> Vec<(String, Option<&'static str>)> {
    let key = |index| format!("/ns/v1/rr/x/2/h{index}/A");
    let mut changes = vec![("/ns/v1/zone/x".to_string(), Some(ZONE))];
    changes.extend((0..count).map(|index| (key(index), Some(ONE))));
    changes
}

fn apply(
    builder: &mut Builder,
    revision: i64,
    changes: &[(String, Option<&str>)],
) -> Option<Vec<ZoneChange>> {
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, value)| (&key[..], *value))
        .collect();
    builder.apply(change(revision, &changes))
}

#[test]
fn a_list_that_lacks_most_is_held_back_until_it_is_there_again() {
    let mut builder = large();
    relist(&mut builder, 9, addresses_listed(1400));
    assert_eq!(held(&builder), Some((1600, 3001, 1)));
    assert_eq!(addresses(&builder, "h2999.x").len(), 1);
    // What others add is not served, what we add is.
    builder.apply(change(10, &[("/ns/v1/rr/x/2/new/A", Some(NINE))]));
    builder.apply(change(11, &[("/ns/v1/rr/x/2/ours/A", Some(NINE)), HEAD]));
    assert_eq!(addresses(&builder, "new.x").len(), 0);
    assert_eq!(addresses(&builder, "ours.x").len(), 1);
    // After another list it is still held back.
    let more = KeyValue {
        key: "/ns/v1/rr/x/2/ours/A".into(),
        value: NINE.into(),
        mod_revision: 11,
    };
    relist(
        &mut builder,
        11,
        [addresses_listed(1400), vec![more]].concat(),
    );
    assert_eq!(held(&builder), Some((1600, 3002, 1)));
    // The rest comes back in parts.
    for (revision, index) in (12..).zip(1400..3000) {
        let key = format!("/ns/v1/rr/x/2/h{index}/A");
        builder.apply(change(revision, &[(&key, Some(NINE))]));
        assert_eq!(
            addresses(&builder, &format!("h{index}.x")),
            [[192, 0, 2, 9]]
        );
    }
    assert_eq!((held(&builder), builder.revision()), (None, Some(1611)));
    assert_eq!(addresses(&builder, "ours.x").len(), 1);
    assert!(builder.tables.zones[&name("x")].kept.is_none());
}

#[test]
fn what_is_undone_is_held_back_no_more() {
    let mut builder = large();
    let other = (0..3500).map(|index| KeyValue {
        key: format!("/ns/v1/rr/x/3/other{index}/A").into(),
        value: ONE.into(),
        mod_revision: 6,
    });
    let items = [addresses_listed(3000), other.collect()].concat();
    relist(&mut builder, 6, items);
    // Somebody switches the generation by hand. Back again nothing is missing.
    let switched = ZONE.replace(r#""generation":2"#, r#""generation":3"#);
    assert_ne!(switched, ZONE);
    builder.apply(change(7, &[("/ns/v1/zone/x", Some(&switched))]));
    assert_eq!(held(&builder), Some((3000, 3001, 1)));
    // What we write during a loss is served.
    builder.apply(change(8, &[("/ns/v1/rr/x/3/ours/A", Some(NINE)), HEAD]));
    assert_eq!(addresses(&builder, "ours.x").len(), 1);
    builder.apply(change(9, &[("/ns/v1/rr/x/3/ours/A", None), HEAD]));
    builder.apply(change(10, &[("/ns/v1/zone/x", Some(ZONE))]));
    assert_eq!((held(&builder), builder.revision()), (None, Some(10)));
    // A switch by us is not held back.
    builder.apply(change(11, &[("/ns/v1/zone/x", Some(&switched)), HEAD]));
    assert_eq!(held(&builder), None);
    assert_eq!(addresses(&builder, "other7.x").len(), 1);
}

#[test]
fn a_zone_is_held_back_from_a_handful_of_rrsets_on_and_others_go_on() {
    let small = |zone: &str, count: usize| -> Vec<KeyValue> {
        let mut items = vec![(format!("zone/{zone}"), ZONE)];
        items.extend((0..count).map(|index| (format!("rr/{zone}/2/h{index}/A"), ONE)));
        let items = items.into_iter().map(|(key, value)| KeyValue {
            key: format!("/ns/v1/{key}").into(),
            value: value.into(),
            mod_revision: 5,
        });
        items.collect()
    };
    let start = || with([small("x", 7), small("y", 100), small("tiny", 1)].concat());
    let lose = |builder: &mut Builder, revision: i64, zone: &str, indexes: Range<usize>| {
        for index in indexes {
            let key = format!("/ns/v1/rr/{zone}/2/h{index}/A");
            builder.apply(change(revision, &[(&key, None)]));
        }
    };
    // Deleted key by key: those that went before the loss became large are served again, too.
    let mut builder = start();
    lose(&mut builder, 6, "x", 0..4);
    assert_eq!(
        (held(&builder), addresses(&builder, "h0.x").len()),
        (None, 0)
    );
    // A view that is fresh may still lack what is held back.
    builder.apply(Event::Fresh { at: Instant::now() });
    lose(&mut builder, 7, "x", 4..5);
    assert_eq!(
        (held(&builder), addresses(&builder, "h0.x").len()),
        (Some((5, 8, 1)), 1)
    );
    // Other zones still change, and so do our own changes of this one.
    builder.apply(change(8, &[("/ns/v1/rr/y/2/new/A", Some(ONE))]));
    builder.apply(change(9, &[("/ns/v1/rr/x/2/h6/A", None), HEAD]));
    builder.apply(change(10, &[("/ns/v1/rr/x/2/ours/A", Some(ONE)), HEAD]));
    let y = builder.view().zone(&name("y")).expect("a zone");
    assert!(y.get(&name("new.y"), Rtype::A).is_some());
    assert_eq!(builder.revision(), Some(10));
    assert_eq!(addresses(&builder, "h6.x").len(), 0);
    assert_eq!(addresses(&builder, "ours.x").len(), 1);
    // Without its key all of a zone is lost, however small it is.
    builder.apply(change(11, &[("/ns/v1/zone/tiny", None)]));
    assert_eq!(held(&builder), Some((5 + 2, 8 + 2, 2)));
    assert!(builder.view().zone(&name("tiny")).is_some());
    // An alias that we put replaces what others have deleted.
    let alias = r#"{"ttl":1,"rdata":["h5.x."]}"#;
    builder.apply(change(12, &[("/ns/v1/rr/x/2/h0/CNAME", Some(alias)), HEAD]));
    assert_eq!(addresses(&builder, "h0.x").len(), 0);
    assert_eq!(
        builder.tables.zones[&name("x")].loss(),
        Some(Loss { gone: 4, of: 8 })
    );

    // Half of a large zone may be deleted, and old losses are forgotten.
    let mut builder = start();
    lose(&mut builder, 6, "y", 0..50);
    assert_eq!(held(&builder), None);
    builder.forget_losses(now() + Guard::WINDOW_S + 1);
    lose(&mut builder, 7, "y", 50..75);
    assert_eq!(held(&builder), None);
    lose(&mut builder, 8, "y", 75..76);
    assert_eq!(held(&builder), Some((26, 51, 1)));
}

#[test]
fn small_losses_of_many_zones_are_large_together() {
    let zone = |index: usize| {
        let keys = [
            (format!("/ns/v1/zone/z{index}"), ZONE),
            (format!("/ns/v1/rr/z{index}/2/a/A"), ONE),
            (format!("/ns/v1/rr/z{index}/2/b/A"), ONE),
            (format!("/ns/v1/rr/z{index}/2/c/A"), ONE),
        ];
        keys.map(|(key, value)| KeyValue {
            key: key.into(),
            value: value.into(),
            mod_revision: 5,
        })
    };
    let guard = Guard { percent: 40 };
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), guard);
    relist(&mut builder, 5, (0..10).flat_map(zone).collect());
    let lose = |builder: &mut Builder, revision: i64, index: usize| {
        let keys = ["a", "b"].map(|owner| (format!("/ns/v1/rr/z{index}/2/{owner}/A"), None));
        apply(builder, revision, &keys);
    };
    for index in 0..8 {
        lose(&mut builder, 6 + index as i64, index);
    }
    assert_eq!((held(&builder), builder.view().rrset_count()), (None, 24));
    lose(&mut builder, 20, 8);
    assert_eq!(
        (held(&builder), builder.view().rrset_count()),
        (Some((18, 36, 9)), 40)
    );
    lose(&mut builder, 21, 9);
    assert_eq!(held(&builder), Some((20, 40, 10)));
    // If a part comes back, the rest of the loss is too small.
    for index in 0..2 {
        let keys = ["a", "b"].map(|owner| (format!("/ns/v1/rr/z{index}/2/{owner}/A"), Some(ONE)));
        apply(&mut builder, 22 + index, &keys);
    }
    assert_eq!((held(&builder), builder.view().rrset_count()), (None, 24));
}

#[test]
fn what_we_have_changed_since_is_not_held_back_after_a_list() {
    let serial = |revision| KeyValue {
        key: "/ns/v1/serial/x".into(),
        value: "{}".into(),
        mod_revision: revision,
    };
    let listed = |count, revision| [addresses_listed(count), vec![serial(revision)]].concat();
    let mut builder = with(listed(20, 5));
    relist(&mut builder, 9, listed(3, 8));
    assert_eq!((held(&builder), builder.view().rrset_count()), (None, 4));
    // The serial of a removed zone stays remembered.
    relist(&mut builder, 12, vec![serial(11)]);
    assert_eq!((held(&builder), builder.view().zone_count()), (None, 0));
    // Revisions of another history cannot be compared.
    let mut builder = with(listed(20, 5));
    builder.cluster_id = Some(2);
    relist(&mut builder, 9, listed(3, 8));
    assert_eq!(held(&builder), Some((17, 21, 1)));
    let mut builder = with(listed(20, 5));
    builder.apply(change(30, &[HEAD]));
    relist(&mut builder, 29, listed(3, 8));
    assert_eq!(held(&builder), Some((17, 21, 1)));
    // What is held back stays so, whatever we change besides.
    relist(&mut builder, 40, listed(3, 35));
    assert_eq!(held(&builder), Some((17, 21, 1)));
}

/// The log of `work`.
fn logged<T>(work: impl FnOnce() -> T) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let to = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || to.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let lines = lines.0.lock().expect("no panic").clone();
    String::from_utf8(lines).expect("text")
}

#[test]
fn a_large_loss_that_passes_because_of_our_own_change_is_logged() {
    let serial = |revision| KeyValue {
        key: "/ns/v1/serial/x".into(),
        value: "{}".into(),
        mod_revision: revision,
    };
    let listed = |count, revision| [addresses_listed(count), vec![serial(revision)]].concat();
    let told = |left: Vec<KeyValue>| {
        let mut builder = with(listed(20, 5));
        let log = logged(|| relist(&mut builder, 9, left));
        assert_eq!(held(&builder), None);
        log
    };
    let log = told(listed(3, 8));
    assert!(
        log.contains("17 of 21 RRsets") && log.contains("zone=x."),
        "{log}"
    );
    // Also if all of it is lost. A small loss is not logged.
    let log = told(vec![serial(8)]);
    assert!(log.contains("21 of 21 RRsets"), "{log}");
    assert!(!told(listed(19, 8)).contains("RRsets"));
    // Only we switch to another generation.
    let mut other = listed(0, 8);
    other[0].value = ZONE
        .replace(r#""generation":2"#, r#""generation":3"#)
        .into();
    assert!(!told(other).contains("RRsets"));
}

#[test]
fn a_zone_that_is_held_back_says_so_and_its_setting_stays() {
    let mut builder = Builder::new(
        Prefix::default(),
        Consistency::Linearizable,
        Guard::default(),
    );
    relist(&mut builder, 5, addresses_listed(20));
    let promise = |builder: &Builder| {
        builder
            .view()
            .zone(&name("x"))
            .map(|zone| (zone.consistency(), zone.is_held()))
    };
    assert_eq!(promise(&builder), Some((Consistency::Linearizable, false)));
    apply(&mut builder, 6, &deleted(0..20));
    assert_eq!(promise(&builder), Some((Consistency::Linearizable, true)));
    let mut builder = with(addresses_listed(20));
    apply(&mut builder, 6, &deleted(0..20));
    assert_eq!(promise(&builder), Some((Consistency::Available, true)));
}

#[test]
fn a_zone_has_the_rules_of_its_settings() {
    let rules = |builder: &Builder| {
        let zone = builder.view().zone(&name("x")).expect("the zone");
        (zone.rules().clone(), zone.is_held())
    };
    let denied = |prefix: &str| Rules::new(&[], &[prefix.parse().expect("a prefix")]);
    let with_deny = |prefix: &str| {
        let lists = format!(r#"{{"deny_query":["{prefix}"],"#);
        ZONE.replacen('{', &lists, 1)
    };
    let mut builder = with(addresses_listed(20));
    assert_eq!(rules(&builder), (Rules::default(), false));
    let settings = |revision: i64, value: &str| change(revision, &[("/ns/v1/zone/x", Some(value))]);
    builder.apply(settings(6, &with_deny("192.0.2.0/24")));
    assert_eq!(rules(&builder), (denied("192.0.2.0/24"), false));
    // A change of a record keeps them.
    let record = r#"{"ttl":60,"rdata":["192.0.2.9"]}"#;
    builder.apply(change(7, &[("/ns/v1/rr/x/2/new/A", Some(record))]));
    assert_eq!(rules(&builder), (denied("192.0.2.0/24"), false));
    // So do settings that cannot be read: opening the zone to all would be the wrong way to fail.
    builder.apply(settings(8, &with_deny("192.0.2.1/24")));
    assert_eq!(rules(&builder), (denied("192.0.2.0/24"), false));
    // A zone that is held back follows its settings.
    apply(&mut builder, 9, &deleted(0..20));
    assert_eq!(rules(&builder), (denied("192.0.2.0/24"), true));
    builder.apply(settings(10, &with_deny("198.51.100.0/24")));
    assert_eq!(rules(&builder), (denied("198.51.100.0/24"), true));
    builder.apply(settings(11, ZONE));
    assert_eq!(rules(&builder), (Rules::default(), true));
    builder.apply(change(12, &[("/ns/v1/zone/x", None)]));
    assert_eq!(rules(&builder), (Rules::default(), true));
}

#[test]
fn a_list_that_lacks_the_settings_does_not_open_a_zone() {
    let listed = |settings: Option<&str>| {
        let mut items = addresses_listed(20);
        let lists = format!(r#"{{"deny_query":["{}"],"#, settings.unwrap_or_default());
        items[0].value = ZONE.replacen('{', &lists, 1).into();
        items.split_off(usize::from(settings.is_none()))
    };
    let denied = Rules::new(&[], &["192.0.2.0/24".parse().expect("a prefix")]);
    // They cannot be read, or are not there.
    for (settings, is_held) in [(Some("192.0.2.1/24"), false), (None, true)] {
        let mut builder = with(listed(Some("192.0.2.0/24")));
        relist(&mut builder, 6, listed(settings));
        let zone = builder.view().zone(&name("x")).expect("the zone");
        assert_eq!((zone.rules(), zone.is_held()), (&denied, is_held));
    }
}

#[test]
fn without_a_guard_nothing_is_held_back() {
    let guard = Guard { percent: 100 };
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), guard);
    relist(&mut builder, 5, addresses_listed(20));
    apply(&mut builder, 6, &deleted(0..20));
    builder.apply(change(7, &[("/ns/v1/zone/x", None)]));
    assert_eq!((held(&builder), builder.view().zone_count()), (None, 0));
    relist(&mut builder, 8, addresses_listed(20));
    relist(&mut builder, 9, vec![]);
    assert_eq!((held(&builder), builder.view().zone_count()), (None, 0));
}

#[test]
fn every_list_makes_another_edition() {
    let mut builder = listed();
    let first = builder.edition();
    builder.apply(Event::Fresh { at: Instant::now() });
    assert_eq!(builder.edition(), first);
    builder.apply(change(10, &[("/ns/v1/rr/x/2/a/A", None)]));
    let second = builder.edition();
    assert_ne!(second, first);
    // Repaired by a list at the same revision.
    relist(&mut builder, 10, vec![]);
    assert!(builder.edition() != second && builder.revision() == Some(10));
}

#[test]
fn an_operator_may_accept_a_loss() {
    let mut builder = large();
    let accept = |at: u64| format!(r#"{{"at":{at}}}"#);
    let accepted = |at: u64, revision| KeyValue {
        key: "/ns/v1/accepted".into(),
        value: accept(at).into(),
        mod_revision: revision,
    };
    relist(&mut builder, 9, vec![]);
    assert_eq!(held(&builder), Some((3001, 3001, 1)));
    builder.apply(change(10, &[("/ns/v1/accepted", Some(&accept(1)))]));
    assert_eq!((builder.view().zone_count(), held(&builder)), (0, None));
    assert!(builder.tables.zones.is_empty());

    // Two acceptances, and the next accident, may be within one second.
    apply(&mut builder, 11, &listed_again(3000));
    apply(&mut builder, 12, &deleted(0..3000));
    assert_eq!(held(&builder), Some((3000, 3001, 1)));
    builder.apply(change(13, &[("/ns/v1/accepted", Some(&accept(1)))]));
    assert_eq!((builder.view().rrset_count(), held(&builder)), (1, None));

    // An acceptance from before the last revision seen is about something else, whatever clocks say.
    let mut builder = large();
    builder.good_at = 1000;
    relist(&mut builder, 9, vec![accepted(1001, 3)]);
    assert!(held(&builder).is_some());
    relist(&mut builder, 12, vec![accepted(999, 11)]);
    assert_eq!(held(&builder), None);
    // An acceptance that was known before does not count again.
    relist(
        &mut builder,
        13,
        [addresses_listed(3000), vec![accepted(999, 11)]].concat(),
    );
    relist(&mut builder, 14, vec![accepted(999, 11)]);
    assert!(held(&builder).is_some());
}

#[test]
fn in_another_history_a_word_counts_by_its_time() {
    let word = |at: u64| KeyValue {
        key: "/ns/v1/accepted".into(),
        value: format!(r#"{{"at":{at}}}"#).into(),
        mod_revision: 300,
    };
    for (at, is_accepted) in [(999, false), (1000, true)] {
        let mut builder = large();
        builder.good_at = 1000;
        builder.set_cluster(Some(2));
        builder.apply(Event::Listing);
        builder.apply(Event::Items(vec![word(at)]));
        builder.apply(Event::Listed { revision: 400 });
        assert_eq!(held(&builder).is_none(), is_accepted, "{at}");
    }
}

#[test]
fn an_alias_that_a_list_brings_displaces_what_was_lost() {
    let mut builder = large();
    let alias = KeyValue {
        key: "/ns/v1/rr/x/2/h7/CNAME".into(),
        value: r#"{"ttl":1,"rdata":["h8.x."]}"#.into(),
        mod_revision: 8,
    };
    relist(&mut builder, 9, [addresses_listed(0), vec![alias]].concat());
    assert_eq!(held(&builder), Some((2999, 3001, 1)));
    let zone = builder.view().zone(&name("x")).expect("the zone");
    assert_eq!(zone.contents().types(&name("h7.x")), [Rtype::CNAME]);
    assert_eq!(zone.contents().types(&name("h8.x")), [Rtype::A]);
    // And the other way round.
    apply(&mut builder, 10, &[("/ns/v1/rr/x/2/h7/CNAME".into(), None)]);
    let address = KeyValue {
        key: "/ns/v1/rr/x/2/h7/A".into(),
        value: ONE.into(),
        mod_revision: 11,
    };
    relist(
        &mut builder,
        12,
        [addresses_listed(0), vec![address]].concat(),
    );
    let zone = builder.view().zone(&name("x")).expect("the zone");
    assert_eq!(zone.contents().types(&name("h7.x")), [Rtype::A]);
}

#[test]
fn what_others_add_counts_before_anything_is_held_back() {
    let mut builder = with(addresses_listed(10));
    apply(&mut builder, 6, &deleted(0..1));
    let add = |index| (format!("/ns/v1/rr/x/2/new{index}/A"), Some(ONE));
    apply(&mut builder, 7, &(0..90).map(add).collect::<Vec<_>>());
    let lose = |index| (format!("/ns/v1/rr/x/2/new{index}/A"), None);
    apply(&mut builder, 8, &(0..90).map(lose).collect::<Vec<_>>());
    assert_eq!(held(&builder), Some((91, 101, 1)));
    assert_eq!(addresses(&builder, "new7.x").len(), 1);
}

#[test]
fn what_may_take_long_is_known_before() {
    let of = |builder: &Builder, event: Event| builder.takes_long(&event);
    let put = |revision| change(revision, &[("/ns/v1/rr/x/2/new/A", Some(ONE)), HEAD]);
    let fresh = || Event::Fresh { at: Instant::now() };
    let mut builder = with(addresses_listed(400));
    assert!(of(&builder, Event::Listed { revision: 6 }));
    assert!(!of(&builder, put(6)) && !of(&builder, fresh()));
    let many: Vec<_> = deleted(0..300);
    let many: Vec<_> = many.iter().map(|(key, value)| (&key[..], *value)).collect();
    assert!(of(&builder, change(6, &[&many[..], &[HEAD]].concat())));
    assert!(of(&builder, change(6, &[("/ns/v1/zone/x", None)])));
    apply(&mut builder, 6, &deleted(0..300));
    let accept = ("/ns/v1/accepted", Some(r#"{"at":1}"#));
    assert!(of(&builder, change(7, &[accept, HEAD])) && of(&builder, fresh()));
}

#[test]
fn what_others_delete_at_once_is_held_back_and_what_we_do_is_not() {
    for count in [5, 3000] {
        let mut deletions = deleted(0..count);
        let start = || with(addresses_listed(count));
        let mut builder = start();
        apply(&mut builder, 6, &deletions);
        assert_eq!(held(&builder), Some((count, count + 1, 1)));
        let mut builder = start();
        builder.apply(change(6, &[("/ns/v1/zone/x", None)]));
        assert_eq!(builder.view().zone_count(), 1);

        deletions.push((HEAD.0.into(), HEAD.1));
        let mut builder = start();
        apply(&mut builder, 6, &deletions);
        assert_eq!((held(&builder), builder.view().rrset_count()), (None, 1));
        let mut builder = start();
        builder.apply(change(6, &[("/ns/v1/zone/x", None), HEAD]));
        // The rest of the removed zone is deleted in parts.
        apply(&mut builder, 7, &deletions[..count]);
        assert_eq!((held(&builder), builder.view().zone_count()), (None, 0));
    }
    // From five RRsets on a loss may be held back; and if all are lost, even with the key of the zone left.
    let mut builder = with(addresses_listed(5));
    apply(&mut builder, 6, &deleted(0..4));
    assert_eq!((held(&builder), builder.view().rrset_count()), (None, 2));
    for count in 1..5 {
        let mut builder = with(addresses_listed(count));
        apply(&mut builder, 6, &deleted(0..count));
        assert_eq!(held(&builder), Some((count, count + 1, 1)));
    }
}

#[test]
fn serials_that_go_back_are_known_until_they_are_caught_up_with() {
    let mut builder = listed();
    assert_eq!(serial(&builder), 9);
    let item = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: value.into(),
        mod_revision: 4,
    };
    let (zone, address) = (item("/ns/v1/zone/x", ZONE), item("/ns/v1/rr/x/2/a/A", ONE));
    relist(&mut builder, 4, vec![zone, address]);
    assert_eq!(builder.serials_behind(), [(name("x"), 9)].into());
    // A zone that is gone is not behind. A new one of that name may be again.
    builder.apply(change(5, &[("/ns/v1/zone/x", None), HEAD]));
    assert_eq!(builder.serials_behind(), [].into());
    builder.apply(change(6, &[("/ns/v1/zone/x", Some(ZONE))]));
    assert_eq!(builder.serials_behind(), [(name("x"), 9)].into());
    builder.apply(change(8, &[("/ns/v1/serial/x", Some("{}"))]));
    assert_eq!(builder.serials_behind().len(), 1);
    builder.apply(change(9, &[("/ns/v1/serial/x", Some("{}"))]));
    assert_eq!(builder.serials_behind().len(), 0);
    // Without the serial key the serial is that of the settings.
    builder.apply(change(10, &[("/ns/v1/serial/x", None)]));
    assert_eq!(builder.serials_behind(), [(name("x"), 9)].into());
    // A zone that is held back keeps its serial until the loss is accepted.
    builder.apply(change(11, &[("/ns/v1/serial/x", Some("{}"))]));
    relist(&mut builder, 4, vec![]);
    assert_eq!((held(&builder), serial(&builder)), (Some((2, 2, 1)), 11));
    let again = [
        ("/ns/v1/zone/x", Some(ZONE)),
        ("/ns/v1/rr/x/2/a/A", Some(ONE)),
    ];
    builder.apply(change(5, &again));
    assert_eq!((held(&builder), serial(&builder)), (None, 5));
    assert_eq!(builder.serials_behind(), [(name("x"), 11)].into());
}

#[test]
fn digests_are_those_of_a_list_whatever_came_before() {
    let census = |items: &[(&str, &str, i64)]| {
        let mut census = Census::default();
        for (key, value, revision) in items {
            census.take(
                &Prefix::default(),
                key.as_bytes(),
                value.as_bytes(),
                *revision,
            );
        }
        census.digest()
    };
    let (one, two) = (
        r#"{"ttl":60,"rdata":["192.0.2.1"]}"#,
        r#"{"ttl":60,"rdata":["192.0.2.2"]}"#,
    );
    let start = [
        ("/ns/v1/zone/x", ZONE, 7),
        ("/ns/v1/serial/x", "{}", 9),
        ("/ns/v1/rr/x/2/a/A", one, 9),
        ("/ns/v1/rr/x/3/b/A", two, 9),
    ];
    let mut builder = listed();
    assert_eq!(builder.digest_at(9), Some(census(&start)));
    assert_eq!(builder.digest_at(8), None);
    // Changed, added, deleted, and a value that cannot be used.
    builder.apply(change(
        10,
        &[
            ("/ns/v1/rr/x/2/a/A", Some(two)),
            ("/ns/v1/serial/x", Some("{}")),
        ],
    ));
    builder.apply(change(
        11,
        &[
            ("/ns/v1/rr/x/2/c/A", Some(one)),
            ("/ns/v1/rr/x/3/b/A", None),
        ],
    ));
    builder.apply(change(12, &[("/ns/v1/rr/x/2/a/A", Some("garbage"))]));
    builder.apply(change(13, &[("/ns/v1/frontend/f", Some("{}"))]));
    let at_12 = [
        start[0],
        ("/ns/v1/serial/x", "{}", 10),
        ("/ns/v1/rr/x/2/a/A", "garbage", 12),
        ("/ns/v1/rr/x/2/c/A", one, 11),
    ];
    assert_eq!(builder.digest_at(13), Some(census(&at_12)));
    assert_eq!(builder.digest_at(9), Some(census(&start)));
    builder.apply(change(14, &[("/ns/v1/rr/x/2/a/A", Some(one))]));
    let at_14 = [at_12[0], at_12[1], ("/ns/v1/rr/x/2/a/A", one, 14), at_12[3]];
    assert_eq!(builder.digest_at(14), Some(census(&at_14)));
    builder.apply(change(15, &[("/ns/v1/rr/x/2/c/A", Some("garbage"))]));
    builder.apply(change(16, &[("/ns/v1/rr/x/2/c/A", None)]));
    assert_eq!(builder.digest_at(16), Some(census(&at_14[..3])));
    builder.apply(change(
        17,
        &[
            ("/ns/v1/zone/x", None),
            ("/ns/v1/serial/x", None),
            ("/ns/v1/rr/x/2/a/A", None),
        ],
    ));
    assert_eq!(builder.digest_at(17), Some(Digest::default()));
    assert!(builder.tables.is_sound());
}
