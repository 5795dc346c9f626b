//! Whole zones into the store.

mod merge;
mod prepare;
mod switch;

use merge::Merged;
use switch::StagedContent;

use super::attempts::Attempts;
use super::{ChangeError, Exported, Progress};
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Checked, Difference, Rrsets};
use crate::model::{Name, Rdata, Soa, ZoneSettings};
use crate::txn::{self, Overlap, Refusal, Slot, WantedZone};

/// How often a difference that others outrun is tried as one transaction. A generation that is switched to does not
/// depend on what they write.
const DIFFERENCE_TRIES: u32 = 5;

/// What becomes of the records that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay; those of the file are added.
    Merge,
    /// They go, all in one step.
    Replace,
}

/// How to import.
#[derive(Clone, Debug)]
pub struct ImportHow {
    /// What becomes of the records that are there already.
    pub mode: ImportMode,
    /// What becomes of records that one zone would hide from another.
    pub overlap: Overlap,
    /// Where the file was exported from: it replaces nothing that has changed since.
    pub exported: Option<Exported>,
}

impl ImportHow {
    /// A file that says nothing of where it comes from, and hides nothing.
    pub fn new(mode: ImportMode) -> Self {
        ImportHow {
            mode,
            overlap: Overlap::Refuse,
            exported: None,
        }
    }
}

/// What an import came to, or would come to.
#[derive(Debug, Default)]
pub struct Imported {
    /// The revision at which all of it is there.
    pub revision: i64,
    /// Whether anything was written; not where the zone is already as the file says.
    pub changed: bool,
    /// How many RRsets were written.
    pub written: usize,
    /// How many RRsets were deleted.
    pub deleted: usize,
    /// Whether the zone is new.
    pub created: bool,
    /// What changed in a zone that was there; nothing where it could not be read.
    pub differences: Vec<Difference>,
    /// The SOA record that was replaced, and the one that is there now.
    pub soa: Option<(Soa, Soa)>,
    /// What the new zone has of the one above it.
    pub from_above: Rrsets,
    /// How many of these RRsets are addresses of name servers, which the zone above keeps, too.
    pub copied: usize,
    /// The zone above that has no NS records for the new one.
    pub not_delegating: Option<Name>,
    /// Why records that nobody serves, those that were replaced or staged in vain, may still be in the store.
    pub left: Option<StoreError>,
}

/// One import, tried until it is done.
struct Import<'a> {
    store: &'a Store,
    apex: &'a Name,
    wanted: WantedZone,
    how: &'a ImportHow,
    /// Whether there must be no such zone yet.
    is_new: bool,
    progress: Progress<'a>,
    /// What may be switched to, as soon as its first batch is there.
    staged: Option<StagedContent>,
    /// Generations that nobody will serve and that may still be in the store, with why.
    left: Vec<(u64, StoreError)>,
    merged: Merged,
    /// How often others were faster.
    lost: u32,
}

impl Store {
    /// Writes a checked zone. A new zone, or one that is replaced, appears in one step. In a dry run the result says
    /// what would be written.
    pub async fn import(
        &self,
        apex: &Name,
        file: &Checked,
        how: &ImportHow,
        progress: Progress<'_>,
    ) -> Result<Imported, ChangeError> {
        let how = self.comparable(apex, how).await?;
        let mut import = Import::new(self, apex, file.into(), &how);
        import.progress = progress;
        import.run().await
    }

    /// Adds a zone with these name servers. In a dry run the result has all of its records as differences.
    pub async fn zone_add(
        &self,
        apex: &Name,
        zone: &ZoneSettings,
        servers: &[Rdata],
        overlap: Overlap,
    ) -> Result<Imported, ChangeError> {
        let wanted = txn::new_zone(apex, zone.clone(), servers.to_vec())?;
        let how = ImportHow {
            overlap,
            ..ImportHow::new(ImportMode::Replace)
        };
        let mut import = Import::new(self, apex, wanted, &how);
        import.is_new = true;
        import.run().await
    }

    /// The same without an export of another zone or of another store, which tells nothing of this one.
    async fn comparable(&self, apex: &Name, how: &ImportHow) -> Result<ImportHow, StoreError> {
        let mut how = how.clone();
        if let Some(exported) = &how.exported {
            let cluster_id = self.anew().head().await?.cluster_id;
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
            zone: file.zone.clone(),
            serial: Some(file.serial),
            rrsets: file.rrsets.clone(),
        }
    }
}

impl<'a> Import<'a> {
    fn new(store: &'a Store, apex: &'a Name, wanted: WantedZone, how: &'a ImportHow) -> Self {
        Import {
            store,
            apex,
            wanted,
            how,
            is_new: false,
            progress: &|_| {},
            staged: None,
            left: Vec::new(),
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
                    let left = self.left.pop().map(|(_, why)| why);
                    return Ok(Imported { left, ..imported });
                }
                Err(error) => {
                    // A store that fails does not delete either, and may yet switch to what is staged.
                    if let ChangeError::Refused(_) | ChangeError::Conflict { .. } = error {
                        self.give_up_staged().await;
                    }
                    let error = attempts.told(error);
                    return Err(match self.staged.is_none() && self.left.is_empty() {
                        true => error,
                        false => ChangeError::Left(Box::new(error), self.apex.clone()),
                    });
                }
            }
        }
    }

    async fn attempt(
        &mut self,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let slot = self.slot().await?;
        match (&slot.present, self.how.mode) {
            (Some(present), ImportMode::Merge) => {
                self.merge(present, slot.serial.revision, attempts).await
            }
            _ => self.replace(&slot, attempts).await,
        }
    }

    async fn slot(&self) -> Result<Slot, ChangeError> {
        let slot = self.store.anew().slot(self.apex).await?;
        if self.is_new && slot.present.is_some() {
            return Err(Refusal::ZoneExists(self.apex.clone()).into());
        }
        // A file that is the whole zone is how such a zone is brought back.
        let brings_back = !self.is_new && self.how.mode == ImportMode::Replace;
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
            self.give_up_staged().await;
            return Ok(Some(Imported {
                revision: self.store.anew().head().await?.revision,
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
                self.give_up_staged().await;
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
