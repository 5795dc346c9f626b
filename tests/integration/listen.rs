//! Where a front-end listens: IPv4 and IPv6 side by side, over UDP and TCP alike.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{Frontend, Process, binary, dns, ensure, eventually, free_port};

/// No etcd is needed to get an answer, if only SERVFAIL.
const NOWHERE: &str = "http://127.0.0.1:1";

/// The wildcard addresses of both families.
const ANY: [&str; 2] = ["0.0.0.0", "[::]"];

async fn start(listen: &[String]) -> Frontend {
    let listen = listen.iter().map(String::as_str);
    let options: Vec<&str> = ["--listen"].into_iter().chain(listen).collect();
    Frontend::start("fe1", &[NOWHERE.into()], &options).await
}

/// Whether a query is answered, by the address that was asked.
fn udp_answers(server: SocketAddr) -> bool {
    let any = if server.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let socket = UdpSocket::bind(any).expect("a port of the kernel's choice");
    // What comes from another address is not received.
    socket.connect(server).expect("UDP connects to anything");
    socket
        .set_read_timeout(Some(dns::PATIENCE))
        .expect("a time");
    socket
        .send(&dns::query(7, "www.example.org", Rtype::A))
        .expect("sent");
    match socket.recv(&mut [0; 1500]) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(
                error.kind(),
                ErrorKind::ConnectionRefused,
                "{server}: {error}"
            );
            false
        }
    }
}

fn tcp_answers(server: SocketAddr) -> bool {
    let mut stream = match TcpStream::connect(server) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return false,
        Err(error) => panic!("{server}: {error}"),
    };
    let query = dns::query(7, "www.example.org", Rtype::A);
    let framed = [&(query.len() as u16).to_be_bytes(), &query[..]].concat();
    stream
        .set_read_timeout(Some(dns::PATIENCE))
        .expect("a time");
    stream.write_all(&framed).expect("sent");
    stream.read_exact(&mut [0; 14]).expect("an answer");
    true
}

fn there_is_ipv6() -> bool {
    let is_there = UdpSocket::bind("[::1]:0").is_ok();
    if !is_there {
        tests::skipped!("there is no IPv6 here: both families side by side");
    }
    is_there
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_stand_side_by_side() {
    if !there_is_ipv6() {
        return;
    }
    let port = free_port();
    let listen = ANY.map(|host| format!("{host}:{port}"));
    let _frontend = start(&listen).await;
    // The second address of IPv4 is none that a route would choose.
    for host in ["127.0.0.1", "127.0.0.2", "::1"] {
        let host: IpAddr = host.parse().expect("an address");
        let server = SocketAddr::new(host, port);
        assert!(udp_answers(server) && tcp_answers(server), "{server}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_ipv6_is_no_ipv4() {
    if !there_is_ipv6() {
        return;
    }
    let port = free_port();
    let _frontend = start(&[format!("[::]:{port}")]).await;
    let ipv6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    assert!(udp_answers(ipv6) && tcp_answers(ipv6));
    let ipv4 = SocketAddr::from(([127, 0, 0, 1], port));
    assert!(
        !udp_answers(ipv4) && !tcp_answers(ipv4),
        "over UDP as over TCP"
    );
}

/// Runs what follows in a network of its own, where IPv6 is switched off.
const WITHOUT_IPV6: &str =
    "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && exec \"$@\"";

/// `nsd` with these arguments, where there is no IPv6.
fn start_without_ipv6(listen: &[&str]) -> Process {
    let nsd = binary("nsd").display().to_string();
    let isolated = [
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-ec",
        WITHOUT_IPV6,
        "sh",
        &nsd,
    ];
    let options = ["--endpoints", NOWHERE, "--log-format", "json"];
    let args = isolated.iter().chain(&options).chain(listen);
    Process::start("nsd", Path::new("unshare"), args)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_is_what_the_host_has() {
    let script = [
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-ec",
        WITHOUT_IPV6,
        "sh",
        "true",
    ];
    let mut probe = Process::start("unshare", Path::new("unshare"), script);
    if !probe.end(Duration::from_secs(10)).await.success() {
        tests::skipped!("networks of their own cannot be made: a host without IPv6");
        return;
    }
    let mut nsd = start_without_ipv6(&[]);
    eventually("it serves over IPv4", Duration::from_secs(20), async || {
        nsd.check()?;
        let log = nsd.stderr();
        ensure(log.contains("\"dns\":\"127.0.0.1:53\""), || log.clone())
    })
    .await;
    // What somebody has asked for is not left out.
    let mut nsd = start_without_ipv6(&["--listen", "127.0.0.1:53", "[::1]:53"]);
    let status = nsd.end(Duration::from_secs(20)).await;
    assert!(!status.success());
    assert!(nsd.stderr().contains("[::1]:53"), "{}", nsd.stderr());
}
