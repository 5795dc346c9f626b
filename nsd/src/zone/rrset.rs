//! RRsets, ready to be copied into a message.

use std::fmt;

/// The records of one owner and type: their TTL and rdata, as wire octets.
///
/// The form in which a set is passed to [`Contents`](super::Contents), the map of all names of a zone, which stores its
/// octets with those of its owner and returns [`RrsetRef`].
#[derive(Clone, PartialEq, Eq)]
pub struct Rrset {
    ttl: u32,
    count: u16,
    data: Box<[u8]>,
}

/// An RRset of a zone, borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RrsetRef<'v> {
    /// The TTL in seconds.
    pub ttl: u32,
    /// The number of records, at least one.
    pub count: u16,
    /// The rdata of the records, each with its length in two octets in front, as in a message.
    pub data: &'v [u8],
}

impl Rrset {
    /// A set of uncompressed rdata (RFC 3597 4), in this order. `None` if it could not be sent: there are no records,
    /// more than 65,535 records, or one whose rdata is longer than 65,535 octets.
    pub fn new<'a>(ttl: u32, rdata: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut data = Vec::with_capacity(64);
        let mut count: u16 = 0;
        for rdata in rdata {
            count = count.checked_add(1)?;
            data.extend_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
            data.extend_from_slice(rdata);
        }
        (count > 0).then(|| Rrset {
            ttl,
            count,
            data: data.into(),
        })
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> RrsetRef<'_> {
        RrsetRef {
            ttl: self.ttl,
            count: self.count,
            data: &self.data,
        }
    }
}

impl<'v> RrsetRef<'v> {
    /// The rdata of each record with its length in front.
    pub fn records(self) -> impl Iterator<Item = &'v [u8]> {
        let mut rest = self.data;
        std::iter::from_fn(move || {
            let len = rest.first_chunk::<2>()?;
            let (record, after) = rest.split_at(2 + usize::from(u16::from_be_bytes(*len)));
            rest = after;
            Some(record)
        })
    }

    /// The rdata of each record.
    pub fn rdata(self) -> impl Iterator<Item = &'v [u8]> {
        self.records().map(|record| &record[2..])
    }

    /// The first rdata.
    pub(super) fn first(self) -> &'v [u8] {
        self.rdata().next().unwrap_or_default()
    }

    /// Whether both are the same octets in memory, not only equal ones.
    pub(super) fn is(self, other: RrsetRef<'_>) -> bool {
        std::ptr::eq(self.data, other.data)
    }
}

impl fmt::Debug for Rrset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for RrsetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rrset")
            .field("ttl", &self.ttl)
            .field("rdata", &self.rdata().collect::<Vec<_>>())
            .finish()
    }
}
