//! etcd with users: wrong passwords are told, and tokens that expire or get lost are renewed.

use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, Frontend, Nsctl, dns, ensure, eventually, expect_at};
use tokio::time::sleep;

use crate::restore::commands;

/// Has the roles that each program needs.
const DOCUMENT: &str = include_str!("../../deploy/etcd.md");

/// In seconds. etcd forgets a token that was not used for so long.
const TOKEN_TTL: u64 = 2;

const RIGHT: &str = "dns:right";
const WRONG: &str = "dns:wrong";

/// A cluster that lets root and `dns` in; the latter only to `/ns`.
async fn guarded() -> Cluster {
    let cluster = Cluster::start(3, &["--auth-token-ttl", &TOKEN_TTL.to_string()]).await;
    for args in [
        &["user", "add", "root:root"][..],
        &["user", "add", RIGHT],
        &["role", "add", "ns"],
        &[
            "role",
            "grant-permission",
            "ns",
            "readwrite",
            "--prefix",
            "/ns",
        ],
        &["user", "grant-role", "dns", "ns"],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        cluster.etcdctl(args).await;
    }
    cluster.set_user("root:root");
    cluster.healthy().await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_checked_and_tokens_renewed() {
    let cluster = guarded().await;
    let nsctl = Nsctl::new(cluster.endpoints()).with("--user", RIGHT);
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1").await;

    without_a_right_password(&cluster).await;
    tokens_expire(&cluster, &nsctl).await;
}

async fn without_a_right_password(cluster: &Cluster) {
    let before = cluster.revision().await;
    let anyone = Nsctl::new(cluster.endpoints()).with("--timeout", "5s");
    for (nsctl, words) in [
        (&anyone, "none is given"),
        (&anyone.with("--user", WRONG), "no such user"),
        (&anyone.with("--user", "nobody:right"), "no such user"),
    ] {
        for command in ["add new.example.org A 192.0.2.1", "list", "zone list"] {
            let output = nsctl.run(command).await.expect(4);
            assert!(output.complaint().contains(words), "{output:?}");
            assert!(output.complaint().contains("password"), "{output:?}");
            assert!(output.took < Duration::from_secs(6), "{output:?}");
        }
    }
    assert_eq!(cluster.revision().await, before);
    // The right password, and a place that it does not open.
    let elsewhere = anyone.with("--user", RIGHT).with("--prefix", "/other");
    let output = elsewhere
        .run("zone add example.com --ns ns1.example.org")
        .await
        .expect(1);
    assert!(output.complaint().contains("denie"), "{output:?}");

    let wrong = Frontend::start("wrong", cluster.endpoints(), &["--user", WRONG]).await;
    eventually(
        "the front-end says why it has nothing",
        Duration::from_secs(10),
        async || {
            let told = wrong
                .log()
                .iter()
                .any(|line| line["level"] != "INFO" && line.to_string().contains("password"));
            ensure(told, || format!("{:?}", wrong.log()))?;
            let status = wrong.status().await;
            ensure(
                status["trouble"]
                    .as_str()
                    .is_some_and(|trouble| trouble.contains("password")),
                || status.to_string(),
            )
        },
    )
    .await;
    let answer = dns::udp(wrong.dns, "www.example.org", Rtype::A)
        .await
        .expect("an answer");
    assert_eq!(
        (answer.rcode.as_str(), &answer.ede[..]),
        ("SERVFAIL", &[14][..]),
        "{answer:?}"
    );
    let lines = wrong.log().len();
    assert!(lines < 100, "it floods its log: {lines} lines");
    assert!(
        !format!("{:?}", wrong.log()).contains(WRONG),
        "the password is in the log"
    );
}

async fn tokens_expire(cluster: &Cluster, nsctl: &Nsctl) {
    let right = Frontend::start("right", cluster.endpoints(), &["--user", RIGHT]).await;
    right.ready().await;
    registered(cluster, "after the start").await;

    // Several lifetimes of the token, with nothing to do but what a front-end does by itself.
    sleep(Duration::from_secs(5 * TOKEN_TTL)).await;
    serves_a_write(&right, nsctl, "idle").await;
    registered(cluster, "after some lifetimes of the token").await;

    // Frozen, it cannot use its token, which expires.
    right.freeze();
    sleep(Duration::from_secs(2 * TOKEN_TTL + 1)).await;
    right.thaw();
    serves_a_write(&right, nsctl, "thawed").await;

    // Members keep tokens in memory: one that starts again knows none. First each, then all.
    for member in 0..cluster.size() {
        cluster.kill_member(member).await;
        sleep(Duration::from_secs(TOKEN_TTL)).await;
        cluster.start_member(member).await;
        cluster.healthy().await;
        serves_a_write(&right, nsctl, &format!("member{member}")).await;
    }
    cluster.stop_all().await;
    cluster.start_all().await;
    cluster.healthy().await;
    serves_a_write(&right, nsctl, "all").await;

    permission_is_lost_and_given_again(cluster, &right).await;

    // Longer than the registration lives by itself.
    sleep(Duration::from_secs(12)).await;
    registered(cluster, "after all of it").await;
    serves_a_write(&right, nsctl, "last").await;
}

/// What cannot be read is not gone: it is served on, and somebody is told.
async fn permission_is_lost_and_given_again(cluster: &Cluster, frontend: &Frontend) {
    let revoke = ["role", "revoke-permission", "ns", "--prefix", "/ns"];
    cluster.etcdctl(&revoke).await;
    let root = Nsctl::new(cluster.endpoints()).with("--user", "root:root");
    let limit = Duration::from_secs(15);
    eventually("status tells of it", limit, async || {
        tells_of_it(&root).await
    })
    .await;
    // Longer than the registration lives by itself: it stays where an operator looks. Once it were gone it could not
    // come again.
    sleep(Duration::from_secs(15)).await;
    eventually("status tells of it still", limit, async || {
        tells_of_it(&root).await
    })
    .await;
    let last = "all.example.org. 300 A 192.0.2.2";
    expect_at(frontend, "all.example.org", Rtype::A, "NOERROR", &[last]).await;
    let grant = [
        "role",
        "grant-permission",
        "ns",
        "readwrite",
        "--prefix",
        "/ns",
    ];
    cluster.etcdctl(&grant).await;
}

async fn tells_of_it(root: &Nsctl) -> Result<(), String> {
    let status = root.run("status").await;
    ensure(status.stdout.contains("denie"), || format!("{status:?}"))
}

async fn serves_a_write(frontend: &Frontend, nsctl: &Nsctl, label: &str) {
    let name = format!("{label}.example.org");
    nsctl
        .with("--timeout", "10s")
        .write(&format!("add {name} A 192.0.2.2 --wait 20s"))
        .await;
    expect_at(
        frontend,
        &name,
        Rtype::A,
        "NOERROR",
        &[&format!("{name}. 300 A 192.0.2.2")],
    )
    .await;
    eventually(
        &format!("{label}: the front-end is fresh"),
        Duration::from_secs(10),
        async || {
            let status = frontend.status().await;
            let fresh = status["fresh_age_ms"]
                .as_u64()
                .is_some_and(|age| age < 3000);
            ensure(fresh && status["trouble"].is_null(), || status.to_string())
        },
    )
    .await;
}

async fn registered(cluster: &Cluster, when: &str) {
    eventually(
        &format!("the front-end is registered {when}"),
        Duration::from_secs(15),
        async || {
            let keys = cluster.keys("/ns/v1/frontend/").await;
            ensure(keys.len() == 1 && keys[0].0.ends_with("/right"), || {
                format!("{keys:?}")
            })
        },
    )
    .await;
}

/// Runs the lines of etcdctl in the document under a name.
async fn etcdctl(cluster: &Cluster, name: &str) {
    let lines = commands(DOCUMENT, name).lines();
    for command in lines.flat_map(|line| line.split(" && ")) {
        if let Some(args) = command.strip_prefix("etcdctl ") {
            let args: Vec<&str> = args.split_whitespace().collect();
            cluster.etcdctl(&args).await;
        } else {
            assert!(command.starts_with('#'), "{command}");
        }
    }
}

/// The revision that last wrote a key.
async fn written_at(cluster: &Cluster, key: &str) -> Option<i64> {
    let told = cluster.etcdctl(&["get", key, "-w", "fields"]).await;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("\"ModRevision\" : "));
    line.and_then(|revision| revision.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_roles_are_enough_and_none_is_too_much() {
    let cluster = Cluster::start(1, &[]).await;
    etcdctl(&cluster, "roles").await;
    etcdctl(&cluster, "users").await;
    cluster.set_user("root:secret0");
    cluster.healthy().await;
    let nsctl = Nsctl::new(cluster.endpoints()).with("--user", "nsctl:secret2");
    let reader = nsctl.with("--user", "reader:secret3");
    let nsd = ["--user", "nsd:secret1"];
    let limit = Duration::from_secs(20);

    // What each needs.
    nsctl
        .write("zone add example.org --ns ns1.example.net")
        .await;
    let frontend = Frontend::start("fe1", cluster.endpoints(), &nsd).await;
    frontend.ready().await;
    eventually("it is registered", limit, async || {
        let status = frontend.status().await;
        ensure(status["registered"] == true, || status.to_string())
    })
    .await;
    nsctl
        .write("add www.example.org A 192.0.2.1 --wait 20s")
        .await;
    nsctl.run("verify").await.expect(0);
    for command in ["list", "zone list", "zone export example.org", "status"] {
        for nsctl in [&nsctl, &reader] {
            nsctl.run(command).await.expect(0);
        }
    }
    // The history has the user that etcd knows.
    let history = reader.ok("history www.example.org").await;
    assert_eq!(
        (&history[0]["via"], &history[0]["user"]),
        (&"nsctl add".into(), &"nsctl".into()),
        "{history}"
    );
    nsctl.write("zone set example.org --minimum 30").await;
    nsctl.run("accept").await.expect(0);
    nsctl.run("zone clean example.org").await.expect(0);

    // A service announces, and may do nothing else. When it is killed, the front-end makes the serial grow.
    let service = nsctl.with("--user", "service:secret4");
    let mut announcer = service.start("announce api.example.org A 192.0.2.7 --lease 2s");
    let leased_serial = "/ns/v1/leased-serial/org.example";
    let serves = async |rcode: &str| {
        let answer = dns::udp(frontend.dns, "api.example.org", Rtype::A).await?;
        ensure(answer.rcode == rcode, || {
            format!("{answer:?}\n{}", announcer.stderr())
        })
    };
    eventually("it is announced", limit, async || serves("NOERROR").await).await;
    for command in [
        "add a.example.org A 192.0.2.1",
        "zone set example.org --minimum 31",
        "cookie show",
    ] {
        service.run(command).await.expect(1);
    }
    let before = written_at(&cluster, leased_serial).await;
    announcer.kill();
    eventually("it is gone", limit, async || {
        let answer = dns::udp(frontend.dns, "api.example.org", Rtype::A).await?;
        ensure(answer.rcode == "NXDOMAIN", || format!("{answer:?}"))?;
        let after = written_at(&cluster, leased_serial).await;
        ensure(after > before, || {
            format!("{before:?} {after:?}\n{:?}", frontend.log())
        })
    })
    .await;

    // What is not granted is denied, and says so.
    let denied = reader.run("add a.example.org A 192.0.2.1").await.expect(1);
    assert!(denied.complaint().contains("denies"), "{denied:?}");

    // Without a right to its registration a front-end serves, and says why nobody knows of it.
    let revoke = |role: &'static str, prefix: &'static str| {
        let args = ["role", "revoke-permission", role, "--prefix", prefix];
        let cluster = &cluster;
        async move { cluster.etcdctl(&args).await }
    };
    revoke("nsd", "/ns/v1/frontend/").await;
    let hidden = Frontend::start("fe2", cluster.endpoints(), &nsd).await;
    hidden.ready().await;
    eventually("it says why it is not registered", limit, async || {
        let status = hidden.status().await;
        let trouble = status["registration_trouble"].as_str().unwrap_or_default();
        ensure(
            status["registered"] == false && trouble.contains("/ns/v1/frontend/fe2"),
            || status.to_string(),
        )?;
        let log = hidden.log();
        let told = log.iter().filter(|line| {
            line["level"] == "WARN" && line.to_string().contains("/ns/v1/frontend/fe2")
        });
        ensure(told.count() == 1, || format!("{log:?}"))
    })
    .await;

    // Without a right to read it has nothing, and says why.
    revoke("nsd", "/ns/").await;
    let blind = Frontend::start("fe3", cluster.endpoints(), &nsd).await;
    eventually("it says why it has nothing", limit, async || {
        let status = blind.status().await;
        let trouble = status["trouble"].as_str().unwrap_or_default();
        ensure(
            trouble.contains("denies") && status["ready"] == false,
            || status.to_string(),
        )
    })
    .await;
    let serving = |line: &serde_json::Value| line["fields"]["message"] == "serving";
    assert!(!blind.log().iter().any(serving), "{:?}", blind.log());
    revoke("nsctl", "/ns/").await;
    let denied = nsctl.run("list").await.expect(1);
    assert!(denied.complaint().contains("denies"), "{denied:?}");
}
