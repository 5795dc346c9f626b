//! Waits until front-ends serve a revision.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use etcd::client::{Store, StoreError};
use etcd::schema::FrontendStatus;
use tokio::time::timeout_at;

use super::ask::{Answer, NoAnswer, Registration, get_all, is_of_cluster};
use crate::error::Error;

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// For how long.
    pub(crate) limit: Duration,
    /// By how many front-ends at least.
    pub(crate) count: usize,
}

/// Why a front-end does not count as serving a revision.
#[derive(Debug)]
enum Lag {
    NoAnswer(NoAnswer),
    NotSynced,
    /// At this revision, which is an earlier one.
    Behind(i64),
    /// At this revision of another cluster.
    OtherCluster(i64),
    /// At this revision, but its copy differs from etcd.
    Doubted(i64),
    /// At this revision, which etcd has not reached: it comes from before etcd was restored.
    Ahead(i64),
    /// No longer registered, for whatever reason it lagged before.
    Left(Box<Lag>),
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lag::NoAnswer(error) => error.fmt(f),
            Lag::NotSynced => f.write_str("not synced yet"),
            Lag::Behind(applied) => write!(f, "at revision {applied}"),
            Lag::OtherCluster(applied) => write!(f, "at revision {applied} of another cluster"),
            Lag::Doubted(applied) => write!(
                f,
                "at revision {applied}, but its copy was found to differ from etcd, and is being listed again"
            ),
            Lag::Ahead(applied) => write!(f, "at revision {applied}, which etcd does not have"),
            Lag::Left(before) => write!(f, "not registered any more; before that: {before}"),
        }
    }
}

/// Why each front-end lags, by its id.
type Lagging = BTreeMap<String, Lag>;

/// Waits until every live front-end serves a revision: all that are registered, and all that were registered at any
/// time during the wait but have not served it since. Returns how many serve it.
pub(crate) async fn wait(store: &Store, revision: i64, awaited: Awaited) -> Result<usize, Error> {
    let Awaited { limit, count } = awaited;
    let end = Instant::now() + limit;
    // Front-ends may need all of the time to answer. Reading from etcd who is live takes a moment more.
    let latest = end + Duration::from_secs(1);
    let store = store.with_timeout(limit + Duration::from_secs(1));
    let mut lagging = Lagging::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let fleet = timeout_at(latest.into(), store.frontends()).await;
        let fleet = fleet.unwrap_or_else(|_| Err(late()));
        let fleet = fleet.map_err(|error| unknown(revision, &error))?;
        lagging = mark_left(lagging, &fleet.frontends);
        // Short steps, so that a front-end that dies is noticed, and one that registers is asked.
        let step = left.min(Duration::from_secs(1));
        let mut serving = BTreeMap::new();
        for (id, state) in ask_for(&fleet.frontends, revision, step).await {
            let state = state.map_err(Lag::NoAnswer);
            match state.and_then(|state| serves(&state, revision, fleet.cluster_id)) {
                Ok(applied) => {
                    lagging.remove(&id);
                    serving.insert(id, applied);
                }
                Err(lag) => drop(lagging.insert(id, lag)),
            }
        }
        // A later revision is either somebody else's write, or from before etcd was restored.
        if lagging.is_empty() && serving.values().any(|applied| *applied > revision) {
            let head = timeout_at(latest.into(), store.head()).await;
            let head = head.unwrap_or_else(|_| Err(late()));
            let head = head.map_err(|error| unknown(revision, &error))?;
            serving.retain(|id, applied| {
                let is_there = *applied <= head.store_revision;
                if !is_there {
                    lagging.insert(id.clone(), Lag::Ahead(*applied));
                }
                is_there
            });
        }
        if lagging.is_empty() && serving.len() >= count {
            return Ok(serving.len());
        }
        if Instant::now() >= end {
            return Err(not_served(revision, awaited, serving.len(), &lagging));
        }
        // A front-end that is behind answers at the end of the step, but one that fails answers at once: do not ask it
        // in a tight loop.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Marks those that are no longer registered.
fn mark_left(lagging: Lagging, registered: &[Registration]) -> Lagging {
    let mark = |(id, lag): (String, Lag)| {
        let is_registered = registered.iter().any(|(other, _)| *other == id);
        let lag = match lag {
            lag if is_registered => lag,
            Lag::Left(before) => Lag::Left(before),
            lag => Lag::Left(Box::new(lag)),
        };
        (id, lag)
    };
    lagging.into_iter().map(mark).collect()
}

/// Asks all registered front-ends for their status. Each answers once it serves the revision, or when the time is over.
async fn ask_for(
    registered: &[Registration],
    revision: i64,
    limit: Duration,
) -> Vec<Answer<FrontendStatus>> {
    let limit_ms = limit.as_millis();
    let path = format!("status?min_revision={revision}&timeout_ms={limit_ms}");
    get_all(registered, &path, limit).await
}

fn late() -> StoreError {
    StoreError::Unreachable("no answer in time".into())
}

fn unknown(revision: i64, error: &StoreError) -> Error {
    Error::Wait(format!(
        "revision {revision} is written, but who serves it is unknown: {error}"
    ))
}

fn not_served(revision: i64, awaited: Awaited, serving: usize, lagging: &Lagging) -> Error {
    let mut who: Vec<String> = lagging
        .iter()
        .map(|(id, lag)| format!("{id} ({lag})"))
        .collect();
    if lagging.is_empty() && serving == 0 {
        who.push("no front-end is registered".into());
    } else if serving < awaited.count && awaited.count > 1 {
        who.push(format!(
            "{serving} of the {} front-ends expected serve it",
            awaited.count
        ));
    }
    Error::Wait(format!(
        "revision {} is written, but not served everywhere after {}: {}",
        revision,
        seconds(awaited.limit),
        who.join(", ")
    ))
}

/// Returns the revision that a front-end serves, if that includes this one of this cluster.
fn serves(state: &FrontendStatus, revision: i64, cluster_id: u64) -> Result<i64, Lag> {
    let applied = state.applied.ok_or(Lag::NotSynced)?;
    if !is_of_cluster(state, cluster_id) {
        Err(Lag::OtherCluster(applied))
    } else if state.doubted {
        Err(Lag::Doubted(applied))
    } else if applied < revision {
        Err(Lag::Behind(applied))
    } else {
        Ok(applied)
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use etcd::schema::Frontend;

    use super::*;

    #[test]
    fn a_higher_revision_of_another_history_serves_nothing() {
        let state = |more: &str| -> FrontendStatus {
            let text = format!(
                r#"{{"ready":true,"applied":9,"zones":1,"rrsets":1,"quarantined":0,"endpoint":""{more}}}"#
            );
            serde_json::from_str(&text).expect("a state")
        };
        let told = |state: &FrontendStatus, revision, cluster_id| {
            serves(state, revision, cluster_id).map_err(|lag| lag.to_string())
        };
        let own = state(r#","cluster":"a1""#);
        assert_eq!(told(&own, 9, 0xa1), Ok(9));
        assert_eq!(told(&own, 5, 0xa1), Ok(9));
        assert_eq!(told(&own, 10, 0xa1), Err("at revision 9".into()));
        let other = told(&own, 5, 0xb2).expect_err("another cluster");
        assert!(other.contains("another cluster"), "{other}");
        // Our own changes are served even while deletions by others are held back.
        let held = state(r#","cluster":"a1","held":{"gone":2,"of":3}"#);
        assert_eq!(told(&held, 5, 0xa1), Ok(9));
        let doubted = told(&state(r#","cluster":"a1","doubted":true"#), 5, 0xa1);
        assert!(doubted.expect_err("it is doubted").contains("listed again"));
        assert_eq!(told(&state(""), 5, 0xa1), Ok(9), "an earlier release");
        let empty = FrontendStatus {
            applied: None,
            ..own
        };
        assert_eq!(told(&empty, 5, 0xa1), Err("not synced yet".into()));
    }

    #[test]
    fn a_front_end_that_leaves_is_marked_once() {
        let lagging = Lagging::from([("fe1".into(), Lag::Behind(3))]);
        let registration = Frontend {
            dns: Vec::new(),
            admin: None,
            version: String::new(),
        };
        let registered = [("fe1".to_string(), Ok(registration))];
        let lagging = mark_left(lagging, &registered);
        assert!(matches!(lagging["fe1"], Lag::Behind(3)));
        let lagging = mark_left(mark_left(lagging, &[]), &[]);
        let told = lagging["fe1"].to_string();
        assert_eq!(told, "not registered any more; before that: at revision 3");
    }
}
