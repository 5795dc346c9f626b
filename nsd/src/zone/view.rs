//! The zones that are served, as one value that is published in one step.

use std::sync::Arc;

use foldhash::quality::RandomState;
use rpds::HashTrieMapSync;

use super::contents::Contents;
use super::name::{ApexKey, FoldedName};
use super::rrset::{Rrset, RrsetRef};
use super::trie::Probe;
use crate::model::{Consistency, Name, Rtype};

/// All zones at one revision: immutable once published, cheap to clone and to change by a little.
///
/// A clone shares all zones with its original, so that a writer clones the view that is served,
/// changes its clone and publishes that.
#[derive(Clone, Default)]
pub struct View {
    zones: HashTrieMapSync<ApexKey, Arc<Zone>, RandomState>,
    // No apex has more labels: a limit on the lookups that a long name costs. It may be too high
    // after a zone is gone, never too low.
    depth_max: usize,
    rrset_count: usize,
    is_ready: bool,
    consistency: Consistency,
}

/// A zone: its SOA record and all the rest.
#[derive(Clone)]
pub struct Zone {
    soa: Rrset,
    serial: u32,
    negative_ttl: u32,
    consistency: Consistency,
    contents: Contents,
}

/// The fields of an SOA record (RFC 1035 3.3.13) and its TTL; times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SoaFields {
    pub mname: Name,
    pub rname: Name,
    pub serial: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
    pub ttl: u32,
}

impl SoaFields {
    fn rrset(&self) -> Rrset {
        let mut rdata = Vec::with_capacity(128);
        rdata.extend_from_slice(self.mname.wire());
        rdata.extend_from_slice(self.rname.wire());
        for number in [
            self.serial,
            self.refresh,
            self.retry,
            self.expire,
            self.minimum,
        ] {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        Rrset::new(self.ttl, [&rdata[..]]).expect("one rdata of at most 530 octets")
    }
}

impl Zone {
    /// Puts a zone together; its name is the apex of `contents`.
    pub fn new(soa: &SoaFields, contents: Contents) -> Self {
        Zone {
            soa: soa.rrset(),
            serial: soa.serial,
            negative_ttl: soa.ttl.min(soa.minimum),
            consistency: Consistency::default(),
            contents,
        }
    }

    /// The same zone with another promise about how fresh its answers are.
    pub fn with_consistency(self, consistency: Consistency) -> Self {
        Zone {
            consistency,
            ..self
        }
    }

    /// What it promises about how fresh its answers are.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        self.contents.apex()
    }

    /// The SOA record, with the TTL that an answer to a question for it has.
    pub fn soa(&self) -> RrsetRef<'_> {
        self.soa.as_ref()
    }

    /// The serial in the SOA record.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The TTL of the SOA record in a negative answer (RFC 2308 3), in seconds.
    pub fn negative_ttl(&self) -> u32 {
        self.negative_ttl
    }

    /// All but the SOA record.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// How many RRsets there are, the SOA record included.
    pub fn rrset_count(&self) -> usize {
        1 + self.contents.rrset_count()
    }

    /// The RRset of this owner and type, the SOA record included.
    pub fn get(&self, owner: &Name, rtype: Rtype) -> Option<RrsetRef<'_>> {
        if rtype == Rtype::SOA {
            return (owner == self.apex()).then(|| self.soa());
        }
        self.contents.get(owner, rtype)
    }
}

impl View {
    /// Whether the zones are known: false until the first sync, and until then every question is
    /// answered with SERVFAIL, since an empty view would deny names that exist.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Says whether the zones are known.
    pub fn set_ready(&mut self, is_ready: bool) {
        self.is_ready = is_ready;
    }

    /// What is promised about names that are in no zone: that there is none yet.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// Says what is promised about names that are in no zone.
    pub fn set_consistency(&mut self, consistency: Consistency) {
        self.consistency = consistency;
    }

    /// Adds a zone, or replaces the one of that name.
    pub fn put_zone(&mut self, zone: Arc<Zone>) {
        self.rrset_count -= self.zone(zone.apex()).map_or(0, |zone| zone.rrset_count());
        self.rrset_count += zone.rrset_count();
        self.depth_max = self.depth_max.max(zone.apex().label_count());
        self.zones.insert_mut(ApexKey(zone.apex().clone()), zone);
    }

    /// Removes a zone, and says whether it was there.
    pub fn remove_zone(&mut self, apex: &Name) -> bool {
        self.rrset_count -= self.zone(apex).map_or(0, |zone| zone.rrset_count());
        let found = self.zones.remove_mut(apex.wire());
        if self.zones.is_empty() {
            self.depth_max = 0;
        }
        found
    }

    /// The zone with this name.
    pub fn zone(&self, apex: &Name) -> Option<&Arc<Zone>> {
        self.zones.get(apex.wire())
    }

    /// All zones, in no order.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.zones.values()
    }

    /// How many zones there are.
    pub fn zone_count(&self) -> usize {
        self.zones.size()
    }

    /// How many RRsets there are in all zones, their SOA records included.
    pub fn rrset_count(&self) -> usize {
        self.rrset_count
    }

    /// Whether a zone has this name.
    pub(super) fn is_apex(&self, name: &FoldedName) -> bool {
        self.zones.contains_key(name.wire())
    }

    /// Begins a lookup of a name in its zone.
    pub fn probe(&self, name: &[u8]) -> Option<Probe<'_>> {
        let mut folded = FoldedName::new();
        if !folded.fold(name) {
            return None;
        }
        let (zone, apex) = self.find(&folded, 0)?;
        Some(zone.contents.probe(folded.prefix(0, apex)))
    }

    /// The zone that is nearest above the name, or at it, and the index of the label at which the
    /// zone's name begins (RFC 1034 4.3.2, step 2). `label` is the first index to look at.
    pub(super) fn find(&self, name: &FoldedName, label: usize) -> Option<(&Zone, usize)> {
        let first = label.max(name.label_count().saturating_sub(self.depth_max));
        (first..=name.label_count())
            .find_map(|label| Some((&**self.zones.get(name.suffix(label))?, label)))
    }
}
