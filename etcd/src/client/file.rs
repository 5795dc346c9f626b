//! Master files on disk, with those they include.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::Name;
use crate::model::zonefile::{self, Fault, Record};

/// How long a file may be, in octets: a guard against devices and pipes that never end.
const OCTETS_MAX: u64 = 4 << 30;

/// Why a master file gives no records.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read at all.
    Unreadable(String),
    /// What it says is wrong, here and there.
    Faults(Vec<Fault>),
}

/// Reads a master file, or standard input where the path is `-`. Files that are included are looked for beside
/// the file that includes them.
pub fn read_master_file(path: &Path, origin: &Name) -> Result<Vec<Record>, FileError> {
    let (file, text) = if path == Path::new("-") {
        let mut text = Vec::new();
        let read = std::io::stdin()
            .lock()
            .take(OCTETS_MAX)
            .read_to_end(&mut text);
        (
            "<stdin>".to_string(),
            read.map(|_| text)
                .map_err(|error| format!("cannot read standard input: {error}")),
        )
    } else {
        (path.display().to_string(), octets(path))
    };
    let text = text.map_err(FileError::Unreadable)?;
    let mut include = |from: &str, path: &str| {
        let beside = Path::new(from)
            .parent()
            .map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
        octets(&beside).map(|text| (beside.display().to_string(), text))
    };
    zonefile::read_file(&file, &text, origin, &mut include).map_err(FileError::Faults)
}

fn octets(path: &Path) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(OCTETS_MAX).read_to_end(&mut text));
    read.map(|_| text)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}
