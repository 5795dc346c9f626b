//! Who changed what and when, and what zones were: `history`, `--at`, `diff --from`, `rollback`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::desk::Desk;
use serde_json::{Value, json};
use tests::{Cluster, Nsctl, TempDir, ensure, eventually};

/// More names than one transaction takes.
const HOSTS: usize = 300;

impl<E> Desk<E> {
    /// Runs a command that writes; its revision.
    async fn write(&self, command: &str) -> i64 {
        self.nsctl.write(command).await
    }

    /// The zone as a master file, without the comment and the SOA record, whose serial is another one.
    async fn export(&self, more: &str) -> Vec<String> {
        let command = format!("zone export example.org {more}");
        let told = self.nsctl.run(&command).await.expect(0).stdout;
        records(&told).collect()
    }

    async fn history(&self, more: &str) -> Vec<Value> {
        let told = self.nsctl.ok(&format!("history {more}")).await;
        told.as_array().expect("a list").clone()
    }
}

/// The records of a master file but for the SOA record.
fn records(file: &str) -> impl Iterator<Item = String> {
    let is_record = |line: &&str| !line.starts_with(';') && !line.contains(" SOA ");
    file.lines().filter(is_record).map(String::from)
}

/// A zone of so many names, all with this address.
fn zone(hosts: usize, address: &str) -> String {
    let head = "$TTL 300\n@ SOA ns1.example.com. h.example.com. 1 3600 600 604800 300\n";
    let hosts: String = (0..hosts).map(|n| format!("n{n} A {address}\n")).collect();
    format!("{head}@ NS ns1.example.com.\n{hosts}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_history_with_its_author() {
    let desk = Desk::new().await;
    let first = desk
        .write("add www.example.org A 192.0.2.1 --by alice --why moved")
        .await;
    let second = desk.write("set www.example.org A 192.0.2.2").await;
    let set = "zone set example.org --default-ttl 60";
    let preview = desk.nsctl.ok(&format!("{set} --dry-run")).await;
    let expected = json!([{"setting": "default TTL", "old": "300", "new": "60"}]);
    assert_eq!(preview["settings"], expected);
    desk.write(set).await;
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

/// The time now, later than all changes so far, as a moment. One that ended with a whole second would mean all of that
/// second.
fn now() -> String {
    loop {
        let told = std::process::Command::new("date")
            .args(["-u", "+%FT%T.%3NZ"])
            .output()
            .expect("it runs");
        let time = String::from_utf8(told.stdout).expect("text");
        if !time.trim_end().ends_with(".000Z") {
            return time.trim_end().into();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_goes_back_past_imports_edits_settings_and_rollbacks() {
    let desk = Desk::on_cluster().await;
    let start = desk.write("add www.example.org A 192.0.2.1 --ttl 60").await;
    let before = desk.export("").await;
    let settings = desk
        .write("zone set example.org --default-ttl 77 --minimum 5")
        .await;
    let import = format!(
        "zone import example.org {} --replace",
        desk.file("zone", &zone(HOSTS, "192.0.2.7"))
    );
    let imported = desk.write(&import).await;
    let imported_by = now();
    let whole = desk.export("").await;
    assert_eq!(whole.len(), 301);
    let editor = r#"sed -i -e "/^n7[.]/s/192.0.2.7$/192.0.2.77/" -e "/^n8[.]/d""#;
    let nsctl = desk.nsctl.with("-o", "json");
    let edited = nsctl.edit("example.org", editor).await.expect(0).json();
    let edited = edited["revision"].as_i64().expect("a revision");
    let edited_by = now();
    let after_edit = desk.export("").await;
    assert_eq!(after_edit.len(), 300);
    desk.write("add more.example.org A 192.0.2.8").await;
    let full = desk.export("").await;
    let newest = desk.history("--limit 1").await[0]["at"].clone();
    let newest = newest.as_str().expect("a time");
    for (moment, expected) in [
        (&*start.to_string(), &before),
        (&settings.to_string(), &before),
        (&imported.to_string(), &whole),
        (&imported_by, &whole),
        (&edited.to_string(), &after_edit),
        (&edited_by, &after_edit),
        // As the history shows it: all of the second.
        (newest, &full),
    ] {
        let export = desk.export(&format!("--at {moment}")).await;
        assert_eq!(&export, expected, "at {moment}");
    }
    let told = desk
        .nsctl
        .run(&format!("zone diff example.org --from {start}"))
        .await
        .expect(3);
    for line in [
        "- www.example.org. 60 A 192.0.2.1",
        "+ n299.example.org. 300 A 192.0.2.7",
        "+ n7.example.org. 300 A 192.0.2.77",
        "~ default TTL: 300 -> 77",
    ] {
        assert!(told.stdout.contains(line), "{line}: {}", told.stdout);
    }
    let difference = "- n7.example.org. 300 A 192.0.2.7\n+ n7.example.org. 300 A 192.0.2.77\n\
                      - n8.example.org. 300 A 192.0.2.7\n";
    for (from, to, expected) in [
        (&*imported.to_string(), &*edited.to_string(), difference),
        (&imported_by, &edited.to_string(), difference),
        (&imported.to_string(), &edited_by, difference),
        (&imported_by, &edited_by, difference),
        (&start.to_string(), &start.to_string(), "no differences\n"),
        (&edited_by, &edited.to_string(), "no differences\n"),
    ] {
        let command = format!("zone diff example.org --from {from} --to {to}");
        let code = if expected == difference { 3 } else { 0 };
        let told = desk.nsctl.run(&command).await.expect(code);
        assert_eq!(told.stdout, expected, "{command}");
    }

    // Past the import, the edit and the settings.
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
    let history = desk.history("").await;
    let back = desk
        .write(&format!("zone rollback example.org --to {start}"))
        .await;
    assert_eq!(desk.export("").await, before);
    let shown = desk.nsctl.ok("zone show example.org").await;
    assert_eq!(
        (&shown["default_ttl"], &shown["soa"]["minimum"]),
        (&json!(300), &json!(60))
    );
    // It has one entry itself, and takes no other away.
    let now = desk.history("").await;
    assert_eq!(now[1..], history);
    assert_eq!(
        (&now[0]["via"], &now[0]["revision"]),
        (&json!("nsctl zone rollback"), &json!(back))
    );
    // The rollback itself is taken back.
    desk.write(&format!("zone rollback example.org --to {}", back - 1))
        .await;
    assert_eq!(desk.export("").await, full);
    let again = desk
        .nsctl
        .ok(&format!("zone rollback example.org --to {}", back - 1))
        .await;
    assert_eq!(again["changed"], false);
    assert_eq!(desk.history("").await.len(), now.len() + 1);

    // A zone that was removed comes back with its records.
    let removed = desk.write("zone remove example.org").await;
    assert_eq!(desk.etcd.keys("/ns/v1/rr/").await, []);
    desk.nsctl
        .run("zone rollback example.org --to 1")
        .await
        .expect(3);
    desk.write(&format!("zone rollback example.org --to {}", removed - 1))
        .await;
    assert_eq!(desk.export("").await, full);
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_that_are_still_to_come_or_never_were_are_refused() {
    let desk = Desk::new().await;
    let added = desk.write("add www.example.org A 192.0.2.1").await;
    let late = added + 1000;
    for (command, code, reason) in [
        (
            format!("zone rollback example.org --to {late} --yes"),
            3,
            "still to come",
        ),
        (
            format!("zone export example.org --at {late}"),
            3,
            "still to come",
        ),
        (
            format!("zone diff example.org --from {late}"),
            3,
            "still to come",
        ),
        (
            "zone export example.org --at 9999-01-01".into(),
            2,
            "still to come",
        ),
        (
            "zone export example.org --at 0".into(),
            3,
            "did not exist then",
        ),
        (
            "zone export nosuch.example --at 1".into(),
            3,
            "there is no zone",
        ),
        (
            "history --zone nosuch.example".into(),
            3,
            "there is no zone",
        ),
    ] {
        let told = desk.nsctl.run(&command).await.expect(code);
        assert!(told.stderr.contains(reason), "{command}: {told:?}");
    }
    let other = desk
        .write("zone add example.net --ns ns1.example.com")
        .await;
    desk.write("zone remove example.net").await;
    let diff = format!("zone diff example.net --from {other}");
    let told = desk.nsctl.run(&diff).await.expect(3);
    assert!(told.complaint().contains("there is no zone"), "{told:?}");
    // What something else deletes is missed at the very revision that wrote it, too.
    let key = "/ns/v1/rr/org.example/2/www/A";
    let deleted = desk.etcd.etcdctl(&["del", key]).expect("deleted");
    assert_eq!(deleted.trim(), "1");
    let back = format!("zone rollback example.org --to {added} --yes");
    let told = desk.nsctl.run(&back).await.expect(3);
    assert!(
        told.complaint()
            .contains("www.example.org. A is not what the journal says")
    );
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
        desk.file("zone", &zone(HOSTS, "192.0.2.7"))
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
    // Entries past their age go with the next changes, and newer ones stay.
    desk.write("zone set example.org --journal-entries 500")
        .await;
    desk.write("zone set example.org --journal-age 2s").await;
    let before = desk.history("").await.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    for n in 0..3 {
        desk.write(&format!("set www.example.org A 192.0.2.{n}"))
            .await;
    }
    assert!(before <= 2 * 4, "more than two changes prune: {before}");
    let left = desk.history("").await.len();
    assert!((1..=3).contains(&left), "{left} entries are left");
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
    let mut random = fastrand::Rng::with_seed(tests::seed("a_killed_writer"));
    let desk = Desk::on_cluster().await;
    desk.write("zone set example.org --journal-entries 10000")
        .await;
    let started = Instant::now();
    desk.write("add www.example.org A 192.0.2.1").await;
    let took = started.elapsed();
    let (mut commands, mut acknowledged) = (Vec::new(), BTreeMap::new());
    for kill in 0..kills {
        let (host, octet) = (random.usize(..4), kill % 256);
        let command = match random.usize(..6) {
            0 => format!("set n{host}.example.org A 192.0.2.{octet}"),
            1 => format!("remove n{host}.example.org"),
            2 | 3 => {
                let file = desk.file("zone", &zone(1 + host, &format!("192.0.2.{octet}")));
                let more = if random.bool() { "--replace" } else { "" };
                format!("zone import example.org {file} {more}")
            }
            _ => format!("add n{host}.example.org TXT t{kill}"),
        };
        let mut endpoints = desk.etcd.endpoints().to_vec();
        endpoints.rotate_left(kill % 3);
        let nsctl = Nsctl::new(&endpoints).with("-o", "json");
        let mut process = nsctl.start(&format!("{command} --why {kill}"));
        tokio::time::sleep(took.mul_f64(2.0 * random.f64())).await;
        // With SIGKILL. It may have ended.
        process.kill();
        if let Ok(done) = serde_json::from_str::<Value>(&process.stdout())
            && done["changed"] == true
        {
            acknowledged.insert(kill, done["revision"].clone());
        }
        commands.push(command);
    }
    // What the last ones had sent may be done late.
    let limit = Duration::from_secs(30);
    let (history, content, changes) = eventually("nobody writes any more", limit, async || {
        let before = desk.etcd.revision().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let history = desk.history("--limit 10000").await;
        let found = (
            history,
            stored(&desk.nsctl).await,
            changes(&desk.etcd).await,
        );
        let after = desk.etcd.revision().await;
        ensure(after == before, || format!("{before}, then {after}"))?;
        Ok(found)
    })
    .await;
    let revisions = history.iter().map(|one| one["revision"].as_i64());
    let revisions: BTreeSet<Option<i64>> = revisions.collect();
    assert_eq!(revisions.len(), history.len(), "one entry for each change");
    assert_eq!(changes, history.len(), "one change for each entry");
    assert_eq!(replayed(&history), content);
    // Each is of one of the commands, and each command has one at most.
    let mut recorded = BTreeMap::new();
    for entry in &history {
        let Some(why) = entry["why"].as_str() else {
            continue;
        };
        let kill: usize = why.parse().expect("a number");
        let via = entry["via"].as_str().expect("text");
        let via = via.strip_prefix("nsctl ").expect("it is of nsctl");
        assert!(
            commands[kill].starts_with(via),
            "{}: {entry}",
            commands[kill]
        );
        let other = recorded.insert(kill, entry["revision"].clone());
        assert_eq!(other, None, "twice: {entry}");
    }
    assert_eq!(recorded.len() + 3, history.len(), "{history:?}");
    for (kill, revision) in &acknowledged {
        assert_eq!(recorded.get(kill), Some(revision), "{}", commands[*kill]);
    }
    println!(
        "{kills} kills, {} changes, {} acknowledged",
        recorded.len(),
        acknowledged.len()
    );
    assert!(
        recorded.len() < kills,
        "a poor test: nobody was killed in time"
    );
    assert!(
        !acknowledged.is_empty(),
        "a poor test: nobody came to an end"
    );
}

/// How often the zone was changed: each change writes the key of its serial.
async fn changes(cluster: &Cluster) -> usize {
    let key = ["get", "/ns/v1/serial/org.example", "-w", "json"];
    let told: Value = serde_json::from_str(&cluster.etcdctl(&key).await).expect("JSON");
    let version = told["kvs"][0]["version"].as_u64().expect("it is there");
    version as usize
}

/// A zone that is changed at random, and what it must have had after each change.
struct Walk<'a> {
    desk: &'a Desk,
    zone: &'static str,
    /// Its records as lines of a master file, by revision.
    states: BTreeMap<i64, BTreeSet<String>>,
    /// How many of the last states a rollback may go to.
    reach: usize,
}

impl<'a> Walk<'a> {
    /// Begins with a new zone with these settings.
    async fn new(desk: &'a Desk, zone: &'static str, settings: &str, reach: usize) -> Self {
        let add = format!("zone add {zone} --ns ns1.example.net");
        let set = format!("zone set {zone} {settings}");
        let (added, set) = (desk.write(&add).await, desk.write(&set).await);
        let first = BTreeSet::from([format!("{zone}. 3600 IN NS ns1.example.net.")]);
        Walk {
            desk,
            zone,
            states: [(added, first.clone()), (set, first)].into(),
            reach,
        }
    }

    /// What it had at a revision.
    fn at(&self, revision: i64) -> &BTreeSet<String> {
        let (_, lines) = self.states.range(..=revision).next_back().expect("a state");
        lines
    }

    /// Makes so many changes, as many of each kind.
    async fn go(&mut self, random: &mut fastrand::Rng, turns: usize) {
        let mut kinds: Vec<usize> = (0..turns).map(|turn| turn % 9).collect();
        random.shuffle(&mut kinds);
        for (turn, kind) in kinds.into_iter().enumerate() {
            self.change(random, turn, kind).await;
        }
    }

    async fn change(&mut self, random: &mut fastrand::Rng, turn: usize, kind: usize) {
        let (desk, zone) = (self.desk, self.zone);
        let (host, address) = (random.usize(..6), format!("192.0.2.{}", random.u8(..9)));
        let name = format!("n{host}.{zone}.");
        let is_here = |line: &String| line.starts_with(&format!("{name} "));
        let before = self.at(i64::MAX);
        let mut lines = before.clone();
        let command = match kind {
            0 | 1 => {
                lines.retain(|line| !is_here(line) || line.contains(" TXT "));
                lines.insert(format!("{name} {turn} IN A {address}"));
                format!("set {name} A {address} --ttl {turn}")
            }
            2 => {
                lines.insert(format!("{name} 60 IN TXT \"{address}\""));
                format!("add {name} TXT {address} --ttl 60")
            }
            3 => {
                lines.retain(|line| !is_here(line));
                format!("remove {name}")
            }
            4 => {
                lines.retain(|line| !is_here(line));
                lines.insert(format!("a.{name} 60 IN A {address}"));
                let text = format!("del {name}\nadd a.{name} 60 A {address}\n");
                format!("batch {}", desk.file("batch", &text))
            }
            5 => format!("zone set {zone} --default-ttl {}", turn + 1),
            6 | 7 => {
                let hosts = if kind == 6 { 9 * host } else { HOSTS };
                let line = |n| format!("n{n}.{zone}. 300 IN A {address}");
                lines = (0..hosts).map(line).collect();
                lines.insert(format!("{zone}. 300 IN NS ns1.example.com."));
                let file = desk.file("zone", &self::zone(hosts, &address));
                format!("zone import {zone} {file} --replace")
            }
            _ => {
                let states = self.states.iter().rev().take(self.reach);
                let (revision, then) = random.choice(states.collect::<Vec<_>>()).expect("one");
                lines.clone_from(then);
                format!("zone rollback {zone} --to {revision}")
            }
        };
        let told = desk.nsctl.ok(&command).await;
        if told["changed"] == true {
            let revision = told["revision"].as_i64().expect("a revision");
            self.states.insert(revision, lines);
        } else {
            assert_eq!(before, &lines, "{command}: {told}");
        }
    }

    /// Exports every revision since the zone was added. Returns how many of them are out of reach.
    async fn check(&self) -> usize {
        let (zone, mut refused) = (self.zone, 0);
        let history = self
            .desk
            .history(&format!("--zone {zone} --limit 1000"))
            .await;
        let recorded = history.iter().filter_map(|one| one["revision"].as_i64());
        let recorded: Vec<i64> = recorded.collect();
        let changed = self.states.keys().rev().copied().take(recorded.len());
        assert_eq!(recorded, changed.collect::<Vec<_>>());
        let (first, last) = (self.states.keys().next(), self.desk.etcd.revision());
        // What the oldest change began with is known, too.
        let oldest = recorded[recorded.len() - 1] - 1;
        for revision in *first.expect("a state")..=last {
            let command = format!("zone export {zone} --at {revision}");
            let told = self.desk.nsctl.run(&command).await;
            if revision < oldest {
                let why = "the journal does not reach that far back";
                assert!(told.expect(3).complaint().contains(why), "{command}");
                refused += 1;
            } else {
                let export = told.expect(0).stdout;
                let lines: BTreeSet<String> = records(&export).collect();
                assert_eq!(&lines, self.at(revision), "{command}");
            }
        }
        refused
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_revision_can_be_exported_again() {
    let mut random = fastrand::Rng::with_seed(tests::seed("every_revision"));
    let desk = Desk::new().await;
    let kept = "--journal-archives 100";
    let mut whole = Walk::new(&desk, "a.test", kept, usize::MAX).await;
    // The journal of this one never has less than the last eight changes.
    let kept = "--journal-archives 100 --journal-entries 10";
    let mut recent = Walk::new(&desk, "b.test", kept, 5).await;
    for _ in 0..3 {
        whole.go(&mut random, 18).await;
        recent.go(&mut random, 9).await;
    }
    let (whole, recent) = tokio::join!(whole.check(), recent.check());
    assert!(whole == 0 && recent > 0, "{whole} and {recent} refused");
}
