//! TLS and client certificates towards etcd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::{Frontend, Nsctl, Process, TempDir, ensure, eventually, free_port};

const MAKE: &str = r#"
set -e
ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
openssl req -x509 $ec -keyout ca.key -out ca.pem -subj /CN=test-ca
for who in server client; do
  openssl req $ec -keyout $who.key -out $who.csr -subj /CN=$who
  printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >ext
  openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $who.pem -days 30 -extfile ext
done
openssl req -x509 $ec -keyout other.key -out other.pem -subj /CN=other-ca
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_asked_for_and_checked() {
    let folder = TempDir::new();
    let made = Command::new("sh")
        .args(["-c", MAKE])
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    if made.status.code() == Some(127) {
        tests::skipped!("there is no openssl to make certificates with: TLS");
        return;
    }
    assert!(made.status.success(), "{made:?}");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let endpoint = format!("https://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    let program = std::env::var("NSD_ETCD").unwrap_or_else(|_| "etcd".into());
    let (data, server, key, ca) = (
        file("data"),
        file("server.pem"),
        file("server.key"),
        file("ca.pem"),
    );
    let args = [
        ["--data-dir", &data],
        ["--listen-client-urls", &endpoint],
        ["--advertise-client-urls", &endpoint],
        ["--listen-peer-urls", &peer],
        ["--cert-file", &server],
        ["--key-file", &key],
        ["--trusted-ca-file", &ca],
        ["--logger", "zap"],
    ];
    let args = args.iter().flatten().copied().chain(["--client-cert-auth"]);
    let _etcd = Process::start("etcd", Path::new(&program), args).quiet();

    let known = Nsctl::new(std::slice::from_ref(&endpoint))
        .with("--ca-file", &ca)
        .with("--cert-file", &file("client.pem"))
        .with("--key-file", &file("client.key"));
    eventually(
        "etcd answers over TLS",
        Duration::from_secs(20),
        async || {
            let output = known.run("zone list").await;
            ensure(output.code == 0, || output.stderr.clone())
        },
    )
    .await;
    known
        .write("zone add example.org --ns ns1.example.net")
        .await;

    // Without a certificate of its own, and with an authority that did not sign etcd's.
    let anonymous = Nsctl::new(std::slice::from_ref(&endpoint))
        .with("--ca-file", &ca)
        .with("--timeout", "2s");
    let output = anonymous.run("zone list").await.expect(4);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    let output = known
        .with("--ca-file", &file("other.pem"))
        .with("--timeout", "2s")
        .run("zone list")
        .await
        .expect(4);
    assert!(output.stderr.contains("certificate"), "{}", output.stderr);
    let output = known
        .with("--key-file", &file("nowhere"))
        .run("zone list")
        .await
        .expect(2);
    assert!(output.stderr.contains("nowhere"), "{}", output.stderr);

    let options = [
        "--ca-file",
        &ca,
        "--cert-file",
        &file("client.pem"),
        "--key-file",
        &file("client.key"),
    ];
    let frontend = Frontend::start("tls", std::slice::from_ref(&endpoint), &options).await;
    frontend.ready().await;
    known
        .run("add www.example.org A 192.0.2.1 --wait 10s")
        .await
        .expect(0);
}
