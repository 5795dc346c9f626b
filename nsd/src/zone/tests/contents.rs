//! The map of names against a plain one, with clones in between.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::super::node::NodeBuf;
use super::super::trie::Trie;
use super::*;

/// Numbers that are the same in every run (Marsaglia, "Xorshift RNGs", 2003).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    pub(super) fn name(&mut self, apex: &str) -> Name {
        let labels = ["a", "b", "c", "*", "ns"];
        let count = self.below(4);
        let text: String = (0..count)
            .map(|_| format!("{}.", labels[self.below(5)]))
            .collect();
        name(
            if text.is_empty() || apex != "." {
                text + apex
            } else {
                text
            }
            .as_str(),
        )
    }
}

pub(super) type Model = BTreeMap<(Name, Rtype), Rrset>;

/// The names that exist: owners, and the names between them and the apex.
fn names_of(model: &Model, apex: &Name) -> BTreeSet<Name> {
    let up = |owner: &Name| {
        owner
            .ancestors()
            .filter(|name| name.is_within(apex))
            .collect::<Vec<_>>()
    };
    model.keys().flat_map(|(owner, _)| up(owner)).collect()
}

fn assert_same(contents: &Contents, model: &Model) {
    let listed: BTreeMap<_, _> = contents
        .iter()
        .map(|(owner, rtype, rrset)| ((owner, rtype), rrset))
        .collect();
    assert_eq!(listed.len(), contents.rrset_count());
    let expected: BTreeMap<_, _> = model
        .iter()
        .map(|(key, rrset)| (key.clone(), rrset.as_ref()))
        .collect();
    assert_eq!(listed, expected);
    let names = names_of(model, contents.apex());
    assert_eq!(contents.name_count(), names.len());
    for name in &names {
        let relative = &name.wire()[..name.wire().len() - contents.apex().wire().len()];
        assert!(contents.node(relative).is_some(), "{name}");
    }
    let divides = |(owner, rtype): &(Name, Rtype)| match *rtype {
        Rtype::NS => owner != contents.apex(),
        rtype => rtype == Rtype::DNAME,
    };
    assert_eq!(contents.has_dividers(), model.keys().any(divides));
    let is_dname = |(_, rtype): &(Name, Rtype)| *rtype == Rtype::DNAME;
    assert_eq!(contents.has_dnames(), model.keys().any(is_dname));
}

#[test]
fn contents_equal_a_plain_map() {
    for (seed, apex) in [(1, "test."), (2, "."), (3, "a.b.")] {
        let mut random = Random(seed);
        let (mut contents, mut model) = (Contents::new(name(apex)), Model::new());
        let mut kept = Vec::new();
        for step in 0..4_000 {
            let owner = random.name(apex);
            let rtype = [Rtype::A, Rtype::NS, Rtype::DNAME, Rtype::TXT][random.below(4)];
            // First mostly puts, in the end mostly removals.
            if random.below(4_000) < 3_999 - step % 4_000 {
                let rrset = Rrset::new(step as u32, [&step.to_be_bytes()[..]]).unwrap();
                assert!(contents.put(&owner, rtype, &rrset));
                model.insert((owner, rtype), rrset);
            } else {
                let was_there = model.remove(&(owner.clone(), rtype)).is_some();
                assert_eq!(contents.remove(&owner, rtype), was_there);
            }
            if step % 97 == 0 {
                assert_same(&contents, &model);
                kept.push((contents.clone(), model.clone()));
            }
        }
        for (owner, rtype) in model.keys() {
            assert!(contents.remove(owner, *rtype));
        }
        assert_same(&contents, &Model::new());
        assert_eq!(contents.name_count(), 0);
        // The clones have not changed.
        for (contents, model) in kept {
            assert_same(&contents, &model);
        }
    }
}

#[test]
fn names_outside_and_soa_records_are_rejected() {
    let mut contents = Contents::new(name("a.test."));
    let rrset = Rrset::new(1, [&b"x"[..]]).unwrap();
    for owner in ["test.", ".", "b.test.", "ba.test.", "x.b.test."] {
        assert!(!contents.put(&name(owner), Rtype::A, &rrset), "{owner}");
        assert!(!contents.remove(&name(owner), Rtype::A));
        assert!(contents.get(&name(owner), Rtype::A).is_none());
    }
    assert!(!contents.put(&name("a.test."), Rtype::SOA, &rrset));
    assert_eq!((contents.name_count(), contents.rrset_count()), (0, 0));
}

#[test]
fn cuts_and_dname_records_divide_and_the_apex_does_not() {
    let mut contents = Contents::new(name("test."));
    let rrset = Rrset::new(1, [&b"x"[..]]).unwrap();
    for (owner, rtype, divides) in [
        ("test.", Rtype::NS, false),
        ("*.test.", Rtype::NS, true),
        ("a.test.", Rtype::A, false),
        ("a.test.", Rtype::NS, true),
        ("test.", Rtype::DNAME, true),
    ] {
        contents.put(&name(owner), rtype, &rrset);
        assert_eq!(contents.has_dividers(), divides, "{owner} {rtype}");
        contents.remove(&name(owner), rtype);
        assert!(!contents.has_dividers());
    }
}

#[test]
fn rrsets_that_cannot_be_sent_are_refused() {
    assert!(Rrset::new(1, []).is_none());
    assert!(Rrset::new(1, [&vec![0; 65_536][..]]).is_none());
    assert!(Rrset::new(1, vec![&b""[..]; 65_537]).is_none());
    let rrset = Rrset::new(7, [&b"one"[..], b"", b"three"]).unwrap();
    let rrset = rrset.as_ref();
    assert_eq!((rrset.ttl, rrset.count), (7, 3));
    assert_eq!(rrset.data, b"\0\x03one\0\0\0\x05three");
    assert_eq!(
        rrset.rdata().collect::<Vec<_>>(),
        [&b"one"[..], b"", b"three"]
    );
}

/// Gives all names the same hash, until they are hashed with a round.
#[derive(Clone)]
pub(super) struct Colliding(pub(super) RandomState);

pub(super) struct CollidingHasher(<RandomState as BuildHasher>::Hasher, bool);

impl BuildHasher for Colliding {
    type Hasher = CollidingHasher;

    fn build_hasher(&self) -> CollidingHasher {
        CollidingHasher(self.0.build_hasher(), false)
    }
}

impl Hasher for CollidingHasher {
    fn write(&mut self, octets: &[u8]) {
        self.0.write(octets);
    }

    fn write_u32(&mut self, round: u32) {
        self.1 = round > 1;
        self.0.write_u32(round);
    }

    fn finish(&self) -> u64 {
        if self.1 { self.0.finish() } else { 42 }
    }
}

#[test]
fn names_of_one_hash_are_told_apart() {
    let mut trie = Trie::new(Colliding(RandomState::new()));
    let names: Vec<Vec<u8>> = (0..100)
        .map(|n| format!("\x03{n:03}").into_bytes())
        .collect();
    for name in &names {
        assert!(trie.get(name).is_none());
        trie.put(NodeBuf::new(name, 0));
    }
    let full = trie.clone();
    for (count, name) in names.iter().enumerate() {
        assert_eq!(
            (trie.len(), trie.iter().count()),
            (100 - count, 100 - count)
        );
        assert!(trie.change_children(name, |children| children + 1));
        assert_eq!(trie.get(name).expect("it is there").children(), 1);
        trie.remove(name);
        assert!(trie.get(name).is_none() && !trie.change_children(name, |children| children));
    }
    assert_eq!(trie.iter().count(), 0);
    assert!(
        names
            .iter()
            .all(|name| full.get(name).is_some_and(|node| node.children() == 0))
    );
}

#[test]
fn octets_make_the_same_zone() {
    let mut random = Random(4);
    let (mut contents, mut model) = (Contents::new(name("test.")), Model::new());
    let rrset = |step: usize| {
        let address = [10, 0, (step >> 8) as u8, step as u8];
        Rrset::new(step as u32, [&address[..]]).expect("one address")
    };
    for step in 0..3_000 {
        let owner = random.name("test.");
        contents.put(&owner, Rtype::A, &rrset(step));
        model.insert((owner, Rtype::A), rrset(step));
    }
    let load = |contents: &Contents| {
        let mut loader = Loader::new(name("test."));
        assert!(contents.octets().all(|octets| loader.put(octets)));
        loader
    };
    let mut loaded = load(&contents).finish().expect("no name came twice");
    assert_same(&loaded, &model);
    assert!(loaded.digest() == contents.digest() && loaded.is_sound());
    // It can be changed like any other.
    for step in 0..3_000 {
        let owner = random.name("test.");
        if random.below(2) == 0 {
            loaded.put(&owner, Rtype::A, &rrset(step));
            model.insert((owner, Rtype::A), rrset(step));
        } else {
            let was_there = model.remove(&(owner.clone(), Rtype::A)).is_some();
            assert_eq!(loaded.remove(&owner, Rtype::A), was_there);
        }
    }
    assert_same(&loaded, &model);
    assert!(loaded.is_sound());

    let empty = Loader::new(name("test.")).finish().expect("nothing twice");
    assert_same(&empty, &Model::new());
    let mut twice = load(&contents);
    assert!(twice.put(contents.octets().next().expect("a name")));
    assert!(twice.finish().is_none());
    for bad in [
        &b""[..],
        b"\0\0\0\0",
        b"\0\0\0\0\x01",
        b"\0\0\0\0\x02\x01A",
        b"\0\0\0\0\x01\0x",
    ] {
        assert!(!Loader::new(name("test.")).put(bad), "{bad:?}");
    }
}

#[test]
fn names_of_one_hash_are_loaded_too() {
    let names: Vec<Vec<u8>> = (0..100)
        .map(|n| format!("\x03{n:03}").into_bytes())
        .collect();
    let leaves = |names: &[Vec<u8>]| names.iter().map(|name| NodeBuf::new(name, 0)).collect();
    let trie = Trie::of(leaves(&names), Colliding(RandomState::new())).expect("none is twice");
    assert_eq!((trie.len(), trie.iter().count()), (100, 100));
    assert!(names.iter().all(|name| trie.get(name).is_some()));
    let twice = [&names[..], &names[..1]].concat();
    assert!(Trie::of(leaves(&twice), Colliding(RandomState::new())).is_none());
}

#[test]
fn probes_come_to_an_end() {
    let mut contents = Contents::new(name("test."));
    let address = Rrset::new(1, [&[192, 0, 2, 1][..]]).expect("one address");
    let steps = |contents: &Contents, wire: &[u8]| {
        let mut probe = contents.probe(wire);
        (0..).find(|_| !probe.step()).expect("an end")
    };
    assert_eq!(steps(&contents, b"\x01x"), 1);
    for index in 0..2000 {
        contents.put(&name(&format!("h{index}.test.")), Rtype::A, &address);
    }
    // Down to the node and its memory, or to a free slot.
    assert!((3..=8).contains(&steps(&contents, b"\x02h7")));
    for index in 0..2000 {
        let wire = name(&format!("no{index}.test."));
        assert!((1..=8).contains(&steps(&contents, &wire.wire()[..wire.wire().len() - 6])));
    }
}

#[test]
fn names_are_listed_in_canonical_order() {
    // RFC 4034 6.1, in its order.
    let sorted = [
        "example.",
        "a.example.",
        "yljkjljk.a.example.",
        "Z.a.example.",
        "zABC.a.EXAMPLE.",
        "z.example.",
        "\\001.z.example.",
        "*.z.example.",
        "\\200.z.example.",
    ];
    let owners = |contents: &Contents| -> Vec<Name> {
        contents.iter_canonical().map(|(owner, ..)| owner).collect()
    };
    let mut contents = Contents::new(name("example."));
    let rrset = Rrset::new(1, [&b"x"[..]]).expect("one rdata");
    for owner in sorted.iter().rev() {
        assert!(contents.put(&name(owner), Rtype::A, &rrset));
    }
    assert_eq!(owners(&contents), sorted.map(name));

    let mut random = Random(5);
    for apex in ["test.", "."] {
        let mut contents = Contents::new(name(apex));
        for _ in 0..300 {
            contents.put(&random.name(apex), Rtype::A, &rrset);
        }
        let listed = owners(&contents);
        assert!(listed.is_sorted() && listed.len() == contents.rrset_count());
    }
}
