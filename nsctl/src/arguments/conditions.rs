//! Conditions of single changes, for scripts.

use clap::Args;
use etcd::model::{Name, Prerequisite, Rtype};

/// Conditions of `add` and `set`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Conditions {
    /// Only if NAME has no records of the type yet; exit with 3 otherwise.
    #[arg(long, conflicts_with = "if_revision")]
    if_absent: bool,
    #[command(flatten)]
    revision: IfRevision,
}

/// `--if-revision`, for `add`, `set` and `remove` of one RRset.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct IfRevision {
    /// Only if the RRset was last written at REVISION, which `list -o json` shows; 0: if it does not exist. Exit with 3
    /// otherwise.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(0..))]
    if_revision: Option<i64>,
}

impl Conditions {
    pub(crate) fn prerequisites(self, owner: &Name, rtype: Rtype) -> Vec<Prerequisite> {
        let mut prerequisites = self.revision.prerequisites(owner, rtype);
        if self.if_absent {
            let owner = owner.clone();
            prerequisites.push(Prerequisite::RrsetAbsent { owner, rtype });
        }
        prerequisites
    }
}

impl IfRevision {
    pub(crate) fn prerequisites(self, owner: &Name, rtype: Rtype) -> Vec<Prerequisite> {
        let at = |revision| Prerequisite::RrsetAtRevision {
            owner: owner.clone(),
            rtype,
            revision,
        };
        self.if_revision.map(at).into_iter().collect()
    }

    /// Whether it was given.
    pub(crate) fn is_given(self) -> bool {
        self.if_revision.is_some()
    }
}
