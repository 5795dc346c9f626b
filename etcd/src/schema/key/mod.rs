//! Keys.

mod ranges;

use std::fmt;
use std::str::FromStr;

use super::{Attempt, EntryId, Instance};
use crate::model::{Name, Rtype, shown, write_label};

/// The key of the secrets for DNS cookies. It has a folder of its own, so that etcd's permissions can leave it out.
const COOKIE: &str = "secret/cookie";

/// The prefix that all keys of one installation share, `/ns` by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// A key, for a message: it may be anything that others have put into etcd.
pub fn key_text(key: &[u8]) -> String {
    shown(key)
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The settings of a zone.
    Zone(Name),
    /// The key whose revision gives a zone's serial.
    Serial(Name),
    /// The key whose revision is that of the last change.
    Head,
    /// An RRset.
    Rrset {
        /// The apex of its zone.
        zone: Name,
        /// The generation it belongs to.
        generation: u64,
        /// Its owner, absolute.
        owner: Name,
        /// Its type.
        rtype: Rtype,
    },
    /// Records that one announcer keeps at an owner, under its lease.
    Leased {
        /// The apex of their zone.
        zone: Name,
        /// Their owner, absolute.
        owner: Name,
        /// Their type.
        rtype: Rtype,
        /// The announcer.
        instance: Instance,
    },
    /// The key whose revision gives a zone's serial when its leased records have changed.
    LeasedSerial(Name),
    /// A front-end, by id.
    Frontend(String),
    /// An operator's statement that records were deleted on purpose.
    Accepted,
    /// The secrets for DNS cookies.
    Cookie,
    /// An attempt that must no longer be applied.
    Withdrawn(Attempt),
    /// An entry in the journal of a zone.
    Journal {
        /// The apex of the zone.
        zone: Name,
        /// The entry.
        id: EntryId,
    },
    /// A part of a generation that was replaced.
    Archived {
        /// The apex of the zone.
        zone: Name,
        /// The generation.
        generation: u64,
        /// The number of the part.
        chunk: u32,
    },
}

/// Why a key is not one of this schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError(&'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

impl Default for Prefix {
    fn default() -> Self {
        Prefix("/ns".into())
    }
}

impl FromStr for Prefix {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() || text.bytes().any(|octet| octet.is_ascii_control()) {
            return Err(KeyError(
                "a prefix is not empty and has no control characters, as in /ns",
            ));
        }
        Ok(Prefix(text.into()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Prefix {
    /// Writes a key.
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let mut text = self.folder("");
        match key {
            Key::Zone(zone) => {
                text.push_str("zone/");
                push_zone(&mut text, zone);
            }
            Key::Serial(zone) => {
                text.push_str("serial/");
                push_zone(&mut text, zone);
            }
            Key::Head => text.push_str("head"),
            Key::Accepted => text.push_str("accepted"),
            Key::Cookie => text.push_str(COOKIE),
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                text = self.generation_folder(zone, *generation);
                push_owner(&mut text, zone, owner);
                text.push('/');
                text.push_str(&rtype.in_key());
            }
            Key::Leased {
                zone,
                owner,
                rtype,
                instance,
            } => {
                text = self.leased_folder(zone);
                push_owner(&mut text, zone, owner);
                text.push_str(&format!("/{}/{instance}", rtype.in_key()));
            }
            Key::LeasedSerial(zone) => {
                text.push_str("leased-serial/");
                push_zone(&mut text, zone);
            }
            Key::Frontend(id) => {
                text.push_str("frontend/");
                text.push_str(id);
            }
            Key::Withdrawn(attempt) => {
                text.push_str("withdrawn/");
                text.push_str(&attempt.to_string());
            }
            Key::Journal { zone, id } => {
                text = self.journal_folder();
                push_zone(&mut text, zone);
                text.push('/');
                text.push_str(&id.to_string());
            }
            Key::Archived {
                zone,
                generation,
                chunk,
            } => text = format!("{}{generation}/{chunk:06x}", self.archive_folder(zone)),
        }
        text.into_bytes()
    }

    /// Reads a key. Each key has one spelling, the one that `encode` writes; others are errors.
    pub fn decode(&self, key: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(key).map_err(|_| KeyError("the key is not text"))?;
        let outside = KeyError("the key is outside of the prefix");
        let rest = text.strip_prefix(&self.0).ok_or(outside)?;
        let decoded = match rest.strip_prefix("/v1/") {
            Some(rest) => mirrored(rest)?,
            None => match rest.strip_prefix("/journal/v1/") {
                Some(rest) => journal_entry(rest)?,
                None => archived(rest.strip_prefix("/archive/v1/").ok_or(outside)?)?,
            },
        };
        if self.encode(&decoded) != key {
            return Err(KeyError("the key is not in canonical form"));
        }
        Ok(decoded)
    }

    fn archive_folder(&self, zone: &Name) -> String {
        let mut key = format!("{}/archive/v1/", self.0);
        push_zone(&mut key, zone);
        key.push('/');
        key
    }

    fn leased_folder(&self, zone: &Name) -> String {
        let mut key = self.folder("leased/");
        push_zone(&mut key, zone);
        key.push('/');
        key
    }

    fn journal_folder(&self) -> String {
        format!("{}/journal/v1/", self.0)
    }

    fn folder(&self, name: &str) -> String {
        format!("{}/v1/{name}", self.0)
    }

    fn generation_folder(&self, zone: &Name, generation: u64) -> String {
        let mut key = self.folder("rr/");
        push_zone(&mut key, zone);
        key.push('/');
        key.push_str(&generation.to_string());
        key.push('/');
        key
    }
}

fn push_zone(out: &mut String, zone: &Name) {
    if zone.is_root() {
        out.push('.');
    }
    push_labels(out, zone.labels().collect());
}

/// The owner is in the zone: callers look up the zone of an owner first.
fn push_owner(out: &mut String, zone: &Name, owner: &Name) {
    let own = owner.label_count().saturating_sub(zone.label_count());
    if own == 0 {
        out.push('@');
    }
    push_labels(out, owner.labels().take(own).collect());
}

fn push_labels(out: &mut String, labels: Vec<&[u8]>) {
    for (index, label) in labels.iter().rev().enumerate() {
        if index > 0 {
            out.push('.');
        }
        push_label(out, label);
    }
}

/// Writes a label in presentation form, with slashes escaped as well.
fn push_label(out: &mut String, label: &[u8]) {
    let start = out.len();
    // Writing to a string does not fail.
    let _ = write_label(out, label);
    if label.contains(&b'/') {
        let escaped = out[start..].replace('/', "\\047");
        out.truncate(start);
        out.push_str(&escaped);
    }
}

/// Reads a key that front-ends mirror.
fn mirrored(rest: &str) -> Result<Key, KeyError> {
    match rest {
        "head" => return Ok(Key::Head),
        "accepted" => return Ok(Key::Accepted),
        COOKIE => return Ok(Key::Cookie),
        _ => {}
    }
    let (folder, rest) = rest
        .split_once('/')
        .ok_or(KeyError("the key has no known form"))?;
    Ok(match folder {
        "zone" => Key::Zone(zone_name(rest)?),
        "serial" => Key::Serial(zone_name(rest)?),
        "frontend" => Key::Frontend(rest.into()),
        "withdrawn" => {
            let attempt = rest.parse();
            Key::Withdrawn(
                attempt.map_err(|_| KeyError("an attempt is named by hexadecimal digits"))?,
            )
        }
        "rr" => {
            let [zone, generation, owner, rtype] =
                parts(rest, KeyError("the key of an RRset is cut short"))?;
            let zone = zone_name(zone)?;
            let generation = generation
                .parse()
                .map_err(|_| KeyError("the generation is not a number"))?;
            let owner = owner_name(owner, &zone)?;
            let rtype = rtype
                .parse()
                .map_err(|_| KeyError("the key does not end in a record type"))?;
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            }
        }
        "leased-serial" => Key::LeasedSerial(zone_name(rest)?),
        "leased" => {
            let [zone, owner, rtype, instance] =
                parts(rest, KeyError("the key of leased records is cut short"))?;
            let zone = zone_name(zone)?;
            let owner = owner_name(owner, &zone)?;
            let rtype = rtype
                .parse()
                .map_err(|_| KeyError("the key has no record type"))?;
            let instance = instance
                .parse()
                .map_err(|_| KeyError("an announcer is named by hexadecimal digits"))?;
            Key::Leased {
                zone,
                owner,
                rtype,
                instance,
            }
        }
        _ => return Err(KeyError("the key has no known form")),
    })
}

/// The first parts between the slashes of a key.
fn parts<const N: usize>(rest: &str, short: KeyError) -> Result<[&str; N], KeyError> {
    let mut parts = rest.split('/');
    let mut taken = [""; N];
    for part in &mut taken {
        *part = parts.next().ok_or(short)?;
    }
    Ok(taken)
}

fn journal_entry(rest: &str) -> Result<Key, KeyError> {
    let (zone, id) = rest
        .split_once('/')
        .ok_or(KeyError("the key of an entry is cut short"))?;
    let id = id.parse();
    Ok(Key::Journal {
        zone: zone_name(zone)?,
        id: id.map_err(|_| KeyError("an entry is named by its time and a number"))?,
    })
}

fn archived(rest: &str) -> Result<Key, KeyError> {
    let short = KeyError("the key of an archive is cut short");
    let (zone, rest) = rest.split_once('/').ok_or(short)?;
    let (generation, chunk) = rest.split_once('/').ok_or(short)?;
    let number = |_| KeyError("a part of an archive is named by two numbers");
    Ok(Key::Archived {
        zone: zone_name(zone)?,
        generation: generation.parse().map_err(number)?,
        chunk: u32::from_str_radix(chunk, 16).map_err(number)?,
    })
}

fn zone_name(text: &str) -> Result<Name, KeyError> {
    if text == "." {
        Ok(Name::root())
    } else {
        reversed(text, &Name::root())
    }
}

fn owner_name(text: &str, zone: &Name) -> Result<Name, KeyError> {
    if text == "@" {
        Ok(zone.clone())
    } else {
        reversed(text, zone)
    }
}

fn reversed(text: &str, suffix: &Name) -> Result<Name, KeyError> {
    let bad = |_| KeyError("a name in the key is not a domain name");
    let relative: Name = text.parse().map_err(bad)?;
    let labels: Vec<&[u8]> = relative.labels().collect();
    Name::from_labels(labels.into_iter().rev(), suffix).map_err(bad)
}
