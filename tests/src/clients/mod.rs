//! Clients that record what they see: queries to front-ends, writers, and the zones that both work on.
//!
//! Every RRset is a TXT record of one string, which is the value. A test starts [`Queries`] for each front-end and
//! [`Writers`], makes its faults, heals them, stops the writers, waits until the front-ends have caught up, calls
//! [`last`], and checks each zone with [`Recorded::check`].

mod queries;
mod writers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

pub use queries::{Queries, last};
pub use writers::{EACH, Writers};

use crate::Nsctl;
use crate::history::{History, Outcome, Promise, Reply, Span};

/// The TTL of all records.
const TTL: u32 = 300;

/// A zone whose operations are recorded.
#[derive(Debug)]
pub struct Recorded {
    /// Its name, without a final dot.
    pub apex: String,
    /// What it promises.
    pub promise: Promise,
    /// The names of its RRsets, as in `r0.example.org`.
    pub owners: Vec<String>,
    history: Mutex<History>,
}

impl Recorded {
    /// Adds a zone of so many RRsets, which all start out absent.
    pub async fn add(nsctl: &Nsctl, apex: &str, promise: Promise, rrsets: usize) -> Self {
        let consistency = match promise {
            Promise::Available => "available".into(),
            Promise::Bounded(limit) => format!("bounded:{}s", limit.as_secs()),
            Promise::Linearizable => "linearizable".into(),
        };
        let add = format!(
            "zone add {apex} --ns ns1.example.org --consistency {consistency} --journal-entries 1000000"
        );
        nsctl.write(&add).await;
        Recorded {
            apex: apex.into(),
            promise,
            owners: (0..rrsets)
                .map(|index| format!("r{index}.{apex}"))
                .collect(),
            history: Mutex::new(History::new(Instant::now())),
        }
    }

    /// What was recorded so far.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic with it held")
    }

    /// Panics with the violations, if there are any.
    pub fn check(&self) {
        if let Err(violations) = self.history().check(&self.promise) {
            let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
            panic!(
                "{} is not {:?}:\n{}",
                self.apex,
                self.promise,
                told.join("\n")
            );
        }
    }

    /// How many writes with a value each writer has had acknowledged.
    pub fn acknowledged(&self) -> BTreeMap<String, usize> {
        let mut writers = BTreeMap::new();
        for write in self.history().writes() {
            if let (Outcome::Acknowledged(_), Some(value)) = (write.outcome, &write.value) {
                let writer = value.split('-').next().unwrap_or_default();
                *writers.entry(writer.into()).or_default() += 1;
            }
        }
        writers
    }

    /// How many operations of which outcome there are, in one line.
    pub fn summary(&self) -> String {
        let history = self.history();
        let writes = |wanted: fn(Outcome) -> bool| {
            let writes = history.writes().iter();
            writes.filter(|write| wanted(write.outcome)).count()
        };
        let queries = |wanted: fn(&Reply) -> bool| {
            let queries = history.queries().iter();
            queries.filter(|query| wanted(&query.reply)).count()
        };
        format!(
            "{}: writes: {} acknowledged, {} unknown, {} refused; queries: {} answered, {} SERVFAIL, {} unanswered, {} wrong",
            self.apex,
            writes(|outcome| matches!(outcome, Outcome::Acknowledged(_))),
            writes(|outcome| outcome == Outcome::Unknown),
            writes(|outcome| outcome == Outcome::Refused),
            queries(|reply| matches!(reply, Reply::Value(_) | Reply::Absent | Reply::Soa)),
            queries(|reply| *reply == Reply::ServFail),
            queries(|reply| *reply == Reply::Unanswered),
            queries(|reply| matches!(reply, Reply::Wrong(_))),
        )
    }
}

/// Notes in all zones that a front-end was killed or frozen from `start` until now.
pub fn was_down(zones: &[Arc<Recorded>], frontend: &str, start: Instant) {
    let end = Instant::now();
    for zone in zones {
        zone.history().down(frontend, Span { start, end });
    }
}

/// Notes in all zones that a front-end had nothing to answer from, from `start` until now.
pub fn was_unsynced(zones: &[Arc<Recorded>], frontend: &str, start: Instant) {
    let end = Instant::now();
    for zone in zones {
        zone.history().unsynced(frontend, Span { start, end });
    }
}
