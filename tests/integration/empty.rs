//! A front-end without zones: mostly it has the wrong prefix, and must not look healthy.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, dns, ensure, eventually};

const LIMIT: Duration = Duration::from_secs(20);

async fn is_said(frontend: &Frontend, code: u16, words: &str) {
    let what = format!("/readyz of {} is {code}: {words}", frontend.id);
    eventually(&what, LIMIT, async || {
        let response = frontend.get("/readyz").await?;
        let is_so = response.code == code && response.body.contains(words);
        ensure(is_so, || format!("{}: {}", response.code, response.body))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_without_zones_is_not_ready_unless_it_may_be() {
    let etcd = Single::start().await;
    let endpoints = [etcd.endpoint().to_string()];
    let strict = ["--allow-empty", "false"];
    let wrong = Frontend::start("wrong", &endpoints, &strict).await;
    let empty = Frontend::start("empty", &endpoints, &["--allow-empty"]).await;
    is_said(&wrong, 503, "no zone under the prefix").await;
    is_said(&empty, 200, "ready").await;
    let warned = |frontend: &Frontend| {
        let log = frontend.log().into_iter();
        let mut lines = log.filter(|line| line["level"] == "WARN");
        lines.any(|line| {
            let line = line.to_string();
            line.contains("no zone under this prefix") && line.contains("/ns")
        })
    };
    eventually("it warns", LIMIT, async || {
        ensure(warned(&wrong), || format!("{:?}", wrong.log()))
    })
    .await;
    assert!(!warned(&empty));
    let nsctl = Nsctl::new(&endpoints);
    let status = nsctl.run("status").await.expect(3).stdout;
    assert!(status.contains("wrong: it is not ready"), "{status}");
    assert!(!status.contains("empty: it is not ready"), "{status}");

    // It is there for whoever adds the first zone and waits for it.
    let added = nsctl.run("zone add example.org --ns ns.example.net --wait --expect 2");
    added.await.expect(0);
    is_said(&wrong, 200, "ready").await;
    let answer = dns::udp(wrong.dns, "example.org", Rtype::NS).await;
    assert_eq!(answer.expect("an answer").rcode, "NOERROR");

    nsctl.ok("zone remove example.org").await;
    is_said(&wrong, 503, "no zone under the prefix").await;
    is_said(&empty, 200, "ready").await;
}
