//! Response rate limiting, as in BIND and Knot DNS: how many equal responses one client network gets in a second.
//!
//! Whoever sends queries with a forged source address makes servers send responses to somebody else. A resolver asks for
//! the same again only when its cache has expired, so a network that seems to ask for the same many times a second is
//! most likely the victim. Some of the responses over the limit are dropped, the others sent truncated (`slip`), so
//! that a real client asks again over TCP.
//!
//! ```text
//! client prefix, class, name ──keyed hash──► set of 8 buckets ──► Send, Drop or Truncate
//! ```
//!
//! The table has a fixed size. A bucket is one number: a part of the hash, and the time until which its tokens are spent
//! (the "generic cell rate algorithm", which is a token bucket that needs no refilling). Threads share the table without
//! locks. Two that make the same new bucket at once may count a few responses twice, or not at all. When a set is full,
//! the bucket that is nearest to being full of tokens goes: an attack from more networks than there are buckets is limited
//! less, and never costs a client that is not part of it.

use core::fmt;
use core::hash::Hasher;
use core::hint::black_box;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// How many sets there are, as a power of two: with [`WAYS`] buckets of 8 octets each they take 8 MiB.
const SETS_LOG2: u32 = 17;

/// Buckets in a set. They fill one cache line.
const WAYS: usize = 8;

/// How many microseconds of its rate a client may use at once.
const BURST_US: u64 = 1_000_000;

/// A bucket, from the low bits: the time in microseconds until which the tokens are spent (it wraps after 12 days), how
/// many responses were limited since the last one that was truncated, and a part of the hash.
const TIME_BITS: u32 = 40;
const SLIP_BITS: u32 = 4;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const SLIP_MASK: u64 = (1 << SLIP_BITS) - 1;
const TAG_SHIFT: u32 = TIME_BITS + SLIP_BITS;

/// How often a thread tries to change a bucket that others change too.
const ATTEMPTS: usize = 64;

/// How many responses a client network gets in a second; 0 for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Responses with NOERROR, of each name.
    pub answers: u32,
    /// Responses with NXDOMAIN, of each zone.
    pub nxdomains: u32,
    /// All other responses.
    pub errors: u32,
    /// One of so many responses over the limit is sent truncated; 0 drops all of them.
    pub slip: u8,
}

impl Rates {
    /// The highest rate.
    pub const RATE_MAX: u32 = 10_000;
    /// The highest `slip`.
    pub const SLIP_MAX: u8 = 10;

    /// Whether anything is limited.
    pub fn is_on(&self) -> bool {
        self.answers | self.nxdomains | self.errors != 0
    }

    fn of(&self, class: &ResponseClass<'_>) -> u32 {
        match class {
            ResponseClass::Answer(_) | ResponseClass::AnyNameOf(_) => self.answers,
            ResponseClass::Nxdomain(_) => self.nxdomains,
            ResponseClass::Error => self.errors,
        }
    }
}

/// What counts as the same response. Names are in uncompressed wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseClass<'n> {
    /// Data or NODATA at this name, in any spelling.
    Answer(&'n [u8]),
    /// An answer that any number of names in this zone have: a referral, or one from a wildcard or a DNAME record.
    AnyNameOf(&'n [u8]),
    /// NXDOMAIN in this zone.
    Nxdomain(&'n [u8]),
    /// Another response code.
    Error,
}

/// What happens to a response that is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// It is not sent.
    Drop,
    /// It is sent truncated.
    Truncate,
}

/// What happens to a response; `None` if it is sent as it is.
pub type Verdict = Option<Limited>;

/// The table of buckets.
pub struct ResponseLimiter {
    sets: Box<[Set]>,
    seed: u64,
    shared_seed: SharedSeed,
}

impl fmt::Debug for ResponseLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither a million buckets nor the seed.
        f.write_str("ResponseLimiter")
    }
}

#[repr(align(64))]
#[derive(Default)]
struct Set([AtomicU64; WAYS]);

impl ResponseLimiter {
    /// An empty table. The seed should be random, so that nobody can choose names that share a bucket.
    pub fn new(seed: [u64; 2]) -> Self {
        ResponseLimiter {
            sets: (0..1 << SETS_LOG2).map(|_| Set::default()).collect(),
            seed: seed[0],
            shared_seed: SharedSeed::from_u64(seed[1]),
        }
    }

    /// Counts a response to this client, and says what happens to it. `now_us` is a time in microseconds, which may be
    /// some milliseconds old.
    pub fn count(
        &self,
        rates: &Rates,
        peer: IpAddr,
        class: ResponseClass<'_>,
        now_us: u64,
    ) -> Verdict {
        let cost_us = match rates.of(&class) {
            0 => return None,
            rate => (BURST_US / u64::from(rate)).max(1),
        };
        let hash = self.hash(peer, class);
        // No bucket in use has the tag 0, which empty ones have.
        let tag = (hash >> TAG_SHIFT).max(1);
        self.set(hash)
            .count(tag, cost_us, rates.slip, now_us & TIME_MASK)
    }

    /// Brings the buckets of these responses into the cache. The waits for memory overlap, as no read depends on another.
    pub fn prefetch<'n>(&self, responses: impl Iterator<Item = (IpAddr, ResponseClass<'n>)>) {
        for (peer, class) in responses {
            black_box(self.set(self.hash(peer, class)).0[0].load(Ordering::Relaxed));
        }
    }

    fn set(&self, hash: u64) -> &Set {
        &self.sets[(hash as usize) & ((1 << SETS_LOG2) - 1)]
    }

    fn hash(&self, peer: IpAddr, class: ResponseClass<'_>) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared_seed);
        let (kind, name) = match class {
            ResponseClass::Answer(name) => (1, name),
            ResponseClass::AnyNameOf(apex) => (2, apex),
            ResponseClass::Nxdomain(apex) => (3, apex),
            ResponseClass::Error => (4, &[][..]),
        };
        hasher.write_u64(client_prefix(peer) | kind << 60);
        // Makes letters lower case. Some other octets become equal, too, which only makes the limit of a few odd names a
        // common one.
        let mut words = name.chunks_exact(8);
        for word in &mut words {
            let word: &[u8; 8] = word.try_into().unwrap_or(&[0; 8]);
            hasher.write_u64(u64::from_le_bytes(*word) | 0x2020_2020_2020_2020);
        }
        let rest = words.remainder().iter();
        hasher.write_u64(rest.fold(name.len() as u64, |word, octet| {
            word << 8 | u64::from(octet | 0x20)
        }));
        hasher.finish()
    }
}

/// The network that a client counts as: /24 of IPv4, /56 of IPv6.
fn client_prefix(peer: IpAddr) -> u64 {
    match peer {
        IpAddr::V4(address) => 1 << 59 | u64::from(u32::from(address) >> 8),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => client_prefix(IpAddr::V4(address)),
            None => (u128::from(address) >> 72) as u64,
        },
    }
}

/// How many microseconds the tokens of a bucket last beyond now; 0 if all are there again.
fn spent_us(bucket: u64, now: u64) -> u64 {
    let ahead = (bucket & TIME_MASK).wrapping_sub(now) & TIME_MASK;
    // Anything further ahead is in the past: times wrap around. A thread's time may be a little older than a bucket's.
    if ahead <= 2 * BURST_US { ahead } else { 0 }
}

impl Set {
    fn count(&self, tag: u64, cost_us: u64, slip: u8, now: u64) -> Verdict {
        let (mut at, mut seen) = self.find(tag, now);
        for _ in 0..ATTEMPTS {
            let is_ours = seen >> TAG_SHIFT == tag;
            let (spent, slips) = match is_ours {
                true => (spent_us(seen, now), seen & (SLIP_MASK << TIME_BITS)),
                false => (0, 0),
            };
            let (bucket, verdict) = if spent + cost_us <= BURST_US {
                // Whoever is over the limit only now and then is told to use TCP all the same.
                let until = (now + spent + cost_us) & TIME_MASK;
                (tag << TAG_SHIFT | slips | until, None)
            } else {
                limit(seen, slip)
            };
            let swapped =
                at.compare_exchange_weak(seen, bucket, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return verdict,
                // Somebody has taken the bucket for other responses.
                Err(other) if other >> TAG_SHIFT != tag => (at, seen) = self.find(tag, now),
                Err(other) => seen = other,
            }
        }
        None
    }

    /// The bucket of this tag, or the one to replace by it; and its value.
    fn find(&self, tag: u64, now: u64) -> (&AtomicU64, u64) {
        let mut best = (&self.0[0], 0, u64::MAX);
        for at in &self.0 {
            let seen = at.load(Ordering::Relaxed);
            if seen >> TAG_SHIFT == tag {
                return (at, seen);
            }
            let spent = spent_us(seen, now);
            if spent < best.2 {
                best = (at, seen, spent);
            }
        }
        (best.0, best.1)
    }
}

/// The bucket after a response that is over the limit, and what happens to that.
fn limit(seen: u64, slip: u8) -> (u64, Verdict) {
    let count = (seen >> TIME_BITS & SLIP_MASK) + 1;
    let is_slipped = slip > 0 && count >= u64::from(slip);
    let count = if is_slipped || slip == 0 { 0 } else { count };
    let bucket = seen & !(SLIP_MASK << TIME_BITS) | count << TIME_BITS;
    let verdict = if is_slipped {
        Limited::Truncate
    } else {
        Limited::Drop
    };
    (bucket, Some(verdict))
}

#[cfg(test)]
mod tests {
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
}
