//! One RRset of an answer: its section, owner, type, TTL and rdata.

use super::rrset::RrsetRef;
use crate::model::Rtype;

/// One RRset of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRrset<'v> {
    /// The section that it goes into.
    pub section: Section,
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL in seconds. In a negative answer that of the SOA record is lower than its own (RFC 2308 3).
    pub ttl: u32,
    /// Its owner.
    pub owner: Owner<'v>,
    /// Its rdata.
    pub records: AnswerRdata<'v>,
}

/// The section that an RRset goes into; RRsets come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The answer section.
    Answer,
    /// The authority section.
    Authority,
    /// The additional section: addresses without which the client cannot follow the referral. If they do not fit, the
    /// message is truncated (RFC 9471 3.1).
    Glue,
    /// The additional section: addresses that save the client another query.
    Additional,
}

/// The owner of an RRset, as a reference to where its octets are.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'v> {
    /// The end of the name in the question, from this octet on.
    Question(u8),
    /// A name in stored rdata.
    Stored(&'v [u8]),
    /// A name made by a DNAME record (RFC 6672).
    Synthesized(Synthesized),
}

/// A name made by a DNAME record: its place in the buffer of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Synthesized {
    pub(super) start: u16,
    pub(super) len: u8,
}

/// The rdata of an RRset of an answer.
#[derive(Clone, Copy, Debug)]
pub enum AnswerRdata<'v> {
    /// A stored RRset.
    Set(RrsetRef<'v>),
    /// One CNAME record with this target, synthesized from a DNAME record.
    Cname(Synthesized),
}

impl<'v> Owner<'v> {
    /// The ancestor that starts `offset` octets into the name.
    pub(super) fn suffix(self, offset: usize) -> Owner<'v> {
        match self {
            Owner::Question(start) => Owner::Question(start + offset as u8),
            Owner::Stored(wire) => Owner::Stored(&wire[offset..]),
            Owner::Synthesized(Synthesized { start, len }) => Owner::Synthesized(Synthesized {
                start: start + offset as u16,
                len: len - offset as u8,
            }),
        }
    }
}
