//! Somebody deletes everything: front-ends serve on, until an operator says that it is meant.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, Frontend, TempDir, World, dns, ensure, eventually, expect_at};

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
        for zone in ["bounded", "exact"] {
            let answer = dns::udp(frontend.dns, &format!("www.{zone}.test"), Rtype::A).await;
            let answer = answer.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((&*answer.rcode, &answer.ede[..]), ("SERVFAIL", &[23][..]));
        }
    }
    // They register again, as that was deleted, too.
    world.registered(2).await;
    eventually("status tells of it", Duration::from_secs(20), async || {
        let status = nsctl.run("status").await.expect(3).stdout;
        let told = status.matches("fe1, fe2: etcd has lost 20").count() == 1;
        let zones = "RRsets in 4 zones: example.org. (2 of 2), bounded.test. (3 of 3), ";
        let all_told = told && status.contains("nsctl accept");
        ensure(all_told && status.contains(zones), || status.clone())
    })
    .await;
    let metrics = world.frontends[0]
        .get("/metrics")
        .await
        .expect("an answer")
        .body;
    assert!(metrics.contains("nsd_held_back 20"), "{metrics}");
    let verified = nsctl.run("verify").await.expect(0);
    assert_eq!(
        verified.stdout.matches("agrees").count(),
        5,
        "what is mirrored is what there is: {}",
        verified.stdout
    );
    let held = verified.stderr.matches("holds back a loss of 20").count();
    assert_eq!(held, 2, "but not what is served: {}", verified.stderr);

    // Everything else goes on: what is written meanwhile is served, and waited for.
    nsctl.write("zone add new.test --ns ns1.example.org").await;
    let added = nsctl.run("add www.new.test A 192.0.2.1 --wait").await;
    let served = added.expect(0).stdout;
    assert!(served.ends_with("served by 2 front-ends\n"), "{served}");
    let line = "www.new.test. 300 A 192.0.2.1";
    world
        .expect("www.new.test", Rtype::A, "NOERROR", &[line])
        .await;

    let accepted = nsctl.run("accept --wait").await.expect(0).stdout;
    assert!(
        accepted.contains("RRsets in 4 zones: ") && accepted.contains("served by 2"),
        "{accepted}"
    );
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
    // The small zone has lost all of its RRsets, too, and only its key is there.
    for frontend in &world.frontends {
        is_held(frontend, 2).await;
    }
    world
        .expect("www.new.test", Rtype::A, "NOERROR", &[line])
        .await;
    nsctl.run("accept --wait").await.expect(0);
    world
        .expect("www.new.test", Rtype::A, "NXDOMAIN", &[])
        .await;
    let status = world.frontends[0].status().await;
    assert!(status["held"].is_null(), "{status}");
}

async fn is_held(frontend: &Frontend, gone: u64) {
    eventually("it is held back", Duration::from_secs(10), async || {
        let status = frontend.status().await;
        ensure(status["held"]["gone"] == gone, || status.to_string())
    })
    .await;
}

/// As the trial had it: 334 RRsets, of which an `etcdctl del --prefix` took all but some.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_of_some_hundred_records_is_held_back_and_written_out() {
    let world = World::with(2).await;
    let (nsctl, folder) = (&world.nsctl, TempDir::new());
    let file = folder.write("zone", &large(332)).display().to_string();
    nsctl
        .write(&format!("zone import large.test {file} --wait"))
        .await;
    nsctl.write("add www.example.org A 192.0.2.1 --wait").await;
    let out = folder.path().join("held").display().to_string();
    let nothing = nsctl.run(&format!("held export {out}")).await.expect(3);
    assert_eq!(nothing.complaint(), "nsctl: nothing is held back");

    world
        .cluster
        .etcdctl(&["del", "--prefix", "/ns/v1/rr/test"])
        .await;
    for frontend in &world.frontends {
        is_held(frontend, 333).await;
        let log = frontend.log();
        let errors = log.iter().filter(|line| line["level"] == "ERROR");
        let told: Vec<_> = errors.map(|line| line["fields"].to_string()).collect();
        let is_told = |line: &String| line.contains("lost 333 of") && line.contains("large.test.");
        assert!(told.len() == 1 && is_told(&told[0]), "{told:?}");
    }
    world
        .expect("h7.large.test", Rtype::A, "NOERROR", &WWW)
        .await;
    // The other zone goes on, and so do our own changes of this one.
    nsctl.write("add www.example.org A 192.0.2.2 --wait").await;
    nsctl.write("add new.large.test A 192.0.2.3 --wait").await;
    let new = "new.large.test. 300 A 192.0.2.3";
    world
        .expect("new.large.test", Rtype::A, "NOERROR", &[new])
        .await;

    let export = format!("held export {out}");
    let told = nsctl.run(&export).await.expect(0).stdout;
    let file = format!("{out}/large.test.zone");
    assert_eq!(
        told,
        format!(
            "{file}: large.test. as fe1 serves it, 335 records; etcd has lost 333 of 335 RRsets\n\
             1 zone, 335 records written to {out}\n"
        )
    );
    let again = nsctl.run(&export).await.expect(1);
    assert!(
        again
            .complaint()
            .contains("large.test.zone is there already"),
        "{}",
        again.stderr
    );
    let checked = nsctl.run(&format!("zone check {file}")).await.expect(0);
    assert!(checked.stdout.contains("335 records"), "{}", checked.stdout);

    // What was changed after the export is not overwritten by accident.
    nsctl.write("add late.large.test A 192.0.2.4 --wait").await;
    let import = format!("zone import large.test {file} --replace");
    let refused = nsctl.run(&import).await.expect(3);
    assert!(
        refused.complaint().contains("has changed since"),
        "{}",
        refused.stderr
    );
    nsctl.write("remove late.large.test A --wait").await;

    // Written back, it is held back no more.
    std::fs::remove_file(&file).expect("it is there");
    nsctl.run(&export).await.expect(0);
    nsctl.write(&format!("{import} --wait")).await;
    for frontend in &world.frontends {
        let status = frontend.status().await;
        assert!(status["held"].is_null(), "{status}");
    }
    world
        .expect("h7.large.test", Rtype::A, "NOERROR", &WWW)
        .await;
    world
        .expect("new.large.test", Rtype::A, "NOERROR", &[new])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_key_is_deleted_is_held_back_and_one_that_we_remove_is_not() {
    let world = World::with(1).await;
    let (nsctl, frontend) = (&world.nsctl, &world.frontends[0]);
    nsctl.write("add www.example.org A 192.0.2.1 --wait").await;
    nsctl
        .write("zone add tiny.test --ns ns1.example.org --wait")
        .await;
    world
        .cluster
        .etcdctl(&["del", "/ns/v1/zone/org.example"])
        .await;
    is_held(frontend, 3).await;
    let www = "www.example.org. 300 A 192.0.2.1";
    world
        .expect("www.example.org", Rtype::A, "NOERROR", &[www])
        .await;
    nsctl.write("zone remove tiny.test --wait").await;
    expect_at(frontend, "tiny.test", Rtype::NS, "REFUSED", &[]).await;
    nsctl.run("accept --wait").await.expect(0);
    expect_at(frontend, "www.example.org", Rtype::A, "REFUSED", &[]).await;

    // Key by key: all of it is served again from the handful on.
    let names = ["a", "b", "c", "d", "e", "f"];
    nsctl.write("zone add drip.test --ns ns1.example.org").await;
    for name in names {
        nsctl
            .write(&format!("add {name}.drip.test A 192.0.2.1 --wait"))
            .await;
    }
    let keys = world.cluster.keys("/ns/v1/rr/test.drip/").await;
    for (key, _) in keys.iter().filter(|(key, _)| key.ends_with("/A")).take(5) {
        world.cluster.etcdctl(&["del", key]).await;
    }
    is_held(frontend, 5).await;
    for name in names {
        let line = format!("{name}.drip.test. 300 A 192.0.2.1");
        let name = format!("{name}.drip.test");
        world.expect(&name, Rtype::A, "NOERROR", &[&line]).await;
    }
}
