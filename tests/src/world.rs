//! What most tests start from: three members of etcd, three front-ends, and a zone.

use std::time::Duration;

use domain::base::iana::Rtype;

use crate::dns::{self, Answer};
use crate::{Cluster, Frontend, Nsctl, ensure, eventually};

/// A cluster, front-ends `fe1`, `fe2`, …, and `nsctl` for it. The zone `example.org` is there.
pub struct World {
    /// The front-ends. First, as fields are dropped in order: a front-end that outlives its etcd fills its
    /// log with that.
    pub frontends: Vec<Frontend>,
    /// etcd.
    pub cluster: Cluster,
    /// `nsctl`, for all members of the cluster.
    pub nsctl: Nsctl,
}

impl World {
    /// Three members, three front-ends.
    pub async fn start() -> Self {
        Self::with(3).await
    }

    /// Three members, and so many front-ends.
    pub async fn with(frontends: usize) -> Self {
        Self::on(Cluster::start(3, &[]).await, frontends).await
    }

    /// This cluster, and so many front-ends.
    pub async fn on(cluster: Cluster, frontends: usize) -> Self {
        let nsctl = Nsctl::new(cluster.endpoints());
        nsctl
            .write("zone add example.org --ns ns1.example.org")
            .await;
        let mut world = World {
            frontends: Vec::new(),
            cluster,
            nsctl,
        };
        for index in 1..=frontends {
            let frontend =
                Frontend::start(&format!("fe{index}"), world.cluster.endpoints(), &[]).await;
            world.frontends.push(frontend);
        }
        world.registered(frontends).await;
        world
    }

    /// Waits until so many front-ends are ready and registered, from when on `--wait` waits for them.
    pub async fn registered(&self, count: usize) {
        for frontend in &self.frontends {
            frontend.ready().await;
        }
        eventually(
            &format!("{count} front-ends are registered"),
            Duration::from_secs(20),
            async || {
                let keys = self.cluster.keys("/ns/v1/frontend/").await;
                ensure(keys.len() == count, || format!("{keys:?}"))
            },
        )
        .await;
    }

    /// Asks every front-end over UDP and TCP. All must say so now, once; over UDP the answer may be cut
    /// short.
    pub async fn expect(&self, name: &str, rtype: Rtype, rcode: &str, answers: &[&str]) {
        for frontend in &self.frontends {
            expect_at(frontend, name, rtype, rcode, answers).await;
        }
    }

    /// Waits until every front-end has applied a revision.
    pub async fn applied(&self, revision: i64, limit: Duration) {
        for frontend in &self.frontends {
            frontend.applied(revision, limit).await;
        }
    }
}

/// Asks one front-end over UDP and TCP, as [`World::expect`].
pub async fn expect_at(
    frontend: &Frontend,
    name: &str,
    rtype: Rtype,
    rcode: &str,
    answers: &[&str],
) {
    let context = |transport: &str, answer: &Answer| {
        format!(
            "{} over {transport}: {name} {rtype}: {answer:?}",
            frontend.id
        )
    };
    let udp = dns::udp(frontend.dns, name, rtype)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let tcp = dns::tcp(frontend.dns, name, rtype)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(udp.rcode, rcode, "{}", context("UDP", &udp));
    assert_eq!(tcp.rcode, rcode, "{}", context("TCP", &tcp));
    assert!(!tcp.tc, "{}", context("TCP", &tcp));
    assert_eq!(tcp.answers, answers, "{}", context("TCP", &tcp));
    if !udp.tc {
        assert_eq!(udp.answers, answers, "{}", context("UDP", &udp));
    }
}
