//! Makes serials grow after leases have expired.
//!
//! An expiry deletes a key, and writes none that would tell its revision to those who list everything later: their serials
//! would stay behind those of front-ends that saw it. So somebody has to write the key of the serial. Every front-end tries,
//! each after a pause of its own, so that one of them writes and the others find it written.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use etcd::client::{Store, StoreError};
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::model::Name;

/// The longest pause before a try.
const PAUSE: Duration = Duration::from_secs(2);

/// The pause after a failed try.
const AGAIN: Duration = Duration::from_secs(5);

/// The zones in which leases have expired, each with the revision of the last expiry.
#[derive(Default)]
pub struct Expiries {
    zones: Mutex<BTreeMap<Name, i64>>,
    noted: Notify,
}

impl Expiries {
    /// Adds zones.
    pub fn note(&self, zones: BTreeMap<Name, i64>) {
        if zones.is_empty() {
            return;
        }
        let mut all = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        for (zone, revision) in zones {
            let last = all.entry(zone).or_default();
            *last = revision.max(*last);
        }
        self.noted.notify_one();
    }

    fn take(&self) -> BTreeMap<Name, i64> {
        std::mem::take(&mut *self.zones.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows expiries for ever.
    pub async fn settle(&self, store: &Store) {
        let mut is_denied = false;
        loop {
            self.noted.notified().await;
            sleep(PAUSE.mul_f64(fastrand::f64())).await;
            for (zone, revision) in self.take() {
                match store.follow_expiry(&zone, revision).await {
                    Ok(written) => debug!(%zone, revision, written, "leased records have expired"),
                    Err(StoreError::Denied(reason)) => {
                        if !std::mem::replace(&mut is_denied, true) {
                            warn!(
                                %zone,
                                reason,
                                "cannot make the serial grow after a lease has expired; front-ends that list the zone later may \
                                 answer an older serial until the next change. deploy/etcd.md has the permissions"
                            );
                        }
                    }
                    Err(error) => {
                        debug!(%zone, revision, %error, "cannot make the serial grow after a lease has expired: trying again");
                        self.note([(zone, revision)].into());
                        sleep(AGAIN).await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_expiry_is_not_forgotten_for_an_earlier_one() {
        let expiries = Expiries::default();
        let zone: Name = "x".parse().expect("a name");
        for revision in [20, 10] {
            expiries.note([(zone.clone(), revision)].into());
        }
        assert_eq!(expiries.take(), [(zone, 20)].into());
        assert!(expiries.take().is_empty());
    }
}
