//! Clients of the encrypted transports that take what they can get, thousands of them and in every way there is at
//! once, and others that are answered all the same. No etcd is needed: SERVFAIL is an answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rtype;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::transports::Transports;
use tests::{Frontend, dns, ensure, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;

const NOWHERE: &str = "http://127.0.0.1:1";

/// How many connections are kept open by all attackers.
const CONNECTIONS: usize = 5_000;

/// Seats of the front-end. The attackers' addresses suffice to take all of them.
const SEATS: &str = "1000";
const ATTACKERS: usize = 16;

/// How long an attacker waits before it opens a connection again. Thousands of handshakes a second would be another
/// attack: it takes all of the processor, of which the attackers have their share here.
const AGAIN: Duration = Duration::from_secs(10);

/// How often well-behaved clients ask during the attack.
const ROUNDS: usize = 20;

/// The most memory that the front-end may take, in KiB: 64 for each seat, and 64 MiB for all else.
const MEMORY_MAX: usize = 1000 * 64 + (64 << 10);

/// What an attacker does with a connection.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Nothing, not even a handshake.
    Idle,
    /// Begins a handshake.
    HalfHandshake,
    /// Sends an octet a second after the handshake.
    SlowWriter,
    /// Asks and asks after the handshake, and reads no answer.
    Deaf,
    /// Begins an HTTP request, and does not end it.
    HalfRequest,
}

const ATTACKS: [Attack; 8] = [
    Attack::Idle,
    Attack::Idle,
    Attack::Idle,
    Attack::Idle,
    Attack::HalfHandshake,
    Attack::SlowWriter,
    Attack::Deaf,
    Attack::HalfRequest,
];

impl Attack {
    /// Keeps one connection open, and opens another one whenever that is closed.
    async fn run(self, source: Ipv4Addr, target: Arc<Transports>) {
        loop {
            let _ = self.occupy(source, &target).await;
            sleep(AGAIN).await;
        }
    }

    async fn occupy(self, source: Ipv4Addr, target: &Transports) -> std::io::Result<()> {
        let (server, protocol) = match self {
            Attack::HalfRequest => (target.https, &b"http/1.1"[..]),
            _ => (target.tls, &b"dot"[..]),
        };
        let mut stream = dns::connect_from(source, server).await?;
        match self {
            Attack::Idle => {}
            Attack::HalfHandshake => stream.write_all(b"\x16\x03\x01\x02\0\x01\0\x01").await?,
            Attack::SlowWriter | Attack::Deaf | Attack::HalfRequest => {
                let mut stream = target.certificate.handshake(stream, protocol).await?;
                return self.abuse(&mut stream).await;
            }
        }
        stream.read(&mut [0; 16]).await.map(drop)
    }

    async fn abuse(
        self,
        stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    ) -> std::io::Result<()> {
        let query = dns::query(7, "www.example.org", Rtype::A);
        let framed = [&(query.len() as u16).to_be_bytes(), &query[..]].concat();
        match self {
            Attack::Deaf => loop {
                stream.write_all(&framed).await?;
                stream.flush().await?;
            },
            Attack::HalfRequest => {
                stream
                    .write_all(b"POST /dns-query HTTP/1.1\r\nhost: x\r\n")
                    .await?;
                stream.flush().await?;
                stream.read(&mut [0; 16]).await.map(drop)
            }
            _ => loop {
                for octet in &framed {
                    stream.write_all(&[*octet]).await?;
                    stream.flush().await?;
                    sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
}

/// Opens QUIC connections, and streams on them that never end.
async fn abuse_quic(target: Arc<Transports>) {
    loop {
        if let Ok(client) = target.certificate.connect_quic(target.quic).await {
            while let Ok((mut send, _receive)) = client.connection.open_bi().await {
                if send.write_all(b"\xff\xff\0\0").await.is_err() {
                    break;
                }
                std::mem::forget(send);
            }
        }
        sleep(AGAIN).await;
    }
}

fn resident_kib(frontend: &Frontend) -> usize {
    let status = format!("/proc/{}/status", frontend.process_id());
    let status = std::fs::read_to_string(status).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("its memory")
}

async fn connections(frontend: &Frontend) -> usize {
    let text = frontend.get("/metrics").await.expect("metrics").body;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("nsd_tcp_connections "));
    count
        .and_then(|count| count.parse::<f64>().ok())
        .expect("a gauge") as usize
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_served_while_thousands_misbehave_and_nothing_is_left_of_them() {
    if !raise_descriptors(2 * CONNECTIONS as u64) {
        tests::skipped!("too few open files are allowed here: {CONNECTIONS} connections at once");
        return;
    }
    let target = Arc::new(Transports::choose());
    let options = ["--tcp-connections", SEATS];
    let frontend = target.start("fe1", &[NOWHERE.into()], &options).await;

    // On threads of their own, so that others wait only for the front-end.
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads");
    let mut attackers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let source = Ipv4Addr::new(127, 0, 1, (number % ATTACKERS) as u8 + 1);
        let attack = ATTACKS[number % ATTACKS.len()];
        attackers.spawn_on(attack.run(source, target.clone()), threads.handle());
    }
    for _ in 0..8 {
        attackers.spawn_on(abuse_quic(target.clone()), threads.handle());
    }
    eventually("the seats are taken", Duration::from_secs(30), async || {
        let taken = connections(&frontend).await;
        ensure(taken > 800, || format!("{taken} connections"))
    })
    .await;

    let mut most = 0;
    let query = dns::query(0, "www.example.org", Rtype::A);
    let mut answered = [0; 3];
    for _ in 0..ROUNDS {
        let udp = dns::exchange_udp(frontend.dns, &query, dns::PATIENCE).await;
        let tls = target.certificate.over_tls(target.tls, &query).await;
        let quic = match target.certificate.connect_quic(target.quic).await {
            Ok(client) => client.exchange(&query).await,
            Err(error) => Err(error),
        };
        let results = [udp.is_ok_and(|it| it.is_some()), tls.is_ok(), quic.is_ok()];
        for (index, is_answered) in results.into_iter().enumerate() {
            answered[index] += usize::from(is_answered);
        }
        most = most.max(resident_kib(&frontend));
        sleep(Duration::from_millis(20)).await;
    }
    println!("UDP, TLS, QUIC: {answered:?} of {ROUNDS} answered, at most {most} KiB");
    assert_eq!(answered, [ROUNDS; 3]);
    assert!(most < MEMORY_MAX, "{most} KiB");

    attackers.shutdown().await;
    threads.shutdown_background();
    eventually("nothing is left", Duration::from_secs(30), async || {
        let left = connections(&frontend).await;
        ensure(left == 0, || format!("{left} connections are left"))
    })
    .await;
}

/// Allows this process so many open files. False if the system does not.
fn raise_descriptors(wanted: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    is_enough(current) || (is_enough(maximum) && setrlimit(Resource::Nofile, raised).is_ok())
}
