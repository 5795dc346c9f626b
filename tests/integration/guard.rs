//! Somebody deletes everything: front-ends serve on, until an operator says that it is meant.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, TempDir, World, dns, ensure, eventually, expect_at};

const WWW: [&str; 1] = ["h7.large.test. 300 A 10.0.0.7"];

/// A zone `large.test` with so many addresses.
fn large(addresses: usize) -> String {
    let many: String = (0..addresses)
        .map(|index| format!("h{index} A 10.0.{}.{}\n", index >> 8, index & 255))
        .collect();
    format!(
        "$ORIGIN large.test.\n$TTL 300\n@ SOA ns1.example.org. h 1 3600 600 1209600 60\n@ NS ns1.example.org.\n{many}"
    )
}

/// One transaction, which comes in fragments: all of it is taken in one step, or the rest of its revision is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_at_once_is_gone_at_once() {
    // etcd fragments what is longer than this and half a MiB more.
    let cluster = Cluster::start(3, &["--max-request-bytes", "65536"]).await;
    let (world, folder) = (World::on(cluster, 1).await, TempDir::new());
    let file = folder.write("zone", &large(16_000)).display().to_string();
    let import = format!("zone import large.test {file} --wait 30s");
    world.nsctl.write(&import).await;
    let frontend = &world.frontends[0];
    let all = frontend.status().await["rrsets"].clone();
    assert!(all.as_u64() > Some(16_000), "{all}");
    world.cluster.etcdctl(&["del", "--prefix", "/ns"]).await;
    eventually("it is held back", Duration::from_secs(10), async || {
        let held = frontend.status().await["held"].clone();
        ensure(!held.is_null(), || held.to_string())
    })
    .await;
    let held = frontend.status().await["held"].clone();
    assert_eq!((&held["gone"], &held["of"]), (&all, &all));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_prefix_is_held_back_until_it_is_accepted() {
    let world = World::with(2).await;
    let (nsctl, folder) = (&world.nsctl, TempDir::new());
    let file = folder.write("zone", &large(2_000)).display().to_string();
    let import = format!("zone import large.test {file} --wait");
    nsctl.write(&import).await;
    for (zone, consistency) in [
        ("bounded.test", "bounded:2s"),
        ("exact.test", "linearizable"),
    ] {
        nsctl
            .write(&format!(
                "zone add {zone} --ns ns1.example.org --consistency {consistency}"
            ))
            .await;
        nsctl
            .write(&format!("add www.{zone} A 192.0.2.1 --wait"))
            .await;
    }
    let nothing = nsctl.run("accept").await.expect(0);
    assert_eq!(nothing.stdout, "nothing is held back\n");

    world.cluster.etcdctl(&["del", "--prefix", "/ns"]).await;
    for frontend in &world.frontends {
        eventually("it is held back", Duration::from_secs(10), async || {
            let status = frontend.status().await;
            ensure(status["held"]["gone"].as_u64() > Some(2_000), || {
                status.to_string()
            })
        })
        .await;
        expect_at(frontend, "h7.large.test", Rtype::A, "NOERROR", &WWW).await;
    }
    // What is served in place of what there is proves nothing.
    for frontend in &world.frontends {
        eventually("it proves nothing", Duration::from_secs(10), async || {
            let bounded = dns::udp(frontend.dns, "www.bounded.test", Rtype::A).await?;
            let status = frontend.status().await;
            let age = status["fresh_age_ms"].as_u64();
            ensure(bounded.ede == [23] && age > Some(2_000), || {
                format!("{bounded:?} {status}")
            })
        })
        .await;
        let exact = dns::udp(frontend.dns, "www.exact.test", Rtype::A).await;
        let exact = exact.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&*exact.rcode, &exact.ede[..]), ("SERVFAIL", &[23][..]));
    }
    // They register again, as that was deleted, too.
    world.registered(2).await;
    eventually("status tells of it", Duration::from_secs(20), async || {
        let status = nsctl.run("status").await.expect(3).stdout;
        let told = |id| status.contains(&format!("{id}: etcd has lost 20"));
        let all_told = told("fe1") && told("fe2") && status.contains("nsctl accept");
        ensure(all_told, || status.clone())
    })
    .await;
    let metrics = world.frontends[0]
        .get("/metrics")
        .await
        .expect("an answer")
        .body;
    assert!(metrics.contains("nsd_held_back 20"), "{metrics}");
    let verified = nsctl.run("verify").await.expect(0).stdout;
    assert_eq!(
        verified.matches("agrees").count(),
        5,
        "what is mirrored is what there is: {verified}"
    );

    // What is written meanwhile waits, too.
    nsctl.write("zone add new.test --ns ns1.example.org").await;
    let late = nsctl
        .run("add www.new.test A 192.0.2.1 --wait 5s")
        .await
        .expect(5);
    assert!(late.complaint().contains("fe1"), "{:?}", late.stderr);
    expect_at(
        &world.frontends[0],
        "www.new.test",
        Rtype::A,
        "REFUSED",
        &[],
    )
    .await;

    let accepted = nsctl.run("accept --wait").await.expect(0).stdout;
    assert!(
        accepted.contains("RRsets go\n") && accepted.contains("served by 2"),
        "{accepted}"
    );
    let line = "www.new.test. 300 A 192.0.2.1";
    world
        .expect("www.new.test", Rtype::A, "NOERROR", &[line])
        .await;
    world
        .expect("h7.large.test", Rtype::A, "REFUSED", &[])
        .await;

    // The next accident is another one.
    nsctl.write(&import).await;
    world
        .cluster
        .etcdctl(&["del", "--prefix", "/ns/v1/rr"])
        .await;
    for frontend in &world.frontends {
        eventually("it is held back", Duration::from_secs(10), async || {
            let status = frontend.status().await;
            ensure(!status["held"].is_null(), || status.to_string())
        })
        .await;
    }
    world
        .expect("h7.large.test", Rtype::A, "NOERROR", &WWW)
        .await;
    // And it heals when the records are there again.
    let again = format!("zone import large.test {file} --replace --wait");
    nsctl.write(&again).await;
    world
        .expect("h7.large.test", Rtype::A, "NOERROR", &WWW)
        .await;
    let status = world.frontends[0].status().await;
    assert!(status["held"].is_null(), "{status}");
}
