//! A query that was parsed, or why it is rejected.

use super::edns::Edns;
use super::tsig::Tsig;
use crate::model::Rtype;
use crate::zone::{Question, Rcode};

/// A query with one question that can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Query<'p> {
    /// The message id.
    pub id: u16,
    /// The RD bit: without effect here, but the reply repeats it.
    pub is_recursion_desired: bool,
    /// The class asked for.
    pub class: Class,
    /// The type asked for.
    pub rtype: Rtype,
    /// The question section as it came. The reply repeats it exactly: clients may check the spelling
    /// (draft-vixie-dnsext-dns0x20).
    pub(super) question: &'p [u8],
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
}

/// The classes that are answered (RFC 1035 3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The Internet.
    In,
    /// Chaosnet, used for questions about the server itself (RFC 4892).
    Chaos,
}

/// What a question of class CHAOS asks for.
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
    /// Send nothing: the message is not a query, and two servers could answer each other for ever.
    Silent,
    /// Send a reply without records.
    Reply(ErrorReply<'p>),
}

/// A reply without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply<'p> {
    /// The response code.
    pub rcode: Rcode,
    /// The extended error, if there is one (RFC 8914).
    pub ede: Option<u16>,
    pub(super) id: u16,
    pub(super) opcode: u8,
    pub(super) is_recursion_desired: bool,
    /// The question section as it came; empty if it could not be parsed.
    pub(super) question: &'p [u8],
    /// The OPT record of the query: errors have one in return, too (RFC 6891 6.1.1).
    pub edns: Option<Edns>,
    /// The TSIG record of the query, if the reply needs one in return.
    pub(super) tsig: Option<Tsig<'p>>,
}

impl ErrorReply<'_> {
    /// The same with this response code, and with nothing else that could be left out.
    pub fn shortened(self, rcode: Rcode) -> Self {
        ErrorReply {
            rcode,
            ede: None,
            tsig: None,
            ..self
        }
    }
}

impl<'p> Query<'p> {
    /// The question, for the resolver; meaningful only in class IN.
    pub fn question(&self) -> Question<'p> {
        Question {
            name: self.name(),
            rtype: self.rtype,
        }
    }

    /// The name in the question, in uncompressed wire form and in the client's spelling.
    pub fn name(&self) -> &'p [u8] {
        // Type and class follow the name.
        &self.question[..self.question.len() - 4]
    }

    /// The longest reply over UDP, in octets: what the client accepts, but at least 512 and at most `octets_max` (RFC
    /// 6891 6.2.3 to 6.2.5).
    pub fn udp_limit(&self, octets_max: usize) -> usize {
        let wanted = self.edns.map_or(512, |edns| usize::from(edns.udp_size));
        wanted.max(512).min(octets_max)
    }

    /// What a question of class CHAOS asks for; `None` for class IN, and for other questions, which are refused.
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

    /// A reply to this query without records, with this response code.
    pub fn error_reply(&self, rcode: Rcode, ede: Option<u16>) -> ErrorReply<'p> {
        ErrorReply {
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
