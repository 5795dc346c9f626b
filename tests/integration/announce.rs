//! `nsctl announce`: records that live as long as what announces them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use serde_json::Value;
use tests::{Frontend, Gate, Nsctl, Process, TempDir, World, dns, ensure, eventually};

/// How long anything may take that needs no lease to expire.
const SOON: Duration = Duration::from_secs(20);

/// The lease of most tests: with a machine that is busy, keep-alives are late.
const LEASE: Duration = Duration::from_secs(6);

/// How late an expiry may be: etcd looks for expired leases twice a second, and the issue allows a second in all.
const LATE: Duration = Duration::from_secs(1);

/// What a busy machine adds to that.
const BUSY: Duration = Duration::from_secs(2);

/// The last octets of the addresses of a name; an error if it has none.
async fn addresses(server: SocketAddr, name: &str) -> Result<BTreeSet<u8>, String> {
    let answer = dns::udp(server, name, Rtype::A).await?;
    let of = |line: &String| {
        line.rsplit_once('.')
            .and_then(|(_, last)| last.parse().ok())
    };
    let all: BTreeSet<u8> = answer.answers.iter().filter_map(of).collect();
    ensure(!all.is_empty() && answer.rcode == "NOERROR", || {
        format!("{answer:?}")
    })?;
    Ok(all)
}

/// Waits until all front-ends answer with these addresses, none for NXDOMAIN.
async fn serves(world: &World, name: &str, expected: &[u8], limit: Duration) {
    let expected: BTreeSet<u8> = expected.iter().copied().collect();
    eventually(&format!("{name} has {expected:?}"), limit, async || {
        for frontend in &world.frontends {
            let found = addresses(frontend.dns, name).await;
            match (&found, expected.is_empty()) {
                (Ok(found), false) if *found == expected => {}
                (Err(told), true) if told.contains("NXDOMAIN") => {}
                _ => return Err(format!("{}: {found:?}", frontend.id)),
            }
        }
        Ok(())
    })
    .await;
}

async fn serial(frontend: &Frontend) -> u32 {
    let answer = dns::udp(frontend.dns, "example.org", Rtype::SOA)
        .await
        .expect("an answer");
    let fields: Vec<&str> = answer.answers[0].split_whitespace().collect();
    fields[5].parse().expect("a serial")
}

fn announcer(nsctl: &Nsctl, last: u8, more: &str) -> Process {
    nsctl.start(&format!(
        "announce api.example.org A 192.0.2.{last} --ttl 1 {more}"
    ))
}

async fn tells(process: &Process, text: &str) {
    eventually(text, SOON, async || {
        let told = process.stderr();
        ensure(told.contains(text), || told)
    })
    .await;
}

/// What a sampler saw: when it asked, and the addresses.
type Seen = Vec<(Instant, Result<BTreeSet<u8>, String>)>;

/// Asks a front-end for a name, over and over.
fn sample(server: SocketAddr, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Seen> {
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            seen.push((asked, addresses(server, "api.example.org").await));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        seen
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_that_are_killed_at_random_go_within_their_lease() {
    let world = World::with(2).await;
    let lease = format!("--lease {}s", LEASE.as_secs());
    let mut live: BTreeMap<u8, Process> = (1..=20)
        .map(|last| (last, announcer(&world.nsctl, last, &lease)))
        .collect();
    let all: Vec<u8> = live.keys().copied().collect();
    serves(&world, "api.example.org", &all, SOON * 2).await;
    let stop = Arc::new(AtomicBool::new(false));
    let samplers: Vec<_> = world
        .frontends
        .iter()
        .map(|frontend| sample(frontend.dns, stop.clone()))
        .collect();
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    let mut killed: BTreeMap<u8, Instant> = BTreeMap::new();
    // One lives to the end.
    while live.len() > 1 {
        let last = *random
            .choice(live.keys().collect::<Vec<_>>())
            .expect("there are some");
        if let Some(mut process) = live.remove(&last) {
            process.kill();
            killed.insert(last, Instant::now());
        }
        let pause = Duration::from_millis(random.u64(..800));
        tokio::time::sleep(pause).await;
    }
    let left: Vec<u8> = live.keys().copied().collect();
    serves(&world, "api.example.org", &left, LEASE + LATE + BUSY).await;
    stop.store(true, Ordering::Relaxed);
    let mut latest = Duration::ZERO;
    for sampler in samplers {
        for (asked, found) in sampler.await.expect("no panic") {
            let found = found.unwrap_or_else(|error| panic!("one lives all the time: {error}"));
            for last in &all {
                match killed.get(last) {
                    // Before it is killed it is there.
                    None => assert!(found.contains(last), "{last} is missing: {found:?}"),
                    Some(at) if asked < *at => assert!(found.contains(last), "{last} is missing"),
                    Some(at) if found.contains(last) => latest = latest.max(asked - *at),
                    Some(_) => {}
                }
            }
        }
    }
    println!("the last answer with a dead one: {latest:?} after it was killed, lease {LEASE:?}");
    assert!(latest <= LEASE + LATE + BUSY, "{latest:?}");
    // An expiry writes no key of its own: the serials agree all the same, also where everything is listed anew.
    let fresh = Frontend::start("fresh", world.cluster.endpoints(), &[]).await;
    fresh.ready().await;
    eventually("the serials agree", SOON, async || {
        let (one, other) = (
            serial(&world.frontends[0]).await,
            serial(&world.frontends[1]).await,
        );
        let new = serial(&fresh).await;
        ensure(one == other && one == new, || {
            format!("{one} {other} {new}")
        })
    })
    .await;
    world.nsctl.run("verify").await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn announcers_share_a_name_and_withdraw_at_once() {
    let world = World::with(2).await;
    let nsctl = &world.nsctl;
    nsctl
        .write("add api.example.org A 192.0.2.1 --ttl 60 --wait")
        .await;
    // The lease is so long that nothing here can be an expiry.
    let lease = "--lease 300s";
    let mut first = announcer(nsctl, 2, lease);
    let second = announcer(nsctl, 3, lease);
    serves(&world, "api.example.org", &[1, 2, 3], SOON).await;
    let answer = dns::udp(world.frontends[0].dns, "api.example.org", Rtype::A).await;
    let answer = answer.expect("an answer");
    assert!(
        answer.answers.iter().all(|line| line.contains(". 1 A ")),
        "one TTL: {answer:?}"
    );

    // They are listed, but are no part of the zone's own records.
    let listed = nsctl.ok("list api.example.org").await;
    let leases: Vec<&Value> = listed
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["lease"])
        .collect();
    assert_eq!(leases, [&Value::Null, &300.into(), &300.into()], "{listed}");
    let shown = nsctl.run("list").await.expect(0).stdout;
    assert!(shown.contains("LEASE") && shown.contains("300s"), "{shown}");
    let exported = nsctl.run("zone export example.org").await.expect(0).stdout;
    assert!(
        exported.contains("192.0.2.1") && !exported.contains("192.0.2.2"),
        "{exported}"
    );
    nsctl.run("verify").await.expect(0);

    // A CNAME record cannot join them, and they cannot join one.
    nsctl
        .run("add api2.example.org CNAME x.example.org")
        .await
        .expect(0);
    let refused = nsctl
        .run("announce api2.example.org A 192.0.2.9")
        .await
        .expect(3);
    assert!(refused.complaint().contains("CNAME"), "{refused:?}");
    nsctl.run("remove api.example.org A").await.expect(0);
    serves(&world, "api.example.org", &[2, 3], SOON).await;
    let refused = nsctl
        .run("add api.example.org CNAME x.example.org")
        .await
        .expect(3);
    assert!(
        refused.complaint().contains("announced A records"),
        "{refused:?}"
    );
    // What cannot be announced is refused at once.
    for (command, code) in [
        ("announce x.example.org NS ns1.example.org", 2),
        ("announce x.example.org CNAME y.example.org", 2),
        ("announce x.example.org A 192.0.2.300", 2),
        ("announce x.example.net A 192.0.2.1", 3),
        ("announce x.example.org A 192.0.2.1 --lease 1s", 2),
        (
            "announce x.example.org A 192.0.2.1 --check-http https://x/",
            2,
        ),
        ("announce x.example.org A 192.0.2.1 --check-tcp x", 2),
        (
            "announce x.example.org A 192.0.2.1 -- /nowhere/to/be/found",
            1,
        ),
    ] {
        nsctl.run(command).await.expect(code);
    }

    let before = serial(&world.frontends[0]).await;
    first.signal("TERM");
    assert!(first.end(SOON).await.success());
    serves(&world, "api.example.org", &[3], SOON).await;
    assert!(serial(&world.frontends[0]).await > before);
    assert!(first.stderr().contains("withdrawn"), "{}", first.stderr());

    // The zone goes, and comes back: the announcer finds out by itself.
    nsctl.run("zone remove example.org").await.expect(0);
    tells(&second, "not announced").await;
    let keys = world.cluster.keys("/ns/v1/leased/").await;
    assert!(keys.is_empty(), "{keys:?}");
    nsctl
        .run("zone add example.org --ns ns1.example.net")
        .await
        .expect(0);
    serves(&world, "api.example.org", &[3], SOON).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_and_its_records_end_together() {
    let world = World::with(1).await;
    let (nsctl, folder) = (&world.nsctl, TempDir::new());
    let more = "--lease 300s";
    // The command ends by itself: its exit code is passed on.
    let file = folder.path().join("go");
    let script = folder.write(
        "service",
        &format!(
            "#!/bin/sh\necho started\nwhile [ ! -e {} ]; do sleep 0.05; done\nexit 7\n",
            file.display()
        ),
    );
    let run = |script: &std::path::Path| format!("{more} -- sh {}", script.display());
    let mut process = announcer(nsctl, 1, &run(&script));
    serves(&world, "api.example.org", &[1], SOON).await;
    assert_eq!(process.stdout(), "started\n");
    std::fs::write(&file, "").expect("written");
    assert_eq!(process.end(SOON).await.code(), Some(7));
    serves(&world, "api.example.org", &[], SOON).await;

    // A signal: the records go first, then the command is told.
    let script = folder.write(
        "graceful",
        "trap 'echo told >&2; exit 3' TERM\nwhile :; do sleep 0.05; done\n",
    );
    let mut process = announcer(nsctl, 2, &run(&script));
    serves(&world, "api.example.org", &[2], SOON).await;
    process.signal("TERM");
    assert_eq!(process.end(SOON).await.code(), Some(3));
    let news = process.stderr();
    let order = (news.find("withdrawn"), news.find("told"));
    assert!(order.0.is_some() && order.0 < order.1, "{news}");
    serves(&world, "api.example.org", &[], SOON).await;

    // A command that does not end is killed by a second signal.
    let id = folder.path().join("id");
    let script = folder.write(
        "stubborn",
        &format!(
            "trap '' TERM\necho $$ > {}\nwhile :; do sleep 0.05; done\n",
            id.display()
        ),
    );
    let mut process = announcer(nsctl, 3, &run(&script));
    serves(&world, "api.example.org", &[3], SOON).await;
    process.signal("TERM");
    serves(&world, "api.example.org", &[], SOON).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(process.ended().is_none(), "the command still runs");
    process.signal("TERM");
    process.end(SOON).await;
    let id = std::fs::read_to_string(id).expect("the command has run");
    eventually("the command is gone", SOON, async || {
        let is_there = std::path::Path::new("/proc").join(id.trim()).exists();
        ensure(!is_there, || format!("process {id}"))
    })
    .await;

    // Also if it comes at once: the records do not stay until the lease expires.
    let mut process = announcer(nsctl, 4, &run(&script));
    serves(&world, "api.example.org", &[4], SOON).await;
    process.signal("TERM");
    process.signal("HUP");
    process.end(SOON).await;
    serves(&world, "api.example.org", &[], SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_follow_the_check() {
    let world = World::with(1).await;
    let (nsctl, folder) = (&world.nsctl, TempDir::new());
    let healthy = folder.path().join("healthy");
    let test = format!("test -e {}", healthy.display());
    let args =
        "announce api.example.org A 192.0.2.1 --lease 300s --check-interval 100ms --check-cmd";
    let args: Vec<&str> = args.split(' ').chain([test.as_str()]).collect();
    let process = nsctl.start_args(&args);
    tells(&process, "the check fails").await;
    serves(&world, "api.example.org", &[], SOON).await;
    for _ in 0..2 {
        std::fs::write(&healthy, "").expect("written");
        serves(&world, "api.example.org", &[1], SOON).await;
        std::fs::remove_file(&healthy).expect("removed");
        serves(&world, "api.example.org", &[], SOON).await;
    }
    // Against real listeners: the admin listener of the front-end, and a port that nobody has.
    let admin = world.frontends[0].admin;
    let good = format!("--check-http http://{admin}/healthz --check-interval 200ms");
    let http = announcer(nsctl, 2, &good);
    let tcp = announcer(
        nsctl,
        3,
        &format!("--check-tcp {admin} --check-interval 200ms"),
    );
    serves(&world, "api.example.org", &[2, 3], SOON).await;
    let bad = format!("--check-http http://{admin}/nothing --check-interval 200ms");
    let missing = announcer(nsctl, 4, &bad);
    let closed = announcer(
        nsctl,
        5,
        &format!(
            "--check-tcp 127.0.0.1:{} --check-interval 200ms",
            tests::free_port()
        ),
    );
    tells(&missing, "404").await;
    tells(&closed, "the check fails").await;
    serves(&world, "api.example.org", &[2, 3], SOON).await;
    drop((http, tcp));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_reach_etcd_goes_and_comes_back() {
    let mut world = World::with(1).await;
    let folder = TempDir::new();
    let snapshot = folder.path().join("snapshot").display().to_string();
    let kept = Frontend::start(
        "kept",
        world.cluster.endpoints(),
        &["--snapshot", &snapshot, "--snapshot-interval", "1s"],
    )
    .await;
    world.frontends.push(kept);
    let gate = Gate::to(world.cluster.endpoint(0)).await;
    let behind = Nsctl::new(&[gate.endpoint().into()]);
    let lease = format!("--lease {}s", LEASE.as_secs());
    let near = announcer(&world.nsctl, 1, &lease);
    let far = announcer(&behind, 2, &lease);
    serves(&world, "api.example.org", &[1, 2], SOON).await;

    // One is cut off for longer than its lease.
    gate.silence();
    serves(&world, "api.example.org", &[1], LEASE + LATE + SOON).await;
    tells(&far, "cannot keep the lease alive").await;
    gate.open();
    serves(&world, "api.example.org", &[1, 2], SOON * 2).await;

    // etcd is gone for longer than the lease: what is served stays, also after a restart of a front-end.
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.cluster.stop_all().await;
    tokio::time::sleep(LEASE + LATE).await;
    serves(&world, "api.example.org", &[1, 2], SOON).await;
    if let Some(kept) = world.frontends.last_mut() {
        kept.restart(SOON).await;
    }
    serves(&world, "api.example.org", &[1, 2], SOON).await;
    drop(near);
    tokio::time::sleep(LEASE).await;
    serves(&world, "api.example.org", &[1, 2], SOON).await;
    // etcd gives all leases their whole lifetime again. Then the dead one goes, and the other stays.
    world.cluster.start_all().await;
    world.cluster.healthy().await;
    serves(&world, "api.example.org", &[2], LEASE * 2 + SOON).await;
    world.nsctl.run("verify").await.expect(0);
}
