//! Who changed what and when, and what zones were: `history`, `--at`, `diff --from`, `rollback`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use crate::desk::Desk;
use serde_json::{Value, json};
use tests::{Cluster, Nsctl, TempDir};

impl Desk {
    /// Runs a command that writes; its revision.
    async fn write(&self, command: &str) -> i64 {
        self.nsctl.write(command).await
    }

    /// The zone as a master file, without the comment and the SOA record, whose serial is another one.
    async fn export(&self, more: &str) -> Vec<String> {
        let command = format!("zone export example.org {more}");
        let told = self.nsctl.run(&command).await.expect(0).stdout;
        let is_record = |line: &&str| !line.starts_with(';') && !line.contains(" SOA ");
        told.lines().filter(is_record).map(String::from).collect()
    }

    async fn history(&self, more: &str) -> Vec<Value> {
        let told = self.nsctl.ok(&format!("history {more}")).await;
        told.as_array().expect("a list").clone()
    }
}

/// A zone of more names than one transaction takes, all with this address.
fn zone(address: &str) -> String {
    let head = "$ORIGIN example.org.\n$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n";
    let hosts: String = (0..300).map(|n| format!("n{n} A {address}\n")).collect();
    format!("{head}@ NS ns1.example.com.\n{hosts}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_history_with_its_author() {
    let desk = Desk::new().await;
    let first = desk
        .write("add www.example.org A 192.0.2.1 --by alice --why moved")
        .await;
    let second = desk.write("set www.example.org A 192.0.2.2").await;
    desk.write("zone set example.org --default-ttl 60").await;
    desk.write("remove www.example.org").await;
    desk.write("zone remove example.org").await;
    let all = desk.history("").await;
    let via: Vec<&str> = all.iter().filter_map(|one| one["via"].as_str()).collect();
    let expected = [
        "zone remove",
        "remove",
        "zone set",
        "set",
        "add",
        "zone add",
    ];
    assert_eq!(via, expected.map(|command| format!("nsctl {command}")));
    let added = &all[4];
    assert_eq!(
        (&added["by"], &added["why"]),
        (&json!("alice"), &json!("moved"))
    );
    assert_eq!(added["revision"], json!(first));
    let set = json!([{
        "name": "www.example.org.", "type": "A",
        "old": {"ttl": 300, "rdata": ["192.0.2.1"]},
        "new": {"ttl": 300, "rdata": ["192.0.2.2"]},
    }]);
    assert_eq!(
        (&all[3]["changes"], &all[3]["revision"]),
        (&set, &json!(second))
    );
    assert!(
        all[3]["by"].as_str().is_some_and(|by| by.contains('@')),
        "{}",
        all[3]
    );
    // Of one name, some of them, and for people.
    let of_name = desk.history("www.example.org").await;
    let expected = [1, 3, 4].map(|index: usize| all[index]["revision"].clone());
    let mut revisions: Vec<Value> = of_name.iter().map(|one| one["revision"].clone()).collect();
    // That the zone came and went may have changed it, too.
    assert_eq!(
        (revisions.remove(0), revisions.pop()),
        (all[0]["revision"].clone(), Some(all[5]["revision"].clone()))
    );
    assert_eq!(revisions, expected);
    assert_eq!(desk.history("--limit 2").await.len(), 2);
    assert_eq!(desk.history("--since 1h").await.len(), all.len());
    assert_eq!(desk.history("--zone example.com").await.len(), 0);
    let told = desk
        .nsctl
        .run("history --zone example.org")
        .await
        .expect(0)
        .stdout;
    for line in [
        "# moved",
        "~ default TTL: 300 -> 60",
        "zone example.org. removed",
        "- www.example.org. 300 A 192.0.2.1",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // A dry run is no change.
    desk.nsctl
        .run("zone add example.org --ns ns1.example.net --dry-run")
        .await
        .expect(0);
    assert_eq!(desk.history("").await.len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_goes_back_past_imports_settings_and_rollbacks() {
    let desk = Desk::new().await;
    let start = desk.write("add www.example.org A 192.0.2.1 --ttl 60").await;
    let before = desk.export("").await;
    let settings = desk
        .write("zone set example.org --default-ttl 77 --minimum 5")
        .await;
    let import = format!(
        "zone import example.org {} --replace",
        desk.file("zone", &zone("192.0.2.7"))
    );
    let imported = desk.write(&import).await;
    let whole = desk.export("").await;
    assert_eq!(whole.len(), 301);
    desk.write("add more.example.org A 192.0.2.8").await;
    assert_eq!(desk.export(&format!("--at {imported}")).await, whole);
    assert_eq!(desk.export(&format!("--at {settings}")).await, before);
    let told = desk
        .nsctl
        .run(&format!("zone diff example.org --from {start}"))
        .await
        .expect(3);
    for line in [
        "- www.example.org. 60 A 192.0.2.1",
        "+ n299.example.org. 300 A 192.0.2.7",
        "~ default TTL: 300 -> 77",
    ] {
        assert!(told.stdout.contains(line), "{line}: {}", told.stdout);
    }
    let between = format!("zone diff example.org --from {start} --to {start}");
    desk.nsctl.run(&between).await.expect(0);

    // Past the import and the settings.
    let dry = desk
        .nsctl
        .run(&format!("zone rollback example.org --to {start} --dry-run"))
        .await
        .expect(0);
    assert!(
        dry.stdout.contains("+ www.example.org. 60 A 192.0.2.1"),
        "{}",
        dry.stdout
    );
    let back = desk
        .write(&format!("zone rollback example.org --to {start}"))
        .await;
    assert_eq!(desk.export("").await, before);
    let shown = desk.nsctl.ok("zone show example.org").await;
    assert_eq!(
        (&shown["default_ttl"], &shown["soa"]["minimum"]),
        (&json!(300), &json!(60))
    );
    // The rollback itself is taken back.
    desk.write(&format!("zone rollback example.org --to {}", back - 1))
        .await;
    assert_eq!(desk.export("").await.len(), 302);
    let again = desk
        .nsctl
        .ok(&format!("zone rollback example.org --to {}", back - 1))
        .await;
    assert_eq!(again["changed"], false);

    // A zone that was removed comes back with its records.
    let whole = desk.export("").await;
    let removed = desk.write("zone remove example.org").await;
    assert_eq!(
        desk.etcd
            .etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/rr/"])
            .expect("read")
            .trim(),
        ""
    );
    desk.nsctl
        .run("zone rollback example.org --to 1")
        .await
        .expect(3);
    desk.write(&format!("zone rollback example.org --to {}", removed - 1))
        .await;
    assert_eq!(desk.export("").await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_journal_does_not_reach_nothing_is_done() {
    let desk = Desk::new().await;
    desk.write("zone set example.org --journal-entries 3 --journal-archives 0")
        .await;
    let mut revisions = Vec::new();
    for n in 0..6 {
        revisions.push(
            desk.write(&format!("set www.example.org A 192.0.2.{n}"))
                .await,
        );
    }
    assert_eq!(desk.history("").await.len(), 3);
    for (moment, code) in [
        (revisions[5], 0),
        (revisions[2], 0),
        (revisions[1], 3),
        (2, 3),
    ] {
        let told = desk
            .nsctl
            .run(&format!("zone export example.org --at {moment}"))
            .await
            .expect(code);
        assert_eq!(
            told.stderr.contains("does not reach that far back"),
            code == 3,
            "{told:?}"
        );
    }
    // Something else has changed the record.
    let value = r#"{"ttl":1,"rdata":["192.0.2.99"]}"#;
    let key = desk
        .etcd
        .etcdctl(&["get", "--prefix", "--keys-only", "/ns/v1/rr/"])
        .expect("read");
    let key = key
        .lines()
        .find(|key| key.ends_with("/www/A"))
        .expect("a key")
        .to_string();
    desk.etcd.etcdctl(&["put", &key, value]).expect("written");
    let command = format!("zone rollback example.org --to {}", revisions[3]);
    let told = desk.nsctl.run(&command).await.expect(3);
    assert!(
        told.complaint()
            .contains("something other than nsctl has changed it"),
        "{told:?}"
    );
    assert!(
        desk.export("")
            .await
            .iter()
            .any(|line| line.ends_with("192.0.2.99"))
    );
    // Without archives an import is the end.
    let import = format!(
        "zone import example.org {} --replace",
        desk.file("zone", &zone("192.0.2.7"))
    );
    let imported = desk.write(&import).await;
    let told = desk
        .nsctl
        .run(&format!("zone export example.org --at {}", imported - 1))
        .await
        .expect(3);
    assert!(
        told.complaint().contains("no longer in the store"),
        "{told:?}"
    );
    // No journal at all, and none of what was.
    desk.write("zone set example.org --journal-entries 0").await;
    desk.write("add a.example.org A 192.0.2.1").await;
    assert_eq!(desk.history("").await.len(), 0);
    desk.nsctl
        .run("zone clean example.org --history")
        .await
        .expect(0);
    assert_eq!(
        desk.etcd
            .etcdctl(&["get", "--prefix", "--keys-only", "/ns/journal/"])
            .expect("read")
            .trim(),
        ""
    );
    for bad in [
        "zone rollback example.org --to x",
        "history --since soon",
        "zone export example.org --at -1",
    ] {
        desk.nsctl.run(bad).await.expect(2);
    }
}

/// A zone as JSON of RRsets, by name and type.
type Content = BTreeMap<(String, String), Value>;

/// The zone as its history tells it, from nothing.
fn replayed(history: &[Value]) -> Content {
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let mut content = Content::new();
    for entry in history.iter().rev() {
        for change in entry["changes"].as_array().expect("changes") {
            let place = (text(&change["name"]), text(&change["type"]));
            let old = content.remove(&place).unwrap_or(Value::Null);
            assert_eq!(old, change["old"], "{entry}");
            if !change["new"].is_null() {
                content.insert(place, change["new"].clone());
            }
        }
    }
    content
}

async fn stored(nsctl: &Nsctl) -> Content {
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let listed = nsctl.ok("list --zone example.org").await;
    let rrsets = listed.as_array().expect("a list").iter();
    rrsets
        .map(|one| {
            let place = (text(&one["name"]), text(&one["type"]));
            (place, json!({"ttl": one["ttl"], "rdata": one["rdata"]}))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_writers_that_get_in_each_others_way_gives_the_zone() {
    const WRITERS: usize = 8;
    const BATCHES: usize = 12;
    let cluster = Cluster::start(3, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    nsctl
        .run("zone add example.org --ns ns1.example.net --journal-entries 10000")
        .await
        .expect(0);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut endpoints = cluster.endpoints().to_vec();
            endpoints.rotate_left(writer % 3);
            let (nsctl, folder) = (Nsctl::new(&endpoints).with("-o", "json"), TempDir::new());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(writer as u64);
                let mut revisions = Vec::new();
                for _ in 0..BATCHES {
                    let mut text = "$ORIGIN example.org.\n".to_string();
                    for _ in 0..random.usize(1..30) {
                        let (name, address) = (random.usize(..20), random.u8(..4));
                        text += &match random.usize(..4) {
                            0 => format!("del n{name} A 192.0.2.{address}\n"),
                            1 => format!("set n{name} 60 A 192.0.2.{address}\n"),
                            2 => format!("del n{name}\n"),
                            _ => format!("add n{name} A 192.0.2.{address}\n"),
                        };
                    }
                    let file = folder.write("batch", &text).display().to_string();
                    let done = nsctl.run(&format!("batch {file}")).await.expect(0).json();
                    if done["changed"] == true {
                        revisions.push(done["revision"].as_i64().expect("a revision"));
                    }
                }
                revisions
            })
        })
        .collect();
    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no panic"));
    }
    let history = nsctl.ok("history --zone example.org --limit 10000").await;
    let history = history.as_array().expect("a list");
    let batches = history.iter().filter(|one| one["via"] == "nsctl batch");
    let recorded: Vec<i64> = batches.filter_map(|one| one["revision"].as_i64()).collect();
    assert!(
        recorded.is_sorted_by(|a, b| a > b),
        "the newest first, each once: {recorded:?}"
    );
    assert_eq!(
        recorded.iter().copied().collect::<BTreeSet<_>>(),
        acknowledged
    );
    assert_eq!(replayed(history), stored(&nsctl).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_writer_leaves_no_change_without_its_entry() {
    let kills = match std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1") {
        true => 300,
        false => 40,
    };
    let desk = Desk::new().await;
    desk.write("zone set example.org --journal-entries 10000")
        .await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills {
        let endpoint = desk.etcd.endpoint().to_string();
        let mut child = tokio::process::Command::new(tests::binary("nsctl"))
            .args([
                "--endpoints",
                &endpoint,
                "-o",
                "json",
                "add",
                "www.example.org",
                "TXT",
            ])
            .arg(format!("t{kill}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        tokio::time::sleep(Duration::from_micros(random.u64(..60_000))).await;
        // It may have ended.
        let _ = child.start_kill();
        let output = child.wait_with_output().await.expect("it ends");
        if let Ok(done) = serde_json::from_slice::<Value>(&output.stdout) {
            acknowledged.insert(done["revision"].as_i64().expect("a revision"));
        }
    }
    let history = desk.history("--limit 10000").await;
    let revisions: BTreeSet<i64> = history
        .iter()
        .filter_map(|one| one["revision"].as_i64())
        .collect();
    assert_eq!(revisions.len(), history.len(), "one entry for each change");
    assert!(
        acknowledged.is_subset(&revisions),
        "{acknowledged:?} {revisions:?}"
    );
    let written = history
        .iter()
        .filter(|one| one["via"] == "nsctl add")
        .count();
    assert!(written < kills, "a poor test: nobody was killed in time");
    assert!(
        !acknowledged.is_empty(),
        "a poor test: nobody came to an end"
    );
    assert_eq!(replayed(&history), stored(&desk.nsctl).await);
    println!(
        "{kills} kills, {written} changes, {} acknowledged",
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_can_be_exported_again() {
    const TURNS: usize = 60;
    let desk = Desk::new().await;
    desk.write("zone set example.org --journal-archives 100")
        .await;
    let mut random = fastrand::Rng::with_seed(5);
    let mut states: Vec<(i64, Vec<String>)> = Vec::new();
    for turn in 0..TURNS {
        let (host, address) = (random.usize(..6), random.u8(..9));
        let command = match random.usize(..9) {
            0 | 1 => format!("set n{host}.example.org A 192.0.2.{address} --ttl {turn}"),
            2 => format!("add n{host}.example.org TXT t{address}"),
            3 => format!("remove n{host}.example.org"),
            4 => {
                let text = format!(
                    "del n{host}.example.org\nadd a.n{host}.example.org 60 A 192.0.2.{address}\n"
                );
                format!("batch {}", desk.file("batch", &text))
            }
            5 => format!("zone set example.org --default-ttl {}", turn + 1),
            6 => {
                let all = zone(&format!("192.0.2.{address}"));
                let some: String = all.split_inclusive('\n').take(4 + 9 * host).collect();
                let file = desk.file("some.zone", &some);
                format!("zone import example.org {file} --replace --force")
            }
            7 => {
                let file = desk.file("all.zone", &zone(&format!("192.0.2.{address}")));
                format!("zone import example.org {file} --replace --force")
            }
            _ if states.is_empty() => continue,
            _ => {
                let (revision, _) = states[random.usize(..states.len())];
                format!("zone rollback example.org --to {revision} --yes")
            }
        };
        let told = desk.nsctl.ok(&command).await;
        let revision = told["revision"].as_i64().expect("a revision");
        states.push((revision, desk.export("").await));
    }
    let mut replaced = 0;
    for (revision, export) in &states {
        assert_eq!(
            &desk.export(&format!("--at {revision}")).await,
            export,
            "at revision {revision}"
        );
        replaced += usize::from(export.len() > 200);
    }
    let is_varied = replaced > 5 && replaced + 5 < states.len();
    assert!(is_varied, "a poor test: {replaced} of {}", states.len());
}
