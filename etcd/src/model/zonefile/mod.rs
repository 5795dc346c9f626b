//! Master files (RFC 1035 5): reading, checking the zone as a whole, comparing and writing.

mod check;
mod diff;
mod dnssec;
mod doubts;
mod examine;
mod finding;
mod generate;
mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::name::Name;
use super::rdata::Rdata;
use super::rrset::Rrset;
use super::rtype::Rtype;
use super::text::Position;

pub use check::{Checked, check};
pub use diff::{Difference, diff};
pub use doubts::{doubts, names_around};
pub use examine::{Findings, examine, violations};
pub use finding::RrsetFinding;
pub use read::{Include, read, read_file};
pub(super) use read::{byte_order_mark, is_other_class};
pub use write::{write, write_soa};

/// A record of a master file, with its position.
#[derive(Clone, Debug)]
pub struct FileRecord {
    /// The owner, completed with the origin.
    pub owner: Name,
    /// The TTL, from the record, `$TTL` or the record before (RFC 2308 4).
    pub ttl: Option<u32>,
    /// The type.
    pub rtype: Rtype,
    /// The rdata.
    pub rdata: Rdata,
    /// Where the record begins.
    pub at: FilePosition,
}

/// A position in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePosition {
    /// The name of the file; empty if the text is not from a file.
    pub file: Arc<str>,
    /// The line and the column.
    pub position: Position,
}

/// The content of a master file and of the files that it includes.
#[derive(Clone, Debug, Default)]
pub struct MasterFile {
    /// The records, in the order of the file.
    pub records: Vec<FileRecord>,
    /// Warnings about single lines; [`check()`] finds those about the zone as a whole.
    pub warnings: Vec<FileFinding>,
}

/// An error or a warning about a master file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFinding {
    /// The position; none if it is about the zone as a whole.
    pub at: Option<FilePosition>,
    /// What is wrong, for people.
    pub reason: String,
}

/// The RRsets of a zone by owner and type; the SOA is part of [`ZoneSettings`](super::ZoneSettings).
pub type Rrsets = BTreeMap<(Name, Rtype), Rrset>;

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            write!(f, "{}", self.position)
        } else {
            write!(f, "{}:{}", self.file, self.position)
        }
    }
}

impl fmt::Display for FileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests;
