use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use etcd::client::{JournalNews, Store};
use etcd::mirror::Resume;
use etcd::model::Name;

/// What a follower of journals was told.
#[derive(Default)]
pub(crate) struct Told {
    /// It follows what comes after this revision.
    pub(crate) from: i64,
    /// The changes, each with its revision and its zone.
    pub(crate) changes: Vec<(i64, Name)>,
    /// Whether it was told that entries may be missing.
    pub(crate) may_lack: bool,
    /// Whether it was told that etcd has another history now.
    pub(crate) is_other_history: bool,
}

/// Follows all journals from a revision on, as `nsctl watch` does.
pub(crate) async fn follow(store: Store, from: i64, told: Arc<Mutex<Told>>) {
    told.lock().expect("nobody has panicked").from = from;
    let resume = Resume {
        cluster_id: 1,
        revision: from,
        leased: HashSet::new(),
        unchecked: None,
    };
    let tell = |news| {
        let mut told = told.lock().expect("nobody has panicked");
        match news {
            JournalNews::Changes(changes) => {
                let changes = changes.into_iter();
                let changes = changes.map(|change| (change.revision, change.zone));
                told.changes.extend(changes);
            }
            JournalNews::Compacted { .. } => told.may_lack = true,
            JournalNews::OtherHistory => {
                told.is_other_history = true;
                return ControlFlow::Break(());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    };
    store.follow_journals(resume, None, tell).await;
}
