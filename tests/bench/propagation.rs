//! From a commit until every front-end answers with it: by the number of front-ends and of etcd members, and by the
//! distance between members and to the front-ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use domain::base::iana::Rtype as AskedType;
use etcd::client::{Config, Store};
use etcd::model::Change;
use etcd::model::{Name, Rdata, Rtype};
use etcd::schema::Prefix;
use etcd_client::Client;
use tests::{Frontend, Nsctl, Process, TempDir, dns, ensure, eventually, free_port};
use tokio::net::UdpSocket;

use crate::Run;
use crate::delay::proxy;
use crate::report::{Report, Series, lines, percentile};

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One in so many changes is followed by a bare put and a run of `nsctl`, to compare.
const COMPARED_EVERY: usize = 3;

/// The owner that is written.
const OWNER: &str = "www.bench.test";

/// Only some of the cells; all where nothing is given.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// One-way delays in milliseconds.
    #[arg(long, value_delimiter = ',')]
    delays: Vec<u64>,
    /// Numbers of etcd members.
    #[arg(long, value_delimiter = ',')]
    members: Vec<usize>,
    /// Numbers of front-ends.
    #[arg(long, value_delimiter = ',')]
    frontends: Vec<usize>,
}

/// What was asked for, or else these.
fn or<'a, T>(asked: &'a [T], default: &'a [T]) -> &'a [T] {
    if asked.is_empty() { default } else { asked }
}

pub(crate) fn run(run: &Run, options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let delays = or(&options.delays, run.pick(&[0, 20, 100], &[0]));
    let members = or(&options.members, run.pick(&[1, 3, 5], &[1]));
    let frontends = or(&options.frontends, run.pick(&[1, 3, 12], &[1, 3]));
    let mut report = Report::new(
        "propagation",
        "From a commit until every front-end answers with it",
        &[
            "one-way delay ms",
            "members",
            "front-ends",
            "put p50 ms",
            "change p50 ms",
            "nsctl p50 ms",
            "of a put",
            "visible p50 ms",
            "visible p99 ms",
            "proved p99 ms",
        ],
    );
    let mut lines_by_members: HashMap<(u64, usize), Vec<(f64, f64)>> = HashMap::new();
    for &delay in delays {
        let writes = run.pick(if delay == 0 { 200 } else { 30 }, 5);
        for &count in members {
            runtime.block_on(async {
                let cluster = Members::start(count, Duration::from_millis(delay)).await;
                for &frontends in frontends {
                    let reading = cluster.measure(frontends, writes).await;
                    let at = |sorted: &[f64], share| format!("{:.1}", percentile(sorted, share));
                    report.row([
                        delay.to_string(),
                        count.to_string(),
                        frontends.to_string(),
                        at(&reading.put, 0.5),
                        at(&reading.commit, 0.5),
                        at(&reading.nsctl, 0.5),
                        format!(
                            "{:.2}",
                            percentile(&reading.nsctl, 0.5) / percentile(&reading.put, 0.5)
                        ),
                        at(&reading.visible, 0.5),
                        at(&reading.visible, 0.99),
                        at(&reading.proved, 0.99),
                    ]);
                    let points = lines_by_members.entry((delay, count)).or_default();
                    points.push((frontends as f64, percentile(&reading.visible, 0.99)));
                }
            });
        }
    }
    report.note(
        "Put: one key, through the member that the writer is next to. Change: what a change reads, and its transaction, until that is answered. \
         nsctl: all of `nsctl add`, from its start to its end. Of a put: nsctl by put. Visible: from that answer to the first answer with the new data over DNS \
         from the last front-end. Proved: the same until the front-ends' admin listeners say so, as `--wait` asks them. \
         All on one machine; the delay is added by proxies between members and towards front-ends, each way.",
    );
    report.write(run)?;
    let mut series: Vec<_> = lines_by_members.into_iter().collect();
    series.sort_by_key(|(key, _)| *key);
    let series: Vec<Series> = series
        .into_iter()
        .map(|((delay, members), points)| Series {
            name: format!("{members} members, {delay} ms"),
            points,
        })
        .collect();
    let axes = ("front-ends", "ms, p99");
    lines(
        &run.results.join("propagation.svg"),
        "From a commit until all front-ends answer with it",
        axes,
        &series,
    )
}

/// Times in milliseconds, sorted.
#[derive(Default)]
struct Reading {
    put: Vec<f64>,
    commit: Vec<f64>,
    nsctl: Vec<f64>,
    visible: Vec<f64>,
    proved: Vec<f64>,
}

/// Members of etcd that are some way from each other.
struct Members {
    _processes: Vec<Process>,
    _data: TempDir,
    /// As the writer reaches them, who is next door.
    near: Vec<String>,
    /// As front-ends reach them.
    far: Vec<String>,
}

impl Members {
    async fn start(count: usize, delay: Duration) -> Self {
        let data = TempDir::new();
        let (mut near, mut far, mut peers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let (client, peer) = (free_port(), free_port());
            let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
            near.push(format!("http://{}", local(client)));
            far.push(format!("http://{}", late(local(client), delay).await));
            peers.push((local(peer), late(local(peer), delay).await));
        }
        let cluster: Vec<String> = peers
            .iter()
            .enumerate()
            .map(|(index, (_, told))| format!("m{index}=http://{told}"))
            .collect();
        let cluster = cluster.join(",");
        // Ten round trips, and what a busy machine needs.
        let (heartbeat, election) = (100 + 2 * delay.as_millis(), 1000 + 20 * delay.as_millis());
        let processes = (0..count).map(|index| {
            let (listen, told) = peers[index];
            let args = [
                ["--name", &format!("m{index}")],
                [
                    "--data-dir",
                    &data.path().join(index.to_string()).display().to_string(),
                ],
                ["--listen-client-urls", &near[index]],
                ["--advertise-client-urls", &near[index]],
                ["--listen-peer-urls", &format!("http://{listen}")],
                ["--initial-advertise-peer-urls", &format!("http://{told}")],
                ["--initial-cluster", &cluster],
                ["--heartbeat-interval", &heartbeat.to_string()],
                ["--election-timeout", &election.to_string()],
                ["--log-level", "error"],
            ];
            Process::start("etcd", std::path::Path::new("etcd"), args.iter().flatten())
        });
        let members = Members {
            _processes: processes.collect(),
            _data: data,
            near,
            far,
        };
        // Until each of them has answered once: what is lost while they find each other is asked for again after
        // seconds.
        for endpoint in &members.near {
            let one = Nsctl::new(std::slice::from_ref(endpoint)).with("--timeout", "20s");
            eventually("a member answers", Duration::from_secs(90), async || {
                let output = one.run("zone list").await;
                ensure(output.code == 0, || output.stderr)
            })
            .await;
        }
        let nsctl = Nsctl::new(&members.near).with("--timeout", "20s");
        eventually("the zone is added", Duration::from_secs(60), async || {
            let output = nsctl.run("zone add bench.test --ns ns1.bench.test").await;
            if output.code == 0 {
                Ok(())
            } else {
                Err(output.stderr)
            }
        })
        .await;
        members
    }

    async fn measure(&self, frontends: usize, writes: usize) -> Reading {
        let mut running = Vec::new();
        for index in 0..frontends {
            running.push(
                Frontend::start(&format!("fe{index}"), &self.far, &["--udp-workers", "1"]).await,
            );
        }
        for frontend in &running {
            frontend.ready().await;
        }
        let config = Config {
            request_timeout: Duration::from_secs(10),
            ..Config::new(self.near.clone())
        };
        let store = Store::new(config, Prefix::default(), PATIENCE);
        let mut reading = Reading::default();
        let near = std::slice::from_ref(&self.near[0]);
        let mut client = Client::connect(near, None).await.expect("a connection");
        let nsctl = Nsctl::new(&self.near).with("--timeout", "20s");
        // The first is not counted: connections come about.
        for number in 0..=writes {
            let value = format!("192.0.{}.{}", number >> 8, number & 255);
            let change = Change::Set {
                rtype: Rtype::A,
                ttl: Some(60),
                rdata: vec![Rdata::parse(Rtype::A, &value).expect("an address")],
            };
            let owner: Name = OWNER.parse().expect("a name");
            let sent = Instant::now();
            let changed = store
                .with_timeout(PATIENCE)
                .change(&owner, None, &change)
                .await
                .expect("etcd answers");
            let acknowledged = Instant::now();
            let expected: std::net::Ipv4Addr = value.parse().expect("an address");
            let (visible, proved) = tokio::join!(
                all_answer(&running, expected),
                all_proved(&running, changed.revision)
            );
            if number > 0 {
                let millis =
                    |end: Instant| end.saturating_duration_since(acknowledged).as_secs_f64() * 1e3;
                reading
                    .commit
                    .push((acknowledged - sent).as_secs_f64() * 1e3);
                reading.visible.push(millis(visible));
                reading.proved.push(millis(proved));
            }
            if number % COMPARED_EVERY == 1 {
                let start = Instant::now();
                let put = client.put("/bench/put", value.clone(), None).await;
                put.expect("etcd answers");
                reading.put.push(start.elapsed().as_secs_f64() * 1e3);
                let start = Instant::now();
                let output = nsctl
                    .run(&format!("add f{frontends}n{number}.bench.test A {value}"))
                    .await;
                assert_eq!(output.code, 0, "{}", output.stderr);
                reading.nsctl.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        for times in [
            &mut reading.put,
            &mut reading.commit,
            &mut reading.nsctl,
            &mut reading.visible,
            &mut reading.proved,
        ] {
            times.sort_by(f64::total_cmp);
        }
        reading
    }
}

async fn late(target: SocketAddr, delay: Duration) -> SocketAddr {
    if delay.is_zero() {
        return target;
    }
    proxy(target, delay)
        .await
        .expect("a port of the kernel's choice")
}

/// When the last front-end answers with this address.
async fn all_answer(frontends: &[Frontend], expected: std::net::Ipv4Addr) -> Instant {
    let socket = UdpSocket::bind("127.0.0.1:0")
        .await
        .expect("a port of the kernel's choice");
    let query = dns::query(7, OWNER, AskedType::A);
    let mut last = Instant::now();
    for frontend in frontends {
        // Those further on in the list may answer right long before: what counts is the last.
        loop {
            socket
                .send_to(&query, frontend.dns)
                .await
                .expect("loopback sends");
            let mut response = [0; 512];
            let len = socket.recv(&mut response).await.expect("loopback answers");
            // An address is the last thing before the OPT record of 11 octets.
            if len > 15 && response[len - 15..len - 11] == expected.octets() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        last = Instant::now();
    }
    last
}

/// When the last front-end has said that it serves this revision.
async fn all_proved(frontends: &[Frontend], revision: i64) -> Instant {
    let path = format!("/status?min_revision={revision}&timeout_ms=20000");
    for frontend in frontends {
        frontend
            .get(&path)
            .await
            .expect("the admin listener answers");
    }
    Instant::now()
}
