//! Rate limits and cookies, as dig sees them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::{Frontend, Nsctl, Single, TempDir, ensure, eventually};

const LIMIT: Duration = Duration::from_secs(20);

/// What dig tells about one response over UDP, without asking again.
struct Told(String);

fn dig(server: SocketAddr, options: &[&str]) -> Told {
    let port = server.port().to_string();
    let all = ["-p", &port, "@127.0.0.1", "+time=5", "+tries=2"];
    let asked = ["www.example.org", "A"];
    let output = Command::new("dig")
        .args(all)
        .args(asked)
        .args(options)
        .output()
        .expect("dig was found before");
    assert!(output.status.success(), "{output:?}");
    Told(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Told {
    fn has_address(&self) -> bool {
        self.0.contains("\tA\t192.0.2.1")
    }

    fn is_truncated(&self) -> bool {
        let flags = self.0.lines().find(|line| line.starts_with(";; flags:"));
        let flags = flags.and_then(|line| line.split(';').nth(2));
        flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "tc"))
    }

    /// The cookie, which dig finds to be an answer to its own.
    fn cookie(&self) -> String {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix("; COOKIE: "));
        let cookie = line.and_then(|line| line.strip_suffix(" (good)"));
        cookie.unwrap_or_else(|| panic!("{}", self.0)).into()
    }
}

/// A cookie of this front-end.
fn new_cookie(server: SocketAddr) -> String {
    dig(server, &["+cookie", "+nobadcookie", "+ignore"]).cookie()
}

/// Whether a front-end with a limit of one answer a second takes this cookie.
fn is_valid(server: SocketAddr, cookie: &str) -> bool {
    let option = format!("+cookie={cookie}");
    (0..3).all(|_| {
        let told = dig(server, &[&option, "+nobadcookie", "+ignore"]);
        let is_bad = told.0.contains("status: BADCOOKIE");
        assert_ne!(is_bad, told.has_address(), "{}", told.0);
        !is_bad
    })
}

fn is_dig_there() -> bool {
    let is_there = Command::new("dig").arg("-v").output().is_ok();
    if !is_there {
        tests::skipped!("there is no dig: rate limits and cookies");
    }
    is_there
}

async fn zone(etcd: &Single) -> (Nsctl, [String; 1]) {
    let endpoints = [etcd.endpoint().to_string()];
    let nsctl = Nsctl::new(&endpoints);
    nsctl
        .write("zone add example.org --ns ns.example.net")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    (nsctl, endpoints)
}

#[tokio::test(flavor = "multi_thread")]
async fn front_ends_accept_the_cookies_of_all_others_also_during_a_rotation() {
    if !is_dig_there() {
        return;
    }
    let etcd = Single::start().await;
    let (nsctl, endpoints) = zone(&etcd).await;
    let limited = ["--rrl-answers", "1", "--rrl-slip", "1"];
    let one = Frontend::start("fe1", &endpoints, &limited).await;
    let other = Frontend::start("fe2", &endpoints, &limited).await;
    one.ready().await;
    other.ready().await;

    assert!(nsctl.ok("cookie show").await.is_null());
    let local = new_cookie(one.dns);
    assert!(is_valid(one.dns, &local));
    assert!(!is_valid(other.dns, &local), "each has a secret of its own");

    let rotated = nsctl.ok("cookie rotate --wait --expect 2").await;
    assert_eq!(rotated["accepted"], 1, "{rotated}");
    let first = new_cookie(one.dns);
    assert!(is_valid(one.dns, &first) && is_valid(other.dns, &first));

    let rotated = nsctl.ok("cookie rotate --after 3s --wait --expect 2").await;
    assert_eq!(rotated["accepted"], 2, "{rotated}");
    let refused = nsctl.run("cookie rotate").await.expect(3);
    assert!(
        refused.complaint().contains("may not all know it"),
        "{}",
        refused.stderr
    );
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        for (maker, checker) in [(one.dns, other.dns), (other.dns, one.dns)] {
            assert!(is_valid(checker, &new_cookie(maker)));
        }
        assert!(is_valid(one.dns, &first) && is_valid(other.dns, &first));
    }
    let last = new_cookie(one.dns);
    let rotated = nsctl.ok("cookie rotate --after 1h --wait --expect 2").await;
    assert_eq!(rotated["accepted"], 3, "{rotated}");
    assert!(is_valid(other.dns, &first) && is_valid(other.dns, &last));

    let shown = nsctl.run("cookie show").await.expect(0).stdout;
    assert!(
        shown.contains("cookies of 3 secrets are accepted"),
        "{shown}"
    );
    let stored = etcd.etcdctl(&["get", "/ns/v1/secret/cookie", "--print-value-only"]);
    let stored: serde_json::Value = serde_json::from_str(&stored.expect("the key")).expect("JSON");
    let secret = stored["current"].as_str().expect("a secret");
    assert!(!shown.contains(secret));
    let verified = nsctl.run("verify").await.expect(0);
    assert!(!verified.stdout.contains(secret));

    nsctl.ok("cookie rotate --revoke --wait --expect 2").await;
    assert!(!is_valid(one.dns, &last), "its secret is known to others");
    assert!(is_valid(one.dns, &new_cookie(other.dns)));
    for frontend in [&one, &other] {
        let log = format!("{:?}", frontend.log());
        let status = frontend.status().await.to_string();
        assert!(!log.contains(secret) && !status.contains(secret));
    }

    // A secret that cannot be read changes nothing, and is not shown.
    etcd.etcdctl(&["put", "/ns/v1/secret/cookie", r#"{"current":"cafe"}"#])
        .expect("written");
    eventually("it is in quarantine", LIMIT, async || {
        let status = one.status().await;
        assert!(!status.to_string().contains("cafe"), "{status}");
        ensure(status["quarantined"] == 1, || status.to_string())
    })
    .await;
    assert!(is_valid(one.dns, &new_cookie(other.dns)));
    nsctl.run("cookie rotate").await.expect(3);
    nsctl.ok("cookie rotate --revoke --wait --expect 2").await;
    assert!(is_valid(one.dns, &new_cookie(other.dns)));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_for_udp_and_can_be_reloaded() {
    if !is_dig_there() {
        return;
    }
    let etcd = Single::start().await;
    let (_, endpoints) = zone(&etcd).await;
    let folder = TempDir::new();
    let config = folder.path().join("nsd.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("written");
    write("rrl-answers = 2\nrrl-slip = 1\n");
    let path = config.display().to_string();
    let options = ["--config", &path];
    let frontend = Frontend::start_by_file("fe1", &endpoints, &options).await;
    frontend.ready().await;

    let plain = ["+nocookie", "+ignore"];
    let count = |options: &[&str]| {
        let told = (0..12).map(|_| dig(frontend.dns, options));
        told.filter(Told::is_truncated).count()
    };
    assert!(
        count(&plain) > 0,
        "a dozen queries take less than six seconds"
    );
    assert_eq!(count(&["+tcp", "+nocookie"]), 0);
    // What dig does by itself: it goes on over TCP.
    for _ in 0..6 {
        assert!(dig(frontend.dns, &["+nocookie"]).has_address());
    }
    // And with a cookie it does not need to.
    let cookie = format!("+cookie={}", new_cookie(frontend.dns));
    assert_eq!(count(&[&cookie, "+ignore"]), 0);
    let metrics = frontend.get("/metrics").await.expect("metrics").body;
    let slipped = metrics
        .lines()
        .find_map(|line| line.strip_prefix("nsd_rrl_slipped_total{transport=\"udp\"} "));
    let slipped: u64 = slipped.and_then(|text| text.parse().ok()).expect("a count");
    assert!(slipped > 0);

    write("rrl-answers = 0\nrrl-slip = 1\n");
    frontend.signal("HUP");
    eventually("no limit any more", LIMIT, async || {
        let truncated = count(&plain);
        ensure(truncated == 0, || format!("{truncated} were truncated"))
    })
    .await;
}
