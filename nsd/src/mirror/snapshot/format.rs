//! The octets of a snapshot.
//!
//! ```text
//! "nsd snapshot\n", version, prefix, cluster, revision, when it last matched etcd, Extras as JSON,
//! number of zones, and for each zone:
//!     apex, ZoneExtras as JSON, number of generations,
//!     for each generation: its number, its contents
//!     if the zone is kept as it was before others deleted some of it: the contents of the oldest such copy
//! XXH3 of all that (128 bits)
//! ```
//!
//! Numbers are little-endian and have 64 bits. After the first line, texts, names and JSON are octets with their
//! length in 32 bits in front.
//! Contents are the number of names, and each name with its RRsets as `Contents::octets` gives it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use etcd::schema::{Accepted, Prefix, encode};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::super::decode::{Decoded, decode};
use super::super::kept::{Kept, Origin};
use super::super::leased::Leased;
use super::super::tables::Tables;
use super::super::zone_data::Generation;
use super::{Saved, SnapshotError};
use crate::model::{CookieSecrets, Name, ZoneSettings};
use crate::zone::{Contents, Loader};

pub(super) const MAGIC: &[u8] = b"nsd snapshot\n";

/// Goes up with every change of the format. If the octets of names change, older versions have to be refused, too.
/// Version 1 has no kept copies.
pub(super) const VERSION: u64 = 2;

pub(super) const CHECKSUM_LEN: u64 = 16;

/// How many octets one system call reads or writes.
pub(super) const BLOCK: usize = 1 << 20;

/// What is known beside the zones. It is small, and so JSON.
#[derive(Serialize, Deserialize)]
struct Extras {
    accepted: Option<Accepted>,
    /// Older snapshots have none, and older releases ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<CookieSecrets>,
    /// The highest serial served of each zone whose serial has gone back.
    serials: Vec<(Name, u32)>,
    quarantine: Vec<(Vec<u8>, String)>,
    /// Older snapshots have none, and older releases ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unchecked: Option<i64>,
}

/// What is known of a zone beside its records.
#[derive(Serialize, Deserialize)]
struct ZoneExtras {
    settings: Option<ZoneSettings>,
    settings_revision: i64,
    serial_revision: i64,
    kept: Option<KeptExtras>,
    /// Older snapshots have none, and older releases ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leased: Option<LeasedExtras>,
}

/// What is known of the leased records of a zone.
#[derive(Serialize, Deserialize)]
struct LeasedExtras {
    serial_revision: i64,
    deleted_at: i64,
    /// The keys and values, as in etcd.
    records: Vec<(String, String)>,
}

/// What is known of a kept copy beside its records.
#[derive(Serialize, Deserialize)]
struct KeptExtras {
    settings: ZoneSettings,
    serial_revision: i64,
    gone: usize,
    /// When something was lost last.
    #[serde(rename = "since")]
    lost_at: u64,
    is_held: bool,
}

/// A file that hashes the octets that pass through, and ends after `left` of them.
pub(super) struct Hashed<'f> {
    file: &'f File,
    left: u64,
    hash: Box<Xxh3>,
}

impl<'f> Hashed<'f> {
    pub(super) fn new(file: &'f File, left: u64) -> Self {
        let hash = Box::new(Xxh3::new());
        Hashed { file, left, hash }
    }

    pub(super) fn checksum(&self) -> [u8; CHECKSUM_LEN as usize] {
        self.hash.digest128().to_le_bytes()
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let len = self.file.write(octets)?;
        self.hash.update(&octets[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(octets.len(), |left| left.min(octets.len()));
        let len = self.file.read(&mut octets[..most])?;
        self.left -= len as u64;
        self.hash.update(&octets[..len]);
        Ok(len)
    }
}

pub(super) struct SnapshotWriter<'f>(pub(super) BufWriter<Hashed<'f>>);

impl SnapshotWriter<'_> {
    pub(super) fn write_saved(&mut self, saved: &Saved) -> io::Result<()> {
        self.0.write_all(MAGIC)?;
        self.number(VERSION)?;
        self.octets(saved.prefix.to_string().as_bytes())?;
        self.number(saved.cluster_id)?;
        self.number(saved.revision as u64)?;
        self.number(saved.good_at)?;
        let tables = &saved.tables;
        let serials = saved.serials.iter();
        let quarantine = tables.quarantine.iter();
        self.json(&Extras {
            accepted: tables.accepted.map(|(_, accepted)| accepted),
            cookie: tables.cookie,
            serials: serials
                .map(|(apex, serial)| (apex.clone(), *serial))
                .collect(),
            quarantine: quarantine
                .map(|(key, reason)| (key.clone(), reason.clone()))
                .collect(),
            unchecked: saved.unchecked,
        })?;
        self.number(tables.zones.len() as u64)?;
        for (apex, zone) in &tables.zones {
            self.octets(apex.wire())?;
            self.json(&ZoneExtras {
                settings: zone.settings.clone(),
                settings_revision: zone.settings_revision,
                serial_revision: zone.serial_revision,
                kept: zone.kept.as_ref().map(|kept| KeptExtras {
                    settings: kept.settings.clone(),
                    serial_revision: kept.serial_revision,
                    gone: kept.gone(),
                    lost_at: kept.lost_at,
                    is_held: kept.is_held,
                }),
                leased: leased_extras(&saved.prefix, apex, &zone.leased),
            })?;
            self.number(zone.generations.len() as u64)?;
            for (number, generation) in &zone.generations {
                self.number(*number)?;
                self.contents(&generation.contents)?;
            }
            if let Some(kept) = &zone.kept {
                self.contents(kept.contents())?;
            }
        }
        Ok(())
    }

    fn contents(&mut self, contents: &Contents) -> io::Result<()> {
        self.number(contents.name_count() as u64)?;
        for name in contents.octets() {
            self.octets(name)?;
        }
        Ok(())
    }

    fn number(&mut self, number: u64) -> io::Result<()> {
        self.0.write_all(&number.to_le_bytes())
    }

    fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(&(octets.len() as u32).to_le_bytes())?;
        self.0.write_all(octets)
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.octets(&serde_json::to_vec(value)?)
    }
}

pub(super) struct SnapshotReader<'f>(pub(super) BufReader<Hashed<'f>>);

impl SnapshotReader<'_> {
    pub(super) fn read_saved(&mut self, expected: &Prefix) -> Result<Saved, SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        if self.0.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        match self.number()? {
            1..=VERSION => {}
            other => return Err(SnapshotError::Version(other)),
        }
        let mut buffer = Vec::new();
        let prefix = std::str::from_utf8(self.octets(&mut buffer)?).map_err(|_| damaged())?;
        if prefix != expected.to_string() {
            return Err(SnapshotError::Prefix {
                found: prefix.to_string(),
                expected: expected.clone(),
            });
        }
        let (cluster_id, revision) = (self.number()?, self.number()? as i64);
        let good_at = self.number()?;
        let extras: Extras = self.json(&mut buffer)?;
        let mut tables = Tables::default();
        for _ in 0..self.number()? {
            self.zone(&mut buffer, &mut tables, expected)?;
        }
        // Revision 0 is below any that can come, so a later acceptance counts as news.
        tables.accepted = extras.accepted.map(|accepted| (0, accepted));
        tables.cookie = extras.cookie;
        tables.quarantine_again(expected, extras.quarantine);
        Ok(Saved {
            prefix: expected.clone(),
            cluster_id,
            revision,
            good_at,
            tables,
            serials: extras.serials.into_iter().collect(),
            unchecked: extras.unchecked,
        })
    }

    fn zone(
        &mut self,
        buffer: &mut Vec<u8>,
        tables: &mut Tables,
        prefix: &Prefix,
    ) -> Result<(), SnapshotError> {
        let apex = Name::from_wire(self.octets(buffer)?).map_err(|_| damaged())?;
        let extras: ZoneExtras = self.json(buffer)?;
        let zone = tables.zone(&apex);
        match extras.settings {
            Some(settings) => zone.set(&apex, settings, extras.settings_revision),
            None => zone.settings_revision = extras.settings_revision,
        }
        zone.serial_revision = extras.serial_revision;
        for _ in 0..self.number()? {
            let number = self.number()?;
            let contents = self.contents(buffer, &apex)?;
            zone.generations.insert(number, Generation::new(contents));
        }
        if let Some(kept) = extras.kept {
            let settings = (kept.settings, kept.serial_revision);
            let contents = (self.contents(buffer, &apex)?, kept.gone);
            let kept = Kept::new(settings, contents, kept.lost_at, kept.is_held);
            zone.kept = Some(Box::new(kept));
        }
        if let Some(leased) = extras.leased {
            zone.leased.serial_revision = leased.serial_revision;
            zone.leased.deleted_at = leased.deleted_at;
            for (key, value) in leased.records {
                let decoded = decode(prefix, key.as_bytes(), value.as_bytes());
                if !matches!(decoded, Decoded::Leased(_, Ok(_))) {
                    return Err(damaged());
                }
                tables.put(key.as_bytes(), decoded, (0, Origin::Ours), None);
            }
        }
        Ok(())
    }

    fn contents(&mut self, buffer: &mut Vec<u8>, apex: &Name) -> Result<Contents, SnapshotError> {
        let mut loader = Loader::new(apex.clone());
        for _ in 0..self.number()? {
            if !loader.put(self.octets(buffer)?) {
                return Err(damaged());
            }
        }
        loader.finish().ok_or_else(damaged)
    }

    fn number(&mut self) -> Result<u64, SnapshotError> {
        let mut octets = [0; 8];
        self.0.read_exact(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn octets<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], SnapshotError> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len)?;
        let len = u64::from(u32::from_le_bytes(len));
        // A damaged length must not ask for more memory than the file has octets.
        if len > self.left() {
            return Err(damaged());
        }
        buffer.resize(len as usize, 0);
        self.0.read_exact(buffer)?;
        Ok(buffer)
    }

    fn json<T: for<'d> Deserialize<'d>>(
        &mut self,
        buffer: &mut Vec<u8>,
    ) -> Result<T, SnapshotError> {
        serde_json::from_slice(self.octets(buffer)?).map_err(|_| damaged())
    }

    /// How many octets are still to be read, the checksum not counted.
    pub(super) fn left(&self) -> u64 {
        self.0.buffer().len() as u64 + self.0.get_ref().left
    }
}

fn leased_extras(prefix: &Prefix, apex: &Name, leased: &Leased) -> Option<LeasedExtras> {
    let text = |octets| String::from_utf8(octets).expect("keys and JSON are text");
    let records = leased.with_keys(prefix, apex);
    let records = records.map(|(key, rtype, leased)| (text(key), text(encode(&(rtype, leased)))));
    (leased.revision() > 0 || !leased.is_empty()).then(|| LeasedExtras {
        serial_revision: leased.serial_revision,
        deleted_at: leased.deleted_at,
        records: records.collect(),
    })
}

fn damaged() -> SnapshotError {
    SnapshotError::Damaged
}
