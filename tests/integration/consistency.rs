//! What zones promise about freshness, kept with etcd and without.

use std::time::Duration;

use domain::base::iana::Rtype;
use serde_json::Value;
use tests::{Expected, Frontend, Load, World, dns, ensure, eventually};

const EDE_STALE: u16 = 3;
const EDE_NETWORK_ERROR: u16 = 23;

/// How long it may take until answers are proved fresh.
const PROOF: Duration = Duration::from_secs(20);

/// Queries a second: more than etcd is asked.
const RATE: u32 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn zones_keep_their_promises_with_etcd_and_without() {
    let mut world = World::with(0).await;
    for (zone, consistency) in [
        ("bounded.test", "bounded:4s"),
        ("exact.test", "linearizable"),
    ] {
        let add = format!("zone add {zone} --ns ns1.example.org --consistency {consistency}");
        world.nsctl.write(&add).await;
        world
            .nsctl
            .write(&format!("add www.{zone} A 192.0.2.1"))
            .await;
    }
    world.nsctl.write("add www.example.org A 192.0.2.1").await;
    // A chain promises what its strictest zone does.
    world
        .nsctl
        .write("add alias.example.org CNAME www.exact.test.")
        .await;
    for index in 1..=2 {
        let options = ["--stale-after", "3"];
        let id = format!("fe{index}");
        let frontend = Frontend::start(&id, world.cluster.endpoints(), &options).await;
        world.frontends.push(frontend);
    }
    world.registered(2).await;
    for name in [
        "www.example.org",
        "www.bounded.test",
        "www.exact.test",
        "alias.example.org",
    ] {
        told(&world, name, "NOERROR", &[]).await;
    }

    every_write_is_seen_at_once(&world).await;
    etcd_is_asked_once_a_round_trip(&world).await;
    one_member_may_be_frozen(&world).await;

    let limit = Duration::from_secs(20);
    let endpoints = world.cluster.endpoints();
    let strict = Frontend::start("strict", endpoints, &["--consistency", "bounded:2s"]).await;
    let open = "zone add open.test --ns ns1.example.org --consistency available --wait";
    let revision = world.nsctl.write(open).await;
    strict.applied(revision, limit).await;
    world.cluster.pause_all().await;
    // What a front-end promises holds where no zone says otherwise, also where there is no zone.
    eventually("its bound is over", limit, async || {
        let silent = dns::udp(strict.dns, "www.example.org", Rtype::A).await?;
        let none = dns::udp(strict.dns, "www.nowhere.test", Rtype::A).await?;
        let open = dns::udp(strict.dns, "open.test", Rtype::NS).await?;
        assert_eq!(open.rcode, "NOERROR", "{open:?}");
        ensure(
            silent.ede == [EDE_NETWORK_ERROR] && none.ede == [EDE_NETWORK_ERROR],
            || format!("{silent:?}\n{none:?}"),
        )
    })
    .await;
    for frontend in &world.frontends {
        eventually("answers are stale, or none", limit, async || {
            let stale = dns::udp(frontend.dns, "www.example.org", Rtype::A).await?;
            let bounded = dns::udp(frontend.dns, "www.bounded.test", Rtype::A).await?;
            ensure(
                stale.ede == [EDE_STALE] && bounded.ede == [EDE_NETWORK_ERROR],
                || format!("{stale:?}\n{bounded:?}"),
            )
        })
        .await;
    }
    logged(
        &world,
        "WARN",
        "answers are stale: etcd does not confirm the data",
    )
    .await;
    told(&world, "www.example.org", "NOERROR", &[EDE_STALE]).await;
    told(&world, "nowhere.example.org", "NXDOMAIN", &[EDE_STALE]).await;
    for name in ["www.bounded.test", "www.exact.test", "alias.example.org"] {
        told(&world, name, "SERVFAIL", &[EDE_NETWORK_ERROR]).await;
    }

    world.cluster.unpause_all().await;
    for frontend in &world.frontends {
        eventually("answers are fresh again", limit, async || {
            let fresh = dns::udp(frontend.dns, "www.example.org", Rtype::A).await?;
            ensure(fresh.ede.is_empty(), || format!("{fresh:?}"))
        })
        .await;
    }
    logged(&world, "INFO", "answers are no longer stale").await;
    for name in [
        "www.example.org",
        "www.bounded.test",
        "www.exact.test",
        "alias.example.org",
    ] {
        told(&world, name, "NOERROR", &[]).await;
    }
    // What a zone says wins, and can be taken back.
    let set = "zone set exact.test --consistency default --wait";
    let revision = world.nsctl.write(set).await;
    world.applied(revision, limit).await;
    world.cluster.pause_all().await;
    for frontend in &world.frontends {
        eventually("answers are stale", limit, async || {
            let stale = dns::udp(frontend.dns, "www.exact.test", Rtype::A).await?;
            assert_eq!(stale.rcode, "NOERROR", "{stale:?}");
            ensure(stale.ede == [EDE_STALE], || format!("{stale:?}"))
        })
        .await;
    }
    told(&world, "www.exact.test", "NOERROR", &[EDE_STALE]).await;
    world.cluster.unpause_all().await;
}

/// Asks every front-end over UDP and TCP. What is to be fresh may be waited for, as proofs come late on a machine that
/// is busy; until then it says that it is stale, or refuses, and nothing else.
async fn told(world: &World, name: &str, rcode: &str, ede: &[u16]) {
    for frontend in &world.frontends {
        for is_tcp in [false, true] {
            eventually(name, PROOF, async || {
                let answer = match is_tcp {
                    false => dns::udp(frontend.dns, name, Rtype::A).await?,
                    true => dns::tcp(frontend.dns, name, Rtype::A).await?,
                };
                if ede.is_empty() && (is_refused(&answer) || answer.ede == [EDE_STALE]) {
                    return Err(format!("{answer:?}"));
                }
                assert_eq!(
                    (&*answer.rcode, &answer.ede[..]),
                    (rcode, ede),
                    "{name}: {answer:?}"
                );
                assert_eq!(answer.answers.is_empty(), rcode != "NOERROR", "{answer:?}");
                Ok(())
            })
            .await;
        }
    }
}

/// Whether it is SERVFAIL, as etcd could not be asked in time.
fn is_refused(answer: &dns::Answer) -> bool {
    answer.rcode == "SERVFAIL" && answer.ede == [EDE_NETWORK_ERROR]
}

/// Every front-end answers with a write as soon as it is acknowledged, without `--wait`.
async fn every_write_is_seen_at_once(world: &World) {
    for number in 1..=50 {
        let set = format!("set now.exact.test TXT {number}");
        world.nsctl.write(&set).await;
        let expected = format!("now.exact.test. 300 TXT \"{number}\"");
        for frontend in &world.frontends {
            // An answer is right at once, or refused.
            eventually("an answer", PROOF, async || {
                let answer = dns::udp(frontend.dns, "now.exact.test", Rtype::TXT).await?;
                ensure(!is_refused(&answer), || format!("{answer:?}"))?;
                assert_eq!(answer.answers, [&*expected], "{answer:?}");
                Ok(())
            })
            .await;
        }
    }
}

/// Queries wait for one read of etcd together.
async fn etcd_is_asked_once_a_round_trip(world: &World) {
    let frontend = &world.frontends[0];
    let before = frontend.status().await;
    let record = ["www.exact.test. 300 A 192.0.2.1"];
    let questions = vec![Expected::records("www.exact.test", Rtype::A, &record)];
    let (mut rounds, mut sent) = (0, 0);
    loop {
        let load = Load::start(frontend.dns, RATE, questions.clone()).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let report = load.stop().await;
        println!("linearizable: {report:?}");
        assert_eq!((report.unanswered, report.wrong), (0, 0), "{report:?}");
        (rounds, sent) = (rounds + 1, sent + report.sent);
        // Refused while etcd is held up: that may happen, but not always.
        if report.refused == 0 {
            break;
        }
        assert!(rounds < 5, "{report:?}");
    }
    let after = frontend.status().await;
    let count = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
    println!(
        "{} queries, {} reads of etcd",
        count("queries"),
        count("barriers")
    );
    assert!(count("queries") >= sent);
    assert!((1..=count("queries")).contains(&count("barriers")));
}

/// Whichever member it is, and be it the leader: another one is asked.
async fn one_member_may_be_frozen(world: &World) {
    for member in 0..world.cluster.size() {
        world.cluster.pause(member).await;
        for frontend in &world.frontends {
            eventually(
                "an answer without one member",
                Duration::from_secs(15),
                async || {
                    let answer = dns::udp(frontend.dns, "www.exact.test", Rtype::A).await?;
                    ensure(answer.rcode == "NOERROR", || format!("{answer:?}"))
                },
            )
            .await;
        }
        world.cluster.unpause(member).await;
        world.cluster.healthy().await;
    }
}

/// Waits until each front-end has said this. How often is no matter: it is stale for a moment whenever the machine stands still.
async fn logged(world: &World, level: &str, message: &str) {
    for frontend in &world.frontends {
        let what = format!("{} logs '{message}'", frontend.id);
        eventually(&what, Duration::from_secs(20), async || {
            let log = frontend.log();
            let is_it =
                |line: &Value| line["level"] == level && line["fields"]["message"] == message;
            ensure(log.iter().any(is_it), || format!("{log:?}"))
        })
        .await;
    }
}
