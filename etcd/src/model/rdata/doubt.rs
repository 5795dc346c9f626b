//! Warnings about rdata that is valid but probably a mistake.

use super::super::name;
use super::super::rtype::Rtype;

const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// A warning about rdata of this type.
pub(super) fn doubt(rtype: Rtype, wire: &[u8]) -> Option<String> {
    match rtype {
        // Algorithm 0 asks for the deletion of all DS records (RFC 8078 4).
        Rtype::CDS if wire.get(2) == Some(&0) => None,
        Rtype::DS | Rtype::CDS | Rtype::DLV | Rtype::TA => digest(wire, 3, DS_DIGESTS),
        Rtype::TLSA | Rtype::SMIMEA => digest(wire, 2, TLSA_DIGESTS),
        Rtype::SVCB | Rtype::HTTPS => parameters(wire),
        _ => None,
    }
}

/// Digest lengths by type (RFC 4034 A.2, 4509, 5933, 6605, 9558, 9563).
const DS_DIGESTS: &[(u8, usize)] = &[(1, 20), (2, 32), (3, 32), (4, 48), (5, 32), (6, 32)];
/// Digest lengths by matching type (RFC 6698 2.1.3).
const TLSA_DIGESTS: &[(u8, usize)] = &[(1, 32), (2, 64)];

/// Checks the length of the digest that follows its type, the octet at `at`.
fn digest(wire: &[u8], at: usize, lengths: &[(u8, usize)]) -> Option<String> {
    let kind = wire.get(at)?;
    let len = wire.len() - at - 1;
    let (_, wanted) = lengths.iter().find(|(known, _)| known == kind)?;
    (len != *wanted)
        .then(|| format!("a digest of type {kind} has {wanted} octets, and this one has {len}"))
}

fn parameters(wire: &[u8]) -> Option<String> {
    let (priority, rest) = wire.split_at_checked(2)?;
    let mut rest = rest.get(name::wire_len(rest)?..)?;
    if priority == [0, 0] && !rest.is_empty() {
        return Some(
            "priority 0 makes an alias, whose parameters are ignored (RFC 9460, 2.4.2)".into(),
        );
    }
    let mut keys = Vec::new();
    while let [a, b, c, d, after @ ..] = rest {
        keys.push(u16::from_be_bytes([*a, *b]));
        rest = after.get(usize::from(u16::from_be_bytes([*c, *d]))..)?;
    }
    (keys.contains(&NO_DEFAULT_ALPN) && !keys.contains(&ALPN)).then(|| {
        "no-default-alpn without alpn leaves no protocol, so clients ignore the record (RFC 9460, 7.1.1)"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Rdata;
    use super::*;

    #[test]
    fn odd_rdata_is_told() {
        let (sha1, sha256, sha384) = ("ab".repeat(20), "ab".repeat(32), "ab".repeat(48));
        let doubt = |rtype: Rtype, text: &str| Rdata::parse(rtype, text).expect(text).doubt(rtype);
        for (rtype, text, reason) in [
            (
                Rtype::DS,
                format!("1 8 2 {sha1}"),
                "a digest of type 2 has 32 octets, and this one has 20",
            ),
            (
                Rtype::CDS,
                format!("1 8 4 {sha256}"),
                "a digest of type 4 has 48",
            ),
            (
                Rtype::TLSA,
                format!("3 1 2 {sha256}"),
                "a digest of type 2 has 64",
            ),
            (
                Rtype::HTTPS,
                "1 . no-default-alpn".into(),
                "no-default-alpn without alpn",
            ),
            (Rtype::SVCB, "0 x. port=1".into(), "parameters are ignored"),
        ] {
            let found = doubt(rtype, &text).unwrap_or_default();
            assert!(found.contains(reason), "{text}: {found}");
        }
        for (rtype, text) in [
            (Rtype::DS, format!("1 8 2 {sha256}")),
            (Rtype::DS, format!("1 13 4 {sha384}")),
            (Rtype::DS, format!("1 8 77 {sha1}")),
            (Rtype::CDS, "0 0 0 00".into()),
            (Rtype::TLSA, format!("3 0 0 {sha1}")),
            (Rtype::HTTPS, "1 . alpn=h2 no-default-alpn port=1".into()),
            (Rtype::HTTPS, "0 x.".into()),
            (Rtype::MX, "1 x.".into()),
        ] {
            assert_eq!(doubt(rtype, &text), None, "{text}");
        }
    }
}
