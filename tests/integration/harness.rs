//! The cluster keeps its promises: members keep addresses and data, faults are real.

use std::time::{Duration, Instant};

use tests::{Cluster, Gate, ensure, eventually};

/// A read that soon gives up: etcdctl uses all of its time up, also where a connection is refused.
const READ_ONCE: [&str; 4] = ["get", "/a", "--command-timeout", "1s"];

#[tokio::test(flavor = "multi_thread")]
async fn members_keep_their_data_when_killed_and_frozen() {
    let cluster = Cluster::start(3, &[]).await;
    cluster.etcdctl(&["put", "/a", "before"]).await;

    let leader = cluster.leader().await;
    cluster.kill_member(leader).await;
    assert!(
        cluster.try_etcdctl_at(leader, &READ_ONCE).await.is_err(),
        "a killed member answers"
    );
    let next = cluster.leader().await;
    assert_ne!(next, leader, "a killed member leads");
    // It may be busy with another election.
    eventually("a put", Duration::from_secs(30), async || {
        let put = ["put", "/a", "meanwhile"];
        let told = cluster.try_etcdctl_at(next, &put).await?;
        ensure(told == "OK", || told.clone())
    })
    .await;
    cluster.start_member(leader).await;
    cluster.healthy().await;
    assert_eq!(
        cluster
            .try_etcdctl_at(leader, &["get", "/a"])
            .await
            .as_deref(),
        Ok("/a\nmeanwhile")
    );

    cluster.pause_all().await;
    assert!(
        cluster.try_etcdctl_at(0, &READ_ONCE).await.is_err(),
        "a frozen member answers"
    );
    cluster.unpause_all().await;
    cluster.stop_all().await;
    cluster.start_all().await;
    cluster.healthy().await;
    assert_eq!(
        cluster.keys("/").await,
        [("/a".to_string(), "meanwhile".to_string())]
    );

    let revision = cluster.compact().await;
    let old = cluster
        .try_etcdctl_at(0, &["get", "/a", "--rev", &(revision - 1).to_string()])
        .await;
    assert!(
        old.is_err_and(|error| error.contains("compacted")),
        "history is still there"
    );

    if cluster.disconnect(0).await {
        assert!(
            cluster.try_etcdctl_at(0, &READ_ONCE).await.is_err(),
            "a member off the network answers"
        );
        cluster.reconnect(0).await;
        cluster.healthy().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_cuts_and_lets_through() {
    let cluster = Cluster::start(1, &[]).await;
    let gate = Gate::to(cluster.endpoint(0)).await;
    let health = async || {
        let args = ["--endpoints", gate.endpoint(), "endpoint", "health"];
        cluster.try_etcdctl_at(0, &args).await
    };
    health().await.expect("open");
    gate.close();
    assert!(health().await.is_err(), "a closed gate lets through");
    gate.open();
    eventually(
        "the gate lets through again",
        Duration::from_secs(10),
        health,
    )
    .await;

    gate.silence();
    assert!(health().await.is_err(), "a silent gate lets through");
    let delay = Duration::from_millis(100);
    gate.delay(delay);
    let asked = Instant::now();
    health().await.expect("late, but through");
    assert!(asked.elapsed() >= 2 * delay, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_cut_off_from_its_peers_and_replaced() {
    if !Cluster::can_be_containers().await {
        tests::skipped!("etcd members are processes here, not containers: a member cut off");
        return;
    }
    let mut cluster = Cluster::start(3, &[]).await;
    cluster.etcdctl(&["put", "/a", "before"]).await;
    let leader = cluster.leader().await;
    match cluster.cut_off(&[leader]).await {
        Err(error) => tests::skipped!("it cannot be done here ({error}): a member cut off"),
        Ok(()) => {
            eventually("another one leads", Duration::from_secs(10), async || {
                let now = cluster.leader().await;
                ensure(now != leader, || format!("{now} leads"))
            })
            .await;
            let own = ["get", "/a", "--consistency", "s"];
            let reached = cluster.try_etcdctl_at(leader, &own).await;
            assert_eq!(reached.as_deref(), Ok("/a\nbefore"), "its clients reach it");
            assert!(cluster.try_etcdctl_at(leader, &READ_ONCE).await.is_err());
            cluster.join_again(&[leader]).await.expect("as it began");
            cluster.healthy().await;
        }
    }

    let before = cluster.states().await[leader].expect("healthy").id;
    cluster.replace_member(leader).await;
    cluster.healthy().await;
    let after = cluster.states().await[leader].expect("healthy").id;
    assert_ne!(before, after, "it is the same member");
    let own = cluster.try_etcdctl_at(leader, &["get", "/a"]).await;
    assert_eq!(own.as_deref(), Ok("/a\nbefore"));
}
