//! Follows journals: tells every change once and in order, past lost connections, too.

use std::ops::ControlFlow;
use std::time::Instant;

use tokio::sync::Notify;

use super::driver::{Driver, MirrorStatus};
use crate::client::connect::Store;
use crate::client::read::recorded;
use crate::mirror::{Event, Failure, Mirror, Pace, Resume};
use crate::model::Name;
use crate::schema::{Key, KeyValue, Prefix, Unreadable};
use crate::txn::Recorded;

/// What whoever follows journals is told.
#[derive(Debug)]
pub enum JournalNews {
    /// The changes of one revision, by zone.
    Changes(Vec<Recorded>),
    /// A key in a journal that is no entry.
    Unreadable(Unreadable),
    /// The connection is lost, for this reason. Others are tried.
    Lost(String),
    /// There is a connection again, and all changes up to now have been told.
    Back,
    /// etcd has compacted the history of the time without a connection. The entries that journals still have follow; those
    /// that were deleted meanwhile are missing.
    Compacted,
    /// etcd has another history now: it was restored from a backup, or is another cluster. What comes is not what follows
    /// what was told.
    OtherHistory,
}

impl Store {
    /// Follows the journals of the zones for which `is_wanted` holds, from what comes after a revision, until `tell` ends it.
    pub async fn follow_journals<T>(
        &self,
        from: Resume,
        is_wanted: impl Fn(&Name) -> bool,
        tell: impl FnMut(JournalNews) -> ControlFlow<T>,
    ) -> T {
        let config = (*self.config).clone();
        let pace = Pace::new(config.endpoints.len(), fastrand::u64(..));
        let range = self.prefix().journals_and_head();
        let driver = Driver::new(config, self.prefix(), range, from.revision);
        let mirror = Mirror::resume(Instant::now(), pace, from);
        let mut follower = Follower {
            prefix: self.prefix(),
            is_wanted,
            told: from.revision,
            listed: Vec::new(),
            lost: None,
            tell,
        };
        let nothing = Notify::new();
        let sink = |events, status: &MirrorStatus| follower.follow(events, status);
        super::drive(driver, mirror, &nothing, sink).await
    }
}

struct Follower<'p, Wanted, Tell> {
    prefix: &'p Prefix,
    is_wanted: Wanted,
    /// All changes up to this revision have been told.
    told: i64,
    /// What the list that is in progress has brought.
    listed: Vec<KeyValue>,
    /// Why there is no connection, as it was told.
    lost: Option<String>,
    tell: Tell,
}

impl<T, Wanted, Tell> Follower<'_, Wanted, Tell>
where
    Wanted: Fn(&Name) -> bool,
    Tell: FnMut(JournalNews) -> ControlFlow<T>,
{
    fn follow(&mut self, events: Vec<Event>, status: &MirrorStatus) -> ControlFlow<T> {
        if status.doubted {
            return (self.tell)(JournalNews::OtherHistory);
        }
        for event in events {
            match event {
                Event::Listing => self.listed.clear(),
                Event::Items(items) => self.listed.extend(items),
                Event::Listed { revision } => {
                    // A list begins only where the revision to go on from is compacted.
                    (self.tell)(JournalNews::Compacted)?;
                    let items = std::mem::take(&mut self.listed);
                    self.changed(revision, items)?;
                }
                Event::Revision { revision, changes } => {
                    let items = changes.into_iter().filter_map(|change| {
                        let (key, mod_revision) = (change.key, change.mod_revision);
                        let item = |value| KeyValue {
                            key,
                            value,
                            mod_revision,
                        };
                        change.value.map(item)
                    });
                    self.changed(revision, items.collect())?;
                }
                Event::Fresh { .. } => {
                    if self.lost.take().is_some() {
                        (self.tell)(JournalNews::Back)?;
                    }
                }
                // A list follows, over the same connection.
                Event::Lost {
                    failure: Failure::Compacted,
                    ..
                } => {}
                Event::Lost { .. } => {
                    self.lost.get_or_insert_default();
                }
            }
        }
        match (&self.lost, &status.trouble) {
            (Some(told), Some(trouble)) if told != trouble => {
                self.lost = Some(trouble.clone());
                (self.tell)(JournalNews::Lost(trouble.clone()))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Tells the changes up to a revision that have not been told yet.
    fn changed(&mut self, revision: i64, mut items: Vec<KeyValue>) -> ControlFlow<T> {
        items.retain(|item| {
            item.mod_revision > self.told
                && match self.prefix.decode(&item.key) {
                    Ok(Key::Journal { zone, .. }) => (self.is_wanted)(&zone),
                    Ok(_) => false,
                    // Whoever wants all zones is told of a key that names none.
                    Err(_) => self.prefix.journals().contains(&item.key),
                }
        });
        items.sort_by(|a, b| (a.mod_revision, &a.key).cmp(&(b.mod_revision, &b.key)));
        for items in items.chunk_by(|a, b| a.mod_revision == b.mod_revision) {
            let mut changes = Vec::new();
            for item in items {
                match recorded(self.prefix, item) {
                    Ok(entry) => changes.extend(entry),
                    Err(unreadable) => (self.tell)(JournalNews::Unreadable(unreadable))?,
                }
            }
            if !changes.is_empty() {
                (self.tell)(JournalNews::Changes(changes))?;
            }
        }
        self.told = self.told.max(revision);
        ControlFlow::Continue(())
    }
}
