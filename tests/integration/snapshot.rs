//! The local snapshot: a restart without etcd, and kills at any moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::base::iana::Rtype;
use etcd::client::{Config, Store};
use etcd::model::Change;
use etcd::model::{Name, Rdata, Rtype as Type};
use etcd::schema::Prefix;
use tests::{Frontend, Single, TempDir, World, dns, ensure, eventually, expect_at};

const EDE_STALE: u16 = 3;
const EDE_NOT_READY: u16 = 14;
const EDE_NETWORK_ERROR: u16 = 23;

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

fn path_in(folder: &TempDir) -> String {
    folder.path().join("snapshot").display().to_string()
}

async fn start(endpoints: &[String], snapshot: &str, interval: &str) -> Frontend {
    let options = ["--snapshot", snapshot, "--snapshot-interval", interval];
    Frontend::start("fe1", endpoints, &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_etcd_serves_what_was_served() {
    let world = World::with(0).await;
    let (folder, nsctl) = (TempDir::new(), &world.nsctl);
    let snapshot = path_in(&folder);
    let bounded = "zone add bounded.test --ns ns1.example.org --consistency bounded:4s";
    nsctl.write(bounded).await;
    nsctl.write("add www.bounded.test A 192.0.2.1").await;
    let written = nsctl.write("add www.example.org A 192.0.2.1").await;
    let mut frontend = start(world.cluster.endpoints(), &snapshot, "100ms").await;
    frontend.ready().await;
    eventually("a snapshot", Duration::from_secs(10), async || {
        let status = frontend.status().await;
        let saved = status["snapshot"].as_i64();
        ensure(saved >= Some(written), || status.to_string())
    })
    .await;
    frontend.kill();

    world.cluster.stop_all().await;
    let mut frontend = start(world.cluster.endpoints(), &snapshot, "1h").await;
    // At once: it is there before anybody can ask.
    let is_ready = frontend.get("/readyz").await.expect("an answer");
    assert_eq!(is_ready.code, 200, "{}", is_ready.body);
    for (name, rcode, ede) in [
        ("www.example.org", "NOERROR", EDE_STALE),
        ("nowhere.example.org", "NXDOMAIN", EDE_STALE),
        ("www.bounded.test", "SERVFAIL", EDE_NETWORK_ERROR),
    ] {
        let answer = dns::udp(frontend.dns, name, Rtype::A).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (&*answer.rcode, &answer.ede[..]),
            (rcode, &[ede][..]),
            "{name}: {answer:?}"
        );
    }
    let status = frontend.status().await;
    assert!(
        status["fresh_age_ms"].is_null(),
        "nothing is proved: {status}"
    );

    // What has happened since comes through the watch, and nothing is listed.
    world.cluster.start_all().await;
    world.cluster.healthy().await;
    let last = nsctl.write("add new.example.org A 192.0.2.2").await;
    frontend.applied(last, Duration::from_secs(20)).await;
    let metrics = frontend.get("/metrics").await.expect("an answer").body;
    assert!(metrics.contains("nsd_lists_total 0"), "{metrics}");
    // The proof comes after the data.
    eventually("it is proved", Duration::from_secs(20), async || {
        let answer = dns::udp(frontend.dns, "www.bounded.test", Rtype::A).await?;
        ensure(answer.rcode == "NOERROR", || format!("{answer:?}"))
    })
    .await;

    // An orderly end saves the last state, and history that is compacted meanwhile is listed.
    assert!(frontend.terminate(Duration::from_secs(10)).await.success());
    nsctl.write("remove www.example.org A").await;
    world.cluster.compact().await;
    let frontend = start(&[NOWHERE.into()], &snapshot, "1h").await;
    let line = "new.example.org. 300 A 192.0.2.2";
    expect_at(&frontend, "new.example.org", Rtype::A, "NOERROR", &[line]).await;
    drop(frontend);
    let frontend = start(world.cluster.endpoints(), &snapshot, "1h").await;
    eventually("the removal", Duration::from_secs(20), async || {
        let answer = dns::udp(frontend.dns, "www.example.org", Rtype::A).await?;
        ensure(answer.rcode == "NXDOMAIN", || format!("{answer:?}"))
    })
    .await;
    drop(frontend);

    what_is_no_snapshot_is_not_used(&snapshot).await;
}

async fn what_is_no_snapshot_is_not_used(snapshot: &str) {
    let sound = std::fs::read(snapshot).expect("a snapshot");
    let half = sound[..sound.len() / 2].to_vec();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 1;
    let other = String::from_utf8_lossy(&sound[..40]).into_owned();
    assert!(other.starts_with("nsd snapshot\n"), "{other}");
    for (octets, reason) in [
        (half, "it is damaged"),
        (flipped, "it is damaged"),
        (b"\0".repeat(100), "it is not a snapshot"),
        (vec![], "it is cut short"),
    ] {
        std::fs::write(snapshot, octets).expect("written");
        let frontend = start(&[NOWHERE.into()], snapshot, "1h").await;
        let told = |line: &serde_json::Value| {
            let fields = &line["fields"];
            fields["message"] == "snapshot not used" && fields["reason"] == reason
        };
        let log = frontend.log();
        assert!(log.iter().any(told), "{reason}: {log:?}");
        let answer = dns::udp(frontend.dns, "www.example.org", Rtype::A).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (&*answer.rcode, &answer.ede[..]),
            ("SERVFAIL", &[EDE_NOT_READY][..])
        );
    }
}

/// Names that are changed, one with each revision.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Others, so that a snapshot takes a moment to be written.
const MANY: usize = 5_000;

/// By serial: what the names have.
type History = Arc<Mutex<BTreeMap<u32, [u64; NAMES.len()]>>>;

/// Many kills in a run on request only: each takes half a second.
fn kills() -> usize {
    if std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1") {
        1_000
    } else {
        40
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_leaves_a_state_that_there_was() {
    let etcd = Single::start().await;
    let endpoints = [etcd.endpoint().to_string()];
    let nsctl = tests::Nsctl::new(&endpoints);
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    let folder = TempDir::new();
    let many: String = (0..MANY)
        .map(|index| format!("h{index} A 10.0.{}.{}\n", index >> 8, index & 255))
        .collect();
    let zone = format!(
        "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1 h 1 3600 600 1209600 60\n@ NS ns1.example.net.\n{many}"
    );
    let file = folder.write("zone", &zone).display().to_string();
    nsctl
        .write(&format!("zone import example.org {file}"))
        .await;

    let history = History::default();
    let writer = tokio::spawn(write(endpoints[0].clone(), history.clone()));
    let snapshot = path_in(&folder);
    let mut frontend = start(&endpoints, &snapshot, "5ms").await;
    eventually("a first snapshot", Duration::from_secs(20), async || {
        ensure(Path::new(&snapshot).is_file(), || "none yet".into())
    })
    .await;
    frontend.kill();
    let mut served = Vec::new();
    for kill in 0..kills() {
        let mut frontend = start(&endpoints, &snapshot, "5ms").await;
        // Half of them while it starts, the others while it writes one snapshot after the other.
        let (written, within) = match kill % 2 {
            0 => (None, 250_000),
            _ => (Some(a_newer_snapshot(&frontend).await), 50_000),
        };
        let moment = (kill as u64 * 7919) % within;
        tokio::time::sleep(Duration::from_micros(moment)).await;
        frontend.kill();
        let mut frontend = start(&[NOWHERE.into()], &snapshot, "1h").await;
        let serial = state(&frontend, &history).await;
        frontend.kill();
        if let Some(revision) = written {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            let at_least = history.range(..=revision).next_back();
            let at_least = at_least.map(|(serial, _)| *serial);
            assert!(Some(serial) >= at_least, "{serial}: older than {revision}");
        }
        served.push(serial);
    }
    writer.abort();
    assert!(served.is_sorted(), "a later snapshot is older: {served:?}");
    assert!(
        served.last() > served.first(),
        "it never moved on: {served:?}"
    );
    served.dedup();
    println!("{} kills, {} states", kills(), served.len());
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert!(left <= 3, "more than zone, snapshot and the next one");
    assert!(Path::new(&snapshot).is_file());
}

/// Waits until a front-end has written a snapshot that is newer than the first that it told of; its revision.
async fn a_newer_snapshot(frontend: &Frontend) -> u32 {
    let mut first = None;
    eventually("a newer snapshot", Duration::from_secs(20), async || {
        let status = frontend.status().await;
        let now = status["snapshot"].as_u64().ok_or("none yet")?;
        let first = *first.get_or_insert(now);
        ensure(now > first, || status.to_string())?;
        Ok(u32::try_from(now).expect("few revisions"))
    })
    .await
}

/// Changes one name after the other for ever, and notes what there was at each serial.
async fn write(endpoint: String, history: History) {
    let store = Store::new(
        Config::new(vec![endpoint]),
        Prefix::default(),
        Duration::from_secs(20),
    );
    let mut state = [0; NAMES.len()];
    for number in 1u64.. {
        let index = number as usize % NAMES.len();
        let owner: Name = format!("{}.example.org", NAMES[index])
            .parse()
            .expect("a name");
        let rdata = Rdata::parse(Type::TXT, &number.to_string()).expect("rdata");
        let change = Change::Set {
            rtype: Type::TXT,
            ttl: Some(300),
            rdata: vec![rdata],
        };
        let store = store.with_timeout(Duration::from_secs(20));
        let changed = store.change(&owner, None, &change);
        state[index] = number;
        // Until it is noted it may be served already, for which the reader waits.
        let revision = changed.await.expect("a write to a sound etcd").revision;
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.insert(revision as u32, state);
    }
}

/// The serial that is served, once all of it is found to be what there was then.
async fn state(frontend: &Frontend, history: &History) -> u32 {
    let ask = async |name: &str, rtype| {
        let answer = dns::udp(frontend.dns, name, rtype).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    };
    let soa = ask("example.org", Rtype::SOA).await;
    assert_eq!(soa.rcode, "NOERROR", "nothing is served: {soa:?}");
    let serial = soa.answers[0].split(' ').nth(5).expect("an SOA record");
    let serial: u32 = serial.parse().expect("a serial");
    let mut found = [0; NAMES.len()];
    for (name, found) in NAMES.iter().zip(&mut found) {
        let answer = ask(&format!("{name}.example.org"), Rtype::TXT).await;
        if let Some(text) = answer
            .answers
            .first()
            .and_then(|answer| answer.split('"').nth(1))
        {
            *found = text.parse().expect("a number");
        }
    }
    // The writer may not have noted yet what it has just been told.
    let expected = eventually("it was noted", Duration::from_secs(10), async || {
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let first = history.first_key_value().map(|(serial, _)| *serial);
        match history.get(&serial) {
            Some(state) => Ok(*state),
            // Nothing was written before that.
            None if first.is_some_and(|first| serial < first) => Ok([0; NAMES.len()]),
            None => Err(format!("there was no serial {serial}")),
        }
    })
    .await;
    assert_eq!(found, expected, "at serial {serial}");
    // And none of the many others is missing, nor the apex's NS and SOA.
    let names = found.iter().filter(|number| **number > 0).count();
    let rrsets = frontend.status().await["rrsets"].clone();
    assert_eq!(rrsets, MANY + 2 + names, "at serial {serial}");
    serial
}
