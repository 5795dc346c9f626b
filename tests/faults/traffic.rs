//! The load of a cell: queries to every front-end and writers, all recorded, and what the records come to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::Frontend;
use tests::clients::{Queries, Recorded, Writers, last, was_down};
use tests::history::{Outcome, Promise, Reply, Rule};

use crate::site::Site;

/// Queries a second to each front-end.
const RATE: u32 = 100;

/// Between two writes of one writer, on average.
const PAUSE: Duration = Duration::from_millis(200);

/// What one of the zones allows.
const BOUND: Duration = Duration::from_secs(4);

/// RRsets of each zone.
const RRSETS: usize = 8;

/// How many writes of each writer there are before the fault, and when it is healed.
const EACH: usize = 2;
const HEALED: Duration = Duration::from_secs(60);

pub(crate) struct Traffic {
    zones: Vec<Arc<Recorded>>,
    queries: Vec<Queries>,
    writers: Writers,
}

/// What the records come to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) queries: usize,
    /// Answers of the zone that gave the fewest.
    pub(crate) least_answered: usize,
    /// SERVFAIL, from zones that allow it rather than an answer that may be old.
    pub(crate) unproved: usize,
    pub(crate) unanswered: usize,
    pub(crate) wrong: usize,
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    /// Violations, with the operations that show them.
    pub(crate) violations: Vec<String>,
}

impl Traffic {
    /// Zones of its own for the cell: one that is always answered, one that is never old, and one that is current.
    pub(crate) async fn start(site: &Site, cell: usize) -> Self {
        let mut zones = Vec::new();
        for (apex, promise) in [
            ("available", Promise::Available),
            ("bounded", Promise::Bounded(BOUND)),
            ("linearizable", Promise::Linearizable),
        ] {
            let apex = format!("{apex}{cell}.test");
            zones.push(Arc::new(
                Recorded::add(&site.nsctl, &apex, promise, RRSETS).await,
            ));
        }
        // A zone that a front-end has not heard of yet is refused.
        let revision = site
            .store()
            .head()
            .await
            .expect("a healthy cluster")
            .revision;
        site.applied(revision).await;
        let mut queries = Vec::new();
        for frontend in &site.frontends {
            queries.push(Queries::start(frontend, RATE, &zones).await);
        }
        let writers = Writers::start_as(
            site.user,
            site.cluster.endpoints(),
            &zones,
            PAUSE,
            cell as u64,
        );
        let writers = writers.await;
        writers.more(EACH, HEALED).await;
        Traffic {
            zones,
            queries,
            writers,
        }
    }

    /// A front-end did not have to answer from then until now.
    pub(crate) fn was_down(&self, frontend: &str, start: Instant) {
        was_down(&self.zones, frontend, start);
    }

    /// Ends it when all is healed, and checks it.
    pub(crate) async fn stop(self, site: &Site) -> Tally {
        self.writers.more(EACH, HEALED).await;
        self.writers.stop().await;
        let revision = site
            .store()
            .head()
            .await
            .expect("a healthy cluster")
            .revision;
        site.applied(revision).await;
        for queries in self.queries {
            queries.stop().await;
        }
        let frontends: Vec<&Frontend> = site.frontends.iter().collect();
        last(&site.nsctl, &frontends, &self.zones).await;
        let mut tally = Tally {
            least_answered: usize::MAX,
            ..Tally::default()
        };
        self.zones.iter().for_each(|zone| tally.add(zone));
        tally
    }
}

impl Tally {
    fn add(&mut self, zone: &Recorded) {
        println!("{}", zone.summary());
        let history = zone.history();
        self.queries += history.queries().len();
        let replies = history.queries().iter().map(|query| &query.reply);
        let says = |reply: &&Reply| matches!(reply, Reply::Value(_) | Reply::Absent | Reply::Soa);
        self.least_answered = self.least_answered.min(replies.filter(says).count());
        if zone.promise != Promise::Available {
            let replies = history.queries().iter().map(|query| &query.reply);
            self.unproved += replies.filter(|reply| **reply == Reply::ServFail).count();
        }
        let acknowledged = |outcome| matches!(outcome, Outcome::Acknowledged(_));
        let writes = history.writes().iter();
        self.acknowledged += writes.filter(|write| acknowledged(write.outcome)).count();
        let violations = history.check(&zone.promise).err().unwrap_or_default();
        let mut counted = Vec::new();
        for violation in violations {
            self.violations.push(format!("{}: {violation}", zone.apex));
            // Each of the few that are told has the count of all.
            if counted.contains(&violation.rule) {
                continue;
            }
            counted.push(violation.rule);
            let count = match violation.rule {
                Rule::Unanswered | Rule::Unavailable => &mut self.unanswered,
                Rule::Lost => &mut self.lost,
                _ => &mut self.wrong,
            };
            *count += violation.count;
        }
    }
}
