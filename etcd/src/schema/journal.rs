//! The journal of a zone: an entry for every transaction that changes the zone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ValueError;
use super::value::StoredRrset;
use crate::model::{Name, Rrset, Rtype, ZoneSettings};

/// Names an entry. Entries sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// When it was made, in milliseconds of Unix time, by the clock of whoever made it.
    pub at: u64,
    /// Tells entries of the same millisecond apart.
    pub random: u32,
}

/// The text is not the id of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryIdError;

/// Who makes a change, with what, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Who, as they say themselves.
    pub by: String,
    /// The user that etcd knows, if it has users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The program and its command.
    pub via: String,
    /// Why, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What one transaction changed in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// When it was made, in milliseconds of Unix time.
    pub at: u64,
    /// Who made it.
    pub author: Author,
    /// The settings, if they changed. Another generation means that the records were replaced.
    pub settings: Option<SettingsChange>,
    /// The RRsets that changed in the served generation.
    pub rrsets: Vec<RrsetChange>,
    /// Whether more RRsets changed, too many to list.
    pub omits_rrsets: bool,
}

/// Old and new settings of a zone; none if there was or is no zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// Before. None also if they could not be read.
    pub old: Option<ZoneSettings>,
    /// After.
    pub new: Option<ZoneSettings>,
}

/// An RRset before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrsetChange {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// Before.
    pub old: Option<Rrset>,
    /// Whether it was there before, but could not be read.
    pub was_unreadable: bool,
    /// After.
    pub new: Option<Rrset>,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}{:08x}", self.at, self.random)
    }
}

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        let is_plain = text.len() == 20 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let (at, random) = text
            .split_at_checked(12)
            .filter(|_| is_plain)
            .ok_or(EntryIdError)?;
        Ok(EntryId {
            at: u64::from_str_radix(at, 16).map_err(|_| EntryIdError)?,
            random: u32::from_str_radix(random, 16).map_err(|_| EntryIdError)?,
        })
    }
}

/// The form of an entry in etcd.
#[derive(Serialize, Deserialize)]
struct StoredEntry<'a> {
    at: u64,
    #[serde(flatten)]
    author: Author,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsChange>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<StoredChange<'a>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    omitted: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredChange<'a> {
    owner: Name,
    #[serde(rename = "type")]
    rtype: String,
    #[serde(borrow)]
    old: Option<StoredRrset<'a>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
    #[serde(borrow)]
    new: Option<StoredRrset<'a>>,
}

impl super::Stored for JournalEntry {
    fn to_value(&self) -> Vec<u8> {
        let changes = self.rrsets.iter().map(|change| {
            let stored = |rrset: &Option<Rrset>| {
                rrset
                    .as_ref()
                    .map(|rrset| StoredRrset::of(change.rtype, rrset))
            };
            StoredChange {
                owner: change.owner.clone(),
                rtype: change.rtype.in_key(),
                old: stored(&change.old),
                unreadable: change.was_unreadable,
                new: stored(&change.new),
            }
        });
        super::value::json(&StoredEntry {
            at: self.at,
            author: self.author.clone(),
            settings: self.settings.clone(),
            changes: changes.collect(),
            omitted: self.omits_rrsets,
        })
    }
}

/// Reads an entry of a journal.
pub fn decode_journal(value: &[u8]) -> Result<JournalEntry, ValueError> {
    let stored: StoredEntry<'_> = serde_json::from_slice(value).map_err(ValueError::json)?;
    let change = |stored: StoredChange<'_>| {
        let rtype = stored
            .rtype
            .parse()
            .map_err(|_| ValueError::Type(stored.rtype.clone()))?;
        let rrset =
            |stored: Option<StoredRrset<'_>>| stored.map(|stored| stored.read(rtype)).transpose();
        Ok(RrsetChange {
            owner: stored.owner,
            rtype,
            old: rrset(stored.old)?,
            was_unreadable: stored.unreadable,
            new: rrset(stored.new)?,
        })
    };
    let rrsets: Result<_, ValueError> = stored.changes.into_iter().map(change).collect();
    Ok(JournalEntry {
        at: stored.at,
        author: stored.author,
        settings: stored.settings,
        rrsets: rrsets?,
        omits_rrsets: stored.omitted,
    })
}
