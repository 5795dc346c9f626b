//! What is wrong with etcd, as the mirror's driver sees it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use tracing::warn;

use super::{Config, StoreError};
use crate::mirror::{Event, Failure};

/// What is wrong, since the last proof of freshness.
#[derive(Default)]
pub(super) struct Trouble {
    /// The last failure.
    last: Option<String>,
    /// What has to be changed before an endpoint can be used, by endpoint.
    faults: BTreeMap<String, StoreError>,
    /// The search for what has to be changed, while it runs.
    pub(super) diagnosis: Option<Diagnosis>,
}

/// An endpoint, and what has to be changed about it.
type Diagnosis = Pin<Box<dyn Future<Output = (String, Option<StoreError>)> + Send>>;

impl Trouble {
    /// Learns from the mirror's events: a proof of freshness ends all trouble, and some failures have no error that
    /// says why. `is_page` says that they came of a page of a list.
    pub(super) fn follow(&mut self, events: &[Event], is_page: bool) {
        for event in events {
            match event {
                Event::Fresh { .. } => *self = Trouble::default(),
                Event::Lost {
                    failure: Failure::Stalled,
                    ..
                } => {
                    self.last = Some("no proof of freshness within the limit".into());
                }
                Event::Lost {
                    failure: Failure::Unreachable,
                    ..
                } if self.last.is_none() => {
                    let reason = match is_page {
                        true => "another cluster answers there, or the same page of the list again",
                        false => "no answer in time",
                    };
                    self.last = Some(reason.into());
                }
                _ => {}
            }
        }
    }

    /// Keeps a failure, and begins to look for its cause where that may be a definite one.
    pub(super) fn failed(&mut self, config: &Config, endpoint: &str, error: StoreError) {
        self.last = Some(error.to_string());
        if let StoreError::Config(_) = error {
            self.diagnosed(endpoint.into(), Some(error));
        } else if error.is_transient() && self.diagnosis.is_none() {
            // Meanwhile the next endpoint is tried.
            let (config, endpoint) = (config.clone(), endpoint.to_string());
            self.diagnosis = Some(Box::pin(async move {
                let found = config.diagnose(&endpoint).await;
                (endpoint, found)
            }));
        }
    }

    /// Keeps what has been found out, and logs it unless it is known.
    pub(super) fn diagnosed(&mut self, endpoint: String, found: Option<StoreError>) {
        self.diagnosis = None;
        let Some(fault) = found else {
            self.faults.remove(&endpoint);
            return;
        };
        let known = self.faults.get(&endpoint);
        if known.is_none_or(|known| known.to_string() != fault.to_string()) {
            warn!(endpoint, %fault, "this endpoint cannot be used until this is fixed");
        }
        self.faults.insert(endpoint, fault);
    }

    /// The worst of it: what does not pass by itself.
    pub(super) fn shown(&self) -> Option<String> {
        let fault = self.faults.values().next();
        fault.map(ToString::to_string).or_else(|| self.last.clone())
    }
}
