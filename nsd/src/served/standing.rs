//! How the mirror stands: what everybody else in the process is told of it.

use std::time::{Duration, Instant};

/// RRsets that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub gone: usize,
    /// Of how many.
    pub of: usize,
}

/// What an audit came to.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// When it ended.
    pub at: Instant,
    /// The revision that was looked at.
    pub revision: i64,
    /// Whether the two were the same.
    pub agrees: bool,
}

/// How the mirror stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether there is something to serve: the first sync is done, or a snapshot was read, and there is a zone.
    pub ready: bool,
    /// Whether it is ready without any zone, too.
    pub allow_empty: bool,
    /// The revision that is served; none before there is something to serve.
    pub applied: Option<i64>,
    /// The revision that has come from etcd, served or held back.
    pub mirrored: Option<i64>,
    /// The moment as of which the copy was last proved complete; none while it is in doubt.
    pub last_fresh: Option<Instant>,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether what is served is not to be taken for what etcd holds until all of it is listed again.
    pub doubted: bool,
    /// The endpoint in use.
    pub endpoint: String,
    /// The cluster that is mirrored.
    pub cluster_id: Option<u64>,
    /// The member there, once it has answered.
    pub member_id: Option<u64>,
    /// What is wrong, if something is.
    pub trouble: Option<String>,
    /// What etcd has lost and is held back, if anything is.
    pub held: Option<Loss>,
    /// How many zones are held back.
    pub held_zones: usize,
    /// How many zones are served.
    pub zones: usize,
    /// How many RRsets are served.
    pub rrsets: usize,
    /// How many keys have values that cannot be used.
    pub quarantined: usize,
    /// How many zones have a serial that is behind one that was served before.
    pub serials_behind: usize,
    /// How often everything had to be listed.
    pub lists: u64,
    /// How often the cluster was another one.
    pub cluster_changes: u64,
    /// How often the mirror was held against etcd.
    pub audits: u64,
    /// How often the two were not the same.
    pub differences: u64,
    /// The last time.
    pub audit: Option<Audit>,
    /// The revision of the local snapshot.
    pub snapshot: Option<i64>,
}

impl Standing {
    /// How long ago the copy was last proved complete.
    pub fn age(&self) -> Option<Duration> {
        self.last_fresh.map(|at| at.elapsed())
    }

    /// Whether what is served has all that the store had then. A view of another cluster has not, however high its
    /// revision, nor has one that was found to differ. Zones that are held back say so themselves.
    pub fn covers(&self, cluster_id: u64, revision: i64) -> bool {
        !self.doubted && self.cluster_id == Some(cluster_id) && self.applied >= Some(revision)
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
        assert!(fresh.covers(1, 8));
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
            ..fresh
        };
        for not in [behind, of_another, doubted, Standing::default()] {
            assert!(!not.covers(1, 8), "{not:?}");
        }
    }
}
