//! How many requests commands make: in a store of many zones, some a page and none a zone. And serials, which never fall.

use std::fmt::Write;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use tests::{Nsctl, Single, TempDir};

/// More than the first page of a list has.
const ZONES: usize = 3_000;

/// How many zones one transaction of `raise-serials` changes.
const RAISED_AT_ONCE: usize = 39;

/// Writes zones past `nsctl`, many with one transaction.
fn put_zones(etcd: &Single, count: usize) {
    let value = r#"{"soa":{"mname":"ns1.example.com.","rname":"h.example.com.","refresh":1,"retry":1,"expire":1,"minimum":1,"ttl":1},"generation":1,"default_ttl":300}"#;
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(60) {
        // Comparisons, what is done if they hold, what else; an empty line ends each.
        let mut script = "\n".to_string();
        for n in some {
            let _ = writeln!(script, "put /ns/v1/zone/test.z{n:06} {value:?}");
            let _ = writeln!(script, "put /ns/v1/serial/test.z{n:06} {{}}");
        }
        script += "\n\n";
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", etcd.endpoint(), "txn"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("etcdctl");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(script.as_bytes()).expect("written");
        drop(stdin);
        assert!(child.wait().expect("ends").success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_zones_take_a_request_a_page() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    put_zones(&etcd, ZONES);

    let before = etcd.requests().await;
    let listed = nsctl.ok("zone list").await;
    assert_eq!(listed.as_array().map(Vec::len), Some(ZONES));
    let requests = etcd.requests().await - before;
    // Two pages of zones, two of serials; and pages that are smaller, on a machine that is busy.
    assert!(requests <= 12, "zone list: {requests} requests");

    let before = etcd.requests().await;
    assert_eq!(nsctl.ok("list").await, json!([]));
    let requests = etcd.requests().await - before;
    assert!(requests <= 12, "list: {requests} requests");

    let before = etcd.requests().await;
    let raised = nsctl.ok("zone raise-serials --count 1000").await;
    assert_eq!(raised["zones"].as_array().map(Vec::len), Some(ZONES));
    let requests = etcd.requests().await - before;
    // A read and a write for each that fits one transaction; some may be done again.
    let most = 3 * ZONES.div_ceil(RAISED_AT_ONCE) + 14;
    assert!(
        requests <= most as u64,
        "raise-serials: {requests} requests"
    );

    let after = nsctl.ok("zone list").await;
    for (old, new) in listed
        .as_array()
        .into_iter()
        .flatten()
        .zip(after.as_array().into_iter().flatten())
    {
        assert_eq!(old["zone"], new["zone"]);
        let grown = new["serial"].as_i64() >= old["serial"].as_i64().map(|old| old + 1000);
        assert!(grown, "{old} {new}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_two_reads_and_a_transaction() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    nsctl
        .write("zone add example.org --ns ns1.example.com")
        .await;
    // Two more reads look for likely mistakes in records that were written.
    for (command, expected) in [
        ("add www.example.org A 192.0.2.1", 5),
        ("add www.example.org A 192.0.2.2", 5),
        ("set www.example.org A 192.0.2.3", 5),
        ("remove www.example.org A", 3),
    ] {
        let before = etcd.requests().await;
        nsctl.write(command).await;
        assert_eq!(etcd.requests().await - before, expected, "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_raised_before_an_error_is_told() {
    let etcd = Single::start().await;
    put_zones(&etcd, 2 * RAISED_AT_ONCE);
    // Whoever writes the zones of one transaction only.
    let first_half = |folder: &str| {
        let key = |n: usize| format!("/ns/v1/{folder}/test.z{n:06}");
        [key(0), key(RAISED_AT_ONCE)]
    };
    let [zone, zone_end] = first_half("zone");
    let [serial, serial_end] = first_half("serial");
    let [journal, journal_end] =
        [0, RAISED_AT_ONCE].map(|n| format!("/ns/journal/v1/test.z{n:06}/"));
    let grant = ["role", "grant-permission", "half"];
    for args in [
        &["user", "add", "root:root"][..],
        &["user", "add", "dns:right"],
        &["role", "add", "half"],
        &[&grant[..], &["read", "/ns/v1/", "/ns/v10"]].concat(),
        &[&grant[..], &["readwrite", "/ns/v1/head"]].concat(),
        &[&grant[..], &["readwrite", &zone, &zone_end]].concat(),
        &[&grant[..], &["readwrite", &serial, &serial_end]].concat(),
        &[&grant[..], &["readwrite", &journal, &journal_end]].concat(),
        &["user", "grant-role", "dns", "half"],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        etcd.etcdctl(args).expect("it is set up");
    }
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]).with("--user", "dns:right");
    let raise = "zone raise-serials --count 1000";
    let output = nsctl.run(raise).await.expect(1);
    assert_eq!(output.stdout.lines().count(), RAISED_AT_ONCE, "{output:?}");
    let told = format!("{RAISED_AT_ONCE} zones of {} raised", 2 * RAISED_AT_ONCE);
    assert!(output.complaint().ends_with(&told), "{output:?}");
    let output = nsctl.with("-o", "json").run(raise).await.expect(1);
    let json = output.json();
    let zones = json["zones"].as_array().map(Vec::len);
    assert_eq!(zones, Some(RAISED_AT_ONCE), "{json}");
    assert!(json["revision"].is_i64(), "{json}");

    // And where neither can be told.
    let sink = "exec \"$0\" \"$@\" >/dev/full";
    let words: Vec<&str> = raise.split(' ').collect();
    let output = nsctl.run_from(sink, Stdio::null(), &words).await.expect(1);
    let told = output.stderr;
    assert!(
        told.contains("the change itself is done, revision "),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serials_do_not_fall_when_a_zone_is_removed_and_added_again() {
    let etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().into()]);
    let folder = TempDir::new();
    let text = "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1.example.com. h.example.com. 2026010101 3600 600 604800 300\n@ NS ns1.example.com.\n";
    let file = folder.write("example.org.zone", text).display().to_string();
    let import = format!("zone import example.org {file}");
    let serial = async || {
        let shown = nsctl.ok("zone show example.org").await;
        shown["serial"].as_u64().expect("a serial")
    };
    nsctl.run(&import).await.expect(0);
    let mut last = serial().await;
    assert!(last >= 2_026_010_101, "{last}");
    let add = "zone add example.org --ns ns1.example.com";
    // Twice in a row, the second time with nothing but what the first has remembered; and by an import of an older file.
    for again in [add, add, &import.clone()] {
        nsctl.write("zone remove example.org").await;
        nsctl.run(again).await.expect(0);
        let next = serial().await;
        assert!(next > last, "{again}: {last} -> {next}");
        last = next;
    }
    // A higher serial is a change by itself, once.
    let higher = text.replace("2026010101", "2030010101");
    let higher = folder.write("higher.zone", &higher).display().to_string();
    let replace = format!("zone import example.org {higher} --replace");
    nsctl.write(&replace).await;
    last = serial().await;
    assert!(last >= 2_030_010_101, "{last}");
    let again = nsctl.ok(&replace).await;
    assert_eq!((&again["changed"], serial().await), (&json!(false), last));
    // Settings that cannot be read are removed, and what can be made out of them is remembered.
    let broken = format!(r#"{{"serial_base":{last},"soa":false}}"#);
    etcd.etcdctl(&["put", "/ns/v1/zone/org.example", &broken])
        .expect("written");
    nsctl.write("zone remove example.org --force").await;
    nsctl.write(add).await;
    assert!(serial().await > last);

    // What is remembered can be forgotten.
    nsctl.write("zone remove example.org").await;
    nsctl.write("zone clean example.org").await;
    let keys = || {
        etcd.etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/serial/"])
            .expect("read")
    };
    assert_eq!(keys().trim(), "");
    nsctl.write(add).await;
    assert!(serial().await < 2_026_010_101);
}
