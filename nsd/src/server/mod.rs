//! Answering: octets in, octets out, over UDP and TCP.
//!
//! All transports go through [`Service::respond`], which reads the published view and nothing else.

mod tcp;
mod udp;

pub use tcp::{Limits, serve as serve_tcp};
pub use udp::{Workers, start as start_udp};

use crate::message::{self, Chaos, Class, Options, Reject};
use crate::metrics::Counters;
use crate::mirror::Published;
use crate::zone::{self, Rcode, View};

/// How many octets a response over UDP has at most, whatever the client takes: larger ones are cut into
/// fragments on their way, and lost (RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;

/// How many octets a message has at most.
pub const OCTETS_MAX: usize = 65_535;

/// What all transports answer with.
#[derive(Clone)]
pub struct Service {
    /// The zones.
    pub view: Published,
    /// Server identity; empty if it is not told.
    pub nsid: String,
    /// Software version; empty if it is not told.
    pub version: String,
}

/// How the response travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram, which the client and [`UDP_OCTETS_MAX`] limit.
    Udp,
    /// In a stream, at most [`OCTETS_MAX`].
    Tcp,
}

impl Service {
    /// Writes the response to a message into `out`, which has room for [`OCTETS_MAX`], and returns its
    /// length; 0 where the message is to be ignored.
    pub fn respond(
        &self,
        view: &View,
        octets: &[u8],
        transport: Transport,
        counters: &Counters,
        out: &mut [u8],
    ) -> usize {
        Counters::count(&counters.queries);
        let options = Options {
            udp_size: UDP_OCTETS_MAX as u16,
            nsid: self.nsid.as_bytes(),
        };
        let query = match message::parse(octets) {
            Ok(query) => query,
            Err(Reject::Silent) => {
                Counters::count(&counters.malformed);
                return 0;
            }
            Err(Reject::Reply(refusal)) => {
                if refusal.rcode == Rcode::FORMERR {
                    Counters::count(&counters.malformed);
                }
                counters.response(refusal.rcode.0);
                return message::encode_reject(&refusal, &options, out);
            }
        };
        let limit = match transport {
            Transport::Udp => query.udp_limit(UDP_OCTETS_MAX),
            Transport::Tcp => OCTETS_MAX,
        };
        if query.class == Class::Chaos {
            let text = match query.chaos() {
                Some(Chaos::Version) => &self.version,
                Some(Chaos::Identity) => &self.nsid,
                None => "",
            };
            if text.is_empty() {
                counters.response(Rcode::REFUSED.0);
                return message::encode_reject(&query.reject(Rcode::REFUSED, None), &options, out);
            }
            counters.response(Rcode::NOERROR.0);
            return message::encode_chaos(text.as_bytes(), &query, &options, limit, out);
        }
        let answer = zone::resolve(view, &query.question());
        counters.response(answer.rcode.0);
        let len = message::encode(&answer, &query, &options, limit, out);
        // TC, in the third octet of the header.
        if out.get(2).is_some_and(|flags| len > 2 && flags & 2 != 0) {
            Counters::count(&counters.truncated);
        }
        len
    }
}
