//! Likely mistakes in records that were just written.

use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, RrsetFinding, Rrsets};
use crate::model::{Name, Rdata, Rrset, Rtype};
use crate::schema::Key;
use crate::txn::{Get, RrsetRead};

/// Number of RRsets below a wildcard's parent that are examined.
const SHADOWED_MAX: i64 = 1000;

impl Store {
    /// Finds likely mistakes caused by these records at `owner` in the zone `apex`, at this revision or later. Reads only
    /// what is near the owner and near the names that the records point to, not the whole zone.
    pub async fn doubts(
        &self,
        apex: &Name,
        owner: &Name,
        rtype: Rtype,
        rdata: &[Rdata],
        revision: i64,
    ) -> Result<Vec<RrsetFinding>, StoreError> {
        let prefix = self.prefix();
        let zone = Get::key(prefix, &Key::Zone(apex.clone()));
        // A member that has answered with this revision has applied it.
        let zone = [zone];
        let mut reads = self.fetch_serializable(&zone, None).await?;
        if reads.revision() < revision {
            reads = self.fetch(&zone, None).await?;
        }
        let Ok(Some(read)) = reads.zone(prefix, apex) else {
            return Ok(Vec::new());
        };
        let generation = read.settings.generation;
        let mut gets: Vec<Get> = Vec::new();
        for name in zonefile::names_around(apex, owner, rtype, rdata) {
            gets.push(Get::range(prefix.owner(apex, generation, &name), 0));
            if name != *apex {
                // Shows whether the name exists, even as an empty non-terminal.
                let below = prefix.below(apex, generation, &name).into_iter();
                gets.extend(below.map(|range| Get::range(range, 1)));
            }
        }
        if owner.labels().next() == Some(b"*")
            && let Some(parent) = owner.parent()
        {
            let subtree = prefix.subtree(apex, generation, &parent);
            gets.push(Get::range(subtree, SHADOWED_MAX));
        }
        let found = self
            .fetch_serializable(&gets, Some(reads.revision()))
            .await?;
        let found = found.items().filter_map(|item| {
            // Unreadable values are reported elsewhere.
            let (owner, stored) = RrsetRead::decode(prefix, item).ok()?;
            Some(((owner, stored.rtype), stored.rrset.ok()?))
        });
        let mut rrsets: Rrsets = found.collect();
        let key = (owner.clone(), rtype);
        // After a dry run the records are not in the store. Other records of the type do not matter here.
        if let Ok(rrset) = Rrset::new(rtype, 0, rdata.to_vec()) {
            rrsets.insert(key.clone(), rrset);
        }
        let with = zonefile::doubts(apex, None, &rrsets);
        rrsets.remove(&key);
        let without = zonefile::doubts(apex, None, &rrsets);
        Ok(with
            .into_iter()
            .filter(|finding| !without.contains(finding))
            .collect())
    }
}
