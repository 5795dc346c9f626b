//! A generator that forges the addresses of its queries, and sends as many as it can.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use clap::Args;
use socket2::{Domain, Socket, Type};
use tests::{Process, dns};

use crate::net::{self, CLIENT_CORE, Net, Side};

/// The networks that queries seem to come from: 256 of /24.
pub(crate) const NETWORKS: &str = "100.64.0.0/16";

/// Lets the server send its responses to forged addresses towards this generator, which drops them but for those to
/// addresses that it has.
pub(crate) fn route(net: &Net, client: usize) -> Result<(), String> {
    let gateway = net::own_address(client);
    net.shell(
        Side::Client(client),
        &format!("ip route add blackhole {NETWORKS}"),
    )?;
    // Forged queries come in by another interface than responses go out by.
    let routes = format!(
        "ip route add {NETWORKS} via {gateway} && for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done"
    );
    net.shell(Side::Server, &routes)
}

/// Starts it. Queries seem to come from all of the networks, or from one client with a cookie.
pub(crate) fn start(
    net: &Net,
    client: usize,
    queries: &Path,
    one: Option<(Ipv4Addr, &str)>,
) -> Result<Process, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let server = format!("{}:53", net::address_for(client, 0));
    let queries = queries.to_str().ok_or("a path that is no text")?;
    let mut args = vec!["forge", "--server", &server, "--queries", queries];
    let address = one.map(|(address, _)| address.to_string());
    if let (Some(address), Some((_, cookie))) = (&address, one) {
        args.extend(["--address", address, "--cookie", cookie]);
    }
    Ok(net.start(Side::Client(client), CLIENT_CORE, &program, &args))
}

/// Adds a cookie to a query that has EDNS and no options.
pub(crate) fn add_cookie(query: &mut Vec<u8>, cookie: &[u8]) {
    let len = cookie.len() as u8;
    // The OPT record is the last one: the length of its options is at the end.
    query.truncate(query.len() - 2);
    query.extend([0, len + 4, 0, 10, 0, len]);
    query.extend(cookie);
}

fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let octet = |at| {
        let digits = text.get(at..at + 2);
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())
    };
    let octets: Option<Vec<u8>> = (0..text.len()).step_by(2).map(octet).collect();
    octets.ok_or_else(|| format!("no cookie: {text}"))
}

#[derive(Args)]
pub(crate) struct Options {
    /// The server to flood.
    #[arg(long)]
    server: SocketAddrV4,
    /// Questions: name and type a line.
    #[arg(long)]
    queries: PathBuf,
    /// The address that all queries come from; if missing, any of the networks.
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// A cookie for all queries, in hexadecimal.
    #[arg(long)]
    cookie: Option<String>,
}

/// Sends queries with forged addresses, as fast as it can, until it is killed.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.queries)
        .map_err(|error| format!("cannot read {}: {error}", options.queries.display()))?;
    let server = options.server;
    let cookie = options.cookie.as_deref().map(from_hex).transpose()?;
    let mut packets: Vec<Vec<u8>> = text
        .lines()
        .filter_map(|line| {
            let (name, rtype) = line.split_once(' ')?;
            let mut query = dns::query(0, name, rtype.parse().ok()?);
            if let Some(cookie) = &cookie {
                add_cookie(&mut query, cookie);
            }
            Some(packet(&query, server))
        })
        .collect();
    // The kernel adds the checksum of the IP header; UDP needs none.
    let told = |error: std::io::Error| format!("cannot forge addresses: {error}");
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(libc::IPPROTO_RAW.into()));
    let (socket, to) = (socket.map_err(told)?, SocketAddr::from(server).into());
    for index in (0..packets.len()).cycle() {
        let packet = &mut packets[index];
        let random = fastrand::u64(..).to_ne_bytes();
        let any = Ipv4Addr::new(100, 64, random[0], random[1]);
        packet[12..16].copy_from_slice(&options.address.unwrap_or(any).octets());
        packet[20..22].copy_from_slice(&[random[2] | 4, random[3]]);
        packet[28..30].copy_from_slice(&random[4..6]);
        match socket.send_to(packet, &to) {
            // A full queue.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            sent => drop(sent.map_err(told)?),
        }
    }
    Err("no queries to send".into())
}

/// An IP packet with a query.
fn packet(query: &[u8], server: SocketAddrV4) -> Vec<u8> {
    let udp_len = 8 + query.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp_len).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0]);
    packet.extend(server.ip().octets());
    packet.extend([0, 0]);
    packet.extend(server.port().to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(query);
    packet
}
