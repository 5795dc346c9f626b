//! Records come, change and go through `nsctl`, and are seen on every front-end.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::base::iana::Rtype;
use serde_json::{Value, json};
use tests::{Nsctl, TempDir, World, dns, ensure, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn records_come_change_and_go_everywhere() {
    let world = World::start().await;
    records_are_added_set_and_removed(&world).await;
    what_changes_nothing_writes_nothing(&world).await;
    every_type_is_answered(&world).await;
    serials_agree_and_grow(&world).await;
    zones_are_listed_shown_and_removed(&world).await;
    zones_are_exported_and_imported(&world).await;
    status_tells_of_members_and_frontends(&world).await;
}

async fn records_are_added_set_and_removed(world: &World) {
    let www = "www.example.org";
    world.expect(www, Rtype::A, "NXDOMAIN", &[]).await;

    let added = world
        .nsctl
        .ok("add www.example.org A 192.0.2.1 192.0.2.2 --ttl 60 --wait")
        .await;
    assert_eq!(added["zone"], "example.org.");
    assert_eq!(added["changed"], true);
    assert_eq!(added["removed"], json!([]));
    let first = json!({"name": "www.example.org.", "ttl": 60, "type": "A", "rdata": "192.0.2.1"});
    assert_eq!(added["added"][0], first);
    let both = [
        "www.example.org. 60 A 192.0.2.1",
        "www.example.org. 60 A 192.0.2.2",
    ];
    world.expect(www, Rtype::A, "NOERROR", &both).await;
    // Another type at the name, and the name's spelling.
    world.expect(www, Rtype::AAAA, "NOERROR", &[]).await;
    world
        .expect(
            "WwW.eXample.ORG",
            Rtype::A,
            "NOERROR",
            &both
                .map(|line| line.replace("www.example.org", "WwW.eXample.ORG"))
                .each_ref()
                .map(String::as_str),
        )
        .await;

    // A set has one TTL: that of the records that are there, where none is given.
    world
        .nsctl
        .write("add www.example.org A 192.0.2.3 --wait")
        .await;
    let three = [both[0], both[1], "www.example.org. 60 A 192.0.2.3"];
    world.expect(www, Rtype::A, "NOERROR", &three).await;

    world
        .nsctl
        .write("set www.example.org A 198.51.100.1 --ttl 5 --wait")
        .await;
    world
        .expect(
            www,
            Rtype::A,
            "NOERROR",
            &["www.example.org. 5 A 198.51.100.1"],
        )
        .await;

    world
        .nsctl
        .write("add www.example.org AAAA 2001:db8::1 --wait")
        .await;
    world
        .nsctl
        .write("remove www.example.org A 198.51.100.1 --wait")
        .await;
    world.expect(www, Rtype::A, "NOERROR", &[]).await;
    world
        .expect(
            www,
            Rtype::AAAA,
            "NOERROR",
            &["www.example.org. 300 AAAA 2001:db8::1"],
        )
        .await;

    world.nsctl.write("remove www.example.org --wait").await;
    world.expect(www, Rtype::AAAA, "NXDOMAIN", &[]).await;
}

async fn what_changes_nothing_writes_nothing(world: &World) {
    let revision = world
        .nsctl
        .write("add same.example.org A 192.0.2.7 --wait")
        .await;
    for command in [
        "add same.example.org A 192.0.2.7",
        "add SAME.example.ORG. A 192.0.2.7",
        "set same.example.org A 192.0.2.7",
        "remove same.example.org A 192.0.2.8",
        "remove same.example.org TXT",
        "remove other.example.org",
    ] {
        let before = world.cluster.revision().await;
        let json = world.nsctl.ok(command).await;
        assert_eq!(json["changed"], false, "{command}: {json}");
        assert_eq!(json["revision"], revision, "{command}: {json}");
        assert_eq!(
            (&json["added"], &json["removed"]),
            (&json!([]), &json!([])),
            "{command}: {json}"
        );
        assert_eq!(
            world.cluster.revision().await,
            before,
            "{command} wrote something"
        );
        // The same for a person: it says so.
        let told = world.nsctl.run(command).await.expect(0);
        assert!(
            told.stdout.contains("unchanged"),
            "{command}: {:?}",
            told.stdout
        );
    }
    // It can be waited for like a change.
    world
        .nsctl
        .ok("add same.example.org A 192.0.2.7 --wait")
        .await;
}

async fn every_type_is_answered(world: &World) {
    let name = "types.example.org";
    // What they point to is there: an import refuses what points to nothing.
    for target in ["ns1", "mail", "www"] {
        let command = format!("add {target}.example.org A 192.0.2.53");
        world.nsctl.write(&command).await;
    }
    let types = [
        ("MX", "10 mail.example.org.", "10 mail.example.org."),
        ("TXT", "v=spf1 -all", "\"v=spf1 -all\""),
        ("CAA", "0 issue \"ca.example\"", "0 issue \"ca.example\""),
        (
            "SRV",
            "1 2 443 www.example.org.",
            // The DNS library prints it without the final dot.
            "1 2 443 www.example.org",
        ),
        ("TYPE65280", "\\# 3 ABCDEF", "\\# 3 ab cd ef"),
    ];
    for (rtype, rdata, wanted) in types {
        world
            .nsctl
            .run_args(&["add", name, rtype, rdata, "--wait"])
            .await
            .expect(0);
        let line = format!("types.example.org. 300 {rtype} {wanted}").to_lowercase();
        for frontend in &world.frontends {
            let asked = rtype.parse().expect("a type that the DNS library knows");
            let answer = dns::udp(frontend.dns, name, asked)
                .await
                .expect("an answer");
            let lower: Vec<String> = answer
                .answers
                .iter()
                .map(|line| line.to_lowercase())
                .collect();
            assert_eq!(lower.join("\n"), line, "{}", frontend.id);
        }
    }
    world
        .nsctl
        .write("add alias.example.org CNAME same.example.org. --wait")
        .await;
    let chain = [
        "alias.example.org. 300 CNAME same.example.org.",
        "same.example.org. 300 A 192.0.2.7",
    ];
    world
        .expect("alias.example.org", Rtype::A, "NOERROR", &chain)
        .await;
    world
        .expect("www.example.net", Rtype::A, "REFUSED", &[])
        .await;
}

/// The serials that the front-ends answer. They are to be one.
async fn serial(world: &World) -> u32 {
    let mut serials = BTreeSet::new();
    for frontend in &world.frontends {
        let answer = dns::udp(frontend.dns, "example.org", Rtype::SOA)
            .await
            .expect("an answer");
        assert!(answer.aa, "{answer:?}");
        let serial = answer.answers[0]
            .split(' ')
            .nth(5)
            .and_then(|serial| serial.parse().ok());
        serials.insert(serial.unwrap_or_else(|| panic!("no serial in {:?}", answer.answers)));
    }
    assert_eq!(serials.len(), 1, "front-ends disagree: {serials:?}");
    serials.into_iter().next().expect("one")
}

async fn serials_agree_and_grow(world: &World) {
    let mut last = serial(world).await;
    for command in [
        "add serial.example.org A 192.0.2.1 --wait",
        "set serial.example.org A 192.0.2.2 --wait",
        "remove serial.example.org --wait",
    ] {
        world.nsctl.write(command).await;
        let next = serial(world).await;
        assert!(next > last, "{command}: {last} -> {next}");
        last = next;
    }
    // What does not touch the zone leaves its serial alone.
    world
        .nsctl
        .write("zone add example.com --ns ns1.example.org --wait")
        .await;
    world
        .nsctl
        .write("add www.example.com A 192.0.2.1 --wait")
        .await;
    assert_eq!(serial(world).await, last);
}

async fn zones_are_listed_shown_and_removed(world: &World) {
    let zones = world.nsctl.ok("zone list").await.to_string();
    assert!(
        zones.contains("example.org.") && zones.contains("example.com."),
        "{zones}"
    );
    let shown = world.nsctl.ok("zone show example.com").await.to_string();
    assert!(shown.contains("ns1.example.org."), "{shown}");
    world
        .expect(
            "www.example.com",
            Rtype::A,
            "NOERROR",
            &["www.example.com. 300 A 192.0.2.1"],
        )
        .await;
    world.nsctl.write("zone remove example.com --wait").await;
    world
        .expect("www.example.com", Rtype::A, "REFUSED", &[])
        .await;
    let keys = world.cluster.keys("/ns/v1/rr/com.example/").await;
    assert!(keys.is_empty(), "left behind: {keys:?}");
}

/// Names, types, TTLs and rdata of a zone, as a set.
async fn records(nsctl: &Nsctl, zone: &str) -> BTreeSet<String> {
    let listed = nsctl.ok(&format!("list --zone {zone}")).await;
    let rrsets = listed.as_array().expect("a list");
    let lines = rrsets.iter().flat_map(|rrset| {
        assert_eq!(rrset["zone"], format!("{zone}."), "{rrset}");
        let text = |field: &str| {
            rrset[field]
                .as_str()
                .map_or_else(|| rrset[field].to_string(), str::to_string)
        };
        let rdata = rrset["rdata"].as_array().cloned().unwrap_or_default();
        rdata.into_iter().map(move |rdata: Value| {
            let rdata = rdata.as_str().expect("rdata is text").to_string();
            format!("{} {} {} {rdata}", text("name"), text("ttl"), text("type"))
        })
    });
    lines.collect()
}

async fn zones_are_exported_and_imported(world: &World) {
    let folder = TempDir::new();
    let exported = world
        .nsctl
        .run("zone export example.org")
        .await
        .expect(0)
        .stdout;
    let file = folder.write("example.org.zone", &exported);
    let before = records(&world.nsctl, "example.org").await;
    assert!(before.len() >= 8, "a poor test: {before:?}");

    // Into another installation, where it makes the zone.
    let elsewhere = world.nsctl.with("--prefix", "/other");
    let file = file.display().to_string();
    elsewhere
        .run_args(&["zone", "import", "example.org", &file])
        .await
        .expect(0);
    assert_eq!(records(&elsewhere, "example.org").await, before);

    // Over itself it changes nothing; with --replace it takes away what the file does not have. It was exported before
    // that was written: by force, then.
    world
        .nsctl
        .write("add extra.example.org A 192.0.2.9 --wait")
        .await;
    world
        .nsctl
        .run_args(&["zone", "import", "example.org", &file, "--wait"])
        .await
        .expect(0);
    world
        .expect(
            "extra.example.org",
            Rtype::A,
            "NOERROR",
            &["extra.example.org. 300 A 192.0.2.9"],
        )
        .await;
    let last = serial(world).await;
    world
        .nsctl
        .run_args(&[
            "zone",
            "import",
            "example.org",
            &file,
            "--replace",
            "--force",
            "--wait",
        ])
        .await
        .expect(0);
    world
        .expect("extra.example.org", Rtype::A, "NXDOMAIN", &[])
        .await;
    world
        .expect(
            "same.example.org",
            Rtype::A,
            "NOERROR",
            &["same.example.org. 300 A 192.0.2.7"],
        )
        .await;
    assert_eq!(records(&world.nsctl, "example.org").await, before);
    assert!(serial(world).await > last, "the serial went back");
}

async fn status_tells_of_members_and_frontends(world: &World) {
    let status = world.nsctl.ok("status").await;
    assert_eq!(
        status["members"].as_array().map(Vec::len),
        Some(3),
        "{status}"
    );
    let frontends = status["frontends"].as_array().expect("a list");
    let ids: Vec<&str> = frontends
        .iter()
        .filter_map(|frontend| frontend["id"].as_str())
        .collect();
    assert_eq!(ids, ["fe1", "fe2", "fe3"]);
    for frontend in frontends {
        assert_eq!(
            (&frontend["ready"], &frontend["lag"]),
            (&json!(true), &json!(0)),
            "{frontend}"
        );
    }
    for frontend in &world.frontends {
        eventually("it is fresh", Duration::from_secs(20), async || {
            let age = frontend.status().await["fresh_age_ms"].as_u64();
            ensure(age.is_some_and(|age| age < 5000), || format!("{age:?}"))
        })
        .await;
        let own = frontend.status().await;
        assert_eq!(own["id"], frontend.id.as_str());
        assert_eq!(
            (&own["ready"], &own["watching"], &own["quarantined"]),
            (&json!(true), &json!(true), &json!(0))
        );
        assert_eq!(
            (&own["zones"], &own["trouble"]),
            (&json!(1), &Value::Null),
            "{own}"
        );
        assert_eq!(frontend.get("/healthz").await.expect("an answer").code, 200);
        let metrics = frontend.get("/metrics").await.expect("an answer");
        assert!(
            metrics.code == 200 && metrics.body.ends_with("# EOF\n"),
            "{metrics:?}"
        );
    }
}
