//! Zones: adding, changing, removing, and cleaning up after.

use super::records::Attempts;
use super::store::Committed;
use super::{ChangeError, Store, StoreError};
use crate::model::{Name, Rdata, Zone};
use crate::schema::Key;
use crate::txn::{self, Refusal};

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
            let (revision, present) = self
                .zone(apex)
                .await
                .map_err(|error| attempts.failed(error))?;
            let present = present.ok_or_else(|| Refusal::UnknownZone(apex.clone()))?;
            let mut zone = present.zone.clone();
            edit(&mut zone);
            let Some(plan) = txn::zone_set(self.prefix(), &present, &zone)? else {
                return Ok((revision, attempts.sent()));
            };
            if let Some(revision) = attempts.commit(&plan).await? {
                return Ok((revision, true));
            }
        }
    }

    /// Removes a zone: at once for those who ask, then its records from the store. The revision of the
    /// former, or nothing where there is no such zone.
    pub async fn zone_remove(&self, apex: &Name) -> Result<Option<i64>, ChangeError> {
        let mut attempts = Attempts::new(self, apex);
        let revision = loop {
            let (_, present) = self
                .zone(apex)
                .await
                .map_err(|error| attempts.failed(error))?;
            let Some(present) = present else {
                return Ok(None);
            };
            if let Some(revision) = attempts
                .commit(&txn::zone_remove(self.prefix(), &present))
                .await?
            {
                break revision;
            }
        };
        let (_, present) = self.zone(apex).await.map_err(ChangeError::Unknown)?;
        // Whoever has added the zone again meanwhile has a generation of his own.
        let keep = present.map(|read| read.zone.generation);
        self.sweep(apex, |generation| Some(generation) != keep)
            .await
            .map_err(ChangeError::Unknown)?;
        Ok(Some(revision))
    }

    /// The generations that a zone has records of, with how many RRsets each.
    pub async fn generations(&self, apex: &Name) -> Result<Vec<(u64, usize)>, StoreError> {
        let mut generations: Vec<(u64, usize)> = Vec::new();
        let range = self.prefix().generations(apex);
        let (mut start, mut more) = (range.start, true);
        while more {
            let (_, page, further) = self
                .page(start.clone()..range.end.clone(), None, true)
                .await?;
            more = further && !page.is_empty();
            for item in &page {
                if let Ok(Key::Rrset { generation, .. }) = self.prefix().decode(&item.key) {
                    match generations.last_mut() {
                        Some((last, count)) if *last == generation => *count += 1,
                        _ => generations.push((generation, 1)),
                    }
                }
            }
            if let Some(last) = page.last() {
                start = last.key.clone();
                start.push(0);
            }
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

    /// Deletes a generation page by page (one transaction for a million keys would stall every watcher),
    /// and each page only if the zone still serves another one.
    async fn sweep_generation(&self, apex: &Name, generation: u64) -> Result<usize, StoreError> {
        let range = self.prefix().generation(apex, generation);
        let mut swept = 0;
        loop {
            let (_, read) = self.zone(apex).await?;
            if read
                .as_ref()
                .is_some_and(|read| read.zone.generation == generation)
            {
                return Ok(swept);
            }
            let (_, page, more) = self.page(range.clone(), None, true).await?;
            let Some(last) = page.last() else {
                return Ok(swept);
            };
            let mut end = last.key.clone();
            end.push(0);
            let plan = txn::sweep(self.prefix(), apex, read.as_ref(), range.start.clone()..end);
            match self.commit(&plan).await {
                Ok(Committed::At(_)) => {
                    swept += page.len();
                    if !more {
                        return Ok(swept);
                    }
                }
                // The zone has changed: look again. Or nobody knows: deleting twice does no harm.
                Ok(Committed::Lost) => {}
                Err(StoreError::Unreachable(_)) if !self.is_late() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
