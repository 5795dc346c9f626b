//! How long losses add up.

use etcd::schema::Prefix;

use super::super::decode::decode;
use super::super::tables::Tables;
use super::super::zone_data::ZoneData;
use super::*;

const ZONE: &str = r#"{"soa":{"mname":"ns.x.","rname":"h.x.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":2,"default_ttl":300}"#;
const HOUR: u64 = Guard::WINDOW_S;

/// A zone of a hundred addresses.
struct Trial(Tables);

impl Trial {
    fn new() -> Self {
        let mut trial = Trial(Tables::default());
        trial.put("/ns/v1/zone/x", ZONE, Origin::Ours);
        for index in 0..100 {
            trial.put_address(index, Origin::Ours);
        }
        trial
    }

    fn put(&mut self, key: &str, value: &str, origin: Origin) {
        let decoded = decode(&Prefix::default(), key.as_bytes(), value.as_bytes());
        self.0.put(key.as_bytes(), decoded, (5, origin), None);
    }

    fn put_address(&mut self, index: usize, origin: Origin) {
        let key = format!("/ns/v1/rr/x/2/h{index}/A");
        self.put(&key, r#"{"ttl":1,"rdata":["192.0.2.1"]}"#, origin);
    }

    fn lose(&mut self, indexes: std::ops::Range<usize>, at: u64) {
        for index in indexes {
            let key = format!("/ns/v1/rr/x/2/h{index}/A");
            self.0
                .delete(&Prefix::default(), key.as_bytes(), (0, Origin::Others(at)));
        }
    }

    fn zone(&mut self) -> &mut ZoneData {
        self.0.zone(&"x".parse().expect("a name"))
    }

    /// How many RRsets are lost as of `now`, and of how many.
    fn gone(&mut self, now: u64) -> Option<(usize, usize)> {
        self.zone().forget_losses(now);
        let loss = self.zone().loss();
        loss.map(|Loss { gone, of }| (gone, of))
    }
}

#[test]
fn each_loss_counts_for_an_hour_from_its_own_time_on() {
    let start = 1_000_000;
    let mut trial = Trial::new();
    trial.lose(0..10, start);
    trial.lose(10..40, start + HOUR - 60);
    // The first ones may be forgotten, the later ones must not.
    assert_eq!(trial.gone(start + HOUR + 60), Some((40, 101)));
    trial.lose(40..60, start + HOUR + STEP - 1);
    assert_eq!(trial.gone(start + HOUR + STEP - 1), Some((60, 101)));
    // However late the next one was, an hour and a step is the most.
    assert_eq!(trial.gone(start + HOUR + STEP), Some((50, 91)));
    assert_eq!(trial.gone(start + 2 * HOUR - 60), Some((50, 91)));
    assert_eq!(trial.gone(start + 2 * HOUR + STEP - 60), Some((20, 61)));
    assert_eq!(trial.gone(start + 2 * HOUR + STEP - 1), Some((20, 61)));
    assert_eq!(trial.gone(start + 2 * HOUR + STEP), None);
}

#[test]
fn a_loss_now_and_then_never_keeps_more_than_some_copies() {
    let mut trial = Trial::new();
    for minute in 0..1000_u64 {
        let index = (minute % 100) as usize;
        trial.lose(index..index + 1, minute * 60);
        trial.put_address(index, Origin::Others(minute * 60));
    }
    assert_eq!(trial.gone(1000 * 60), None, "all are there");
    let mut trial = Trial::new();
    for index in 0..100 {
        let now = index as u64 * 240;
        trial.lose(index..index + 1, now);
        let (gone, of) = trial.gone(now).expect("one is gone right now");
        // Those of an hour and of one step.
        assert!(
            gone > 15.min(index) && gone <= 21,
            "{gone} of {of} at {index}"
        );
        let copies = trial
            .zone()
            .kept
            .as_ref()
            .map_or(0, |kept| kept.copies.len());
        assert!(copies <= 5, "{copies}");
    }
}

#[test]
fn what_is_held_back_is_not_forgotten() {
    let mut trial = Trial::new();
    trial.lose(0..60, 0);
    trial.zone().kept.as_mut().expect("it is kept").is_held = true;
    trial.lose(60..61, 2 * HOUR);
    assert_eq!(trial.gone(10 * HOUR), Some((61, 101)));
}
