//! Random histories against a plain map.

use std::collections::BTreeMap;

use super::*;

/// The content of etcd, with the history that watches and pinned lists can still read.
struct Store {
    revision: i64,
    compacted: i64,
    cluster_id: u64,
    history: Vec<KeyChange>,
    /// The rest of a response whose first fragment was sent.
    rest: Vec<KeyChange>,
}

impl Store {
    fn header(&self) -> Header {
        Header {
            cluster_id: self.cluster_id,
            member_id: 1,
            revision: self.revision,
        }
    }

    fn content(&self, revision: i64) -> BTreeMap<Vec<u8>, (Vec<u8>, i64)> {
        let mut content = BTreeMap::new();
        for change in self
            .history
            .iter()
            .filter(|change| change.mod_revision <= revision)
        {
            match &change.value {
                Some(value) => {
                    content.insert(change.key.clone(), (value.clone(), change.mod_revision))
                }
                None => content.remove(&change.key),
            };
        }
        content
    }

    /// A lease expires, which does not write the head key.
    fn expire(&mut self, random: &mut fastrand::Rng) -> usize {
        let there = self.content(self.revision).into_keys();
        let leased: Vec<_> = there.filter(|key| is_leased(key)).collect();
        let Some(key) = random.choice(leased) else {
            return 0;
        };
        self.revision += 1;
        self.history.push(KeyChange {
            key,
            value: None,
            mod_revision: self.revision,
        });
        1
    }

    fn write(&mut self, random: &mut fastrand::Rng) -> usize {
        self.revision += 1;
        let keys: std::collections::BTreeSet<u8> =
            (0..random.usize(1..5)).map(|_| random.u8(..40)).collect();
        for key in &keys {
            let value = random
                .bool()
                .then(|| random.u32(..).to_string().into_bytes());
            self.history.push(KeyChange {
                key: vec![b'k', *key],
                value,
                mod_revision: self.revision,
            });
        }
        self.history.push(KeyChange {
            key: b"head".into(),
            value: Some(vec![]),
            mod_revision: self.revision,
        });
        keys.len() + 1
    }
}

/// Keys that belong to a lease.
const LEASED: std::ops::Range<[u8; 2]> = [b'k', 30]..[b'k', 40];

fn is_leased(key: &[u8]) -> bool {
    (&LEASED.start[..]..&LEASED.end[..]).contains(&key)
}

/// Feeds a mirror from a store that misbehaves in every way etcd may. After every event it compares the receiver's copy
/// with the store at that revision.
#[test]
fn hundred_thousand_random_events_agree_with_a_map() {
    for seed in 0..8 {
        random_history(seed, 12_500);
    }
}

fn random_history(seed: u64, events: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut store = Store {
        revision: 1,
        compacted: 0,
        cluster_id: 1,
        history: vec![],
        rest: vec![],
    };
    let mut now = Instant::now();
    let leased = LEASED.start.into()..LEASED.end.into();
    let mut mirror = Mirror::new(now, Pace::new(3, seed)).counting(leased);
    let (mut staged, mut copy) = (BTreeMap::new(), BTreeMap::new());
    let mut pending = Action::Wait;
    // The next revision that the watch reports; none without a watch.
    let mut cursor: Option<i64> = None;
    let (mut written, mut checked, mut relists, mut proved) = (0, 0, 0, 0);
    // When each revision was written, to judge the proofs of freshness.
    let mut written_at: Vec<(Instant, i64)> = Vec::new();
    // After a restore under the same cluster id, nothing is written until the mirror has noticed. Once the old revision
    // is passed again, no client can tell the histories apart (only the audit can).
    let mut quiet = false;
    while written < events || mirror.applied() != Some(store.revision) {
        // At the end the store behaves well, so the mirror must converge.
        let rough = written < events;
        if rough && !quiet && random.f32() < 0.5 {
            written += store.write(&mut random);
        }
        if rough && !quiet && random.f32() < 0.1 {
            written += store.expire(&mut random);
        }
        if rough && random.f32() < 0.01 {
            store.compacted = random.i64(store.compacted..=store.revision);
        }
        if rough && random.f32() < 0.003 {
            // Restore from a backup: another cluster id, an older revision, then other writes.
            store.revision = random.i64(store.compacted.max(1)..=store.revision);
            store
                .history
                .retain(|change| change.mod_revision <= store.revision);
            match random.bool() {
                true => store.cluster_id += 1,
                false => quiet = store.revision < mirror.applied().unwrap_or(0),
            }
            written_at.clear();
            // A restore ends all connections.
            cursor = None;
            pending = Action::Disconnect;
        }
        if written_at
            .last()
            .is_none_or(|(_, last)| *last != store.revision)
        {
            written_at.push((now, store.revision));
        }
        let input = next_input(
            &mut store,
            &mut random,
            &mut pending,
            &mut cursor,
            rough,
            now,
        );
        let (input, waited) = match input {
            Some(input) => (input, random.u64(..3)),
            None => (
                Input::Tick,
                mirror.deadline().saturating_duration_since(now).as_millis() as u64 / 2 + 1,
            ),
        };
        now += Duration::from_millis(waited);
        let mut out = Vec::new();
        let action = mirror.handle(now, input, &mut out);
        if action != Action::Wait {
            if !matches!(action, Action::ReadHead | Action::CheckHistory { .. }) {
                cursor = None;
            }
            pending = action;
        }
        for event in out {
            match event {
                Event::Listing => staged = BTreeMap::new(),
                Event::Items(items) => {
                    let entry = |item: KeyValue| (item.key, (item.value, item.mod_revision));
                    staged.extend(items.into_iter().map(entry));
                }
                Event::Listed { revision } => {
                    quiet = false;
                    relists += 1;
                    copy = std::mem::take(&mut staged);
                    assert_eq!(
                        copy,
                        store.content(revision),
                        "seed {seed}, list at {revision}"
                    );
                }
                Event::Revision { revision, changes } => {
                    for change in changes {
                        match change.value {
                            Some(value) => copy.insert(change.key, (value, revision)),
                            None => copy.remove(&change.key),
                        };
                    }
                    checked += 1;
                    if checked % 16 == 0 {
                        assert_eq!(
                            copy,
                            store.content(revision),
                            "seed {seed}, revision {revision}"
                        );
                    }
                }
                Event::Fresh { at } => {
                    // Time stands still for a while, so only what was written before that moment counts.
                    let then = written_at.iter().rfind(|(time, _)| *time < at);
                    let applied = mirror.applied().expect("it has a copy");
                    let missing = then.is_some_and(|(_, then)| {
                        let is_missing = |change: &&KeyChange| {
                            (applied + 1..=*then).contains(&change.mod_revision)
                        };
                        store.history.iter().any(|change| is_missing(&change))
                    });
                    assert!(!missing, "seed {seed}: not fresh, {applied} applied");
                    proved += 1;
                }
                Event::Lost { .. } => {}
            }
        }
    }
    assert_eq!(
        copy,
        store.content(store.revision),
        "seed {seed}, at the end"
    );
    assert!(
        checked > 500 && relists > 2 && proved > 20,
        "seed {seed}: {checked} revisions, {relists} lists, {proved} proofs"
    );
}

/// The store's next answer to what the mirror has asked for; none if only time passes.
fn next_input(
    store: &mut Store,
    random: &mut fastrand::Rng,
    pending: &mut Action,
    cursor: &mut Option<i64>,
    rough: bool,
    now: Instant,
) -> Option<Input> {
    if rough && random.f32() < 0.01 {
        *cursor = None;
        *pending = Action::Wait;
        return Some(failed(
            [Failure::Unreachable, Failure::Unauthenticated][random.usize(..2)],
        ));
    }
    match std::mem::replace(pending, Action::Wait) {
        Action::Connect { .. } => Some(Input::Connected),
        Action::List {
            revision: Some(pinned),
            ..
        } if pinned < store.compacted => Some(failed(Failure::Compacted)),
        Action::List { after, revision } => {
            let pinned = revision.unwrap_or(store.revision);
            let content = store.content(pinned);
            let mut items: Vec<KeyValue> = content
                .into_iter()
                .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
                .map(|(key, (value, mod_revision))| KeyValue {
                    key,
                    value,
                    mod_revision,
                })
                .collect();
            let more = items.len() > 7;
            items.truncate(7);
            Some(Input::Page {
                header: store.header(),
                items,
                more,
            })
        }
        Action::Watch { from } if from <= store.compacted => Some(failed(Failure::Compacted)),
        Action::Watch { from } => {
            *cursor = Some(from);
            store.rest.clear();
            Some(Input::Watching(store.header()))
        }
        Action::CheckHistory { revision } if revision < store.compacted => {
            Some(failed(Failure::Compacted))
        }
        Action::CheckHistory { .. } => Some(Input::HistoryChecked),
        Action::ReadHead => {
            let revision = store
                .history
                .iter()
                .rev()
                .find(|change| change.key == b"head")
                .map_or(0, |head| head.mod_revision);
            let there = store.content(store.revision).into_keys();
            Some(Input::Head {
                sent: now,
                header: store.header(),
                newest: Newest {
                    head: revision,
                    store: store.revision,
                    leased: there.filter(|key| is_leased(key)).count(),
                },
            })
        }
        Action::Disconnect if cursor.is_none() && rough && random.f32() < 0.5 => {
            Some(failed(Failure::Unreachable))
        }
        Action::Disconnect | Action::Wait => deliver(store, random, cursor, rough),
    }
}

/// Part of what the watch has to report: one or several revisions, possibly repeated, possibly cut into fragments
/// anywhere.
fn deliver(
    store: &mut Store,
    random: &mut fastrand::Rng,
    cursor: &mut Option<i64>,
    rough: bool,
) -> Option<Input> {
    let from = (*cursor)?;
    if !store.rest.is_empty() {
        let changes = std::mem::take(&mut store.rest);
        return Some(cut(store, random, changes));
    }
    if from > store.revision || (rough && random.f32() < 0.3) {
        return None;
    }
    let repeat = if rough && random.f32() < 0.05 {
        random.i64(0..3)
    } else {
        0
    };
    let to = random.i64(from..=store.revision.min(from + 4));
    let changes: Vec<KeyChange> = store
        .history
        .iter()
        .filter(|change| (from - repeat..=to).contains(&change.mod_revision))
        .cloned()
        .collect();
    *cursor = Some(to + 1);
    Some(cut(store, random, changes))
}

/// A response with all of the changes, or with the first fragment.
fn cut(store: &mut Store, random: &mut fastrand::Rng, mut changes: Vec<KeyChange>) -> Input {
    if changes.len() > 1 && random.f32() < 0.3 {
        store.rest = changes.split_off(random.usize(1..changes.len()));
    }
    Input::Changes {
        header: store.header(),
        fragment: !store.rest.is_empty(),
        changes,
    }
}
