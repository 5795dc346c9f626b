use std::str::FromStr;

use crate::model::{Name, Rtype};
use etcd::schema::{Key, Prefix};

/// The octets as a name in text, as one in wire form and as a key: each reads back as what it was.
pub fn name(octets: &[u8]) {
    if let Ok(text) = std::str::from_utf8(octets)
        && let Ok(name) = text.parse::<Name>()
    {
        survives(&name);
        if let Ok(theirs) = domain::base::Name::<Vec<u8>>::from_str(text) {
            assert!(
                theirs.as_slice().eq_ignore_ascii_case(name.wire()),
                "{name}"
            );
        }
    }
    if let Ok(name) = Name::from_wire(octets) {
        assert!(name.wire().eq_ignore_ascii_case(octets));
        survives(&name);
    }
    let prefix = Prefix::default();
    if let Ok(key) = prefix.decode(octets) {
        assert_eq!(prefix.encode(&key), octets);
    }
}

fn survives(name: &Name) {
    let text = name.to_string();
    assert_eq!(text.parse().as_ref(), Ok(name), "{text}");
    assert_eq!(Name::from_wire(name.wire()).as_ref(), Ok(name));
    let theirs = domain::base::Name::<Vec<u8>>::from_str(&text).expect("another library reads it");
    assert_eq!(theirs.as_slice(), name.wire(), "{text}");
    assert_eq!(
        Name::from_labels(name.labels(), &Name::root()).as_ref(),
        Ok(name)
    );

    for (depth, zone) in name.ancestors().enumerate() {
        assert!(name.is_within(&zone) && (depth == 0 || zone < *name));
        assert_eq!(name.label_count(), depth + zone.label_count());
        // Not in each of 127 zones, which would take milliseconds.
        if depth < 2 || depth == name.label_count() / 2 || zone.is_root() {
            has_a_key(name, &zone);
        }
    }
}

/// The key of an RRset reads back, and is in those ranges that it belongs to.
fn has_a_key(owner: &Name, zone: &Name) {
    let prefix = Prefix::default();
    let of = |owner: &Name, rtype| Key::Rrset {
        zone: zone.clone(),
        generation: 7,
        owner: owner.clone(),
        rtype,
    };
    let key = of(owner, Rtype::TXT);
    let encoded = prefix.encode(&key);
    assert_eq!(prefix.decode(&encoded).as_ref(), Ok(&key));
    let zone_key = prefix.encode(&Key::Zone(zone.clone()));
    assert_eq!(prefix.decode(&zone_key), Ok(Key::Zone(zone.clone())));

    assert!(prefix.all().contains(&encoded));
    assert!(prefix.generations(zone).contains(&encoded));
    assert!(prefix.generation(zone, 7).contains(&encoded));
    let above = owner
        .ancestors()
        .take(2)
        .filter(|above| above.is_within(zone));
    for above in above.chain([zone.clone()]) {
        let (is_owner, above_key) = (above == *owner, prefix.encode(&of(&above, Rtype::A)));
        assert!(prefix.subtree(zone, 7, &above).contains(&encoded));
        assert_eq!(prefix.owner(zone, 7, &above).contains(&encoded), is_owner);
        assert_eq!(
            prefix.subtree(zone, 7, owner).contains(&above_key),
            is_owner
        );
    }
}
