//! The local snapshot: what was served last, in a file, for a restart without etcd.
//!
//! ```text
//! "nsd snapshot\n", version, prefix, cluster, revision, when it was good, the rest as JSON,
//! zones: apex, JSON, generations: number, names as Contents::octets gives them;
//!        if others have deleted some of it: names of the zone without that
//! XXH3 of all that
//! ```
//!
//! Numbers are little-endian; texts and octets have their length in front. The file is written beside its
//! place and then renamed, so that there is always a whole one or none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use etcd::schema::{Accepted, Prefix};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::kept::Kept;
use super::tables::Tables;
use super::zone_data::Generation;
use crate::model::{Name, ZoneSettings};
use crate::zone::{Contents, Loader};

const MAGIC: &[u8] = b"nsd snapshot\n";

/// Changes with every change of the form, also of the octets that names have. The first one knows no zones that are
/// held back.
const VERSION: u64 = 2;

const CHECKSUM_LEN: u64 = 16;

/// What is read or written with one system call.
const BLOCK: usize = 1 << 20;

/// What a front-end goes on from.
pub struct Saved {
    pub(super) prefix: Prefix,
    /// The cluster it comes from.
    pub cluster_id: u64,
    /// Everything up to this revision is in it.
    pub revision: i64,
    /// When it was last known to be what etcd holds, in seconds of Unix time.
    pub good_at: u64,
    pub(super) tables: Tables,
    /// Zones whose serial has gone back, and what it was.
    pub(super) serials: BTreeMap<Name, u32>,
}

/// All that is small.
#[derive(Serialize, Deserialize)]
struct Rest {
    accepted: Option<Accepted>,
    serials: Vec<(Name, u32)>,
    quarantine: Vec<(Vec<u8>, String)>,
}

/// What is known of a zone beside its records.
#[derive(Serialize, Deserialize)]
struct ZoneRest {
    settings: Option<ZoneSettings>,
    settings_revision: i64,
    serial_revision: i64,
    kept: Option<KeptRest>,
}

/// The same of a zone without what others have deleted of it.
#[derive(Serialize, Deserialize)]
struct KeptRest {
    settings: ZoneSettings,
    serial_revision: i64,
    gone: usize,
    /// When something was lost last.
    since: u64,
    is_held: bool,
}

/// The right to write a snapshot: one at a time.
pub(super) struct Turn(
    #[expect(dead_code, reason = "held, not looked at")] MutexGuard<'static, ()>,
);

/// Waits until nobody else writes. An end does not wait for a write that is under way: its own has to.
pub(super) fn turn() -> Turn {
    static WRITING: Mutex<()> = Mutex::new(());
    Turn(WRITING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Writes a snapshot to `path`, in place of the one that is there.
pub(super) fn write(_turn: &Turn, path: &Path, saved: &Saved) -> io::Result<()> {
    let new = beside(path, ".new");
    // A pipe that somebody has put there is an error, and is not waited for.
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    let file = options.custom_flags(libc::O_NONBLOCK).open(&new)?;
    let mut out = Out(BufWriter::with_capacity(
        BLOCK,
        Hashed::new(&file, u64::MAX),
    ));
    out.all(saved)?;
    let hashed = out.0.into_inner().map_err(io::IntoInnerError::into_error)?;
    let checksum = hashed.hash.digest128().to_le_bytes();
    (&file).write_all(&checksum)?;
    file.sync_all()?;
    check_replaceable(path)?;
    std::fs::rename(&new, path)?;
    // The name, too, is to outlast a power cut.
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Whether a snapshot may take the place of what is at `path`: a file, or nothing.
fn check_replaceable(path: &Path) -> io::Result<()> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::other(if kind.is_dir() {
        "it is a folder"
    } else if kind.is_symlink() {
        "it is a symbolic link: name the file itself"
    } else {
        "it is not a regular file"
    }))
}

/// Whether a snapshot can be written to `path`.
pub fn check(path: &Path) -> io::Result<()> {
    check_replaceable(path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && !folder.try_exists()?
    {
        let reason = format!("the folder {} does not exist", folder.display());
        return Err(io::Error::other(reason));
    }
    // Under a name of its own: a process that ends while this one begins may still be writing.
    let probe = beside(path, ".check");
    File::create(&probe)?;
    match std::fs::remove_file(&probe) {
        // Another one has looked at the same time.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads the snapshot at `path`, which has to be of this prefix; none where there is no file.
pub(super) fn read(path: &Path, prefix: &Prefix) -> Result<Option<Saved>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let len = file.metadata().map_err(|error| error.to_string())?.len();
    let Some(len) = len.checked_sub(CHECKSUM_LEN) else {
        return Err("it is cut short".into());
    };
    let mut input = In(BufReader::with_capacity(BLOCK, Hashed::new(&file, len)));
    let saved = input.all(prefix)?;
    let rest = input.0.buffer().len() as u64 + input.0.get_ref().left;
    let mut checksum = [0; CHECKSUM_LEN as usize];
    (&file)
        .read_exact(&mut checksum)
        .map_err(|error| error.to_string())?;
    if rest > 0 || input.0.get_ref().hash.digest128().to_le_bytes() != checksum {
        return Err(damaged());
    }
    Ok(Some(saved))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn damaged() -> String {
    "it is damaged".into()
}

/// A file whose octets are hashed on their way, up to so many.
struct Hashed<'f> {
    file: &'f File,
    left: u64,
    hash: Box<Xxh3>,
}

impl<'f> Hashed<'f> {
    fn new(file: &'f File, left: u64) -> Self {
        let hash = Box::new(Xxh3::new());
        Hashed { file, left, hash }
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

struct Out<'f>(BufWriter<Hashed<'f>>);

impl Out<'_> {
    fn all(&mut self, saved: &Saved) -> io::Result<()> {
        self.0.write_all(MAGIC)?;
        self.number(VERSION)?;
        self.octets(saved.prefix.to_string().as_bytes())?;
        self.number(saved.cluster_id)?;
        self.number(saved.revision as u64)?;
        self.number(saved.good_at)?;
        let tables = &saved.tables;
        let serials = saved.serials.iter();
        let quarantine = tables.quarantine.iter();
        self.json(&Rest {
            accepted: tables.accepted.map(|(_, accepted)| accepted),
            serials: serials
                .map(|(apex, serial)| (apex.clone(), *serial))
                .collect(),
            quarantine: quarantine
                .map(|(key, reason)| (key.clone(), reason.clone()))
                .collect(),
        })?;
        self.number(tables.zones.len() as u64)?;
        for (apex, zone) in &tables.zones {
            self.octets(apex.wire())?;
            self.json(&ZoneRest {
                settings: zone.settings.clone(),
                settings_revision: zone.settings_revision,
                serial_revision: zone.serial_revision,
                kept: zone.kept.as_ref().map(|kept| KeptRest {
                    settings: kept.settings.clone(),
                    serial_revision: kept.serial_revision,
                    gone: kept.gone(),
                    since: kept.lost_at,
                    is_held: kept.is_held,
                }),
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

struct In<'f>(BufReader<Hashed<'f>>);

impl In<'_> {
    fn all(&mut self, expected: &Prefix) -> Result<Saved, String> {
        let mut magic = [0; MAGIC.len()];
        if self.0.read_exact(&mut magic).is_err() || magic != MAGIC {
            return Err("it is no snapshot".into());
        }
        match self.number()? {
            1..=VERSION => {}
            other => {
                return Err(format!(
                    "it is of version {other}, and this release reads versions up to {VERSION}"
                ));
            }
        }
        let mut room = Vec::new();
        let prefix = std::str::from_utf8(self.octets(&mut room)?).map_err(|_| damaged())?;
        if prefix != expected.to_string() {
            return Err(format!("it is of the prefix {prefix}, not of {expected}"));
        }
        let (cluster_id, revision) = (self.number()?, self.number()? as i64);
        let good_at = self.number()?;
        let rest: Rest = self.json(&mut room)?;
        let mut tables = Tables::default();
        for _ in 0..self.number()? {
            self.zone(&mut room, &mut tables)?;
        }
        // Its revision says nothing here: only a later one is news.
        tables.accepted = rest.accepted.map(|accepted| (0, accepted));
        tables.quarantine_again(expected, rest.quarantine);
        Ok(Saved {
            prefix: expected.clone(),
            cluster_id,
            revision,
            good_at,
            tables,
            serials: rest.serials.into_iter().collect(),
        })
    }

    fn zone(&mut self, room: &mut Vec<u8>, tables: &mut Tables) -> Result<(), String> {
        let apex = Name::from_wire(self.octets(room)?).map_err(|_| damaged())?;
        let rest: ZoneRest = self.json(room)?;
        let zone = tables.zone(&apex);
        match rest.settings {
            Some(settings) => zone.set(&apex, settings, rest.settings_revision),
            None => zone.settings_revision = rest.settings_revision,
        }
        zone.serial_revision = rest.serial_revision;
        for _ in 0..self.number()? {
            let number = self.number()?;
            let contents = self.contents(room, &apex)?;
            zone.generations.insert(number, Generation::new(contents));
        }
        if let Some(kept) = rest.kept {
            let settings = (kept.settings, kept.serial_revision);
            let contents = (self.contents(room, &apex)?, kept.gone);
            let kept = Kept::new(settings, contents, kept.since, kept.is_held);
            zone.kept = Some(Box::new(kept));
        }
        Ok(())
    }

    fn contents(&mut self, room: &mut Vec<u8>, apex: &Name) -> Result<Contents, String> {
        let mut loader = Loader::new(apex.clone());
        for _ in 0..self.number()? {
            if !loader.put(self.octets(room)?) {
                return Err(damaged());
            }
        }
        loader.finish().ok_or_else(damaged)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut octets = [0; 8];
        self.0.read_exact(&mut octets).map_err(|_| damaged())?;
        Ok(u64::from_le_bytes(octets))
    }

    fn octets<'r>(&mut self, room: &'r mut Vec<u8>) -> Result<&'r [u8], String> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).map_err(|_| damaged())?;
        let len = u64::from(u32::from_le_bytes(len));
        // A damaged length shall not ask for more memory than there are octets.
        if len > self.0.buffer().len() as u64 + self.0.get_ref().left {
            return Err(damaged());
        }
        room.resize(len as usize, 0);
        self.0.read_exact(room).map_err(|_| damaged())?;
        Ok(room)
    }

    fn json<T: for<'d> Deserialize<'d>>(&mut self, room: &mut Vec<u8>) -> Result<T, String> {
        serde_json::from_slice(self.octets(room)?).map_err(|_| damaged())
    }
}

#[cfg(test)]
mod tests;
