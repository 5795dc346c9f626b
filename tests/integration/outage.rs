//! etcd is away: front-ends answer all the same, and catch up when it is back.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, Expected, Frontend, Load, Nsctl, World, dns, ensure, eventually, expect_at};
use tokio::time::sleep;

/// Queries a second to each front-end.
const RATE: u32 = 300;

/// As an outage lasts. What is measured is what is answered meanwhile.
const KILLED: Duration = Duration::from_secs(30);
const FROZEN: Duration = Duration::from_secs(15);

/// How soon a front-end shows a new record when etcd is back.
const CATCH_UP: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn all_of_etcd_goes_and_no_query_stays_unanswered() {
    let mut world = World::start().await;
    world
        .nsctl
        .write("add www.example.org A 192.0.2.1 192.0.2.2 --wait")
        .await;
    world
        .nsctl
        .write("add alias.example.org CNAME www.example.org. --wait")
        .await;
    let mut loads = Vec::new();
    for frontend in &world.frontends {
        loads.push(Load::start(frontend.dns, RATE, questions()).await);
    }

    world.cluster.stop_all().await;
    is_away(&world, KILLED).await;
    world.cluster.start_all().await;
    is_back(&world, "killed").await;

    world.cluster.pause_all().await;
    is_away(&world, FROZEN).await;
    world.cluster.unpause_all().await;
    is_back(&world, "frozen").await;

    for (load, frontend) in loads.into_iter().zip(&world.frontends) {
        let report = load.stop().await;
        println!("{}: {report:?}", frontend.id);
        assert!(
            report.sent > u64::from(RATE) * (KILLED + FROZEN).as_secs() * 9 / 10,
            "a poor test: {report:?}"
        );
        assert_eq!(
            (report.unanswered, report.wrong),
            (0, 0),
            "{}: {report:?}",
            frontend.id
        );
        assert_eq!(report.right, report.sent, "{}: {report:?}", frontend.id);
    }

    // A front-end that is told to end does not wait for etcd to take its registration back.
    world.cluster.pause_all().await;
    for frontend in &mut world.frontends {
        let status = frontend.terminate(Duration::from_secs(10)).await;
        assert!(status.success(), "{}: {status}", frontend.id);
    }
}

fn questions() -> Vec<Expected> {
    let both = [
        "www.example.org. 300 A 192.0.2.1",
        "www.example.org. 300 A 192.0.2.2",
    ];
    let chain = [
        "alias.example.org. 300 CNAME www.example.org.",
        both[0],
        both[1],
    ];
    vec![
        Expected::records("www.example.org", Rtype::A, &both),
        Expected::records("alias.example.org", Rtype::A, &chain),
        Expected::records("www.example.org", Rtype::AAAA, &[]),
        Expected::nothing("nowhere.example.org"),
    ]
}

/// Lets the outage last so long, and looks at what else is to hold meanwhile.
async fn is_away(world: &World, time: Duration) {
    let outage = tokio::spawn(sleep(time));
    let nsctl = world.nsctl.with("--timeout", "2s");
    // Again where the machine stood still meanwhile.
    let mut tries = 1..=3;
    let output = loop {
        let output = nsctl.run("add new.example.org A 192.0.2.1").await.expect(4);
        if output.took < Duration::from_secs(4) {
            break output;
        }
        let took = output.took;
        assert!(tries.next().is_some(), "{took:?} with --timeout 2s");
    };
    assert!(
        output.complaint().contains("etcd does not answer"),
        "{:?}",
        output.stderr
    );
    assert!(
        output.stderr.contains("written") || output.stderr.contains("may"),
        "{:?}",
        output.stderr
    );
    for frontend in &world.frontends {
        eventually(&format!("{} notices", frontend.id), time, async || {
            let status = frontend.status().await;
            ensure(!status["trouble"].is_null(), || status.to_string())
        })
        .await;
        assert_eq!(
            frontend.get("/readyz").await.expect("an answer").code,
            200,
            "{}",
            frontend.id
        );
        let line = "alias.example.org. 300 CNAME www.example.org.";
        expect_at(
            frontend,
            "alias.example.org",
            Rtype::CNAME,
            "NOERROR",
            &[line],
        )
        .await;
    }
    outage.await.expect("a timer");
    for frontend in &world.frontends {
        let age = frontend.status().await["fresh_age_ms"].as_u64();
        let least = time.as_millis() as u64 - 1000;
        assert!(
            age >= Some(least),
            "{} believes to be fresh: {age:?}",
            frontend.id
        );
    }
}

/// A record that is written as soon as etcd takes it is soon everywhere.
async fn is_back(world: &World, label: &str) {
    world.cluster.healthy().await;
    let name = format!("{label}.example.org");
    let revision = world
        .nsctl
        .with("--timeout", "10s")
        .write(&format!("add {name} A 192.0.2.3"))
        .await;
    world.applied(revision, CATCH_UP).await;
    world
        .expect(
            &name,
            Rtype::A,
            "NOERROR",
            &[&format!("{name}. 300 A 192.0.2.3")],
        )
        .await;
    world.registered(world.frontends.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_starts_without_etcd_says_so_and_then_answers() {
    let cluster = Cluster::start(3, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    cluster.stop_all().await;

    let frontend = Frontend::start("fe1", cluster.endpoints(), &[]).await;
    for name in ["www.example.org", "nowhere.example.org", "www.example.net"] {
        for answer in [
            dns::udp(frontend.dns, name, Rtype::A).await,
            dns::tcp(frontend.dns, name, Rtype::A).await,
        ] {
            let answer = answer.expect("an answer");
            assert_eq!(
                (answer.rcode.as_str(), &answer.ede[..]),
                ("SERVFAIL", &[14][..]),
                "{answer:?}"
            );
        }
    }
    assert_eq!(frontend.get("/healthz").await.expect("an answer").code, 200);
    assert_eq!(frontend.get("/readyz").await.expect("an answer").code, 503);
    let status = frontend.status().await;
    assert_eq!(
        (&status["ready"], status["applied"].as_i64()),
        (&false.into(), None),
        "{status}"
    );

    cluster.start_all().await;
    cluster.healthy().await;
    frontend.ready().await;
    expect_at(
        &frontend,
        "www.example.org",
        Rtype::A,
        "NOERROR",
        &["www.example.org. 300 A 192.0.2.1"],
    )
    .await;
    expect_at(&frontend, "nowhere.example.org", Rtype::A, "NXDOMAIN", &[]).await;
    expect_at(&frontend, "www.example.net", Rtype::A, "REFUSED", &[]).await;
}
