//! Likely mistakes in records that were just written.

use std::ops::Range;

use etcd_client::{GetOptions, TxnOp};

use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::{self, Finding, Rrsets};
use crate::model::{Name, Rdata, Rrset, Rtype};

/// Number of ranges read in one transaction. etcd allows 128 operations.
const RANGES_MAX: usize = 120;

/// Number of RRsets below a wildcard's parent that are examined.
const SHADOWED_MAX: i64 = 1000;

/// A range of keys and the number of keys to read from it; 0 for all.
type Limited = (Range<Vec<u8>>, i64);

impl Store {
    /// Finds likely mistakes caused by these records at `owner` in the zone `apex`. Reads only what is near the owner
    /// and near the names that the records point to, not the whole zone.
    pub async fn doubts(
        &self,
        apex: &Name,
        owner: &Name,
        rtype: Rtype,
        rdata: &[Rdata],
    ) -> Result<Vec<Finding>, StoreError> {
        let Some(read) = self.zone(apex).await?.1 else {
            return Ok(Vec::new());
        };
        let (prefix, generation) = (self.prefix(), read.settings.generation);
        let mut ranges: Vec<Limited> = Vec::new();
        for name in zonefile::names_around(apex, owner, rtype, rdata) {
            ranges.push((prefix.owner(apex, generation, &name), 0));
            if name != *apex {
                // Shows whether the name exists, even as an empty non-terminal.
                let below = prefix.below(apex, generation, &name).into_iter();
                ranges.extend(below.map(|range| (range, 1)));
            }
        }
        if owner.labels().next() == Some(b"*")
            && let Some(parent) = owner.parent()
        {
            let subtree = prefix.subtree(apex, generation, &parent);
            ranges.push((subtree, SHADOWED_MAX));
        }
        let mut rrsets = Rrsets::new();
        for ranges in ranges.chunks(RANGES_MAX) {
            self.gather(ranges, &mut rrsets).await?;
        }
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

    async fn gather(&self, ranges: &[Limited], rrsets: &mut Rrsets) -> Result<(), StoreError> {
        let gets: Vec<TxnOp> = ranges
            .iter()
            .map(|(range, limit)| {
                let options = GetOptions::new().with_range(range.end.clone());
                TxnOp::get(range.start.clone(), Some(options.with_limit(*limit)))
            })
            .collect();
        let (_, found) = self.get_at_once(gets).await?;
        for item in found.into_iter().flatten() {
            // Unreadable values are reported elsewhere.
            if let Ok((owner, stored)) = self.rrset_of(&item)
                && let Ok(rrset) = stored.rrset
            {
                rrsets.insert((owner, stored.rtype), rrset);
            }
        }
        Ok(())
    }
}
