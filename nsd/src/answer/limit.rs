//! Response rate limiting: what becomes of a response that would be one too many. And cookies, which exempt from it.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Peer, Reply, Request, Responder, Transport};
use crate::message::{self, COOKIE_LEN, Cookie, Edns, ErrorReply, Query, ServerCookie, ServerEdns};
use crate::metrics::Tally;
use crate::policy::{self, CLIENT_COOKIE_LEN, Limited, ResponseClass, Verdict};
use crate::zone::{Answer, Rcode};

/// A request, and what is found out about it on the way to its response.
pub(super) struct Exchange<'r> {
    pub(super) request: &'r Request<'r>,
    /// What the OPT record of the response says.
    pub(super) edns: ServerEdns<'r>,
    /// Whether a cookie proves that the client receives what is sent to its address.
    pub(super) is_proved: bool,
}

impl Responder<'_> {
    /// Checks the cookie of a request, if it has one, and puts the one for the response into the exchange.
    #[inline]
    pub(super) fn take_cookie(&mut self, query: Option<Edns>, exchange: &mut Exchange<'_>) {
        if let Some(cookie) = query.and_then(|edns| edns.cookie)
            && self.policy.has_cookies
        {
            self.check_cookie(&cookie, exchange);
        }
    }

    fn check_cookie(&mut self, cookie: &Cookie, exchange: &mut Exchange<'_>) {
        let service = self.service;
        let (secrets, now) = self.cookies.get_or_insert_with(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            (
                service.served.cookie(),
                now.map_or(0, |time| time.as_secs()),
            )
        });
        let Some(secrets) = &**secrets else { return };
        let server = match &cookie.server {
            ServerCookie::Given(server) => Some(server),
            ServerCookie::Absent | ServerCookie::Foreign => None,
        };
        let client = exchange.request.peer.address().ip();
        let checked = policy::check_cookie(secrets, &cookie.client, server, client, *now);
        let mut option = [0; COOKIE_LEN];
        option[..CLIENT_COOKIE_LEN].copy_from_slice(&cookie.client);
        option[CLIENT_COOKIE_LEN..].copy_from_slice(&checked.server);
        exchange.edns.cookie = Some(option);
        exchange.is_proved = checked.is_valid;
    }

    /// Brings the rate-limit buckets of a batch into the cache. It assumes that responses are answers of the queried name,
    /// as most are, and that a cookie is valid: then nothing is counted.
    pub fn warm_limits<'q>(&self, queries: impl Iterator<Item = (&'q [u8], impl Peer)>) {
        let limited = self.policy.limiter.as_ref();
        let Some(limiter) = limited.filter(|_| self.policy.limits.rates.answers > 0) else {
            return;
        };
        limiter.prefetch(queries.filter_map(|(query, peer)| {
            let name = message::question_name(query)?;
            let class = (!message::may_end_in_cookie(query)).then_some(ResponseClass::Answer(name));
            Some((peer.address().ip(), class?))
        }));
    }

    /// Counts a response, and says what becomes of it. Only responses over UDP without a valid cookie are limited: others
    /// go to clients that are where they say they are.
    #[inline]
    fn limit<'n>(
        &self,
        exchange: &Exchange<'_>,
        class: impl FnOnce() -> ResponseClass<'n>,
        tally: &mut Tally,
    ) -> Verdict {
        let limiter = self.policy.limiter.as_ref()?;
        let request = exchange.request;
        if request.transport != Transport::Udp || exchange.is_proved {
            return None;
        }
        let (limits, client) = (&self.policy.limits, request.peer.address().ip());
        if limits.exempt.contains(client) {
            return None;
        }
        let now_us = self.service.served.uptime(self.now).as_micros() as u64;
        let verdict = limiter.count(&limits.rates, client, class(), now_us)?;
        if limits.is_log_only {
            tally.rrl_would += 1;
            return None;
        }
        Some(verdict)
    }

    /// The reply in the place of a response with records, if that would be one too many.
    #[inline]
    pub(super) fn instead_of<'n>(
        &self,
        exchange: &Exchange<'_>,
        query: &Query<'_>,
        class: impl FnOnce() -> ResponseClass<'n>,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> Option<Reply> {
        let limited = self.limit(exchange, class, tally)?;
        let short = query.error_reply(Rcode::NOERROR, None);
        Some(limited_reply(limited, &short, exchange, tally, out))
    }

    /// Replies without records, unless that is over the limit for errors.
    pub(super) fn reject(
        &self,
        exchange: &Exchange<'_>,
        refusal: &ErrorReply<'_>,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> Reply {
        match self.limit(exchange, || ResponseClass::Error, tally) {
            Some(limited) => limited_reply(limited, refusal, exchange, tally, out),
            None => {
                tally.response(refusal.rcode);
                Reply::Ready(message::encode_reject(refusal, &exchange.edns, out))
            }
        }
    }

    /// Replies to a message that [`message::parse`] has rejected.
    pub(super) fn reply_unparsed(
        &mut self,
        exchange: &mut Exchange<'_>,
        mut refusal: ErrorReply<'_>,
        tally: &mut Tally,
        out: &mut [u8],
    ) -> Reply {
        self.take_cookie(refusal.edns, exchange);
        if refusal.rcode == Rcode::NOERROR {
            // Only a cookie is asked for.
            let cookie = refusal.edns.and_then(|edns| edns.cookie);
            let is_new = cookie.is_none_or(|cookie| cookie.server == ServerCookie::Absent);
            refusal.rcode = match exchange.edns.cookie {
                None => Rcode::FORMERR,
                Some(_) if exchange.is_proved || is_new => Rcode::NOERROR,
                Some(_) => Rcode::BADCOOKIE,
            };
        }
        tally.queries += 1;
        tally.malformed += u64::from(refusal.rcode == Rcode::FORMERR);
        self.reject(exchange, &refusal, tally, out)
    }
}

/// The class of an answer.
pub(super) fn class_of<'n>(answer: &Answer<'n>, query: &Query<'n>) -> ResponseClass<'n> {
    let apex = answer.zone.map_or(&[0][..], |zone| zone.apex().wire());
    match answer.rcode {
        Rcode::NOERROR if answer.is_synthesized || answer.is_referral() => {
            ResponseClass::AnyNameOf(apex)
        }
        Rcode::NOERROR => ResponseClass::Answer(query.name()),
        Rcode::NXDOMAIN => ResponseClass::Nxdomain(apex),
        _ => ResponseClass::Error,
    }
}

/// Replies to a query whose response is over a limit. `refusal` has what a short reply repeats.
#[cold]
fn limited_reply(
    limited: Limited,
    refusal: &ErrorReply<'_>,
    exchange: &Exchange<'_>,
    tally: &mut Tally,
    out: &mut [u8],
) -> Reply {
    // Not longer than the query, but for a new cookie.
    let edns = ServerEdns {
        nsid: &[],
        ..exchange.edns
    };
    match limited {
        Limited::Drop => {
            tally.rrl_dropped += 1;
            Reply::Silent
        }
        Limited::Truncate => {
            tally.rrl_slipped += 1;
            // The client can send the cookie, and need not use TCP (RFC 7873 5.2.3).
            if edns.cookie.is_some() {
                tally.response(Rcode::BADCOOKIE);
                let refusal = refusal.shortened(Rcode::BADCOOKIE);
                return Reply::Ready(message::encode_reject(&refusal, &edns, out));
            }
            tally.truncated += 1;
            tally.response(refusal.rcode);
            let refusal = refusal.shortened(refusal.rcode);
            Reply::Ready(message::encode_truncated(&refusal, &edns, out))
        }
    }
}
