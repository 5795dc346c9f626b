//! Whole zones into the store.

use std::collections::VecDeque;

use tokio::task::JoinHandle;

use super::attempts::Attempts;
use super::store::Committed;
use super::{ChangeError, Scope, Store, StoreError};
use crate::model::zonefile::{self, Checked, Rrsets};
use crate::model::{Name, Zone};
use crate::schema::Key;
use crate::txn::{self, Compare, Op, Plan, Refusal, Slot, Staged, ZoneRead};

/// How many batches are under way at once.
const PARALLEL: usize = 8;

/// What becomes of the records that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// They stay; those of the file are added.
    Merge,
    /// They go, all in one step.
    Replace,
}

/// Called with how many RRsets have been written.
pub type Progress<'a> = &'a (dyn Fn(usize) + Send + Sync);

/// What an import came to.
#[derive(Debug)]
pub struct Imported {
    /// The revision at which all of it is there.
    pub revision: i64,
    /// How many RRsets were written; 0 where the zone is already as the file says.
    pub written: usize,
    /// Whether the zone is new.
    pub created: bool,
    /// Why the records that were replaced are still in the store; nobody serves them.
    pub left: Option<StoreError>,
}

impl Store {
    /// Writes a checked zone. A new zone, or one that is replaced, appears in one step.
    pub async fn import(
        &self,
        apex: &Name,
        file: &Checked,
        mode: ImportMode,
        progress: Progress<'_>,
    ) -> Result<Imported, ChangeError> {
        let mut attempts = Attempts::new(self, apex);
        let imported = self.attempt(apex, file, mode, &mut attempts, progress);
        let imported = imported.await;
        imported.map_err(|error| attempts.told(error))
    }

    async fn attempt(
        &self,
        apex: &Name,
        file: &Checked,
        mode: ImportMode,
        attempts: &mut Attempts<'_>,
        progress: Progress<'_>,
    ) -> Result<Imported, ChangeError> {
        loop {
            let slot = self.anew().slot(apex).await?;
            let done = match (&slot.present, mode) {
                (Some(present), ImportMode::Merge) => {
                    self.merge(present, file, attempts, progress).await?
                }
                _ => self.replace(&slot, file, attempts, progress).await?,
            };
            if let Some(imported) = done {
                return Ok(imported);
            }
        }
    }

    async fn replace(
        &self,
        slot: &Slot,
        file: &Checked,
        attempts: &mut Attempts<'_>,
        progress: Progress<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let (apex, present, revision) = (&slot.apex, slot.present.as_ref(), slot.revision);
        let mut zone = file.zone.clone();
        if let Some(present) = present {
            zone.default_ttl = present.zone.default_ttl;
            zone.consistency = present.zone.consistency;
            let same = Zone {
                generation: present.zone.generation,
                serial_base: present.zone.serial_base,
                ..zone.clone()
            };
            let stored = self.content(present).await?;
            if same == present.zone && stored.is_ok_and(|stored| stored == file.rrsets) {
                return Ok(Some(Imported {
                    revision: self.anew().head().await?.revision,
                    written: 0,
                    created: false,
                    left: None,
                }));
            }
        }
        let staged = self
            .stage(apex, present, &file.rrsets, revision, progress)
            .await?;
        let Some(staged) = staged else {
            return Ok(None);
        };
        let plan = txn::flip(self.prefix(), slot, zone, &staged, file.serial);
        let written = file.rrsets.len();
        attempts.renew();
        let revision = loop {
            let (since, now) = attempts.store().zone(apex).await?;
            let is_changed = revision_of(now.as_ref()) != revision_of(present);
            if is_changed {
                // The flip can no longer be done.
                self.sweep(apex, |other| other == staged.generation).await?;
            }
            // Or somebody has begun to clean up.
            if is_changed || !attempts.store().holds(&staged).await? {
                return Ok(None);
            }
            // A failure leaves the staged generation where it is: it serves nobody, and the flip may yet be done.
            if let Some(revision) = attempts.commit(&plan, since).await? {
                break revision;
            }
        };
        let left = match present {
            // Later generations may be imports that are under way.
            Some(present) => self
                .sweep(apex, |other| other == present.zone.generation)
                .await
                .err(),
            None => None,
        };
        Ok(Some(Imported {
            revision,
            written,
            created: present.is_none(),
            left,
        }))
    }

    /// Whether a staged generation is still there from its first key on.
    async fn holds(&self, staged: &Staged) -> Result<bool, StoreError> {
        let (_, values) = self
            .get_all(std::slice::from_ref(&staged.first), None)
            .await?;
        Ok(values
            .into_iter()
            .flatten()
            .any(|item| item.mod_revision == staged.revision))
    }

    /// Writes a generation that nobody serves. Nothing where the zone changes meanwhile.
    async fn stage(
        &self,
        apex: &Name,
        present: Option<&ZoneRead>,
        rrsets: &Rrsets,
        revision: i64,
        progress: Progress<'_>,
    ) -> Result<Option<Staged>, ChangeError> {
        let mut generation = revision.unsigned_abs() + 1;
        let first_step = self.anew();
        loop {
            let mut plans = txn::stage(self.prefix(), apex, present, generation, rrsets);
            let Some(first) = plans.next() else {
                return Err(Refusal::Content(format!("the zone {apex} would be empty")).into());
            };
            let committed = match self.anew().commit(&first).await {
                Err(StoreError::Unreachable(_)) if !first_step.is_late() => {
                    // It may have been done, or be done yet, and serves nobody; or the generation is somebody else's.
                    // So another one is begun, and this one left to `zone clean`.
                    generation += 1;
                    continue;
                }
                committed => committed?,
            };
            match committed {
                Committed::Lost => {
                    let (_, now) = self.anew().zone(apex).await?;
                    if revision_of(now.as_ref()) != revision_of(present) {
                        return Ok(None);
                    }
                    generation += 1;
                }
                Committed::At(revision) => {
                    let staged = Staged {
                        generation,
                        first: first_key(&first),
                        revision,
                    };
                    let mut written = first.ops.len();
                    progress(written);
                    let mut under_way: VecDeque<(usize, JoinHandle<Result<bool, StoreError>>)> =
                        VecDeque::new();
                    loop {
                        let next = plans.next();
                        if (next.is_none() || under_way.len() >= PARALLEL)
                            && let Some((count, task)) = under_way.pop_front()
                        {
                            let result = task
                                .await
                                .map_err(|error| StoreError::Other(error.to_string()));
                            if !result.and_then(|result| result)? {
                                // Those that are under way can no more be done than this one.
                                self.sweep(apex, |other| other == generation).await?;
                                return Ok(None);
                            }
                            written += count;
                            progress(written);
                        }
                        match next {
                            Some(plan) => {
                                let (store, count) = (self.clone(), plan.ops.len());
                                under_way.push_back((
                                    count,
                                    tokio::spawn(
                                        async move { store.anew().put_staged(&plan).await },
                                    ),
                                ));
                            }
                            None if under_way.is_empty() => return Ok(Some(staged)),
                            None => {}
                        }
                    }
                }
            }
        }
    }

    /// Nobody else writes to a staged generation, so a batch may be sent as often as it takes. Says whether it was
    /// done: not where the zone has changed.
    async fn put_staged(&self, plan: &Plan) -> Result<bool, StoreError> {
        loop {
            match self.commit(plan).await {
                Ok(done) => return Ok(matches!(done, Committed::At(_))),
                Err(StoreError::Unreachable(_)) if !self.is_late() => {
                    tokio::time::sleep(std::time::Duration::from_millis(50 + fastrand::u64(..100)))
                        .await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn merge(
        &self,
        present: &ZoneRead,
        file: &Checked,
        attempts: &mut Attempts<'_>,
        progress: Progress<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let serial = self.prefix().encode(&Key::Serial(present.apex.clone()));
        let mut touched = self.anew().touched(present).await?;
        let stored = self.content(present).await??;
        let (merged, plans) = txn::merge(self.prefix(), present, &stored, &file.rrsets)?;
        let clashes = zonefile::faults(&present.apex, &merged);
        if let Some(clash) = clashes.first() {
            return Err(Refusal::Content(clash.reason.clone()).into());
        }
        // To read and to check all of it has taken its time.
        attempts.renew();
        let mut since = attempts.store().head().await?.store;
        let mut written = 0;
        for mut plan in plans {
            plan.compares.push(Compare::Unchanged {
                key: serial.clone(),
                revision: touched,
            });
            match attempts.commit(&plan, since).await? {
                Some(revision) => (touched, since) = (revision, revision),
                None => return Ok(None),
            }
            // The serial and the head are no RRsets.
            written += plan.ops.len() - 2;
            progress(written);
        }
        Ok(Some(Imported {
            revision: touched,
            written,
            created: false,
            left: None,
        }))
    }

    /// The RRsets that a zone serves; a value that cannot be read is told.
    pub async fn content(&self, read: &ZoneRead) -> Result<Result<Rrsets, Refusal>, StoreError> {
        let mut rrsets = Rrsets::new();
        for (owner, stored) in self.rrsets(read, &read.apex, Scope::Subtree).await?.rrsets {
            match stored.rrset {
                Ok(rrset) => {
                    rrsets.insert((owner, stored.rtype), rrset);
                }
                Err(error) => {
                    return Ok(Err(Refusal::Stored(
                        self.key_text(read, &owner, stored.rtype),
                        error.to_string(),
                    )));
                }
            }
        }
        Ok(Ok(rrsets))
    }
}

/// The revision that wrote a zone's settings, 0 where there is no zone.
fn revision_of(zone: Option<&ZoneRead>) -> i64 {
    zone.map_or(0, |zone| zone.revision)
}

/// The first key that a plan of puts writes.
fn first_key(plan: &Plan) -> Vec<u8> {
    match plan.ops.first() {
        Some(Op::Put { key, .. } | Op::Delete { key }) => key.clone(),
        Some(Op::DeleteRange { range }) => range.start.clone(),
        None => Vec::new(),
    }
}
