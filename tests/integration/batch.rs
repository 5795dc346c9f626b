//! `nsctl batch`: many changes as one, and conditions on single changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::desk::Desk;
use domain::base::iana::Rtype;
use serde_json::{Value, json};
use tests::{TempDir, World, dns, ensure, eventually};

/// More names than one transaction takes.
const NAMES: usize = 2_000;

impl Desk {
    async fn batch(&self, text: &str) -> Value {
        self.nsctl
            .ok(&format!("batch {}", self.file("batch", text)))
            .await
    }

    /// The records of the zone, without those at the apex.
    async fn records(&self) -> Vec<String> {
        let listed = self.nsctl.ok("list --zone example.org").await;
        let rrsets = listed.as_array().expect("a list").iter();
        let rows = rrsets.filter(|one| one["name"] != "example.org.");
        rows.flat_map(|one| {
            let rdata = one["rdata"].as_array().expect("records").iter();
            let text = |value: &Value| value.as_str().expect("text").to_string();
            let head = format!(
                "{} {} {}",
                text(&one["name"]),
                one["ttl"],
                text(&one["type"])
            );
            rdata.map(move |rdata| format!("{head} {}", text(rdata)))
        })
        .collect()
    }
}

/// A zone in which every name has this address.
fn zone(address: &str) -> String {
    let head = "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n";
    let hosts: String = (0..NAMES).map(|n| format!("n{n} A {address}\n")).collect();
    format!("{head}@ NS ns1.example.com.\n{hosts}")
}

/// A batch that gives every name this address.
fn readdress(address: &str) -> String {
    let lines = (0..NAMES).map(|n| format!("set n{n} A {address}\n"));
    format!("$ORIGIN example.org.\n{}", lines.collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_changes_are_served_at_once() {
    let world = World::with(2).await;
    let folder = TempDir::new();
    let file = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let first = file("zone", &zone("192.0.2.1"));
    let import = format!("zone import example.org {first} --replace --wait=30s");
    world.nsctl.run(&import).await.expect(0);
    let is_over = Arc::new(AtomicBool::new(false));
    let samplers: Vec<_> = world
        .frontends
        .iter()
        .map(|frontend| tokio::spawn(sample(frontend.dns, is_over.clone())))
        .collect();
    for round in 0..3 {
        let address = format!("192.0.2.{}", round + 2);
        let batch = file("batch", &readdress(&address));
        let done = world.nsctl.ok(&format!("batch {batch} --wait=30s")).await;
        assert_eq!(
            done["zones"][0]["added"].as_array().map(Vec::len),
            Some(NAMES)
        );
        let line = format!("n7.example.org. 300 A {address}");
        world
            .expect("n7.example.org", Rtype::A, "NOERROR", &[&line])
            .await;
    }
    is_over.store(true, Ordering::SeqCst);
    for sampler in samplers {
        let (samples, switches) = sampler.await.expect("all at once");
        assert!(
            samples > 100 && switches == 3,
            "{samples} samples, {switches} switches"
        );
    }
    // Nothing is left of the generations before, but for what is archived of the last.
    let rrsets = world.cluster.keys("/ns/v1/rr/org.example/").await;
    assert_eq!(rrsets.len(), NAMES + 1);
}

/// Asks for two names, one after the other: the second answer must never be older than the first. Returns how often it
/// asked, and how often the first answer was another one than before.
async fn sample(dns: std::net::SocketAddr, is_over: Arc<AtomicBool>) -> (usize, usize) {
    let address = async |n: usize| -> u8 {
        let answer = dns::udp(dns, &format!("n{n}.example.org"), Rtype::A).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        let last = answer.answers[0].rsplit('.').next().expect("an address");
        last.parse().expect("an address")
    };
    let (mut samples, mut switches, mut newest) = (0, 0, 1);
    while !is_over.load(Ordering::SeqCst) {
        let pair = [fastrand::usize(..NAMES), fastrand::usize(..NAMES)];
        let before = address(pair[0]).await;
        let after = address(pair[1]).await;
        assert!(before >= newest, "n{}: {before} after {newest}", pair[0]);
        assert!(after >= before, "{pair:?}: {before}, then {after}");
        switches += usize::from(after - newest);
        newest = after;
        samples += 1;
    }
    (samples, switches)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_does_what_its_lines_say() {
    let desk = Desk::new().await;
    let done = desk
        .batch(
            "$ORIGIN example.org.\n$TTL 60\nadd a A 192.0.2.1 ; one\nadd a A 192.0.2.2\nadd b 5 TXT \"x y\"\n\
             add c CNAME a\nadd gone A 192.0.2.9\ndel gone\nset m MX 10 a\nset m MX 20 b",
        )
        .await;
    assert_eq!(done["changed"], true);
    let records = [
        "a.example.org. 60 A 192.0.2.1",
        "a.example.org. 60 A 192.0.2.2",
        "b.example.org. 5 TXT \"x y\"",
        "c.example.org. 60 CNAME a.example.org.",
        "m.example.org. 60 MX 10 a.example.org.",
        "m.example.org. 60 MX 20 b.example.org.",
    ];
    assert_eq!(desk.records().await, records);
    // Only what all lines together leave has to follow the rules.
    let batch = "zone example.org\nupdate add a.example.org. 60 CNAME b.example.org.\nupdate delete a.example.org. A\n\
                 del c.example.org\nadd c.example.org 7 A 192.0.2.3\nset m.example.org 9 MX\nsend\n";
    let preview = desk
        .nsctl
        .run(&format!("batch {} --dry-run", desk.file("batch", batch)))
        .await
        .expect(0);
    for line in [
        "- a.example.org. 60 A 192.0.2.1\n",
        "+ c.example.org. 7 A 192.0.2.3\n",
    ] {
        assert!(preview.stdout.contains(line), "{}", preview.stdout);
    }
    assert_eq!(desk.records().await, records, "it was a dry run");
    desk.batch(batch).await;
    let changed = [
        "a.example.org. 60 CNAME b.example.org.",
        "b.example.org. 5 TXT \"x y\"",
        "c.example.org. 7 A 192.0.2.3",
        "m.example.org. 9 MX 10 a.example.org.",
        "m.example.org. 9 MX 20 b.example.org.",
    ];
    assert_eq!(desk.records().await, changed);
    let again = desk
        .batch("add c.example.org A 192.0.2.3\ndel x.example.org\n")
        .await;
    assert_eq!(again["changed"], false);
    // `$TTL` is for RRsets that are new, and a line without a TTL does not undo one with it.
    desk.batch(
        "$ORIGIN example.org.\n$TTL 77\nadd c A 192.0.2.4\nset b TXT z\nadd n A 192.0.2.5\n\
         set t 8 A 192.0.2.6\nset t A 192.0.2.7",
    )
    .await;
    let records = desk.records().await;
    for line in [
        "c.example.org. 7 A 192.0.2.4",
        "b.example.org. 5 TXT \"z\"",
        "n.example.org. 77 A 192.0.2.5",
        "t.example.org. 8 A 192.0.2.7",
    ] {
        assert!(records.iter().any(|record| record == line), "{records:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_two_thousand_changes_and_writes_nothing() {
    let desk = Desk::new().await;
    desk.batch(&readdress("192.0.2.1")).await;
    let (before, history) = (desk.etcd.revision(), desk.nsctl.ok("history").await);
    let command = format!(
        "batch {} --dry-run",
        desk.file("batch", &readdress("192.0.2.2"))
    );
    let told = desk.nsctl.run(&command).await.expect(0);
    let mut lines: Vec<&str> = told.stdout.lines().collect();
    lines.sort_unstable();
    let line = |sign: char, address: &'static str| {
        move |n| format!("{sign} n{n}.example.org. 300 A {address}")
    };
    let removed = (0..NAMES).map(line('-', "192.0.2.1"));
    let mut expected: Vec<String> = removed
        .chain((0..NAMES).map(line('+', "192.0.2.2")))
        .collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert!(told.stderr.ends_with("dry run: nothing was written\n"));
    assert_eq!(desk.etcd.revision(), before);
    assert_eq!(desk.nsctl.ok("history").await, history);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_are_told_with_their_lines_and_nothing_is_written() {
    let desk = Desk::new().await;
    desk.batch("add a.example.org A 192.0.2.1\nadd d.example.org DNAME x.example.net")
        .await;
    let before = desk.records().await;
    for (text, code, complaints) in [
        (
            "add b.example.org A 192.0.2.1\nadd b.example.org A 1.2\nbd x\n",
            3,
            &[
                ":2:21: '1.2' is not an IPv4 address",
                ":3:1: 'bd' is no statement",
            ][..],
        ),
        (
            "add b.example.org A 192.0.2.1\nadd a.example.org CNAME b.example.org\n\
             add x.d.example.org A 192.0.2.1\nadd x.example.net A 192.0.2.1\nset n.example.org 5 A\n",
            3,
            &[
                ":2:1: a.example.org. has A records, and CNAME cannot stand beside them",
                ":3:1: x.d.example.org. is below the DNAME record of d.example.org.",
                ":4:1: x.example.net. is in no zone",
                ":5:1: n.example.org. has no A records: there is no TTL to change",
            ],
        ),
        ("; nothing\n", 2, &["has no changes"]),
    ] {
        let refused = desk
            .nsctl
            .run(&format!("batch {}", desk.file("batch", text)))
            .await
            .expect(code);
        for complaint in complaints {
            assert!(
                refused.stderr.contains(complaint),
                "{complaint}: {}",
                refused.stderr
            );
        }
        assert_eq!(desk.records().await, before, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prerequisites_hold_or_nothing_is_written() {
    let desk = Desk::new().await;
    desk.batch("$ORIGIN example.org.\nadd a A 192.0.2.1\nadd a A 192.0.2.2\nadd t 60 TXT one")
        .await;
    for (prerequisite, holds) in [
        ("yxdomain a", true),
        ("yxdomain b", false),
        ("yxdomain @", true),
        ("nxdomain a", false),
        ("nxdomain b", true),
        ("yxrrset a A", true),
        ("yxrrset a AAAA", false),
        ("nxrrset a A", false),
        ("nxrrset a AAAA", true),
        ("yxrrset @ SOA", true),
        ("yxrrset a A 192.0.2.1", false),
        ("yxrrset a A 192.0.2.2\nprereq yxrrset a A 192.0.2.1", true),
        ("yxrrset t TXT one", true),
    ] {
        let text =
            format!("$ORIGIN example.org.\nprereq {prerequisite}\nadd n TXT \"{prerequisite}\"");
        let text = text.replace("\nprereq yxrrset a A 192.0.2.1\"", "\"");
        let code = if holds { 0 } else { 3 };
        let told = desk
            .nsctl
            .run(&format!("batch {}", desk.file("batch", &text)))
            .await
            .expect(code);
        assert_eq!(
            told.stderr.contains(":2:1: "),
            !holds,
            "{prerequisite}: {}",
            told.stderr
        );
    }
    // All that do not hold are told.
    let text = "$ORIGIN example.org.\nprereq nxdomain a\nprereq yxdomain t\nprereq yxrrset t A\nadd n A 192.0.2.1";
    let told = desk
        .nsctl
        .run(&format!("batch {}", desk.file("batch", text)))
        .await
        .expect(3);
    for part in [
        ":2:1: ",
        ":4:1: ",
        "2 unmet prerequisites: nothing was written",
    ] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
    assert_eq!(told.stderr.lines().count(), 3, "{}", told.stderr);
    assert_eq!(
        desk.nsctl.ok("list n.example.org").await[0]["rdata"]
            .as_array()
            .map(Vec::len),
        Some(8)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn single_changes_have_conditions_too() {
    let desk = Desk::new().await;
    let nsctl = &desk.nsctl;
    nsctl
        .run("add a.example.org A 192.0.2.1 --if-absent")
        .await
        .expect(0);
    let told = nsctl
        .run("add a.example.org A 192.0.2.2 --if-absent")
        .await
        .expect(3);
    assert!(
        told.complaint()
            .contains("a.example.org. has A records already: nothing was written")
    );
    let revision = nsctl.ok("list a.example.org").await[0]["revision"].clone();
    nsctl
        .run(&format!(
            "set a.example.org A 192.0.2.3 --if-revision {revision}"
        ))
        .await
        .expect(0);
    for command in [
        format!("set a.example.org A 192.0.2.4 --if-revision {revision}"),
        format!("remove a.example.org A --if-revision {revision}"),
        "set a.example.org A 192.0.2.4 --if-revision 0".into(),
    ] {
        nsctl.run(&command).await.expect(3);
    }
    assert_eq!(desk.records().await, ["a.example.org. 300 A 192.0.2.3"]);
    for command in [
        "add a.example.org A 192.0.2.4 --if-absent --if-revision 4",
        "remove a.example.org --if-revision 4",
        "add a.example.org A 192.0.2.4 --if-revision -1",
    ] {
        nsctl.run(command).await.expect(2);
    }
    nsctl
        .run("set b.example.org A 192.0.2.5 --if-revision 0")
        .await
        .expect(0);
    let revision = nsctl.ok("list b.example.org").await[0]["revision"].clone();
    nsctl
        .run(&format!("remove b.example.org A --if-revision {revision}"))
        .await
        .expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_several_zones_is_one_transaction_if_it_fits() {
    let desk = Desk::new().await;
    desk.nsctl
        .run("zone add 2.0.192.in-addr.arpa --ns ns1.example.net")
        .await
        .expect(0);
    let hosts = |count: usize| -> String {
        let lines = (1..=count).map(|n| {
            format!("add n{n}.example.org A 192.0.2.{n}\nadd {n}.2.0.192.in-addr.arpa PTR n{n}.example.org\n")
        });
        lines.collect()
    };
    let done = desk.batch(&hosts(20)).await;
    let revisions: Vec<&Value> = done["zones"]
        .as_array()
        .expect("zones")
        .iter()
        .map(|zone| &zone["revision"])
        .collect();
    assert_eq!(revisions.len(), 2);
    assert_eq!(revisions[0], revisions[1]);
    // What is too large for that is one transaction for each zone.
    let done = desk.batch(&hosts(200)).await;
    let zones = done["zones"].as_array().expect("zones");
    assert_ne!(zones[0]["revision"], zones[1]["revision"]);
    assert_eq!(zones[0]["added"].as_array().map(Vec::len), Some(180));
    let told = desk.nsctl.ok("list 200.2.0.192.in-addr.arpa").await;
    assert_eq!(told[0]["rdata"], json!(["n200.example.org."]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_keeps_what_others_write_meanwhile() {
    let desk = Desk::new().await;
    let first = desk
        .folder
        .write("zone", &zone("192.0.2.1"))
        .display()
        .to_string();
    desk.nsctl
        .run(&format!("zone import example.org {first} --replace"))
        .await
        .expect(0);
    let is_over = Arc::new(AtomicBool::new(false));
    let others = {
        let (nsctl, is_over) = (desk.nsctl.clone(), is_over.clone());
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                nsctl
                    .run(&format!("add other{count}.example.org A 192.0.2.7"))
                    .await
                    .expect(0);
                count += 1;
            }
            count
        })
    };
    for round in 2..5 {
        desk.batch(&readdress(&format!("192.0.2.{round}"))).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let count = others.await.expect("no panic");
    let records = desk.records().await;
    let of = |address: &str| {
        records
            .iter()
            .filter(|line| line.ends_with(address))
            .count()
    };
    assert_eq!((of(" 192.0.2.4"), of(" 192.0.2.7")), (NAMES, count));
    assert_eq!(records.len(), NAMES + count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_puts_no_alias_beside_what_is_announced_meanwhile() {
    let desk = Desk::new().await;
    let hosts: String = (0..10 * NAMES)
        .map(|n| format!("add n{n} A 192.0.2.1\n"))
        .collect();
    let text = format!("$ORIGIN example.org.\nadd www CNAME host.example.net.\n{hosts}");
    let file = desk.file("batch", &text);
    let mut batch = desk.nsctl.start(&format!("batch {file}"));
    let keys = |folder: &str| {
        let args = ["get", "--prefix", "--keys-only", folder];
        let told = desk.etcd.etcdctl(&args).expect("read");
        told.lines().filter(|line| !line.is_empty()).count()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while keys("/ns/v1/rr/org.example/") < 10 {
        assert!(Instant::now() < deadline, "nothing is staged");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    batch.signal("STOP");
    let _announcer = desk.nsctl.start("announce www.example.org A 192.0.2.9");
    eventually("it is announced", Duration::from_secs(20), async || {
        ensure(keys("/ns/v1/leased/") == 1, || "not yet".into())
    })
    .await;
    batch.signal("CONT");
    let status = batch.end(Duration::from_secs(60)).await;
    let told = batch.stderr();
    assert_eq!(status.code(), Some(3), "{told}");
    assert!(
        told.contains(":2:1: www.example.org. has announced A records"),
        "{told}"
    );
    let records = desk.records().await;
    assert_eq!(records, ["www.example.org. 10 A 192.0.2.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_killed_is_done_or_not() {
    let kills = match std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1") {
        true => 60,
        false => 12,
    };
    let desk = Desk::new().await;
    let addresses = async || {
        let records = desk.records().await;
        assert_eq!(records.len(), NAMES);
        let mut addresses: Vec<String> = records
            .iter()
            .filter_map(|record| record.split(' ').nth(3).map(String::from))
            .collect();
        addresses.dedup();
        addresses
    };
    desk.batch(&readdress("192.0.2.1")).await;
    let start = Instant::now();
    desk.batch(&readdress("192.0.2.2")).await;
    let took = start.elapsed();
    let mut done = 0;
    for kill in 0..kills {
        let (before, address) = (addresses().await, format!("198.51.100.{kill}"));
        let entries = desk.nsctl.ok("history --limit 1000").await;
        let file = desk.file("batch", &readdress(&address));
        let mut process = desk.nsctl.start(&format!("batch {file}"));
        // From the beginning until well after the end.
        tokio::time::sleep(took.mul_f64(2.0 * kill as f64 / kills as f64)).await;
        if kill + 1 < kills {
            process.kill();
        } else {
            process.end(Duration::from_secs(60)).await;
        }
        // What it had sent may be done later.
        let limit = Duration::from_secs(20);
        let is_done = eventually("records and journal agree", limit, async || {
            let after = addresses().await;
            let is_done = after == [address.clone()];
            assert!(is_done || after == before, "{before:?}, then {after:?}");
            let now = desk.nsctl.ok("history --limit 1000").await;
            let count = |entries: &Value| entries.as_array().map_or(0, Vec::len);
            let made = count(&now) - count(&entries);
            ensure(made == usize::from(is_done), || format!("{made} entries"))?;
            Ok(is_done)
        })
        .await;
        done += usize::from(is_done);
    }
    println!("{kills} kills, {done} batches done");
    assert!(done > 0 && done < kills, "a poor test");
    // What they left behind is told, and can be deleted.
    desk.nsctl.run("zone clean example.org").await.expect(0);
    let keys = ["get", "--prefix", "--keys-only", "/ns/v1/rr/org.example/"];
    let keys = desk.etcd.etcdctl(&keys).expect("read");
    assert_eq!(keys.matches("/A\n").count(), NAMES);
}
