//! All zones that are served, as one value that is published at once.

use std::sync::Arc;

use foldhash::quality::RandomState;
use rpds::HashTrieMapSync;

use super::contents::Contents;
use super::name::{ApexKey, FoldedName};
use super::rrset::{Rrset, RrsetRef};
use super::trie::Probe;
use crate::model::{Consistency, Name, Rtype};
use crate::policy::Rules;

/// All zones at one revision. It never changes once published. Clones share all zones, so a clone and a small change
/// are cheap.
#[derive(Clone, Default)]
pub struct View {
    zones: HashTrieMapSync<ApexKey, Arc<Zone>, RandomState>,
    // No apex has more labels: it limits the lookups for a long name. It may be too high after a zone was removed,
    // never too low.
    depth_max: usize,
    rrset_count: usize,
    is_ready: bool,
    consistency: Consistency,
}

/// A zone: its SOA record, its contents, its consistency and its rules.
#[derive(Clone)]
pub struct Zone {
    soa: Rrset,
    serial: u32,
    negative_ttl: u32,
    consistency: Consistency,
    is_held: bool,
    rules: Rules,
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
    /// A zone named like the apex of `contents`.
    pub fn new(soa: &SoaFields, contents: Contents) -> Self {
        Zone {
            soa: soa.rrset(),
            serial: soa.serial,
            negative_ttl: soa.ttl.min(soa.minimum),
            consistency: Consistency::default(),
            is_held: false,
            rules: Rules::default(),
            contents,
        }
    }

    /// The same zone with another promise about the freshness of its answers.
    pub fn with_consistency(self, consistency: Consistency) -> Self {
        Zone {
            consistency,
            ..self
        }
    }

    /// What the zone promises about the freshness of its answers.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// The same zone with other rules about clients.
    pub fn with_rules(self, rules: Rules) -> Self {
        Zone { rules, ..self }
    }

    /// Who may ask for names in the zone.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The same zone, held back: it is served as if others had not deleted from it.
    pub fn held(self) -> Self {
        Zone {
            is_held: true,
            ..self
        }
    }

    /// Whether the zone is held back, and so differs from etcd.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        self.contents.apex()
    }

    /// The SOA record, with the TTL for answers to SOA queries.
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

    /// All RRsets but the SOA record.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The number of RRsets, with the SOA record.
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
    /// Whether the zones are known. Before the first sync they are not, and every query gets SERVFAIL: an empty view
    /// would deny names that exist.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Sets whether the zones are known.
    pub fn set_ready(&mut self, is_ready: bool) {
        self.is_ready = is_ready;
    }

    /// The freshness promise for names in none of the zones: a zone for them may just have been added.
    pub fn consistency(&self) -> Consistency {
        self.consistency
    }

    /// Sets the freshness promise for names in none of the zones.
    pub fn set_consistency(&mut self, consistency: Consistency) {
        self.consistency = consistency;
    }

    /// Adds a zone, or replaces the one with that name.
    pub fn put_zone(&mut self, zone: Arc<Zone>) {
        self.rrset_count -= self.zone(zone.apex()).map_or(0, |zone| zone.rrset_count());
        self.rrset_count += zone.rrset_count();
        self.depth_max = self.depth_max.max(zone.apex().label_count());
        self.zones.insert_mut(ApexKey(zone.apex().clone()), zone);
    }

    /// Removes a zone. Returns false if it was not there.
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

    /// The number of zones.
    pub fn zone_count(&self) -> usize {
        self.zones.size()
    }

    /// The number of RRsets in all zones, with their SOA records.
    pub fn rrset_count(&self) -> usize {
        self.rrset_count
    }

    /// Whether this is the name of a zone.
    pub(super) fn is_apex(&self, name: &FoldedName) -> bool {
        self.zones.contains_key(name.wire())
    }

    /// Begins to look up a name in its zone.
    pub fn probe(&self, name: &[u8]) -> Option<Probe<'_>> {
        let mut folded = FoldedName::new();
        if !folded.fold(name) {
            return None;
        }
        let (zone, apex) = self.find(&folded, 0)?;
        Some(zone.contents.probe(folded.prefix(0, apex)))
    }

    /// The zone at the name or nearest above it (RFC 1034 4.3.2, step 2), and the index of the label at which the
    /// zone's name starts. Zones whose names start before `label` are skipped.
    pub(super) fn find(&self, name: &FoldedName, label: usize) -> Option<(&Zone, usize)> {
        let first = label.max(name.label_count().saturating_sub(self.depth_max));
        (first..=name.label_count())
            .find_map(|label| Some((&**self.zones.get(name.suffix(label))?, label)))
    }
}
