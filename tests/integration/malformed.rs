//! Octets that are no queries: FORMERR or silence, a counter, and never an end.

use std::net::SocketAddr;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Cluster, Frontend, Nsctl, dns, ensure, eventually, expect_at};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Silence is what does not come for so long, on a machine that is busy.
const SILENCE: Duration = Duration::from_millis(500);

/// The idle time of TCP connections that the front-end is started with, in seconds.
const IDLE: u64 = 10;

/// FORMERR, in the last octet of the flags.
const FORMERR: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_no_queries_are_counted_and_survived() {
    let cluster = Cluster::start(1, &[]).await;
    let nsctl = Nsctl::new(cluster.endpoints());
    nsctl
        .write("zone add example.org --ns ns1.example.org")
        .await;
    nsctl.write("add www.example.org A 192.0.2.1").await;
    let options = ["--tcp-idle", &IDLE.to_string()];
    let mut frontend = Frontend::start("fe1", cluster.endpoints(), &options).await;
    frontend.ready().await;

    over_udp(&mut frontend).await;
    over_tcp(&mut frontend).await;
    half_open(&mut frontend).await;
    noise(&mut frontend).await;
}

/// Alive, and answers.
async fn is_well(frontend: &mut Frontend) {
    frontend.check();
    expect_at(
        frontend,
        "www.example.org",
        Rtype::A,
        "NOERROR",
        &["www.example.org. 300 A 192.0.2.1"],
    )
    .await;
}

async fn malformed(frontend: &Frontend) -> u64 {
    frontend.status().await["malformed"]
        .as_u64()
        .expect("a counter")
}

async fn counted(frontend: &Frontend, least: u64) {
    eventually(
        &format!("{least} malformed messages are counted"),
        Duration::from_secs(5),
        async || {
            let count = malformed(frontend).await;
            ensure(count >= least, || format!("{count}"))
        },
    )
    .await;
}

/// A header with these flags and counts, then these octets.
fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let header = [0x1234, flags, counts[0], counts[1], counts[2], counts[3]];
    header
        .into_iter()
        .flat_map(u16::to_be_bytes)
        .chain(rest.iter().copied())
        .collect()
}

const WWW: &[u8] = b"\x03www\x07example\x03org\x00\x00\x01\x00\x01";

/// Messages, and whether FORMERR comes back; silence else.
fn messages() -> Vec<(&'static str, Vec<u8>, bool)> {
    let question = |name: &[u8]| message(0, [1, 0, 0, 0], &[name, b"\x00\x01\x00\x01"].concat());
    let twice = [WWW, WWW].concat();
    let opt = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    vec![
        ("one octet", vec![0], false),
        (
            "half a header",
            message(0, [1, 0, 0, 0], b"")[..11].to_vec(),
            false,
        ),
        ("a response", message(0x8000, [1, 0, 0, 0], WWW), false),
        ("a header only", message(0, [1, 0, 0, 0], b""), true),
        ("no question", message(0, [0, 0, 0, 0], b""), true),
        ("two questions", message(0, [2, 0, 0, 0], &twice), true),
        ("65,535 questions", message(0, [65_535, 0, 0, 0], WWW), true),
        (
            "a question cut short",
            message(0, [1, 0, 0, 0], &WWW[..WWW.len() - 1]),
            true,
        ),
        (
            "a label cut short",
            message(0, [1, 0, 0, 0], b"\x3fwww"),
            true,
        ),
        (
            "a name without end",
            message(0, [1, 0, 0, 0], &b"\x01a".repeat(100)),
            true,
        ),
        (
            "a name over 255 octets",
            question(
                &[
                    &[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4),
                    b"\x00".as_slice(),
                ]
                .concat(),
            ),
            true,
        ),
        ("a pointer to itself", question(b"\xc0\x0c"), true),
        ("a pointer forward", question(b"\xc0\x20"), true),
        (
            "a pointer into the header",
            question(b"\x03www\xc0\x00"),
            true,
        ),
        ("a pointer loop", question(b"\x01a\xc0\x0c"), true),
        ("a reserved label type", question(b"\x40www\x00"), true),
        (
            "another reserved label type",
            question(b"\x80www\x00"),
            true,
        ),
        (
            "two OPT records",
            message(0, [1, 0, 0, 2], &[WWW, opt, opt].concat()),
            true,
        ),
        (
            "an OPT record cut short",
            message(0, [1, 0, 0, 1], &[WWW, &opt[..8]].concat()),
            true,
        ),
        (
            "an additional record that is not there",
            message(0, [1, 0, 0, 1], WWW),
            true,
        ),
    ]
}

async fn over_udp(frontend: &mut Frontend) {
    let mut faults = Vec::new();
    for (what, octets, formerr) in messages() {
        let before = malformed(frontend).await;
        let patience = if formerr { dns::PATIENCE } else { SILENCE };
        let response = dns::exchange_udp(frontend.dns, &octets, patience)
            .await
            .expect("the socket is there");
        let right = match &response {
            None => !formerr,
            Some(response) => formerr && is_formerr(response, &octets),
        };
        if !right {
            faults.push(format!("{what}: {response:02x?}"));
        }
        // Silence may be one that it has not come to yet; an answer is counted before it is sent.
        if !formerr {
            counted(frontend, before + 1).await;
        }
        let count = malformed(frontend).await - before;
        if count != 1 {
            faults.push(format!("{what}: counted {count} times"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    is_well(frontend).await;
}

fn is_formerr(response: &[u8], query: &[u8]) -> bool {
    response.len() >= 12
        && response[..2] == query[..2]
        && response[2] & 0x80 != 0
        && response[3] & 0x0f == FORMERR
}

async fn connect(server: SocketAddr) -> TcpStream {
    TcpStream::connect(server).await.expect("a listener")
}

async fn over_tcp(frontend: &mut Frontend) {
    let before = malformed(frontend).await;
    // 64 KiB of zeros are messages of no octets; then one of 65,535 zeros.
    let mut stream = connect(frontend.dns).await;
    // It may hang up before it has read it all.
    let _ = stream.write_all(&[0; 65_536]).await;
    let mut stream = connect(frontend.dns).await;
    dns::send_framed(&mut stream, &[0; 65_535])
        .await
        .expect("a connection takes 64 KiB");
    let mut answer = Vec::new();
    let ended = timeout(dns::PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(
        ended.is_ok() || !answer.is_empty(),
        "neither an answer nor an end"
    );
    counted(frontend, before + 2).await;

    let before = malformed(frontend).await;
    let mut stream = connect(frontend.dns).await;
    let two = message(0, [2, 0, 0, 0], &[WWW, WWW].concat());
    dns::send_framed(&mut stream, &two).await.expect("sent");
    let response = timeout(dns::PATIENCE, dns::receive_framed(&mut stream)).await;
    let response = response.expect("an answer in time").expect("an answer");
    assert!(is_formerr(&response, &two), "{response:02x?}");
    counted(frontend, before + 1).await;

    // Several queries in one piece, and one in pieces (RFC 7766, 6.2.1.1 and 8).
    let mut stream = connect(frontend.dns).await;
    let query = dns::query(9, "www.example.org", Rtype::A);
    let framed = [&(query.len() as u16).to_be_bytes(), &query[..]].concat();
    stream.write_all(&framed.repeat(3)).await.expect("sent");
    for octet in &framed {
        stream
            .write_all(std::slice::from_ref(octet))
            .await
            .expect("sent");
    }
    for _ in 0..4 {
        let response = timeout(dns::PATIENCE, dns::receive_framed(&mut stream)).await;
        let response = response.expect("an answer in time").expect("an answer");
        assert_eq!(dns::parse(&response).expect("well-formed").answers.len(), 1);
    }
    is_well(frontend).await;
}

/// Connections that say nothing, or not all: they are closed after the idle time, and hold nobody up.
async fn half_open(frontend: &mut Frontend) {
    let mut streams = Vec::new();
    for octets in [&b""[..], b"\x00", b"\x00\x20", b"\x00\x20\x12\x34\x00\x00"] {
        let mut stream = connect(frontend.dns).await;
        stream.write_all(octets).await.expect("sent");
        streams.push(stream);
    }
    is_well(frontend).await;
    for mut stream in streams {
        let end = timeout(Duration::from_secs(IDLE + 20), stream.read_u8()).await;
        assert!(
            end.is_ok_and(|read| read.is_err()),
            "a half-open connection is kept, or answered"
        );
    }
    // Closed by the client before all is said.
    let mut stream = connect(frontend.dns).await;
    stream.write_all(b"\x00\x20\x12").await.expect("sent");
    drop(stream);
    is_well(frontend).await;
}

/// Thousands of messages of octets without sense, by a small generator that always does the same.
async fn noise(frontend: &mut Frontend) {
    let socket = UdpSocket::bind("127.0.0.1:0")
        .await
        .expect("a port of the kernel's choice");
    socket
        .connect(frontend.dns)
        .await
        .expect("UDP connects to anything");
    let mut state = 42_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    for round in 0..5_000_usize {
        let octets: Vec<u8> = match round % 2 {
            0 => (0..round % 300).map(|_| random()).collect(),
            // A good query with one octet changed.
            _ => {
                let mut octets = dns::query(round as u16, "www.example.org", Rtype::A);
                let place = round / 2 % octets.len();
                octets[place] = random();
                octets
            }
        };
        socket.send(&octets).await.expect("UDP takes anything");
        // No more at a time than the socket has room for.
        if round % 64 == 0 {
            is_well(frontend).await;
        }
    }
    is_well(frontend).await;
}
