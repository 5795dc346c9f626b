//! What is merged step by step is what would be merged at once.

use proptest::prelude::*;

use super::*;

const OWNERS: [&str; 3] = ["x", "a.x", "b.a.x"];
const TYPES: [Rtype; 3] = [Rtype::A, Rtype::AAAA, Rtype::CNAME];

#[derive(Clone, Debug)]
enum Step {
    /// The zone puts or removes an RRset.
    Own(usize, usize, Option<u8>),
    /// An announcer puts or removes its records.
    Lease(usize, usize, u64, Option<u8>),
    /// The zone is replaced.
    Replace,
    /// A kept copy is served, or is not any more.
    Hold,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let own = (0..OWNERS.len(), 0..TYPES.len(), any::<Option<u8>>());
    // CNAME records cannot be leased.
    let lease = (0..OWNERS.len(), 0..2usize, 0..3u64, any::<Option<u8>>());
    let step = prop_oneof![
        4 => own.prop_map(|(owner, rtype, last)| Step::Own(owner, rtype, last)),
        6 => lease.prop_map(|(owner, rtype, by, last)| Step::Lease(owner, rtype, by, last)),
        1 => Just(Step::Replace),
        1 => Just(Step::Hold),
    ];
    proptest::collection::vec(step, 1..40)
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn records(rtype: Rtype, last: u8) -> model::Rrset {
    let text = match rtype {
        Rtype::A => format!("192.0.2.{}", last % 4),
        Rtype::AAAA => format!("2001:db8::{}", last % 4),
        _ => format!("c{last}.x."),
    };
    let rdata = Rdata::parse(rtype, &text).expect("rdata");
    model::Rrset::new(rtype, 20 + u32::from(last), vec![rdata]).expect("an RRset")
}

fn put_own(contents: &mut Contents, owner: &Name, rtype: Rtype, last: u8) {
    let records = records(rtype, last);
    let rdata = records.rdata().iter().map(Rdata::wire);
    let rrset = Rrset::new(records.ttl(), rdata).expect("it is short");
    contents.put(owner, rtype, &rrset);
}

fn digest_of(by: u64, last: u8) -> Digest {
    Digest::of_leased(&by.to_be_bytes(), &[last])
}

/// Merges all at once.
fn from_scratch(leased: &Leased, without: &Contents) -> Contents {
    let mut fresh = leased.clone();
    fresh.merged = None;
    fresh.merge(Some(0), without)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_as_at_once(steps in steps()) {
        let (mut leased, mut own, mut kept) = (Leased::default(), Contents::new(name("x")), None);
        let mut generation = 1;
        for step in steps {
            match step {
                Step::Own(owner, rtype, Some(last)) => {
                    put_own(&mut own, &name(OWNERS[owner]), TYPES[rtype], last);
                }
                Step::Own(owner, rtype, None) => {
                    own.remove(&name(OWNERS[owner]), TYPES[rtype]);
                }
                Step::Lease(owner, rtype, by, last) => {
                    let (place, instance) = ((name(OWNERS[owner]), TYPES[rtype]), Instance(by));
                    match last {
                        Some(last) => {
                            let records = records(TYPES[rtype], last);
                            let records = LeasedRrset::new(TYPES[rtype], records, 100).expect("it can be leased");
                            leased.put(place, instance, records, digest_of(by, last));
                        }
                        None => leased.remove(&place, instance),
                    }
                }
                Step::Replace => {
                    own = Contents::new(name("x"));
                    put_own(&mut own, &name("a.x"), Rtype::A, 77);
                    generation += 1;
                }
                Step::Hold => kept = kept.is_none().then(|| own.clone()),
            }
            let served = kept.as_ref().unwrap_or(&own);
            let merged = leased.merge(kept.is_none().then_some(generation), served);
            let expected = from_scratch(&leased, served);
            let missing = (merged.missing_in(&expected), expected.missing_in(&merged));
            prop_assert_eq!(missing, (0, 0));
            prop_assert_eq!(merged.digest(), expected.digest());
            prop_assert!(merged.is_sound());
        }
        let places: Vec<_> = leased.iter().map(|(place, by, _)| (place.clone(), by)).collect();
        for (place, by) in places {
            leased.remove(&place, by);
        }
        prop_assert_eq!(leased.digest, Digest::default());
        prop_assert_eq!(leased.merge(None, &own).digest(), own.digest());
    }
}

#[test]
fn of_more_than_a_message_has_room_for_as_many_as_it_has() {
    let mut leased = Leased::default();
    let place = (name("a.x"), Rtype::TXT);
    for by in 0..3 {
        // 40,000 octets each.
        let text = format!("\"{by}{}\" ", "t".repeat(199)).repeat(200);
        let rdata = Rdata::parse(Rtype::TXT, &text).expect("rdata");
        let rrset = model::Rrset::new(Rtype::TXT, 5, vec![rdata]).expect("an RRset");
        let records = LeasedRrset::new(Rtype::TXT, rrset, 10).expect("it can be leased");
        leased.put(place.clone(), Instance(by), records, digest_of(by, 0));
    }
    let merged = leased.merge(Some(1), &Contents::new(name("x")));
    let served = merged.get(&place.0, place.1).expect("it is served");
    assert_eq!((served.count, served.ttl), (1, 5));
}

#[test]
fn thousands_of_announcers_are_cut_at_the_length_of_a_message() {
    let place = (name("a.x"), Rtype::A);
    let mut own = Contents::new(name("x"));
    put_own(&mut own, &place.0, place.1, 1);
    let served = |announcers: u64| {
        let mut leased = Leased::default();
        for by in 0..announcers {
            let text = format!("10.0.{}.{}", by >> 8, by & 255);
            let rdata = Rdata::parse(Rtype::A, &text).expect("rdata");
            let rrset = model::Rrset::new(Rtype::A, 5, vec![rdata]).expect("an RRset");
            let records = LeasedRrset::new(Rtype::A, rrset, 10).expect("it can be leased");
            leased.put(place.clone(), Instance(by), records, digest_of(by, 0));
        }
        let merged = leased.merge(Some(1), &own);
        merged.get(&place.0, place.1).map(|rrset| rrset.count)
    };
    assert_eq!(
        (served(1), served(3), served(2000)),
        (Some(2), Some(4), Some(2001))
    );
    let most = served(5000);
    assert!(
        most.is_some_and(|count| (4000..4100).contains(&count)),
        "{most:?}"
    );
    assert_eq!(served(20_000), most);
}
