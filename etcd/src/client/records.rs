//! Changes to records: read, plan, commit; and again where a race was lost.

use std::time::Duration;

use super::store::Committed;
use super::{ChangeError, Store, StoreError};
use crate::model::{Name, Rtype};
use crate::schema::Key;
use crate::txn::{self, Change, Line, Plan, Refusal, Surroundings, ZoneRead};

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
}

/// How often a lost race is tried again.
const TRIES: u32 = 200;

/// Counts tries, remembers whether a write may have been done, and pauses between tries.
pub(super) struct Attempts<'a> {
    store: Store,
    name: &'a Name,
    tries: u32,
    /// Why the answer to a write was lost, if one was.
    sent: Option<StoreError>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(store: &Store, name: &'a Name) -> Self {
        Attempts {
            store: store.anew(),
            name,
            tries: 0,
            sent: None,
        }
    }

    /// Begins another step.
    pub(super) fn renew(&mut self) {
        self.store = self.store.anew();
    }

    /// Whether a write was sent whose answer was lost.
    pub(super) fn sent(&self) -> bool {
        self.sent.is_some()
    }

    /// The error of a read, told as an error of the change.
    pub(super) fn failed(&self, error: StoreError) -> ChangeError {
        if self.sent() {
            ChangeError::Unknown(error)
        } else {
            ChangeError::NotWritten(error)
        }
    }

    /// The error of the last race that was lost. It may have been lost to an own write whose answer was: then nobody
    /// knows whether that was done.
    fn conflict(&mut self) -> ChangeError {
        match self.sent.take() {
            Some(error) => ChangeError::Unknown(error),
            None => ChangeError::Conflict {
                name: self.name.clone(),
                tries: self.tries,
            },
        }
    }

    /// Commits; nothing where it has to be planned again.
    ///
    /// An answer that stays out says nothing about the write. The plan compares all it relies on, so
    /// reading and planning again is safe: what was done shows, and is not done twice.
    pub(super) async fn commit(&mut self, plan: &Plan) -> Result<Option<i64>, ChangeError> {
        match self.store.commit(plan).await {
            Ok(Committed::At(revision)) => {
                self.store = self.store.anew();
                Ok(Some(revision))
            }
            Ok(Committed::Lost) => {
                self.tries += 1;
                if self.tries >= TRIES || self.store.is_late() {
                    return Err(self.conflict());
                }
                // Writers that collided once shall not collide in step for ever.
                let pause = fastrand::u64(..=u64::from(self.tries.min(10)));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Ok(None)
            }
            Err(error @ (StoreError::Unreachable(_) | StoreError::Full)) => {
                // etcd may refuse a write for want of space and have done it all the same.
                self.sent = Some(error.clone());
                let full = matches!(error, StoreError::Full);
                if self.store.is_late() || (full && self.tries > 0) {
                    return Err(if full {
                        ChangeError::NotWritten(error)
                    } else {
                        ChangeError::Unknown(error)
                    });
                }
                self.tries += 1;
                Ok(None)
            }
            Err(error @ StoreError::Unauthenticated(_)) if self.tries == 0 => {
                // The token has expired; the next read fetches another one, or fails for good.
                self.tries += 1;
                drop(error);
                Ok(None)
            }
            Err(error) => Err(self.failed(error)),
        }
    }
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
            Change::Add { rtype, .. } | Change::Set { rtype, .. } => Some(*rtype),
            Change::Remove { rtype, .. } => *rtype,
        };
        let mut attempts = Attempts::new(self, owner);
        loop {
            let (read, closer) = match zone {
                Some(apex) => (
                    self.zone(apex)
                        .await
                        .map_err(|error| attempts.failed(error))?
                        .1,
                    Vec::new(),
                ),
                None => {
                    let (_, read, closer) = self
                        .zone_for(owner, rtype)
                        .await
                        .map_err(|error| attempts.failed(error))?;
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
            let around = self
                .around(&read, closer, owner, rtype)
                .await
                .map_err(|error| attempts.failed(error))?;
            let Some(planned) = txn::apply(self.prefix(), &read, owner, &around, change)? else {
                let revision = self.head().await.map_err(|error| attempts.failed(error))?;
                return Ok(Changed {
                    zone: read.apex,
                    revision,
                    written: attempts.sent(),
                    added: vec![],
                    removed: vec![],
                });
            };
            if let Some(revision) = attempts.commit(&planned.plan).await? {
                let txn::Planned { added, removed, .. } = planned;
                return Ok(Changed {
                    zone: read.apex,
                    revision,
                    written: true,
                    added,
                    removed,
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
            .list(self.prefix().owner(apex, generation, owner))
            .await?;
        let present = listed
            .items
            .iter()
            .filter_map(|item| self.rrset_of(item))
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
            let (_, values) = self.get_all(&keys).await?;
            around.dname = values
                .iter()
                .position(Option::is_some)
                .map(|index| above[index].clone());
        }
        if rtype == Some(Rtype::DNAME) {
            for range in self.prefix().below(apex, generation, owner) {
                let found = self.first(range).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Config;
    use crate::schema::Prefix;

    #[test]
    fn a_race_that_may_be_lost_to_oneself_is_no_conflict() {
        let config = Config::new(vec!["http://127.0.0.1:1".into()]);
        let store = Store::new(config, Prefix::default(), Duration::ZERO);
        let name = "www.example.org".parse().expect("a name");
        let mut attempts = Attempts::new(&store, &name);
        assert!(matches!(attempts.conflict(), ChangeError::Conflict { .. }));
        attempts.sent = Some(StoreError::timeout("http://127.0.0.1:1"));
        assert!(matches!(attempts.conflict(), ChangeError::Unknown(_)));
    }
}
