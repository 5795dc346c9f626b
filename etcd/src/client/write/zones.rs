//! Changes and removes zones, and deletes what nobody serves.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::ChangeError;
use super::commit::Committed;
use crate::client::connect::{Store, StoreError};
use crate::client::read::{PageSize, Uncovered, next_key};
use crate::model::{Name, ZoneSettings};
use crate::schema::{Accepted, Key, salvage_serial_base};
use crate::txn::{self, Get, Op, Plan, Reads, SerialRead, ZoneRead};

/// Number of deletions in a row that may fail.
const SWEEP_FAILURES_MAX: u32 = 10;

/// Number of keys that one transaction deletes.
const SWEPT_AT_ONCE: usize = 1000;

/// Time limit for finding out what a removal uncovers: the zone is removed by then, and only the report waits.
const UNCOVERED_WITHIN: Duration = Duration::from_secs(1);

/// The result of removing a zone.
#[derive(Debug)]
pub struct Removed {
    /// The revision from which on nobody serves it.
    pub revision: i64,
    /// The names that the zone above answers again.
    pub uncovered: Option<Uncovered>,
    /// Why records of it may be left in the store. Nobody serves them.
    pub leftover: Option<StoreError>,
}

impl Store {
    /// Edits the settings of a zone. Returns the revision, and whether anything changed.
    pub async fn zone_set(
        &self,
        apex: &Name,
        edit: impl Fn(&mut ZoneSettings),
    ) -> Result<(i64, bool), ChangeError> {
        let planner = |reads: &Reads| {
            let Some(present) = reads.zone(self.prefix(), apex)? else {
                return Err(reads.no_zone(self.prefix(), apex));
            };
            let mut settings = present.settings.clone();
            edit(&mut settings);
            let plan = txn::zone_set(self.prefix(), &present, &settings)?;
            Ok((plan, ()))
        };
        let done = self.transact(apex, planner).await?;
        Ok((done.revision, done.written))
    }

    /// Removes a zone. Front-ends stop serving it at once; then its records are deleted from the store. None if there
    /// is no such zone. Unreadable settings are removed only with `force`.
    pub async fn zone_remove(
        &self,
        apex: &Name,
        force: bool,
    ) -> Result<Option<Removed>, ChangeError> {
        let planner = |reads: &Reads| {
            let Some(present) = reads.key(self.prefix(), &Key::Zone(apex.clone()))? else {
                return Ok((None, None));
            };
            let read = match ZoneRead::decode(self.prefix(), present, reads.revision()) {
                Err(unreadable) if !force => return Err(unreadable.into()),
                read => read.ok(),
            };
            let (base, settings) = (
                salvage_serial_base(&present.value),
                read.as_ref().map(|read| &read.settings),
            );
            let written = present.mod_revision;
            let plan = txn::zone_remove(self.prefix(), apex, written, base, settings);
            Ok((Some(plan), read))
        };
        let done = self.transact(apex, planner).await?;
        if !done.written {
            return Ok(None);
        }
        // This is only for the report: an unreadable zone above does not prevent the removal.
        let uncovered = self.with_timeout(UNCOVERED_WITHIN).uncovered(apex).await;
        let archived = match &done.report {
            Some(read) => self.archive_removed(read, done.revision).await,
            None => Ok(()),
        };
        let leftover = match archived {
            Ok(()) => self.sweep(apex, |_| true).await.err(),
            Err(error) => Some(error),
        };
        Ok(Some(Removed {
            revision: done.revision,
            uncovered: uncovered.ok().flatten(),
            leftover,
        }))
    }

    /// Archives the content of a zone that was removed at this revision. What cannot be read is not kept.
    async fn archive_removed(&self, read: &ZoneRead, revision: i64) -> Result<(), StoreError> {
        let kept = read.settings.journal_archives();
        if self.is_dry_run() || kept == 0 {
            return Ok(());
        }
        let read = ZoneRead {
            as_of: revision,
            ..read.clone()
        };
        match self.content(&read).await? {
            Ok(content) => {
                let generation = read.settings.generation;
                self.archive(&read.apex, generation, &content, kept).await
            }
            Err(_) => Ok(()),
        }
    }

    /// Deletes the journal of a zone, and what is archived for a rollback. Returns the number of entries, and whether
    /// anything was archived. A dry run only counts.
    pub async fn forget_history(&self, apex: &Name) -> Result<(usize, bool), StoreError> {
        let ranges = [self.prefix().journal(apex), self.prefix().archive(apex)];
        let mut counts = [0, 0];
        for (range, count) in ranges.into_iter().zip(&mut counts) {
            let store = self.with_fresh_timeout();
            *count = store.count(range.clone(), None).await?;
            if *count > 0 && !self.is_dry_run() {
                let plan = Plan {
                    ops: vec![Op::DeleteRange { range }],
                    ..Plan::default()
                };
                store.put_repeatedly(&plan).await?;
            }
        }
        Ok((counts[0], counts[1] > 0))
    }

    /// Accepts a mass deletion that front-ends are holding back. Returns the revision.
    pub async fn accept(&self, accepted: Accepted) -> Result<i64, ChangeError> {
        let planner = |reads: &Reads| {
            // The plan does not need it. Its revision tells from when on to look for the attempt.
            reads.key(self.prefix(), &Key::Head)?;
            Ok((Some(txn::accept(self.prefix(), accepted)), ()))
        };
        Ok(self.transact(&Name::root(), planner).await?.revision)
    }

    /// Deletes the serial base of a removed zone. Returns whether there was one.
    pub async fn forget_serial(&self, apex: &Name) -> Result<bool, ChangeError> {
        let planner = |reads: &Reads| {
            let prefix = self.prefix();
            let zone = Get::key(prefix, &Key::Zone(apex.clone()));
            let serial = Get::key(prefix, &Key::Serial(apex.clone()));
            let [zone, serial] = reads.all([&[zone], &[serial]])?;
            let serial = serial.into_iter().flatten().next().map(SerialRead::decode);
            let is_absent = zone.into_iter().flatten().next().is_none();
            let serial = serial.filter(|_| is_absent);
            Ok((
                serial.map(|serial| txn::forget_serial(prefix, apex, serial)),
                (),
            ))
        };
        Ok(self.transact(apex, planner).await?.written)
    }

    /// The generations of a zone in the store, with the number of RRsets of each; at a revision if one is given.
    pub async fn generations(
        &self,
        apex: &Name,
        revision: Option<i64>,
    ) -> Result<Vec<(u64, usize)>, StoreError> {
        let mut generations = Vec::new();
        let mut range = self.prefix().generations(apex);
        // Skip from the first key of a generation to the first key of the next.
        while let Some(first) = self
            .with_fresh_timeout()
            .first(range.clone(), revision)
            .await?
        {
            let Ok(Key::Rrset { generation, .. }) = self.prefix().decode(&first) else {
                range.start = next_key(first);
                continue;
            };
            let all = self.prefix().generation(apex, generation);
            range.start = all.end.clone();
            generations.push((
                generation,
                self.with_fresh_timeout().count(all, revision).await?,
            ));
        }
        Ok(generations)
    }

    /// Deletes the records of all generations that `gone` selects, but never those of the served one, and returns their
    /// number. A dry run only counts, and counts those that `gone` selects, served or not.
    pub async fn sweep(
        &self,
        apex: &Name,
        gone: impl Fn(u64) -> bool,
    ) -> Result<usize, StoreError> {
        let mut swept = 0;
        for (generation, count) in self.generations(apex, None).await? {
            if gone(generation) {
                swept += match self.is_dry_run() {
                    true => count,
                    false => self.sweep_generation(apex, generation).await?,
                };
            }
        }
        Ok(swept)
    }

    /// Deletes a generation in batches, because one transaction for a million keys would stall every watcher. Each
    /// batch is deleted only if the zone still serves another generation.
    async fn sweep_generation(&self, apex: &Name, generation: u64) -> Result<usize, StoreError> {
        // Delete the apex first: a switch to this generation compares a key there, so it fails once part of the
        // generation is gone.
        let at_apex = self.prefix().owner(apex, generation, apex);
        let swept = self.sweep_range(apex, generation, at_apex).await?;
        let all = self.prefix().generation(apex, generation);
        Ok(swept + self.sweep_range(apex, generation, all).await?)
    }

    async fn sweep_range(
        &self,
        apex: &Name,
        generation: u64,
        range: Range<Vec<u8>>,
    ) -> Result<usize, StoreError> {
        let (mut swept, mut size, mut failures) = (0, PageSize::first(), 0);
        loop {
            let (_, read) = self.with_fresh_timeout().zone(apex).await?;
            if read
                .as_ref()
                .is_some_and(|read| read.settings.generation == generation)
            {
                return Ok(swept);
            }
            let asked = Instant::now();
            let (_, page, _) = self
                .with_fresh_timeout()
                .page(range.clone(), size.keys(), None, true)
                .await?;
            size.learn(&page, asked.elapsed());
            if page.is_empty() {
                return Ok(swept);
            }
            for keys in page.chunks(SWEPT_AT_ONCE) {
                let (first, last) = (&keys[0].key, &keys[keys.len() - 1].key);
                let range = first.clone()..next_key(last.clone());
                let plan = txn::sweep(self.prefix(), apex, read.as_ref(), range);
                match self.with_fresh_timeout().commit(&plan, &[]).await {
                    Ok(Committed::At(_)) => (swept, failures) = (swept + keys.len(), 0),
                    // The zone has changed: look again.
                    Ok(Committed::Lost(_)) => break,
                    // The batch may have been applied. Deleting twice does no harm.
                    Err(StoreError::Unreachable(_)) if failures < SWEEP_FAILURES_MAX => {
                        failures += 1;
                        tokio::time::sleep(Duration::from_millis(100 + fastrand::u64(..100))).await;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}
