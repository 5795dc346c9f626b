//! Checks after all trouble has ended.

use std::sync::Mutex;
use std::time::Duration;

use etcd::client::Store;
use etcd::model::Rtype;
use etcd::schema::{Instance, Key, Prefix};
use etcd::txn::{Moment, NotRecorded};
use tokio::time::sleep;

use super::Checks;
use super::history::recorded;
use crate::actors::{Told, owner_name, zone_name};
use crate::model::{Cluster, now};
use crate::reference::{self, Records};

/// How long everything may take to come to rest after the last trouble.
pub(crate) const REST: Duration = Duration::from_secs(20);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Whether an announcer's records are there, or any.
pub(crate) fn is_announced(cluster: &Cluster, instance: Option<u64>) -> bool {
    let state = cluster.lock();
    let range = Prefix::default().leased();
    let revision = state.store.revision();
    let found = state.store.range(&range.start, &range.end, revision);
    found.into_iter().any(|(key, _)| match instance {
        Some(instance) => key.ends_with(format!("/{instance:016x}").as_bytes()),
        None => true,
    })
}

impl Checks {
    /// Checks that each announcer (instance, owner) has its records in the zone that answers for the owner, unless there is no
    /// zone, or a CNAME record hides them.
    pub(crate) fn all_announced(&self, announcers: &[(u64, usize)]) {
        let state = self.cluster.lock();
        let (prefix, revision) = (Prefix::default(), state.store.revision());
        let zones = self.zones(state.id, &state.store, revision);
        for (instance, owner) in announcers {
            let owner = owner_name(0, *owner);
            let Some(zone) = owner.ancestors().find(|name| zones.contains_key(name)) else {
                continue;
            };
            let alias = (owner.clone(), Rtype::CNAME);
            let key = prefix.encode(&Key::Leased {
                zone: zone.clone(),
                owner,
                rtype: Rtype::A,
                instance: Instance(*instance),
            });
            let is_hidden = zones[&zone].records.contains_key(&alias);
            if !is_hidden && state.store.get(&key, revision).is_none() {
                self.broken(format!(
                    "announcer {instance} stays, and its records are gone"
                ));
            }
        }
    }

    /// Checks that nothing was announced any more after it was withdrawn.
    pub(crate) fn none_after_withdrawal(&self) {
        let state = self.cluster.lock();
        if state.began_at().is_some() {
            return;
        }
        for (instance, since) in self.withdrawals() {
            let ending = format!("/{instance:016x}");
            let mut later = state
                .store
                .commits()
                .filter(|(revision, _)| *revision > since);
            let is_put = later.any(|(revision, commit)| {
                let mut own = commit
                    .keys
                    .iter()
                    .filter(|key| key.ends_with(ending.as_bytes()));
                own.any(|key| state.store.get(key, revision).is_some())
            });
            if is_put {
                self.broken(format!(
                    "announcer {instance} announces after its withdrawal"
                ));
            }
        }
    }

    /// Waits until every front-end has caught up, all have the same serials, and these cover every expiry.
    pub(crate) async fn at_rest(&self, front_ends: &[usize]) {
        let deadline = now() + REST;
        loop {
            let behind: Vec<String> = front_ends
                .iter()
                .filter_map(|number| Some((number, self.behind(*number)?)))
                .map(|(number, what)| format!("front-end {number}: {what} in the end"))
                .chain(self.expiry_without_serial(front_ends))
                .collect();
            if behind.is_empty() {
                return;
            }
            if now() > deadline {
                return behind.into_iter().for_each(|what| self.broken(what));
            }
            sleep(LOOK).await;
        }
    }

    /// What a front-end still lacks.
    fn behind(&self, number: usize) -> Option<String> {
        let state = self.cluster.lock();
        let front_end = self.front_end(number);
        let last = state.store.commits().next_back();
        if front_end.cluster_id != state.id || front_end.fresh <= last.map(|(_, commit)| commit.at)
        {
            return Some("it has not caught up".into());
        }
        if front_end.answered <= last.map(|(_, commit)| commit.at) {
            return Some("no linearizable answer".into());
        }
        let zones = self.zones(state.id, &state.store, state.store.revision());
        zones.iter().find_map(|(apex, zone)| {
            let (serial, wanted) = (
                front_end.serials.get(apex),
                zone.settings.serial(zone.touched),
            );
            (serial != Some(&wanted))
                .then(|| format!("{apex} has the serial {serial:?}, not {wanted}"))
        })
    }

    /// A zone whose serial has not grown after a lease expired, although a front-end had the records.
    fn expiry_without_serial(&self, front_ends: &[usize]) -> Option<String> {
        let state = self.cluster.lock();
        let zones = self.zones(state.id, &state.store, state.store.revision());
        let prefix = Prefix::default();
        let mut deletions = state
            .store
            .deletions(prefix.leased(), state.store.revision());
        deletions.find_map(|(key, at)| {
            let Ok(Key::Leased { zone: apex, .. }) = prefix.decode(key) else {
                return None;
            };
            let touched = zones.get(&apex)?.touched;
            let store = (state.id, &state.store);
            let is_seen = |number: &usize| self.has_seen(*number, store, (key, at));
            (at > touched && front_ends.iter().any(is_seen)).then(|| {
                format!(
                    "{apex}: a lease expired in revision {at}, and the serial is still of revision {touched}"
                )
            })
        })
    }

    /// Checks that a follower is told every change, once and in order. It may miss entries that a journal has deleted, if it was told so.
    pub(crate) async fn all_told(&self, told: &Mutex<Told>, forgets: bool) {
        let deadline = now() + REST;
        loop {
            let wrong = {
                let state = self.cluster.lock();
                let told = told.lock().expect("it has not panicked");
                // After a restore the follower is told so, and stops: there is nothing to compare.
                if state.began_at().is_some() && told.is_other_history {
                    return;
                }
                let all = recorded(&state.store, told.from);
                let mut rest = all.iter();
                let is_told = match told.may_lack && forgets {
                    true => told.changes.iter().all(|told| rest.any(|one| one == told)),
                    false => told.changes == all,
                };
                (!is_told).then(|| format!("told {:?} of {all:?}", told.changes))
            };
            match wrong {
                None => return,
                Some(wrong) if now() > deadline => return self.broken(wrong),
                Some(_) => sleep(LOOK).await,
            }
        }
    }

    /// Checks what the journal says of one zone at one earlier revision, given as a part (0 to 1) of the newest.
    /// After a restore, the journal may not fit what is there.
    pub(crate) async fn past(&self, store: &Store, (zone, part): (usize, f64), forgets: bool) {
        let is_repeated = self.cluster.lock().repeats_revisions();
        let (revision, apex) = (self.cluster.lock().store.revision(), zone_name(zone));
        let then = (revision as f64 * part) as i64;
        let past = match store.zone_past(&apex, Moment::Revision(then)).await {
            Ok(Ok(past)) => past.past,
            Ok(Err(why)) => {
                let is_allowed = is_repeated
                    || match why {
                        // Only so many replaced generations are archived.
                        NotRecorded::Replaced(_) => true,
                        NotRecorded::Before(_) => forgets,
                        _ => false,
                    };
                if !is_allowed {
                    self.broken(format!("the past of {apex} at revision {then}: {why}"));
                }
                return;
            }
            Err(error) => return self.broken(format!("the past of {apex}: {error}")),
        };
        let state = self.cluster.lock();
        let zones = self.zones(state.id, &state.store, then);
        let zone = zones.get(&apex);
        let wanted = zone.map_or_else(Records::new, |zone| zone.records.clone());
        let told = past.rrsets.iter();
        let told: Records = told
            .map(|(place, rrset)| (place.clone(), reference::rdata(rrset)))
            .collect();
        if past.settings.is_some() != zone.is_some() || told != wanted {
            self.broken(format!(
                "at revision {then} {apex} had {wanted:?}, and not {told:?}"
            ));
        }
    }
}
