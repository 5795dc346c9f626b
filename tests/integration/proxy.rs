//! Several front-ends behind one `etcd grpc-proxy`, which merges their watches and keeps their leases for them.

use std::path::Path;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Process, Single, ensure, eventually, expect_at, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn three_front_ends_share_a_grpc_proxy() {
    let etcd = Single::start().await;
    let address = format!("127.0.0.1:{}", free_port());
    let member = etcd.endpoint().trim_start_matches("http://");
    let program = std::env::var_os("NSD_ETCD").unwrap_or_else(|| "etcd".into());
    let endpoints = format!("--endpoints={member}");
    let listen = format!("--listen-addr={address}");
    let args = ["grpc-proxy", "start", &endpoints, &listen];
    let _proxy = Process::start("proxy", Path::new(&program), args).quiet();
    let proxy = [format!("http://{address}")];
    let nsctl = Nsctl::new(&proxy);
    eventually("the proxy answers", Duration::from_secs(20), async || {
        let listed = nsctl.run("zone list").await;
        ensure(listed.code == 0, || listed.stderr.clone())
    })
    .await;
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    let mut frontends = Vec::new();
    for id in ["fe1", "fe2", "fe3"] {
        let frontend = Frontend::start(id, &proxy, &[]).await;
        frontend.ready().await;
        frontends.push(frontend);
    }
    for frontend in &frontends {
        eventually("it is registered", Duration::from_secs(30), async || {
            let status = frontend.status().await;
            ensure(status["registered"] == true, || status.to_string())
        })
        .await;
    }
    let added = nsctl
        .run("add www.example.org A 192.0.2.1 --wait=20s")
        .await
        .expect(0);
    assert!(
        added.stdout.ends_with("served by 3 front-ends\n"),
        "{}",
        added.stdout
    );
    for frontend in &frontends {
        let line = "www.example.org. 300 A 192.0.2.1";
        expect_at(frontend, "www.example.org", Rtype::A, "NOERROR", &[line]).await;
        let metrics = frontend.get("/metrics").await.expect("an answer").body;
        assert!(metrics.contains("nsd_lists_total 1\n"), "{metrics}");
    }
}
