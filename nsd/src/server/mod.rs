//! Answering: octets in, octets out, over UDP and TCP.
//!
//! All transports go through [`Responder::respond`], which reads the published view and nothing else.

mod barrier;
#[cfg(target_os = "linux")]
mod batch;
mod connections;
mod listen;
mod refusal;
mod seldom;
mod tcp;
mod udp;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

pub use barrier::Barrier;
pub(crate) use connections::LEAVING_MAX;
pub use connections::{Connections, Limits};
pub use listen::{Sockets, bind};
pub(crate) use refusal::cannot_listen;

use crate::message::{self, Chaos, Class, Options, Query, Reject};
use crate::metrics::{Metrics, Tally};
use crate::model::Consistency;
use crate::served::{Proof, Served};
use crate::supervisor::Supervisor;
use crate::zone::{self, Answer, Rcode, View, ede};

/// How many octets a response over UDP has at most, whatever the client takes: larger ones are cut into
/// fragments on their way, and lost (RFC 9715).
pub const UDP_OCTETS_MAX: usize = 1232;

/// How many octets a message has at most.
pub const OCTETS_MAX: usize = 65_535;

/// What all transports answer with.
#[derive(Clone)]
pub struct Service {
    /// The zones, and when they were last proved to be all there is.
    pub served: Served,
    /// From which age on answers say that they are stale; none for never.
    pub stale_after: Option<Duration>,
    /// Where queries wait whose answers have to have every write in them.
    pub barrier: Barrier,
    /// Server identity; empty if it is not told.
    pub nsid: String,
    /// Software version; empty if it is not told.
    pub version: String,
}

/// Answers on these sockets until the supervisor ends.
pub fn serve(
    supervisor: &mut Supervisor,
    service: &Service,
    sockets: Sockets,
    connections: &Arc<Connections>,
    metrics: &Metrics,
) -> io::Result<()> {
    for sockets in sockets.udp {
        udp::start(supervisor, service, sockets, metrics)?;
    }
    for listener in sockets.tcp {
        let listener = Arc::new(TcpListener::from_std(listener)?);
        let (service, connections, counters) =
            (service.clone(), connections.clone(), metrics.tcp());
        supervisor.task("a TCP listener", move |stop| {
            let (service, connections) = (service.clone(), connections.clone());
            tcp::serve(
                service,
                listener.clone(),
                connections,
                counters.clone(),
                stop,
            )
        });
    }
    Ok(())
}

/// How the response travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram, which the client and [`UDP_OCTETS_MAX`] limit.
    Udp,
    /// In a stream, at most [`OCTETS_MAX`].
    Tcp,
}

/// What is known about the view beside its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: the query has just come.
    Now,
    /// The barrier was asked after the query came, and has confirmed that the view is complete; or it could not.
    Confirmed(bool),
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is ignored.
    Silent,
    /// The response has so many octets.
    Ready(usize),
    /// The barrier is to be asked first, and then this again.
    Later,
}

impl Service {
    /// What answers queries from this view. `proof` was read before the view was loaded: a later one may be of a later
    /// view, which this one would be taken for.
    pub fn responder<'v>(&'v self, proof: Proof, view: &'v View) -> Responder<'v> {
        Responder {
            service: self,
            view,
            age: proof.age(Instant::now()),
            answer: Answer::new(),
        }
    }
}

#[cfg(test)]
use crate::served::{Publisher, Standing};

#[cfg(test)]
impl Service {
    /// One that knows nothing yet, and who is to tell it.
    fn without_data() -> (Publisher, Self) {
        let (publisher, served, _) = Publisher::new(View::default(), Standing::default());
        let (barrier, _rounds) = Barrier::new(Duration::ZERO, || std::future::ready(false));
        let service = Service {
            served,
            stale_after: None,
            barrier,
            nsid: String::new(),
            version: String::new(),
        };
        (publisher, service)
    }
}

#[cfg(test)]
mod tests;

/// A question for the root's NS records.
#[cfg(test)]
const QUERY: [u8; 17] = *b"\0\x07\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";

/// Answers queries from one view, one after the other.
pub struct Responder<'v> {
    service: &'v Service,
    view: &'v View,
    /// How long ago the view was proved complete; none for never.
    age: Option<Duration>,
    /// Room for an answer, which is too large to be made anew for each.
    answer: Answer<'v>,
}

impl Responder<'_> {
    /// Writes the response to a message into `out`.
    pub fn respond(
        &mut self,
        octets: &[u8],
        transport: Transport,
        asked: Asked,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> Reply {
        let options = Options {
            udp_size: UDP_OCTETS_MAX as u16,
            nsid: self.service.nsid.as_bytes(),
        };
        let query = match message::parse(octets) {
            Ok(query) => query,
            Err(Reject::Silent) => {
                tally.queries += 1;
                tally.malformed += 1;
                return Reply::Silent;
            }
            Err(Reject::Reply(refusal)) => {
                tally.queries += 1;
                tally.malformed += u64::from(refusal.rcode == Rcode::FORMERR);
                tally.response(refusal.rcode);
                return Reply::Ready(message::encode_reject(&refusal, &options, out));
            }
        };
        let limit = match transport {
            Transport::Udp => query.udp_limit(UDP_OCTETS_MAX),
            Transport::Tcp => OCTETS_MAX,
        };
        if query.class == Class::Chaos {
            tally.queries += 1;
            return Reply::Ready(self.respond_chaos(&query, &options, limit, tally, out));
        }
        zone::resolve_into(self.view, &query.question(), &mut self.answer);
        if !self.judge(asked, tally) {
            return Reply::Later;
        }
        tally.queries += 1;
        tally.response(self.answer.rcode);
        let len = message::encode(&self.answer, &query, &options, limit, out);
        // TC, in the third octet of the header.
        tally.truncated += u64::from(out.get(2).is_some_and(|flags| len > 2 && flags & 2 != 0));
        Reply::Ready(len)
    }

    /// Holds the answer against what its zones promise: it may turn into a refusal, or say that it is stale. False
    /// where that cannot be told yet.
    fn judge(&mut self, asked: Asked, tally: &mut Tally) -> bool {
        // The barrier's word is newer than any proof.
        let is_confirmed = asked == Asked::Confirmed(true);
        let is_older = |limit: Duration| !is_confirmed && self.age.is_none_or(|age| age > limit);
        let is_kept = match self.answer.consistency {
            Consistency::Available => true,
            Consistency::Bounded(limit) => !is_older(Duration::from_secs(limit.into())),
            Consistency::Linearizable => match asked {
                Asked::Now => return false,
                Asked::Confirmed(is_complete) => is_complete,
            },
        };
        if !is_kept {
            tally.unproved += 1;
            self.answer.refuse(Rcode::SERVFAIL, ede::NETWORK_ERROR);
        } else if self.answer.zone.is_some()
            && self.answer.ede.is_none()
            && self.service.stale_after.is_some_and(is_older)
        {
            tally.stale += 1;
            self.answer.ede = Some(ede::STALE_ANSWER);
        }
        true
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
