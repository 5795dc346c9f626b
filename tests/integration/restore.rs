//! The runbook of deploy/restore.md, done as it stands there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, TempDir, binary, dns, ensure, eventually};

const RUNBOOK: &str = include_str!("../../deploy/restore.md");

/// The commands under a name in a document.
pub(crate) fn commands(document: &'static str, name: &str) -> &'static str {
    let start = format!("```sh {name}\n");
    let (_, rest) = document
        .split_once(&start)
        .unwrap_or_else(|| panic!("no commands '{name}' in the document"));
    rest.split_once("```").expect("they end").0
}

/// What the runbook's variables are.
struct Runbook {
    variables: Vec<(&'static str, String)>,
}

impl Runbook {
    fn run(&self, name: &str) -> String {
        let (succeeds, told) = self.try_run(name);
        assert!(succeeds, "{name}: {told}");
        told
    }

    /// Whether it succeeds, and what it says.
    fn try_run(&self, name: &str) -> (bool, String) {
        let nsctl = binary("nsctl");
        let path = format!(
            "{}:{}",
            nsctl
                .parent()
                .map_or(Path::new("."), |folder| folder)
                .display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("bash")
            .args(["-euc", commands(RUNBOOK, name)])
            .env("PATH", path)
            .envs(self.variables.iter().cloned())
            .output()
            .expect("bash runs");
        let (out, error) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        (output.status.success(), format!("{out}{error}"))
    }
}

async fn serial(frontend: &Frontend, zone: &str) -> u32 {
    let answer = dns::udp(frontend.dns, zone, Rtype::SOA).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    let serial = answer.answers[0].split(' ').nth(5);
    serial.expect("an SOA record").parse().expect("a serial")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_front_ends_follow_and_serials_go_on() {
    let mut etcd = Single::start().await;
    let endpoint = etcd.endpoint().to_string();
    let (nsctl, folder) = (Nsctl::new(std::slice::from_ref(&endpoint)), TempDir::new());
    let runbook = Runbook {
        variables: vec![
            ("ENDPOINT", endpoint.clone()),
            ("ENDPOINTS", endpoint.clone()),
            ("BACKUP", folder.path().join("backup").display().to_string()),
            ("NAME", "etcd0".into()),
            ("PEER", etcd.peer().into()),
            ("DATA", etcd.data().display().to_string()),
            ("CLUSTER", format!("etcd0={}", etcd.peer())),
            ("TOKEN", "restored".into()),
            ("DIR", folder.path().join("held").display().to_string()),
            ("ZONE", "late.test".into()),
        ],
    };
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    nsctl.write("add kept.example.org A 192.0.2.1").await;
    let exact = "zone add exact.test --ns ns1.example.org --consistency linearizable";
    nsctl.write(exact).await;
    nsctl.write("set www.exact.test TXT before").await;
    runbook.run("backup");
    nsctl.write("zone add late.test --ns ns1.example.org").await;
    for index in 0..20 {
        nsctl
            .write(&format!("add h{index}.example.org A 192.0.2.2"))
            .await;
    }
    nsctl.write("set www.exact.test TXT lost").await;
    let snapshot = folder.path().join("snapshot").display().to_string();
    // One that runs on, and one that is started again amid it all.
    let fe1 = Frontend::start("fe1", std::slice::from_ref(&endpoint), &[]).await;
    let options = ["--snapshot", &snapshot];
    let mut fe2 = Frontend::start("fe2", std::slice::from_ref(&endpoint), &options).await;
    fe1.ready().await;
    fe2.ready().await;
    let before = serial(&fe1, "example.org").await;
    assert_eq!(serial(&fe2, "example.org").await, before);
    assert!(fe2.terminate(Duration::from_secs(10)).await.success());

    etcd.down().await;
    runbook.run("restore");
    let answer = dns::udp(fe1.dns, "h19.example.org", Rtype::A).await;
    assert_eq!(
        answer.map(|answer| answer.rcode).as_deref(),
        Ok("NOERROR"),
        "it answers on"
    );
    // It has no time to find out before it is asked.
    fe1.freeze();
    etcd.up().await;
    let fe2 = Frontend::start("fe2", std::slice::from_ref(&endpoint), &options).await;
    // Revisions are lower now than those that front-ends have, of a history that is gone.
    nsctl.write("set www.exact.test TXT after").await;
    fe1.thaw();
    for frontend in [&fe1, &fe2] {
        eventually("it answers", Duration::from_secs(20), async || {
            let answer = dns::udp(frontend.dns, "www.exact.test", Rtype::TXT).await?;
            let is_last = answer.answers == ["www.exact.test. 300 TXT \"after\""];
            assert!(is_last || answer.rcode == "SERVFAIL", "{answer:?}");
            ensure(is_last, || format!("{answer:?}"))
        })
        .await;
    }

    // A zone that is gone, and one that lacks most of its records, are served on.
    for frontend in [&fe1, &fe2] {
        eventually("both say so", Duration::from_secs(20), async || {
            let (_, status) = runbook.try_run("status");
            let lost = "etcd has lost 22 of 25 RRsets in 2 zones: example.org. (20 of 23), late.test. (2 of 2). ";
            ensure(status.contains(&format!("fe1, fe2: {lost}")), || status.clone())
        })
        .await;
        let served = dns::udp(frontend.dns, "h19.example.org", Rtype::A).await;
        assert_eq!(served.map(|answer| answer.rcode).as_deref(), Ok("NOERROR"));
        assert_eq!(serial(frontend, "example.org").await, before);
    }
    // One is written back, the other one accepted.
    let late = serial(&fe1, "late.test").await;
    runbook.run("export");
    let imported = runbook.run("import");
    assert!(imported.contains("served by 2"), "{imported}");
    assert!(serial(&fe1, "late.test").await > late);
    nsctl.run("accept --wait").await.expect(0);
    for frontend in [&fe1, &fe2] {
        eventually("it follows", Duration::from_secs(20), async || {
            let gone = dns::udp(frontend.dns, "h19.example.org", Rtype::A).await?;
            ensure(gone.rcode == "NXDOMAIN", || format!("{gone:?}"))
        })
        .await;
        let kept = dns::udp(frontend.dns, "kept.example.org", Rtype::A).await;
        assert_eq!(kept.map(|answer| answer.rcode).as_deref(), Ok("NOERROR"));
        assert!(
            serial(frontend, "example.org").await < before,
            "a poor test"
        );
    }
    eventually("both are registered", Duration::from_secs(20), async || {
        // It fails as long as something is wrong.
        let (_, status) = runbook.try_run("status");
        let both = "fe1, fe2: 2 zones with a serial behind one served before";
        ensure(status.contains(both), || status.clone())
    })
    .await;

    let metrics = fe1.get("/metrics").await.expect("an answer").body;
    for line in ["nsd_cluster_changes_total 1\n", "nsd_serials_behind 2.0\n"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let raised = runbook.run("serials");
    assert!(
        raised.contains("example.org. ") && raised.contains("served by 2"),
        "{raised}"
    );
    for frontend in [&fe1, &fe2] {
        let after = serial(frontend, "example.org").await;
        assert!(after > before, "{after} after {before}");
        let status = frontend.status().await;
        assert_eq!(status["serials_behind"].as_u64(), Some(0), "{status}");
    }
    let again = nsctl.run("zone raise-serials").await.expect(0).stdout;
    assert!(again.starts_with("unchanged"), "{again}");
    let verified = runbook.run("verify");
    assert_eq!(verified.matches("agrees").count(), 3, "{verified}");

    // Without front-ends that know, by so much; and the next change goes on from there.
    let by = nsctl
        .run("zone raise-serials --count 1000000 --wait")
        .await
        .expect(0)
        .stdout;
    assert!(by.contains("served by 2"), "{by}");
    let high = serial(&fe1, "example.org").await;
    assert!(high >= before + 1_000_000, "{high}");
    nsctl.write("add new.example.org A 192.0.2.3 --wait").await;
    assert!(serial(&fe1, "example.org").await > high);
}

/// Data put back under a running cluster's id: revisions go back, and nothing else tells.
#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_go_back_under_the_same_cluster_are_found_out() {
    let mut etcd = Single::start().await;
    let endpoints = [etcd.endpoint().to_string()];
    let (nsctl, folder) = (Nsctl::new(&endpoints), TempDir::new());
    let exact = "zone add exact.test --ns ns1.example.org --consistency linearizable";
    nsctl.write(exact).await;
    let frontend = Frontend::start("fe1", &endpoints, &[]).await;
    frontend.ready().await;
    // Its registration is in the backup, so that `--wait` asks it at once.
    nsctl.write("set www.exact.test TXT before --wait").await;
    etcd.down().await;
    let backup = folder.path().join("backup");
    Single::copy(&etcd.data(), &backup);
    etcd.up().await;
    // So few that their loss is not held back.
    for index in 0..4 {
        nsctl
            .write(&format!("add h{index}.exact.test A 192.0.2.2"))
            .await;
    }
    nsctl.write("set www.exact.test TXT lost --wait").await;

    etcd.down().await;
    Single::copy(&backup, &etcd.data());
    frontend.freeze();
    etcd.up().await;
    nsctl.write("set www.exact.test TXT after").await;
    let is_after = |answer: &dns::Answer| answer.answers == ["www.exact.test. 300 TXT \"after\""];
    let thawed = async {
        // By then the front-end has been asked for what it serves, and is about to answer.
        tokio::time::sleep(Duration::from_millis(700)).await;
        frontend.thaw();
        dns::udp(frontend.dns, "www.exact.test", Rtype::TXT).await
    };
    let wait = nsctl.run("set www.exact.test TXT after --wait 20s");
    let (waited, asked) = tokio::join!(wait, thawed);
    let asked = asked.unwrap_or_else(|error| panic!("{error}"));
    assert!(asked.rcode == "SERVFAIL" || is_after(&asked), "{asked:?}");
    waited.expect(0);
    let now = dns::udp(frontend.dns, "h0.exact.test", Rtype::A).await;
    let now = now.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(now.rcode, "NXDOMAIN", "--wait was over too early");
}
