//! Error messages for addresses that cannot be bound, with a remedy.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// The highest port that needs a privilege on Linux, by default.
const PRIVILEGED_MAX: u16 = 1023;

/// The error message. `protocol` is UDP or TCP.
pub(crate) fn cannot_listen(protocol: &str, address: SocketAddr, error: &io::Error) -> String {
    let hint = hint(error.kind(), address.port());
    format!("cannot listen on {protocol} {address}: {error}{hint}")
}

fn hint(kind: ErrorKind, port: u16) -> String {
    match kind {
        ErrorKind::PermissionDenied if (1..=PRIVILEGED_MAX).contains(&port) => format!(
            ". Ports below 1024 need a privilege: AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit, \
             setcap cap_net_bind_service=+ep on the program, or sysctl net.ipv4.ip_unprivileged_port_start={port}"
        ),
        ErrorKind::AddrInUse if port == 53 => format!(
            ". Another program listens there, which ss -lntup 'sport = :{port}' shows. Often it is systemd-resolved: \
             give addresses of this host to --listen, or set DNSStubListener=no in resolved.conf"
        ),
        ErrorKind::AddrInUse => {
            format!(". Another program listens there, which ss -lntup 'sport = :{port}' shows")
        }
        ErrorKind::AddrNotAvailable => ". This host does not have that address".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_errors_have_a_hint() {
        for (kind, port, word) in [
            (ErrorKind::PermissionDenied, 53, "CAP_NET_BIND_SERVICE"),
            (
                ErrorKind::PermissionDenied,
                853,
                "ip_unprivileged_port_start=853",
            ),
            (ErrorKind::AddrInUse, 53, "systemd-resolved"),
            (ErrorKind::AddrInUse, 9053, "sport = :9053"),
            (ErrorKind::AddrNotAvailable, 53, "does not have"),
        ] {
            let address = SocketAddr::from(([192, 0, 2, 1], port));
            let told = cannot_listen("TCP", address, &kind.into());
            assert!(
                told.contains(word) && told.contains("TCP 192.0.2.1:"),
                "{told}"
            );
        }
        assert_eq!(hint(ErrorKind::PermissionDenied, 5300), "");
        assert!(!hint(ErrorKind::AddrInUse, 9053).contains("resolved"));
    }
}
