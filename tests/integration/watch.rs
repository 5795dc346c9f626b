//! `nsctl watch`: every change once and in order, whatever happens to the connection.

use std::process::Stdio;
use std::time::Duration;

use crate::desk::Desk;
use serde_json::Value;
use tests::{Cluster, Gate, Nsctl, Process, Single, TempDir, ensure, eventually};

/// `nsctl watch` as JSON.
struct Watcher(Process);

impl Watcher {
    fn start(nsctl: &Nsctl, more: &str) -> Self {
        Watcher(nsctl.with("-o", "json").start(&format!("watch {more}")))
    }

    /// All that it has shown. A line may be half written.
    fn shown(&self) -> Vec<Value> {
        let told = self.0.stdout();
        let whole = told.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Waits until it has shown a revision, and returns all that it has shown.
    async fn until(&self, revision: i64) -> Vec<Value> {
        let what = format!("revision {revision} is shown");
        eventually(&what, Duration::from_secs(30), async || {
            let shown = self.shown();
            let is_there = shown.iter().any(|one| one["revision"] == revision);
            ensure(is_there, || format!("{shown:?}\n{}", self.0.stderr()))?;
            Ok(shown)
        })
        .await
    }

    /// Waits until it has told this on standard error.
    async fn tells(&self, text: &str) {
        eventually(text, Duration::from_secs(30), async || {
            let told = self.0.stderr();
            ensure(told.contains(text), || told)
        })
        .await;
    }
}

/// The history of all zones or of a name, the oldest change first, after a revision.
async fn history(nsctl: &Nsctl, name: &str, after: i64) -> Vec<Value> {
    let command = format!("history {name} --limit 100000 --since {after}");
    let told = nsctl.ok(&command).await;
    told.as_array()
        .expect("a list")
        .iter()
        .rev()
        .cloned()
        .collect()
}

/// Waits until a watcher that was started shows what is written now; the last revision that was written.
async fn settled(nsctl: &Nsctl, watcher: &Watcher) -> i64 {
    let mut turn = 0;
    eventually("it watches", Duration::from_secs(30), async || {
        turn += 1;
        let written = nsctl
            .write(&format!("set probe.example.org TXT {turn}"))
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let shown = watcher.shown();
        let is_there = shown.iter().any(|one| one["revision"] == written);
        ensure(is_there, || "it does not show anything yet".into())?;
        Ok(written)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_what_the_history_shows() {
    let desk = Desk::new().await;
    let nsctl = &desk.nsctl;
    nsctl
        .write("zone add example.com --ns ns1.example.net")
        .await;
    let start = nsctl.write("add www.example.org A 192.0.2.1").await;
    let all = Watcher::start(nsctl, &format!("--since {start}"));
    let everything = Watcher::start(nsctl, "--since 1h");
    let from_zero = Watcher::start(nsctl, "--since 0");
    let zone = Watcher::start(nsctl, &format!("--zone example.com --since {start}"));
    let name = Watcher::start(nsctl, &format!("www.example.org --since {start}"));
    let mut people = nsctl.start(&format!("watch --since {start}"));
    // Some of it before they watch, some after.
    nsctl
        .write("add www.example.org A 192.0.2.2 --by alice --why because")
        .await;
    nsctl.write("add other.example.org A 192.0.2.3").await;
    let file = desk.file(
        "batch",
        "add a.example.com 60 A 192.0.2.1\nadd a.example.org 60 A 192.0.2.1\n",
    );
    nsctl.write(&format!("batch {file}")).await;
    let batch = history(nsctl, "", start).await;
    let batch = batch
        .last()
        .and_then(|one| one["revision"].as_i64())
        .expect("a change");
    for watcher in [&all, &everything, &from_zero, &zone] {
        watcher.until(batch).await;
    }
    nsctl.write("zone set example.org --default-ttl 60").await;
    nsctl.write("remove www.example.org").await;
    nsctl.write("zone remove example.com").await;
    let last = nsctl.write("zone remove example.org").await;

    let expected = history(nsctl, "", start).await;
    assert_eq!(
        expected.len(),
        8,
        "a batch of two zones has an entry in each: {expected:?}"
    );
    let shown = all.until(last).await;
    assert_eq!(in_order(shown), in_order(expected.clone()));
    for watcher in [&everything, &from_zero] {
        let shown = watcher.until(last).await;
        assert_eq!(in_order(shown), in_order(history(nsctl, "", 0).await));
    }
    let of_zone = expected.iter().filter(|one| one["zone"] == "example.com.");
    let of_zone: Vec<Value> = of_zone.cloned().collect();
    let removed = of_zone.last().and_then(|one| one["revision"].as_i64());
    assert_eq!(zone.until(removed.expect("it was removed")).await, of_zone);
    let of_name = history(nsctl, "www.example.org", start).await;
    assert_eq!(of_name.len(), 3);
    assert_eq!(name.until(last).await, of_name);

    eventually(
        "it is shown to people",
        Duration::from_secs(20),
        async || {
            let told = people.stdout();
            for line in [
                "alice  nsctl add\n    # because\n    + www.example.org. 300 A 192.0.2.2\n",
                "    ~ default TTL: 300 -> 60\n",
                "    zone example.org. removed\n",
            ] {
                ensure(told.contains(line), || format!("{line}: {told}"))?;
            }
            Ok(())
        },
    )
    .await;
    assert!(!people.stderr().contains("warning"), "{}", people.stderr());
    // SIGINT is ignored by everything that a script starts in the background, tests included.
    people.signal("TERM");
    people.end(Duration::from_secs(5)).await;
}

/// The history sorts the zones of one revision the other way when it is turned around.
fn in_order(mut changes: Vec<Value>) -> Vec<Value> {
    changes.sort_by_key(|one| (one["revision"].as_i64(), one["zone"].to_string()));
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_is_lost_or_shown_twice_whatever_becomes_of_the_connection() {
    const WRITERS: usize = 3;
    let cluster = Cluster::start(3, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    nsctl
        .run("zone add example.org --ns ns1.example.net --journal-entries 10000")
        .await
        .expect(0);
    let mut gates = Vec::new();
    for endpoint in cluster.endpoints() {
        gates.push(Gate::to(endpoint).await);
    }
    let endpoints: Vec<String> = gates
        .iter()
        .map(|gate| gate.endpoint().to_string())
        .collect();
    let watcher = Watcher::start(&Nsctl::new(&endpoints), "");
    let first = settled(&nsctl, &watcher).await;
    // A watch that is stalled, on a connection that stays.
    gates.iter().for_each(Gate::silence);
    watcher.tells("trying again").await;
    gates.iter().for_each(Gate::open);
    watcher.tells("connected again").await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let nsctl = nsctl.clone();
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(writer as u64);
                for turn in 0..100 {
                    let host = random.usize(..5);
                    let command = format!("set n{host}.example.org TXT {writer}-{turn}");
                    nsctl.write(&command).await;
                }
            })
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut lost = 1;
    while writers.iter().any(|writer| !writer.is_finished()) {
        for gate in &gates {
            match random.usize(..3) {
                0 => gate.close(),
                1 => gate.silence(),
                _ => gate.open(),
            }
        }
        lost += 1;
        tokio::time::sleep(Duration::from_millis(random.u64(100..800))).await;
        gates.iter().for_each(Gate::open);
        tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    // Cut off for a while, in which etcd forgets its history; and a member that goes.
    gates.iter().for_each(Gate::close);
    nsctl.write("set n1.example.org TXT unseen").await;
    nsctl.write("remove n1.example.org").await;
    cluster.compact().await;
    gates.iter().for_each(Gate::open);
    let seen = nsctl.write("set n2.example.org TXT seen").await;
    watcher.until(seen).await;
    watcher.tells("has compacted its history").await;
    cluster.kill_member(0).await;
    let last = nsctl.ok("remove n2.example.org").await;
    let last = last["revision"].as_i64().expect("a revision");
    let shown = watcher.until(last).await;

    let start = shown[0]["revision"].as_i64().expect("a revision");
    assert!(start <= first, "{shown:?}");
    assert_eq!(shown, history(&nsctl, "", start - 1).await);
    println!("cut off {lost} times, {} changes", shown.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_reader_and_with_the_history_of_etcd() {
    let mut desk = Desk::new().await;
    let nsctl = &desk.nsctl;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    let to_head = nsctl.run_from(
        "{ \"$0\" \"$@\"; echo \"code $?\" >&2; } | head -n 1",
        Stdio::piped(),
        &["watch", "--since", "1h"],
    );
    // It notices that nobody reads any more without another change.
    let told = to_head.await.expect(0);
    assert!(told.stderr.contains("code 0"), "{}", told.stderr);

    // What cannot be seen, and etcd that cannot be reached.
    let silent = nsctl.start("watch --zone example.net");
    nsctl
        .write("zone set example.org --journal-entries 0")
        .await;
    let switched_off = nsctl.start("watch --zone example.org");
    for (process, text) in [
        (&silent, "no zone example.net. yet"),
        (&switched_off, "keeps no journal"),
    ] {
        eventually(text, Duration::from_secs(10), async || {
            let told = process.stderr();
            ensure(told.contains(text), || told)
        })
        .await;
    }
    nsctl
        .write("zone set example.org --journal-entries 100")
        .await;
    let nowhere = Nsctl::new(&["http://127.0.0.1:1".into()]).with("--timeout", "1s");
    nowhere.run("watch").await.expect(4);
    nsctl
        .run("watch www.example.org --zone example.org")
        .await
        .expect(2);
    nsctl.run("watch --since yesterday").await.expect(2);
    // A revision from before a restore.
    nsctl.run("watch --since 1000000").await.expect(1);

    // An older copy of etcd's data: revisions begin again.
    let mut watcher = Watcher::start(nsctl, "");
    settled(nsctl, &watcher).await;
    let folder = TempDir::new();
    let copy = folder.path().join("copy");
    desk.etcd.down().await;
    Single::copy(&desk.etcd.data(), &copy);
    desk.etcd.up().await;
    let last = desk.nsctl.write("add new.example.org A 192.0.2.1").await;
    watcher.until(last).await;
    desk.etcd.down().await;
    Single::copy(&copy, &desk.etcd.data());
    desk.etcd.up().await;
    let status = watcher.0.end(Duration::from_secs(30)).await;
    assert_eq!(status.code(), Some(1), "{}", watcher.0.stderr());
    watcher.tells("another history").await;
}
