//! Leased records.

use super::ChangeError;
use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::txn::{self, Announced, Announcement, Lease, Reads};

impl Store {
    /// Puts the records of an announcer under its lease. A dry run finds out whether that is allowed.
    pub async fn announce(
        &self,
        announcement: &Announcement,
        lease: Lease,
    ) -> Result<Announced, ChangeError> {
        let planner = |reads: &Reads| {
            let planned = txn::announce(self.prefix(), reads, announcement, lease);
            planned.map(|(plan, announced)| (Some(plan), announced))
        };
        Ok(self.transact(&announcement.owner, planner).await?.report)
    }

    /// Withdraws what was announced.
    pub(crate) async fn withdraw_leased(&self, announced: &Announced) -> Result<(), ChangeError> {
        let planner = |reads: &Reads| {
            let plan = txn::withdraw(self.prefix(), reads, announced)?;
            Ok((plan, ()))
        };
        self.transact(&announced.zone, planner).await?;
        Ok(())
    }

    /// Makes the serial of a zone follow an expiry at this revision. Returns false if its key was written since.
    pub async fn follow_expiry(&self, zone: &Name, revision: i64) -> Result<bool, StoreError> {
        let plan = txn::follow_expiry(self.prefix(), zone, revision);
        // To write it twice does no harm.
        self.with_fresh_timeout().put_repeatedly(&plan).await
    }
}
