//! RRsets.

use std::fmt;

use super::compression;
use super::rdata::Rdata;
use super::rtype::Rtype;

/// The longest TTL there is, in seconds (RFC 2181 8).
pub const TTL_MAX: u32 = (1 << 31) - 1;

/// All records of one type at one name: one TTL (RFC 2181 5.2) and a set of rdata.
///
/// It has at least one member and no duplicates, is sorted by canonical wire form (RFC 4034 6.3), and fits into a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rrset {
    ttl: u32,
    rdata: Vec<Rdata>,
}

/// Why records do not make an RRset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RrsetError {
    /// There are no records.
    Empty,
    /// The TTL is over [`TTL_MAX`].
    Ttl(u32),
    /// The type allows one record only.
    Singleton(Rtype),
    /// A response with the RRset would have this many octets, more than 65,535.
    TooLong(usize),
    /// The type only occurs in messages, not in zones.
    NoData(Rtype),
}

impl Rrset {
    /// Makes an RRset of `rdata`, without duplicates.
    pub fn new(rtype: Rtype, ttl: u32, mut rdata: Vec<Rdata>) -> Result<Self, RrsetError> {
        if !rtype.is_data() {
            return Err(RrsetError::NoData(rtype));
        }
        if ttl > TTL_MAX {
            return Err(RrsetError::Ttl(ttl));
        }
        if rdata.len() > 1 {
            rdata.sort_by(|a, b| a.canonical(rtype).cmp(&b.canonical(rtype)));
            rdata.dedup_by(|a, b| a.canonical(rtype) == b.canonical(rtype));
        }
        if rdata.is_empty() {
            return Err(RrsetError::Empty);
        }
        if rtype.is_singleton() && rdata.len() > 1 {
            return Err(RrsetError::Singleton(rtype));
        }
        let len = compression::response_len(rtype, &rdata);
        if len > 65_535 {
            return Err(RrsetError::TooLong(len));
        }
        Ok(Rrset { ttl, rdata })
    }

    /// The TTL in seconds.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The same records, with this TTL if theirs is longer.
    pub fn with_ttl_at_most(self, ttl: u32) -> Self {
        Rrset {
            ttl: self.ttl.min(ttl),
            ..self
        }
    }

    /// The members, at least one.
    pub fn rdata(&self) -> &[Rdata] {
        &self.rdata
    }
}

impl fmt::Display for RrsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RrsetError::Empty => f.write_str("an RRset has at least one record"),
            RrsetError::Ttl(ttl) => write!(f, "the TTL {ttl} is over {TTL_MAX} (RFC 2181, 8)"),
            RrsetError::Singleton(rtype) => write!(f, "a name has one {rtype} record at most"),
            RrsetError::TooLong(len) => {
                write!(
                    f,
                    "a response with this RRset would have {len} octets, and a message has 65535 at most"
                )
            }
            RrsetError::NoData(rtype) => write!(f, "{rtype} is no type of records in a zone"),
        }
    }
}

impl std::error::Error for RrsetError {}
