//! Server cookies (RFC 7873), in the form that all servers of a fleet can check (RFC 9018).
//!
//! ```text
//! server cookie: | version 1 | reserved (3) | timestamp (4) | hash (8) |
//! hash:          SipHash-2-4 of client cookie, version, reserved, timestamp and client address, with the secret
//! ```
//!
//! [`CookieSecrets`] tells how the secret is replaced.

use core::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::model::{CookieSecret, CookieSecrets};

/// The length of a client cookie in octets (RFC 7873 4).
pub const CLIENT_COOKIE_LEN: usize = 8;

/// The length of a server cookie in octets (RFC 9018 4).
pub const SERVER_COOKIE_LEN: usize = 16;

/// The version of the form (RFC 9018 4.1).
const VERSION: u8 = 1;

/// How many seconds a cookie is valid (RFC 9018 4.3).
const VALID_S: i32 = 3600;

/// How many seconds the clock that made a cookie may be ahead of ours (RFC 9018 4.3).
const AHEAD_S: i32 = 300;

/// From which age in seconds the client gets a new cookie (RFC 9018 4.3).
const RENEWED_FROM_S: i32 = 1800;

/// What a server says to the cookie of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedCookie {
    /// Whether the client has proved that it receives what is sent to its address.
    pub is_valid: bool,
    /// The server cookie for the response: the one that came, or a new one if that is old, not valid, or of an
    /// older secret.
    pub server: [u8; SERVER_COOKIE_LEN],
}

/// Checks a client cookie and the server cookie that came with it, if one of the right length did. `now` is Unix time in
/// seconds.
pub fn check_cookie(
    secrets: &CookieSecrets,
    client: &[u8; CLIENT_COOKIE_LEN],
    server: Option<&[u8; SERVER_COOKIE_LEN]>,
    peer: IpAddr,
    now: u64,
) -> CheckedCookie {
    let in_use = secrets.in_use(now);
    let made_with = server.and_then(|server| secret_of(secrets, client, server, peer, now));
    // A cookie of another secret would be rejected once that is gone.
    let is_fresh = |server: &&[u8; SERVER_COOKIE_LEN]| {
        made_with == Some(in_use) && age_s(server, now) <= RENEWED_FROM_S
    };
    CheckedCookie {
        is_valid: made_with.is_some(),
        server: match server.filter(is_fresh) {
            Some(server) => *server,
            None => make(in_use, client, peer, now),
        },
    }
}

/// The secret that this cookie was made with, if the cookie is valid.
fn secret_of<'s>(
    secrets: &'s CookieSecrets,
    client: &[u8; CLIENT_COOKIE_LEN],
    server: &[u8; SERVER_COOKIE_LEN],
    peer: IpAddr,
    now: u64,
) -> Option<&'s CookieSecret> {
    if server[0] != VERSION || !(-AHEAD_S..=VALID_S).contains(&age_s(server, now)) {
        return None;
    }
    // The reserved octets are hashed as they came (RFC 9018 4.2).
    let made = |secret: &&CookieSecret| hash(secret, client, &server[..8], peer) == server[8..];
    secrets.all().find(made)
}

/// The age of a cookie in seconds, by serial number arithmetic (RFC 1982); negative if it is from the future.
fn age_s(server: &[u8; SERVER_COOKIE_LEN], now: u64) -> i32 {
    let [_, _, _, _, a, b, c, d, ..] = *server;
    (now as u32).wrapping_sub(u32::from_be_bytes([a, b, c, d])) as i32
}

fn make(
    secret: &CookieSecret,
    client: &[u8; CLIENT_COOKIE_LEN],
    peer: IpAddr,
    now: u64,
) -> [u8; SERVER_COOKIE_LEN] {
    let mut server = [0; SERVER_COOKIE_LEN];
    server[0] = VERSION;
    server[4..8].copy_from_slice(&(now as u32).to_be_bytes());
    let hash = hash(secret, client, &server[..8], peer);
    server[8..].copy_from_slice(&hash);
    server
}

/// RFC 9018 4.4. The octets of the hash are in the order in which SipHash's authors print them: the lowest first.
fn hash(
    secret: &CookieSecret,
    client: &[u8; CLIENT_COOKIE_LEN],
    front: &[u8],
    peer: IpAddr,
) -> [u8; 8] {
    let mut input = [0; 32];
    input[..8].copy_from_slice(client);
    input[8..16].copy_from_slice(front);
    let len = match peer {
        IpAddr::V4(address) => {
            input[16..20].copy_from_slice(&address.octets());
            20
        }
        IpAddr::V6(address) => {
            input[16..].copy_from_slice(&address.octets());
            32
        }
    };
    SipHasher24::new_with_key(&secret.0)
        .hash(&input[..len])
        .to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NextSecret;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        let octet = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16);
        std::array::from_fn(|at| octet(at).expect("hexadecimal digits"))
    }

    fn secret(hex: &str) -> CookieSecret {
        CookieSecret(octets(hex))
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    /// A check of a whole COOKIE option, and the whole option of the response.
    fn check(secrets: &CookieSecrets, option: &str, peer: &str, now: u64) -> (bool, String) {
        let client = octets(&option[..16]);
        let server = (option.len() == 48).then(|| octets(&option[16..]));
        let peer = peer.parse().expect("an address");
        let checked = check_cookie(secrets, &client, server.as_ref(), peer, now);
        let server = checked.server.iter();
        let server: String = server.map(|octet| format!("{octet:02x}")).collect();
        (checked.is_valid, format!("{}{server}", &option[..16]))
    }

    /// RFC 9018 appendix A.
    #[test]
    fn vectors_of_the_rfc() {
        let one = CookieSecrets::only(secret(SECRET), 0);
        // A.1: a client without a server cookie.
        let learned = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let told = check(&one, "2464c4abcf10c957", "198.51.100.100", 1_559_731_985);
        assert_eq!(told, (false, learned.into()));
        // A.2: the same client 40 minutes later, when its cookie is renewed.
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        let told = check(&one, learned, "198.51.100.100", 1_559_734_385);
        assert_eq!(told, (true, renewed.into()));
        // A.3: reserved octets that are not zero.
        let given = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
        // (The RFC renews it after two hours, which its own 4.3 forbids.)
        assert!(check(&one, given, "203.0.113.203", 1_559_727_985).0);
        let told = check(&one, given, "203.0.113.203", 1_559_734_700);
        assert_eq!(told, (false, renewed.into()));
        // A.4: IPv6, with a secret that was replaced.
        let rolled = CookieSecrets {
            current: secret("445536bcd2513298075a5d379663c962"),
            previous: Some(secret("dd3bdf9344b678b185a6f5cb60fca715")),
            next: None,
            rotated_at: 0,
        };
        let given = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let renewed = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
        let peer = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let told = check(&rolled, given, peer, 1_559_741_961);
        assert_eq!(told, (true, renewed.into()));
    }

    const CLIENT: &str = "2464c4abcf10c957";
    const PEER: &str = "192.0.2.1";
    const T: u64 = 2_000_000_000;

    #[test]
    fn cookies_are_valid_for_an_hour_and_renewed_after_half_of_it() {
        let one = CookieSecrets::only(secret(SECRET), 0);
        let cookie = check(&one, CLIENT, PEER, T).1;
        for (now, is_valid, is_kept) in [
            (T - 301, false, false),
            (T - 300, true, true),
            (T, true, true),
            (T + 1800, true, true),
            (T + 1801, true, false),
            (T + 3600, true, false),
            (T + 3601, false, false),
            (T + (1 << 31), false, false),
        ] {
            let (valid, answer) = check(&one, &cookie, PEER, now);
            assert_eq!((valid, answer == cookie), (is_valid, is_kept), "{now}");
            assert_eq!(check(&one, &answer, PEER, now), (true, answer.clone()));
        }
        // The 32-bit clock wraps around in 2106.
        let late = (1 << 32) - 10;
        let cookie = check(&one, CLIENT, PEER, late).1;
        assert!(check(&one, &cookie, PEER, late + 60).0);
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_valid() {
        let one = CookieSecrets::only(secret(SECRET), 0);
        let cookie = check(&one, CLIENT, PEER, T).1;
        assert!(!check(&one, &cookie, "192.0.2.2", T).0);
        assert!(!check(&one, &cookie, "2001:db8::1", T).0);
        let other = CookieSecrets::only(secret("445536bcd2513298075a5d379663c962"), 0);
        assert!(!check(&other, &cookie, PEER, T).0);
        for at in 0..cookie.len() / 2 {
            let mut changed = octets::<24>(&cookie);
            changed[at] ^= 1;
            let changed: String = changed.iter().map(|octet| format!("{octet:02x}")).collect();
            assert!(!check(&one, &changed, PEER, T).0, "octet {at}");
        }
    }

    /// Two front-ends learn of each step of a rotation at different times; each accepts what the other makes.
    #[test]
    fn a_rotation_never_divides_the_fleet() {
        let (a, b, c) = (
            secret(SECRET),
            secret("445536bcd2513298075a5d379663c962"),
            secret("dd3bdf9344b678b185a6f5cb60fca715"),
        );
        let before = CookieSecrets {
            current: b,
            previous: Some(a),
            next: None,
            rotated_at: 0,
        };
        let rotated = CookieSecrets {
            next: Some(NextSecret {
                secret: c,
                from: T + 600,
            }),
            ..before
        };
        // What a front-end has once it has seen the next rotation, which makes `c` current, while the other still has
        // `rotated`.
        let after = CookieSecrets {
            current: c,
            previous: Some(b),
            next: Some(NextSecret {
                secret: a,
                from: T + 9000,
            }),
            rotated_at: 0,
        };
        let stages = [
            (T, [before, rotated]),
            (T + 599, [before, rotated]),
            (T + 601, [rotated, rotated]),
            (T + 4300, [rotated, after]),
        ];
        for (now, [one, other]) in stages {
            // Clocks differ by a little.
            for (maker, checker, ahead) in [(one, other, 0), (other, one, 0), (one, other, 5)] {
                let cookie = check(&maker, CLIENT, PEER, now + ahead).1;
                assert!(check(&checker, &cookie, PEER, now).0, "at {}", now - T);
            }
        }
        let made = |secrets: &CookieSecrets, now| check(secrets, CLIENT, PEER, now).1;
        let with = |secret, now| made(&CookieSecrets::only(secret, 0), now);
        assert_eq!(made(&rotated, T + 599), with(b, T + 599));
        assert_eq!(made(&rotated, T + 600), with(c, T + 600));
        // An old cookie outlives the switch for as long as it is valid.
        let old = made(&rotated, T + 599);
        assert!(check(&rotated, &old, PEER, T + 4199).0);
    }
}
