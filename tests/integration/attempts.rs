//! A change is done once, also where it was sent twice: an answer stays out, and the request comes late.

use std::time::{Duration, Instant};

use tests::{Gate, Nsctl, Single, Way, ensure, eventually};

/// Much longer than `nsctl` waits for one member.
const LATE: Duration = Duration::from_secs(8);

/// How long what came late has to have no effect.
const NO_EFFECT: Duration = Duration::from_secs(1);

/// One member, asked through a gate first and without it then.
struct Site {
    etcd: Single,
    gate: Gate,
    /// Asks without the gate.
    direct: Nsctl,
}

impl Site {
    async fn start() -> Self {
        let etcd = Single::start().await;
        let endpoint = etcd.endpoint().to_string();
        let gate = Gate::to(&endpoint).await;
        let direct = Nsctl::new(&[endpoint]);
        direct
            .write("zone add example.org --ns ns1.example.org")
            .await;
        Site { etcd, gate, direct }
    }

    /// Asks the gate first.
    fn nsctl(&self) -> Nsctl {
        let endpoints = [self.gate.endpoint(), self.etcd.endpoint()];
        Nsctl::new(&endpoints.map(String::from)).with("--timeout", "20s")
    }

    /// Waits for what is late, and sees to it that it changes nothing.
    async fn comes_to_nothing(&self) {
        eventually("the copy has come", 2 * LATE, async || {
            ensure(self.gate.is_through(), || "not yet".into())
        })
        .await;
        let come = Instant::now();
        while come.elapsed() < NO_EFFECT {
            assert_eq!(self.addresses("www.example.org").await, [""; 0]);
        }
    }

    async fn addresses(&self, name: &str) -> Vec<String> {
        let listed = self.direct.ok(&format!("list {name} --type A")).await;
        let rdata = listed[0]["rdata"].as_array().cloned().unwrap_or_default();
        rdata
            .iter()
            .filter_map(|one| Some(one.as_str()?.into()))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_comes_late_brings_nothing_back() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::There, LATE);
    site.nsctl().write("add www.example.org A 192.0.2.66").await;
    assert!(
        !site.gate.is_through(),
        "the first copy is still on its way"
    );
    assert_eq!(site.addresses("www.example.org").await, ["192.0.2.66"]);
    // All that the first copy relies on is as it was.
    site.direct.write("remove www.example.org A").await;
    site.comes_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_not_done_later() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::There, LATE);
    // No time is left for another attempt.
    let hasty = site.nsctl().with("--timeout", "1s");
    let given_up = hasty
        .run("add www.example.org A 192.0.2.66")
        .await
        .expect(4);
    assert!(
        given_up.stderr.contains("nothing was written"),
        "{given_up:?}"
    );
    assert!(!site.gate.is_through(), "the copy is still on its way");
    site.comes_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_not_done_over_what_came_after() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::Back, 10 * LATE);
    let nsctl = site.nsctl();
    let set = tokio::spawn(async move { nsctl.write("set www.example.org A 192.0.2.66").await });
    eventually("the first one is done", LATE, async || {
        let addresses = site.addresses("www.example.org").await;
        ensure(addresses == ["192.0.2.66"], || format!("{addresses:?}"))
    })
    .await;
    let second = site.direct.write("set www.example.org A 192.0.2.77").await;
    let first = set.await.expect("no panic");
    assert!(first < second, "{first}, {second}");
    assert_eq!(site.addresses("www.example.org").await, ["192.0.2.77"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_answer_was_lost_is_told_as_added() {
    let site = Site::start().await;
    site.gate.hold_up("ns7.example.net", Way::Back, 10 * LATE);
    let added = site
        .nsctl()
        .write("zone add example.net --ns ns7.example.net")
        .await;
    let shown = site.direct.ok("zone show example.net").await;
    assert_eq!(shown["serial"].as_i64(), Some(added), "{shown}");
}
