//! Clients that take all TCP connections for themselves, in every way there is, and others that are answered all the
//! same. No etcd is needed: SERVFAIL is an answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Nsctl, Single, TempDir, binary, dns, ensure, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const NOWHERE: &str = "http://127.0.0.1:1";

/// Connections that the front-end is given.
const SEATS: usize = 64;

/// As many addresses as it takes for all of them, and some more.
const ATTACKERS: u8 = 6;

/// What an attacker does with a connection.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Nothing.
    Silent,
    /// Begins a query.
    HalfQuery,
    /// Asks once, and then nothing.
    OneQuery,
    /// Asks and asks, and reads no answer.
    Deaf,
}

fn framed(id: u16) -> Vec<u8> {
    let query = dns::query(id, "www.example.org", Rtype::A);
    [&(query.len() as u16).to_be_bytes(), &query[..]].concat()
}

impl Attack {
    /// Keeps one connection open, and opens another one whenever that is closed.
    async fn run(self, source: Ipv4Addr, server: SocketAddr) {
        loop {
            // A port of this address may be missing for a moment; a connection may be closed at any time.
            if let Ok(mut stream) = dns::connect_from(source, server).await {
                let _ = self.occupy(&mut stream).await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn occupy(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Attack::Silent => {}
            Attack::HalfQuery => stream.write_all(&framed(1)[..5]).await?,
            Attack::OneQuery => {
                stream.write_all(&framed(1)).await?;
                dns::receive_framed(stream).await?;
            }
            Attack::Deaf => loop {
                stream.write_all(&framed(1).repeat(100)).await?;
            },
        }
        stream.read_u8().await.map(drop)
    }
}

/// Attacks from several addresses, each with more connections than there are for one client; until this is dropped.
fn attack(server: SocketAddr, attack: Attack) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for last in 0..ATTACKERS {
        let source = Ipv4Addr::new(127, 0, 13, 1 + last);
        for _ in 0..SEATS / 3 {
            attackers.spawn(attack.run(source, server));
        }
    }
    attackers
}

async fn seats_taken(frontend: &Frontend) -> usize {
    let metrics = frontend.get("/metrics").await.expect("an answer").body;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("nsd_tcp_connections "));
    let taken: f64 = line.expect("the metric").parse().expect("a number");
    taken as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_answered_while_all_connections_are_taken() {
    let options = [
        "--tcp-connections",
        &SEATS.to_string(),
        "--tcp-idle",
        "3600",
    ];
    for kind in [
        Attack::Silent,
        Attack::HalfQuery,
        Attack::OneQuery,
        Attack::Deaf,
    ] {
        let frontend = Frontend::start("fe1", &[NOWHERE.into()], &options).await;
        let _attackers = attack(frontend.dns, kind);
        eventually("all are taken", Duration::from_secs(30), async || {
            let taken = seats_taken(&frontend).await;
            ensure(taken >= SEATS - 1, || format!("{kind:?}: {taken}"))
        })
        .await;
        for _ in 0..50 {
            let answer = dns::tcp(frontend.dns, "www.example.org", Rtype::A).await;
            assert_eq!(
                answer.as_ref().map(|answer| &answer.rcode[..]),
                Ok("SERVFAIL"),
                "{kind:?}"
            );
        }
        let taken = seats_taken(&frontend).await;
        assert!(taken <= SEATS, "{kind:?}: {taken}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_queries_and_deaf_clients_are_closed_before_the_idle_time() {
    let options = ["--tcp-idle", "3600"];
    let frontend = Frontend::start("fe1", &[NOWHERE.into()], &options).await;
    let mut half = TcpStream::connect(frontend.dns).await.expect("it listens");
    half.write_all(&framed(1)[..5]).await.expect("sent");
    let source = Ipv4Addr::LOCALHOST;
    let mut deaf = dns::connect_from(source, frontend.dns)
        .await
        .expect("it listens");
    // Ends when the front-end closes it.
    let deaf_ends = Attack::Deaf.occupy(&mut deaf);
    let limit = Duration::from_secs(60);
    let (half, deaf) = tokio::join!(timeout(limit, half.read_u8()), timeout(limit, deaf_ends));
    assert!(
        half.is_ok_and(|read| read.is_err()),
        "half a query is waited for"
    );
    assert!(
        deaf.is_ok_and(|sent| sent.is_err()),
        "answers that nobody reads are kept"
    );
}

/// Resident memory in octets.
fn memory(frontend: &Frontend) -> usize {
    let path = format!("/proc/{}/statm", frontend.process_id());
    let pages = std::fs::read_to_string(path).expect("a process of ours");
    let resident: usize = pages
        .split(' ')
        .nth(1)
        .expect("a field")
        .parse()
        .expect("a number");
    resident * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_wait_take_no_memory() {
    if !Path::new("/proc/self/statm").exists() {
        tests::skipped!("there is no /proc: the memory of connections");
        return;
    }
    const COUNT: usize = 200;
    // One client may have a quarter.
    let options = ["--tcp-connections", "1000", "--tcp-idle", "3600"];
    let frontend = Frontend::start("fe1", &[NOWHERE.into()], &options).await;
    // So much at once that all buffers are used to their ends.
    const QUERIES: usize = 1500;
    let use_it = async |stream: &mut TcpStream| {
        let (mut reader, mut writer) = stream.split();
        let queries = framed(1).repeat(QUERIES);
        let read = async {
            for _ in 0..QUERIES {
                let length = reader.read_u16().await.expect("an answer");
                let mut message = vec![0; length.into()];
                reader.read_exact(&mut message).await.expect("an answer");
            }
        };
        let (sent, ()) = tokio::join!(writer.write_all(&queries), read);
        sent.expect("sent");
    };
    let mut first = TcpStream::connect(frontend.dns).await.expect("it listens");
    for _ in 0..10 {
        use_it(&mut first).await;
    }
    let before = memory(&frontend);
    let mut streams = Vec::new();
    for _ in 0..COUNT {
        let mut stream = TcpStream::connect(frontend.dns).await.expect("it listens");
        use_it(&mut stream).await;
        streams.push(stream);
    }
    assert!(seats_taken(&frontend).await > COUNT);
    let grown = memory(&frontend).saturating_sub(before) / COUNT;
    assert!(
        grown < 32 << 10,
        "{grown} octets for a connection that waits"
    );
}

/// `nsd` with so many file descriptors, as a program.
fn limited(folder: &TempDir, soft: usize, hard: usize) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.path().join("nsd");
    let nsd = binary("nsd").display().to_string();
    let script = format!("#!/bin/sh\nulimit -Sn {soft}\nulimit -Hn {hard}\nexec {nsd} \"$@\"\n");
    std::fs::write(&path, script).expect("a new file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its owner");
    path
}

fn logged<'l>(log: &'l [serde_json::Value], part: &str) -> Vec<&'l str> {
    let messages = log
        .iter()
        .filter_map(|line| line["fields"]["message"].as_str());
    messages.filter(|message| message.contains(part)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_sockets_than_the_soft_limit_allows() {
    let folder = TempDir::new();
    let nsd = limited(&folder, 40, 2000);
    let options = ["--udp-workers", "100"];
    let frontend = Frontend::start_program(&nsd, "fe1", &[NOWHERE.into()], &options).await;
    let answer = dns::udp(frontend.dns, "www.example.org", Rtype::A).await;
    assert_eq!(answer.expect("an answer").rcode, "SERVFAIL");
    assert!(logged(&frontend.log(), "serving fewer connections").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_leave_descriptors_for_etcd() {
    let folder = TempDir::new();
    let nsd = limited(&folder, 40, 480);
    let mut etcd = Single::start().await;
    let nsctl = Nsctl::new(&[etcd.endpoint().to_string()]);
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    let endpoints = [etcd.endpoint().to_string()];
    let frontend = Frontend::start_program(&nsd, "fe1", &endpoints, &["--udp-workers", "2"]).await;
    frontend.ready().await;
    assert_eq!(
        logged(&frontend.log(), "serving fewer connections").len(),
        1
    );
    let _attackers = attack(frontend.dns, Attack::Silent);
    eventually("many are taken", Duration::from_secs(30), async || {
        let taken = seats_taken(&frontend).await;
        ensure(taken >= 30, || taken.to_string())
    })
    .await;
    // etcd is away, and comes back: it is reached again.
    etcd.down().await;
    etcd.up().await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    let served = async || {
        let answer = dns::tcp(frontend.dns, "www.example.org", Rtype::A).await?;
        ensure(answer.answers.len() == 1, || format!("{answer:?}"))
    };
    eventually("the change is served", Duration::from_secs(30), served).await;
    assert!(logged(&frontend.log(), "cannot accept").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_out_of_descriptors_is_told_once_and_survived() {
    let frontend = Frontend::start("fe1", &[NOWHERE.into()], &[]).await;
    let limit = |count: &str| {
        let process = frontend.process_id().to_string();
        let limit = format!("--nofile={count}:");
        let set = Command::new("prlimit")
            .args(["--pid", &process, &limit])
            .status();
        set.is_ok_and(|status| status.success())
    };
    if !limit("10") {
        tests::skipped!("prlimit does not work here: too few file descriptors");
        return;
    }
    let told = "cannot accept";
    let _waiting = TcpStream::connect(frontend.dns)
        .await
        .expect("the kernel takes it");
    let is_told = async || ensure(!logged(&frontend.log(), told).is_empty(), String::new);
    eventually("it is told", Duration::from_secs(20), is_told).await;
    assert!(limit("1000"));
    let answer = dns::tcp(frontend.dns, "www.example.org", Rtype::A).await;
    assert_eq!(answer.expect("an answer").rcode, "SERVFAIL");
    assert_eq!(
        logged(&frontend.log(), told).len(),
        1,
        "once, however often it is tried"
    );
}
