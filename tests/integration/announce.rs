//! `nsctl announce`: records that live as long as what announces them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use serde_json::Value;
use tests::{Expiries, Frontend, Gate, Nsctl, Process, TempDir, World, dns, ensure, eventually};
use tokio::task::JoinHandle;

/// How long to wait for what has no bound, or one that is asserted otherwise.
const SOON: Duration = Duration::from_secs(20);

/// The lease of most tests: with a machine that is busy, keep-alives are late.
const LEASE: Duration = Duration::from_secs(6);

/// How late the end of a lease may be seen in answers.
const LATE: Duration = Duration::from_secs(1);

/// How late etcd is by design: it looks for expired leases twice a second.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// How far answers may be behind etcd.
const BEHIND: Duration = Duration::from_secs(1);

/// How long a withdrawal may take, from its cause to the answers.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How long an announcer that reaches etcd again may take until its records are served: an attempt whose answer is lost takes
/// a third of the lease, the pause after it half a second, and the next attempt succeeds.
const RETURN: Duration = Duration::from_secs(4);

/// How long a front-end that reaches etcd again may take to catch up: its longest pause between two attempts.
const CATCH_UP: Duration = Duration::from_secs(5);

/// What a busy machine adds to waiting limits.
const BUSY: Duration = Duration::from_secs(2);

const EDE_NETWORK_ERROR: u16 = 23;

/// The last octets of the addresses in an answer; an error if it has none.
fn addresses(answer: &dns::Answer) -> Result<BTreeSet<u8>, String> {
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
async fn serves(frontends: &[Frontend], name: &str, expected: &[u8], limit: Duration) {
    let expected: BTreeSet<u8> = expected.iter().copied().collect();
    eventually(&format!("{name} has {expected:?}"), limit, async || {
        for frontend in frontends {
            let answer = dns::udp(frontend.dns, name, Rtype::A).await?;
            match (addresses(&answer), expected.is_empty()) {
                (Ok(found), false) if found == expected => {}
                (Err(_), true) if answer.rcode == "NXDOMAIN" => {}
                _ => return Err(format!("{}: {answer:?}", frontend.id)),
            }
        }
        Ok(())
    })
    .await;
}

/// The same at once, counted from `since`.
async fn serves_at_once(world: &World, expected: &[u8], since: Instant) {
    serves(&world.frontends, "api.example.org", expected, AT_ONCE).await;
    let took = since.elapsed();
    println!("{expected:?} after {took:?}");
    assert!(took <= AT_ONCE, "{took:?}");
}

async fn serial_at(server: SocketAddr) -> Result<u32, String> {
    let answer = dns::udp(server, "example.org", Rtype::SOA).await?;
    let serial = answer.answers.first().and_then(|soa| {
        let serial = soa.split_whitespace().nth(5)?;
        serial.parse().ok()
    });
    serial.ok_or_else(|| format!("{answer:?}"))
}

async fn serial(frontend: &Frontend) -> u32 {
    serial_at(frontend.dns).await.expect("a serial")
}

/// Waits until all front-ends have one serial, which is higher than `before`.
async fn serials_agree(frontends: &[&Frontend], before: u32) {
    eventually("the serials agree", SOON, async || {
        let mut serials = BTreeSet::new();
        for frontend in frontends {
            serials.insert(serial_at(frontend.dns).await?);
        }
        ensure(
            serials.len() == 1 && serials.iter().all(|serial| *serial > before),
            || format!("{serials:?}, before {before}"),
        )
    })
    .await;
}

fn announcer(nsctl: &Nsctl, last: u8, more: &str) -> Process {
    nsctl.start(&format!(
        "announce api.example.org A 192.0.2.{last} --ttl 1 {more}"
    ))
}

/// `--lease` of [`LEASE`].
fn short() -> String {
    format!("--lease {}s", LEASE.as_secs())
}

async fn tells(process: &Process, text: &str) {
    eventually(text, SOON, async || {
        let told = process.stderr();
        ensure(told.contains(text), || told)
    })
    .await;
}

/// An answer, and when it was asked for.
type Sample<T> = (Instant, Result<T, String>);

/// Asks a front-end the same over and over.
struct Sampler<T> {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sample<T>>>,
}

impl<T: Send + 'static> Sampler<T> {
    fn start<F: Future<Output = Result<T, String>> + Send>(
        ask: impl Fn() -> F + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let asked = Instant::now();
                seen.push((asked, ask().await));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            seen
        });
        Sampler { stop, task }
    }

    /// What was answered; an error fails the test.
    async fn end(self) -> Vec<(Instant, T)> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.task.await.expect("no panic").into_iter();
        seen.map(|(asked, answer)| (asked, answer.unwrap_or_else(|error| panic!("{error}"))))
            .collect()
    }
}

/// Samples the addresses of a name that always has some.
fn sample(frontend: &Frontend) -> Sampler<BTreeSet<u8>> {
    let server = frontend.dns;
    Sampler::start(move || async move {
        addresses(&dns::udp(server, "api.example.org", Rtype::A).await?)
    })
}

/// Samples the serial of the zone.
fn sample_serials(frontend: &Frontend) -> Sampler<u32> {
    let server = frontend.dns;
    Sampler::start(move || serial_at(server))
}

/// Panics if a serial is lower than one before.
async fn never_goes_back(serials: Sampler<u32>) {
    let serials = serials.end().await;
    assert!(
        serials.is_sorted_by_key(|(_, serial)| *serial),
        "{serials:?}"
    );
}

/// When an answer was asked for first and last.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: Instant,
    last: Instant,
}

/// Checks that answers come in this order and that there are no others; some may be left out. Returns when each was given.
fn in_order<const N: usize>(
    seen: &[(Instant, BTreeSet<u8>)],
    sets: &[BTreeSet<u8>; N],
) -> [Option<Span>; N] {
    let (mut spans, mut now) = ([None; N], 0);
    for (asked, found) in seen {
        let next = sets[now..].iter().position(|set| set == found);
        now += next.unwrap_or_else(|| panic!("{found:?} is none of {:?}", &sets[now..]));
        let span = spans[now].get_or_insert(Span {
            first: *asked,
            last: *asked,
        });
        span.last = *asked;
    }
    spans
}

/// Checks that the records of an announcer that cannot have renewed its lease after `last` were gone in time: in etcd, and in
/// the answers, the last of which was asked for at `answered`. Only a lease of the control that etcd ended late explains
/// more than a second.
fn went_in_time(etcd: &Expiries, address: u8, last: Instant, answered: Instant) {
    let gone = etcd.gone(&format!("\"192.0.2.{address}\""), last);
    let gone = gone.unwrap_or_else(|| panic!("{address} is still in etcd"));
    let lateness = etcd.lateness(last + LEASE, gone);
    let excess = lateness.saturating_sub(LOOKS_EVERY);
    let report = format!(
        "{address}: {:?} after its last moment it was gone in etcd, {:?} after it last answered; the control was {lateness:?} late",
        gone - last,
        answered - last
    );
    println!("{report}");
    let limit = LEASE + LATE + excess;
    assert!(gone - last <= limit && answered - last <= limit, "{report}");
    assert!(answered <= gone + BEHIND, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_that_are_killed_at_random_go_within_their_lease() {
    let world = World::with(2).await;
    let etcd = Expiries::follow(world.cluster.endpoint(0), LEASE).await;
    let mut live: BTreeMap<u8, Process> = (1..=20)
        .map(|last| (last, announcer(&world.nsctl, last, &short())))
        .collect();
    let all: Vec<u8> = live.keys().copied().collect();
    serves(&world.frontends, "api.example.org", &all, SOON * 2).await;
    let before = serial(&world.frontends[0]).await;
    let samplers: Vec<_> = world.frontends.iter().map(sample).collect();
    let serials: Vec<_> = world.frontends.iter().map(sample_serials).collect();
    let test = "twenty_that_are_killed_at_random_go_within_their_lease";
    let mut random = fastrand::Rng::with_seed(tests::seed(test));
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
    let limit = LEASE + LATE + BUSY;
    serves(&world.frontends, "api.example.org", &left, limit).await;
    let mut answered: BTreeMap<u8, Instant> = BTreeMap::new();
    for sampler in samplers {
        // One lives all the time, so no answer is empty.
        for (asked, found) in sampler.end().await {
            for last in &all {
                let is_alive = killed.get(last).is_none_or(|at| asked < *at);
                assert!(!is_alive || found.contains(last), "no {last}: {found:?}");
            }
            for last in found {
                let latest = answered.entry(last).or_insert(asked);
                *latest = asked.max(*latest);
            }
        }
    }
    for (last, at) in killed {
        went_in_time(&etcd, last, at, answered[&last]);
    }
    // An expiry writes no key of its own: the serials agree all the same, also where everything is listed anew.
    let fresh = Frontend::start("fresh", world.cluster.endpoints(), &[]).await;
    fresh.ready().await;
    let frontends = [&world.frontends[0], &world.frontends[1], &fresh];
    serials_agree(&frontends, before).await;
    for sampler in serials {
        never_goes_back(sampler).await;
    }
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
    serves(&world.frontends, "api.example.org", &[1, 2, 3], SOON).await;
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
    serves(&world.frontends, "api.example.org", &[2, 3], SOON).await;
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
    let since = Instant::now();
    first.signal("TERM");
    serves_at_once(&world, &[3], since).await;
    assert!(first.end(AT_ONCE).await.success());
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
    serves(&world.frontends, "api.example.org", &[3], SOON).await;
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
    serves(&world.frontends, "api.example.org", &[1], SOON).await;
    assert_eq!(process.stdout(), "started\n");
    let since = Instant::now();
    std::fs::write(&file, "").expect("written");
    serves_at_once(&world, &[], since).await;
    assert_eq!(process.end(SOON).await.code(), Some(7));

    // A signal: the records go first, then the command is told.
    let script = folder.write(
        "graceful",
        "trap 'echo told >&2; exit 3' TERM\nwhile :; do sleep 0.05; done\n",
    );
    let mut process = announcer(nsctl, 2, &run(&script));
    serves(&world.frontends, "api.example.org", &[2], SOON).await;
    let since = Instant::now();
    process.signal("TERM");
    serves_at_once(&world, &[], since).await;
    assert_eq!(process.end(SOON).await.code(), Some(3));
    let news = process.stderr();
    let order = (news.find("withdrawn"), news.find("told"));
    assert!(order.0.is_some() && order.0 < order.1, "{news}");

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
    serves(&world.frontends, "api.example.org", &[3], SOON).await;
    let since = Instant::now();
    process.signal("TERM");
    serves_at_once(&world, &[], since).await;
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
    serves(&world.frontends, "api.example.org", &[4], SOON).await;
    let since = Instant::now();
    process.signal("TERM");
    process.signal("HUP");
    serves_at_once(&world, &[], since).await;
    process.end(SOON).await;
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
    serves(&world.frontends, "api.example.org", &[], SOON).await;
    for _ in 0..2 {
        std::fs::write(&healthy, "").expect("written");
        serves(&world.frontends, "api.example.org", &[1], SOON).await;
        let since = Instant::now();
        std::fs::remove_file(&healthy).expect("removed");
        // Two checks are 100 ms apart.
        serves_at_once(&world, &[], since).await;
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
    serves(&world.frontends, "api.example.org", &[2, 3], SOON).await;
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
    serves(&world.frontends, "api.example.org", &[2, 3], SOON).await;
    drop((http, tcp));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_for_longer_than_a_lease_converges_when_it_is_back() {
    let mut world = World::with(2).await;
    let (far_gate, cut_gate) = (
        Gate::to(world.cluster.endpoint(0)).await,
        Gate::to(world.cluster.endpoint(1)).await,
    );
    let cut = Frontend::start("cut", &[cut_gate.endpoint().into()], &[]).await;
    world.frontends.push(cut);
    world.registered(3).await;
    let etcd = Expiries::follow(world.cluster.endpoint(2), LEASE).await;
    let name = "api.example.org";
    let near = announcer(&world.nsctl, 1, &short());
    let behind = Nsctl::new(&[far_gate.endpoint().into()]);
    let mut far = announcer(&behind, 2, &short());
    serves(&world.frontends, name, &[1, 2], SOON).await;
    let before = serial(&world.frontends[0]).await;
    let samplers: Vec<_> = world.frontends.iter().map(sample).collect();
    let serials: Vec<_> = world.frontends.iter().map(sample_serials).collect();

    // An announcer is cut off for longer than its lease.
    far_gate.silence();
    let silenced = Instant::now();
    serves(&world.frontends, name, &[1], LEASE + LATE + BUSY).await;
    tells(&far, "cannot keep the lease alive").await;
    tokio::time::sleep_until((silenced + LEASE + LATE).into()).await;
    let reached = Instant::now();
    far_gate.open();
    serves(&world.frontends, name, &[1, 2], RETURN + BUSY).await;

    // A front-end is cut off for longer than a lease. Meanwhile one announcer starts, and another one is killed.
    let direct = &world.frontends[..2];
    cut_gate.silence();
    let apart = Instant::now();
    let third = announcer(&world.nsctl, 3, &short());
    serves(direct, name, &[1, 2, 3], SOON).await;
    far.kill();
    let killed = Instant::now();
    serves(direct, name, &[1, 3], LEASE + LATE + BUSY).await;
    tokio::time::sleep_until((apart + LEASE + LATE).into()).await;
    let healed = Instant::now();
    cut_gate.open();
    serves(&world.frontends, name, &[1, 3], CATCH_UP + BUSY).await;
    serials_agree(&world.frontends.iter().collect::<Vec<_>>(), before).await;

    let sets = [&[1, 2][..], &[1], &[1, 2], &[1, 2, 3], &[1, 3]];
    let sets = sets.map(|set| set.iter().copied().collect::<BTreeSet<u8>>());
    for (index, sampler) in samplers.into_iter().enumerate() {
        let [all, _, again, more, rest] = in_order(&sampler.end().await, &sets);
        let span = |span: Option<Span>| span.expect("it was waited for");
        let (all, again, rest) = (span(all), span(again), span(rest));
        went_in_time(&etcd, 2, silenced, all.last);
        let back = again.first - reached;
        println!("{back:?} after the announcer reached etcd it was back");
        assert!(back <= RETURN, "{back:?}");
        match index {
            // What it served stays until it is back.
            2 => {
                let caught_up = rest.first - healed;
                println!("{caught_up:?} after the front-end reached etcd it had caught up");
                assert!(
                    rest.first >= healed && caught_up <= CATCH_UP,
                    "{caught_up:?}"
                );
                assert!(more.is_none_or(|more| more.first >= healed), "{more:?}");
            }
            _ => went_in_time(&etcd, 2, killed, span(more).last),
        }
    }
    for sampler in serials {
        never_goes_back(sampler).await;
    }
    drop((near, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_announced_outlives_an_outage_of_etcd() {
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
    let name = "api.example.org";
    let near = announcer(&world.nsctl, 1, &short());
    let far = announcer(&world.nsctl, 2, &short());
    serves(&world.frontends, name, &[1, 2], SOON).await;
    let sampler = sample(&world.frontends[0]);

    // etcd is gone for longer than the lease: what is served stays, also after a restart of a front-end.
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.cluster.stop_all().await;
    tokio::time::sleep(LEASE + LATE).await;
    serves(&world.frontends, name, &[1, 2], SOON).await;
    if let Some(kept) = world.frontends.last_mut() {
        kept.restart(SOON).await;
    }
    serves(&world.frontends, name, &[1, 2], SOON).await;
    drop(near);
    tokio::time::sleep(LEASE).await;
    serves(&world.frontends, name, &[1, 2], SOON).await;
    // etcd gives all leases their whole lifetime again. Then the dead one goes, and the other stays.
    world.cluster.start_all().await;
    world.cluster.healthy().await;
    serves(&world.frontends, name, &[2], LEASE * 2 + SOON).await;
    in_order(&sampler.end().await, &[[1, 2].into(), [2].into()]);
    world.nsctl.run("verify").await.expect(0);
    drop(far);
}

/// A zone that promises freshness. Its name `api` has two addresses, the second of which goes.
#[derive(Clone, Copy)]
struct Promise {
    zone: &'static str,
    consistency: &'static str,
    /// How old its answers may be.
    age_max: Duration,
    /// The last octet of the first address.
    stays: u8,
}

const PROMISES: [Promise; 2] = [
    Promise {
        zone: "exact.test",
        consistency: "linearizable",
        age_max: Duration::ZERO,
        stays: 10,
    },
    Promise {
        zone: "bounded.test",
        consistency: "bounded:3s",
        age_max: Duration::from_secs(3),
        stays: 20,
    },
];

/// An answer, and when it had come.
type Received = (dns::Answer, Instant);

impl Promise {
    fn goes(&self) -> u8 {
        self.stays + 1
    }

    fn announcer(&self, nsctl: &Nsctl, last: u8) -> Process {
        let (zone, lease) = (self.zone, short());
        nsctl.start(&format!(
            "announce api.{zone} A 192.0.2.{last} --ttl 1 {lease}"
        ))
    }

    async fn serves(&self, frontends: &[Frontend], expected: &[u8]) {
        let (name, limit) = (format!("api.{}", self.zone), LEASE + LATE + SOON);
        serves(frontends, &name, expected, limit).await;
    }

    fn sample(&self, frontend: &Frontend) -> Sampler<Received> {
        let (server, zone) = (frontend.dns, self.zone);
        Sampler::start(move || async move {
            let answer = dns::udp(server, &format!("api.{zone}"), Rtype::A).await?;
            Ok((answer, Instant::now()))
        })
    }

    /// Checks that all answers are right, or refusals. Returns those with addresses, and when each was asked for
    /// and received.
    fn answers(&self, seen: Vec<(Instant, Received)>) -> Vec<([Instant; 2], BTreeSet<u8>)> {
        let is_refusal =
            |answer: &dns::Answer| answer.rcode == "SERVFAIL" && answer.ede == [EDE_NETWORK_ERROR];
        let (count, stays) = (seen.len(), self.stays);
        let answers = seen
            .into_iter()
            .filter(|(_, (answer, _))| !is_refusal(answer));
        let answers = answers.map(|(asked, (answer, received))| {
            let found = addresses(&answer).unwrap_or_else(|error| panic!("{error}"));
            let is_right = found == [stays].into() || found == [stays, self.goes()].into();
            assert!(is_right, "{answer:?}");
            ([asked, received], found)
        });
        let answers: Vec<_> = answers.collect();
        let zone = self.zone;
        println!(
            "{zone}: {} of {count} answers are not refused",
            answers.len()
        );
        answers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_breaks_no_promise_of_a_zone() {
    let mut world = World::with(2).await;
    let gate = Gate::to(world.cluster.endpoint(1)).await;
    let cut = Frontend::start("cut", &[gate.endpoint().into()], &[]).await;
    world.frontends.push(cut);
    world.registered(3).await;
    let etcd = Expiries::follow(world.cluster.endpoint(2), LEASE).await;
    let (mut living, mut dying, mut samplers) = (Vec::new(), Vec::new(), Vec::new());
    for promise in &PROMISES {
        let (zone, consistency) = (promise.zone, promise.consistency);
        let add = format!("zone add {zone} --ns ns1.example.org --consistency {consistency}");
        world.nsctl.write(&add).await;
        living.push(promise.announcer(&world.nsctl, promise.stays));
        dying.push(promise.announcer(&world.nsctl, promise.goes()));
        let both = [promise.stays, promise.goes()];
        promise.serves(&world.frontends, &both).await;
        samplers.extend(
            world
                .frontends
                .iter()
                .map(|frontend| promise.sample(frontend)),
        );
    }
    gate.silence();
    let apart = Instant::now();
    dying.iter_mut().for_each(Process::kill);
    let killed = Instant::now();
    for promise in &PROMISES {
        promise
            .serves(&world.frontends[..2], &[promise.stays])
            .await;
    }
    // Until what the other front-end has is too old in both zones, and for longer than the lease.
    let [_, bounded] = PROMISES;
    tokio::time::sleep_until((apart + LEASE + LATE + bounded.age_max).into()).await;
    let healed = Instant::now();
    gate.open();
    for promise in &PROMISES {
        promise.serves(&world.frontends, &[promise.stays]).await;
    }
    for (index, sampler) in samplers.into_iter().enumerate() {
        let promise = PROMISES[index / world.frontends.len()];
        let is_cut_off = index % world.frontends.len() == 2;
        let gone = etcd.gone(&format!("\"192.0.2.{}\"", promise.goes()), killed);
        let gone = gone.expect("it was waited for");
        let mut answered = killed;
        for ([asked, received], found) in promise.answers(sampler.end().await) {
            if found.contains(&promise.goes()) {
                answered = asked;
            }
            let is_old = asked > apart + promise.age_max && received < healed;
            assert!(!is_cut_off || !is_old, "{:?} after the cut", asked - apart);
        }
        let age = answered.saturating_duration_since(gone);
        assert!(age <= promise.age_max, "{}: {age:?}", promise.zone);
        if !is_cut_off {
            went_in_time(&etcd, promise.goes(), killed, answered);
        }
    }
    drop(living);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ttl_is_never_longer_than_the_lease() {
    let world = World::with(2).await;
    let nsctl = &world.nsctl;
    let name = "api.example.org";
    let ttls = async |expected: u32| {
        for frontend in &world.frontends {
            for is_tcp in [false, true] {
                let answer = match is_tcp {
                    false => dns::udp(frontend.dns, name, Rtype::A).await,
                    true => dns::tcp(frontend.dns, name, Rtype::A).await,
                };
                let answer = answer.expect("an answer");
                let start = format!("{name}. {expected} A ");
                let all = answer.answers.iter().all(|line| line.starts_with(&start));
                assert!(all && !answer.answers.is_empty(), "{expected}: {answer:?}");
            }
        }
    };
    let announce = |last: u8, ttl: u32, lease: &str| {
        nsctl.start(&format!(
            "announce {name} A 192.0.2.{last} --ttl {ttl} --lease {lease}"
        ))
    };
    let long = announce(1, 3600, "10s");
    serves(&world.frontends, name, &[1], SOON).await;
    ttls(10).await;
    tells(&long, "the TTL is that of the lease, 10s").await;
    // The records of all make one RRset, whose TTL is the shortest.
    nsctl
        .write("add api.example.org A 192.0.2.2 --ttl 3600 --wait")
        .await;
    ttls(10).await;
    let mut longer = announce(3, 3600, "300s");
    serves(&world.frontends, name, &[1, 2, 3], SOON).await;
    ttls(10).await;
    let mut short = announce(4, 7, "300s");
    serves(&world.frontends, name, &[1, 2, 3, 4], SOON).await;
    ttls(7).await;
    short.signal("TERM");
    short.end(SOON).await;
    serves(&world.frontends, name, &[1, 2, 3], SOON).await;
    ttls(10).await;
    drop(long);
    serves(&world.frontends, name, &[2, 3], SOON).await;
    ttls(300).await;
    longer.signal("TERM");
    longer.end(SOON).await;
    serves(&world.frontends, name, &[2], SOON).await;
    ttls(3600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_move_to_a_zone_that_is_added_for_their_name() {
    let world = World::with(1).await;
    let api = announcer(&world.nsctl, 1, "");
    serves(&world.frontends, "api.example.org", &[1], SOON).await;
    for (change, holder) in [
        (
            "zone add api.example.org --ns ns1.example.net",
            "org.example.api/",
        ),
        ("zone remove api.example.org", "org.example/"),
    ] {
        world.nsctl.ok(change).await;
        eventually(holder, SOON, async || {
            let keys = ["get", "--prefix", "--keys-only", "/ns/v1/leased/"];
            let keys = world.cluster.etcdctl(&keys).await;
            let own = format!("/ns/v1/leased/{holder}");
            ensure(
                keys.trim().lines().count() == 1 && keys.contains(&own),
                || keys.clone(),
            )
        })
        .await;
        serves(&world.frontends, "api.example.org", &[1], SOON).await;
    }
    drop(api);
}
