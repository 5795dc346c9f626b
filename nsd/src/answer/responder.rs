//! Answers requests: parse, decide, resolve, check what the zone promises, encode.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;

use super::limit::{Exchange, class_of};
use super::{Confirmation, OCTETS_MAX, Reply, Request, Service, Transport, UDP_OCTETS_MAX};
use crate::message::{self, Chaos, Class, Query, Reject, ServerEdns};
use crate::metrics::Tally;
use crate::model::{Consistency, CookieSecrets};
use crate::policy::{self, Client, Decision, Operation, Policy, ResponseClass, Rules};
use crate::served::Proof;
use crate::zone::{self, Answer, Rcode, View, Zone, ede};

/// Answers requests from one view, one after the other.
pub struct Responder<'v> {
    pub(super) service: &'v Service,
    view: &'v View,
    pub(super) policy: Guard<Arc<Policy>>,
    /// The time of all requests, read once.
    pub(super) now: Instant,
    /// The secrets for cookies and the time in seconds of Unix time, once a request had a cookie.
    pub(super) cookies: Option<(Guard<Option<Arc<CookieSecrets>>>, u64)>,
    /// How long ago the view was proved complete; `None` if it never was.
    age: Option<Duration>,
    /// Kept from one request to the next: it is too large to be initialized for each.
    answer: Answer<'v>,
}

impl<'v> Responder<'v> {
    pub(super) fn new(service: &'v Service, now: Instant, proof: Proof, view: &'v View) -> Self {
        Responder {
            service,
            view,
            policy: service.policy.load(),
            now,
            cookies: None,
            age: proof.age(now),
            answer: Answer::new(),
        }
    }

    /// Responds to a request. A single response is written into `out`; `tally` counts what was done.
    pub fn respond(&mut self, request: &Request<'_>, tally: &mut Tally, out: &mut [u8]) -> Reply {
        let edns = ServerEdns {
            udp_size: UDP_OCTETS_MAX as u16,
            nsid: self.service.nsid.as_bytes(),
            idle: (request.transport.has_keepalive()).then_some(self.service.tcp_idle),
            pads: request.transport.is_encrypted(),
            cookie: None,
        };
        let mut exchange = Exchange {
            request,
            edns,
            is_proved: false,
        };
        let query = match message::parse(request.octets) {
            Ok(query) => query,
            Err(Reject::Silent) => {
                tally.queries += 1;
                tally.malformed += 1;
                return Reply::Silent;
            }
            Err(Reject::Reply(refusal)) => {
                return self.reply_unparsed(&mut exchange, refusal, tally, out);
            }
        };
        self.take_cookie(query.edns, &mut exchange);
        if let Decision::Refuse(ede) = decide(&self.policy.rules, request) {
            tally.queries += 1;
            tally.refused_by_policy += 1;
            let refusal = query.error_reply(Rcode::REFUSED, Some(ede));
            return self.reject(&exchange, &refusal, tally, out);
        }
        if query.class == Class::Chaos {
            tally.queries += 1;
            return self.respond_chaos(&exchange, &query, tally, out);
        }
        let admits = |zone: &Zone| decide(zone.rules(), request);
        zone::resolve_into(self.view, &query.question(), &admits, &mut self.answer);
        if !self.check_promise(request.confirmation, tally) {
            // Now, and not once it is confirmed: those that wait take room from others.
            let class = || class_of(&self.answer, &query);
            let Some(reply) = self.instead_of(&exchange, &query, class, tally, out) else {
                return Reply::NeedsConfirmation;
            };
            tally.queries += 1;
            return reply;
        }
        tally.queries += 1;
        tally.refused_by_policy += u64::from(self.answer.ede == Some(ede::PROHIBITED));
        // One that has waited was counted before.
        let class = || class_of(&self.answer, &query);
        if request.confirmation == Confirmation::Unasked
            && let Some(reply) = self.instead_of(&exchange, &query, class, tally, out)
        {
            return reply;
        }
        tally.response(self.answer.rcode);
        let limit = octets_max(request.transport, &query);
        let len = message::encode(&self.answer, &query, &exchange.edns, limit, out);
        // TC, in the third octet of the header.
        tally.truncated += u64::from(out.get(2).is_some_and(|flags| len > 2 && flags & 2 != 0));
        Reply::Ready(len)
    }

    /// Checks what the answer's zones promise about its freshness: the answer may become SERVFAIL, or be marked stale.
    /// Returns false if only the barrier can tell.
    fn check_promise(&mut self, confirmation: Confirmation, tally: &mut Tally) -> bool {
        // What the barrier confirms is newer than any proof.
        let is_confirmed = confirmation == Confirmation::Answered(true);
        let is_older = |limit: Duration| !is_confirmed && self.age.is_none_or(|age| age > limit);
        let is_kept = match self.answer.consistency {
            Consistency::Available => true,
            // The barrier confirms that the view has all writes, not that it has all deletions.
            _ if self.answer.is_held => false,
            Consistency::Bounded(limit) => !is_older(Duration::from_secs(limit.into())),
            Consistency::Linearizable => match confirmation {
                Confirmation::Unasked => return false,
                Confirmation::Answered(is_complete) => is_complete,
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

    /// Answers a question about the server itself (RFC 4892), if that is configured.
    fn respond_chaos(
        &self,
        exchange: &Exchange<'_>,
        query: &Query<'_>,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> Reply {
        let text = match query.chaos() {
            Some(Chaos::Version) => &self.service.version,
            Some(Chaos::Identity) => &self.service.nsid,
            None => "",
        };
        if text.is_empty() {
            let refusal = query.error_reply(Rcode::REFUSED, None);
            return self.reject(exchange, &refusal, tally, out);
        }
        let class = || ResponseClass::Answer(query.name());
        if let Some(reply) = self.instead_of(exchange, query, class, tally, out) {
            return reply;
        }
        tally.response(Rcode::NOERROR);
        let limit = octets_max(exchange.request.transport, query);
        Reply::Ready(message::encode_chaos(
            text.as_bytes(),
            query,
            &exchange.edns,
            limit,
            out,
        ))
    }
}

/// The most octets of a response.
fn octets_max(transport: Transport, query: &Query<'_>) -> usize {
    match transport {
        Transport::Udp => query.udp_limit(UDP_OCTETS_MAX),
        _ => OCTETS_MAX,
    }
}

/// Decides whether the sender of a request may query, as far as these rules go.
#[inline]
fn decide(rules: &Rules, request: &Request<'_>) -> Decision {
    if rules.are_open() {
        return Decision::Allow;
    }
    let client = Client {
        address: request.peer.address().ip(),
        transport: request.transport,
        // A signed query is rejected before this, because there are no keys yet.
        key: None,
    };
    policy::decide(rules, &client, Operation::Query)
}
