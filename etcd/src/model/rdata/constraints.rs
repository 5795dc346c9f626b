//! Constraints between the fields of a type.

use super::super::rtype::Rtype;
use super::address::host_len;

/// The constraint that the rdata violates; each of its fields is valid by itself.
pub(super) fn breach(rtype: Rtype, wire: &[u8]) -> Option<&'static str> {
    let (broken, reason) = match (rtype, wire) {
        (Rtype::NSEC3, [1, _, _, _, salt, rest @ ..]) => (
            rest.get(usize::from(*salt)) != Some(&20),
            "a hash of algorithm 1 (SHA-1) has 20 octets, 32 characters in text (RFC 5155, 3.3)",
        ),
        (Rtype::SSHFP, [_, 1, fingerprint @ ..]) => (
            fingerprint.len() != 20,
            "a fingerprint of type 1 (SHA-1) has 20 octets (RFC 4255, 3.1.3)",
        ),
        (Rtype::SSHFP, [_, 2, fingerprint @ ..]) => (
            fingerprint.len() != 32,
            "a fingerprint of type 2 (SHA-256) has 32 octets (RFC 6594, 4.1)",
        ),
        (Rtype::ZONEMD, [_, _, _, _, _, 1, digest @ ..]) => (
            digest.len() != 48,
            "a digest of algorithm 1 (SHA-384) has 48 octets (RFC 8976, 2.2.3)",
        ),
        (Rtype::ZONEMD, [_, _, _, _, _, 2, digest @ ..]) => (
            digest.len() != 64,
            "a digest of algorithm 2 (SHA-512) has 64 octets (RFC 8976, 2.2.3)",
        ),
        (Rtype::ZONEMD, [_, _, _, _, _, _, digest @ ..]) => (
            digest.len() < 12,
            "a digest has 12 octets at least (RFC 8976, 2.2.4)",
        ),
        (Rtype::KEY, [flags, _, _, _, key @ ..]) if flags & 0xc0 == 0xc0 => (
            !key.is_empty(),
            "flags of 49152 and above say that there is no key (RFC 2535, 3.1.2)",
        ),
        (Rtype::KEY, [_, _, _, _, key @ ..]) => (key.is_empty(), "the key is missing"),
        (Rtype::IPSECKEY, [_, kind, 1..=255, gateway @ ..]) => (
            host_len(*kind, gateway) == Some(gateway.len()),
            "the key is missing; only algorithm 0 has none (RFC 4025, 2.4)",
        ),
        (Rtype::RKEY, [high, low, ..]) => ([*high, *low] != [0, 0], "the flags of RKEY are 0"),
        (Rtype::URI, [_, _, _, _, target @ ..]) => (
            target.is_empty(),
            "the target of a URI record is not empty (RFC 7553, 4.4)",
        ),
        _ => return None,
    };
    broken.then_some(reason)
}
