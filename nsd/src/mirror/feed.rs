//! From the watch to what is served: applies the mirror's events, publishes the view, and updates the standing.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd::client::{self, MirrorStatus};
use etcd::mirror::{Cause, Event, Failure};
use tracing::{info, warn};

use super::expiries::Expiries;
use super::{Builder, SharedBuilder};
use crate::memory;
use crate::model::Name;
use crate::served::{Publisher, Standing, ZoneChange};

/// Takes what the watch brings.
pub(super) struct Feed {
    pub(super) builder: SharedBuilder,
    pub(super) publisher: Publisher,
    pub(super) store: client::Config,
    /// The failure that was logged last; none once the copy is fresh again.
    pub(super) last_failure: Option<Failure>,
    /// Whether the mirror was restarted after a panic, and nothing was listed since.
    pub(super) is_restarted: bool,
    /// Takes the zones in which leases have expired.
    pub(super) expiries: Arc<Expiries>,
    /// Whether free memory should be given back to the system.
    pub(super) is_memory_trim_due: bool,
}

/// What the events of one step came to.
#[derive(Default)]
struct Step {
    /// What the new view changes; none if the view stays the same one.
    changes: Option<BTreeMap<Name, ZoneChange>>,
    /// How often everything was listed.
    lists: u64,
    /// The revision of the last list.
    synced: Option<i64>,
    is_fresh: bool,
}

impl Feed {
    /// Whether applying these takes more than a moment.
    pub(super) fn takes_long(&self, events: &[Event]) -> bool {
        let builder = self.builder.lock();
        events.iter().any(|event| builder.takes_long(event))
    }

    /// Applies the events of one step, publishes the result, and tells everybody.
    pub(super) fn take(&mut self, events: Vec<Event>, status: &MirrorStatus) {
        let step = self.apply(events, status);
        self.is_memory_trim_due |= step.lists > 0;
        self.is_restarted &= step.lists == 0;
        if let Some(changes) = step.changes {
            let view = self.builder.lock().view().clone();
            let changes = changes.into_values().filter(ZoneChange::has_effect);
            self.publisher.publish(view, changes.collect());
        }
        let expired = self.builder.lock().take_expired();
        self.expiries.note(expired);
        if let Some(secrets) = self.builder.lock().cookie() {
            self.publisher.use_cookie(secrets);
        }
        // Only after the view: the proof is about the one that is published.
        match status.last_fresh {
            Some(at) if !self.is_restarted => self.publisher.prove(at),
            _ => self.publisher.revoke_proof(),
        }
        self.update_standing(status, step.lists);
        // Only after the standing: whoever reads these lines may ask for it at once.
        if let Some(revision) = step.synced {
            info!(revision, "synced");
        }
        if step.is_fresh && self.last_failure.take().is_some() {
            let (endpoint, revision) = (&status.endpoint, status.applied);
            info!(endpoint, revision, "fresh again");
        }
        if std::mem::take(&mut self.is_memory_trim_due) {
            // It takes a moment, and nobody waits for it.
            tokio::task::spawn_blocking(memory::trim);
        }
    }

    fn apply(&mut self, events: Vec<Event>, status: &MirrorStatus) -> Step {
        let mut step = Step::default();
        for event in &events {
            match event {
                Event::Listed { revision } => {
                    step.synced = Some(*revision);
                    step.lists += 1;
                }
                Event::Fresh { .. } => step.is_fresh = true,
                Event::Lost {
                    failure,
                    cause,
                    endpoint,
                } => self.log_failure(*failure, cause, *endpoint),
                _ => {}
            }
        }
        // Locked for all of it: what a snapshot holds, and whether that is unchecked, have to fit together.
        let mut builder = self.builder.lock();
        for event in events {
            if matches!(event, Event::Listed { .. }) {
                builder.set_cluster(status.cluster_id);
            }
            if let Some(changes) = builder.apply(event) {
                let all = step.changes.get_or_insert_default();
                for change in changes {
                    // Versions that are not published are let go at once: a step may have thousands.
                    all.entry(change.apex.clone())
                        .and_modify(|first| first.new.clone_from(&change.new))
                        .or_insert(change);
                }
            }
        }
        builder.set_unchecked(status.unchecked);
        drop(builder);
        step
    }

    /// Updates the standing, and wakes those who watch it.
    fn update_standing(&self, status: &MirrorStatus, lists: u64) {
        let builder = self.builder.lock();
        let before = self.publisher.standing().cluster_id;
        self.publisher.update(|standing| {
            update_from(standing, &builder);
            standing.follow(status);
            standing.doubted |= self.is_restarted;
            standing.lists += lists;
            if before.is_some() && before != standing.cluster_id {
                standing.cluster_changes += 1;
                let cluster = standing.cluster_id.unwrap_or(0);
                warn!(
                    cluster = format!("{cluster:x}"),
                    "etcd is a different cluster now"
                );
            }
        });
    }

    /// Logs a failure once, and not again at each attempt that fails in the same way.
    fn log_failure(&mut self, failure: Failure, cause: &Cause, endpoint: usize) {
        if self.last_failure.replace(failure) == Some(failure) {
            return;
        }
        let serving = self.builder.lock().view().is_ready();
        let urls = self.store.urls();
        let endpoint = urls.get(endpoint).map_or("", String::as_str);
        warn!(
            endpoint,
            ?failure,
            reason = %cause,
            serving,
            "cannot follow etcd, retrying"
        );
    }
}

/// Updates the standing to what the builder has.
pub(super) fn update_from(standing: &mut Standing, builder: &Builder) {
    let is_empty = builder.view().zone_count() == 0;
    standing.ready = builder.view().is_ready() && (!is_empty || standing.allow_empty);
    standing.cluster_id = builder.cluster_id();
    standing.applied = builder.revision();
    standing.held = builder.held().map(|(loss, _)| loss);
    standing.held_zones = builder.held().map_or(0, |(_, zones)| zones);
    standing.quarantined = builder.quarantine().len();
    standing.serials_behind = builder.serials_behind().len();
    standing.zones = builder.view().zone_count();
    standing.rrsets = builder.view().rrset_count();
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use std::sync::mpsc::Receiver;

    use etcd::mirror::{KeyChange, KeyValue};
    use etcd::schema::Prefix;

    use super::super::{Guard, MirrorSettings};
    use super::*;
    use crate::model::{Consistency, Rtype};
    use crate::served::Served;
    use crate::zone::View;

    const ZONE: &str = r#"{"soa":{"mname":"ns.x.","rname":"h.x.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":2,"default_ttl":300}"#;

    /// The views that were replaced, with the changes.
    type Replaced = Receiver<(Arc<View>, Vec<ZoneChange>)>;

    /// A feed of an empty mirror.
    fn feed(is_restarted: bool) -> (Feed, Served, Replaced) {
        let settings = MirrorSettings {
            store: client::Config::new(vec![]),
            prefix: Prefix::default(),
            consistency: Consistency::Available,
            guard: Guard::default(),
            snapshot: None,
            audit: None,
            allow_empty: false,
        };
        let (publisher, served, replaced) = Publisher::new(View::default(), Standing::default());
        let feed = Feed {
            builder: SharedBuilder::open(&settings).0,
            publisher,
            store: settings.store,
            last_failure: None,
            is_restarted,
            expiries: Arc::default(),
            is_memory_trim_due: false,
        };
        (feed, served, replaced)
    }

    /// The status of a mirror that works.
    fn status(start: Instant) -> MirrorStatus {
        MirrorStatus {
            applied: Some(8),
            leased: 0,
            last_fresh: Some(start),
            endpoint: String::new(),
            cluster_id: Some(1),
            member_id: None,
            watching: true,
            doubted: false,
            unchecked: None,
            trouble: None,
        }
    }

    #[test]
    fn a_doubt_takes_back_what_was_proved() {
        let (mut feed, served, _) = feed(false);
        // After the publisher was started: it keeps no earlier proof.
        let start = Instant::now();
        let mut status = status(start);
        feed.take(vec![Event::Fresh { at: start }], &status);
        // A proof is kept in milliseconds.
        let age = served.proof().age(start);
        assert!(
            age < Some(Duration::from_millis(1)) && age.is_some(),
            "{age:?}"
        );
        assert!(served.standing.borrow().age().is_some());
        (status.doubted, status.last_fresh) = (true, None);
        feed.take(vec![Event::Listing], &status);
        assert_eq!(served.proof().age(start), None, "`bounded` has to refuse");
        assert!(served.standing.borrow().age().is_none());
    }

    #[tokio::test]
    async fn secrets_for_cookies_are_followed_and_never_lost() {
        let (mut feed, served, _) = feed(false);
        let status = status(Instant::now());
        let secret = |digit: &str| format!(r#"{{"current":"{}"}}"#, digit.repeat(32));
        let mut take = |revision, value: Option<String>| {
            let change = KeyChange {
                key: "/ns/v1/secret/cookie".into(),
                value: value.map(Into::into),
                mod_revision: revision,
            };
            let changes = vec![change];
            feed.take(vec![Event::Revision { revision, changes }], &status);
            let quarantined = feed.builder.lock().quarantine().len();
            let current = served.cookie().as_ref().map(|all| all.current.0[0]);
            (current, quarantined)
        };
        assert_eq!(take(9, Some(secret("1"))), (Some(0x11), 0));
        assert_eq!(take(10, Some(secret("2"))), (Some(0x22), 0));
        assert_eq!(take(11, Some(secret("x"))), (Some(0x22), 1));
        assert_eq!(take(12, None), (Some(0x22), 0));
        let list = vec![
            Event::Listing,
            Event::Items(vec![]),
            Event::Listed { revision: 13 },
        ];
        feed.take(list, &status);
        assert_eq!(
            served.cookie().as_ref().map(|all| all.current.0[0]),
            Some(0x22)
        );
        assert_eq!(
            feed.builder.lock().cookie().map(|all| all.current.0[0]),
            Some(0x22)
        );
    }

    #[tokio::test]
    async fn after_a_panic_nothing_is_confirmed_until_all_is_listed() {
        let (mut feed, served, _) = feed(true);
        let status = status(Instant::now());
        feed.take(vec![Event::Listing], &status);
        assert!(served.standing.borrow().doubted);
        assert_eq!(served.proof().age(Instant::now()), None);
        feed.take(vec![Event::Listed { revision: 8 }], &status);
        assert!(!served.standing.borrow().doubted);
        assert!(served.proof().age(Instant::now()).is_some());
    }

    #[tokio::test]
    async fn several_changes_in_one_step_are_one_change_from_what_was_served() {
        let (mut feed, _, replaced) = feed(false);
        let status = status(Instant::now());
        let mut changes = |events| {
            feed.take(events, &status);
            replaced.try_recv().expect("a view was replaced").1
        };
        let put = |key: &str, value: String, revision| KeyChange {
            key: key.into(),
            value: Some(value.into()),
            mod_revision: revision,
        };
        let address = |revision, last: u8| Event::Revision {
            revision,
            changes: vec![put(
                "/ns/v1/rr/x/2/a/A",
                format!(r#"{{"ttl":60,"rdata":["192.0.2.{last}"]}}"#),
                revision,
            )],
        };
        let zone = KeyValue {
            key: "/ns/v1/zone/x".into(),
            value: ZONE.into(),
            mod_revision: 7,
        };
        let listed = changes(vec![
            Event::Listing,
            Event::Items(vec![zone]),
            Event::Listed { revision: 8 },
        ]);
        assert!(matches!(&listed[..], [one] if one.old.is_none() && one.new.is_some()));
        assert_eq!(changes(vec![address(9, 1)]).len(), 1);

        let both = changes(vec![address(10, 2), address(11, 3)]);
        assert_eq!(both.len(), 1);
        let rrsets: Vec<_> = both[0].rrsets().collect();
        assert_eq!(rrsets.len(), 1);
        let last = |rrset: Option<crate::zone::RrsetRef<'_>>| {
            rrset.and_then(|rrset| rrset.rdata().next()?.last().copied())
        };
        let found = (rrsets[0].rtype, last(rrsets[0].old), last(rrsets[0].new));
        assert_eq!(found, (Rtype::A, Some(1), Some(3)));

        let there_and_back = changes(vec![address(12, 4), address(13, 3)]);
        assert_eq!(there_and_back.len(), 0);
    }
}
