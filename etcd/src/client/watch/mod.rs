//! The driver of the mirror: does what the state machine asks for, and tells it what came of it.

mod driver;
mod requests;
mod trouble;

use std::time::Instant;

pub use driver::MirrorStatus;
use driver::{Driver, or_never};
use tokio::sync::Notify;
use trouble::Trouble;

use crate::client::connect::Config;
use crate::mirror::{Event, Input, Mirror, Pace, Resume};
use crate::schema::Prefix;

/// Mirrors everything under the prefix, for ever. It starts from `resume`, a copy that is there already, if one is given.
///
/// `sink` is called after each step with its events and the status after it. Notifying `relist` has everything listed
/// again.
pub async fn watch(
    config: Config,
    prefix: Prefix,
    pace: Pace,
    resume: Option<Resume>,
    relist: &Notify,
    mut sink: impl FnMut(Vec<Event>, &MirrorStatus),
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
            () = relist.notified() => Ok(Input::Doubt),
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
        mirror.set_found(driver.config().discovered.len());
        let mut events = Vec::new();
        let action = mirror.handle(Instant::now(), input, &mut events);
        trouble.follow(&events);
        let status = driver.status(&mirror, &trouble);
        // Start the next request before the sink runs: the next page travels while this one is applied.
        driver.start(action);
        sink(events, &status);
    }
}
