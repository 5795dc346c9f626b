//! Imports whole zones.

mod merge;
mod prepare;
mod switch;

use std::sync::Arc;

use merge::Merged;

use super::attempts::Attempts;
use super::stage::Staging;
use super::{ChangeError, Exported, Progress};
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Checked, Difference, Rrsets};
use crate::model::{Name, Rdata, Soa, ZoneSettings};
use crate::txn::{self, Overlap, Refusal, Slot, WantedZone};

/// Number of tries to write the difference in one transaction, while others change the zone. After that a generation is
/// staged and switched to, which does not depend on what others write.
const DIFFERENCE_TRIES: u32 = 5;

/// What happens to the present records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay, and those of the file are added.
    Merge,
    /// They are replaced in one step.
    Replace,
    /// They and all settings are replaced in one step.
    Restore,
}

/// Options of an import.
#[derive(Clone, Debug)]
pub struct ImportHow {
    /// What happens to the present records.
    pub mode: ImportMode,
    /// What happens to records that one zone would hide from another.
    pub overlap: Overlap,
    /// The origin of the file: it must not replace changes made since.
    pub exported: Option<Exported>,
    /// Whether it was read for this import only, so that nothing is written if etcd has been restored since.
    pub is_at_once: bool,
}

impl ImportHow {
    /// A file without a known origin, which must not hide records.
    pub fn new(mode: ImportMode) -> Self {
        ImportHow {
            mode,
            overlap: Overlap::Refuse,
            exported: None,
            is_at_once: false,
        }
    }
}

/// The result of an import, or of its dry run.
#[derive(Debug, Default)]
pub struct Imported {
    /// The revision at which everything is written.
    pub revision: i64,
    /// Whether anything was written: not if the zone already has this content.
    pub changed: bool,
    /// Number of RRsets written.
    pub written: usize,
    /// Number of RRsets deleted.
    pub deleted: usize,
    /// Whether the zone is new.
    pub created: bool,
    /// The changes to a zone that existed; empty if it could not be read.
    pub differences: Vec<Difference>,
    /// The old and the new SOA record, if one was replaced.
    pub soa: Option<(Soa, Soa)>,
    /// The RRsets that a new zone takes over from the zone above.
    pub from_above: Rrsets,
    /// Number of these RRsets that are name server addresses, which the zone above keeps, too.
    pub copied: usize,
    /// The zone above, if it has no NS records for the new one.
    pub not_delegating: Option<Name>,
    /// Why unserved records, replaced or staged in vain, may be left in the store.
    pub leftover: Option<StoreError>,
}

/// One import, tried until it is done.
struct Import<'a> {
    store: &'a Store,
    apex: &'a Name,
    wanted: WantedZone,
    how: &'a ImportHow,
    /// Whether the zone must not exist yet.
    is_new: bool,
    progress: Progress<'a>,
    staging: Staging<'a>,
    merged: Merged,
    /// How often others changed the zone first.
    lost: u32,
}

impl Store {
    /// Writes a checked zone. A new or replaced zone appears in one step. In a dry run the result says what would be
    /// written.
    pub async fn import(
        &self,
        apex: &Name,
        file: &Checked,
        how: &ImportHow,
        progress: Progress<'_>,
    ) -> Result<Imported, ChangeError> {
        let how = self.comparable(apex, how).await?;
        let import = Import::new(self, apex, file.into(), &how, progress);
        import.run().await
    }

    /// Adds a zone with these name servers. In a dry run the differences in the result list all its records.
    pub async fn zone_add(
        &self,
        apex: &Name,
        settings: &ZoneSettings,
        servers: &[Rdata],
        overlap: Overlap,
    ) -> Result<Imported, ChangeError> {
        let wanted = txn::new_zone(apex, settings.clone(), servers.to_vec())?;
        let how = ImportHow {
            overlap,
            ..ImportHow::new(ImportMode::Replace)
        };
        let mut import = Import::new(self, apex, wanted, &how, &|_| {});
        import.is_new = true;
        import.run().await
    }

    /// Drops the origin of a file from another zone or another store: it says nothing about this one.
    async fn comparable(&self, apex: &Name, how: &ImportHow) -> Result<ImportHow, StoreError> {
        let mut how = how.clone();
        if let Some(exported) = &how.exported {
            let cluster_id = self.with_fresh_timeout().head().await?.cluster_id;
            let is_ours = exported.zone == *apex
                && exported.cluster_id == cluster_id
                && exported.prefix == *self.prefix();
            how.exported = how.exported.filter(|_| is_ours);
        }
        Ok(how)
    }
}

impl From<&Checked> for WantedZone {
    fn from(file: &Checked) -> Self {
        WantedZone {
            settings: file.settings.clone(),
            serial: Some(file.serial),
            rrsets: Arc::new(file.rrsets.clone()),
        }
    }
}

impl<'a> Import<'a> {
    fn new(
        store: &'a Store,
        apex: &'a Name,
        wanted: WantedZone,
        how: &'a ImportHow,
        progress: Progress<'a>,
    ) -> Self {
        Import {
            store,
            apex,
            wanted,
            how,
            is_new: false,
            progress,
            staging: Staging::new(store, apex, progress),
            merged: Merged::default(),
            lost: 0,
        }
    }

    async fn run(self) -> Result<Imported, ChangeError> {
        match self.store.is_dry_run() {
            true => self.preview().await,
            false => self.write().await,
        }
    }

    async fn write(mut self) -> Result<Imported, ChangeError> {
        let mut attempts = Attempts::new(self.store, self.apex);
        loop {
            match self.attempt(&mut attempts).await {
                Ok(None) => self.lost += 1,
                Ok(Some(imported)) => {
                    let leftover = self.staging.leftover();
                    return Ok(Imported {
                        leftover,
                        ..imported
                    });
                }
                Err(error) => return Err(self.staging.failed(attempts.or_partly(error)).await),
            }
        }
    }

    async fn attempt(
        &mut self,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let slot = self.slot().await?;
        // After the slot was read: whatever is planned from it is of that store.
        if self.how.is_at_once {
            let how = self.store.comparable(self.apex, self.how).await?;
            if how.exported.is_none() {
                return Err(Refusal::ChangedMeanwhile(self.apex.clone()).into());
            }
        }
        match (&slot.present, self.how.mode) {
            (Some(present), ImportMode::Merge) => {
                self.merge(present, slot.serial.revision, attempts).await
            }
            _ => self.replace(&slot, attempts).await,
        }
    }

    async fn slot(&self) -> Result<Slot, ChangeError> {
        let slot = self.store.with_fresh_timeout().slot(self.apex).await?;
        if self.is_new && slot.present.is_some() {
            return Err(Refusal::ZoneExists(self.apex.clone()).into());
        }
        // A lost zone is brought back by importing all of it.
        let brings_back = !self.is_new && self.how.mode != ImportMode::Merge;
        if slot.is_lost() && !brings_back && self.how.overlap != Overlap::Hide {
            return Err(Refusal::ZoneLost(self.apex.clone()).into());
        }
        Ok(slot)
    }

    async fn preview(self) -> Result<Imported, ChangeError> {
        let slot = self.slot().await?;
        let none = Rrsets::new();
        if let (Some(present), ImportMode::Merge) = (&slot.present, self.how.mode) {
            let old = self.store.content(present).await??;
            let prefix = self.store.prefix();
            let (merged, _) = txn::merge(prefix, present, &old, &self.wanted.rrsets)?;
            let broken = zonefile::violations(self.apex, &merged);
            if let Some(violation) = broken.into_iter().next() {
                return Err(Refusal::Rule(violation).into());
            }
            self.below(slot.revision, &merged, Some(&old)).await?;
            return Ok(Imported {
                revision: slot.revision,
                changed: old != merged,
                differences: zonefile::diff(&old, &merged),
                ..Imported::default()
            });
        }
        let prepared = self.prepare(&slot).await?;
        let old = prepared.old.as_ref().unwrap_or(&none);
        Ok(Imported {
            revision: slot.revision,
            changed: !prepared.is_there(&slot),
            created: slot.present.is_none(),
            differences: zonefile::diff(old, &prepared.wanted.rrsets),
            soa: prepared.soa(&slot),
            ..prepared.taken()
        })
    }

    async fn replace(
        &mut self,
        slot: &Slot,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let prepared = self.prepare(slot).await?;
        if prepared.is_there(slot) {
            self.staging.give_up().await;
            return Ok(Some(Imported {
                revision: self.store.with_fresh_timeout().head().await?.revision,
                ..Imported::default()
            }));
        }
        let imported = Imported {
            changed: true,
            created: slot.present.is_none(),
            soa: prepared.soa(slot),
            ..prepared.taken()
        };
        match prepared.difference(self.store, slot) {
            Some((plan, count)) if self.lost < DIFFERENCE_TRIES => {
                attempts.renew();
                let Some(revision) = attempts.commit(&plan, slot.revision).await? else {
                    return Ok(None);
                };
                self.staging.give_up().await;
                let old = prepared.old.as_ref().filter(|_| slot.present.is_some());
                Ok(Some(Imported {
                    revision,
                    written: count.written,
                    deleted: count.deleted,
                    differences: differences(old, &prepared.wanted.rrsets),
                    ..imported
                }))
            }
            _ => self.switch(slot, &prepared, attempts, imported).await,
        }
    }
}

fn differences(old: Option<&Rrsets>, new: &Rrsets) -> Vec<Difference> {
    old.map_or_else(Vec::new, |old| zonefile::diff(old, new))
}
