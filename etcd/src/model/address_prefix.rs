//! Prefixes of IP addresses.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The bits in front of an IPv4 address that is written as an IPv6 address, as in `::ffff:192.0.2.1` (RFC 4291 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// A prefix of IP addresses, as in `192.0.2.0/24` or `2001:db8::/32` (RFC 4632 3.1, RFC 4291 2.3).
///
/// A bare address is the prefix of this address alone. IPv4-mapped IPv6 addresses are IPv4 addresses. The text form is
/// always the same for the same prefix: it has a length, and the IPv6 address is written as in RFC 5952.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressPrefix(IpNet);

/// Why a text is not an [`AddressPrefix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPrefixError {
    /// The part before the slash is not an IP address.
    Address(String),
    /// The part after the slash is not a length for addresses of this family, which is at most this long.
    Length(String, u8),
    /// The address has bits after the prefix; the prefix alone is this one.
    HostBits(String, AddressPrefix),
}

impl fmt::Display for AddressPrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressPrefixError::Address(text) => write!(
                f,
                "'{text}' is not an IP address: expected a prefix such as 192.0.2.0/24 or 2001:db8::/32"
            ),
            AddressPrefixError::Length(text, max) => write!(
                f,
                "'{text}' is not a prefix length: expected a number from 0 to {max}"
            ),
            AddressPrefixError::HostBits(text, prefix) => write!(
                f,
                "'{text}' has bits after the prefix: write {prefix} for the prefix, or the address alone"
            ),
        }
    }
}

impl std::error::Error for AddressPrefixError {}

impl AddressPrefix {
    /// The prefix as the type of the `ipnet` crate.
    pub fn net(&self) -> IpNet {
        self.0
    }

    /// The prefix of this address alone.
    pub fn of_address(address: IpAddr) -> Self {
        AddressPrefix(address.to_canonical().into())
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AddressPrefix {
    type Err = AddressPrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written: IpAddr = address
            .parse()
            .map_err(|_| AddressPrefixError::Address(address.into()))?;
        let Some(length) = length else {
            return Ok(Self::of_address(written));
        };
        let bits = if written.is_ipv4() { 32 } else { 128 };
        let wrong_length = || AddressPrefixError::Length(length.into(), bits);
        let is_number = length.bytes().all(|octet| octet.is_ascii_digit());
        let number = length.parse().ok().filter(|_| is_number);
        let number: u8 = number.ok_or_else(wrong_length)?;
        let canonical = written.to_canonical();
        let (network, number) = match number.checked_sub(MAPPED_BITS) {
            Some(rest) if canonical != written => (canonical, rest),
            _ => (written, number),
        };
        let net = IpNet::new(network, number).map_err(|_| wrong_length())?;
        if net.network() != network {
            let prefix = AddressPrefix(net.trunc());
            return Err(AddressPrefixError::HostBits(text.into(), prefix));
        }
        Ok(AddressPrefix(net))
    }
}

impl TryFrom<String> for AddressPrefix {
    type Error = AddressPrefixError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AddressPrefix> for String {
    fn from(prefix: AddressPrefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, AddressPrefixError> {
        text.parse().map(|prefix: AddressPrefix| prefix.to_string())
    }

    #[test]
    fn each_prefix_has_one_text_form() {
        for (text, expected) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_prefix_is_told() {
        for (text, reason) in [
            ("", "'' is not an IP address"),
            ("none", "'none' is not an IP address"),
            ("192.0.2/24", "'192.0.2' is not an IP address"),
            ("fe80::1%eth0", "is not an IP address"),
            (
                "192.0.2.0/33",
                "'33' is not a prefix length: expected a number from 0 to 32",
            ),
            ("2001:db8::/129", "from 0 to 128"),
            ("192.0.2.0/", "'' is not a prefix length"),
            ("192.0.2.0/+8", "'+8' is not a prefix length"),
            ("192.0.2.0/8/8", "'8/8' is not a prefix length"),
            ("192.0.2.1/24", "write 192.0.2.0/24 for the prefix"),
            ("2001:db8::1/32", "write 2001:db8::/32 for the prefix"),
            ("::ffff:192.0.2.1/120", "write 192.0.2.0/24 for the prefix"),
            ("::ffff:192.0.2.0/64", "write ::/64 for the prefix"),
        ] {
            let error = canonical(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn json_is_the_text_form() {
        let prefixes: Vec<AddressPrefix> =
            serde_json::from_str(r#"["192.0.2.1","2001:DB8::/32"]"#).expect("prefixes");
        let written = serde_json::to_string(&prefixes).expect("JSON");
        assert_eq!(written, r#"["192.0.2.1/32","2001:db8::/32"]"#);
        let error = serde_json::from_str::<AddressPrefix>(r#""192.0.2.1/24""#);
        let error = error.expect_err("host bits").to_string();
        assert!(error.contains("write 192.0.2.0/24"), "{error}");
    }
}
