//! Changes to records: read, plan, commit; and again where a race was lost.

use super::attempts::Attempts;
use super::{ChangeError, Store, StoreError};
use crate::model::{Name, Rtype};
use crate::schema::Key;
use crate::txn::{self, Change, Line, Refusal, Surroundings, ZoneRead};

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

impl Store {
    /// Makes a change at `owner`, in the zone that holds it, or in the one given.
    pub async fn change(
        &self,
        owner: &Name,
        zone: Option<&Name>,
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
                Some(apex) => (store.zone(apex).await?.1, Vec::new()),
                None => {
                    let (_, read, closer) = store.zone_for(owner, rtype).await?;
                    (read, closer)
                }
            };
            let read = match (read, zone) {
                (Some(read), _) => read,
                (None, Some(apex)) => return Err(Refusal::UnknownZone(apex.clone()).into()),
                (None, None) => return Err(Refusal::NoZone(owner.clone()).into()),
            };
            if !owner.is_within(&read.apex) {
                return Err(
                    Refusal::Usage(format!("{owner} is not in the zone {}", read.apex)).into(),
                );
            }
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

    /// The key of an RRset in the served generation, for messages.
    pub fn key_text(&self, read: &ZoneRead, owner: &Name, rtype: Rtype) -> String {
        let key = Key::Rrset {
            zone: read.apex.clone(),
            generation: read.zone.generation,
            owner: owner.clone(),
            rtype,
        };
        String::from_utf8_lossy(&self.prefix().encode(&key)).into_owned()
    }
}
