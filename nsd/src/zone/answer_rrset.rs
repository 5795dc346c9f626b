//! One RRset of an answer: where it goes, under which name, with which rdata.

use super::rrset::RrsetRef;
use crate::model::Rtype;

/// One RRset of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRrset<'v> {
    /// Where it goes.
    pub section: Section,
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL in seconds, which for the SOA record of a negative answer is not its own.
    pub ttl: u32,
    /// Its owner.
    pub owner: Owner<'v>,
    /// Its rdata.
    pub records: AnswerRdata<'v>,
}

/// The section that an RRset is in. Entries come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The answer section.
    Answer,
    /// The authority section.
    Authority,
    /// The additional section: addresses without which the referral leads nowhere, so that the
    /// message is truncated if they do not fit (RFC 9471 3.1).
    Glue,
    /// The additional section: addresses that save the client a question.
    Additional,
}

/// A name of an answer, and where its octets are.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'v> {
    /// The name in the question, from this octet on.
    Question(u8),
    /// A name that stands in rdata.
    Stored(&'v [u8]),
    /// A name made by a DNAME record.
    Synthesized(Synthesized),
}

/// A name made by a DNAME record: where it is among those of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Synthesized {
    pub(super) start: u16,
    pub(super) len: u8,
}

/// The rdata of an entry.
#[derive(Clone, Copy, Debug)]
pub enum AnswerRdata<'v> {
    /// That of a stored RRset.
    Set(RrsetRef<'v>),
    /// One CNAME record with this target, made by a DNAME record.
    Cname(Synthesized),
}

impl<'v> Owner<'v> {
    /// The ancestor that begins `offset` octets into the name.
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
