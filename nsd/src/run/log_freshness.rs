//! Logs when answers begin, when they become stale, and when they are fresh again.

use std::time::{Duration, Instant};

use etcd::schema::Prefix;
use tokio::sync::watch;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::served::Standing;

/// Data from a snapshot are stale until etcd confirms them. If that takes longer than this, it is logged.
const FIRST_PROOF: Duration = Duration::from_secs(5);

/// How fresh answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is nothing to answer from.
    NotReady,
    /// Everything was listed, there is no zone, and one is expected.
    Empty,
    /// They are fresh, until this moment if there is a limit; or it is too early to log that they are not.
    Fresh(Option<Instant>),
    /// They are stale, and say so.
    Stale,
}

impl State {
    /// `stale_after` is the age at which answers become stale.
    fn at(
        now: Instant,
        started: Instant,
        stale_after: Option<Duration>,
        standing: &Standing,
    ) -> Self {
        let stale_at = stale_after.map(|limit| match standing.last_fresh {
            Some(proved) => proved + limit,
            None => started + FIRST_PROOF,
        });
        match stale_at {
            _ if standing.applied.is_none() => State::NotReady,
            _ if !standing.ready => State::Empty,
            Some(at) if at <= now => State::Stale,
            until => State::Fresh(until),
        }
    }
}

/// Runs until `stop` is cancelled.
pub(crate) async fn run(
    mut standing: watch::Receiver<Standing>,
    stale_after: Option<Duration>,
    prefix: Prefix,
    stop: CancellationToken,
) {
    let started = Instant::now();
    let mut before = State::NotReady;
    loop {
        let now = standing.borrow_and_update().clone();
        let state = State::at(Instant::now(), started, stale_after, &now);
        announce(before, state, &now, &prefix);
        before = state;
        let news = async {
            match state {
                // Either the time is up, or the standing changes.
                State::Fresh(Some(until)) => {
                    drop(timeout_at(until.into(), standing.changed()).await);
                }
                _ => drop(standing.changed().await),
            }
        };
        if stop.run_until_cancelled(news).await.is_none() {
            return;
        }
    }
}

/// Logs the difference between two states.
fn announce(before: State, state: State, standing: &Standing, prefix: &Prefix) {
    if state == State::Empty && before != State::Empty {
        warn!(
            %prefix,
            "etcd has no zone under this prefix: all queries get REFUSED, and /readyz returns 503. If there should be zones, \
             check --prefix; otherwise add one with nsctl zone add"
        );
    }
    let had_nothing = matches!(before, State::NotReady | State::Empty);
    if had_nothing && matches!(state, State::Fresh(_) | State::Stale) {
        let (zones, rrsets) = (standing.zones, standing.rrsets);
        info!(zones, rrsets, "serving");
    }
    if state == State::Stale && before != State::Stale {
        let seconds = standing.age().map(|age| age.as_secs());
        let reason = standing.trouble.as_deref().unwrap_or_default();
        warn!(
            proved_seconds_ago = seconds,
            reason, "answers are stale: etcd does not confirm the data"
        );
    }
    if before == State::Stale && matches!(state, State::Fresh(_)) {
        info!("answers are no longer stale");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_stale_from_an_age_on() {
        let started = Instant::now();
        let after = |seconds| started + Duration::from_secs(seconds);
        let limit = Some(Duration::from_secs(30));
        let mut standing = Standing {
            last_fresh: Some(after(100)),
            ..Standing::default()
        };
        let state = |now, limit, standing: &Standing| State::at(now, started, limit, standing);
        assert_eq!(state(after(200), limit, &standing), State::NotReady);
        standing.applied = Some(8);
        assert_eq!(state(after(200), limit, &standing), State::Empty);
        standing.ready = true;
        let fresh = State::Fresh(Some(after(130)));
        assert_eq!(state(after(129), limit, &standing), fresh);
        assert_eq!(state(after(130), limit, &standing), State::Stale);
        assert_eq!(state(after(200), None, &standing), State::Fresh(None));
        // From a snapshot, without etcd.
        standing.last_fresh = None;
        assert_ne!(state(after(4), limit, &standing), State::Stale);
        assert_eq!(state(after(5), limit, &standing), State::Stale);
    }
}
