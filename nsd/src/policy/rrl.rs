//! Response rate limiting, as in BIND and Knot DNS: how many equal responses one client network gets in a second.
//!
//! Whoever sends queries with a forged source address makes servers send responses to somebody else. A resolver asks for
//! the same again only when its cache has expired, so a network that seems to ask for the same many times a second is
//! most likely the victim. Some of the responses over the limit are dropped, the others sent truncated (`slip`), so
//! that a real client asks again over TCP.
//!
//! ```text
//! client prefix ──keyed hash──► window of sets ──┐
//! and class, name ──keyed hash──► set of 8 buckets ──► Send, Drop or Truncate
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

/// How many sets in a row have the buckets of one network, as a power of two: 64 KiB, which the processor caches for a
/// network that asks much.
const WINDOW_LOG2: u32 = 10;

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
        let (window, hash) = self.hash(peer, class);
        // No bucket in use has the tag 0, which empty ones have.
        let tag = (hash >> TAG_SHIFT).max(1);
        self.set(window, hash)
            .count(tag, cost_us, rates.slip, now_us & TIME_MASK)
    }

    /// Brings the buckets of these responses into the cache. The waits for memory overlap, as no read depends on another.
    pub fn prefetch<'n>(&self, responses: impl Iterator<Item = (IpAddr, ResponseClass<'n>)>) {
        for (peer, class) in responses {
            let (window, hash) = self.hash(peer, class);
            black_box(self.set(window, hash).0[0].load(Ordering::Relaxed));
        }
    }

    /// The set for a hash, in the window of a network.
    fn set(&self, window: u64, hash: u64) -> &Set {
        let first = window << WINDOW_LOG2 & ((1 << SETS_LOG2) - 1);
        let in_window = hash & ((1 << WINDOW_LOG2) - 1);
        &self.sets[(first | in_window) as usize]
    }

    /// The hash of the network, and that of all that responses have in common which share a limit.
    fn hash(&self, peer: IpAddr, class: ResponseClass<'_>) -> (u64, u64) {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared_seed);
        let (kind, name) = match class {
            ResponseClass::Answer(name) => (1, name),
            ResponseClass::AnyNameOf(apex) => (2, apex),
            ResponseClass::Nxdomain(apex) => (3, apex),
            ResponseClass::Error => (4, &[][..]),
        };
        hasher.write_u64(client_prefix(peer));
        let window = hasher.finish();
        hasher.write_u64(kind);
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
        (window, hasher.finish())
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
mod tests;
