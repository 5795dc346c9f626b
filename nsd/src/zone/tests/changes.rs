//! What differs between versions of a zone: against plain maps.

use super::super::changes::RrsetChange;
use super::super::node::NodeBuf;
use super::super::trie::Trie;
use super::contents::{Colliding, Model, Random};
use super::*;

fn rrset(number: usize) -> Rrset {
    Rrset::new(number as u32, [&number.to_be_bytes()[..]]).expect("one rdata")
}

fn owned(rrset: RrsetRef<'_>) -> Rrset {
    Rrset::new(rrset.ttl, rrset.rdata()).expect("it was one")
}

/// Asserts that the changes from one version to another are those from one map to the other.
fn assert_changes(old: Option<(&Contents, &Model)>, new: Option<(&Contents, &Model)>) {
    let changes: Vec<RrsetChange<'_>> =
        Contents::changes(old.map(|(old, _)| old), new.map(|(new, _)| new)).collect();
    let model = |version: Option<(&Contents, &Model)>| {
        version.map_or_else(Model::new, |(_, model)| model.clone())
    };
    let (mut applied, expected) = (model(old), model(new));
    for change in &changes {
        let key = (change.owner.clone(), change.rtype);
        assert_ne!(change.old, change.new, "{key:?}");
        let before = match change.new {
            Some(new) => applied.insert(key, owned(new)),
            None => applied.remove(&key),
        };
        assert_eq!(before.as_ref().map(Rrset::as_ref), change.old);
    }
    assert_eq!(applied, expected);
    let (old, new) = (model(old), model(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let count = (keys.iter().filter(|key| old.get(key) != new.get(key))).count();
    assert_eq!(changes.len(), count, "each once");
}

#[test]
fn changes_lead_from_one_version_to_the_other() {
    for (seed, apex) in [(1, "test."), (2, "."), (3, "a.b.")] {
        let mut random = Random(seed);
        let empty = (Contents::new(name(apex)), Model::new());
        let mut versions = vec![empty];
        for step in 0..500 {
            let (mut contents, mut model) = versions.last().expect("one").clone();
            for _ in 0..random.below(4) {
                let key = (random.name(apex), [Rtype::A, Rtype::TXT][random.below(2)]);
                if random.below(3) > 0 {
                    contents.put(&key.0, key.1, &rrset(step));
                    model.insert(key, rrset(step));
                } else {
                    contents.remove(&key.0, key.1);
                    model.remove(&key);
                }
            }
            versions.push((contents, model));
        }
        let of = |version: &'_ (Contents, Model)| (version.0.clone(), version.1.clone());
        for _ in 0..100 {
            let old = of(&versions[random.below(versions.len())]);
            let mut new = of(&versions[random.below(versions.len())]);
            if random.below(2) == 0 {
                // With hashes of its own.
                let mut other = Contents::new(name(apex));
                for (owner, rtype, rrset) in new.0.iter() {
                    other.put(&owner, rtype, &owned(rrset));
                }
                new.0 = other;
            }
            assert_changes(Some((&old.0, &old.1)), Some((&new.0, &new.1)));
            assert_changes(None, Some((&new.0, &new.1)));
            assert_changes(Some((&old.0, &old.1)), None);
        }
    }
    assert_changes(None, None);
}

#[test]
fn a_name_that_only_gets_a_child_has_not_changed() {
    let mut old = Contents::new(name("test."));
    old.put(&name("a.test."), Rtype::A, &rrset(1));
    let mut new = old.clone();
    new.put(&name("b.a.test."), Rtype::A, &rrset(2));
    let changes: Vec<_> = Contents::changes(Some(&old), Some(&new)).collect();
    let added = RrsetChange {
        owner: name("b.a.test."),
        rtype: Rtype::A,
        old: None,
        new: new.get(&name("b.a.test."), Rtype::A),
    };
    assert_eq!(changes, [added]);
}

/// Names made of numbers, as nodes.
fn nodes(range: std::ops::Range<u32>) -> impl Iterator<Item = NodeBuf> {
    range.map(|number| NodeBuf::new(&[&[4], &number.to_be_bytes()[..]].concat(), 0))
}

#[test]
fn branches_that_both_share_are_skipped() {
    let mut old = Trie::new(foldhash::quality::RandomState::default());
    nodes(0..100_000).for_each(|node| old.put(node));
    let mut new = old.clone();
    nodes(100_000..100_010).for_each(|node| new.put(node));
    let mut differences = old.differences(&new);
    let (mut steps, mut found) = (0, 0);
    while let Some(step) = differences.step() {
        steps += 1;
        found += usize::from(step.is_some());
    }
    assert_eq!(found, 10);
    // Each is a few branches down, and a branch has 32 slots at most.
    assert!(steps < 10 * 6 * 32, "{steps} steps for 10 changes");
    assert_eq!(old.differences(&old.clone()).count(), 0);
}

#[test]
fn names_of_one_hash_are_compared() {
    let hasher = Colliding(std::hash::RandomState::new());
    let mut old = Trie::new(hasher);
    nodes(0..50).for_each(|node| old.put(node));
    let mut new = old.clone();
    nodes(40..60).for_each(|node| new.put(node));
    nodes(0..5).for_each(|node| new.remove(node.node().name()));
    let mut counts = [0; 3];
    for (old, new) in old.differences(&new) {
        let kind = match (old, new) {
            (Some(_), None) => 0,
            (Some(_), Some(_)) => 1,
            _ => 2,
        };
        counts[kind] += 1;
    }
    assert_eq!(counts, [5, 10, 10], "removed, replaced, added");
}
