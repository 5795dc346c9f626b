//! Digests, by which two copies are compared without sending them.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::{Name, Rtype, ZoneSettings};

/// The sum of the hashes of parts. It does not depend on their order, and a part can be subtracted again. It detects
/// faults, not forgery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u128);

impl Digest {
    /// The digest of an RRset. `owner` is relative to the zone, in lower-case wire form; `data` is the rdata in
    /// canonical order, each preceded by its length in two octets.
    pub fn of_rrset(owner: &[u8], rtype: Rtype, ttl: u32, data: &[u8]) -> Self {
        let kind = (u64::from(rtype.0) << 32) | u64::from(ttl);
        Digest(xxh3_128_with_seed(data, xxh3_64_with_seed(owner, kind)))
    }

    /// The digest of a generation of a zone, from the sum of its RRsets. Zero if the generation has no RRsets.
    pub fn of_generation(zone: &Name, generation: u64, rrsets: Digest) -> Self {
        if rrsets == Digest::default() {
            return rrsets;
        }
        let seed = xxh3_64_with_seed(zone.wire(), generation);
        Digest(xxh3_128_with_seed(&rrsets.0.to_le_bytes(), seed))
    }

    /// The digest of the settings of a zone that `revision` wrote.
    pub fn of_settings(apex: &Name, settings: &ZoneSettings, revision: i64) -> Self {
        let settings = serde_json::to_vec(settings).expect("plain data has a JSON form");
        let seed = xxh3_64_with_seed(apex.wire(), revision as u64);
        Digest(xxh3_128_with_seed(&settings, seed))
    }

    /// The digest of leased records, from their key and value in etcd.
    pub fn of_leased(key: &[u8], value: &[u8]) -> Self {
        Digest(xxh3_128_with_seed(value, xxh3_64_with_seed(key, 0)))
    }

    /// The digest of the revision that last changed the leased records of a zone.
    pub fn of_leased_serial(apex: &Name, revision: i64) -> Self {
        Digest(xxh3_128_with_seed(apex.wire(), !revision as u64))
    }

    /// The digest of the revision that gives a zone its serial.
    pub fn of_serial(apex: &Name, revision: i64) -> Self {
        Digest(xxh3_128_with_seed(apex.wire(), revision as u64))
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl SubAssign for Digest {
    fn sub_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Digest)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_no_order_and_parts_go_out_again() {
        let part =
            |owner: &[u8], ttl| Digest::of_rrset(owner, Rtype::A, ttl, b"\0\x04\xc0\0\x02\x01");
        let parts = [part(b"\x01a", 1), part(b"\x01b", 1), part(b"\x01a", 2)];
        assert!(parts[0] != parts[1] && parts[0] != parts[2]);
        let mut sum = Digest::default();
        let mut other_way_round = sum;
        for part in parts {
            sum += part;
        }
        for part in parts.into_iter().rev() {
            other_way_round += part;
        }
        assert_eq!(sum, other_way_round);
        assert_eq!(sum.to_string().parse(), Ok(sum));
        for part in parts {
            sum -= part;
        }
        assert_eq!(sum, Digest::default());
    }

    #[test]
    fn the_same_everywhere() {
        // Front-ends of several releases are compared.
        let rrset = Digest::of_rrset(b"\x03www", Rtype::A, 300, b"\0\x04\xc0\0\x02\x01");
        assert_eq!(rrset.to_string(), "88623d335a36c809c03319acfa9f082a");
        let zone: Name = "example.org".parse().expect("a name");
        let generation = Digest::of_generation(&zone, 7, rrset);
        assert_eq!(generation.to_string(), "1dba3279c773d93675473334fc431f4e");
    }
}
