//! Members come under other addresses, and some do not vote yet.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, Frontend, Nsctl, World, dns, ensure, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn members_that_nobody_configured_are_found() {
    let cluster = Cluster::start_processes(3, &[]).await;
    let mut world = World::on(cluster, 0).await;
    let (known, rest) = world.cluster.endpoints().split_at(1);
    let nsctl = Nsctl::new(rest).with("--timeout", "10s");
    let options = ["--discover-members", "--consistency", "linearizable"];
    let frontend = Frontend::start("fe1", known, &options).await;
    frontend.ready().await;
    world.frontends.push(frontend);
    world.registered(1).await;
    let frontend = &world.frontends[0];
    eventually("it has found them", Duration::from_secs(30), async || {
        let log = format!("{:?}", frontend.log());
        ensure(log.contains("members beyond those configured"), || {
            log.clone()
        })
    })
    .await;

    world.cluster.kill_member(0).await;
    // Longer than a registration lives that nobody holds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    nsctl
        .write("add found.example.org A 192.0.2.1 --wait 20s")
        .await;
    let line = "found.example.org. 300 A 192.0.2.1";
    eventually(
        "it works with one of them",
        Duration::from_secs(20),
        async || {
            // A linearizable answer, which is refused while members do not answer.
            let answer = dns::udp(frontend.dns, "found.example.org", Rtype::A).await?;
            ensure(answer.answers == [line], || format!("{answer:?}"))?;
            let status = frontend.status().await;
            let endpoint = status["endpoint"].as_str().unwrap_or_default();
            ensure(rest.iter().any(|url| url == endpoint), || {
                status.to_string()
            })
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_vote_yet_holds_nobody_up() {
    if !Cluster::can_be_containers().await {
        tests::skipped!("etcd members are processes here, not containers: a learner");
        return;
    }
    let mut world = World::with(0).await;
    world.cluster.replace_by_learner(0).await;
    // It is the first that is asked.
    world.nsctl.write("add www.example.org A 192.0.2.1").await;
    let endpoints = world.cluster.endpoints();
    let options = ["--consistency", "linearizable"];
    let frontend = Frontend::start("fe1", endpoints, &options).await;
    frontend.ready().await;
    let line = "www.example.org. 300 A 192.0.2.1";
    eventually("it answers", Duration::from_secs(20), async || {
        let answer = dns::udp(frontend.dns, "www.example.org", Rtype::A).await?;
        ensure(answer.answers == [line], || format!("{answer:?}"))
    })
    .await;
    let learns = world.cluster.try_etcdctl_at(0, &["get", "/ns"]).await;
    let refused = learns.expect_err("a poor test: it votes");
    assert!(refused.contains("learner"), "{refused}");
}
