//! Archives what a zone had before all of it was replaced.

use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::model::zonefile::Rrsets;
use crate::txn;

impl Store {
    /// Archives a generation, and deletes all but the newest archives: so many are kept.
    pub(super) async fn archive(
        &self,
        zone: &Name,
        generation: u64,
        rrsets: &Rrsets,
        kept: u32,
    ) -> Result<(), StoreError> {
        if kept > 0 {
            for plan in txn::archive(self.prefix(), zone, generation, rrsets) {
                self.with_fresh_timeout().put_repeatedly(&plan).await?;
            }
        }
        self.forget_archives(zone, kept).await
    }

    /// Deletes all archives of a zone but for the newest ones.
    pub(super) async fn forget_archives(&self, zone: &Name, kept: u32) -> Result<(), StoreError> {
        let store = self.with_fresh_timeout();
        let listed = store.list_keys(store.prefix().archive(zone), None).await?;
        let plan = txn::forget_archives(store.prefix(), zone, &listed.items, kept);
        match plan.ops.is_empty() {
            true => Ok(()),
            false => store.put_repeatedly(&plan).await.map(drop),
        }
    }
}
