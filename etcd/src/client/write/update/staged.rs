//! An update of a zone that etcd does not take as one transaction: the zone's new content is staged as a generation
//! that nobody serves, and one transaction switches to it.
//!
//! Others may change the zone meanwhile. The switch fails then, and returns what they have added to the zone's journal. These
//! entries are replayed on the copy of the zone and the update is applied again; the corrections to the staged generation
//! are written together with the next try to switch. So each further try takes as long as one transaction, whatever the size of the zone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::attempts::{Attempts, Tried};
use super::super::stage::Staging;
use super::super::{ChangeError, Progress};
use super::Changed;
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Rrsets};
use crate::model::{Edit, Name, Prerequisite, Rtype, Update};
use crate::schema::{Key, RrsetChange};
use crate::txn::{
    self, Behind, Compare, Get, InZone, NoPlan, Part, Reads, Refusal, Slot, WantedZone, ZoneRead,
};

/// An update of one zone.
pub(super) struct StagedUpdate<'a> {
    pub(super) store: &'a Store,
    pub(super) apex: &'a Name,
    /// Whether records may be hidden by a zone below.
    pub(super) hide: bool,
    /// All of it is about this zone.
    pub(super) update: &'a Update,
}

/// A zone, and what the update makes of it.
struct StagedDraft {
    slot: Slot,
    zone: ZoneRead,
    old: Rrsets,
    new: Arc<Rrsets>,
    /// The zones below, and the comparison that no others were added. None if records may be hidden.
    below: Option<(BTreeSet<Name>, Compare)>,
    announced: Announced,
}

/// What is announced where the update writes CNAME records.
struct Announced {
    types: BTreeMap<Name, Rtype>,
    /// That nothing else is announced there.
    compares: Vec<Compare>,
}

/// The most owners of CNAME records that are compared one by one: from then on, it is all that is announced in the zone.
const ALIASES_MAX: usize = 16;

impl StagedUpdate<'_> {
    pub(super) async fn run(&self, progress: Progress<'_>) -> Result<Changed, ChangeError> {
        let mut attempts = Attempts::new(self.store, self.apex);
        let mut staging = Staging::new(self.store, self.apex, progress);
        loop {
            match self.attempt(&mut attempts, &mut staging).await {
                Ok(None) => {}
                Ok(Some(changed)) => {
                    let leftover = staging.leftover();
                    return Ok(Changed {
                        leftover,
                        ..changed
                    });
                }
                Err(error) => return Err(staging.failed(error).await),
            }
        }
    }

    /// Reads the zone, stages its new content, and switches to it. None if all has to be read again.
    async fn attempt(
        &self,
        attempts: &mut Attempts<'_>,
        staging: &mut Staging<'_>,
    ) -> Result<Option<Changed>, ChangeError> {
        let mut draft = self.draft().await?;
        if draft.old == *draft.new || self.store.is_dry_run() {
            staging.give_up().await;
            return Ok(Some(self.changed(&draft, draft.slot.revision)));
        }
        let Some((staged, mut behind)) = staging.stage(&draft.slot, &draft.new).await? else {
            return Ok(None);
        };
        attempts.renew();
        let prefix = self.store.prefix();
        let mut is_first = true;
        loop {
            let caught_up = staging.catch_up(&draft.slot, &staged, &mut behind, &draft.new);
            let Some(ops) = caught_up.await? else {
                return Ok(None);
            };
            let wanted = WantedZone {
                settings: draft.zone.settings.clone(),
                serial: None,
                rrsets: draft.new.clone(),
            };
            let mut plan = txn::flip(prefix, &draft.slot, &wanted, &staged, true);
            plan.ops.extend(ops);
            let below = draft.below.iter();
            plan.compares
                .extend(below.map(|(_, compare)| compare.clone()));
            plan.compares
                .extend(draft.announced.compares.iter().cloned());
            if !is_first {
                // A retry skips pruning, to save the read before it is sent.
                plan.changes
                    .iter_mut()
                    .for_each(|change| change.prunes = false);
            }
            is_first = false;
            let mut gets = txn::changes_since(prefix, &draft.slot).to_vec();
            let first = Get::range(staged.first.clone()..Vec::new(), 0);
            gets.push(first.clone());
            // If this fails, the staged generation stays: nobody serves it, and the switch may still be applied.
            let since = draft.slot.revision;
            match attempts.commit_or_read(&plan, since, &gets).await? {
                Tried::Done(revision) => {
                    let replaced = Some((&draft.zone, Some(&draft.old)));
                    staging.switched_from(replaced).await;
                    return Ok(Some(self.changed(&draft, revision)));
                }
                Tried::Lost(now) => {
                    let is_staged = now.all([&[first]]).is_ok_and(|[found]| {
                        let mut found = found.into_iter().flatten();
                        found.any(|item| item.mod_revision == staged.revision)
                    });
                    if !is_staged || !self.follow(&mut draft, &mut behind, &now)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn changed(&self, draft: &StagedDraft, revision: i64) -> Changed {
        Changed {
            zone: self.apex.clone(),
            revision,
            written: draft.old != *draft.new,
            differences: zonefile::diff(&draft.old, &draft.new),
            unreadable: Vec::new(),
            leftover: None,
        }
    }

    /// Applies the update to what others have left of the zone, and adds to `behind` what that changes in the new content.
    /// False if the update has to start again.
    fn follow(
        &self,
        draft: &mut StagedDraft,
        behind: &mut Behind,
        now: &Reads,
    ) -> Result<bool, ChangeError> {
        let caught_up = txn::caught_up(self.store.prefix(), &draft.slot, now);
        let Some((slot, zone, changes)) = caught_up else {
            return Ok(false);
        };
        // Something other than this zone made a comparison fail.
        if changes.is_empty() {
            return Ok(false);
        }
        (draft.slot, draft.zone) = (slot, zone);
        if !changes.iter().all(|change| change.apply(&mut draft.old)) {
            return Ok(false);
        }
        if changes.iter().all(|change| self.is_independent_of(change)) {
            let new = Arc::make_mut(&mut draft.new);
            for change in changes {
                change.apply(new);
                behind.insert((change.owner, change.rtype), change.new);
            }
            return Ok(true);
        }
        if !self.update.prerequisites.is_empty() {
            return Ok(false);
        }
        let new = self.edited(draft)?;
        behind.extend(txn::behind(&draft.new, &new));
        draft.new = new.into();
        Ok(draft.old != *draft.new)
    }

    /// Whether the change and the update cannot affect each other.
    fn is_independent_of(&self, change: &RrsetChange) -> bool {
        let Update {
            prerequisites,
            edits,
        } = self.update;
        let mut owners = prerequisites.iter().map(Prerequisite::owner);
        // A DNAME record matters for names below it.
        change.rtype != Rtype::DNAME
            && owners.all(|owner| *owner != change.owner)
            && edits
                .iter()
                .all(|edit| edit.owner != change.owner && edit.change.rtype() != Some(Rtype::DNAME))
    }

    /// Reads the zone, and applies the update to it.
    async fn draft(&self) -> Result<StagedDraft, ChangeError> {
        let slot = self.store.with_fresh_timeout().slot(self.apex).await?;
        let Some(zone) = slot.present.clone() else {
            let store = self.store.with_fresh_timeout();
            return Err(store.no_zone(self.apex, slot.revision).await?.into());
        };
        self.check_prerequisites(&zone).await?;
        let old = self.store.content(&zone).await??;
        let below = match self.hide {
            true => None,
            false => {
                let children = self.store.children(self.apex, zone.as_of).await?;
                let no_others = Compare::NotWrittenSince {
                    range: self.store.prefix().zones_below(self.apex),
                    revision: zone.as_of,
                };
                Some((children, no_others))
            }
        };
        let announced = self.announced(zone.as_of).await?;
        let mut draft = StagedDraft {
            slot,
            zone,
            old,
            new: Arc::default(),
            below,
            announced,
        };
        draft.new = self.edited(&draft)?.into();
        Ok(draft)
    }

    /// Reads what is announced where the update writes CNAME records.
    async fn announced(&self, as_of: i64) -> Result<Announced, StoreError> {
        let edits = self.update.edits.iter();
        let is_alias = |edit: &&Edit| {
            edit.change.writes_records() && edit.change.rtype() == Some(Rtype::CNAME)
        };
        let owners: BTreeSet<&Name> = edits.filter(is_alias).map(|edit| &edit.owner).collect();
        let mut announced = Announced {
            types: BTreeMap::new(),
            compares: Vec::new(),
        };
        if owners.is_empty() {
            return Ok(announced);
        }
        let (store, prefix) = (self.store.with_fresh_timeout(), self.store.prefix());
        let all = prefix.leased_in(self.apex);
        let listed = store.list_keys(all.clone(), Some(as_of)).await?;
        for item in &listed.items {
            if let Ok(Key::Leased { owner, rtype, .. }) = prefix.decode(&item.key)
                && owners.contains(&owner)
            {
                announced.types.insert(owner, rtype);
            }
        }
        let ranges = match owners.len() <= ALIASES_MAX {
            true => owners
                .into_iter()
                .map(|owner| prefix.leased_at(self.apex, owner))
                .collect(),
            false => vec![all],
        };
        let unchanged = |range| Compare::NotWrittenSince {
            range,
            revision: as_of,
        };
        announced.compares = ranges.into_iter().map(unchanged).collect();
        Ok(announced)
    }

    /// What the update makes of the old content.
    fn edited(&self, draft: &StagedDraft) -> Result<Rrsets, Refusal> {
        let edits: Vec<_> = self.update.edits.iter().enumerate().collect();
        let new = txn::edited(&draft.zone, &draft.old, &edits)?;
        if let Some((children, _)) = &draft.below {
            txn::check_below(self.apex, children, &new, Some(&draft.old))?;
        }
        for (number, Edit { owner, change, .. }) in edits {
            if change.rtype() == Some(Rtype::CNAME)
                && new.contains_key(&(owner.clone(), Rtype::CNAME))
                && let Some(rtype) = draft.announced.types.get(owner)
            {
                let refusal = Refusal::Announced(owner.clone(), *rtype);
                return Err(Refusal::Parts(vec![(Part::Edit(number), refusal)]));
            }
        }
        Ok(new)
    }

    /// Checks the prerequisites at the revision at which the zone was read. The switch fails if the zone changes.
    async fn check_prerequisites(&self, zone: &ZoneRead) -> Result<(), ChangeError> {
        if self.update.prerequisites.is_empty() {
            return Ok(());
        }
        let update = Update {
            edits: Vec::new(),
            ..self.update.clone()
        };
        let store = self.store.with_fresh_timeout();
        let (prefix, as_of) = (store.prefix(), Some(zone.as_of));
        let mut reads = Reads::default();
        let in_zone = InZone {
            apex: self.apex,
            hide: true,
        };
        loop {
            match txn::update(prefix, &reads, Some(in_zone), &update) {
                Ok(_) => return Ok(()),
                Err(NoPlan::Read(gets)) => reads.add(store.fetch(&gets, as_of).await?),
                Err(NoPlan::Refused(refusal)) => return Err(refusal.into()),
                Err(NoPlan::Unreadable(key)) => return Err(StoreError::Unreadable(key).into()),
            }
        }
    }
}
