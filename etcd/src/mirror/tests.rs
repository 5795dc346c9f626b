//! One test for each guarantee of etcd, by its name, and for each fault.

mod random;

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

fn put(key: &str, revision: i64) -> KeyChange {
    KeyChange {
        key: key.into(),
        value: Some(format!("{key}@{revision}").into()),
        mod_revision: revision,
    }
}

fn delete(key: &str, revision: i64) -> KeyChange {
    KeyChange {
        value: None,
        ..put(key, revision)
    }
}

fn item(key: &str, revision: i64) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: vec![],
        mod_revision: revision,
    }
}

fn failed(failure: Failure) -> Input {
    let error = String::from("it broke");
    Input::Failed { failure, error }
}

/// The keys that begin with `l/`.
fn leased() -> std::ops::Range<Vec<u8>> {
    b"l/".into()..b"l0".into()
}

/// A mirror with a clock that the test controls.
struct Bench {
    mirror: Mirror,
    now: Instant,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Bench {
            mirror: Mirror::new(now, Pace::new(3, 1)).counting(leased()),
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

    fn changes(&mut self, changes: &[KeyChange]) -> Action {
        self.feed(Input::Changes {
            header: HEADER,
            changes: changes.to_vec(),
            fragment: false,
        })
    }

    fn head(&mut self, store: i64, revision: i64) -> Action {
        self.head_and_leased(store, revision, 0)
    }

    fn head_and_leased(&mut self, store: i64, revision: i64, leased: usize) -> Action {
        let sent = self.now;
        self.feed(Input::Head {
            sent,
            header: at(store),
            newest: Newest {
                head: revision,
                store,
                leased,
            },
        })
    }

    /// A mirror that has listed nothing at `revision`, and whose watch has just been proved fresh.
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
        let check = Action::CheckHistory { revision };
        assert_eq!(bench.head(revision, revision), check);
        assert_eq!(bench.feed(Input::HistoryChecked), Action::Wait);
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
    // Later pages carry the current revision of the store. The pinned one counts.
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
fn a_page_that_does_not_get_further_does_not_end_a_list() {
    let page = |keys: &[&str]| Input::Page {
        header: at(50),
        items: keys.iter().map(|key| item(key, 3)).collect(),
        more: true,
    };
    // An empty page, and the same page again.
    for pages in [
        [&[][..], &["a"]],
        [&["a", "b"], &[]],
        [&["a", "b"], &["a", "b"]],
    ] {
        let mut bench = Bench::new();
        bench.at_deadline();
        bench.feed(Input::Connected);
        let before = bench.mirror.endpoint();
        let action = match bench.feed(page(pages[0])) {
            Action::List { .. } => bench.feed(page(pages[1])),
            other => other,
        };
        assert_eq!(action, Action::Disconnect, "{pages:?}");
        let lost = Event::Lost {
            failure: Failure::Unreachable,
            cause: Cause::StuckList,
            endpoint: before,
        };
        assert_eq!(bench.events, [lost]);
        assert_eq!(bench.mirror.applied(), None);
        // It tries another member, from the beginning of the list.
        assert_ne!(bench.mirror.endpoint(), before);
        bench.at_deadline();
        let (after, revision) = (None, None);
        assert_eq!(
            bench.feed(Input::Connected),
            Action::List { after, revision }
        );
    }
}

#[test]
fn ordered() {
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 11), put("a", 12), put("b", 14)]);
    assert_eq!(bench.revisions(), [(11, 1), (12, 1), (14, 1)]);
    // Revisions never decrease within a response. If they do, everything is listed again.
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
    bench.feed(failed(Failure::Unreachable));
    bench.at_deadline();
    assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 11 });
    bench.feed(Input::Watching(HEADER));
    bench.changes(&[put("a", 11), put("b", 11)]);
    assert_eq!(bench.revisions(), [(11, 2)]);
}

#[test]
fn reliable() {
    // The watch begins at R + 1, so it reports what was written between the list and the watch, and while the
    // connection was lost.
    let mut bench = Bench::watching(10);
    bench.changes(&[put("a", 15)]);
    assert_eq!(bench.feed(failed(Failure::Unreachable)), Action::Disconnect);
    assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
    assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 16 });
}

#[test]
fn resumable_until_compacted() {
    let mut bench = Bench::watching(10);
    assert_eq!(
        bench.feed(failed(Failure::Compacted)),
        Action::List {
            after: None,
            revision: None
        }
    );
    assert_eq!(bench.events[1], Event::Listing);
    // No key was reported deleted: the old copy is served until the list is complete.
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
    bench.feed(failed(Failure::Compacted));
    bench.feed(Input::Page {
        header: at(90),
        items: vec![item("a", 80)],
        more: true,
    });
    assert_eq!(bench.feed(failed(Failure::Compacted)), Action::Disconnect);
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
    // A response without changes does not move the applied revision.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.feed(Input::Watching(at(500))), Action::Wait);
    assert_eq!(bench.changes(&[]), Action::Wait);
    assert_eq!((bench.events.len(), bench.mirror.applied()), (0, Some(10)));
    bench.changes(&[put("a", 12)]);
    assert_eq!(bench.revisions(), [(12, 1)]);
}

#[test]
fn a_watch_that_a_proxy_has_merged_is_of_no_other_cluster() {
    let mut bench = Bench::new();
    bench.at_deadline();
    bench.feed(Input::Connected);
    bench.feed(Input::Page {
        header: at(50),
        items: vec![],
        more: false,
    });
    // etcd grpc-proxy sends this if it already has such a watch.
    let created = Input::Watching(Header::default());
    assert_eq!(bench.feed(created), Action::ReadHead);
    assert_eq!(bench.mirror.cluster_id(), Some(HEADER.cluster_id));
    assert_eq!(bench.mirror.member_id(), Some(HEADER.member_id));
    assert!(!bench.mirror.is_doubted());
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
        // The same if the connection is lost during the list: the old history is gone.
        bench.feed(failed(Failure::Unreachable));
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
        newest: Newest {
            head: 10,
            store: 10,
            leased: 0,
        },
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

/// A mirror that has applied two leased keys, and waits for the answer to a read of the head.
fn with_two_leased() -> Bench {
    let mut bench = Bench::watching(10);
    bench.changes(&[
        put("l/1", 11),
        put("l/2", 11),
        put("l", 11),
        put("head", 11),
    ]);
    assert_eq!(bench.mirror.leased(), 2);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    bench
}

#[test]
fn freshness_waits_for_expiries() {
    // One of the keys has expired at 12, and the head does not tell.
    let mut bench = with_two_leased();
    let sent = bench.now;
    assert_eq!(bench.head_and_leased(13, 11, 1), Action::Wait);
    assert_eq!(bench.events, []);
    bench.now += Duration::from_millis(10);
    bench.changes(&[delete("l/1", 12)]);
    assert_eq!(bench.events.last(), Some(&Event::Fresh { at: sent }));
    // What was written after the read includes the expiry, whatever the number of keys is then.
    let mut bench = with_two_leased();
    let sent = bench.now;
    bench.head_and_leased(13, 11, 1);
    bench.changes(&[delete("l/1", 12), put("l/3", 14), put("head", 14)]);
    assert_eq!(bench.events.last(), Some(&Event::Fresh { at: sent }));
    // Nothing has expired.
    let mut bench = with_two_leased();
    bench.head_and_leased(13, 11, 2);
    assert_eq!(bench.events, [Event::Fresh { at: bench.now }]);
}

#[test]
fn expiries_that_do_not_come_over_two_watches_make_it_list_again() {
    let mut bench = with_two_leased();
    for is_second in [false, true] {
        bench.head_and_leased(13, 11, 1);
        // Until the proof is overdue.
        while !matches!(bench.events[..], [Event::Lost { .. }]) {
            match bench.at_deadline() {
                Action::ReadHead => drop(bench.head_and_leased(13, 11, 1)),
                Action::Wait | Action::Disconnect => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
        let next = bench.feed(Input::Connected);
        if is_second {
            assert!(matches!(next, Action::List { .. }), "{next:?}");
            break;
        }
        assert_eq!(next, Action::Watch { from: 12 });
        assert_eq!(bench.feed(Input::Watching(at(13))), Action::ReadHead);
    }
    let page = Input::Page {
        header: at(13),
        items: vec![item("l/2", 11), item("l", 11)],
        more: false,
    };
    assert_eq!(bench.feed(page), Action::Watch { from: 14 });
    assert_eq!(bench.mirror.leased(), 1);
    bench.feed(Input::Watching(at(13)));
    bench.head_and_leased(14, 11, 1);
    bench.feed(Input::HistoryChecked);
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
    // The member answers reads, but its watch has stalled.
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
            cause: Cause::NoProof,
            endpoint: before
        }]
    );
    assert_eq!(bench.now, asked + Duration::from_secs(3));
    assert_ne!(bench.mirror.endpoint(), before);
}

#[test]
fn a_response_in_parts_may_take_its_time() {
    let part = |key: &str, fragment| Input::Changes {
        header: HEADER,
        changes: vec![put(key, 20)],
        fragment,
    };
    let second = Duration::from_secs(1);
    // Each fragment arrives within the timeout of a page; all of them together take much longer than a proof may.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    bench.head(20, 20);
    for _ in 0..5 {
        assert_eq!(bench.feed(part("a", true)), Action::Wait);
        for _ in 0..8 {
            bench.now += second;
            if bench.feed(Input::Tick) == Action::ReadHead {
                bench.head(30, 30);
            }
            assert_eq!(bench.events, []);
        }
    }
    assert_eq!(bench.feed(part("z", false)), Action::Wait);
    assert_eq!(bench.revisions(), [(20, 6)]);
    assert!(matches!(bench.events.last(), Some(Event::Fresh { .. })));

    // On a slow line the fragments may delay the read, too.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    for _ in 0..5 {
        bench.now += 2 * second;
        bench.feed(part("a", true));
        assert_eq!(
            (bench.feed(Input::Tick), bench.events.len()),
            (Action::Wait, 0)
        );
    }
    bench.feed(part("z", false));
    assert_eq!(bench.revisions(), [(20, 6)]);

    // If no more fragments arrive, the mirror leaves the member.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    bench.head(20, 20);
    bench.now += 2 * second;
    bench.feed(part("a", true));
    let last = bench.now;
    let action = loop {
        match bench.at_deadline() {
            Action::ReadHead => assert_eq!(bench.head(30, 30), Action::Wait),
            other => break other,
        }
    };
    assert_eq!(
        (action, bench.now),
        (Action::Disconnect, last + 10 * second)
    );
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
    bench.feed(failed(Failure::Unreachable));
    for _ in 0..50 {
        pauses.push(bench.mirror.deadline() - bench.now);
        assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
        bench.feed(failed(Failure::Unreachable));
    }
    assert!(pauses[0] <= Duration::from_millis(100));
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)));
    assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(2)));
    assert!(
        pauses[10..]
            .iter()
            .any(|pause| *pause < Duration::from_secs(2)),
        "the whole pause each time: a fleet would come back in step"
    );
    bench.at_deadline();
    bench.feed(Input::Connected);
    bench.feed(Input::Watching(at(10)));
    bench.head(10, 10);
    bench.feed(Input::HistoryChecked);
    bench.feed(failed(Failure::Unreachable));
    assert!(bench.mirror.deadline() - bench.now <= Duration::from_millis(100));
}

#[test]
fn a_watch_that_starts_in_the_past_proves_nothing_until_its_history_is_checked() {
    let reopened = || {
        let mut bench = Bench::watching(10);
        bench.feed(failed(Failure::Unreachable));
        bench.at_deadline();
        assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 11 });
        assert_eq!(bench.feed(Input::Watching(at(12))), Action::ReadHead);
        assert_eq!(bench.head(12, 12), Action::Wait);
        let check = Action::CheckHistory { revision: 10 };
        assert_eq!(bench.changes(&[put("a", 12)]), check);
        assert_eq!(bench.revisions(), [(12, 1)]);
        assert_eq!(bench.changes(&[put("a", 13)]), Action::Wait);
        let is_proof = |event: &Event| matches!(event, Event::Fresh { .. });
        assert!(!bench.events.iter().any(is_proof));
        bench
    };
    let mut bench = reopened();
    assert_eq!(bench.feed(Input::HistoryChecked), Action::Wait);
    assert!(matches!(bench.events[..], [Event::Fresh { .. }]));

    let mut bench = reopened();
    let compacted = bench.feed(failed(Failure::Compacted));
    assert!(matches!(compacted, Action::List { after: None, .. }));

    // Without an answer the connection is dead.
    let mut bench = reopened();
    assert_eq!(bench.at_deadline(), Action::Disconnect);
}

#[test]
fn denied_and_unauthenticated_keep_the_copy() {
    for (failure, moves) in [(Failure::Denied, true), (Failure::Unauthenticated, false)] {
        let mut bench = Bench::watching(10);
        let before = bench.mirror.endpoint();
        assert_eq!(bench.feed(failed(failure)), Action::Disconnect);
        assert_eq!(
            bench.events,
            [Event::Lost {
                failure,
                cause: Cause::Error("it broke".into()),
                endpoint: before
            }]
        );
        assert_eq!(bench.mirror.endpoint() != before, moves);
        bench.at_deadline();
        assert_eq!(bench.feed(Input::Connected), Action::Watch { from: 11 });
    }
}

#[test]
fn a_member_that_takes_no_token_is_left() {
    let mut bench = Bench::watching(10);
    let before = bench.mirror.endpoint();
    bench.feed(failed(Failure::Unauthenticated));
    bench.at_deadline();
    bench.feed(failed(Failure::Unauthenticated));
    let next = bench.mirror.endpoint();
    assert_ne!(next, before);
    // Success in between resets the count.
    bench.at_deadline();
    bench.feed(Input::Connected);
    bench.feed(Input::Watching(at(10)));
    bench.head(10, 10);
    bench.feed(Input::HistoryChecked);
    bench.feed(failed(Failure::Unauthenticated));
    assert_eq!(bench.mirror.endpoint(), next);
}

#[test]
fn no_step_is_waited_for_for_ever() {
    let connecting = || {
        let mut bench = Bench::new();
        bench.at_deadline();
        bench
    };
    let listing = || {
        let mut bench = connecting();
        bench.feed(Input::Connected);
        bench
    };
    let opening = || {
        let mut bench = listing();
        bench.feed(Input::Page {
            header: at(10),
            items: vec![],
            more: false,
        });
        bench
    };
    for mut bench in [connecting(), listing(), opening()] {
        let (begun, before) = (bench.now, bench.mirror.endpoint());
        assert_eq!(bench.at_deadline(), Action::Disconnect);
        assert!(bench.now - begun <= Duration::from_secs(10));
        let failure = Failure::Unreachable;
        assert_eq!(
            bench.events,
            [Event::Lost {
                failure,
                cause: Cause::NoAnswer,
                endpoint: before
            }]
        );
        assert_ne!(bench.mirror.endpoint(), before);
    }
}

#[test]
fn another_cluster_is_not_taken_from_an_address_that_was_found() {
    let mut bench = Bench::watching(10);
    bench.mirror.set_found(1);
    while bench.mirror.endpoint() != 3 {
        bench.feed(failed(Failure::Unreachable));
        bench.at_deadline();
    }
    bench.feed(Input::Connected);
    let other = Header {
        cluster_id: 8,
        ..at(50)
    };
    let page = Input::Page {
        header: other,
        items: vec![],
        more: false,
    };
    assert!(matches!(
        bench.feed(Input::Watching(other)),
        Action::List { .. }
    ));
    assert_eq!(bench.feed(page), Action::Disconnect);
    assert_eq!(
        (bench.mirror.applied(), bench.mirror.endpoint()),
        (Some(10), 0)
    );
    assert_eq!(bench.mirror.cluster_id(), Some(HEADER.cluster_id));
}

#[test]
fn a_list_of_two_clusters_starts_over() {
    let mut bench = Bench::new();
    bench.at_deadline();
    bench.feed(Input::Connected);
    bench.feed(Input::Page {
        header: at(50),
        items: vec![item("a", 3)],
        more: true,
    });
    let other = Header {
        cluster_id: 8,
        ..at(50)
    };
    let action = bench.feed(Input::Page {
        header: other,
        items: vec![item("b", 4)],
        more: false,
    });
    let (after, revision) = (None, None);
    assert_eq!(action, Action::List { after, revision });
    assert_eq!(bench.events, [Event::Listing], "nothing of it is passed on");
}

#[test]
fn a_copy_from_a_file_is_resumed_from() {
    let resumed = |unchecked| {
        let now = Instant::now();
        let from = Resume {
            cluster_id: HEADER.cluster_id,
            revision: 42,
            leased: HashSet::new(),
            unchecked,
        };
        let mut bench = Bench {
            mirror: Mirror::resume(now, Pace::new(3, 1), from),
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
    // The same history: the watch reports what has happened since.
    let mut bench = resumed(None);
    assert_eq!(bench.feed(Input::Watching(HEADER)), Action::ReadHead);
    bench.changes(&[put("a", 43)]);
    assert_eq!(bench.mirror.applied(), Some(43));

    // What was not checked then is checked now.
    let mut bench = resumed(Some(40));
    assert_eq!(bench.mirror.unchecked(), Some(40));
    bench.feed(Input::Watching(HEADER));
    assert_eq!(bench.head(42, 42), Action::CheckHistory { revision: 40 });

    // If etcd has compacted the revision, is another cluster, or has gone back in time, everything is listed.
    let lists = |action| {
        matches!(
            action,
            Action::List {
                after: None,
                revision: None
            }
        )
    };
    let mut bench = resumed(None);
    assert!(lists(bench.feed(failed(Failure::Compacted))));
    let mut bench = resumed(None);
    let other = Header {
        cluster_id: 8,
        ..HEADER
    };
    assert!(lists(bench.feed(Input::Watching(other))));
    let mut bench = resumed(None);
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
    // One list is enough.
    assert_eq!(bench.feed(Input::Doubt), Action::Wait);
    let mut bench = Bench::watching(10);
    bench.feed(failed(Failure::Unreachable));
    assert_eq!(bench.feed(Input::Doubt), Action::Wait);
    assert!(matches!(bench.at_deadline(), Action::Connect { .. }));
    assert!(matches!(bench.feed(Input::Connected), Action::List { .. }));
}

#[test]
fn a_copy_is_doubted_until_it_is_listed_again() {
    let other = Header {
        cluster_id: 8,
        ..HEADER
    };
    let unordered = Input::Changes {
        header: HEADER,
        changes: vec![put("b", 13), put("a", 12)],
        fragment: false,
    };
    let of_another = Input::Changes {
        header: other,
        changes: vec![put("a", 11)],
        fragment: false,
    };
    for fault in [Input::Doubt, unordered, of_another] {
        let mut bench = Bench::watching(10);
        assert!(!bench.mirror.is_doubted() && bench.mirror.last_fresh().is_some());
        assert!(matches!(bench.feed(fault.clone()), Action::List { .. }));
        assert!(bench.mirror.is_doubted(), "{fault:?}");
        // The doubt withdraws the last proof.
        assert_eq!(bench.mirror.last_fresh(), None, "{fault:?}");
        // A lost connection does not end the doubt.
        bench.feed(failed(Failure::Unreachable));
        bench.at_deadline();
        assert!(matches!(bench.feed(Input::Connected), Action::List { .. }));
        assert!(bench.mirror.is_doubted(), "{fault:?}");
        bench.feed(Input::Page {
            header: at(20),
            items: vec![],
            more: false,
        });
        assert!(!bench.mirror.is_doubted(), "{fault:?}");
        assert_eq!(bench.mirror.last_fresh(), None, "{fault:?}");
        bench.feed(Input::Watching(at(20)));
        bench.head(20, 20);
        bench.feed(Input::HistoryChecked);
        assert_eq!(bench.mirror.last_fresh(), Some(bench.now), "{fault:?}");
    }
    // The same if there is no connection.
    let mut bench = Bench::watching(10);
    bench.feed(failed(Failure::Unreachable));
    assert!(bench.mirror.last_fresh().is_some());
    bench.feed(Input::Doubt);
    assert_eq!(
        (bench.mirror.is_doubted(), bench.mirror.last_fresh()),
        (true, None)
    );
    // The store has gone back in time.
    let mut bench = Bench::watching(10);
    assert_eq!(bench.at_deadline(), Action::ReadHead);
    assert!(matches!(bench.head(9, 9), Action::List { .. }));
    assert!(bench.mirror.is_doubted());
    // A copy that is only behind is not in doubt.
    let mut bench = Bench::watching(10);
    bench.feed(failed(Failure::Compacted));
    assert_eq!(bench.events.last(), Some(&Event::Listing));
    assert!(!bench.mirror.is_doubted() && bench.mirror.last_fresh().is_some());
}
