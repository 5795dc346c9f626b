//! A snapshot can be read back, and nothing else can.

use std::os::unix::fs::PermissionsExt;

use etcd::mirror::{Event, KeyValue};
use etcd::schema::Accepted;

use super::super::builder::Builder;
use super::super::guard::Guard;
use super::format::MAGIC;
use super::*;
use crate::model::{Consistency, Rtype};

const ZONE: &str = r#"{"soa":{"mname":"ns.x.","rname":"h.x.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":2,"default_ttl":300}"#;

fn builder() -> Builder {
    let keys = [
        ("zone/x", ZONE),
        ("serial/x", "{}"),
        ("rr/x/2/@/NS", r#"{"ttl":60,"rdata":["ns.x."]}"#),
        (
            "rr/x/2/b.a/A",
            r#"{"ttl":60,"rdata":["192.0.2.1","192.0.2.2"]}"#,
        ),
        ("rr/x/2/b.a/TXT", r#"{"ttl":61,"rdata":["\"text\""]}"#),
        ("rr/x/2/bad/A", "garbage"),
        ("rr/x/3/c/AAAA", r#"{"ttl":60,"rdata":["2001:db8::1"]}"#),
        ("rr/./7/org/NS", r#"{"ttl":60,"rdata":["ns.x."]}"#),
        ("accepted", r#"{"at":17}"#),
    ];
    let items = keys.map(|(key, value)| KeyValue {
        key: format!("/ns/v1/{key}").into(),
        value: value.into(),
        mod_revision: 8,
    });
    let mut builder = Builder::new(Prefix::default(), Consistency::default(), Guard::default());
    builder.apply(Event::Listing);
    builder.set_cluster(Some(77));
    builder.apply(Event::Items(items.into()));
    builder.apply(Event::Listed { revision: 9 });
    builder
}

fn restored(saved: Saved) -> Builder {
    Builder::restore(Consistency::default(), Guard::default(), saved)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("snapshot");
    (folder, path)
}

#[test]
fn all_of_it_comes_back() {
    let (_folder, path) = place();
    let prefix = Prefix::default();
    assert!(read(&path, &prefix).expect("no file is no fault").is_none());
    let mut before = builder();
    let secret = r#"{"current":"000102030405060708090a0b0c0d0e0f"}"#;
    before.apply(Event::Revision {
        revision: 9,
        changes: vec![etcd::mirror::KeyChange {
            key: "/ns/v1/secret/cookie".into(),
            value: Some(secret.into()),
            mod_revision: 9,
        }],
    });
    before.set_unchecked(Some(8));
    // Others could read this file.
    std::fs::write(beside(&path, ".new"), "left behind").expect("written");
    write(&turn(), &path, &before.save().expect("it is served")).expect("written");
    let saved = read(&path, &prefix).expect("sound").expect("there");
    assert_eq!((saved.cluster_id, saved.revision), (77, 9));
    assert_eq!(saved.tables.accepted, Some((0, Accepted { at: 17 })));
    assert_eq!(saved.resume().unchecked, Some(8));
    let after = restored(saved);
    assert!(before.cookie().is_some() && after.cookie() == before.cookie());
    let mode = std::fs::metadata(&path).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "it holds secrets");
    assert_eq!(after.revision(), Some(9));
    assert_eq!(after.quarantine(), before.quarantine());
    assert!(before.digest_at(9).is_some() && after.digest_at(9) == before.digest_at(9));
    assert!(after.view().is_ready());
    assert_eq!(after.view().rrset_count(), before.view().rrset_count());
    let of = |builder: &Builder| {
        let zone = builder
            .view()
            .zone(&"x".parse().expect("a name"))
            .cloned()
            .expect("a zone");
        let txt = zone
            .get(&"a.b.x".parse().expect("a name"), Rtype::TXT)
            .map(|rrset| rrset.ttl);
        (format!("{:?}", zone.contents()), zone.serial(), txt)
    };
    assert_eq!(of(&after), of(&before));
    assert_eq!(of(&after).2, Some(61));
}

#[test]
fn what_is_held_back_is_held_back_after_a_restart() {
    let (_folder, path) = place();
    let mut before = builder();
    let lost = Event::Revision {
        revision: 10,
        changes: vec![etcd::mirror::KeyChange {
            key: "/ns/v1/zone/x".into(),
            value: None,
            mod_revision: 10,
        }],
    };
    before.apply(lost);
    assert!(before.held().is_some());
    write(&turn(), &path, &before.save().expect("it is served")).expect("written");
    let saved = read(&path, &Prefix::default())
        .expect("sound")
        .expect("there");
    let after = restored(saved);
    assert_eq!(after.held(), before.held());
    let zone = |builder: &Builder| {
        let apex = "x".parse().expect("a name");
        let (settings, serial, contents) = builder.held_zone(&apex).expect("it is held back");
        (settings, format!("{contents:?}"), serial)
    };
    assert_eq!(zone(&after), zone(&before));
    assert_eq!(after.digest_at(10), before.digest_at(10));
}

#[test]
fn leased_records_come_back() {
    let (_folder, path) = place();
    let mut before = builder();
    let change = |key: &str, value: Option<&str>, mod_revision| etcd::mirror::KeyChange {
        key: format!("/ns/v1/{key}").into(),
        value: value.map(Into::into),
        mod_revision,
    };
    let (first, second) = (
        "leased/x/b.a/A/0000000000000001",
        "leased/x/b.a/A/0000000000000002",
    );
    let value = r#"{"ttl":30,"rdata":["192.0.2.7"],"lease":10}"#;
    for (revision, changes) in [
        (
            10,
            vec![
                change(first, Some(value), 10),
                change(second, Some(value), 10),
                change("leased-serial/x", Some("{}"), 10),
                change("leased/x/c/A/0000000000000003", Some("garbage"), 10),
                change("head", Some("{}"), 10),
            ],
        ),
        (11, vec![change(second, None, 11)]),
        (
            12,
            vec![
                change(first, Some("garbage"), 12),
                change("head", Some("{}"), 12),
            ],
        ),
    ] {
        before.apply(Event::Revision { revision, changes });
    }
    write(&turn(), &path, &before.save().expect("it is served")).expect("written");
    let saved = read(&path, &Prefix::default())
        .expect("sound")
        .expect("there");
    let mut keys: Vec<_> = saved
        .tables
        .leased_keys(&Prefix::default())
        .into_iter()
        .collect();
    keys.sort();
    let text = |key: &Vec<u8>| String::from_utf8_lossy(key).into_owned();
    assert_eq!(
        keys.iter().map(text).collect::<Vec<_>>(),
        [
            format!("/ns/v1/{first}"),
            "/ns/v1/leased/x/c/A/0000000000000003".into()
        ]
    );
    let after = restored(saved);
    let served = |builder: &Builder| {
        let apex = "x".parse().expect("a name");
        let zone = builder.view().zone(&apex).expect("the zone");
        (format!("{:?}", zone.contents()), zone.serial())
    };
    assert_eq!(served(&after), served(&before));
    assert!(
        served(&after).0.contains("192, 0, 2, 7"),
        "{}",
        served(&after).0
    );
    assert_eq!(served(&after).1, 11);
    assert_eq!(after.digest_at(12), before.digest_at(12));
    assert_eq!(after.quarantine(), before.quarantine());
}

#[test]
fn the_form_is_that_of_its_version() {
    // If this fails, the format has changed: give it a new version.
    let (_folder, path) = place();
    let mut builder = builder();
    // Only one name is left, as several would be in no fixed order.
    for key in [
        "rr/x/2/b.a/A",
        "rr/x/2/b.a/TXT",
        "rr/x/2/bad/A",
        "rr/x/3/c/AAAA",
        "rr/./7/org/NS",
    ] {
        let changes = [(key, None), ("head", Some("{}"))];
        let changes = changes.map(|(key, value)| etcd::mirror::KeyChange {
            key: format!("/ns/v1/{key}").into(),
            value: value.map(Into::into),
            mod_revision: 10,
        });
        builder.apply(Event::Revision {
            revision: 10,
            changes: changes.into(),
        });
    }
    write(&turn(), &path, &builder.save().expect("it is served")).expect("written");
    let octets = std::fs::read(&path).expect("a file");
    assert_eq!(
        (VERSION, octets.len(), xxhash_rust::xxh3::xxh3_64(&octets)),
        (2, 404, 13_042_889_362_160_778_620)
    );
}

#[test]
fn whatever_is_cut_or_changed_is_refused() {
    let (_folder, path) = place();
    write(&turn(), &path, &builder().save().expect("it is served")).expect("written");
    let sound = std::fs::read(&path).expect("a file");
    let refused = |octets: &[u8]| {
        std::fs::write(&path, octets).expect("written");
        let error = read(&path, &Prefix::default()).err();
        error.expect("refused").to_string()
    };
    for len in 0..sound.len() {
        refused(&sound[..len]);
    }
    for at in 0..sound.len() {
        let mut octets = sound.clone();
        octets[at] ^= 0x41;
        refused(&octets);
    }
    refused(&[&sound[..], b"x"].concat());
    assert_eq!(
        refused(b"$ORIGIN example.org.\n; a zone, for example"),
        "it is not a snapshot"
    );
    // A later version is refused, even with a valid checksum.
    let mut octets = sound[..sound.len() - CHECKSUM_LEN as usize].to_vec();
    octets[MAGIC.len()] += 1;
    let checksum = xxhash_rust::xxh3::xxh3_128(&octets).to_le_bytes();
    assert_eq!(
        refused(&[&octets[..], &checksum].concat()),
        "it is of version 3, and this release reads versions up to 2"
    );
    std::fs::write(&path, &sound).expect("written");
    let other: Prefix = "/other".parse().expect("a prefix");
    assert_eq!(
        read(&path, &other).err().expect("refused").to_string(),
        "it is of the prefix /ns, not of /other"
    );
    assert!(read(Path::new("/"), &other).is_err());
}

#[test]
fn a_disk_that_is_full_leaves_the_snapshot_that_there_was() {
    let (_folder, path) = place();
    write(&turn(), &path, &builder().save().expect("it is served")).expect("written");
    std::os::unix::fs::symlink("/dev/full", beside(&path, ".new")).expect("a link");
    let error = write(&turn(), &path, &builder().save().expect("it is served"));
    assert_eq!(
        error.map_err(|error| error.kind()),
        Err(ErrorKind::StorageFull)
    );
    assert!(matches!(read(&path, &Prefix::default()), Ok(Some(_))));
}

#[test]
fn octets_with_a_sound_checksum_that_make_no_sense_are_refused() {
    // Changes each octet and makes a valid checksum: some results are valid snapshots, and none makes a panic.
    let (_folder, path) = place();
    write(&turn(), &path, &builder().save().expect("it is served")).expect("written");
    let sound = std::fs::read(&path).expect("a file");
    let mut taken = 0;
    for at in 0..sound.len() - CHECKSUM_LEN as usize {
        for bits in [0x01, 0x20, 0x80, 0xff] {
            let mut octets = sound[..sound.len() - CHECKSUM_LEN as usize].to_vec();
            octets[at] ^= bits;
            let checksum = xxhash_rust::xxh3::xxh3_128(&octets).to_le_bytes();
            std::fs::write(&path, [&octets[..], &checksum].concat()).expect("written");
            if let Ok(Some(saved)) = read(&path, &Prefix::default()) {
                taken += 1;
                let builder = restored(saved);
                for zone in builder.view().zones() {
                    let _ = format!("{:?}", zone.contents());
                }
            }
        }
    }
    assert!(taken > 0);
}

#[test]
fn a_look_whether_it_can_be_written_leaves_what_is_being_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("snapshot");
    let new = beside(&path, ".new");
    std::fs::write(&new, "half of it").expect("written");
    check(&path).expect("it can be written");
    let left = std::fs::read(&new).expect("it is there");
    assert_eq!(left, b"half of it");
    let count = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(count, 1, "nothing else is left behind");
}
