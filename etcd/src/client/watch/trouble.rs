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
    /// Faults by endpoint. Somebody has to fix them before the endpoint can be used.
    faults: BTreeMap<String, StoreError>,
    /// The search for a fault, while it runs.
    pub(super) diagnosis: Option<Diagnosis>,
}

/// An endpoint and its fault, if one was found.
type Diagnosis = Pin<Box<dyn Future<Output = (String, Option<StoreError>)> + Send>>;

impl Trouble {
    /// Follows the mirror's events. A proof of freshness ends all trouble.
    pub(super) fn follow(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Fresh { .. } => *self = Trouble::default(),
                // Keep the error before a timeout: it says more.
                Event::Lost {
                    cause: Cause::NoAnswer,
                    ..
                } if self.last.is_some() => {}
                Event::Lost { cause, .. } => self.last = Some(cause.to_string()),
                _ => {}
            }
        }
    }

    /// Starts to look for a fault of the endpoint, if the error may come from one.
    pub(super) fn diagnose(&mut self, config: &Config, endpoint: &str, error: StoreError) {
        if let StoreError::Config(_) = error {
            self.diagnosed(endpoint.into(), Some(error));
        } else if error.is_transient() && self.diagnosis.is_none() {
            // The mirror tries the next endpoint meanwhile.
            let (config, endpoint) = (config.clone(), endpoint.to_string());
            self.diagnosis = Some(Box::pin(async move {
                let found = config.diagnose(&endpoint).await;
                (endpoint, found)
            }));
        }
    }

    /// Stores a diagnosis, and logs a fault that is new.
    pub(super) fn diagnosed(&mut self, endpoint: String, found: Option<StoreError>) {
        self.diagnosis = None;
        let Some(fault) = found else {
            self.faults.remove(&endpoint);
            return;
        };
        let known = self.faults.get(&endpoint);
        if known.is_none_or(|known| known.to_string() != fault.to_string()) {
            warn!(endpoint, %fault, "this endpoint is unusable until the fault is fixed");
        }
        self.faults.insert(endpoint, fault);
    }

    /// A fault, which does not go away by itself, or else the last failure.
    pub(super) fn shown(&self) -> Option<String> {
        let fault = self.faults.values().next();
        fault.map(ToString::to_string).or_else(|| self.last.clone())
    }
}
