//! History that a front-end has missed is gone when it comes back: it lists again, and serves just what
//! is there.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Gate, World, ensure, eventually, expect_at};

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_was_cut_off_survives_compaction() {
    let mut world = World::with(1).await;
    let mut gates = Vec::new();
    for endpoint in world.cluster.endpoints() {
        gates.push(Gate::to(endpoint).await);
    }
    let endpoints: Vec<String> = gates
        .iter()
        .map(|gate| gate.endpoint().to_string())
        .collect();
    world
        .frontends
        .push(Frontend::start("fe2", &endpoints, &[]).await);
    world.registered(2).await;
    for name in ["keep", "change", "gone", "deep.gone"] {
        world
            .nsctl
            .write(&format!("add {name}.example.org A 192.0.2.1 --wait"))
            .await;
    }
    world
        .nsctl
        .write("zone add example.com --ns ns1.example.org --wait")
        .await;

    gates.iter().for_each(Gate::close);
    let cut = &world.frontends[1];
    eventually(
        "fe2 notices that it is cut off",
        Duration::from_secs(10),
        async || {
            let status = cut.status().await;
            ensure(status["watching"] == false, || status.to_string())
        },
    )
    .await;
    for command in [
        "remove gone.example.org",
        "remove deep.gone.example.org A",
        "set change.example.org A 192.0.2.2 --ttl 7",
        "add new.example.org A 192.0.2.3",
        "zone remove example.com",
        "zone add example.net --ns ns1.example.org",
    ] {
        world.nsctl.write(command).await;
    }
    // The write that fe2 would go on from is gone, and so is the one after it.
    let revision = world.cluster.compact().await;
    let applied = cut.status().await["applied"]
        .as_i64()
        .expect("fe2 was synced");
    assert!(applied + 1 < revision, "a poor test: {applied}, {revision}");
    // Until it is back it serves what it had.
    expect_at(
        cut,
        "gone.example.org",
        Rtype::A,
        "NOERROR",
        &["gone.example.org. 300 A 192.0.2.1"],
    )
    .await;
    expect_at(cut, "new.example.org", Rtype::A, "NXDOMAIN", &[]).await;

    gates.iter().for_each(Gate::open);
    let last = world.nsctl.write("add last.example.org A 192.0.2.4").await;
    world.applied(last, Duration::from_secs(20)).await;
    world
        .expect(
            "keep.example.org",
            Rtype::A,
            "NOERROR",
            &["keep.example.org. 300 A 192.0.2.1"],
        )
        .await;
    world
        .expect(
            "change.example.org",
            Rtype::A,
            "NOERROR",
            &["change.example.org. 7 A 192.0.2.2"],
        )
        .await;
    world
        .expect(
            "new.example.org",
            Rtype::A,
            "NOERROR",
            &["new.example.org. 300 A 192.0.2.3"],
        )
        .await;
    world
        .expect(
            "last.example.org",
            Rtype::A,
            "NOERROR",
            &["last.example.org. 300 A 192.0.2.4"],
        )
        .await;
    for name in ["gone.example.org", "deep.gone.example.org"] {
        world.expect(name, Rtype::A, "NXDOMAIN", &[]).await;
    }
    world.expect("example.com", Rtype::NS, "REFUSED", &[]).await;
    world
        .expect(
            "example.net",
            Rtype::NS,
            "NOERROR",
            &["example.net. 3600 NS ns1.example.org."],
        )
        .await;
    let counts = async |frontend: &Frontend| {
        let status = frontend.status().await;
        (
            status["zones"].clone(),
            status["rrsets"].clone(),
            status["applied"].clone(),
        )
    };
    assert_eq!(
        counts(&world.frontends[0]).await,
        counts(&world.frontends[1]).await
    );

    let log = world.frontends[1].log();
    let told = log
        .iter()
        .any(|line| line.to_string().contains("compacted"));
    assert!(
        told,
        "a poor test: fe2 was not refused the history: {log:?}"
    );

    // Changes come over the new watch, too.
    world.nsctl.write("remove last.example.org --wait").await;
    world
        .expect("last.example.org", Rtype::A, "NXDOMAIN", &[])
        .await;
}
