//! `--wait`: it waits for every live front-end, and for no other.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, World, ensure, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn wait_names_who_lags_and_forgets_who_has_left() {
    let mut world = World::start().await;
    a_frozen_front_end_is_named(&world).await;
    an_empty_wait_waits_for_nothing(&world).await;
    nobody_answers_for_another(&world).await;
    an_id_is_one_front_ends(&world).await;
    a_front_end_that_ends_is_not_waited_for(&mut world).await;
    a_front_end_that_dies_is_waited_for_until_its_lease_ends(&mut world).await;
    without_front_ends_it_says_so(&mut world).await;
}

async fn a_frozen_front_end_is_named(world: &World) {
    world.frontends[2].freeze();
    let late = world
        .nsctl
        .run("add late.example.org A 192.0.2.1 --wait 2s")
        .await
        .expect(5);
    let complaint = late.complaint();
    assert!(complaint.contains("fe3"), "{complaint}");
    assert!(
        !complaint.contains("fe1") && !complaint.contains("fe2"),
        "{complaint}"
    );
    assert!(
        late.took >= Duration::from_secs(2) && late.took < Duration::from_secs(5),
        "{:?}",
        late.took
    );
    // The write is done all the same, and says so.
    assert!(late.stdout.contains("192.0.2.1"), "{:?}", late.stdout);

    // One that drops out while it is waited for, as its lease ends, is named.
    let dropped = world
        .nsctl
        .run("add late.example.org A 192.0.2.1 --wait 15s")
        .await
        .expect(5);
    let complaint = dropped.complaint();
    assert!(
        complaint.contains("fe3 (not registered any more") && !complaint.contains("fe1"),
        "{complaint}"
    );

    // From then on it is not waited for; when it goes on it registers again, and catches up.
    registered(world, 2, Duration::from_secs(20)).await;
    for (expected, code) in [(2, 0), (3, 5)] {
        let command = format!("add late.example.org A 192.0.2.1 --wait 1s --expect {expected}");
        let output = world.nsctl.run(&command).await.expect(code);
        if code == 5 {
            let complaint = output.complaint();
            let words = "2 of the 3 front-ends expected serve it";
            assert!(complaint.contains(words), "{complaint}");
        }
    }
    let two = world
        .nsctl
        .ok("add lease.example.org A 192.0.2.1 --wait 5s")
        .await;
    assert_eq!(two["frontends"].as_u64(), Some(2), "{two}");
    world.frontends[2].thaw();
    registered(world, 3, Duration::from_secs(15)).await;
    let again = world
        .nsctl
        .ok("add late.example.org A 192.0.2.1 --wait 15s")
        .await;
    assert_eq!(
        (&again["changed"], again["frontends"].as_u64()),
        (&false.into(), Some(3)),
        "{again}"
    );
    for name in ["late", "lease"] {
        let (name, line) = (
            format!("{name}.example.org"),
            format!("{name}.example.org. 300 A 192.0.2.1"),
        );
        world.expect(&name, Rtype::A, "NOERROR", &[&line]).await;
    }
}

/// Waits until so many front-ends are registered.
async fn registered(world: &World, count: usize, limit: Duration) {
    eventually(
        &format!("{count} front-ends are registered"),
        limit,
        async || {
            let keys = world.cluster.keys("/ns/v1/frontend/").await;
            ensure(keys.len() == count, || format!("{keys:?}"))
        },
    )
    .await;
}

/// `--wait` takes a time, and nothing else that follows it.
async fn an_empty_wait_waits_for_nothing(world: &World) {
    for command in [
        "add --wait quick.example.org A 192.0.2.1",
        "add quick.example.org MX --wait 10 mail.example.net",
        "set quick.example.org TXT -all --wait=20s --ttl 60",
        "remove --wait=20s --expect 3 quick.example.org A",
        "add quick.example.org A 192.0.2.1 --wait 20",
    ] {
        let json = world.nsctl.ok(command).await;
        assert_eq!(json["frontends"].as_u64(), Some(3), "{command}: {json}");
    }
    let txt = "quick.example.org. 60 TXT \"-all\"";
    world
        .expect("quick.example.org", Rtype::TXT, "NOERROR", &[txt])
        .await;
    let output = world
        .nsctl
        .run("add quick.example.org A 192.0.2.1 --wait")
        .await
        .expect(0);
    assert!(
        output.stdout.contains("3 front-ends"),
        "{:?}",
        output.stdout
    );
    assert!(output.took < Duration::from_secs(3), "{:?}", output.took);
}

/// Front-ends of several hosts that all say 127.0.0.1 are all asked at the same one, which is not taken for the others.
async fn nobody_answers_for_another(world: &World) {
    let key = "/ns/v1/frontend/ghost";
    let fe1 = world.cluster.keys("/ns/v1/frontend/fe1").await;
    world.cluster.etcdctl(&["put", key, &fe1[0].1]).await;
    let output = world
        .nsctl
        .run("add ghost.example.org A 192.0.2.1 --wait 2s")
        .await
        .expect(5);
    let complaint = output.complaint();
    assert!(
        complaint.contains("ghost (another front-end answers at ")
            && complaint.contains("this is fe1"),
        "{complaint}"
    );
    let status = world.nsctl.ok("status --no-fail").await;
    let lines = status["frontends"].as_array().expect("front-ends");
    let ghost = lines.iter().find(|line| line["id"] == "ghost");
    let error = ghost.and_then(|line| line["error"].as_str());
    assert!(
        error.is_some_and(|error| error.contains("this is fe1")),
        "{status}"
    );
    // Nor is one left out whose registration cannot be read.
    world.cluster.etcdctl(&["put", key, "{"]).await;
    let output = world
        .nsctl
        .run("add ghost.example.org A 192.0.2.1 --wait 1s")
        .await
        .expect(5);
    let complaint = output.complaint();
    let words = "ghost (its registration cannot be read: ";
    assert!(complaint.contains(words), "{complaint}");
    world.cluster.etcdctl(&["del", key]).await;
    for (id, code) in [("fe1", 200), ("ghost", 421)] {
        for path in [
            "status",
            "serials",
            "digest?revision=1",
            "readyz",
            "metrics",
        ] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let path = format!("/{path}{joint}id={id}");
            let response = world.frontends[0].get(&path).await.expect("it answers");
            assert_eq!(response.code, code, "{path}: {}", response.body);
        }
    }
}

/// A second front-end of the same name does not take the place of the first, which nobody would wait for any more.
async fn an_id_is_one_front_ends(world: &World) {
    let fe1 = world.cluster.keys("/ns/v1/frontend/fe1").await;
    let second = Frontend::start("fe1", world.cluster.endpoints(), &[]).await;
    let tells = |line: &serde_json::Value| {
        let fields = line["fields"].to_string();
        line["level"] == "WARN" && fields.contains("is the registration of another front-end")
    };
    eventually(
        "it says what is wrong",
        Duration::from_secs(20),
        async || {
            let log = second.log();
            ensure(log.iter().any(tells), || format!("{log:?}"))
        },
    )
    .await;
    assert_eq!(world.cluster.keys("/ns/v1/frontend/fe1").await, fe1);
    assert!(!world.frontends[0].log().iter().any(tells));
    for (frontend, registered) in [(&second, 0), (&world.frontends[0], 1)] {
        let metrics = frontend.get("/metrics").await.expect("it answers").body;
        let line = format!("\nnsd_registered {registered}.0\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
        let status = frontend.status().await;
        assert_eq!(status["registered"], registered == 1, "{status}");
    }
}

async fn a_front_end_that_ends_is_not_waited_for(world: &mut World) {
    let mut leaving = world.frontends.pop().expect("three front-ends");
    let status = leaving.terminate(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    let keys = world.cluster.keys("/ns/v1/frontend/").await;
    assert!(
        keys.len() == 2 && !format!("{keys:?}").contains("/fe3"),
        "still registered: {keys:?}"
    );
    let output = world
        .nsctl
        .run("add left.example.org A 192.0.2.1 --wait 30s")
        .await
        .expect(0);
    assert!(output.took < Duration::from_secs(3), "{:?}", output.took);
    world
        .expect(
            "left.example.org",
            Rtype::A,
            "NOERROR",
            &["left.example.org. 300 A 192.0.2.1"],
        )
        .await;
}

async fn a_front_end_that_dies_is_waited_for_until_its_lease_ends(world: &mut World) {
    let mut dead = world.frontends.pop().expect("two front-ends");
    dead.kill();
    let late = world
        .nsctl
        .run("add dead.example.org A 192.0.2.1 --wait 1s")
        .await
        .expect(5);
    assert!(late.complaint().contains("fe2"), "{:?}", late.stderr);
    registered(world, 1, Duration::from_secs(20)).await;
    let output = world
        .nsctl
        .run("add buried.example.org A 192.0.2.1 --wait 30s")
        .await
        .expect(0);
    assert!(
        output.stdout.contains("1 front-end\n"),
        "{:?}",
        output.stdout
    );
    world
        .expect(
            "buried.example.org",
            Rtype::A,
            "NOERROR",
            &["buried.example.org. 300 A 192.0.2.1"],
        )
        .await;
}

async fn without_front_ends_it_says_so(world: &mut World) {
    let mut last = world.frontends.pop().expect("one front-end");
    last.terminate(Duration::from_secs(10)).await;
    registered(world, 0, Duration::from_secs(2)).await;
    let output = world
        .nsctl
        .run("add alone.example.org A 192.0.2.1 --wait 1s")
        .await
        .expect(5);
    assert!(
        output.complaint().contains("no front-end"),
        "{:?}",
        output.stderr
    );
}
