//! Values in etcd that are no records: what was good goes on being served, and the rest goes on changing.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::World;

const WWW: [&str; 1] = ["www.example.org. 300 A 192.0.2.1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_value_is_put_aside_and_all_else_goes_on() {
    let world = World::start().await;
    world
        .nsctl
        .write("add www.example.org A 192.0.2.1 --wait")
        .await;
    let key = world.cluster.key_ending("/ns/v1/rr/", "/www/A").await;

    for garbage in [
        "no JSON",
        "",
        "[]",
        r#"{"ttl":300}"#,
        r#"{"ttl":300,"rdata":[]}"#,
        r#"{"ttl":300,"rdata":["192.0.2.256"]}"#,
        r#"{"ttl":2147483648,"rdata":["192.0.2.1"]}"#,
        r#"{"ttl":-1,"rdata":["192.0.2.1"]}"#,
    ] {
        world.cluster.etcdctl(&["put", &key, garbage]).await;
        quarantined(&world, 1).await;
        world
            .expect("www.example.org", Rtype::A, "NOERROR", &WWW)
            .await;
    }
    for frontend in &world.frontends {
        let told = frontend
            .log()
            .iter()
            .any(|line| line["level"] == "WARN" && line.to_string().contains("/www/A"));
        assert!(told, "{} does not log the key", frontend.id);
    }

    let metrics = world.frontends[0].get("/metrics").await;
    let metrics = metrics.expect("an answer").body;
    assert!(metrics.contains("nsd_quarantined 1.0\n"), "{metrics}");
    let status = world.nsctl.run("status").await.expect(3).stdout;
    let named = format!("fe1, fe2, fe3: {key} cannot be used: ");
    assert!(status.contains(&named), "{status}");

    let before = world
        .nsctl
        .write("add other.example.org A 192.0.2.2 --wait")
        .await;
    world
        .expect(
            "other.example.org",
            Rtype::A,
            "NOERROR",
            &["other.example.org. 300 A 192.0.2.2"],
        )
        .await;
    new_keys_are_ignored(&world, &key).await;

    // What goes is told, as far as it can be.
    let other = key.replace("/www/", "/mail/");
    world.cluster.etcdctl(&["put", &other, "no JSON"]).await;
    let removed = world
        .nsctl
        .run("remove mail.example.org")
        .await
        .expect(0)
        .stdout;
    assert!(
        removed
            .starts_with("- mail.example.org. A, whose value could not be read\ndone, revision "),
        "{removed}"
    );
    let again = world
        .nsctl
        .run("remove mail.example.org")
        .await
        .expect(0)
        .stdout;
    assert!(again.starts_with("unchanged: not there"), "{again}");

    // What is there cannot be added to, as nobody knows what it is; it can be replaced.
    let refused = world
        .nsctl
        .run("add www.example.org A 192.0.2.3")
        .await
        .expect(3);
    assert!(refused.complaint().contains(&key), "{:?}", refused.stderr);
    let after = world
        .nsctl
        .write("set www.example.org A 192.0.2.3 --wait")
        .await;
    assert!(after > before);
    world
        .expect(
            "www.example.org",
            Rtype::A,
            "NOERROR",
            &["www.example.org. 300 A 192.0.2.3"],
        )
        .await;
    quarantined(&world, 0).await;
    the_zone_itself(&world).await;
}

async fn new_keys_are_ignored(world: &World, key: &str) {
    let keys = [
        key.replace("/www/", "/new/"),
        key.replace("/www/A", "/www/NOTYPE"),
        key.replace("/www/", "/bad..name/"),
        "/ns/v1/rr/org.example/x/www/A".into(),
        "/ns/v1/unheard/of".into(),
    ];
    for key in &keys {
        world.cluster.etcdctl(&["put", key, "no JSON"]).await;
    }
    world
        .nsctl
        .write("set other.example.org A 192.0.2.4 --wait")
        .await;
    world
        .expect(
            "other.example.org",
            Rtype::A,
            "NOERROR",
            &["other.example.org. 300 A 192.0.2.4"],
        )
        .await;
    world
        .expect("new.example.org", Rtype::A, "NXDOMAIN", &[])
        .await;
    world
        .expect("www.example.org", Rtype::A, "NOERROR", &WWW)
        .await;
    for frontend in &world.frontends {
        let count = frontend.status().await["quarantined"].as_u64();
        assert!(count >= Some(2), "{} counts {count:?}", frontend.id);
    }
    for key in &keys {
        world.cluster.etcdctl(&["del", key]).await;
    }
    quarantined(world, 1).await;
}

async fn the_zone_itself(world: &World) {
    let (key, good) = world
        .cluster
        .keys("/ns/v1/zone/org.example")
        .await
        .remove(0);
    world.cluster.etcdctl(&["put", &key, "no JSON"]).await;
    quarantined(world, 1).await;
    world
        .expect(
            "www.example.org",
            Rtype::A,
            "NOERROR",
            &["www.example.org. 300 A 192.0.2.3"],
        )
        .await;
    world.cluster.etcdctl(&["put", &key, &good]).await;
    quarantined(world, 0).await;
    world
        .expect(
            "www.example.org",
            Rtype::A,
            "NOERROR",
            &["www.example.org. 300 A 192.0.2.3"],
        )
        .await;
}

/// Waits until every front-end has seen all writes, and checks that it has so many keys aside.
async fn quarantined(world: &World, count: u64) {
    let revision = world.cluster.revision().await;
    world.applied(revision, Duration::from_secs(10)).await;
    for frontend in &world.frontends {
        let status = frontend.status().await;
        assert_eq!(status["quarantined"], count, "{}: {status}", frontend.id);
    }
}
