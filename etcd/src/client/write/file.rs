//! Master files on disk and the files they include, and files of updates.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Exported;
use crate::model::zonefile::{self, FileFinding, MasterFile};
use crate::model::{Batch, Name, read_batch};

/// Limit for a file, in octets: devices and some pipes never end.
const OCTETS_MAX: u64 = 4 << 30;

/// A file that has been read. A pipe can be read only once, so the text is kept.
#[derive(Debug)]
pub struct FileText {
    path: PathBuf,
    /// The name in messages.
    file: String,
    octets: Vec<u8>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct FileError {
    /// Its path, or `standard input`.
    pub file: String,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.file, self.error)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // `Display` prints the error inside already.
        self.error.source()
    }
}

impl FileText {
    /// Reads the file, pipe or device, or standard input where the path is `-`.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let (file, octets) = if path == Path::new("-") {
            let octets = read(io::stdin().lock()).map_err(|error| FileError {
                file: "standard input".into(),
                error,
            });
            ("<stdin>".to_string(), octets)
        } else {
            (path.display().to_string(), octets(path))
        };
        Ok(FileText {
            path: path.into(),
            file,
            octets: octets?,
        })
    }

    /// The origin of an exported file.
    pub fn exported(&self) -> Option<Exported> {
        Exported::find(&self.octets)
    }

    /// Parses the records. Relative names end in `origin`.
    ///
    /// Included files are searched beside the file that includes them. If that is standard input or another descriptor
    /// of this process (`/dev/stdin`, `/dev/fd/63`), they are searched in the working directory.
    pub fn records(&self, origin: &Name) -> Result<MasterFile, Vec<FileFinding>> {
        let mut include = |from: &str, path: &str| {
            let folder = match from == self.file {
                true if !self.has_name() => None,
                _ => Path::new(from).parent(),
            };
            let beside = folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
            octets(&beside)
                .map(|text| (beside.display().to_string(), text))
                .map_err(Into::into)
        };
        zonefile::read_file(&self.file, &self.octets, origin, &mut include)
    }

    /// Parses an update in the words of nsupdate.
    pub fn batch(&self) -> Result<Batch, Vec<FileFinding>> {
        read_batch(&self.file, &self.octets)
    }

    /// Whether the path is a file's name and not a descriptor of this process.
    pub fn has_name(&self) -> bool {
        let is_descriptor = self.path == Path::new("-")
            || self.path == Path::new("/dev/stdin")
            || self.path.parent().is_some_and(|folder| {
                let of_system = folder.starts_with("/dev") || folder.starts_with("/proc");
                of_system && folder.ends_with("fd")
            });
        !is_descriptor
    }
}

fn octets(path: &Path) -> Result<Vec<u8>, FileError> {
    let octets = std::fs::File::open(path).and_then(read);
    octets.map_err(|error| FileError {
        file: path.display().to_string(),
        error,
    })
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    from.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > OCTETS_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(octets)
}
