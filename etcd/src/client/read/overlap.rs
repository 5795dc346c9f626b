//! The zones above and below a zone, and the records they hide.

use std::collections::BTreeSet;

use super::Scope;
use crate::client::connect::{Store, StoreError};
use crate::model::{Name, Rtype};
use crate::schema::Key;
use crate::txn::{self, Above, Hidden, RrsetRead, ZoneRead};

impl Store {
    /// Reads what is above a zone that is created or removed.
    pub(crate) async fn above(&self, child: &Name) -> Result<Above, StoreError> {
        let names: Vec<Name> = child.ancestors().skip(1).collect();
        let mut above = Above::default();
        if names.is_empty() {
            return Ok(above);
        }
        let (_, zones) = self.zones_at(&names).await?;
        for (name, zone) in names.into_iter().zip(zones) {
            let Some(zone) = zone else {
                above.closer.push(name);
                continue;
            };
            let parent = zone?;
            let stored = self
                .with_fresh_timeout()
                .rrsets(&parent, child, Scope::Subtree)
                .await?;
            above.rrsets = stored.rrsets;
            above.touched = self.with_fresh_timeout().touched(&parent).await?;
            above.parent = Some(parent);
            break;
        }
        Ok(above)
    }

    /// The names that the parent zone answers again once the zone is removed.
    pub(crate) async fn uncovered(&self, child: &Name) -> Result<Option<Uncovered>, StoreError> {
        let above = self.above(child).await?;
        let Some(parent) = above.parent else {
            return Ok(None);
        };
        let hidden = txn::hidden_among_read(&parent.apex, &[child.clone()].into(), &above.rrsets);
        let names: BTreeSet<Name> = hidden.into_iter().map(|one| one.owner).collect();
        Ok((!names.is_empty()).then_some(Uncovered {
            zone: parent.apex,
            names,
        }))
    }

    /// The names of the zones below a zone, at a revision, including those with unreadable settings.
    pub async fn children(&self, apex: &Name, as_of: i64) -> Result<BTreeSet<Name>, StoreError> {
        let range = self.prefix().zones_below(apex);
        let listed = self
            .with_fresh_timeout()
            .list_keys(range, Some(as_of))
            .await?;
        let names = listed
            .items
            .iter()
            .filter_map(|item| match self.prefix().decode(&item.key) {
                Ok(Key::Zone(name)) if name != *apex => Some(name),
                _ => None,
            });
        Ok(names.collect())
    }

    /// The RRsets, of those given, that zones below hide.
    pub async fn hidden(
        &self,
        read: &ZoneRead,
        children: &BTreeSet<Name>,
        rrsets: &[(Name, RrsetRead)],
    ) -> Result<Vec<Hidden>, StoreError> {
        let hidden = txn::hidden_among_read(&read.apex, children, rrsets);
        // The NS records at the child's apex show whether an address is that of a name server.
        let cuts: BTreeSet<&Name> = hidden.iter().map(|one| &one.by).collect();
        let mut others = Vec::new();
        for cut in cuts {
            let is_ns = |(owner, read): &(Name, RrsetRead)| owner == cut && read.rtype == Rtype::NS;
            if !rrsets.iter().any(is_ns) {
                let at_cut = self
                    .with_fresh_timeout()
                    .rrsets(read, cut, Scope::Owner)
                    .await?;
                others.extend(at_cut.rrsets.into_iter().filter(is_ns));
            }
        }
        let each = rrsets.iter().chain(&others);
        // The NS records added here are never hidden themselves.
        Ok(txn::hidden(
            &read.apex,
            children,
            each.map(|(owner, read)| (owner, read.rtype, read.rrset.as_ref().ok())),
        ))
    }
}

/// Names that a zone answers again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The zone.
    pub zone: Name,
    /// The names.
    pub names: BTreeSet<Name>,
}
