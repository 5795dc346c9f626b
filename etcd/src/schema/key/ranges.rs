//! Ranges of keys.

use std::ops::Range;

use super::{Key, Prefix, push_owner, push_zone};
use crate::model::Name;

impl Prefix {
    /// All keys of this schema version.
    pub fn all(&self) -> Range<Vec<u8>> {
        range(self.folder(""))
    }

    /// The settings of all zones.
    pub fn zones(&self) -> Range<Vec<u8>> {
        range(self.folder("zone/"))
    }

    /// The settings of the zones below a name; for the root, of all zones including the root zone.
    pub fn zones_below(&self, name: &Name) -> Range<Vec<u8>> {
        zones_below(self.folder("zone/"), name)
    }

    /// The keys whose revisions give the zones' serials.
    pub fn serials(&self) -> Range<Vec<u8>> {
        range(self.folder("serial/"))
    }

    /// The leased records of all zones.
    pub fn leased(&self) -> Range<Vec<u8>> {
        range(self.folder("leased/"))
    }

    /// The keys whose revisions give the zones' serials when leased records have changed.
    pub fn leased_serials(&self) -> Range<Vec<u8>> {
        range(self.folder("leased-serial/"))
    }

    /// The leased records of a zone.
    pub fn leased_in(&self, zone: &Name) -> Range<Vec<u8>> {
        range(self.leased_folder(zone))
    }

    /// The leased records at an owner.
    pub fn leased_at(&self, zone: &Name, owner: &Name) -> Range<Vec<u8>> {
        let mut key = self.leased_folder(zone);
        push_owner(&mut key, zone, owner);
        key.push('/');
        range(key)
    }

    /// The leased records of the zones below a name; for the root, of all zones including the root zone.
    pub fn leased_below(&self, name: &Name) -> Range<Vec<u8>> {
        zones_below(self.folder("leased/"), name)
    }

    /// All front-ends.
    pub fn frontends(&self) -> Range<Vec<u8>> {
        range(self.folder("frontend/"))
    }

    /// The journals of all zones.
    pub fn journals(&self) -> Range<Vec<u8>> {
        range(self.journal_folder())
    }

    /// The journals of all zones, and what lies between them and the head key. Each of our transactions writes the head
    /// key, so whoever watches this range can tell whether it has fallen behind.
    pub fn journals_and_head(&self) -> Range<Vec<u8>> {
        let mut end = self.encode(&Key::Head);
        end.push(0);
        self.journals().start..end
    }

    /// The journal of a zone, the oldest entry first.
    pub fn journal(&self, zone: &Name) -> Range<Vec<u8>> {
        let mut key = self.journal_folder();
        push_zone(&mut key, zone);
        key.push('/');
        range(key)
    }

    /// The archived generations of a zone.
    pub fn archive(&self, zone: &Name) -> Range<Vec<u8>> {
        range(self.archive_folder(zone))
    }

    /// The parts of an archived generation.
    pub fn archived(&self, zone: &Name, generation: u64) -> Range<Vec<u8>> {
        range(format!("{}{generation}/", self.archive_folder(zone)))
    }

    /// The RRsets of all generations of a zone.
    pub fn generations(&self, zone: &Name) -> Range<Vec<u8>> {
        let mut key = self.folder("rr/");
        push_zone(&mut key, zone);
        key.push('/');
        range(key)
    }

    /// The RRsets of the zones below a name; for the root, of all zones including the root zone.
    pub fn rrsets_below(&self, name: &Name) -> Range<Vec<u8>> {
        zones_below(self.folder("rr/"), name)
    }

    /// All RRsets of one generation of a zone.
    pub fn generation(&self, zone: &Name, generation: u64) -> Range<Vec<u8>> {
        range(self.generation_folder(zone, generation))
    }

    /// The RRsets at one owner.
    pub fn owner(&self, zone: &Name, generation: u64, owner: &Name) -> Range<Vec<u8>> {
        let mut key = self.generation_folder(zone, generation);
        push_owner(&mut key, zone, owner);
        key.push('/');
        range(key)
    }

    /// The RRsets at an owner and below it. At the apex that is the whole generation.
    pub fn subtree(&self, zone: &Name, generation: u64, owner: &Name) -> Range<Vec<u8>> {
        if owner == zone {
            return self.generation(zone, generation);
        }
        let mut key = self.generation_folder(zone, generation);
        push_owner(&mut key, zone, owner);
        // The next octet is a dot in names below and a slash at the owner itself, and nothing sorts between the two.
        let (mut start, mut end) = (key.clone().into_bytes(), key.into_bytes());
        start.push(b'.');
        end.push(b'/' + 1);
        start..end
    }

    /// The RRsets below an owner, without its own.
    pub fn below(&self, zone: &Name, generation: u64, owner: &Name) -> Vec<Range<Vec<u8>>> {
        if owner == zone {
            // Everything but the apex, whose keys are in the middle.
            let (all, own) = (
                self.generation(zone, generation),
                self.owner(zone, generation, owner),
            );
            return vec![all.start..own.start, own.end..all.end];
        }
        let mut range = self.subtree(zone, generation, owner);
        if let Some(last) = range.end.last_mut() {
            *last = b'/';
        }
        vec![range]
    }
}

/// The keys of a folder, which ends in a slash, that belong to the zones below a name; for the root, all of them.
fn zones_below(mut folder: String, name: &Name) -> Range<Vec<u8>> {
    if name.is_root() {
        return range(folder);
    }
    push_zone(&mut folder, name);
    let (mut start, mut end) = (folder.clone().into_bytes(), folder.into_bytes());
    start.push(b'.');
    end.push(b'.' + 1);
    start..end
}

/// The keys that begin with `prefix`, which ends in a slash.
fn range(prefix: String) -> Range<Vec<u8>> {
    let start = prefix.into_bytes();
    let mut end = start.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    start..end
}
