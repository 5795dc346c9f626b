//! The digest of a list of all keys, to compare with what a front-end serves.

use std::collections::HashMap;

use super::{
    Key, Prefix, decode_accepted, decode_cookie, decode_leased, decode_rrset, decode_zone,
};
use crate::model::{Digest, Name, Rrset, Rtype};

/// Sums up the keys of a list.
#[derive(Debug, Default)]
pub struct Census {
    /// RRsets by zone and generation.
    generations: HashMap<(Name, u64), Digest>,
    rest: Digest,
    rrsets: usize,
    unusable: usize,
}

impl Census {
    /// Adds a key with its value and the revision that wrote it.
    pub fn take(&mut self, prefix: &Prefix, key: &[u8], value: &[u8], revision: i64) {
        if self.count(prefix, key, value, revision).is_none() {
            self.unusable += 1;
        }
    }

    fn count(&mut self, prefix: &Prefix, key: &[u8], value: &[u8], revision: i64) -> Option<()> {
        match prefix.decode(key).ok()? {
            Key::Head
            | Key::Frontend(_)
            | Key::Withdrawn(_)
            | Key::Journal { .. }
            | Key::Archived { .. } => {}
            Key::Leased { rtype, .. } => {
                self.rest += decode_leased(rtype, value).ok()?.digest(key, rtype);
            }
            Key::Accepted => drop(decode_accepted(value).ok()?),
            Key::Cookie => drop(decode_cookie(value).ok()?),
            Key::LeasedSerial(apex) => self.rest += Digest::of_leased_serial(&apex, revision),
            Key::Serial(apex) => self.rest += Digest::of_serial(&apex, revision),
            Key::Zone(apex) => {
                let settings = decode_zone(value).ok()?;
                self.rest += Digest::of_settings(&apex, &settings, revision);
            }
            Key::Rrset {
                zone,
                generation,
                owner,
                rtype,
            } => {
                let rrset = decode_rrset(rtype, value).ok()?;
                let own = owner.wire().len().checked_sub(zone.wire().len())?;
                let digest = of_rrset(owner.wire().get(..own)?, rtype, &rrset);
                *self.generations.entry((zone, generation)).or_default() += digest;
                self.rrsets += 1;
            }
        }
        Some(())
    }

    /// The digest of all keys whose values can be read.
    pub fn digest(&self) -> Digest {
        let mut sum = self.rest;
        for ((zone, generation), rrsets) in &self.generations {
            sum += Digest::of_generation(zone, *generation, *rrsets);
        }
        sum
    }

    /// The number of RRsets in all generations, without SOA records.
    pub fn rrsets(&self) -> usize {
        self.rrsets
    }

    /// The number of keys that cannot be read.
    pub fn unusable(&self) -> usize {
        self.unusable
    }
}

fn of_rrset(owner: &[u8], rtype: Rtype, rrset: &Rrset) -> Digest {
    let mut data = Vec::with_capacity(64);
    for rdata in rrset.rdata() {
        // The rdata fits into a message, so its length fits into 16 bits.
        data.extend_from_slice(&(rdata.wire().len() as u16).to_be_bytes());
        data.extend_from_slice(rdata.wire());
    }
    Digest::of_rrset(owner, rtype, rrset.ttl(), &data)
}
