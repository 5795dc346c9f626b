//! The local snapshot: what was served last, in a file, for a restart without etcd.
//!
//! The file is written beside its place and then renamed, so that there is always a whole one or none. `format` has its
//! octets.

mod format;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use etcd::mirror::Resume;
use etcd::schema::Prefix;

use self::format::{BLOCK, CHECKSUM_LEN, Hashed, SnapshotReader, SnapshotWriter, VERSION};
use super::tables::Tables;
use crate::model::Name;

/// What a front-end goes on from.
pub struct Saved {
    pub(super) prefix: Prefix,
    /// The cluster that the data come from.
    pub cluster_id: u64,
    /// The data hold everything up to this revision.
    pub revision: i64,
    /// When they were last known to be what etcd holds, in seconds of Unix time.
    pub good_at: u64,
    pub(super) tables: Tables,
    /// Zones whose serial has gone back, and what it was.
    pub(super) serials: BTreeMap<Name, u32>,
    /// See [`Resume::unchecked`].
    pub(super) unchecked: Option<i64>,
}

impl Saved {
    /// Where the mirror goes on.
    pub fn resume(&self) -> Resume {
        Resume {
            cluster_id: self.cluster_id,
            revision: self.revision,
            leased: self.tables.leased_keys(&self.prefix),
            unchecked: self.unchecked,
        }
    }
}

/// Why a snapshot cannot be used.
#[derive(Debug)]
pub(super) enum SnapshotError {
    /// The file cannot be read.
    Io(io::Error),
    /// The file is something else.
    NotASnapshot,
    /// The file is shorter than any snapshot.
    CutShort,
    /// The checksum or the contents are wrong.
    Damaged,
    /// A release with another format has written it.
    Version(u64),
    /// It belongs to another prefix.
    Prefix { found: String, expected: Prefix },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Io(error) => error.fmt(f),
            SnapshotError::NotASnapshot => f.write_str("it is not a snapshot"),
            SnapshotError::CutShort => f.write_str("it is cut short"),
            SnapshotError::Damaged => f.write_str("it is damaged"),
            SnapshotError::Version(version) => write!(
                f,
                "it is of version {version}, and this release reads versions up to {VERSION}"
            ),
            SnapshotError::Prefix { found, expected } => {
                write!(f, "it is of the prefix {found}, not of {expected}")
            }
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // `Display` prints the error inside already.
            SnapshotError::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Some length in it is wrong.
            ErrorKind::UnexpectedEof => SnapshotError::Damaged,
            _ => SnapshotError::Io(error),
        }
    }
}

/// The right to write a snapshot: one at a time.
pub(super) struct Turn(
    #[expect(dead_code, reason = "held, not looked at")] MutexGuard<'static, ()>,
);

/// Waits until nobody else writes. At shutdown a write may still be under way, and the last one has to come after it.
pub(super) fn turn() -> Turn {
    static WRITING: Mutex<()> = Mutex::new(());
    Turn(WRITING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Writes a snapshot to `path`, and replaces the one that is there.
pub(super) fn write(_turn: &Turn, path: &Path, saved: &Saved) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    // Should somebody have put a pipe there, opening it fails instead of waiting for a reader.
    let file = options.custom_flags(libc::O_NONBLOCK).open(&new)?;
    // It may hold the secrets for cookies, and a file that a crash has left behind may be readable for others.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let mut out = SnapshotWriter(BufWriter::with_capacity(
        BLOCK,
        Hashed::new(&file, u64::MAX),
    ));
    out.write_saved(saved)?;
    let hashed = out.0.into_inner().map_err(io::IntoInnerError::into_error)?;
    (&file).write_all(&hashed.checksum())?;
    file.sync_all()?;
    check_replaceable(path)?;
    std::fs::rename(&new, path)?;
    // The new name has to survive a power cut, too.
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Checks that there is a file or nothing at `path`: a snapshot replaces nothing else.
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

/// Checks that a snapshot can be written to `path`.
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
    // Not the name that `write` uses: the process that this one replaces may still be writing.
    let probe = beside(path, ".check");
    File::create(&probe)?;
    match std::fs::remove_file(&probe) {
        // Another process has checked at the same time.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads the snapshot of this prefix at `path`; none if there is no file.
pub(super) fn read(path: &Path, prefix: &Prefix) -> Result<Option<Saved>, SnapshotError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SnapshotError::Io(error)),
    };
    let len = file.metadata()?.len();
    let len = len
        .checked_sub(CHECKSUM_LEN)
        .ok_or(SnapshotError::CutShort)?;
    let mut input = SnapshotReader(BufReader::with_capacity(BLOCK, Hashed::new(&file, len)));
    let saved = input.read_saved(prefix)?;
    let mut checksum = [0; CHECKSUM_LEN as usize];
    (&file).read_exact(&mut checksum)?;
    if input.left() > 0 || input.0.get_ref().checksum() != checksum {
        return Err(SnapshotError::Damaged);
    }
    Ok(Some(saved))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests;
