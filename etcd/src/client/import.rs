//! Whole zones into the store.

use std::borrow::Cow;

use super::attempts::Attempts;
use super::{ChangeError, Exported, Store, StoreError};
use crate::model::zonefile::{self, Checked, Difference, Rrsets};
use crate::model::{Name, Rdata, Soa, Zone};
use crate::schema::Key;
use crate::txn::{self, Compare, Overlap, Refusal, Room, Slot, Staged, Wanted, ZoneRead};

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

/// Called with how many RRsets have been written.
pub type Progress<'a> = &'a (dyn Fn(usize) + Send + Sync);

/// What an import came to, or would come to.
#[derive(Debug, Default)]
pub struct Imported {
    /// The revision at which all of it is there.
    pub revision: i64,
    /// Whether anything was written; not where the zone is already as the file says.
    pub changed: bool,
    /// How many RRsets were written or deleted.
    pub written: usize,
    /// Whether the zone is new.
    pub created: bool,
    /// What changed in a zone that was there; nothing where it could not be read.
    pub differences: Vec<Difference>,
    /// The SOA record that was replaced, and the one that is there now.
    pub soa: Option<(Soa, Soa)>,
    /// How many RRsets were moved into the new zone, from the one above it.
    pub moved: usize,
    /// Why the records that were replaced are still in the store; nobody serves them.
    pub left: Option<StoreError>,
}

/// One import, tried until it is done.
struct Import<'a> {
    store: &'a Store,
    apex: &'a Name,
    wanted: Wanted,
    how: &'a ImportHow,
    /// Whether there must be no such zone yet.
    is_new: bool,
    progress: Progress<'a>,
    staged: Option<StagedContent>,
    /// How often others were faster.
    lost: u32,
}

/// A generation that is staged for one state of the zone's settings.
struct StagedContent {
    staged: Staged,
    zone_revision: i64,
    moved: Rrsets,
}

/// What is to be written, given what was read.
struct Prepared {
    wanted: Wanted,
    /// What is there, if it is, and can be read.
    old: Option<Rrsets>,
    room: Room,
}

impl Store {
    /// Writes a checked zone. A new zone, or one that is replaced, appears in one step.
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

    /// What an import would come to.
    pub async fn import_preview(
        &self,
        apex: &Name,
        file: &Checked,
        how: &ImportHow,
    ) -> Result<Imported, ChangeError> {
        let how = self.comparable(apex, how).await?;
        Import::new(self, apex, file.into(), &how).preview().await
    }

    /// Adds a zone with these name servers.
    pub async fn zone_add(
        &self,
        apex: &Name,
        zone: &Zone,
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

impl From<&Checked> for Wanted {
    fn from(file: &Checked) -> Self {
        Wanted {
            zone: file.zone.clone(),
            serial: Some(file.serial),
            rrsets: file.rrsets.clone(),
        }
    }
}

impl<'a> Import<'a> {
    fn new(store: &'a Store, apex: &'a Name, wanted: Wanted, how: &'a ImportHow) -> Self {
        Import {
            store,
            apex,
            wanted,
            how,
            is_new: false,
            progress: &|_| {},
            staged: None,
            lost: 0,
        }
    }

    async fn run(mut self) -> Result<Imported, ChangeError> {
        let mut attempts = Attempts::new(self.store, self.apex);
        loop {
            let done = self.attempt(&mut attempts).await;
            match done {
                Ok(None) => self.lost += 1,
                Ok(Some(imported)) => return Ok(imported),
                Err(error) => {
                    // After other failures it may yet be switched to what is staged.
                    if matches!(error, ChangeError::Refused(_)) {
                        self.give_up_staged().await?;
                    }
                    return Err(attempts.told(error));
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
        match self.is_new && slot.present.is_some() {
            true => Err(Refusal::ZoneExists(self.apex.clone()).into()),
            false => Ok(slot),
        }
    }

    async fn preview(self) -> Result<Imported, ChangeError> {
        let slot = self.slot().await?;
        let none = Rrsets::new();
        if let (Some(present), ImportMode::Merge) = (&slot.present, self.how.mode) {
            let old = self.store.content(present).await??;
            let prefix = self.store.prefix();
            let (merged, _) = txn::merge(prefix, present, &old, &self.wanted.rrsets)?;
            if let Some(clash) = zonefile::faults(self.apex, &merged).first() {
                return Err(Refusal::Content(clash.reason.clone()).into());
            }
            self.below(slot.revision, &merged, Some(&old)).await?;
            return Ok(Imported {
                differences: zonefile::diff(&old, &merged),
                ..Imported::default()
            });
        }
        let prepared = self.prepare(&slot).await?;
        let old = prepared.old.as_ref().unwrap_or(&none);
        Ok(Imported {
            created: slot.present.is_none(),
            differences: zonefile::diff(old, &prepared.wanted.rrsets),
            soa: prepared.soa(&slot),
            moved: prepared.room.moved.len(),
            ..Imported::default()
        })
    }

    /// Reads what is there, and finds out what is to be written.
    async fn prepare(&self, slot: &Slot) -> Result<Prepared, ChangeError> {
        let mut wanted = self.wanted.clone();
        let (mut old, mut room) = (None, Room::default());
        match &slot.present {
            None if self.how.overlap == Overlap::Hide => {}
            None => {
                let above = self.store.anew().above(self.apex).await?;
                let (prefix, overlap) = (self.store.prefix(), self.how.overlap);
                room = txn::make_room(prefix, self.apex, &above, &wanted.rrsets, overlap)?;
                wanted.rrsets.extend(room.moved.clone());
            }
            Some(present) => {
                wanted.zone.default_ttl = present.zone.default_ttl;
                wanted.zone.consistency = present.zone.consistency;
                let (content, newest) = self.store.content_and_newest(present).await?;
                old = content.ok();
                let changed = slot.serial.revision.max(present.revision).max(newest);
                let exported = self.how.exported.as_ref().map(|exported| exported.revision);
                if let Some(exported) =
                    exported.filter(|exported| *exported < changed || *exported > slot.revision)
                {
                    return Err(Refusal::ChangedSince {
                        zone: self.apex.clone(),
                        exported,
                        changed,
                    }
                    .into());
                }
            }
        }
        let below = self
            .below(slot.revision, &wanted.rrsets, old.as_ref())
            .await?;
        room.compares.extend(below);
        Ok(Prepared { wanted, old, room })
    }

    /// Sees to it that nothing of the content is behind zones below, and says what to compare so that it stays so.
    async fn below(
        &self,
        as_of: i64,
        content: &Rrsets,
        old: Option<&Rrsets>,
    ) -> Result<Option<Compare>, ChangeError> {
        if self.how.overlap == Overlap::Hide {
            return Ok(None);
        }
        let children = self.store.children(self.apex, as_of).await?;
        txn::check_below(self.apex, &children, content, old)?;
        Ok(Some(Compare::NotWrittenSince {
            range: self.store.prefix().zones_below(self.apex),
            revision: as_of,
        }))
    }

    async fn replace(
        &mut self,
        slot: &Slot,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let prepared = self.prepare(slot).await?;
        if prepared.is_there(slot) {
            self.give_up_staged().await?;
            return Ok(Some(Imported {
                revision: self.store.anew().head().await?.revision,
                ..Imported::default()
            }));
        }
        let imported = Imported {
            changed: true,
            created: slot.present.is_none(),
            soa: prepared.soa(slot),
            moved: prepared.room.moved.len(),
            ..Imported::default()
        };
        match prepared.difference(self.store, slot) {
            Some((plan, written)) if self.lost < DIFFERENCE_TRIES => {
                attempts.renew();
                let Some(revision) = attempts.commit(&plan, slot.revision).await? else {
                    return Ok(None);
                };
                self.give_up_staged().await?;
                let old = prepared.old.as_ref().filter(|_| slot.present.is_some());
                Ok(Some(Imported {
                    revision,
                    written,
                    differences: differences(old, &prepared.wanted.rrsets),
                    ..imported
                }))
            }
            _ => self.switch(slot, &prepared, attempts, imported).await,
        }
    }

    /// Stages all of it, and switches to that.
    async fn switch(
        &mut self,
        slot: &Slot,
        prepared: &Prepared,
        attempts: &mut Attempts<'_>,
        imported: Imported,
    ) -> Result<Option<Imported>, ChangeError> {
        let rrsets = &prepared.wanted.rrsets;
        if self.store.is_dry_run() {
            return Ok(Some(Imported {
                revision: slot.revision,
                written: rrsets.len(),
                differences: differences(prepared.old.as_ref(), rrsets),
                ..imported
            }));
        }
        let Some(staged) = self.stage(slot, prepared).await? else {
            return Ok(None);
        };
        let is_exact = self.how.exported.is_some();
        let mut plan = txn::flip(
            self.store.prefix(),
            slot,
            &prepared.wanted,
            &staged,
            is_exact,
        );
        prepared.room.add_to(&mut plan);
        attempts.renew();
        let since = attempts.store().head().await?.store;
        // A failure leaves the staged generation where it is: it serves nobody, and the flip may yet be done.
        let Some(revision) = attempts.commit(&plan, since).await? else {
            return Ok(None);
        };
        self.staged = None;
        let (mut left, mut old) = (None, None);
        if let Some(present) = &slot.present {
            // What it replaced, with all that others have written until then.
            let before = ZoneRead {
                as_of: revision - 1,
                ..present.clone()
            };
            let before = self.store.content(&before).await;
            old = before.ok().and_then(Result::ok).map(Cow::Owned);
            old = old.or(prepared.old.as_ref().map(Cow::Borrowed));
            // Later generations may be imports that are under way.
            let replaced = present.zone.generation;
            let swept = self.store.sweep(self.apex, |other| other == replaced);
            left = swept.await.err();
        }
        Ok(Some(Imported {
            revision,
            written: rrsets.len(),
            differences: differences(old.as_deref(), rrsets),
            left,
            ..imported
        }))
    }

    /// Stages the content, unless that is done already and still there. Nothing where the zone changes meanwhile.
    async fn stage(
        &mut self,
        slot: &Slot,
        prepared: &Prepared,
    ) -> Result<Option<Staged>, ChangeError> {
        if let Some(content) = &self.staged {
            let is_fit = content.zone_revision == slot.zone_revision()
                && content.moved == prepared.room.moved;
            if is_fit && self.store.anew().holds(&content.staged).await? {
                return Ok(Some(content.staged.clone()));
            }
            self.give_up_staged().await?;
        }
        let rrsets = &prepared.wanted.rrsets;
        let staged = self.store.stage(slot, rrsets, self.progress).await?;
        self.staged = staged.clone().map(|staged| StagedContent {
            staged,
            zone_revision: slot.zone_revision(),
            moved: prepared.room.moved.clone(),
        });
        Ok(staged)
    }

    /// Deletes what was staged and can no longer be switched to.
    async fn give_up_staged(&mut self) -> Result<(), StoreError> {
        if let Some(StagedContent { staged, .. }) = self.staged.take() {
            let sweep = self
                .store
                .sweep(self.apex, |other| other == staged.generation);
            sweep.await?;
        }
        Ok(())
    }

    async fn merge(
        &self,
        present: &ZoneRead,
        mut touched: i64,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let Import { store, wanted, .. } = self;
        let serial = store.prefix().encode(&Key::Serial(present.apex.clone()));
        let old = store.content(present).await??;
        let (merged, plans) = txn::merge(store.prefix(), present, &old, &wanted.rrsets)?;
        let clashes = zonefile::faults(&present.apex, &merged);
        if let Some(clash) = clashes.first() {
            return Err(Refusal::Content(clash.reason.clone()).into());
        }
        let below = self.below(present.as_of, &merged, Some(&old)).await?;
        // To read and to check all of it has taken its time.
        attempts.renew();
        let mut since = attempts.store().head().await?.store;
        let mut written = 0;
        for mut plan in plans {
            plan.compares.push(Compare::Unchanged {
                key: serial.clone(),
                revision: touched,
            });
            plan.compares.extend(below.iter().cloned());
            match attempts.commit(&plan, since).await? {
                Some(revision) => (touched, since) = (revision, revision),
                None => return Ok(None),
            }
            // The serial and the head are no RRsets.
            written += plan.ops.len() - 2;
            (self.progress)(written);
        }
        Ok(Some(Imported {
            revision: touched,
            changed: written > 0,
            written,
            differences: zonefile::diff(&old, &merged),
            ..Imported::default()
        }))
    }
}

impl Prepared {
    /// Whether nothing is to be written.
    fn is_there(&self, slot: &Slot) -> bool {
        slot.present
            .as_ref()
            .is_some_and(|present| self.wanted.has_settings_of(&present.zone))
            && self.old.as_ref() == Some(&self.wanted.rrsets)
    }

    /// What leads from what is there to what is wanted, if one transaction takes that; and how many RRsets it writes.
    fn difference(&self, store: &Store, slot: &Slot) -> Option<(txn::Plan, usize)> {
        let none = Rrsets::new();
        let old = match (&slot.present, &self.old) {
            (None, _) => &none,
            (Some(_), old) => old.as_ref()?,
        };
        let reserved = self.room.ops.len();
        let mut plan = txn::rewrite(store.prefix(), slot, &self.wanted, old, reserved)?;
        let folder = store.prefix().generations(&slot.apex);
        let of_zone = |op: &&txn::Op| match op {
            txn::Op::Put { key, .. } | txn::Op::Delete { key } => folder.contains(key),
            txn::Op::DeleteRange { .. } => false,
        };
        let written = plan.ops.iter().filter(of_zone).count();
        self.room.add_to(&mut plan);
        Some((plan, written))
    }

    /// The SOA record that is replaced, and the one that takes its place.
    fn soa(&self, slot: &Slot) -> Option<(Soa, Soa)> {
        let present = slot.present.as_ref()?;
        Some((present.zone.soa.clone(), self.wanted.zone.soa.clone()))
    }
}

fn differences(old: Option<&Rrsets>, new: &Rrsets) -> Vec<Difference> {
    old.map_or_else(Vec::new, |old| zonefile::diff(old, new))
}
