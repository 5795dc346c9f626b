//! Journals, and what zones were according to them.

use crate::client::connect::{Store, StoreError};
use crate::model::zonefile::Rrsets;
use crate::model::{Name, Rtype, ZoneSettings};
use crate::schema::{Key, KeyValue, Prefix, Unreadable, decode_archive, decode_journal};
use crate::txn::{Get, Moment, NotRecorded, Past, Recorded, Refusal, WayBack, ZoneRead};

/// Number of entries that are read at once: each may be as large as a transaction.
const AT_ONCE: usize = 4;

/// Entries of journals.
#[derive(Debug, Default)]
pub struct Journal {
    /// The store's revision.
    pub revision: i64,
    /// The entries, the newest first.
    pub entries: Vec<Recorded>,
    /// Keys that are no entries.
    pub unreadable: Vec<Unreadable>,
}

/// Since when entries of journals are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// After this revision.
    Revision(i64),
    /// At this time or later, in milliseconds of Unix time.
    Time(u64),
}

impl Since {
    /// Whether a change of this revision, made at this time, is meant.
    pub fn includes(self, revision: i64, at: u64) -> bool {
        match self {
            Since::Revision(after) => revision > after,
            Since::Time(time) => at >= time,
        }
    }
}

/// A zone in the past.
#[derive(Debug)]
pub struct ZonePast {
    /// The zone.
    pub past: Past,
    /// The revision of its last change until then.
    pub revision: i64,
    /// The store's revision when that was found out.
    pub as_of: i64,
}

impl Store {
    /// The journal of a zone, or those of all zones, at a revision if one is given.
    pub async fn journal(
        &self,
        zone: Option<&Name>,
        as_of: Option<i64>,
    ) -> Result<Journal, StoreError> {
        let prefix = self.prefix();
        let range = zone.map_or_else(|| prefix.journals(), |zone| prefix.journal(zone));
        let listed = self.list(range, as_of).await?;
        Ok(self.journal_of(listed.revision, &listed.items))
    }

    /// The newest entries of the journal of a zone, or of those of all zones, that were made since a moment; and the number
    /// of all that were. At a revision if one is given.
    pub async fn recent_journal(
        &self,
        zone: Option<&Name>,
        since: Since,
        limit: usize,
        as_of: Option<i64>,
    ) -> Result<(Journal, usize), StoreError> {
        let prefix = self.prefix();
        let range = zone.map_or_else(|| prefix.journals(), |zone| prefix.journal(zone));
        let listed = self.list_keys(range, as_of).await?;
        let (count, mut items) = (listed.items.len(), listed.items);
        let mut unreadable = Vec::new();
        items.retain(|item| match prefix.decode(&item.key) {
            Ok(Key::Journal { id, .. }) => since.includes(item.mod_revision, id.at),
            Ok(_) => false,
            Err(error) => {
                unreadable.push(Unreadable::new(&item.key, error));
                false
            }
        });
        let all = items.len();
        items.sort_by_key(|item| std::cmp::Reverse(item.mod_revision));
        items.truncate(limit);
        if items.len() == count {
            let store = self.with_fresh_timeout();
            return Ok((store.journal(zone, Some(listed.revision)).await?, all));
        }
        let mut found = Vec::new();
        for items in items.chunks(AT_ONCE) {
            let gets: Vec<Get> = items
                .iter()
                .map(|item| Get::range(item.key.clone()..Vec::new(), 0))
                .collect();
            let store = self.with_fresh_timeout();
            let reads = store.fetch(&gets, Some(listed.revision)).await?;
            found.extend(reads.items().cloned());
        }
        let mut journal = self.journal_of(listed.revision, &found);
        journal.unreadable.extend(unreadable);
        Ok((journal, all))
    }

    fn journal_of(&self, revision: i64, items: &[KeyValue]) -> Journal {
        let mut journal = Journal {
            revision,
            ..Journal::default()
        };
        for item in items {
            match recorded(self.prefix(), item) {
                Ok(entry) => journal.entries.extend(entry),
                Err(unreadable) => journal.unreadable.push(unreadable),
            }
        }
        let entries = &mut journal.entries;
        entries.sort_by(|a, b| {
            b.revision
                .cmp(&a.revision)
                .then_with(|| a.zone.cmp(&b.zone))
        });
        journal
    }

    /// What a zone was at a moment, according to its journal.
    pub async fn zone_past(
        &self,
        apex: &Name,
        moment: Moment,
    ) -> Result<Result<ZonePast, NotRecorded>, StoreError> {
        let slot = self.slot(apex).await?;
        if let Moment::Revision(revision) = moment
            && revision > slot.revision
        {
            return Ok(Err(NotRecorded::Future(revision, slot.revision)));
        }
        let journal = self
            .with_fresh_timeout()
            .journal(Some(apex), Some(slot.revision))
            .await?;
        // Without one of its entries, the journal would lead to something that never was.
        if let Some(unreadable) = journal.unreadable.into_iter().next() {
            return Err(StoreError::Unreadable(unreadable));
        }
        let present = slot.present.as_ref().map(|present| &present.settings);
        let way = WayBack::to(moment, present, slot.serial, &journal.entries);
        let way = match way {
            Ok(way) => way,
            Err(why) => return Ok(Err(why)),
        };
        let begin = match (&way.replaced, &slot.present) {
            (Some((revision, settings)), _) => Some(((*settings).clone(), Some(*revision))),
            (None, Some(present)) => Some((present.settings.clone(), None)),
            // Its settings were deleted by something else, or could not be read.
            (None, None) => {
                let settings = way.settings().cloned();
                settings.map(|settings| (settings, Some(slot.serial.revision)))
            }
        };
        let rrsets = match begin {
            None => Rrsets::new(),
            Some((settings, None)) => self.records(apex, settings, slot.revision).await?,
            Some((settings, Some(revision))) => {
                let generation = settings.generation;
                let archived = self.archived(apex, generation, slot.revision).await?;
                let found = match archived {
                    Some(rrsets) => Some(rrsets),
                    None => self.unswept(apex, settings, slot.revision).await?,
                };
                match found {
                    Some(rrsets) => rrsets,
                    None => return Ok(Err(NotRecorded::Replaced(revision))),
                }
            }
        };
        let revision = way.revision;
        Ok(way.go(rrsets).map(|past| ZonePast {
            past,
            revision,
            as_of: slot.revision,
        }))
    }
}

impl Store {
    /// The records of the generation that the settings name.
    async fn records(
        &self,
        apex: &Name,
        settings: ZoneSettings,
        as_of: i64,
    ) -> Result<Rrsets, StoreError> {
        let read = generation_read(apex, settings, as_of);
        self.content(&read).await?.map_err(unreadable)
    }

    /// The same of a generation that was replaced, if all of it is still there.
    pub(crate) async fn unswept(
        &self,
        apex: &Name,
        settings: ZoneSettings,
        as_of: i64,
    ) -> Result<Option<Rrsets>, StoreError> {
        let rrsets = self.records(apex, settings, as_of).await?;
        // Whoever deletes a generation begins with the apex.
        let is_whole = rrsets.contains_key(&(apex.clone(), Rtype::NS));
        Ok(is_whole.then_some(rrsets))
    }

    /// An archived generation, if all of it is there.
    pub(crate) async fn archived(
        &self,
        apex: &Name,
        generation: u64,
        as_of: i64,
    ) -> Result<Option<Rrsets>, StoreError> {
        let range = self.prefix().archived(apex, generation);
        let listed = self.with_fresh_timeout().list(range, Some(as_of)).await?;
        let mut rrsets = Rrsets::new();
        for item in &listed.items {
            let chunk = decode_archive(&item.value)
                .map_err(|error| StoreError::Unreadable(Unreadable::new(&item.key, error)))?;
            if chunk.chunks as usize != listed.items.len() {
                return Ok(None);
            }
            rrsets.extend(chunk.rrsets);
        }
        Ok((!listed.items.is_empty()).then_some(rrsets))
    }
}

/// Reads an entry of a journal; none if the key is that of something else.
pub(crate) fn recorded(prefix: &Prefix, item: &KeyValue) -> Result<Option<Recorded>, Unreadable> {
    let Key::Journal { zone, id } = prefix
        .decode(&item.key)
        .map_err(|error| Unreadable::new(&item.key, error))?
    else {
        return Ok(None);
    };
    let entry = decode_journal(&item.value).map_err(|error| Unreadable::new(&item.key, error))?;
    Ok(Some(Recorded {
        zone,
        id,
        revision: item.mod_revision,
        entry,
    }))
}

fn generation_read(apex: &Name, settings: ZoneSettings, as_of: i64) -> ZoneRead {
    ZoneRead {
        apex: apex.clone(),
        settings,
        revision: 0,
        as_of,
    }
}

fn unreadable(refusal: Refusal) -> StoreError {
    match refusal {
        Refusal::Stored(key, error) => StoreError::Unreadable(Unreadable {
            key,
            reason: error.to_string(),
        }),
        other => StoreError::Unreadable(Unreadable {
            key: String::new(),
            reason: other.to_string(),
        }),
    }
}
