//! Zones: adding, changing, removing, and cleaning up after.

use tokio::time::Instant;

use super::page::PageSize;
use super::records::Attempts;
use super::store::Committed;
use super::{ChangeError, Store, StoreError};
use crate::model::{Name, Rdata, Zone};
use crate::schema::{Accepted, Key};
use crate::txn::{self, Refusal};

/// How many keys one transaction deletes.
const SWEPT_AT_ONCE: usize = 1000;

/// A zone that is removed.
#[derive(Debug)]
pub struct Removed {
    /// The revision from which on nobody serves it.
    pub revision: i64,
    /// Why records of it are still in the store; nobody serves them.
    pub left: Option<StoreError>,
}

impl Store {
    /// Adds a zone with these name servers. The revision of the change.
    pub async fn zone_add(
        &self,
        apex: &Name,
        zone: &Zone,
        servers: &[Rdata],
    ) -> Result<i64, ChangeError> {
        let mut attempts = Attempts::new(self, apex);
        loop {
            let (revision, present) = self
                .zone(apex)
                .await
                .map_err(|error| attempts.failed(error))?;
            // An earlier try whose answer was lost may have done it.
            if let Some(present) = present.as_ref().filter(|_| attempts.sent())
                && (Zone {
                    generation: present.zone.generation,
                    ..zone.clone()
                }) == present.zone
            {
                return Ok(present.revision);
            }
            let planned = txn::zone_add(
                self.prefix(),
                apex,
                zone.clone(),
                servers.to_vec(),
                present.as_ref(),
                revision,
            )?;
            if let Some(revision) = attempts.commit(&planned.plan).await? {
                return Ok(revision);
            }
        }
    }

    /// Gives a zone other settings, made from those it has. The revision, and whether anything changed.
    pub async fn zone_set(
        &self,
        apex: &Name,
        edit: impl Fn(&mut Zone),
    ) -> Result<(i64, bool), ChangeError> {
        let mut attempts = Attempts::new(self, apex);
        loop {
            let (_, present) = self
                .zone(apex)
                .await
                .map_err(|error| attempts.failed(error))?;
            let present = present.ok_or_else(|| Refusal::UnknownZone(apex.clone()))?;
            let mut zone = present.zone.clone();
            edit(&mut zone);
            let Some(plan) = txn::zone_set(self.prefix(), &present, &zone)? else {
                let revision = self.head().await.map_err(|error| attempts.failed(error))?;
                return Ok((revision, attempts.sent()));
            };
            if let Some(revision) = attempts.commit(&plan).await? {
                return Ok((revision, true));
            }
        }
    }

    /// Removes a zone: at once for those who ask, then its records from the store. Nothing where there is no
    /// such zone.
    pub async fn zone_remove(&self, apex: &Name) -> Result<Option<Removed>, ChangeError> {
        let mut attempts = Attempts::new(self, apex);
        let revision = loop {
            let (_, present) = self
                .zone(apex)
                .await
                .map_err(|error| attempts.failed(error))?;
            let Some(present) = present else {
                if !attempts.sent() {
                    return Ok(None);
                }
                break self.head().await.map_err(|error| attempts.failed(error))?;
            };
            let plan = txn::zone_remove(self.prefix(), &present);
            if let Some(revision) = attempts.commit(&plan).await? {
                break revision;
            }
        };
        let left = self.sweep(apex, |_| true).await.err();
        Ok(Some(Removed { revision, left }))
    }

    /// Says that what is gone is meant to be gone. The revision.
    pub async fn accept(&self, accepted: Accepted) -> Result<i64, ChangeError> {
        let (root, plan) = (Name::root(), txn::accept(self.prefix(), accepted));
        let mut attempts = Attempts::new(self, &root);
        loop {
            // To say it twice does no harm.
            if let Some(revision) = attempts.commit(&plan).await? {
                return Ok(revision);
            }
        }
    }

    /// The generations that a zone has records of, with how many RRsets each.
    pub async fn generations(&self, apex: &Name) -> Result<Vec<(u64, usize)>, StoreError> {
        let mut generations = Vec::new();
        let mut range = self.prefix().generations(apex);
        // From the first key of one to the first key of the next.
        while let Some(first) = self.anew().first(range.clone()).await? {
            let Ok(Key::Rrset { generation, .. }) = self.prefix().decode(&first) else {
                range.start = first;
                range.start.push(0);
                continue;
            };
            let all = self.prefix().generation(apex, generation);
            range.start = all.end.clone();
            generations.push((generation, self.anew().count(all).await?));
        }
        Ok(generations)
    }

    /// Deletes the records of all generations that `gone` names, never of the one that is served. Returns
    /// how many.
    pub async fn sweep(
        &self,
        apex: &Name,
        gone: impl Fn(u64) -> bool,
    ) -> Result<usize, StoreError> {
        let mut swept = 0;
        for (generation, _) in self.generations(apex).await? {
            if gone(generation) {
                swept += self.sweep_generation(apex, generation).await?;
            }
        }
        Ok(swept)
    }

    /// Deletes a generation bit by bit (one transaction for a million keys would stall every watcher),
    /// and each only if the zone still serves another one.
    async fn sweep_generation(&self, apex: &Name, generation: u64) -> Result<usize, StoreError> {
        let range = self.prefix().generation(apex, generation);
        let (mut swept, mut size) = (0, PageSize::first());
        loop {
            let (_, read) = self.anew().zone(apex).await?;
            if read
                .as_ref()
                .is_some_and(|read| read.zone.generation == generation)
            {
                return Ok(swept);
            }
            let asked = Instant::now();
            let (_, page, _) = self
                .anew()
                .page(range.clone(), size.keys(), None, true)
                .await?;
            size.learn(&page, asked.elapsed());
            if page.is_empty() {
                return Ok(swept);
            }
            for keys in page.chunks(SWEPT_AT_ONCE) {
                let (first, last) = (&keys[0].key, &keys[keys.len() - 1].key);
                let end = [&last[..], &[0]].concat();
                let plan = txn::sweep(self.prefix(), apex, read.as_ref(), first.clone()..end);
                match self.anew().commit(&plan).await {
                    Ok(Committed::At(_)) => swept += keys.len(),
                    // The zone has changed: look again. Or nobody knows: deleting twice does no harm.
                    Ok(Committed::Lost) | Err(StoreError::Unreachable(_)) => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}
