//! Changes to records: read, plan, commit, and start over after a lost race.

use std::collections::BTreeSet;

use super::ChangeError;
use super::attempts::Attempts;
use crate::client::connect::{Store, StoreError};
use crate::model::{Name, Rtype};
use crate::schema::{Key, ValueError};
use crate::txn::{self, Change, ChangedRecord, Hidden, Refusal, RrsetRead, Surroundings, ZoneRead};

/// The result of a change.
#[derive(Debug)]
pub struct Changed {
    /// The zone that holds the name.
    pub zone: Name,
    /// The revision of the change, or the newest one if there was nothing to change.
    pub revision: i64,
    /// Whether anything was written.
    pub written: bool,
    /// The records that were added.
    pub added: Vec<ChangedRecord>,
    /// The records that were removed.
    pub removed: Vec<ChangedRecord>,
    /// The types of removed RRsets whose values could not be read.
    pub unreadable: Vec<Rtype>,
}

/// A zone chosen by the user. It need not be the closest one that encloses the owner.
#[derive(Clone, Copy, Debug)]
pub struct InZone<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// Whether records may be hidden by a zone below, which answers for them.
    pub hide: bool,
}

impl Store {
    /// Changes the records at `owner`, in the given zone or else in the one that holds the name.
    pub async fn change(
        &self,
        owner: &Name,
        zone: Option<InZone<'_>>,
        change: &Change,
    ) -> Result<Changed, ChangeError> {
        let rtype = match change {
            Change::Add { rtype, .. }
            | Change::Set { rtype, .. }
            | Change::Replace { rtype, .. }
            | Change::Ttl { rtype, .. } => Some(*rtype),
            Change::Remove { rtype, .. } => *rtype,
        };
        let mut attempts = Attempts::new(self, owner);
        loop {
            let store = attempts.store();
            let (read, closer) = match zone {
                Some(zone) => store.zone_given(owner, zone, change).await?,
                None => store.zone_holding(owner, rtype).await?,
            };
            let around = store.around(&read, closer, owner, rtype).await?;
            let Some(planned) = txn::apply(self.prefix(), &read, owner, &around, change)? else {
                return Ok(Changed {
                    zone: read.apex,
                    revision: store.head().await?.revision,
                    written: false,
                    added: vec![],
                    removed: vec![],
                    unreadable: vec![],
                });
            };
            if let Some(revision) = attempts.commit(&planned.plan, around.revision).await? {
                let txn::Planned {
                    added,
                    removed,
                    unreadable,
                    ..
                } = planned;
                return Ok(Changed {
                    zone: read.apex,
                    revision,
                    written: true,
                    added,
                    removed,
                    unreadable,
                });
            }
        }
    }

    /// Reads the zone that holds records of this type at `owner`. Also returns the closer names, which must not become
    /// zones meanwhile.
    async fn zone_holding(
        &self,
        owner: &Name,
        rtype: Option<Rtype>,
    ) -> Result<(ZoneRead, Vec<Name>), ChangeError> {
        let (revision, read, closer) = self.zone_for(owner, rtype).await?;
        if let Some(read) = read {
            return Ok((read, closer));
        }
        let lost = self
            .with_fresh_timeout()
            .lost_zone(&closer, revision)
            .await?;
        let refusal = lost.map_or_else(|| Refusal::NoZone(owner.clone()), Refusal::ZoneLost);
        Err(refusal.into())
    }

    /// Reads the zone chosen by the user. Also returns the names closer to the owner, which must not become zones
    /// meanwhile.
    async fn zone_given(
        &self,
        owner: &Name,
        zone: InZone<'_>,
        change: &Change,
    ) -> Result<(ZoneRead, Vec<Name>), ChangeError> {
        let InZone { apex, hide } = zone;
        if !owner.is_within(apex) {
            let (owner, zone) = (owner.clone(), apex.clone());
            return Err(Refusal::Outside { owner, zone }.into());
        }
        let mut names: Vec<Name> = owner.ancestors().take_while(|name| name != apex).collect();
        names.push(apex.clone());
        let (revision, mut zones) = self.zones_at(&names).await?;
        let read = zones
            .pop()
            .flatten()
            .transpose()
            .map_err(StoreError::from)?;
        let Some(read) = read else {
            return Err(self.no_zone(apex, revision).await?.into());
        };
        let rtype = match change {
            Change::Add { rtype, .. }
            | Change::Set { rtype, .. }
            | Change::Replace { rtype, .. }
                if !hide =>
            {
                *rtype
            }
            // Hidden records may be removed or get another TTL.
            _ => return Ok((read, Vec::new())),
        };
        let (mut closer, mut children) = (Vec::new(), BTreeSet::new());
        for (name, zone) in names.into_iter().zip(zones) {
            match zone {
                Some(_) => drop(children.insert(name)),
                None => closer.push(name),
            }
        }
        // NS and DS records at a cut belong to the parent, whether or not the child is a zone.
        let is_delegation = matches!(rtype, Rtype::NS | Rtype::DS);
        closer.retain(|name| !(is_delegation && name == owner));
        self.refuse_hidden(&read, &children, owner, rtype).await?;
        Ok((read, closer))
    }

    /// Refuses an RRset that a zone below would hide.
    async fn refuse_hidden(
        &self,
        read: &ZoneRead,
        children: &BTreeSet<Name>,
        owner: &Name,
        rtype: Rtype,
    ) -> Result<(), ChangeError> {
        // The value does not matter here.
        let wanted = RrsetRead {
            rtype,
            rrset: Err(ValueError::Soa),
            revision: 0,
        };
        let wanted = [(owner.clone(), wanted)];
        let hidden = self.hidden(read, children, &wanted).await?;
        match hidden.into_iter().next() {
            Some(Hidden { owner, by, .. }) => Err(Refusal::Hidden {
                zone: read.apex.clone(),
                child: by,
                names: vec![owner],
            }
            .into()),
            None => Ok(()),
        }
    }

    /// Reads what is at an owner, above it and, for a DNAME record, below it.
    async fn around(
        &self,
        read: &ZoneRead,
        closer: Vec<Name>,
        owner: &Name,
        rtype: Option<Rtype>,
    ) -> Result<Surroundings, StoreError> {
        let (apex, generation) = (&read.apex, read.settings.generation);
        let listed = self
            .list(self.prefix().owner(apex, generation, owner), None)
            .await?;
        let present = listed
            .items
            .iter()
            .filter_map(|item| self.rrset_of(item).ok())
            .map(|(_, rrset)| rrset)
            .collect();
        let mut around = Surroundings {
            revision: listed.revision,
            closer,
            present,
            dname: self.dname_above(read, owner).await?,
            ..Surroundings::default()
        };
        if rtype == Some(Rtype::DNAME) {
            for range in self.prefix().below(apex, generation, owner) {
                let found = self.first(range, None).await?;
                let found = found.and_then(|key| self.prefix().decode(&key).ok());
                if let Some(Key::Rrset { owner, .. }) = found {
                    around.below = Some(owner);
                }
            }
        }
        Ok(around)
    }

    /// The owner of a DNAME record above a name in the zone.
    async fn dname_above(&self, read: &ZoneRead, owner: &Name) -> Result<Option<Name>, StoreError> {
        let above = txn::dname_candidates(&read.apex, owner);
        if above.is_empty() {
            return Ok(None);
        }
        let key = |name: &Name| {
            self.prefix().encode(&Key::Rrset {
                zone: read.apex.clone(),
                generation: read.settings.generation,
                owner: name.clone(),
                rtype: Rtype::DNAME,
            })
        };
        let keys: Vec<Vec<u8>> = above.iter().map(key).collect();
        let (_, values) = self.get_all(&keys, None).await?;
        let index = values.iter().position(Option::is_some);
        Ok(index.map(|index| above[index].clone()))
    }
}
