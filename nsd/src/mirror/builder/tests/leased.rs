//! Leased records.

use super::*;

const LEASED: &str = r#"{"ttl":30,"rdata":["192.0.2.7"],"lease":10}"#;
const OTHER: &str = r#"{"ttl":5,"rdata":["192.0.2.8"],"lease":10}"#;
const FIRST: &str = "/ns/v1/leased/x/a/A/0000000000000001";
const SECOND: &str = "/ns/v1/leased/x/a/A/0000000000000002";
const NEW: &str = "/ns/v1/leased/x/new/A/0000000000000001";
const SERIAL: (&str, Option<&str>) = ("/ns/v1/leased-serial/x", Some("{}"));

fn ttl(builder: &Builder, owner: &str) -> Option<u32> {
    let zone = builder.view().zone(&name("x"))?;
    Some(zone.get(&name(owner), Rtype::A)?.ttl)
}

/// The last octets of the addresses of a name.
fn last_octets(builder: &Builder, owner: &str) -> Vec<u8> {
    let addresses = addresses(builder, owner);
    addresses.iter().map(|address| address[3]).collect()
}

#[test]
fn they_join_the_rrset_of_the_zone_and_leave_it() {
    let mut builder = listed();
    let changes = builder.apply(change(10, &[(FIRST, Some(LEASED)), SERIAL, HEAD]));
    assert_eq!(changes.map(|changes| changes.len()), Some(1));
    builder.apply(change(
        11,
        &[(SECOND, Some(OTHER)), (NEW, Some(LEASED)), SERIAL, HEAD],
    ));
    assert_eq!(last_octets(&builder, "a.x"), [1, 7, 8]);
    // The lowest TTL counts, and none is longer than the lease.
    assert_eq!(
        (ttl(&builder, "a.x"), ttl(&builder, "new.x")),
        (Some(5), Some(10))
    );
    assert_eq!(serial(&builder), 11);
    // The zone changes below them.
    builder.apply(change(12, &[("/ns/v1/rr/x/2/a/A", Some(ONE)), HEAD]));
    assert_eq!(last_octets(&builder, "a.x"), [1, 7, 8]);
    assert_eq!(ttl(&builder, "a.x"), Some(1));
    builder.apply(change(13, &[("/ns/v1/rr/x/2/a/A", None), HEAD]));
    assert_eq!(last_octets(&builder, "a.x"), [7, 8]);
    // One expires, which nobody tells.
    builder.apply(change(14, &[(SECOND, None)]));
    assert_eq!(last_octets(&builder, "a.x"), [7]);
    assert_eq!(serial(&builder), 14);
    assert_eq!(builder.take_expired(), [(name("x"), 14)].into());
    // Another is withdrawn.
    builder.apply(change(15, &[(FIRST, None), SERIAL, HEAD]));
    assert_eq!(
        (last_octets(&builder, "a.x").len(), serial(&builder)),
        (0, 15)
    );
    assert!(builder.take_expired().is_empty());
    assert_eq!(builder.held(), None, "an expiry is no loss");
}

#[test]
fn an_alias_that_an_import_brings_hides_them() {
    let mut builder = listed();
    builder.apply(change(10, &[(NEW, Some(LEASED)), SERIAL, HEAD]));
    let alias = r#"{"ttl":1,"rdata":["a.x."]}"#;
    builder.apply(change(
        11,
        &[("/ns/v1/rr/x/2/new/CNAME", Some(alias)), HEAD],
    ));
    assert_eq!(last_octets(&builder, "new.x").len(), 0);
    builder.apply(change(12, &[("/ns/v1/rr/x/2/new/CNAME", None), HEAD]));
    assert_eq!(last_octets(&builder, "new.x"), [7]);
    // They are no part of a generation.
    let switched = ZONE.replace(r#""generation":2"#, r#""generation":3"#);
    builder.apply(change(13, &[("/ns/v1/zone/x", Some(&switched)), HEAD]));
    assert_eq!(last_octets(&builder, "new.x"), [7]);
    assert_eq!(last_octets(&builder, "b.x"), [2]);
}

#[test]
fn expiries_of_all_of_a_zone_are_no_loss() {
    let mut builder = listed();
    let keys: Vec<String> = (0..20)
        .map(|index| format!("/ns/v1/leased/x/h{index}/A/{index:016x}"))
        .collect();
    let all: Vec<_> = keys
        .iter()
        .map(|key| (key.as_str(), Some(LEASED)))
        .collect();
    builder.apply(change(10, &all));
    assert_eq!(last_octets(&builder, "h7.x"), [7]);
    let gone: Vec<_> = keys.iter().map(|key| (key.as_str(), None)).collect();
    builder.apply(change(11, &gone));
    assert_eq!(
        (builder.held(), last_octets(&builder, "h7.x").len()),
        (None, 0)
    );
    assert_eq!(last_octets(&builder, "a.x"), [1]);
}

#[test]
fn they_are_served_beside_what_is_held_back() {
    let mut builder = large();
    builder.apply(change(6, &[(NEW, Some(LEASED)), SERIAL, HEAD]));
    apply(&mut builder, 7, &deleted(0..2000));
    assert!(builder.held().is_some());
    assert_eq!(last_octets(&builder, "h5.x"), [1]);
    assert_eq!(last_octets(&builder, "new.x"), [7]);
    builder.apply(change(8, &[(NEW, None)]));
    assert_eq!(last_octets(&builder, "new.x").len(), 0);
}

#[test]
fn a_value_that_cannot_be_read_changes_nothing_and_counts_nowhere() {
    let mut builder = listed();
    let other_type = NEW.replace("/A/", "/NS/");
    builder.apply(change(10, &[(NEW, Some(LEASED)), SERIAL, HEAD]));
    builder.apply(change(
        11,
        &[(NEW, Some("garbage")), (&other_type, Some(LEASED)), HEAD],
    ));
    assert_eq!(last_octets(&builder, "new.x"), [7]);
    assert_eq!(builder.quarantine().len(), 2);
    let mut census = Census::default();
    for (key, value, revision) in [
        ("/ns/v1/zone/x", ZONE, 7),
        ("/ns/v1/serial/x", "{}", 9),
        (
            "/ns/v1/rr/x/2/a/A",
            r#"{"ttl":60,"rdata":["192.0.2.1"]}"#,
            9,
        ),
        (
            "/ns/v1/rr/x/3/b/A",
            r#"{"ttl":60,"rdata":["192.0.2.2"]}"#,
            9,
        ),
        ("/ns/v1/leased-serial/x", "{}", 10),
        (NEW, "garbage", 11),
        (&other_type, LEASED, 11),
    ] {
        census.take(
            &Prefix::default(),
            key.as_bytes(),
            value.as_bytes(),
            revision,
        );
    }
    assert_eq!(builder.digest_at(11), Some(census.digest()));
    assert_eq!(census.unusable(), 2);
    // A list finds the last good value.
    relist(
        &mut builder,
        12,
        vec![
            KeyValue {
                key: "/ns/v1/zone/x".into(),
                value: ZONE.into(),
                mod_revision: 7,
            },
            KeyValue {
                key: NEW.into(),
                value: "garbage".into(),
                mod_revision: 11,
            },
        ],
    );
    assert_eq!(last_octets(&builder, "new.x"), [7]);
    builder.apply(change(13, &[(NEW, Some(OTHER)), HEAD]));
    assert_eq!(
        (last_octets(&builder, "new.x"), builder.quarantine().len()),
        (vec![8], 0)
    );
}

#[test]
fn a_list_does_not_take_serials_back_after_an_expiry() {
    let mut builder = listed();
    builder.set_cluster(Some(1));
    let key = |key: &str, value: &str, mod_revision| KeyValue {
        key: key.into(),
        value: value.into(),
        mod_revision,
    };
    let zone = || {
        vec![
            key("/ns/v1/zone/x", ZONE, 7),
            key("/ns/v1/serial/x", "{}", 9),
        ]
    };
    relist(&mut builder, 9, zone());
    builder.apply(change(10, &[(NEW, Some(LEASED)), SERIAL, HEAD]));
    builder.apply(change(11, &[(NEW, None)]));
    assert_eq!(serial(&builder), 11);
    let serial_key = key("/ns/v1/leased-serial/x", "{}", 10);
    relist(&mut builder, 12, [zone(), vec![serial_key]].concat());
    assert_eq!(serial(&builder), 11);
    assert!(builder.serials_behind().is_empty());
}

#[test]
fn an_expiry_that_only_a_list_shows_moves_the_serial_too() {
    let key = |key: &str, value: &str, mod_revision| KeyValue {
        key: key.into(),
        value: value.into(),
        mod_revision,
    };
    let zone = || {
        vec![
            key("/ns/v1/zone/x", ZONE, 7),
            key("/ns/v1/serial/x", "{}", 9),
            key(SERIAL.0, "{}", 9),
        ]
    };
    let with_lease = || [zone(), vec![key(NEW, LEASED, 9)]].concat();
    let listed_again = |items| {
        let mut builder = listed();
        relist(&mut builder, 9, with_lease());
        relist(&mut builder, 20, items);
        let expired = builder.take_expired();
        (serial(&builder), expired)
    };
    assert_eq!(listed_again(zone()), (20, [(name("x"), 20)].into()));
    // Nothing has expired, or somebody has told of it.
    assert_eq!(listed_again(with_lease()), (9, BTreeMap::new()));
    let told = [zone(), vec![key(SERIAL.0, "{}", 15)]].concat();
    assert_eq!(listed_again(told), (15, BTreeMap::new()));
}
