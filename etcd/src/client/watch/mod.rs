//! The driver of the mirror: does what the state machine asks for, and tells it what came of it. Front-ends mirror
//! everything; a follower of journals drives it over a part of the keys.

mod driver;
mod journal;
mod requests;
mod trouble;

use std::convert::Infallible;
use std::ops::ControlFlow;

pub use driver::MirrorStatus;
use driver::{Driver, or_never};
pub use journal::JournalNews;
use tokio::sync::Notify;
use trouble::Trouble;

use crate::client::connect::{Config, now};
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
    let driver = Driver::new(config, &prefix, prefix.all(), 0);
    let mirror = match resume {
        Some(resume) => Mirror::resume(now(), pace, resume),
        None => Mirror::new(now(), pace),
    };
    let mirror = mirror.counting(prefix.leased());
    let sink = |events, status: &MirrorStatus| {
        sink(events, status);
        ControlFlow::<Infallible>::Continue(())
    };
    match drive(driver, mirror, relist, sink).await {}
}

/// Drives the mirror until the sink ends it.
async fn drive<T>(
    mut driver: Driver,
    mut mirror: Mirror,
    relist: &Notify,
    mut sink: impl FnMut(Vec<Event>, &MirrorStatus) -> ControlFlow<T>,
) -> T {
    let mut trouble = Trouble::default();
    loop {
        let result = tokio::select! {
            biased;
            () = relist.notified() => Ok(Input::Doubt),
            (endpoint, found) = or_never(trouble.diagnosis.as_mut()) => {
                trouble.diagnosed(endpoint, found);
                let status = driver.status(&mirror, &trouble);
                if let ControlFlow::Break(end) = sink(Vec::new(), &status) {
                    return end;
                }
                continue;
            }
            result = driver.next(mirror.deadline()) => result,
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
        let action = mirror.handle(now(), input, &mut events);
        trouble.follow(&events);
        let status = driver.status(&mirror, &trouble);
        // Start the next request before the sink runs: the next page travels while this one is applied.
        driver.start(action);
        if let ControlFlow::Break(end) = sink(events, &status) {
            return end;
        }
    }
}
