//! The name and the addresses of this front-end.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use etcd::schema::Frontend;
use tracing::warn;

use crate::config::Config;

/// The host's name and the first port: stable across restarts, and unique among the front-ends of a host.
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

/// What this front-end registers: the addresses at which others reach it. `bound` has the address of the admin listener
/// first, then those for DNS. An unspecified one, such as 0.0.0.0, is replaced by the one that is configured, or by the
/// one that this host uses towards etcd; but one for DNS only if both are of the same family.
pub(super) async fn frontend(config: &Config, bound: Vec<SocketAddr>) -> Frontend {
    let has_unspecified = bound.iter().any(|address| address.ip().is_unspecified());
    let (mut host, mut has_warned) = (config.advertise, false);
    while has_unspecified && host.is_none() {
        let endpoints = config.mirror.store.endpoints.clone();
        // Resolving a name blocks, and there may be no route to etcd yet.
        let found = tokio::task::spawn_blocking(move || local_address_towards(&endpoints)).await;
        host = found.ok().flatten();
        if host.is_none() {
            if !std::mem::replace(&mut has_warned, true) {
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
    // The admin listener on [::] takes IPv4, too; those for DNS do not.
    let at_host_of_family = |address: SocketAddr| match host {
        Some(host) if host.is_ipv4() == address.is_ipv4() => at_host(address),
        _ => address,
    };
    let mut bound = bound.into_iter();
    Frontend {
        admin: bound.next().map(|address| at_host(address).to_string()),
        dns: bound
            .map(|address| at_host_of_family(address).to_string())
            .collect(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// The local address of the route to etcd. Sends nothing.
fn local_address_towards(endpoints: &[String]) -> Option<IpAddr> {
    let probe = |bind_address: &str, authority: &str| {
        let socket = UdpSocket::bind(bind_address).ok()?;
        let connected = socket.connect(authority);
        // Any port will do if there is none: only the route matters.
        let connected = connected.or_else(|_| socket.connect(format!("{authority}:2379")));
        connected.ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    endpoints.iter().find_map(|endpoint| {
        let authority = endpoint.split_once("://")?.1;
        probe("0.0.0.0:0", authority).or_else(|| probe("[::]:0", authority))
    })
}
