//! Answering: octets in, octets out, over UDP and TCP.
//!
//! All transports go through [`Responder::respond`], which reads the published view and nothing else.

#[cfg(target_os = "linux")]
mod batch;
mod tcp;
mod udp;

pub use tcp::{Limits, serve as serve_tcp};
pub use udp::{Workers, start as start_udp};

use crate::message::{self, Chaos, Class, Options, Query, Reject};
use crate::metrics::Tally;
use crate::mirror::Published;
use crate::zone::{self, Answer, Rcode, View};

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
    /// What answers queries from this view.
    pub fn responder<'v>(&'v self, view: &'v View) -> Responder<'v> {
        Responder {
            service: self,
            view,
            answer: Answer::new(),
        }
    }
}

/// Answers queries from one view, one after the other.
pub struct Responder<'v> {
    service: &'v Service,
    view: &'v View,
    /// Room for an answer, which is too large to be made anew for each.
    answer: Answer<'v>,
}

impl Responder<'_> {
    /// Writes the response to a message into `out` and returns its length; 0 where the message is to be ignored.
    pub fn respond(
        &mut self,
        octets: &[u8],
        transport: Transport,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> usize {
        tally.queries += 1;
        let options = Options {
            udp_size: UDP_OCTETS_MAX as u16,
            nsid: self.service.nsid.as_bytes(),
        };
        let query = match message::parse(octets) {
            Ok(query) => query,
            Err(Reject::Silent) => {
                tally.malformed += 1;
                return 0;
            }
            Err(Reject::Reply(refusal)) => {
                tally.malformed += u64::from(refusal.rcode == Rcode::FORMERR);
                tally.response(refusal.rcode);
                return message::encode_reject(&refusal, &options, out);
            }
        };
        let limit = match transport {
            Transport::Udp => query.udp_limit(UDP_OCTETS_MAX),
            Transport::Tcp => OCTETS_MAX,
        };
        if query.class == Class::Chaos {
            return self.respond_chaos(&query, &options, limit, tally, out);
        }
        zone::resolve_into(self.view, &query.question(), &mut self.answer);
        tally.response(self.answer.rcode);
        let len = message::encode(&self.answer, &query, &options, limit, out);
        // TC, in the third octet of the header.
        tally.truncated += u64::from(out.get(2).is_some_and(|flags| len > 2 && flags & 2 != 0));
        len
    }

    /// Tells about the server itself, as far as that is configured.
    fn respond_chaos(
        &self,
        query: &Query<'_>,
        options: &Options<'_>,
        limit: usize,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> usize {
        let text = match query.chaos() {
            Some(Chaos::Version) => &self.service.version,
            Some(Chaos::Identity) => &self.service.nsid,
            None => "",
        };
        if text.is_empty() {
            tally.response(Rcode::REFUSED);
            return message::encode_reject(&query.reject(Rcode::REFUSED, None), options, out);
        }
        tally.response(Rcode::NOERROR);
        message::encode_chaos(text.as_bytes(), query, options, limit, out)
    }
}
