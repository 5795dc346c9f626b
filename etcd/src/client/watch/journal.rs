//! Follows journals: reports every change once and in order, also across reconnects.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::driver::{Driver, MirrorStatus};
use crate::client::connect::{Store, now};
use crate::client::read::recorded;
use crate::mirror::{Event, Failure, Mirror, Pace, Resume};
use crate::model::Name;
use crate::schema::{KeyValue, Prefix, Unreadable};
use crate::txn::Recorded;

/// When an outage is reported: not if another endpoint answers soon.
const REPORT_AFTER: Duration = Duration::from_secs(3);

/// How often it is reported again while it goes on.
const REPORT_AGAIN: Duration = Duration::from_secs(60);

/// What a follower of journals is told.
#[derive(Debug)]
pub enum JournalNews {
    /// The changes of one revision, by zone.
    Changes(Vec<Recorded>),
    /// A key in a journal that is no entry.
    Unreadable(Unreadable),
    /// There is no connection, for this reason. Other endpoints are tried.
    Lost(String),
    /// There is a connection again, and all changes up to now have been told.
    Back,
    /// The user may not read all that is needed: from the journals to the head key.
    Denied(String),
    /// etcd has compacted its history after a revision. The entries that the journals still have follow; those that were
    /// deleted meanwhile are missing.
    Compacted {
        /// Everything up to this revision has been told.
        after: i64,
    },
    /// etcd has another history now: it was restored from a backup, or is another cluster. Its changes do not continue
    /// those already told.
    OtherHistory,
}

impl Store {
    /// Follows the journals of these zones, or of all, from what comes after a revision, until `tell` ends it.
    pub async fn follow_journals<T>(
        &self,
        from: Resume,
        zones: Option<&[Name]>,
        tell: impl FnMut(JournalNews) -> ControlFlow<T>,
    ) -> T {
        let config = (*self.config).clone();
        let pace = Pace::new(config.endpoints.len(), fastrand::u64(..));
        let range = self.prefix().journals_and_head();
        let driver = Driver::new(config, self.prefix(), range, from.revision);
        let mut follower = Follower::new(self.prefix(), &from, zones, tell);
        let mirror = Mirror::resume(now(), pace, from).without_deletions();
        let never = Notify::new();
        let sink = |events, status: &MirrorStatus| follower.follow(now(), events, status);
        super::drive(driver, mirror, &never, sink).await
    }
}

struct Follower<'p, Tell> {
    prefix: &'p Prefix,
    cluster_id: u64,
    /// The journals.
    journals: Vec<Range<Vec<u8>>>,
    /// All changes up to this revision have been told.
    told_up_to: i64,
    /// What the list that is in progress has brought.
    listed: Vec<KeyValue>,
    /// Whether there was a connection that brought everything.
    was_fresh: bool,
    /// While there is no connection.
    outage: Option<Outage>,
    tell: Tell,
}

#[derive(Clone, Copy)]
struct Outage {
    since: Instant,
    reported: Option<Instant>,
}

impl<'p, T, Tell> Follower<'p, Tell>
where
    Tell: FnMut(JournalNews) -> ControlFlow<T>,
{
    fn new(prefix: &'p Prefix, from: &Resume, zones: Option<&[Name]>, tell: Tell) -> Self {
        let journals = match zones {
            Some(zones) => zones.iter().map(|zone| prefix.journal(zone)).collect(),
            None => vec![prefix.journals()],
        };
        Follower {
            prefix,
            cluster_id: from.cluster_id,
            journals,
            told_up_to: from.revision,
            listed: Vec::new(),
            was_fresh: false,
            outage: None,
            tell,
        }
    }

    fn follow(
        &mut self,
        now: Instant,
        events: Vec<Event>,
        status: &MirrorStatus,
    ) -> ControlFlow<T> {
        if status.doubted {
            return (self.tell)(JournalNews::OtherHistory);
        }
        for event in events {
            match event {
                Event::Listing => self.listed.clear(),
                Event::Items(items) => {
                    let news = items.into_iter().filter(|item| self.is_news(item));
                    let news: Vec<KeyValue> = news.collect();
                    self.listed.extend(news);
                }
                Event::Listed { revision } => {
                    // A list does not ask whose history it is.
                    if status.cluster_id != Some(self.cluster_id) || revision < self.told_up_to {
                        return (self.tell)(JournalNews::OtherHistory);
                    }
                    let after = self.told_up_to;
                    (self.tell)(JournalNews::Compacted { after })?;
                    let items = std::mem::take(&mut self.listed);
                    self.tell_changes(revision, items)?;
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
                    let news = items.filter(|item| self.is_news(item)).collect();
                    self.tell_changes(revision, news)?;
                }
                Event::Fresh { .. } => {
                    self.was_fresh = true;
                    let outage = self.outage.take();
                    if outage.is_some_and(|outage| outage.reported.is_some()) {
                        (self.tell)(JournalNews::Back)?;
                    }
                }
                // A list follows, over the same connection.
                Event::Lost {
                    failure: Failure::Compacted,
                    ..
                } => {}
                Event::Lost {
                    failure: Failure::Denied,
                    cause,
                    ..
                } if !self.was_fresh => (self.tell)(JournalNews::Denied(cause.to_string()))?,
                Event::Lost { cause, .. } => {
                    // A fault that was found says more.
                    let reason = status.trouble.clone();
                    self.lost(now, reason.unwrap_or_else(|| cause.to_string()))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, now: Instant, reason: String) -> ControlFlow<T> {
        let outage = self.outage.get_or_insert(Outage {
            since: now,
            reported: None,
        });
        let is_due = match outage.reported {
            None => now - outage.since >= REPORT_AFTER,
            Some(reported) => now - reported >= REPORT_AGAIN,
        };
        if !is_due {
            return ControlFlow::Continue(());
        }
        outage.reported = Some(now);
        (self.tell)(JournalNews::Lost(reason))
    }

    /// Whether this is something to tell that was not told yet.
    fn is_news(&self, item: &KeyValue) -> bool {
        let mut journals = self.journals.iter();
        item.mod_revision > self.told_up_to && journals.any(|journal| journal.contains(&item.key))
    }

    /// Tells the news up to a revision.
    fn tell_changes(&mut self, revision: i64, mut news: Vec<KeyValue>) -> ControlFlow<T> {
        news.sort_by(|a, b| (a.mod_revision, &a.key).cmp(&(b.mod_revision, &b.key)));
        for items in news.chunk_by(|a, b| a.mod_revision == b.mod_revision) {
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
        self.told_up_to = self.told_up_to.max(revision);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mirror::{Cause, KeyChange};
    use crate::schema::{Author, EntryId, JournalEntry, Key, Stored};

    const CLUSTER: u64 = 7;

    fn key(zone: &str, revision: i64) -> Vec<u8> {
        let id = EntryId {
            at: revision as u64,
            random: 0,
        };
        let zone = zone.parse().expect("a name");
        Prefix::default().encode(&Key::Journal { zone, id })
    }

    fn value() -> Vec<u8> {
        let entry = JournalEntry {
            at: 0,
            author: Author::default(),
            settings: None,
            rrsets: Vec::new(),
            omits_rrsets: false,
        };
        entry.to_value()
    }

    fn change(zone: &str, revision: i64) -> Event {
        let head = Prefix::default().encode(&Key::Head);
        let change = |key, value| KeyChange {
            key,
            value,
            mod_revision: revision,
        };
        Event::Revision {
            revision,
            changes: vec![
                change(key(zone, revision), Some(value())),
                change(key(zone, 1), None),
                change(head, Some(b"{}".to_vec())),
            ],
        }
    }

    fn item(zone: &str, mod_revision: i64) -> KeyValue {
        KeyValue {
            key: key(zone, mod_revision),
            value: value(),
            mod_revision,
        }
    }

    fn lost(failure: Failure) -> Event {
        Event::Lost {
            failure,
            cause: Cause::NoAnswer,
            endpoint: 0,
        }
    }

    fn fresh() -> Event {
        Event::Fresh { at: Instant::now() }
    }

    fn status(cluster_id: u64, doubted: bool) -> MirrorStatus {
        MirrorStatus {
            applied: None,
            last_fresh: None,
            endpoint: String::new(),
            cluster_id: Some(cluster_id),
            member_id: None,
            leased: 0,
            watching: true,
            doubted,
            unchecked: None,
            trouble: None,
        }
    }

    /// What is told to somebody who follows the zones `x`, `a.x` and `b.x` after revision 10; a step takes a second.
    fn told(steps: impl IntoIterator<Item = (Vec<Event>, MirrorStatus)>) -> Vec<String> {
        let mut all = Vec::new();
        let (prefix, start) = (Prefix::default(), Instant::now());
        let zones = ["x", "a.x", "b.x"].map(|zone| zone.parse().expect("a name"));
        let from = Resume {
            cluster_id: CLUSTER,
            revision: 10,
            leased: HashSet::new(),
            unchecked: None,
        };
        let tell = |news: JournalNews| {
            all.push(match news {
                JournalNews::Changes(changes) => {
                    let one = |one: &Recorded| format!("{} {}", one.revision, one.zone);
                    changes.iter().map(one).collect::<Vec<_>>().join(", ")
                }
                JournalNews::Unreadable(_) => "unreadable".into(),
                JournalNews::Lost(_) => "lost".into(),
                JournalNews::Back => "back".into(),
                JournalNews::Denied(_) => "denied".into(),
                JournalNews::Compacted { after } => format!("compacted after {after}"),
                JournalNews::OtherHistory => return ControlFlow::Break(()),
            });
            ControlFlow::Continue(())
        };
        let mut follower = Follower::new(&prefix, &from, Some(&zones), tell);
        let is_over = (0..).zip(steps).any(|(second, (events, status))| {
            let now = start + Duration::from_secs(second);
            follower.follow(now, events, &status).is_break()
        });
        if is_over {
            all.push("another history".into());
        }
        all
    }

    fn steps(events: Vec<Event>) -> Vec<String> {
        told(
            events
                .into_iter()
                .map(|event| (vec![event], status(CLUSTER, false))),
        )
    }

    #[test]
    fn changes_are_told_once_past_lost_connections_and_lists() {
        let listed = || {
            let items = vec![item("x", 12), item("y", 13), item("x", 10), item("b.x", 12)];
            [
                lost(Failure::Compacted),
                Event::Listing,
                Event::Items(vec![item("x", 14)]),
                // It begins anew.
                Event::Listing,
                Event::Items(items),
                Event::Listed { revision: 15 },
            ]
        };
        let mut events = vec![fresh(), change("x", 11), change("y", 12)];
        events.extend([lost(Failure::Unreachable), change("a.x", 13), fresh()]);
        assert_eq!(
            steps(events.clone()),
            ["11 x.", "13 a.x."],
            "a short outage"
        );
        events.extend([(); 120].map(|()| lost(Failure::Stalled)));
        events.extend([change("x", 14), fresh(), fresh()]);
        assert_eq!(
            steps(events),
            ["11 x.", "13 a.x.", "lost", "lost", "14 x.", "back"],
            "a long one"
        );
        let events = listed()
            .into_iter()
            .chain([change("x", 15), change("x", 16)]);
        assert_eq!(
            steps(events.collect()),
            ["compacted after 10", "12 b.x., 12 x.", "16 x."]
        );
        let mut garbage = item("x", 11);
        garbage.key.extend(b"/garbage");
        let mut of_others = item("y", 11);
        of_others.key.extend(b"/garbage");
        let items = [
            Event::Listing,
            Event::Items(vec![garbage, of_others, item("x", 12)]),
            Event::Listed { revision: 12 },
        ];
        assert_eq!(
            steps(items.into()),
            ["compacted after 10", "unreadable", "12 x."]
        );
    }

    #[test]
    fn another_history_is_noticed_however_it_is_met() {
        let listed = |revision| vec![Event::Listing, Event::Listed { revision }];
        let is_other = |events, status| told([(events, status)]) == ["another history"];
        assert!(is_other(vec![change("x", 11)], status(CLUSTER, true)));
        assert!(is_other(listed(20), status(CLUSTER + 1, false)));
        assert!(is_other(listed(9), status(CLUSTER, false)));
        assert!(!is_other(listed(10), status(CLUSTER, false)));
    }

    #[test]
    fn a_missing_permission_is_told_at_the_beginning() {
        assert_eq!(steps(vec![lost(Failure::Denied)]), ["denied"]);
        let none: [&str; 0] = [];
        assert_eq!(steps(vec![fresh(), lost(Failure::Denied)]), none);
    }
}
