//! What is wrong with etcd, as the mirror's driver sees it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use tracing::warn;

use crate::client::connect::{Config, StoreError};
use crate::mirror::{Cause, Event};

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
    /// Learns from the mirror's events. A proof of freshness ends all trouble.
    pub(super) fn follow(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Fresh { .. } => *self = Trouble::default(),
                // A timeout says less than the error before it.
                Event::Lost {
                    cause: Cause::NoAnswer,
                    ..
                } if self.last.is_some() => {}
                Event::Lost { cause, .. } => self.last = Some(cause.to_string()),
                _ => {}
            }
        }
    }

    /// Starts to look for a cause that somebody has to remove, if the error may have one.
    pub(super) fn diagnose(&mut self, config: &Config, endpoint: &str, error: StoreError) {
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
