//! Adds the records of a file to those of a zone.

use super::super::ChangeError;
use super::super::attempts::Attempts;
use super::{Import, Imported};
use crate::model::zonefile::{self, Rrsets};
use crate::model::{Name, Rtype};
use crate::schema::Key;
use crate::txn::{self, Compare, Refusal, ZoneRead};

/// The RRsets that a merge has written so far, including tries that others outran.
#[derive(Default)]
pub(super) struct Merged {
    /// Their content before, without RRsets that did not exist.
    before: Rrsets,
    /// Their content now.
    after: Rrsets,
}

impl Import<'_> {
    /// Writes what the zone lacks. None if others change the zone meanwhile.
    pub(super) async fn merge(
        &mut self,
        present: &ZoneRead,
        mut touched: i64,
        attempts: &mut Attempts<'_>,
    ) -> Result<Option<Imported>, ChangeError> {
        let prefix = self.store.prefix();
        let serial = prefix.encode(&Key::Serial(present.apex.clone()));
        let old = self.store.content(present).await??;
        let (all, plans) = txn::merge(prefix, present, &old, &self.wanted.rrsets)?;
        let broken = zonefile::violations(&present.apex, &all);
        if let Some(violation) = broken.into_iter().next() {
            return Err(Refusal::Rule(violation).into());
        }
        let below = self.below(present.as_of, &all, Some(&old)).await?;
        // The plans write them in this order.
        let wanted = self.wanted.rrsets.keys();
        let mut changing = wanted.filter(|key| old.get(key) != all.get(key));
        // Reading and checking the zone has used up time.
        attempts.renew();
        let mut since = attempts.store().head().await?.store_revision;
        for mut plan in plans {
            // Two operations write the serial and the head.
            let count = plan.ops.len() - 2;
            plan.compares.push(Compare::Unchanged {
                key: serial.clone(),
                revision: touched,
            });
            plan.compares.extend(below.iter().cloned());
            match attempts.commit(&plan, since).await? {
                Some(revision) => (touched, since) = (revision, revision),
                None => return Ok(None),
            }
            for key in changing.by_ref().take(count) {
                self.merged.note(key, &old, &all);
            }
            (self.progress)(self.merged.after.len());
        }
        let Merged { before, after } = &self.merged;
        Ok(Some(Imported {
            revision: touched,
            changed: !after.is_empty(),
            written: after.len(),
            differences: zonefile::diff(before, after),
            ..Imported::default()
        }))
    }
}

impl Merged {
    /// Records a written RRset. `before` keeps the content before its first write.
    fn note(&mut self, key: &(Name, Rtype), old: &Rrsets, new: &Rrsets) {
        if !self.after.contains_key(key)
            && let Some(old) = old.get(key)
        {
            self.before.insert(key.clone(), old.clone());
        }
        if let Some(new) = new.get(key) {
            self.after.insert(key.clone(), new.clone());
        }
    }
}
