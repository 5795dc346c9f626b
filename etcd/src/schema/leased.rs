//! Records that live as long as a lease.
//!
//! Each announcer has a key of its own, so that it can come and go without a conflict with others. The set that is served is
//! that of all of them together, and of the RRset that the zone has at the same name.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::value::{StoredRrset, json};
use super::{Stored, ValueError, encode};
use crate::model::{Digest, Rrset, Rtype};

/// The number of an announcer, which it chooses at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u64);

/// Why a text is not the number of an announcer.
pub type InstanceError = ParseIntError;

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Instance {
    type Err = InstanceError;

    fn from_str(text: &str) -> Result<Self, InstanceError> {
        u64::from_str_radix(text, 16).map(Instance)
    }
}

/// The records of one announcer at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedRrset {
    /// The records. Their TTL is at most the lifetime of the lease, so that no cache keeps them for longer than that after they
    /// are gone.
    pub rrset: Rrset,
    /// The lifetime of the lease, in seconds.
    pub lease: u32,
}

/// The form of leased records in etcd.
#[derive(Serialize, Deserialize)]
struct StoredLeased<'a> {
    #[serde(flatten, borrow)]
    rrset: StoredRrset<'a>,
    lease: u32,
}

/// Whether records of this type can be leased. Those that change what other names mean cannot: they must not come and go
/// with a process.
pub(super) fn can_be_leased(rtype: Rtype) -> bool {
    !matches!(
        rtype,
        Rtype::SOA | Rtype::NS | Rtype::CNAME | Rtype::DNAME | Rtype::DS
    ) && !rtype.is_of_signed_zone()
}

impl LeasedRrset {
    /// Makes leased records of an RRset. None if records of this type cannot be leased.
    pub fn new(rtype: Rtype, rrset: Rrset, lease: u32) -> Option<Self> {
        can_be_leased(rtype).then(|| LeasedRrset {
            rrset: rrset.with_ttl_at_most(lease),
            lease,
        })
    }

    /// The digest of these records under this key.
    pub fn digest(&self, key: &[u8], rtype: Rtype) -> Digest {
        Digest::of_leased(key, &encode(&(rtype, self)))
    }
}

impl Stored for (Rtype, &LeasedRrset) {
    fn to_value(&self) -> Vec<u8> {
        let (rtype, leased) = self;
        json(&StoredLeased {
            rrset: StoredRrset::of(*rtype, &leased.rrset),
            lease: leased.lease,
        })
    }
}

/// Reads leased records of the type that their key names.
pub fn decode_leased(rtype: Rtype, value: &[u8]) -> Result<LeasedRrset, ValueError> {
    let stored: StoredLeased<'_> = serde_json::from_slice(value).map_err(ValueError::json)?;
    let rrset = stored.rrset.read(rtype)?;
    LeasedRrset::new(rtype, rrset, stored.lease).ok_or(ValueError::NotLeased(rtype))
}
