//! One zone as etcd has it, and as it is kept when others have deleted part of it.

use std::collections::BTreeMap;

use super::kept::{Kept, Origin};
use super::leased::Leased;
use crate::model::rules::is_cname_clash;
use crate::model::{Consistency, Digest, Name, Rtype, ZoneSettings};
use crate::policy::Rules;
use crate::served::Loss;
use crate::zone::{Contents, Rrset, SoaFields, Zone};

/// What etcd has of one zone.
#[derive(Clone, Default)]
pub(super) struct ZoneData {
    pub(super) settings: Option<ZoneSettings>,
    /// The rules that the settings make. They are made once, and shared by all that is published.
    pub(super) rules: Rules,
    /// The revision that wrote the settings.
    pub(super) settings_revision: i64,
    /// The last revision of the serial key; 0 without that key.
    pub(super) serial_revision: i64,
    pub(super) generations: BTreeMap<u64, Generation>,
    pub(super) leased: Leased,
    /// The zone as if others had not deleted any of it lately, if they have.
    pub(super) kept: Option<Box<Kept>>,
    /// The digest of the settings; empty if their value cannot be used.
    pub(super) settings_digest: Digest,
    /// The share of this zone in the digest of the tables.
    pub(super) digest_in_tables: Digest,
}

/// The RRsets of a generation.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) contents: Contents,
    /// The digest of the RRsets whose values in etcd cannot be used.
    pub(super) quarantined: Digest,
}

impl Generation {
    pub(super) fn new(contents: Contents) -> Self {
        Generation {
            contents,
            quarantined: Digest::default(),
        }
    }
}

impl ZoneData {
    pub(super) fn set(&mut self, apex: &Name, settings: ZoneSettings, revision: i64) {
        self.settings_digest = Digest::of_settings(apex, &settings, revision);
        self.rules = rules_of(&settings);
        self.settings = Some(settings);
        self.settings_revision = revision;
    }

    /// The RRsets of the generation that the settings name.
    pub(super) fn current(&self) -> Option<&Contents> {
        let number = self.settings.as_ref()?.generation;
        Some(&self.generations.get(&number)?.contents)
    }

    /// Whether the settings name this generation.
    pub(super) fn serves(&self, generation: u64) -> bool {
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.generation == generation)
    }

    /// Whether etcd has nothing of the zone, and nothing of it is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_none()
            && self.serial_revision == 0
            && self.generations.is_empty()
            && self.leased.is_empty()
            && self.kept.is_none()
    }

    /// The digest of all of it whose values can be used.
    pub(super) fn digest(&self, apex: &Name) -> Digest {
        let mut digest = self.settings_digest;
        digest += self.leased.digest(apex);
        if self.serial_revision > 0 {
            digest += Digest::of_serial(apex, self.serial_revision);
        }
        for (number, generation) in &self.generations {
            let mut rrsets = generation.contents.digest();
            rrsets -= generation.quarantined;
            digest += Digest::of_generation(apex, *number, rrsets);
        }
        digest
    }

    /// The zone to serve: as etcd has it, or as it is kept while a loss is held back. `default` is the promise of zones
    /// whose settings make none.
    pub(super) fn served(&mut self, apex: &Name, default: Consistency) -> Option<Zone> {
        let held = self.kept.as_ref().filter(|kept| kept.is_held);
        let held_settings = held.map(|kept| &kept.settings);
        let settings = held_settings.or(self.settings.as_ref())?;
        let soa = &settings.soa;
        let kept_revision = held.map_or(0, |kept| kept.serial_revision);
        let serial_revision = self.serial_revision.max(kept_revision);
        let touched = match serial_revision.max(self.leased.revision()) {
            0 => self.settings_revision,
            revision => revision,
        };
        let soa = SoaFields {
            mname: soa.mname.clone(),
            rname: soa.rname.clone(),
            serial: settings.serial(touched),
            refresh: soa.refresh,
            retry: soa.retry,
            expire: soa.expire,
            minimum: soa.minimum,
            ttl: soa.ttl,
        };
        // A clone shares everything: it costs the same for a zone of ten names and of a million.
        let (generation, contents) = match held {
            Some(kept) => (None, kept.contents().clone()),
            None => (Some(settings.generation), self.current_or_empty(apex)),
        };
        let contents = self.leased.merge(generation, &contents);
        let rules = held_settings.map_or_else(|| self.rules.clone(), rules_of);
        let zone = Zone::new(&soa, contents)
            .with_consistency(settings.consistency.unwrap_or(default))
            .with_rules(rules);
        Some(if held.is_some() { zone.held() } else { zone })
    }

    fn current_or_empty(&self, apex: &Name) -> Contents {
        let current = self.current().cloned();
        current.unwrap_or_else(|| Contents::new(apex.clone()))
    }
}

/// The rules that these settings make.
fn rules_of(settings: &ZoneSettings) -> Rules {
    Rules::new(&settings.allow_query, &settings.deny_query)
}

/// What is kept when others delete.
impl ZoneData {
    /// What the zone has lost to others.
    pub(super) fn loss(&self) -> Option<Loss> {
        self.kept.as_ref()?.loss()
    }

    /// Forgets losses older than an hour that were too small to be held back.
    pub(super) fn forget_losses(&mut self, now: u64) {
        self.kept.take_if(|kept| !kept.forget(now));
    }

    /// Drops the kept copy if etcd lacks none of it any more.
    pub(super) fn drop_unneeded(&mut self) {
        self.kept.take_if(|kept| !kept.retain_incomplete());
    }

    /// Keeps the zone as it is, if it is served: others are about to change it.
    pub(super) fn keep(&mut self, apex: &Name, now: u64) {
        self.forget_losses(now);
        let current = self.current().cloned();
        match (&mut self.kept, &self.settings) {
            (Some(kept), _) => kept.begin(current.as_ref(), now),
            (None, Some(settings)) => {
                let settings = (settings.clone(), self.serial_revision);
                let contents = (self.current_or_empty(apex), 0);
                self.kept = Some(Box::new(Kept::new(settings, contents, now, false)));
            }
            (None, None) => {}
        }
    }

    /// Makes the kept copy follow an RRset that is about to be put into the generation that is served.
    pub(super) fn follow_put(&mut self, owner: &Name, rtype: Rtype, rrset: &Rrset, origin: Origin) {
        if self.kept.is_none() {
            return;
        }
        let current = self.current();
        let types = current.map_or_else(Vec::new, |current| current.types(owner));
        if let Some(kept) = &mut self.kept {
            kept.put((owner, rtype), rrset, &types, origin);
        }
    }

    /// Makes the kept copy follow the deletion of an RRset from the generation that is served, which still has it.
    pub(super) fn follow_removal(
        &mut self,
        apex: &Name,
        owner: &Name,
        rtype: Rtype,
        origin: Origin,
    ) {
        if let Origin::Others(now) = origin {
            self.keep(apex, now);
        }
        if let Some(kept) = &mut self.kept {
            kept.remove(owner, rtype, origin);
        }
    }

    /// Makes the kept copy follow a change or deletion of the settings. `before` is the previous settings.
    pub(super) fn follow_settings(&mut self, before: Option<&ZoneSettings>, origin: Origin) {
        let is_same_generation = matches!((before, &self.settings), (Some(old), Some(new)) if old.generation == new.generation);
        if origin == Origin::Ours && !is_same_generation {
            self.kept = None;
        }
        let Some(kept) = &mut self.kept else { return };
        if is_same_generation {
            if let Some(settings) = &self.settings {
                kept.settings = settings.clone();
            }
            return;
        }
        if let Origin::Others(now) = origin {
            kept.lost_at = now;
        }
        self.count_gone();
    }

    fn count_gone(&mut self) {
        let (current, has_key) = (self.current().cloned(), self.settings.is_some());
        if let Some(kept) = &mut self.kept {
            kept.count_gone(current.as_ref(), has_key);
        }
    }

    /// Compares with what the zone was before everything was listed again, and keeps that if something is missing now.
    /// Nobody knows who made the changes in between. `is_touched` says that a transaction of ours has changed the zone
    /// since; then what is missing counts as meant: it is returned, and not kept. As long as something is missing, a
    /// zone that is held back stays so, unless we have switched to another generation.
    pub(super) fn keep_lost(
        &mut self,
        apex: &Name,
        before: &ZoneData,
        is_touched: bool,
        now: u64,
    ) -> Option<Loss> {
        let generation =
            |zone: &ZoneData| zone.settings.as_ref().map(|settings| settings.generation);
        let is_same_generation =
            generation(self).is_some() && generation(self) == generation(before);
        let last = before.kept.as_deref();
        let contents = match (last, &before.settings) {
            (Some(kept), _) => kept.contents().clone(),
            (None, Some(_)) => before.current_or_empty(apex),
            (None, None) => return None,
        };
        let is_held = last.is_some_and(|kept| kept.is_held);
        if is_touched && !(is_held && is_same_generation) {
            return self.loss_since(before, is_same_generation);
        }
        let is_whole = |current: &Contents| current.digest() == contents.digest();
        if self.current().is_some_and(is_whole) {
            return None;
        }
        let last_settings = last.map(|kept| &kept.settings).or(before.settings.as_ref());
        let own_settings = self.settings.as_ref().filter(|_| is_same_generation);
        let settings = own_settings.or(last_settings)?.clone();
        let kept_revision = last.map_or(0, |kept| kept.serial_revision);
        let serial_revision = before.serial_revision.max(kept_revision);
        let contents = match self.current() {
            Some(current) => {
                let mut filled = current.clone();
                filled.fill(&contents, is_cname_clash);
                filled
            }
            None => contents,
        };
        let kept = Kept::new((settings, serial_revision), (contents, 0), now, is_held);
        self.kept = Some(Box::new(kept));
        self.count_gone();
        if let (Some(last), Some(kept)) = (last, &mut self.kept)
            && kept.gone() <= last.gone()
        {
            kept.lost_at = last.lost_at;
        }
        None
    }

    /// What etcd lacks of what the zone had; nothing if the zone was switched to another generation, which only we do.
    fn loss_since(&self, before: &ZoneData, is_same_generation: bool) -> Option<Loss> {
        let had = before.current()?;
        let of = had.rrset_count() + 1;
        let gone = match (&self.settings, self.current()) {
            (None, _) => of,
            (Some(_), None) if is_same_generation => had.rrset_count(),
            (Some(_), Some(current)) if is_same_generation => had.missing_in(current),
            _ => 0,
        };
        (gone > 0).then_some(Loss { gone, of })
    }
}
