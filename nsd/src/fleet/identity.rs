//! Under which name and addresses others know this front-end.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use etcd::schema::Frontend;
use tracing::warn;

use crate::config::Config;

/// The host's name and the first port: the same after a restart, another one for another front-end there.
pub(crate) fn default_id(dns: &[SocketAddr]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "nsd" } else { host };
    format!(
        "{}-{}",
        host.replace('/', "-"),
        dns.first().map_or(0, SocketAddr::port)
    )
}

/// Under which addresses others reach this front-end: `reached` has the admin listener's first, then those for DNS.
pub(super) async fn addresses(config: &Config, reached: Vec<SocketAddr>) -> Frontend {
    let is_open = reached.iter().any(|address| address.ip().is_unspecified());
    let (mut host, mut is_told) = (config.advertise, false);
    while is_open && host.is_none() {
        let endpoints = config.mirror.store.endpoints.clone();
        // It may have to ask for a name, which takes its time, and may have no way to etcd yet.
        let found = tokio::task::spawn_blocking(move || towards(&endpoints)).await;
        host = found.ok().flatten();
        if host.is_none() {
            if !std::mem::replace(&mut is_told, true) {
                warn!(
                    "not registered yet: without a route to etcd the address for others is unknown; wait for it, or set --advertise"
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let at_host = |address: SocketAddr| match host {
        Some(host) if address.ip().is_unspecified() => SocketAddr::new(host, address.port()),
        _ => address,
    };
    // The admin listener on [::] is for IPv4, too; those for DNS are not.
    let at_host_of_family = |address: SocketAddr| match host {
        Some(host) if host.is_ipv4() == address.is_ipv4() => at_host(address),
        _ => address,
    };
    let mut reached = reached.into_iter();
    Frontend {
        admin: reached.next().map(|address| at_host(address).to_string()),
        dns: reached
            .map(|address| at_host_of_family(address).to_string())
            .collect(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// The address of this host that the way to etcd begins with. Nothing is sent.
fn towards(endpoints: &[String]) -> Option<IpAddr> {
    let probe = |any: &str, authority: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        let connected = socket.connect(authority);
        // Without a port any does: only the way matters.
        let connected = connected.or_else(|_| socket.connect(format!("{authority}:2379")));
        connected.ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    endpoints.iter().find_map(|endpoint| {
        let authority = endpoint.split_once("://")?.1;
        probe("0.0.0.0:0", authority).or_else(|| probe("[::]:0", authority))
    })
}
