//! Access lists: which client addresses a rule is for.

use core::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::AddressPrefix;

/// The clients that may do something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// Only these, if there is such a list.
    allow: Option<PrefixSet>,
    /// None of these, whatever `allow` says.
    deny: PrefixSet,
}

impl Acl {
    /// A list that refuses clients in `deny`, and clients outside `allow` unless that is `None`.
    pub fn new(allow: Option<PrefixSet>, deny: PrefixSet) -> Self {
        Acl { allow, deny }
    }

    /// Whether a client with this address may do what the list is for.
    pub fn allows(&self, address: IpAddr) -> bool {
        let is_listed = |allow: &PrefixSet| allow.contains(address);
        !self.deny.contains(address) && self.allow.as_ref().is_none_or(is_listed)
    }
}

/// A set of addresses, made from prefixes: sorted ranges that do not overlap. A look-up is a binary search, and does
/// not allocate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl PrefixSet {
    /// The set of all addresses in these prefixes.
    pub fn new(prefixes: &[AddressPrefix]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            match prefix.net() {
                IpNet::V4(net) => v4.push(net),
                IpNet::V6(net) => v6.push(net),
            }
        }
        let v4 = Ipv4Net::aggregate(&v4);
        let v6 = Ipv6Net::aggregate(&v6);
        let range4 = |net: &Ipv4Net| (net.network().to_bits(), net.broadcast().to_bits());
        let range6 = |net: &Ipv6Net| (net.network().to_bits(), net.broadcast().to_bits());
        PrefixSet {
            v4: v4.iter().map(range4).collect(),
            v6: v6.iter().map(range6).collect(),
        }
    }

    /// Whether this address is in the set. An IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }
}

/// Whether one of the ranges, which are sorted, has this number.
fn is_in<T: Copy + Ord>(ranges: &[(T, T)], number: T) -> bool {
    let (before, _) = ranges.split_at(ranges.partition_point(|(first, _)| *first <= number));
    before.last().is_some_and(|(_, last)| number <= *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(prefixes: &[&str]) -> PrefixSet {
        let parsed = prefixes
            .iter()
            .map(|prefix| prefix.parse().expect("a prefix"));
        PrefixSet::new(&parsed.collect::<Vec<_>>())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[track_caller]
    fn check(set: &PrefixSet, inside: &[&str], outside: &[&str]) {
        for text in inside {
            assert!(set.contains(address(text)), "{text} is in {set:?}");
        }
        for text in outside {
            assert!(!set.contains(address(text)), "{text} is not in {set:?}");
        }
    }

    #[test]
    fn prefixes_of_all_lengths() {
        check(&set(&[]), &[], &["0.0.0.0", "::", "::ffff:0.0.0.0"]);
        let all = ["0.0.0.0", "255.255.255.255", "::ffff:192.0.2.1"];
        check(&set(&["0.0.0.0/0"]), &all, &["::", "::1", "ffff::"]);
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        check(
            &set(&["::/0"]),
            &["::", last],
            &["0.0.0.0", "::ffff:192.0.2.1"],
        );
        let one = set(&["192.0.2.1", "2001:db8::1/128"]);
        check(
            &one,
            &["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"],
            &[
                "192.0.2.0",
                "192.0.2.2",
                "2001:db8::",
                "2001:db8::2",
                "::192.0.2.1",
            ],
        );
        check(
            &set(&["198.51.100.128/25", "2001:db8:8000::/33"]),
            &[
                "198.51.100.128",
                "198.51.100.255",
                "2001:db8:8000::",
                "2001:db8:ffff::",
            ],
            &[
                "198.51.100.127",
                "198.51.101.0",
                "2001:db8:7fff::",
                "2001:db9::",
            ],
        );
    }

    #[test]
    fn prefixes_may_overlap_and_come_in_any_order() {
        let several = set(&[
            "10.3.0.0/16",
            "10.0.0.0/8",
            "9.0.0.1",
            "10.0.0.0/8",
            "11.0.0.0/32",
        ]);
        check(
            &several,
            &[
                "9.0.0.1",
                "10.0.0.0",
                "10.3.1.1",
                "10.255.255.255",
                "11.0.0.0",
            ],
            &["9.0.0.0", "9.0.0.2", "11.0.0.1"],
        );
        assert_eq!(several.v4.len(), 3);
    }

    #[test]
    fn deny_wins_over_allow() {
        let open = Acl::default();
        let deny_only = Acl::new(None, set(&["192.0.2.0/24"]));
        let allow_only = Acl::new(Some(set(&["192.0.2.0/24", "2001:db8::/32"])), set(&[]));
        let both = Acl::new(
            Some(set(&["192.0.2.0/24"])),
            set(&["192.0.2.128/25", "198.51.100.0/24"]),
        );
        let nobody = Acl::new(Some(set(&[])), set(&[]));
        for (client, expected) in [
            ("192.0.2.1", [true, false, true, true, false]),
            ("192.0.2.129", [true, false, true, false, false]),
            ("::ffff:192.0.2.1", [true, false, true, true, false]),
            ("198.51.100.1", [true, true, false, false, false]),
            ("203.0.113.1", [true, true, false, false, false]),
            ("2001:db8::1", [true, true, true, false, false]),
        ] {
            let acls = [&open, &deny_only, &allow_only, &both, &nobody];
            let allowed = acls.map(|acl| acl.allows(address(client)));
            assert_eq!(allowed, expected, "{client}");
        }
    }

    fn prefix() -> impl Strategy<Value = AddressPrefix> {
        // Few addresses, so that prefixes overlap, touch and hold the addresses asked for.
        (any::<bool>(), 0..16u8, 0..=32u8).prop_map(|(is_v4, high, length)| {
            let net = match is_v4 {
                true => IpNet::new(IpAddr::from([high << 4, 0, 0, high]), length),
                false => {
                    let octets = [high << 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high];
                    IpNet::new(IpAddr::from(octets), length * 4)
                }
            };
            let text = net.expect("a length").trunc().to_string();
            text.parse().expect("a prefix")
        })
    }

    proptest! {
        #[test]
        fn a_set_has_what_any_of_its_prefixes_has(
            prefixes in proptest::collection::vec(prefix(), 0..20),
            asked in prefix(),
        ) {
            let set = PrefixSet::new(&prefixes);
            let nets = prefixes.iter().map(AddressPrefix::net);
            for address in [asked.net().network(), asked.net().broadcast()] {
                let expected = nets.clone().any(|net| net.contains(&address.to_canonical()));
                prop_assert_eq!(set.contains(address), expected, "{}", address);
            }
        }
    }
}
