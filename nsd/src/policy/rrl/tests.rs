//! Limits, and the table that counts for them.

use std::collections::BTreeSet;

use super::*;

const ALL_ONE: Rates = Rates {
    answers: 1,
    nxdomains: 1,
    errors: 1,
    slip: 0,
};
const WWW: &[u8] = b"\x03www\x07example\x03org\0";
const APEX: &[u8] = b"\x07example\x03org\0";

fn limiter() -> ResponseLimiter {
    ResponseLimiter::new([1, 2])
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// How many of so many responses at this moment are sent.
fn sent(limiter: &ResponseLimiter, rates: &Rates, now: u64, count: usize) -> usize {
    let class = ResponseClass::Answer(WWW);
    let count_one = |_: &usize| {
        let verdict = limiter.count(rates, ip("192.0.2.1"), class, now);
        verdict.is_none()
    };
    (0..count).filter(count_one).count()
}

#[test]
fn a_client_that_is_a_little_over_the_limit_is_slipped_too() {
    let (limiter, rates) = (limiter(), Rates { slip: 2, ..ALL_ONE });
    let fates = (0..4u64).map(|second| {
        let now = 1_000_000 + second * 1_100_000;
        let class = || ResponseClass::Answer(WWW);
        [(); 2].map(|()| limiter.count(&rates, ip("192.0.2.1"), class(), now))
    });
    let (drop, truncate) = (Some(Limited::Drop), Some(Limited::Truncate));
    let expected = [
        [None, drop],
        [None, truncate],
        [None, drop],
        [None, truncate],
    ];
    assert_eq!(fates.collect::<Vec<_>>(), expected);
}

#[test]
fn a_second_has_as_many_responses_as_the_rate_says() {
    for rate in [1, 2, 3, 5, 7, 100, 999, 1000, Rates::RATE_MAX] {
        let (limiter, count) = (limiter(), 3 * rate as usize);
        let rates = Rates {
            answers: rate,
            ..Rates::default()
        };
        let start = 1_000_000;
        assert_eq!(sent(&limiter, &rates, start, count), rate as usize);
        assert_eq!(
            sent(&limiter, &rates, start + 1_000_000, count),
            rate as usize
        );
        // Half a second gives half of the tokens back.
        let half = sent(&limiter, &rates, start + 1_500_000, count);
        assert_eq!(half, rate as usize / 2, "rate {rate}");
        // Unused tokens do not add up.
        assert_eq!(
            sent(&limiter, &rates, start + 90_000_000, count),
            rate as usize
        );
    }
}

#[test]
fn prefetching_counts_nothing() {
    let limiter = limiter();
    let response = (ip("192.0.2.1"), ResponseClass::Answer(WWW));
    assert_eq!(limiter.count(&ALL_ONE, response.0, response.1, 5), None);
    let buckets = || -> Vec<u64> {
        let sets = limiter.sets.iter().flat_map(|set| &set.0);
        sets.map(|at| at.load(Ordering::Relaxed)).collect()
    };
    let before = buckets();
    limiter.prefetch([response, (ip("::1"), ResponseClass::Error)].into_iter());
    assert_eq!(buckets(), before);
}

#[test]
fn a_rate_of_zero_limits_nothing() {
    let (limiter, off) = (limiter(), Rates::default());
    assert!(!off.is_on());
    assert_eq!(sent(&limiter, &off, 0, 1000), 1000);
    let untouched = |set: &Set| set.0.iter().all(|at| at.load(Ordering::Relaxed) == 0);
    assert!(limiter.sets.iter().all(untouched));
}

#[test]
fn times_wrap_around() {
    let limiter = limiter();
    let wrap = 1 << TIME_BITS;
    assert_eq!(sent(&limiter, &ALL_ONE, wrap - 10, 5), 1);
    assert_eq!(sent(&limiter, &ALL_ONE, wrap + 10, 5), 0);
    assert_eq!(sent(&limiter, &ALL_ONE, wrap + 1_000_000, 5), 1);
    // A thread whose clock reading is a little older.
    assert_eq!(sent(&limiter, &ALL_ONE, wrap + 999_000, 5), 0);
}

#[test]
fn every_nth_limited_response_is_truncated() {
    for (slip, expected) in [
        (0, "DDDDDDDD"),
        (1, "TTTTTTTT"),
        (2, "DTDTDTDT"),
        (3, "DDTDDTDD"),
        (Rates::SLIP_MAX, "DDDDDDDDDTDD"),
    ] {
        let (limiter, rates) = (limiter(), Rates { slip, ..ALL_ONE });
        let count = || limiter.count(&rates, ip("192.0.2.1"), ResponseClass::Error, 0);
        assert_eq!(count(), None);
        let seen: String = (0..expected.len())
            .map(|_| match count() {
                None => '-',
                Some(Limited::Drop) => 'D',
                Some(Limited::Truncate) => 'T',
            })
            .collect();
        assert_eq!(seen, expected, "slip {slip}");
    }
}

/// Whether a response shares its limit with one to 192.0.2.1 for `WWW`.
fn is_shared(peer: &str, class: ResponseClass<'_>) -> bool {
    let limiter = limiter();
    let first = limiter.count(&ALL_ONE, ip("192.0.2.1"), ResponseClass::Answer(WWW), 0);
    assert_eq!(first, None);
    limiter.count(&ALL_ONE, ip(peer), class, 0).is_some()
}

#[test]
fn a_network_has_one_limit() {
    let www = ResponseClass::Answer(WWW);
    assert!(is_shared("192.0.2.255", www));
    assert!(is_shared("::ffff:192.0.2.7", www));
    assert!(!is_shared("192.0.3.1", www));
    assert!(!is_shared("::192.0.2.1", www));
    assert!(!is_shared("2001:db8::1", www));
    let prefix = |text| client_prefix(ip(text));
    assert_eq!(prefix("2001:db8::1"), prefix("2001:db8:0:ff:1:2:3:4"));
    assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:100::1"));
    assert_ne!(prefix("::1"), prefix("0.0.0.0"));
}

#[test]
fn classes_and_names_have_limits_of_their_own() {
    let other = |class| is_shared("192.0.2.1", class);
    assert!(other(ResponseClass::Answer(b"\x03WwW\x07eXample\x03ORG\0")));
    let limiter = limiter();
    let short = |name| limiter.count(&ALL_ONE, ip("::1"), ResponseClass::Answer(name), 0);
    assert_eq!(short(b"\x02aB\0"), None);
    assert!(short(b"\x02Ab\0").is_some(), "spelling makes no difference");
    assert_eq!(short(b"\x02AbX\0"), None);
    for name in [
        &b"\x03wwx\x07example\x03org\0"[..],
        b"\x03www\x07example\x03net\0",
        b"\x04wwww\x07example\x03org\0",
        APEX,
        b"\0",
    ] {
        assert!(!other(ResponseClass::Answer(name)), "{name:?}");
    }
    assert!(!other(ResponseClass::AnyNameOf(WWW)));
    assert!(!other(ResponseClass::Nxdomain(WWW)));
    assert!(!other(ResponseClass::Error));
}

#[test]
fn the_table_never_grows_and_a_flood_does_not_limit_others() {
    let limiter = limiter();
    let octets = limiter.sets.len() * size_of::<Set>();
    assert_eq!(octets, 8 << 20);
    let rates = ALL_ONE;
    // Twice as many networks as there are buckets.
    let mut limited = 0;
    for network in 0..2u32 << (SETS_LOG2 + 3) {
        let peer = IpAddr::V4((network << 8).into());
        limited += usize::from(
            limiter
                .count(&rates, peer, ResponseClass::Error, 5)
                .is_some(),
        );
    }
    // Only those whose part of the hash equals another one's.
    assert!(limited < 50, "{limited} were limited");
    assert_eq!(sent(&limiter, &rates, 5, 10), 1);
}

#[test]
fn a_network_has_a_window_of_the_table_in_which_the_busiest_names_stay() {
    let limiter = limiter();
    let rates = Rates {
        answers: 20,
        ..Rates::default()
    };
    let count =
        |name: &[u8], now| limiter.count(&rates, ip("192.0.2.1"), ResponseClass::Answer(name), now);
    // For a second, 100,000 responses of different names, and one in 100 of the same.
    let mut sent = 0;
    for index in 0..100_000 {
        let now = 1_000_000 + 10 * index;
        assert_eq!(count(format!("\x06{index:06}\0").as_bytes(), now), None);
        sent += usize::from(index % 100 == 0 && count(WWW, now).is_none());
    }
    // At once, and again in the second after.
    assert!(sent <= 2 * 20, "{sent} were sent");
    let is_used = |set: &Set| set.0.iter().any(|at| at.load(Ordering::Relaxed) != 0);
    let used: Vec<usize> = (0..limiter.sets.len())
        .filter(|index| is_used(&limiter.sets[*index]))
        .collect();
    let windows: BTreeSet<usize> = used.iter().map(|index| index >> WINDOW_LOG2).collect();
    assert_eq!((used.len(), windows.len()), (1 << WINDOW_LOG2, 1));
}

#[test]
fn whoever_has_spent_the_most_keeps_its_bucket() {
    let limiter = limiter();
    let rates = Rates {
        nxdomains: 1000,
        ..ALL_ONE
    };
    assert_eq!(sent(&limiter, &rates, 5, 10), 1);
    for network in 0..2u32 << (SETS_LOG2 + 3) {
        let peer = IpAddr::V4((network << 8).into());
        limiter.count(&rates, peer, ResponseClass::Nxdomain(APEX), 5);
    }
    assert_eq!(sent(&limiter, &rates, 5, 10), 0);
}

#[test]
fn many_threads_share_a_limit() {
    let limiter = limiter();
    let rates = Rates {
        answers: 1000,
        ..Rates::default()
    };
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| sent(&limiter, &rates, 7, 2000)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("a count"))
            .sum()
    });
    // A few may be counted twice when the bucket is made.
    assert!((1000..=1016).contains(&total), "{total}");
}
