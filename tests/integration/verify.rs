//! Front-ends and members are compared, and what differs is found and mended.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, TempDir, World, dns, ensure, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn all_agree_and_who_is_behind_is_named() {
    let world = World::with(2).await;
    world
        .nsctl
        .write("add www.example.org A 192.0.2.1 --wait")
        .await;
    let key = world.cluster.key_ending("/ns/v1/rr/", "/www/A").await;
    world.cluster.etcdctl(&["put", &key, "garbage"]).await;
    let found = world.nsctl.ok("verify").await;
    let agrees = |list: &str| {
        let lines = found[list].as_array().cloned().unwrap_or_default();
        lines.iter().filter(|line| line["agrees"] == true).count()
    };
    assert_eq!((agrees("members"), agrees("frontends")), (3, 2), "{found}");
    assert_eq!(found["unusable"].as_u64(), Some(1), "{found}");

    world.frontends[1].freeze();
    let behind = world
        .nsctl
        .with("--timeout", "5s")
        .run("verify")
        .await
        .expect(1);
    assert!(
        behind.complaint().contains("1 could not be compared"),
        "{:?}",
        behind.stderr
    );
    assert!(behind.stdout.contains("unknown"), "{}", behind.stdout);
    world.frontends[1].thaw();
}

/// Two that share no history stand for members that have drifted apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_other_data_is_named() {
    let (one, other) = (Single::start().await, Single::start().await);
    for (etcd, address) in [(&one, "192.0.2.1"), (&other, "192.0.2.2")] {
        let nsctl = Nsctl::new(&[etcd.endpoint().to_string()]);
        nsctl
            .write("zone add example.org --ns ns1.example.org")
            .await;
        nsctl
            .write(&format!("add www.example.org A {address}"))
            .await;
    }
    let endpoints = [one.endpoint().to_string(), other.endpoint().to_string()];
    let differs = Nsctl::new(&endpoints).run("verify").await.expect(3);
    let line = |endpoint: &str| {
        let mut lines = differs.stdout.lines();
        lines.find(|line| line.starts_with(endpoint)).unwrap_or("")
    };
    assert!(line(&endpoints[0]).contains("agrees"), "{}", differs.stdout);
    assert!(
        line(&endpoints[1]).contains("DIFFERS"),
        "{}",
        differs.stdout
    );
}

/// A history that was put back and has gone on otherwise, past the revision that the front-end knows, under the same
/// cluster id: nothing but a comparison can tell.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_finds_what_no_watch_tells_and_mends_it() {
    let mut etcd = Single::start().await;
    let endpoints = [etcd.endpoint().to_string()];
    let (nsctl, folder) = (Nsctl::new(&endpoints), TempDir::new());
    let backup = folder.path().join("backup");
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    etcd.down().await;
    Single::copy(&etcd.data(), &backup);
    etcd.up().await;
    nsctl.write("add before.example.org A 192.0.2.1").await;
    let snapshot = folder.path().join("snapshot").display().to_string();
    let with = async |more: &[&str]| {
        let options = [&["--snapshot", &snapshot], more].concat();
        Frontend::start("fe1", &endpoints, &options).await
    };
    let mut frontend = with(&[]).await;
    frontend.ready().await;
    assert!(frontend.terminate(Duration::from_secs(10)).await.success());
    etcd.down().await;
    Single::copy(&backup, &etcd.data());
    etcd.up().await;
    for index in 0..20 {
        let add = format!("add other{index}.example.org A 192.0.2.2");
        nsctl.write(&add).await;
    }

    let mut frontend = with(&["--audit-interval", "0"]).await;
    eventually("it is watching", Duration::from_secs(20), async || {
        let answer = dns::udp(frontend.dns, "other19.example.org", Rtype::A).await?;
        ensure(answer.rcode == "NOERROR", || format!("{answer:?}"))
    })
    .await;
    let answer = dns::udp(frontend.dns, "before.example.org", Rtype::A).await;
    assert_eq!(
        answer.map(|answer| answer.rcode).as_deref(),
        Ok("NOERROR"),
        "a poor test"
    );
    registered(&nsctl).await;
    let differs = nsctl.run("verify").await.expect(3);
    assert!(
        differs.complaint().contains("1 differ"),
        "{:?}",
        differs.stderr
    );
    let line = differs.stdout.lines().find(|line| line.starts_with("fe1"));
    assert!(
        line.is_some_and(|line| line.contains("DIFFERS")),
        "{}",
        differs.stdout
    );
    assert!(frontend.terminate(Duration::from_secs(10)).await.success());

    let frontend = with(&["--audit-interval", "500ms"]).await;
    eventually("the audit mends it", Duration::from_secs(20), async || {
        let answer = dns::udp(frontend.dns, "before.example.org", Rtype::A).await?;
        ensure(answer.rcode == "NXDOMAIN", || format!("{answer:?}"))
    })
    .await;
    let metrics = frontend.get("/metrics").await.expect("an answer").body;
    assert!(
        metrics.contains("nsd_audit_differences_total 1"),
        "{metrics}"
    );
    registered(&nsctl).await;
    nsctl.run("verify").await.expect(0);
    eventually(
        "the next audit agrees",
        Duration::from_secs(20),
        async || {
            let status = frontend.status().await;
            ensure(status["audit"]["agrees"] == true, || status.to_string())
        },
    )
    .await;
}

async fn registered(nsctl: &Nsctl) {
    eventually("it is registered", Duration::from_secs(20), async || {
        let status = nsctl.ok("status --no-fail").await;
        let frontends = status["frontends"].as_array().map_or(0, Vec::len);
        ensure(frontends == 1, || status.to_string())
    })
    .await;
}
