//! The standing of the mirror: what it tells everybody else in the process.

use std::time::{Duration, Instant};

use etcd::client::MirrorStatus;
use etcd::mirror::Newest;

/// RRsets that etcd has lost, and zone keys, each of which counts as one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub gone: usize,
    /// Of how many RRsets and zone keys, in the zones concerned.
    pub of: usize,
}

/// The result of an audit.
#[derive(Clone, Copy, Debug)]
pub struct AuditResult {
    /// When it ended.
    pub at: Instant,
    /// The revision that was compared.
    pub revision: i64,
    /// Whether the mirror was the same as etcd.
    pub agrees: bool,
}

/// The state of the mirror, and of what it serves.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether there is something to serve: everything was listed, or a snapshot was read, and there is a zone or none
    /// is needed.
    pub ready: bool,
    /// Whether it is ready even without a zone.
    pub allow_empty: bool,
    /// The revision that is served; none before the first list, unless there is a snapshot.
    pub applied: Option<i64>,
    /// The revision that has come from etcd, served or held back.
    pub received: Option<i64>,
    /// How many leased keys there are at that revision.
    pub leased: usize,
    /// The moment as of which the copy was last proved complete; none while it is in doubt.
    pub last_fresh: Option<Instant>,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether the copy may differ from etcd until everything is listed again.
    pub doubted: bool,
    /// Whether the copy may lack a deletion (etcd#18089), until a read shows that etcd still has the history before the watch,
    /// or everything is listed.
    pub unchecked: bool,
    /// The endpoint in use.
    pub endpoint: String,
    /// The ID of the cluster that is mirrored.
    pub cluster_id: Option<u64>,
    /// The ID of the member in use, once it has answered.
    pub member_id: Option<u64>,
    /// The last failure, until the copy is fresh again.
    pub trouble: Option<String>,
    /// The losses that are held back, summed up, if there are any.
    pub held: Option<Loss>,
    /// How many zones are held back.
    pub held_zones: usize,
    /// How many zones are served.
    pub zones: usize,
    /// How many RRsets are served.
    pub rrsets: usize,
    /// How many keys have values that cannot be used.
    pub quarantined: usize,
    /// How many zones have a serial that is lower than one served before.
    pub serials_behind: usize,
    /// How often everything was listed.
    pub lists: u64,
    /// How often etcd was found to be a different cluster.
    pub cluster_changes: u64,
    /// How often the mirror was compared with etcd.
    pub audits: u64,
    /// How often the two differed.
    pub differences: u64,
    /// The result of the last comparison.
    pub audit: Option<AuditResult>,
    /// The revision of the local snapshot.
    pub snapshot: Option<i64>,
}

impl Standing {
    /// Takes over the state of the watch.
    pub fn follow(&mut self, status: &MirrorStatus) {
        self.received = status.applied;
        self.leased = status.leased;
        self.last_fresh = status.last_fresh;
        self.watching = status.watching;
        self.doubted = status.doubted;
        self.unchecked = status.unchecked.is_some();
        self.endpoint.clone_from(&status.endpoint);
        self.member_id = status.member_id;
        self.trouble.clone_from(&status.trouble);
    }

    /// How long ago the copy was last proved complete.
    pub fn age(&self) -> Option<Duration> {
        self.last_fresh.map(|at| at.elapsed())
    }

    /// Whether the view has everything that this cluster had then. A view of another cluster does not, however high its
    /// revision, nor does one that is doubted or unchecked. Zones that are held back say so themselves
    /// ([`Zone::is_held`](crate::zone::Zone::is_held)), and keep no promise.
    pub fn covers(&self, cluster_id: u64, newest: &Newest) -> bool {
        !self.doubted
            && !self.unchecked
            && self.cluster_id == Some(cluster_id)
            && newest.is_covered(self.applied, self.leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_cluster_had_covers_nothing() {
        let fresh = Standing {
            applied: Some(8),
            cluster_id: Some(1),
            ..Standing::default()
        };
        let newest = Newest {
            head: 8,
            store: 10,
            leased: 0,
        };
        assert!(fresh.covers(1, &newest));
        // A leased key has expired since.
        let lacks_expiry = Standing {
            leased: 1,
            ..fresh.clone()
        };
        let is_later = Standing {
            applied: Some(10),
            ..lacks_expiry.clone()
        };
        assert!(!lacks_expiry.covers(1, &newest) && is_later.covers(1, &newest));
        let behind = Standing {
            applied: Some(7),
            ..fresh.clone()
        };
        let of_another = Standing {
            applied: Some(100),
            cluster_id: Some(2),
            ..fresh.clone()
        };
        let doubted = Standing {
            doubted: true,
            ..fresh.clone()
        };
        let unchecked = Standing {
            unchecked: true,
            ..fresh
        };
        for not in [behind, of_another, doubted, unchecked, Standing::default()] {
            assert!(!not.covers(1, &newest), "{not:?}");
        }
    }
}
