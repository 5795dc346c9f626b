//! What views come of what etcd says.

use std::time::Instant;

use etcd::mirror::{Change, KeyValue};
use etcd::schema::Census;

use super::*;
use crate::model::Rtype;

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
            builder.quarantine().len()
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
    builder.apply(Event::Listed { revision: 50 });
    assert_eq!(builder.view().zone_count(), 1);
    assert_eq!(addresses(&builder, "a.x").len(), 0);
}

/// So many addresses in a zone `x`, as a list brings them.
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

fn relist(builder: &mut Builder, revision: i64, items: Vec<KeyValue>) -> bool {
    builder.apply(Event::Listing);
    builder.apply(Event::Items(items));
    builder.apply(Event::Listed { revision })
}

fn large() -> Builder {
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), Guard::default());
    assert!(relist(&mut builder, 5, addresses_listed(3000)));
    builder
}

#[test]
fn a_list_that_lacks_most_is_held_back_until_it_is_there_again() {
    let mut builder = large();
    assert!(!relist(&mut builder, 9, addresses_listed(1400)));
    let loss = Loss {
        gone: 1600,
        of: 3001,
    };
    assert_eq!((builder.held(), builder.revision()), (Some(loss), Some(5)));
    assert_eq!(addresses(&builder, "h2999.x").len(), 1);
    assert!(builder.save().is_none(), "what is held back is no snapshot");
    // Changes are taken in all the same, and none of them is seen.
    let new = r#"{"ttl":1,"rdata":["192.0.2.9"]}"#;
    assert!(!builder.apply(change(10, &[("/ns/v1/rr/x/2/new/A", Some(new))])));
    assert_eq!(addresses(&builder, "new.x").len(), 0);
    // Bit by bit the rest comes back.
    let mut released = false;
    for (revision, index) in (11..).zip(1400..3000) {
        let key = format!("/ns/v1/rr/x/2/h{index}/A");
        released |= builder.apply(change(revision, &[(&key, Some(new))]));
    }
    assert!(released);
    assert_eq!((builder.held(), builder.revision()), (None, Some(1610)));
    assert_eq!(addresses(&builder, "new.x").len(), 1);
}

#[test]
fn what_is_undone_is_held_back_no_more() {
    let mut builder = large();
    let other = (0..3500).map(|index| KeyValue {
        key: format!("/ns/v1/rr/x/3/other{index}/A").into(),
        value: r#"{"ttl":1,"rdata":["192.0.2.1"]}"#.into(),
        mod_revision: 6,
    });
    let items = [addresses_listed(3000), other.collect()].concat();
    assert!(relist(&mut builder, 6, items));
    // Somebody switches the generation by hand, and back again: there are never fewer RRsets.
    let switched = ZONE.replace(r#""generation":2"#, r#""generation":3"#);
    assert_ne!(switched, ZONE);
    assert!(!builder.apply(change(7, &[("/ns/v1/zone/x", Some(&switched))])));
    assert!(builder.held().is_some());
    assert!(builder.apply(change(8, &[("/ns/v1/zone/x", Some(ZONE))])));
    assert_eq!((builder.held(), builder.revision()), (None, Some(8)));
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
    // Mended at the revision that it has.
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
    assert!(!relist(&mut builder, 9, vec![]));
    assert!(builder.apply(change(10, &[("/ns/v1/accepted", Some(&accept(1)))])));
    assert_eq!((builder.view().zone_count(), builder.held()), (0, None));

    // A word that is older than the last good view is about something else.
    let mut builder = large();
    builder.good_at = 1000;
    assert!(!relist(&mut builder, 9, vec![accepted(999, 3)]));
    assert!(relist(&mut builder, 12, vec![accepted(1000, 11)]));
    // And what was known before is no news.
    assert!(relist(
        &mut builder,
        13,
        [addresses_listed(3000), vec![accepted(1000, 11)]].concat()
    ));
    assert!(!relist(&mut builder, 14, vec![accepted(1000, 11)]));
}

#[test]
fn what_others_delete_at_once_is_held_back_and_what_we_do_is_not() {
    let keys: Vec<String> = (0..3000)
        .map(|index| format!("/ns/v1/rr/x/2/h{index}/A"))
        .collect();
    let mut deletions: Vec<(&str, Option<&str>)> =
        keys.iter().map(|key| (key.as_str(), None)).collect();
    let mut builder = large();
    assert!(!builder.apply(change(6, &deletions)));
    assert_eq!(
        builder.held(),
        Some(Loss {
            gone: 3000,
            of: 3001
        })
    );
    let mut builder = large();
    assert!(!builder.apply(change(6, &[("/ns/v1/zone/x", None)])));
    assert_eq!(builder.view().zone_count(), 1);

    deletions.push(("/ns/v1/head", Some("{}")));
    let mut builder = large();
    assert!(builder.apply(change(6, &deletions)));
    assert_eq!(builder.view().rrset_count(), 1);
    let mut builder = large();
    let own = [("/ns/v1/zone/x", None), ("/ns/v1/head", Some("{}"))];
    assert!(builder.apply(change(6, &own)));
    assert_eq!(builder.view().zone_count(), 0);
}

#[test]
fn serials_that_go_back_are_known_until_they_are_caught_up_with() {
    let mut builder = listed();
    assert_eq!(serial(&builder), 9);
    relist(
        &mut builder,
        4,
        vec![KeyValue {
            key: "/ns/v1/zone/x".into(),
            value: ZONE.into(),
            mod_revision: 4,
        }],
    );
    assert_eq!(builder.serials_behind(), [(name("x"), 9)].into());
    // Without the zone nothing is behind; a new one of that name may be again.
    builder.apply(change(5, &[("/ns/v1/zone/x", None)]));
    assert_eq!(builder.serials_behind(), [].into());
    builder.apply(change(6, &[("/ns/v1/zone/x", Some(ZONE))]));
    assert_eq!(builder.serials_behind(), [(name("x"), 9)].into());
    builder.apply(change(8, &[("/ns/v1/serial/x", Some("{}"))]));
    assert_eq!(builder.serials_behind().len(), 1);
    builder.apply(change(9, &[("/ns/v1/serial/x", Some("{}"))]));
    assert_eq!(builder.serials_behind().len(), 0);
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
