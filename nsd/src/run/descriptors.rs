//! File descriptors: takes as many as the system grants, and reserves some of them.
//!
//! A front-end that has run out of them cannot reconnect to etcd. So TCP clients get only what is left after the sockets
//! that are always open and the reserve.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

use crate::admin;
use crate::server::LEAVING_MAX;

/// Descriptors for connections to etcd, to old and new members at once; the snapshot; the runtime.
const OTHERS: usize = 96;

/// The descriptors that TCP clients do not get. Clients that are being disconnected still need theirs.
const RESERVE: usize = OTHERS + admin::CONNECTIONS_MAX + LEAVING_MAX;

/// With fewer connections than this the front-end does not start.
const CONNECTIONS_MIN: usize = 16;

/// Raises the soft limit of open files to the hard one. Returns the limit that applies then; none without a limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            debug!(%error, "cannot raise the soft limit of open files");
            current
        }
    }
}

/// How many connections there may be: as many as `wanted`, or fewer if the limit of open files requires that. `sockets`
/// is how many are always open.
pub(crate) fn connections(
    limit: Option<u64>,
    sockets: usize,
    wanted: usize,
) -> anyhow::Result<usize> {
    let limit = limit.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
    let remedy = "raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)";
    let needed = RESERVE + sockets;
    let left = limit.saturating_sub(needed);
    if left < CONNECTIONS_MIN.min(wanted) {
        bail!(
            "the limit of {limit} open files is too low: the sockets need {sockets}, etcd and the admin \
             listener {RESERVE}, and {CONNECTIONS_MIN} connections have to be possible: {remedy}, or use fewer \
             --udp-workers or addresses"
        );
    }
    if left < wanted {
        warn!(
            tcp_connections = left,
            wanted,
            limit,
            "serving fewer connections than --tcp-connections, because the limit of open files is low: {remedy}"
        );
    }
    Ok(wanted.min(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_is_left() {
        let granted = |limit, wanted| connections(limit, 20, wanted);
        assert_eq!(granted(None, 1000).expect("no limit"), 1000);
        assert_eq!(granted(Some(1 << 30), 1000).expect("enough"), 1000);
        assert_eq!(
            granted(Some(1024), 1000).expect("enough"),
            1024 - 20 - RESERVE
        );
        assert_eq!(
            granted(Some(20 + RESERVE as u64 + 1), 1).expect("enough"),
            1
        );
        let error = granted(Some(200), 1000).expect_err("not even the reserve");
        assert!(error.to_string().contains("ulimit -Hn"), "{error}");
    }
}
