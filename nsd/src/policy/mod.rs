//! Who may do what: one decision for all transports and operations.
//!
//! ```text
//! Client: address, transport, key ──┐
//! Operation: query, transfer, …   ──┼──► decide ──► Allow, or Refuse with an extended error
//! Rules: of the server, of a zone ──┘
//! ```
//!
//! The server's rules are asked first, before anything is looked up; then those of the zone that the name is in. A
//! client has to pass both.
//!
//! - `acl`: which addresses a rule is for.
//! - `cookies`: proof that a client receives what is sent to its address.
//! - `rrl`: how many responses a second one network gets.

mod acl;
mod cookies;
mod rrl;

use core::net::IpAddr;
use std::sync::Arc;

pub use acl::{Acl, PrefixSet};
pub use cookies::{CLIENT_COOKIE_LEN, CheckedCookie, SERVER_COOKIE_LEN, check_cookie};
pub use rrl::{Limited, Rates, ResponseClass, ResponseLimiter, Verdict};

use crate::model::{AddressPrefix, Name};

/// The extended error of a refusal: the client is not allowed to do this (RFC 8914 4.19, Prohibited).
pub const PROHIBITED: u16 = 18;

/// How a request and its response travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram each.
    Udp,
    /// In a stream of messages.
    Tcp,
    /// In such a stream over TLS (RFC 7858).
    Tls,
    /// In an HTTP request and its response (RFC 8484).
    Https,
    /// In a QUIC stream each (RFC 9250).
    Quic,
}

impl Transport {
    /// All of them.
    pub const ALL: [Transport; 5] = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Https,
        Transport::Quic,
    ];

    /// Whether nobody on the way can read the messages.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }

    /// Whether clients may ask how long their connection may be idle (RFC 7828): only over TCP, with or without TLS.
    /// Over UDP the option is ignored (3.2.2); HTTP and QUIC have means of their own.
    pub fn has_keepalive(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Client<'c> {
    /// The address that the request came from.
    pub address: IpAddr,
    /// How the request came.
    pub transport: Transport,
    /// The name of the key that signed the request (RFC 8945), if one did.
    pub key: Option<&'c Name>,
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Ask for records (RFC 1034 3.7).
    Query,
    /// Read a whole zone (RFC 5936, RFC 1995).
    Transfer,
    /// Change a zone (RFC 2136).
    Update,
    /// Say that a zone has changed elsewhere (RFC 1996).
    Notify,
}

/// Whether a client may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, as far as these rules go.
    Allow,
    /// It gets REFUSED with this extended error (RFC 8914).
    Refuse(u16),
}

/// The rules of a server or of a zone. They share what they were made from, so a clone costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who may query; `None` for everybody.
    query: Option<Arc<Acl>>,
}

impl Rules {
    /// Rules with these lists for queries. Without an `allow` list, all may query that `deny` does not have.
    pub fn new(allow: &[AddressPrefix], deny: &[AddressPrefix]) -> Self {
        if allow.is_empty() && deny.is_empty() {
            return Rules::default();
        }
        let allow = Some(allow).filter(|allow| !allow.is_empty());
        let acl = Acl::new(allow.map(PrefixSet::new), PrefixSet::new(deny));
        Rules {
            query: Some(Arc::new(acl)),
        }
    }

    /// Whether everybody may query. Then nobody has to find out who the client is.
    #[inline]
    pub fn are_open(&self) -> bool {
        self.query.is_none()
    }
}

/// Decides whether a client may do something.
///
/// Transfers, updates and notifications are refused: there are no rules yet that could allow them.
pub fn decide(rules: &Rules, client: &Client<'_>, operation: Operation) -> Decision {
    let allows = |acl: &Arc<Acl>| acl.allows(client.address);
    let is_allowed = match operation {
        Operation::Query => rules.query.as_ref().is_none_or(allows),
        Operation::Transfer | Operation::Update | Operation::Notify => false,
    };
    match is_allowed {
        true => Decision::Allow,
        false => Decision::Refuse(PROHIBITED),
    }
}

/// The settings about clients. A reload replaces them while the server answers.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The rules for all queries.
    pub rules: Rules,
    /// How many responses a client network gets.
    pub limits: Limits,
    /// Whether server cookies are given and checked (RFC 7873).
    pub has_cookies: bool,
    /// What counts the responses; `None` if nothing is limited.
    pub limiter: Option<Arc<ResponseLimiter>>,
}

/// The settings of response rate limiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The limits.
    pub rates: Rates,
    /// Clients without limits.
    pub exempt: PrefixSet,
    /// Whether responses over the limit are only counted.
    pub is_log_only: bool,
}

impl Policy {
    /// This policy in the place of `last`: if it limits anything, with the table of that one, or with a new one. The seed
    /// should be random.
    pub fn after(mut self, last: &Policy, seed: [u64; 2]) -> Self {
        let limiter = self.limits.rates.is_on().then(|| {
            let new = || Arc::new(ResponseLimiter::new(seed));
            last.limiter.clone().unwrap_or_else(new)
        });
        self.limiter = limiter;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<AddressPrefix> {
        let parsed = texts.iter().map(|text| text.parse().expect("a prefix"));
        parsed.collect()
    }

    /// Transport x key x operation x rule.
    #[test]
    fn the_matrix() {
        let (none, client, other) = (&[][..], &["192.0.2.0/24"][..], &["198.51.100.0/24"][..]);
        let everybody = &["0.0.0.0/0", "::/0"][..];
        let name: Name = "key.example".parse().expect("a name");
        for (allow, deny, may_query) in [
            (none, none, true),
            (client, none, true),
            (everybody, none, true),
            (other, none, false),
            (none, client, false),
            (none, everybody, false),
            (none, other, true),
            (client, client, false),
            (client, other, true),
            (other, client, false),
            (everybody, client, false),
            (client, everybody, false),
        ] {
            let rules = Rules::new(&prefixes(allow), &prefixes(deny));
            for transport in Transport::ALL {
                for key in [None, Some(&name)] {
                    let client = Client {
                        address: IpAddr::from([192, 0, 2, 7]),
                        transport,
                        key,
                    };
                    for (operation, is_allowed) in [
                        (Operation::Query, may_query),
                        (Operation::Transfer, false),
                        (Operation::Update, false),
                        (Operation::Notify, false),
                    ] {
                        let expected = match is_allowed {
                            true => Decision::Allow,
                            false => Decision::Refuse(18),
                        };
                        let decision = decide(&rules, &client, operation);
                        assert_eq!(
                            decision, expected,
                            "{allow:?} {deny:?} {client:?} {operation:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rules_without_lists_are_open_to_everybody() {
        assert!(Rules::default().are_open() && Rules::new(&[], &[]).are_open());
        let list = prefixes(&["192.0.2.1"]);
        assert!(!Rules::new(&list, &[]).are_open() && !Rules::new(&[], &list).are_open());
    }
}
