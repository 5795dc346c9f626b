//! From the watch to what is served: takes the mirror's events in, publishes the view, and tells how things stand.

use etcd::client::{self, Status};
use etcd::mirror::{Cause, Event, Failure};
use tracing::{info, warn};

use super::{Mirrored, follow};
use crate::memory;
use crate::served::{Publisher, Standing};

/// Takes what the watch brings.
pub(super) struct Feed {
    pub(super) mirrored: Mirrored,
    pub(super) publisher: Publisher,
    pub(super) store: client::Config,
    pub(super) lost: Option<Failure>,
    /// Whether it goes on after a panic, and nothing was listed since.
    pub(super) is_restarted: bool,
    pub(super) is_trim_due: bool,
}

impl Feed {
    /// Whether it takes more than a moment to take these in.
    pub(super) fn takes_long(&self, events: &[Event]) -> bool {
        let builder = self.mirrored.lock();
        events.iter().any(|event| builder.takes_long(event))
    }

    /// Takes in what happened in one step, publishes what comes of it, and tells everybody.
    pub(super) fn take(&mut self, events: Vec<Event>, status: &Status) {
        let (mut changes, mut lists) = (None, 0);
        let (mut synced, mut is_fresh) = (None, false);
        for event in events {
            match &event {
                Event::Listed { revision } => {
                    synced = Some(*revision);
                    lists += 1;
                }
                Event::Fresh { .. } => is_fresh = true,
                Event::Lost {
                    failure,
                    cause,
                    endpoint,
                } => self.log_lost(*failure, cause, *endpoint),
                _ => {}
            }
            let mut builder = self.mirrored.lock();
            if matches!(event, Event::Listed { .. }) {
                builder.set_cluster(status.cluster_id);
            }
            if let Some(more) = builder.apply(event) {
                let all: &mut Vec<_> = changes.get_or_insert_default();
                all.extend(more);
            }
        }
        self.is_trim_due |= lists > 0;
        self.is_restarted &= lists == 0;
        let doubted = status.doubted || self.is_restarted;
        if changes.is_some() {
            let view = self.mirrored.lock().view().clone();
            self.publisher.publish(view);
        }
        // Only now: what is proved is what is published.
        let proved = status.last_fresh.filter(|_| !self.is_restarted);
        self.publisher.prove(proved);
        let before = self.publisher.standing().cluster_id;
        self.tell(|standing| {
            standing.mirrored = status.applied;
            standing.last_fresh = status.last_fresh;
            standing.watching = status.watching;
            standing.doubted = doubted;
            standing.endpoint.clone_from(&status.endpoint);
            standing.member_id = status.member_id;
            standing.trouble.clone_from(&status.trouble);
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
        // Who reads this may ask at once.
        if let Some(revision) = synced {
            info!(revision, "synced");
        }
        if is_fresh && self.lost.take().is_some() {
            let (endpoint, revision) = (&status.endpoint, status.applied);
            info!(endpoint, revision, "fresh again");
        }
        if std::mem::take(&mut self.is_trim_due) {
            // It takes a moment, and nobody waits for it.
            tokio::task::spawn_blocking(memory::trim);
        }
    }

    /// Updates the standing from the builder, and wakes those who watch it.
    fn tell(&self, more: impl FnOnce(&mut Standing)) {
        let builder = self.mirrored.lock();
        self.publisher.tell(|standing| {
            follow(standing, &builder);
            more(standing);
        });
    }

    /// The same trouble over and over is one line, not one a try.
    fn log_lost(&mut self, failure: Failure, cause: &Cause, endpoint: usize) {
        if self.lost.replace(failure) == Some(failure) {
            return;
        }
        let serving = self.mirrored.lock().view().is_ready();
        let urls = self.store.urls();
        let endpoint = urls.get(endpoint).map_or("", String::as_str);
        warn!(
            endpoint,
            ?failure,
            reason = %cause,
            serving,
            "etcd is lost, retrying"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use etcd::schema::Prefix;

    use super::super::{Guard, Settings};
    use super::*;
    use crate::model::Consistency;
    use crate::served::Served;
    use crate::zone::View;

    /// A feed of a mirror with nothing in it.
    fn feed(is_restarted: bool) -> (Feed, Served) {
        let settings = Settings {
            store: client::Config::new(vec![]),
            prefix: Prefix::default(),
            consistency: Consistency::Available,
            guard: Guard::default(),
            snapshot: None,
            audit: None,
            allow_empty: false,
        };
        let (publisher, served, _) = Publisher::new(View::default(), Standing::default());
        let feed = Feed {
            mirrored: Mirrored::open(&settings).0,
            publisher,
            store: settings.store,
            lost: None,
            is_restarted,
            is_trim_due: false,
        };
        (feed, served)
    }

    /// All is well.
    fn status(start: Instant) -> Status {
        Status {
            applied: Some(8),
            last_fresh: Some(start),
            endpoint: String::new(),
            cluster_id: Some(1),
            member_id: None,
            watching: true,
            doubted: false,
            trouble: None,
        }
    }

    #[test]
    fn a_doubt_takes_back_what_was_proved() {
        let (mut feed, served) = feed(false);
        // Not before the publisher's own start.
        let start = Instant::now();
        let mut status = status(start);
        feed.take(vec![Event::Fresh { at: start }], &status);
        // A proof is kept in whole milliseconds.
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
    async fn after_a_panic_nothing_is_confirmed_until_all_is_listed() {
        let (mut feed, served) = feed(true);
        let status = status(Instant::now());
        feed.take(vec![Event::Listing], &status);
        assert!(served.standing.borrow().doubted);
        assert_eq!(served.proof().age(Instant::now()), None);
        feed.take(vec![Event::Listed { revision: 8 }], &status);
        assert!(!served.standing.borrow().doubted);
        assert!(served.proof().age(Instant::now()).is_some());
    }
}
