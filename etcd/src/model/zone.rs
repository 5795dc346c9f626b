//! The settings of a zone.

use serde::{Deserialize, Serialize};

use super::address_prefix::AddressPrefix;
use super::consistency::Consistency;
use super::name::Name;
use super::rrset::TTL_MAX;

/// The settings of a zone, stored under its zone key: everything that is not an RRset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSettings {
    /// The SOA record without its serial, which follows from etcd's revision.
    pub soa: Soa,
    /// The generation of RRsets that is served.
    pub generation: u64,
    /// Added to the revision to give the serial.
    #[serde(default)]
    pub serial_base: u32,
    /// The TTL of records that are added without one, in seconds.
    pub default_ttl: u32,
    /// How fresh answers must be; without it, the front-end's own setting applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// The clients that may query; empty for all that `deny_query` does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_query: Vec<AddressPrefix>,
    /// The clients that may not query, whatever `allow_query` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny_query: Vec<AddressPrefix>,
    /// How long the journal keeps an entry, in seconds; without it, [`JOURNAL_AGE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_age: Option<u32>,
    /// How many entries the journal keeps; without it, [`JOURNAL_ENTRIES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_entries: Option<u32>,
    /// How many replaced generations are kept for a rollback; without it, [`JOURNAL_ARCHIVES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_archives: Option<u32>,
}

/// How long a journal keeps an entry by default, in seconds: 30 days.
pub const JOURNAL_AGE: u32 = 30 * 24 * 60 * 60;

/// How many entries a journal keeps by default. An entry about one record takes some 350 octets, so a zone that changes all
/// the time has a journal of about 180 kB.
pub const JOURNAL_ENTRIES: u32 = 500;

/// The fields of the SOA record without its serial (RFC 1035 3.3.13); periods in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soa {
    /// The primary name server.
    pub mname: Name,
    /// The mailbox of the person responsible, its `@` written as a dot.
    pub rname: Name,
    /// How often secondaries look for a new serial.
    pub refresh: u32,
    /// How soon they try again.
    pub retry: u32,
    /// When they give up answering.
    pub expire: u32,
    /// The TTL of negative answers (RFC 2308 4), unless `ttl` is less.
    pub minimum: u32,
    /// The TTL of the SOA record.
    pub ttl: u32,
}

/// How many replaced generations are kept by default. A record takes some 15 octets there, as it is compressed.
pub const JOURNAL_ARCHIVES: u32 = 3;

impl ZoneSettings {
    /// Settings with this primary name server and mailbox. The periods suit records that change often: negative answers
    /// are cached for a minute.
    pub fn new(mname: Name, rname: Name) -> Self {
        let soa = Soa {
            mname,
            rname,
            refresh: 3600,
            retry: 600,
            expire: 1_209_600,
            minimum: 60,
            ttl: 3600,
        };
        ZoneSettings {
            soa,
            generation: 1,
            serial_base: 0,
            default_ttl: 300,
            consistency: None,
            allow_query: Vec::new(),
            deny_query: Vec::new(),
            journal_age: None,
            journal_entries: None,
            journal_archives: None,
        }
    }

    /// How many replaced generations are kept.
    pub fn journal_archives(&self) -> u32 {
        self.journal_archives.unwrap_or(JOURNAL_ARCHIVES)
    }

    /// How long the journal keeps an entry, in seconds.
    pub fn journal_age(&self) -> u32 {
        self.journal_age.unwrap_or(JOURNAL_AGE)
    }

    /// How many entries the journal keeps.
    pub fn journal_entries(&self) -> u32 {
        self.journal_entries.unwrap_or(JOURNAL_ENTRIES)
    }

    /// Takes over what a master file does not have from these settings.
    pub fn keep_others_of(&mut self, present: &ZoneSettings) {
        let ZoneSettings {
            default_ttl,
            consistency,
            allow_query,
            deny_query,
            ..
        } = present;
        self.default_ttl = *default_ttl;
        self.consistency = *consistency;
        self.allow_query.clone_from(allow_query);
        self.deny_query.clone_from(deny_query);
        self.keep_journal_of(present);
    }

    /// Takes over how much the journal keeps.
    pub fn keep_journal_of(&mut self, present: &ZoneSettings) {
        self.journal_age = present.journal_age;
        self.journal_entries = present.journal_entries;
        self.journal_archives = present.journal_archives;
    }

    /// The serial of the zone if `revision` changed it last. It grows with every change, and is the same on every
    /// front-end at the same revision.
    pub fn serial(&self, revision: i64) -> u32 {
        // Serials live modulo 2^32 (RFC 1982).
        self.serial_base.wrapping_add(revision as u32)
    }

    /// The name of the first setting that is out of range.
    pub fn fault(&self) -> Option<&'static str> {
        let ttls = [
            ("SOA TTL", self.soa.ttl),
            ("SOA minimum", self.soa.minimum),
            ("default TTL", self.default_ttl),
        ];
        ttls.iter()
            .find(|(_, ttl)| *ttl > TTL_MAX)
            .map(|(name, _)| *name)
    }
}

/// Whether a serial is before another one, modulo 2^32 (RFC 1982 3.2).
pub fn is_serial_before(serial: u32, other: u32) -> bool {
    (serial.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_go_round() {
        for (serial, other) in [(1, 2), (u32::MAX, 3), (0, i32::MAX as u32)] {
            assert!(is_serial_before(serial, other) && !is_serial_before(other, serial));
        }
        assert!(!is_serial_before(7, 7));
    }

    #[test]
    fn serial_wraps() {
        let mut zone = ZoneSettings::new(Name::root(), Name::root());
        assert_eq!(zone.serial(7), 7);
        zone.serial_base = u32::MAX;
        assert_eq!(zone.serial(7), 6);
        assert_eq!(zone.serial((1 << 32) + 7), 6);
    }
}
