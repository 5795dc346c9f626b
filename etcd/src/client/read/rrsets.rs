//! The RRsets of zones.

use std::collections::HashMap;
use std::ops::Range;

use super::Zones;
use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype};
use crate::schema::{Key, Unreadable, key_text};
use crate::txn::{LeasedRead, Refusal, RrsetRead, ZoneRead};

/// RRsets of a zone.
#[derive(Debug, Default)]
pub struct RrsetsRead {
    /// The RRsets, sorted by owner and type.
    pub rrsets: Vec<(Name, RrsetRead)>,
    /// Keys that are not those of an RRset.
    pub unreadable: Vec<Unreadable>,
}

impl RrsetsRead {
    fn sort(&mut self) {
        self.rrsets
            .sort_by(|(a, x), (b, y)| (a, x.rtype).cmp(&(b, y.rtype)));
    }
}

/// Selects RRsets of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those at a name.
    Owner,
    /// Those at a name and below it.
    Subtree,
}

impl Store {
    /// RRsets of the generation that the zone served when it was read.
    pub async fn rrsets(
        &self,
        read: &ZoneRead,
        owner: &Name,
        scope: Scope,
    ) -> Result<RrsetsRead, StoreError> {
        let (prefix, generation) = (self.prefix(), read.settings.generation);
        let range = match scope {
            Scope::Owner => prefix.owner(&read.apex, generation, owner),
            Scope::Subtree => prefix.subtree(&read.apex, generation, owner),
        };
        let mut stored = RrsetsRead::default();
        for item in self.list(range, Some(read.as_of)).await?.items {
            match RrsetRead::decode(prefix, &item) {
                Ok(rrset) => stored.rrsets.push(rrset),
                Err(unreadable) => stored.unreadable.push(unreadable),
            }
        }
        stored.sort();
        Ok(stored)
    }

    /// The RRsets of these zones, which are all zones below a name, at the revision of the zones and in their order. It
    /// takes as many requests as the list has pages. Also returns the keys that are not those of an RRset.
    pub async fn rrsets_below(
        &self,
        name: &Name,
        zones: &Zones,
    ) -> Result<(Vec<RrsetsRead>, Vec<Unreadable>), StoreError> {
        let range = self.prefix().rrsets_below(name);
        let listed = self.list(range, Some(zones.revision)).await?;
        let mut stored: Vec<RrsetsRead> = Vec::new();
        stored.resize_with(zones.zones.len(), RrsetsRead::default);
        let places = zones.zones.iter().enumerate();
        let places: HashMap<(&Name, u64), usize> = places
            .map(|(place, read)| ((&read.apex, read.settings.generation), place))
            .collect();
        let mut unreadable = Vec::new();
        for item in &listed.items {
            let (zone, generation) = match self.prefix().decode(&item.key) {
                Ok(Key::Rrset {
                    zone, generation, ..
                }) => (zone, generation),
                Ok(_) => continue,
                Err(error) => {
                    unreadable.push(Unreadable::new(&item.key, error));
                    continue;
                }
            };
            // All other generations and zones are not served.
            if let Some(place) = places.get(&(&zone, generation)) {
                match RrsetRead::decode(self.prefix(), item) {
                    Ok(rrset) => stored[*place].rrsets.push(rrset),
                    Err(error) => unreadable.push(error),
                }
            }
        }
        stored.iter_mut().for_each(RrsetsRead::sort);
        Ok((stored, unreadable))
    }

    /// The leased records of a range, each with its zone, at a revision. Also returns the keys that cannot be read.
    pub async fn leased(
        &self,
        range: Range<Vec<u8>>,
        revision: i64,
    ) -> Result<(Vec<(Name, LeasedRead)>, Vec<Unreadable>), StoreError> {
        let (mut leased, mut unreadable) = (Vec::new(), Vec::new());
        for item in self.list(range, Some(revision)).await?.items {
            match LeasedRead::decode(self.prefix(), &item) {
                Some(Ok(read)) => leased.push(read),
                Some(Err(error)) => unreadable.push(error),
                None => {}
            }
        }
        Ok((leased, unreadable))
    }

    /// The first RRsets of the zone when it was read, in the order of the keys.
    pub async fn some_rrsets(
        &self,
        read: &ZoneRead,
        limit: i64,
    ) -> Result<Vec<(Name, RrsetRead)>, StoreError> {
        let range = self
            .prefix()
            .generation(&read.apex, read.settings.generation);
        let (_, page, _) = self.page(range, limit, Some(read.as_of), false).await?;
        Ok(page
            .iter()
            .filter_map(|item| RrsetRead::decode(self.prefix(), item).ok())
            .collect())
    }

    /// The RRsets that a zone serves. Refused if a value cannot be read.
    pub async fn content(&self, read: &ZoneRead) -> Result<Result<Rrsets, Refusal>, StoreError> {
        Ok(self.content_and_newest(read).await?.0)
    }

    /// The same, with the revision of the RRset that was written last.
    pub(crate) async fn content_and_newest(
        &self,
        read: &ZoneRead,
    ) -> Result<(Result<Rrsets, Refusal>, i64), StoreError> {
        let stored = self
            .with_fresh_timeout()
            .rrsets(read, &read.apex, Scope::Subtree)
            .await?;
        let (mut content, mut newest) = (Ok(Rrsets::new()), 0);
        for (owner, stored) in stored.rrsets {
            newest = newest.max(stored.revision);
            match (stored.rrset, &mut content) {
                (Ok(rrset), Ok(rrsets)) => drop(rrsets.insert((owner, stored.rtype), rrset)),
                (Err(error), Ok(_)) => {
                    let key = self.key_text(read, &owner, stored.rtype);
                    content = Err(Refusal::Stored(key, error));
                }
                (_, Err(_)) => {}
            }
        }
        Ok((content, newest))
    }

    /// The key of an RRset in the served generation, as text.
    pub fn key_text(&self, read: &ZoneRead, owner: &Name, rtype: Rtype) -> String {
        key_text(&self.prefix().encode(&read.rrset_key(owner, rtype)))
    }
}
