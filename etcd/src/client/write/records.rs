//! Changes to records: read, plan, commit; and again where a race was lost.

use std::collections::BTreeSet;

use super::ChangeError;
use super::attempts::Attempts;
use crate::client::connect::{Store, StoreError};
use crate::model::{Name, Rtype};
use crate::schema::{Key, ValueError};
use crate::txn::{self, Change, Hidden, Line, Refusal, RrsetRead, Surroundings, ZoneRead};

/// What a change came to.
#[derive(Debug)]
pub struct Changed {
    /// The zone that holds the name.
    pub zone: Name,
    /// The revision at which it is so: that of the change, or of the last one before where there was
    /// nothing to change.
    pub revision: i64,
    /// Whether anything was written.
    pub written: bool,
    /// The records that came.
    pub added: Vec<Line>,
    /// The records that went.
    pub removed: Vec<Line>,
    /// The types of the sets that went and whose values could not be read.
    pub unreadable: Vec<Rtype>,
}

/// A zone that is named, be it the closest that holds a name or not.
#[derive(Clone, Copy, Debug)]
pub struct InZone<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// Whether records may come behind a zone below it, which answers for them.
    pub hide: bool,
}

impl Store {
    /// Makes a change at `owner`, in the zone that holds it, or in the one given.
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
                None => {
                    let (revision, read, closer) = store.zone_for(owner, rtype).await?;
                    let Some(read) = read else {
                        let lost = self.anew().lost_zone(&closer, revision).await?;
                        let refusal =
                            lost.map_or_else(|| Refusal::NoZone(owner.clone()), Refusal::ZoneLost);
                        return Err(refusal.into());
                    };
                    (read, closer)
                }
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

    /// A zone that is named, and the names closer to the owner that are no zones and must not become one.
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
            // What is hidden already may go, or get another TTL.
            _ => return Ok((read, Vec::new())),
        };
        let (mut closer, mut children) = (Vec::new(), BTreeSet::new());
        for (name, zone) in names.into_iter().zip(zones) {
            match zone {
                Some(_) => drop(children.insert(name)),
                None => closer.push(name),
            }
        }
        // The delegation is the parent's, also at and below a name that is no zone yet.
        let is_delegation = matches!(rtype, Rtype::NS | Rtype::DS);
        closer.retain(|name| !(is_delegation && name == owner));
        let wanted = RrsetRead {
            rtype,
            rrset: Err(ValueError::Soa),
            revision: 0,
        };
        let wanted = [(owner.clone(), wanted)];
        let hidden = self.hidden(&read, &children, &wanted).await?;
        match hidden.into_iter().next() {
            Some(Hidden { owner, by, .. }) => Err(Refusal::Hidden {
                zone: apex.clone(),
                child: by,
                names: vec![owner],
            }
            .into()),
            None => Ok((read, closer)),
        }
    }

    /// What is at an owner, above it and, for a DNAME record, below it.
    async fn around(
        &self,
        read: &ZoneRead,
        closer: Vec<Name>,
        owner: &Name,
        rtype: Option<Rtype>,
    ) -> Result<Surroundings, StoreError> {
        let (apex, generation) = (&read.apex, read.zone.generation);
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
            ..Surroundings::default()
        };
        let above = txn::dname_candidates(apex, owner);
        if !above.is_empty() {
            let key = |name: &Name| Key::Rrset {
                zone: apex.clone(),
                generation,
                owner: name.clone(),
                rtype: Rtype::DNAME,
            };
            let keys: Vec<Vec<u8>> = above
                .iter()
                .map(|name| self.prefix().encode(&key(name)))
                .collect();
            let (_, values) = self.get_all(&keys, None).await?;
            around.dname = values
                .iter()
                .position(Option::is_some)
                .map(|index| above[index].clone());
        }
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
}
