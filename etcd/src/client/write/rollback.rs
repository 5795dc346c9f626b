//! Makes zones what they were.

use super::{Exported, ImportHow, ImportMode};
use crate::client::connect::{Store, StoreError};
use crate::client::read::ZonePast;
use crate::model::Name;
use crate::model::zonefile::Checked;
use crate::txn::{Moment, NotRecorded, Overlap};

/// What a zone was, and what it is.
#[derive(Debug)]
pub struct Rollback {
    /// The zone at the moment to go back to.
    pub then: ZonePast,
    /// The zone now.
    pub now: ZonePast,
    cluster_id: u64,
}

impl Store {
    /// Reads what a zone was at a moment, and what it is now.
    pub async fn rollback(
        &self,
        apex: &Name,
        to: Moment,
    ) -> Result<Result<Rollback, NotRecorded>, StoreError> {
        // First: if etcd is restored from now on, nothing is written.
        let cluster_id = self.head().await?.cluster_id;
        let then = match self.zone_past(apex, to).await? {
            Ok(then) => then,
            Err(why) => return Ok(Err(why)),
        };
        let now = self.zone_past(apex, Moment::Now).await?;
        Ok(now.map(|now| Rollback {
            then,
            now,
            cluster_id,
        }))
    }
}

impl Rollback {
    /// The zone to import, and how; none if there was no zone. The import is refused if others change the zone after `then` was
    /// read.
    pub fn import(
        &self,
        store: &Store,
        apex: &Name,
        overlap: Overlap,
    ) -> Option<(Checked, ImportHow)> {
        let then = &self.then;
        let settings = then.past.settings.clone()?;
        let checked = Checked {
            serial: settings.serial(then.revision),
            settings,
            rrsets: then.past.rrsets.clone(),
            warnings: Vec::new(),
        };
        let how = ImportHow {
            mode: ImportMode::Restore,
            overlap,
            exported: Some(Exported {
                zone: apex.clone(),
                // A moment that is not over yet includes what others write until `now` is read.
                revision: then.as_of,
                cluster_id: self.cluster_id,
                prefix: store.prefix().clone(),
            }),
            is_at_once: true,
        };
        Some((checked, how))
    }
}
