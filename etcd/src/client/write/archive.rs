//! Archives what a zone had before all of it was replaced.

use crate::client::connect::{Store, StoreError};
use crate::model::Name;
use crate::model::zonefile::Rrsets;
use crate::txn::{self, Recorded};

impl Store {
    /// Archives replaced generations that are in the store and have no archive: whoever replaced them was killed before it made one.
    pub async fn archive_missing(&self, zone: &Name) -> Result<(), StoreError> {
        if self.is_dry_run() {
            return Ok(());
        }
        let store = self.with_fresh_timeout();
        let as_of = store.head().await?.store_revision;
        let journal = store.journal(Some(zone), Some(as_of)).await?;
        for settings in journal.entries.iter().filter_map(Recorded::replaced) {
            let (generation, kept) = (settings.generation, settings.journal_archives());
            if self.archived(zone, generation, as_of).await?.is_some() {
                continue;
            }
            match self.unswept(zone, settings.clone(), as_of).await {
                Ok(Some(rrsets)) => self.archive(zone, generation, &rrsets, kept).await?,
                // What cannot be read is not kept.
                Ok(None) | Err(StoreError::Unreadable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

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
