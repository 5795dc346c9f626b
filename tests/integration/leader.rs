//! The leader goes amid writes: nothing acknowledged is lost, and front-ends go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Nsctl, World, dns, ensure, eventually, expect_at};
use tokio::task::JoinSet;

/// Writers that note each write that was acknowledged.
struct Writers {
    tasks: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Writers {
    fn start(endpoints: &[String], count: usize) -> Self {
        let mut writers = Writers {
            tasks: JoinSet::new(),
            stop: Arc::default(),
            acknowledged: Arc::default(),
        };
        for writer in 0..count {
            let nsctl = Nsctl::new(endpoints).with("--timeout", "20s");
            let (stop, acknowledged) = (writers.stop.clone(), writers.acknowledged.clone());
            writers.tasks.spawn(async move {
                let mut noted = Vec::new();
                for index in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("w{writer}-{index}.example.org");
                    let output = nsctl.run(&format!("add {name} A 192.0.2.1")).await;
                    // Whether it was written is open otherwise: it may be there or not.
                    if output.code == 0 {
                        noted.push(name);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }
                noted
            });
        }
        writers
    }

    /// Waits until so many more writes are acknowledged.
    async fn more(&self, count: usize) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + count;
        eventually(
            "more writes are acknowledged",
            Duration::from_secs(120),
            async || {
                let now = self.acknowledged.load(Ordering::Relaxed);
                ensure(now >= wanted, || format!("{now} of {wanted}"))
            },
        )
        .await;
    }

    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_and_nothing_acknowledged_is_lost() {
    let world = World::start().await;
    let writers = Writers::start(world.cluster.endpoints(), 3);
    writers.more(30).await;
    let leader = world.cluster.leader().await;
    world.cluster.kill_member(leader).await;
    writers.more(60).await;
    world.cluster.start_member(leader).await;
    writers.more(30).await;
    let noted = writers.stop().await;
    world.cluster.healthy().await;
    all_are_there(&world, &noted).await;

    // The member that was killed has them, too.
    let keys = [
        "get",
        "--prefix",
        "/ns/v1/rr/",
        "--keys-only",
        "--consistency",
        "s",
    ];
    let own = world
        .cluster
        .try_etcdctl_at(leader, &keys)
        .await
        .expect("a healthy member");
    let missing: Vec<_> = noted
        .iter()
        .filter(|name| !own.contains(&format!("/{}/A", label(name))))
        .collect();
    assert!(missing.is_empty(), "the restarted member lacks {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_freezes_and_front_ends_go_on_to_another() {
    let world = World::start().await;
    // Nothing tells that it is gone: connections stay, and nothing comes. The leader, as that is worst.
    let leader = world.cluster.leader().await;
    world.cluster.pause(leader).await;
    goes_on(&world, "frozen").await;
    world.cluster.unpause(leader).await;
    world.cluster.healthy().await;

    let leader = world.cluster.leader().await;
    if world.cluster.disconnect(leader).await {
        goes_on(&world, "disconnected").await;
        world.cluster.reconnect(leader).await;
        world.cluster.healthy().await;
    }
}

/// A write is accepted, and all front-ends serve it and can tell that they are fresh.
async fn goes_on(world: &World, name: &str) {
    let nsctl = world.nsctl.with("--timeout", "20s");
    let revision = nsctl
        .write(&format!("add {name}.example.org A 192.0.2.1"))
        .await;
    let (name, line) = (
        format!("{name}.example.org"),
        format!("{name}.example.org. 300 A 192.0.2.1"),
    );
    for frontend in &world.frontends {
        frontend.applied(revision, Duration::from_secs(20)).await;
        expect_at(frontend, &name, Rtype::A, "NOERROR", &[&line]).await;
        eventually(
            &format!("{} is fresh", frontend.id),
            Duration::from_secs(20),
            async || {
                let status = frontend.status().await;
                let fresh = status["fresh_age_ms"]
                    .as_u64()
                    .is_some_and(|age| age < 3000);
                ensure(fresh && status["watching"] == true, || status.to_string())
            },
        )
        .await;
    }
}

fn label(name: &str) -> &str {
    name.trim_end_matches(".example.org")
}

/// Every record is in etcd and on every front-end.
async fn all_are_there(world: &World, names: &[String]) {
    assert!(names.len() >= 120, "a poor test: {}", names.len());
    let keys = world.cluster.keys("/ns/v1/rr/").await;
    let keys: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            !keys
                .iter()
                .any(|key| key.ends_with(&format!("/{}/A", label(name))))
        })
        .collect();
    assert!(missing.is_empty(), "etcd lacks {missing:?}");

    let revision = world.nsctl.write("add last.example.org A 192.0.2.1").await;
    world.applied(revision, Duration::from_secs(20)).await;
    for frontend in &world.frontends {
        for name in names {
            let answer = dns::udp(frontend.dns, name, Rtype::A)
                .await
                .expect("an answer");
            assert_eq!(
                answer.answers,
                [format!("{name}. 300 A 192.0.2.1")],
                "{}",
                frontend.id
            );
        }
    }
}
