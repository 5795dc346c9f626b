//! The digest of the tables at past revisions, for comparing a front-end with etcd.

use std::collections::VecDeque;

use crate::model::Digest;

/// How many revisions are remembered: some seconds' worth under any load.
const REVISIONS_MAX: usize = 8192;

/// Digests by revision, ascending.
#[derive(Default)]
pub(super) struct Digests(VecDeque<(i64, Digest)>);

impl Digests {
    pub(super) fn push(&mut self, revision: i64, digest: Digest) {
        if self.0.len() == REVISIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((revision, digest));
    }

    /// The digest as of a revision: after the last change up to it. None if that is not remembered.
    pub(super) fn at(&self, revision: i64) -> Option<Digest> {
        let after = self.0.partition_point(|(at, _)| *at <= revision);
        Some(self.0.get(after.checked_sub(1)?)?.1)
    }
}
