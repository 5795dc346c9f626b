//! etcd's guarantees by name, and random histories against a plain map.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;

const HEADER: Header = Header {
    cluster_id: 7,
    member_id: 1,
    revision: 100,
};

fn at(revision: i64) -> Header {
    Header { revision, ..HEADER }
}

fn put(key: &str, revision: i64) -> Change {
    Change {
        key: key.into(),
        value: Some(format!("{key}@{revision}").into()),
        mod_revision: revision,
    }
}

fn item(key: &str, revision: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: vec![],
        mod_revision: revision,
    }
}

/// A mirror on a clock that the test turns.
struct Bench {
    mirror: Mirror,
    now: Instant,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Bench {
            mirror: Mirror::new(now, Config::new(3, 1)),
            now,
            events: Vec::new(),
        }
    }

    fn feed(&mut self, input: Input) -> Action {
        self.events.clear();
        self.mirror.handle(self.now, input, &mut self.events)
    }

    fn at_deadline(&mut self) -> Action {
        self.now = self.mirror.deadline();
        self.feed(Input::Tick)
    }

    fn changes(&mut self, changes: &[Change]) -> Action {
        self.feed(Input::Changes {
            header: HEADER,
            changes: changes.to_vec(),
            fragment: false,
        })
    }

    fn head(&mut self, store: i64, revision: i64) -> Action {
        let sent = self.now;
        self.feed(Input::Head {
            sent,
            header: at(store),
            revision,
        })
    }

    /// Connected, with an empty list at `revision`, and a watch that has just been proved fresh.
    fn watching(revision: i64) -> Self {
        let mut bench = Bench::new();
        assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
        assert_eq!(
            bench.feed(Input::Connected),
            Action::List {
                after: None,
                revision: None
            }
        );
        let page = Input::Page {
            header: at(revision),
            items: vec![],
            more: false,
        };
        assert_eq!(bench.feed(page), Action::Watch { from: revision + 1 });
        assert_eq!(bench.feed(Input::Watching(at(revision))), Action::ReadHead);
        assert_eq!(bench.head(revision, revision), Action::Wait);
        assert_eq!(bench.events, [Event::Fresh { at: bench.now }]);
        bench
    }

    fn revisions(&self) -> Vec<(i64, usize)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Revision { revision, changes } => Some((*revision, changes.len())),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_list_is_read_at_one_revision() {
    let mut bench = Bench::new();
    bench.at_deadline();
    bench.feed(Input::Connected);
    assert_eq!(bench.events, [Event::Listing]);
    let first = Input::Page {
        header: at(50),
        items: vec![item("a", 3), item("b", 9)],
        more: true,
    };
    assert_eq!(
        bench.feed(first),
        Action::List {
            after: Some(b"b".into()),
            revision: Some(50)
        }
    );
    // Later pages carry the store's revision of that moment; the pinned one counts.
    let second = Input::Page {
        header: at(60),
        items: vec![item("c", 50)],
        more: false,
    };
    assert_eq!(bench.feed(second), Action::Watch { from: 51 });
    assert_eq!(
        bench.events,
        [
            Event::Items(vec![item("c", 50)]),
            Event::Listed { revision: 50 }
        ]
    );
    assert_eq!(bench.mirror.applied(), Some(50));
}

#[test]
fn ordered() {
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 11), put("a", 12), put("b", 14)]);
    assert_eq!(bench.revisions(), [(11, 1), (12, 1), (14, 1)]);
    // Within one response revisions never fall; where they do, all is listed again.
    assert_eq!(
        bench.changes(&[put("a", 16), put("a", 15)]),
        Action::List {
            after: None,
            revision: None
        }
    );
    assert_eq!(bench.events, [Event::Listing]);
}

#[test]
fn unique() {
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 11)]);
    bench.changes(&[put("a", 10), put("a", 11), put("a", 12)]);
    assert_eq!(bench.revisions(), [(12, 1)]);
}

#[test]
fn atomic() {
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 11), put("b", 11), put("c", 12)]);
    assert_eq!(bench.revisions(), [(11, 2), (12, 1)]);
    // Fragments: revision 13 is split over three responses.
    let fragment = |changes, fragment| Input::Changes {
        header: HEADER,
        changes,
        fragment,
    };
    bench.feed(fragment(vec![put("a", 13)], true));
    assert_eq!(bench.events, []);
    bench.feed(fragment(vec![put("b", 13)], true));
    assert_eq!((bench.events.len(), bench.mirror.applied()), (0, Some(12)));
    bench.feed(fragment(vec![put("c", 13), put("d", 14)], false));
    assert_eq!(bench.revisions(), [(13, 3), (14, 1)]);
}

#[test]
fn fragments_do_not_survive_a_lost_connection() {
    let mut bench = Bench::watching(10);
    bench.feed(Input::Changes {
        header: HEADER,
        changes: vec![put("a", 11)],
        fragment: true,
    });
    bench.feed(Input::Failed(Failure::Unreachable));
    bench.at_deadline();
    assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 11 });
    bench.feed(Input::Watching(HEADER));
    bench.changes(&[put("a", 11), put("b", 11)]);
    assert_eq!(bench.revisions(), [(11, 2)]);
}

#[test]
fn reliable() {
    // What was written between the list and the watch is asked for: the watch begins at R + 1. What was
    // written while the connection was away, too.
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 15)]);
    assert_eq!(
        bench.feed(Input::Failed(Failure::Unreachable)),
        Action::Disconnect
    );
    assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
    assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 16 });
}

#[test]
fn resumable_until_compacted() {
    let mut bench = Bench::watching(10);
    assert_eq!(
        bench.feed(Input::Failed(Failure::Compacted)),
        Action::List {
            after: None,
            revision: None
        }
    );
    assert_eq!(bench.events[1], Event::Listing);
    // Nothing was said to be gone: the old copy serves until the list is complete.
    let page = Input::Page {
        header: at(90),
        items: vec![item("z", 80)],
        more: false,
    };
    assert_eq!(bench.feed(page), Action::Watch { from: 91 });
    assert_eq!(
        bench.events,
        [
            Event::Items(vec![item("z", 80)]),
            Event::Listed { revision: 90 }
        ]
    );
}

#[test]
fn a_list_that_is_compacted_away_starts_over_after_a_pause() {
    let mut bench = Bench::watching(10);
    bench.feed(Input::Failed(Failure::Compacted));
    bench.feed(Input::Page {
        header: at(90),
        items: vec![item("a", 80)],
        more: true,
    });
    assert_eq!(
        bench.feed(Input::Failed(Failure::Compacted)),
        Action::Disconnect
    );
    bench.at_deadline();
    assert_eq!(
        bench.feed(Input::Connected),
        Action::List {
            after: None,
            revision: None
        }
    );
    assert_eq!(bench.events, [Event::Listing]);
}

#[test]
fn bookmarkable() {
    // A sign of life without changes neither moves the applied revision nor counts as an end.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.feed(Input::Watching(at(500))), Action::Wait);
    assert_eq!(bench.changes(&[]), Action::Wait);
    assert_eq!((bench.events.len(), bench.mirror.applied()), (0, Some(10)));
    bench.changes(&[put("a", 12)]);
    assert_eq!(bench.revisions(), [(12, 1)]);
}

#[test]
fn another_cluster_is_listed_again() {
    let other = Header {
        cluster_id: 8,
        ..HEADER
    };
    for input in [
        Input::Watching(other),
        Input::Changes {
            header: other,
            changes: vec![put("a", 11)],
            fragment: false,
        },
    ] {
        let mut bench = Bench::watching(10);
        assert_eq!(
            bench.feed(input),
            Action::List {
                after: None,
                revision: None
            }
        );
        assert_eq!(bench.events, [Event::Listing]);
        // Also when the connection is lost amid the list: there is no going back to the old history.
        bench.feed(Input::Failed(Failure::Unreachable));
        bench.at_deadline();
        assert_eq!(
            bench.feed(Input::Connected),
            Action::List {
                after: None,
                revision: None
            }
        );
    }
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    let head = Input::Head {
        sent: bench.now,
        header: other,
        revision: 10,
    };
    assert_eq!(
        bench.feed(head),
        Action::List {
            after: None,
            revision: None
        }
    );
}

#[test]
fn a_revision_gone_back_is_listed_again() {
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    assert_eq!(
        bench.head(9, 9),
        Action::List {
            after: None,
            revision: None
        }
    );
}

#[test]
fn a_read_overtaken_by_a_change_is_no_other_history() {
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    bench.changes(&[put("a", 11)]);
    assert_eq!(bench.head(10, 10), Action::Wait);
    assert_eq!(bench.events, [Event::Fresh { at: bench.now }]);
}

#[test]
fn freshness_waits_for_the_head() {
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    let sent = bench.now;
    bench.head(20, 20);
    assert_eq!((bench.events.len(), bench.mirror.applied()), (0, Some(10)));
    bench.now += Duration::from_millis(10);
    bench.changes(&[put("a", 15), put("head", 20)]);
    assert_eq!(bench.events.last(), Some(&Event::Fresh { at: sent }));
    assert_eq!(bench.mirror.last_fresh(), Some(sent));
}

#[test]
fn a_silent_stall_is_found() {
    // The member answers reads, but its watch no longer delivers.
    let mut bench = Bench::watching(10);
    bench.at_deadline();
    let asked = bench.now;
    bench.head(20, 20);
    let before = bench.mirror.endpoint();
    let action = loop {
        match bench.at_deadline() {
            Action::ReadHead => assert_eq!(bench.head(30, 30), Action::Wait),
            other => break other,
        }
    };
    assert_eq!(action, Action::Disconnect);
    assert_eq!(
        bench.events,
        [Event::Lost {
            failure: Failure::Stalled,
            endpoint: before
        }]
    );
    assert_eq!(bench.now, asked + Duration::from_secs(3));
    assert_ne!(bench.mirror.endpoint(), before);
}

#[test]
fn a_dead_member_is_found() {
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    let asked = bench.now;
    assert_eq!(bench.at_deadline(), Action::Disconnect);
    assert_eq!(bench.now, asked + Duration::from_secs(3));
}

#[test]
fn pauses_are_random_bounded_and_reset() {
    let mut bench = Bench::watching(10);
    let mut pauses = Vec::new();
    bench.feed(Input::Failed(Failure::Unreachable));
    for _ in 0..50 {
        pauses.push(bench.mirror.deadline() - bench.now);
        assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
        bench.feed(Input::Failed(Failure::Unreachable));
    }
    assert!(pauses[0] <= Duration::from_millis(100));
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)));
    assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(2)));
    bench.at_deadline();
    bench.feed(Input::Connected);
    bench.feed(Input::Watching(HEADER));
    bench.head(10, 10);
    bench.feed(Input::Failed(Failure::Unreachable));
    assert!(bench.mirror.deadline() - bench.now <= Duration::from_millis(100));
}

#[test]
fn denied_and_unauthenticated_keep_the_copy() {
    for (failure, moves) in [(Failure::Denied, true), (Failure::Unauthenticated, false)] {
        let mut bench = Bench::watching(10);
        let before = bench.mirror.endpoint();
        assert_eq!(bench.feed(Input::Failed(failure)), Action::Disconnect);
        assert_eq!(
            bench.events,
            [Event::Lost {
                failure,
                endpoint: before
            }]
        );
        assert_eq!(bench.mirror.endpoint() != before, moves);
        bench.at_deadline();
        assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 11 });
    }
}

/// What etcd holds, with the history that a watch and a pinned list can still ask for.
struct Store {
    revision: i64,
    compacted: i64,
    cluster_id: u64,
    history: Vec<Change>,
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

    fn write(&mut self, random: &mut fastrand::Rng) -> usize {
        self.revision += 1;
        let keys: std::collections::BTreeSet<u8> =
            (0..random.usize(1..5)).map(|_| random.u8(..40)).collect();
        for key in &keys {
            let value = random
                .bool()
                .then(|| random.u32(..).to_string().into_bytes());
            self.history.push(Change {
                key: vec![b'k', *key],
                value,
                mod_revision: self.revision,
            });
        }
        self.history.push(Change {
            key: b"head".into(),
            value: Some(vec![]),
            mod_revision: self.revision,
        });
        keys.len() + 1
    }
}

/// Feeds a mirror from a store that misbehaves in every way etcd may, and compares what a receiver makes
/// of the events with what the store held at that revision, after every single one.
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
    };
    let mut now = Instant::now();
    let mut mirror = Mirror::new(now, Config::new(3, seed));
    let (mut staged, mut copy) = (BTreeMap::new(), BTreeMap::new());
    let mut pending = Action::Wait;
    // The next revision the watch has to deliver; none while there is no watch.
    let mut cursor: Option<i64> = None;
    let (mut written, mut checked, mut relists) = (0, 0, 0);
    // After a restore under the same cluster id nothing is written until the mirror has found out: once
    // the old revision is passed again, no client can tell the histories apart (the audit's job).
    let mut quiet = false;
    while written < events || mirror.applied() != Some(store.revision) {
        // Towards the end the store is quiet and well behaved, so that the mirror must converge.
        let rough = written < events;
        if rough && !quiet && random.f32() < 0.5 {
            written += store.write(&mut random);
        }
        if rough && random.f32() < 0.01 {
            store.compacted = random.i64(store.compacted..=store.revision);
        }
        if rough && random.f32() < 0.003 {
            // Restored from a backup: another cluster id, an older revision, then other writes.
            store.revision = random.i64(store.compacted.max(1)..=store.revision);
            store
                .history
                .retain(|change| change.mod_revision <= store.revision);
            match random.bool() {
                true => store.cluster_id += 1,
                false => quiet = store.revision < mirror.applied().unwrap_or(0),
            }
            // A restore ends all connections.
            cursor = None;
            pending = Action::Disconnect;
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
            if !matches!(action, Action::ReadHead) {
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
                Event::Fresh { .. } | Event::Lost { .. } => {}
            }
        }
    }
    assert_eq!(
        copy,
        store.content(store.revision),
        "seed {seed}, at the end"
    );
    assert!(
        checked > 500 && relists > 2,
        "seed {seed}: {checked} revisions, {relists} lists"
    );
}

/// What comes next from the store for what the mirror has asked for; none where only time passes.
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
        return Some(Input::Failed(
            [Failure::Unreachable, Failure::Unauthenticated][random.usize(..2)],
        ));
    }
    match std::mem::replace(pending, Action::Wait) {
        Action::Connect { .. } => Some(Input::Connected),
        Action::List {
            revision: Some(pinned),
            ..
        } if pinned < store.compacted => Some(Input::Failed(Failure::Compacted)),
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
        Action::Watch { from } if from <= store.compacted => {
            Some(Input::Failed(Failure::Compacted))
        }
        Action::Watch { from } => {
            *cursor = Some(from);
            Some(Input::Watching(store.header()))
        }
        Action::ReadHead => {
            let revision = store
                .history
                .iter()
                .rev()
                .find(|change| change.key == b"head")
                .map_or(0, |head| head.mod_revision);
            Some(Input::Head {
                sent: now,
                header: store.header(),
                revision,
            })
        }
        Action::Disconnect if cursor.is_none() && rough && random.f32() < 0.5 => {
            Some(Input::Failed(Failure::Unreachable))
        }
        Action::Disconnect | Action::Wait => deliver(store, random, cursor, rough),
    }
}

/// Some of what the watch has to deliver: one or several revisions, maybe again some already delivered,
/// maybe cut into fragments (the cut is remembered by delivering the rest at once).
fn deliver(
    store: &Store,
    random: &mut fastrand::Rng,
    cursor: &mut Option<i64>,
    rough: bool,
) -> Option<Input> {
    let from = (*cursor)?;
    if from > store.revision || (rough && random.f32() < 0.3) {
        return None;
    }
    let repeat = if rough && random.f32() < 0.05 {
        random.i64(0..3)
    } else {
        0
    };
    let to = random.i64(from..=store.revision.min(from + 4));
    let changes: Vec<Change> = store
        .history
        .iter()
        .filter(|change| (from - repeat..=to).contains(&change.mod_revision))
        .cloned()
        .collect();
    *cursor = Some(to + 1);
    Some(Input::Changes {
        header: store.header(),
        changes,
        fragment: false,
    })
}

#[test]
fn a_copy_from_a_file_is_resumed_from() {
    let resumed = || {
        let now = Instant::now();
        let from = Resume {
            cluster_id: HEADER.cluster_id,
            revision: 42,
        };
        let mut bench = Bench {
            mirror: Mirror::resume(now, Config::new(3, 1), from),
            now,
            events: Vec::new(),
        };
        assert_eq!(
            (bench.mirror.applied(), bench.mirror.last_fresh()),
            (Some(42), None)
        );
        assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
        assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 43 });
        bench
    };
    // The same history: what has happened since comes by itself.
    let mut bench = resumed();
    assert_eq!(bench.feed(Input::Watching(HEADER)), Action::ReadHead);
    bench.changes(&[put("a", 43)]);
    assert_eq!(bench.mirror.applied(), Some(43));

    // Compacted, another cluster, a store that has gone back: everything is listed.
    let lists = |action| {
        matches!(
            action,
            Action::List {
                after: None,
                revision: None
            }
        )
    };
    let mut bench = resumed();
    assert!(lists(bench.feed(Input::Failed(Failure::Compacted))));
    let mut bench = resumed();
    let other = Header {
        cluster_id: 8,
        ..HEADER
    };
    assert!(lists(bench.feed(Input::Watching(other))));
    let mut bench = resumed();
    bench.feed(Input::Watching(at(41)));
    assert!(lists(bench.head(41, 41)));
}

#[test]
fn a_copy_in_doubt_is_listed_anew() {
    let mut bench = Bench::watching(10);
    assert!(matches!(
        bench.feed(Input::Doubt),
        Action::List { after: None, .. }
    ));
    assert_eq!(bench.events, [Event::Listing]);
    // Once is enough.
    assert_eq!(bench.feed(Input::Doubt), Action::Wait);
    let mut bench = Bench::watching(10);
    bench.feed(Input::Failed(Failure::Unreachable));
    assert_eq!(bench.feed(Input::Doubt), Action::Wait);
    assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
    assert!(matches!(bench.feed(Input::Connected), Action::List { .. }));
}
