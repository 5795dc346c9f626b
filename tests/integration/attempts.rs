//! A change is done once, also where it was sent twice: an answer stays out, and the request comes late.

use std::time::{Duration, Instant};

use etcd::client::{ChangeError, Changed, Config, Store, StoreError};
use etcd::model::Change;
use etcd::model::{Name, Rdata, Rtype};
use etcd::schema::Prefix;
use tests::{Gate, Nsctl, Single, TempDir, Way, ensure, eventually};
use tokio::task::JoinHandle;

/// How long what is let go may take.
const PATIENCE: Duration = Duration::from_secs(20);

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

    /// Sets an address with requests to the gate first, each of which may take so long.
    fn set_through_gate(
        &self,
        request_timeout: Duration,
    ) -> JoinHandle<Result<Changed, ChangeError>> {
        let endpoints = [self.gate.endpoint(), self.etcd.endpoint()];
        let config = Config {
            request_timeout,
            ..Config::new(endpoints.map(String::from).to_vec())
        };
        tokio::spawn(async move {
            let store = Store::new(config, Prefix::default(), 10 * PATIENCE);
            let owner: Name = "www.example.org".parse().expect("a name");
            let change = Change::Set {
                rtype: Rtype::A,
                ttl: None,
                rdata: vec![Rdata::parse(Rtype::A, "192.0.2.66").expect("an address")],
            };
            store.change(&owner, None, &change).await
        })
    }

    async fn is_done(&self, address: &str) {
        eventually("it is done", PATIENCE, async || {
            let addresses = self.addresses("www.example.org").await;
            ensure(addresses == [address], || format!("{addresses:?}"))
        })
        .await;
    }

    /// Lets go what was held up, and sees to it that it changes nothing.
    async fn comes_to_nothing(&self) {
        assert!(!self.gate.is_through(), "the copy is still on its way");
        self.gate.let_go();
        eventually("the copy has come", PATIENCE, async || {
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
    site.gate.hold_up("192.0.2.66", Way::There);
    site.nsctl().write("add www.example.org A 192.0.2.66").await;
    assert!(site.gate.is_caught(), "the gate is asked first");
    assert_eq!(site.addresses("www.example.org").await, ["192.0.2.66"]);
    // All that the first copy relies on is as it was.
    site.direct.write("remove www.example.org A").await;
    site.comes_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_not_done_later() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::There);
    // No time is left for another attempt.
    let hasty = site.nsctl().with("--timeout", "1s");
    while !site.gate.is_caught() {
        let given_up = hasty
            .run("add www.example.org A 192.0.2.66")
            .await
            .expect(4);
        assert!(
            given_up.stderr.contains("nothing was written"),
            "{given_up:?}"
        );
    }
    site.comes_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_not_done_over_what_came_after() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::Back);
    let nsctl = site.nsctl();
    let set = tokio::spawn(async move { nsctl.write("set www.example.org A 192.0.2.66").await });
    site.is_done("192.0.2.66").await;
    let second = site.direct.write("set www.example.org A 192.0.2.77").await;
    let first = set.await.expect("no panic");
    assert!(first < second, "{first}, {second}");
    assert_eq!(site.addresses("www.example.org").await, ["192.0.2.77"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_whose_answer_was_lost_is_told_as_added() {
    let site = Site::start().await;
    site.gate.hold_up("ns7.example.net", Way::Back);
    let added = site
        .nsctl()
        .write("zone add example.net --ns ns7.example.net")
        .await;
    let shown = site.direct.ok("zone show example.net").await;
    assert_eq!(shown["serial"].as_i64(), Some(added), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_it_is_unknown_where_the_history_is_gone() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::Back);
    // It waits for its answer until the gate is closed.
    let set = site.set_through_gate(10 * PATIENCE);
    site.is_done("192.0.2.66").await;
    let second = site.direct.write("set www.example.org A 192.0.2.77").await;
    site.etcd
        .etcdctl(&["compact", &second.to_string()])
        .expect("compacted");
    site.gate.close();
    let told = set.await.expect("no panic");
    let is_unknown = matches!(told, Err(ChangeError::Unknown(StoreError::Compacted)));
    assert!(is_unknown, "{told:?}");
    // It was not written again, over what came after it.
    assert_eq!(site.addresses("www.example.org").await, ["192.0.2.77"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_it_is_unknown_but_a_late_copy_changes_nothing() {
    let site = Site::start().await;
    site.gate.hold_up("192.0.2.66", Way::There);
    let set = site.set_through_gate(Duration::from_secs(5));
    eventually("the request is held up", PATIENCE, async || {
        ensure(site.gate.is_caught(), || "not yet".into())
    })
    .await;
    site.direct
        .write("set other.example.org A 192.0.2.77")
        .await;
    let second = site.direct.write("remove other.example.org").await;
    site.etcd
        .etcdctl(&["compact", &second.to_string()])
        .expect("compacted");
    let told = set.await.expect("no panic");
    let is_unknown = matches!(told, Err(ChangeError::Unknown(StoreError::Compacted)));
    assert!(is_unknown, "{told:?}");
    site.comes_to_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_stops_halfway_says_so_and_goes_on() {
    let site = Site::start().await;
    let folder = TempDir::new();
    // More than one transaction, of which the last is a small one.
    let hosts: String = (0..150).map(|n| format!("n{n:03} A 192.0.2.1\n")).collect();
    let head = "$ORIGIN example.org.\n$TTL 300\n";
    let soa = "@ SOA ns1.example.org. hostmaster.example.org. 1 3600 600 604800 300\n";
    let text = format!(
        "{head}{soa}@ NS ns1.example.org.\nns1 A 192.0.2.53\n{hosts}n999 TXT \"last-of-all\"\n"
    );
    let file = folder.write("example.org.zone", &text);
    let import = format!("zone import example.org {}", file.display());

    site.gate.hold_up("last-of-all", Way::There);
    let nsctl = Nsctl::new(&[site.gate.endpoint().into()]).with("--timeout", "2s");
    let mut stopped = nsctl.run(&import).await.expect(4);
    while !site.gate.is_caught() {
        // So slow a machine: it had not even begun.
        stopped = nsctl.run(&import).await.expect(4);
    }
    assert!(
        stopped.stderr.contains("a part of it is written"),
        "{stopped:?}"
    );
    let listed = site.direct.ok("list n000.example.org").await;
    assert_eq!(listed[0]["type"], "A", "{listed}");
    assert_eq!(
        site.direct.ok("list n999.example.org").await,
        serde_json::json!([])
    );

    site.direct.write(&import).await;
    let listed = site.direct.ok("list n999.example.org").await;
    assert_eq!(listed[0]["type"], "TXT", "{listed}");
    // All that the held up part compares has changed, and it was withdrawn.
    site.direct.write("remove n999.example.org TXT").await;
    site.comes_to_nothing().await;
    assert_eq!(
        site.direct.ok("list n999.example.org").await,
        serde_json::json!([])
    );
}
