//! What a message asks, once it is read.

use super::edns::Edns;
use super::tsig::Tsig;
use crate::model::Rtype;
use crate::zone::{Question, Rcode};

/// A query with one question that can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Query<'p> {
    /// The id, to be repeated.
    pub id: u16,
    /// Whether recursion is desired: of no effect, but to be repeated.
    pub is_recursion_desired: bool,
    /// The class asked for.
    pub class: Class,
    /// The type asked for.
    pub rtype: Rtype,
    /// The question section as it came, to be repeated to the letter: a client may check the
    /// spelling (draft-vixie-dnsext-dns0x20).
    pub(super) question: &'p [u8],
    /// What the OPT record says; none if there is no OPT record.
    pub edns: Option<Edns>,
}

/// The classes that are told apart (RFC 1035 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The Internet.
    In,
    /// Chaosnet, which servers use to tell about themselves (RFC 4892).
    Chaos,
}

/// What a question of class CHAOS wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaos {
    /// `version.bind.` or `version.server.`: the software.
    Version,
    /// `id.server.` or `hostname.bind.`: the instance (RFC 4892 2.1).
    Identity,
}

/// A message that is not answered with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject<'p> {
    /// Nothing is to be sent: it is no query, so an answer could go round for ever.
    Silent,
    /// A reply without records is to be sent.
    Reply(Refusal<'p>),
}

/// A reply without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'p> {
    /// Why.
    pub rcode: Rcode,
    /// Why, as an extended error (RFC 8914).
    pub ede: Option<u16>,
    pub(super) id: u16,
    pub(super) opcode: u8,
    pub(super) is_recursion_desired: bool,
    /// The question section as it came; empty if it could not be read.
    pub(super) question: &'p [u8],
    /// An OPT record is answered with an OPT record, in errors too (RFC 6891 6.1.1).
    pub(super) edns: Option<Edns>,
    /// The TSIG record of the query, if that is what the reply is about.
    pub(super) tsig: Option<Tsig<'p>>,
}

impl<'p> Query<'p> {
    /// The question, for the resolver. Only of use if the class is IN.
    pub fn question(&self) -> Question<'p> {
        Question {
            name: self.name(),
            rtype: self.rtype,
        }
    }

    /// The name asked for, in uncompressed wire form and in the client's spelling.
    pub fn name(&self) -> &'p [u8] {
        // Type and class follow the name.
        &self.question[..self.question.len() - 4]
    }

    /// How many octets a reply over UDP may have: what the client can take, at least 512, and at
    /// most `octets_max` (RFC 6891 6.2.3 to 6.2.5).
    pub fn udp_limit(&self, octets_max: usize) -> usize {
        let wanted = self.edns.map_or(512, |edns| usize::from(edns.udp_size));
        wanted.max(512).min(octets_max)
    }

    /// What a question of class CHAOS wants to know; none if it is of class IN or about something
    /// else, which is to be refused.
    pub fn chaos(&self) -> Option<Chaos> {
        if self.class != Class::Chaos || !matches!(self.rtype, Rtype::TXT | Rtype::ANY) {
            return None;
        }
        let is = |wire: &[u8]| self.name().eq_ignore_ascii_case(wire);
        if is(b"\x07version\x04bind\0") || is(b"\x07version\x06server\0") {
            return Some(Chaos::Version);
        }
        (is(b"\x02id\x06server\0") || is(b"\x08hostname\x04bind\0")).then_some(Chaos::Identity)
    }

    /// The reply that refuses this query.
    pub fn reject(&self, rcode: Rcode, ede: Option<u16>) -> Refusal<'p> {
        Refusal {
            rcode,
            ede,
            id: self.id,
            opcode: 0,
            is_recursion_desired: self.is_recursion_desired,
            question: self.question,
            edns: self.edns,
            tsig: None,
        }
    }
}
