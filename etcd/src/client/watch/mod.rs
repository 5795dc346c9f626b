//! The driver of the mirror: does what the state machine asks for, and tells it what came of it.

mod driver;
mod requests;
mod trouble;

use std::future::Future;
use std::time::Instant;

use driver::Driver;
use tokio::sync::Notify;
use trouble::Trouble;

use crate::client::connect::Config;
use crate::mirror::{self, Event, Input, Mirror, Resume};
use crate::schema::Prefix;

/// The state of the mirror, passed along with its events.
#[derive(Clone, Debug)]
pub struct Status {
    /// The last revision applied; none before the first list is complete.
    pub applied: Option<i64>,
    /// The moment as of which the copy was last proved complete.
    pub last_fresh: Option<Instant>,
    /// The URL of the endpoint in use.
    pub endpoint: String,
    /// The cluster that the copy is of, once one has answered.
    pub cluster_id: Option<u64>,
    /// The member there, once it has answered.
    pub member_id: Option<u64>,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether the copy may be wrong, until all of it is listed again.
    pub doubted: bool,
    /// The last failure, cleared by the next proof of freshness.
    pub trouble: Option<String>,
}

/// Mirrors everything under the prefix, for ever. It starts from `resume`, a copy that is there already, if one is given.
///
/// `sink` is called after each step with its events and the status after it. Notifying `doubt` has everything listed
/// again.
pub async fn watch(
    config: Config,
    prefix: Prefix,
    pace: mirror::Config,
    resume: Option<Resume>,
    doubt: &Notify,
    mut sink: impl FnMut(Vec<Event>, &Status),
) {
    let mut driver = Driver::new(config, &prefix);
    let mut mirror = match resume {
        Some(resume) => Mirror::resume(Instant::now(), pace, resume),
        None => Mirror::new(Instant::now(), pace),
    };
    let mut trouble = Trouble::default();
    loop {
        let result = tokio::select! {
            result = driver.next(mirror.deadline()) => result,
            () = doubt.notified() => Ok(Input::Doubt),
            (endpoint, found) = or_never(trouble.diagnosis.as_mut()) => {
                trouble.diagnosed(endpoint, found);
                sink(Vec::new(), &driver.status(&mirror, &trouble));
                continue;
            }
        };
        let input = result.unwrap_or_else(|error| {
            let (failure, text) = (error.failure(), error.to_string());
            trouble.diagnose(driver.config(), driver.endpoint(), error);
            Input::Failed {
                failure,
                error: text,
            }
        });
        mirror.set_found(driver.config().learned.len());
        let mut events = Vec::new();
        let action = mirror.handle(Instant::now(), input, &mut events);
        trouble.follow(&events);
        let status = driver.status(&mirror, &trouble);
        // Start the next request before the sink runs: the next page travels while this one is applied.
        driver.start(action);
        sink(events, &status);
    }
}

/// Waits for the future; for ever if there is none.
async fn or_never<T, F: Future<Output = T>>(future: Option<F>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
