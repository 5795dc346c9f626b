//! Changes to records.

use super::ChangeError;
use super::transact::Transacted;
use crate::client::connect::Store;
use crate::model::{Name, Rtype};
use crate::txn::{self, Change, ChangedRecord, InZone, Reads};

/// The result of a change.
#[derive(Debug)]
pub struct Changed {
    /// The zone that holds the name.
    pub zone: Name,
    /// The revision of the change, or the newest one if there was nothing to change.
    pub revision: i64,
    /// Whether anything was written.
    pub written: bool,
    /// The records that were added.
    pub added: Vec<ChangedRecord>,
    /// The records that were removed.
    pub removed: Vec<ChangedRecord>,
    /// The types of removed RRsets whose values could not be read.
    pub unreadable: Vec<Rtype>,
}

impl Store {
    /// Changes the records at `owner`, in the given zone or else in the one that holds the name.
    pub async fn change(
        &self,
        owner: &Name,
        zone: Option<InZone<'_>>,
        change: &Change,
    ) -> Result<Changed, ChangeError> {
        let planner = |reads: &Reads| {
            let (zone, planned) = txn::change(self.prefix(), reads, owner, zone, change)?;
            let plan = planned.as_ref().map(|planned| planned.plan.clone());
            Ok((plan, (zone.apex, planned.unwrap_or_default())))
        };
        let Transacted {
            revision,
            written,
            report: (zone, planned),
        } = self.transact(owner, planner).await?;
        Ok(Changed {
            zone,
            revision,
            written,
            added: planned.added,
            removed: planned.removed,
            unreadable: planned.unreadable,
        })
    }
}
