//! A question and its answer: pointers into the view, nothing copied.

use arrayvec::ArrayVec;

use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Synthesized};
use super::name::NAME_LEN_MAX;
use super::referral::Referral;
use super::rrset::RrsetRef;
use super::view::Zone;
use crate::model::{Consistency, Rtype};

/// How many CNAME records are followed: more than anybody needs, few enough to be cheap. The client can query the rest.
pub(super) const CHAIN_MAX: usize = 16;

/// The most RRsets in an answer, without the addresses of a referral. A chain takes two per step; additional records
/// that do not fit are left out.
const ENTRIES_MAX: usize = 96;

/// Octets for the names that DNAME records make: enough for the longest names in the longest chain, since no DNAME
/// record may come without its CNAME record (RFC 6672 3.1).
const SYNTHESIZED_MAX: usize = (CHAIN_MAX + 1) * NAME_LEN_MAX;

/// A question of class IN (RFC 1035 4.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The name asked for, in uncompressed wire form and in any spelling.
    pub name: &'q [u8],
    /// The type asked for.
    pub rtype: Rtype,
}

/// A response code (RFC 6895 2.3), with the upper bits that only an OPT record can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

#[allow(missing_docs)]
impl Rcode {
    pub const NOERROR: Rcode = Rcode(0);
    pub const FORMERR: Rcode = Rcode(1);
    pub const SERVFAIL: Rcode = Rcode(2);
    pub const NXDOMAIN: Rcode = Rcode(3);
    pub const NOTIMP: Rcode = Rcode(4);
    pub const REFUSED: Rcode = Rcode(5);
    pub const YXDOMAIN: Rcode = Rcode(6);
    pub const NOTAUTH: Rcode = Rcode(9);
    pub const BADVERS: Rcode = Rcode(16);
    pub const BADCOOKIE: Rcode = Rcode(23);
}

/// The extended error codes in use (RFC 8914 4; RFC 9824 for the last).
#[allow(missing_docs)]
pub mod ede {
    pub const STALE_ANSWER: u16 = 3;
    pub const NOT_READY: u16 = 14;
    pub const BLOCKED: u16 = 15;
    pub const FILTERED: u16 = 17;
    pub use crate::policy::PROHIBITED;
    pub const NOT_AUTHORITATIVE: u16 = 20;
    pub const NETWORK_ERROR: u16 = 23;
    pub const INVALID_QUERY_TYPE: u16 = 30;
}

/// The answer to one question: RRsets of the view, by section, and the fields of the header.
pub struct Answer<'v> {
    /// The response code; in a chain that of its last name (RFC 6604 3).
    pub rcode: Rcode,
    /// The AA bit: whether the answer is authoritative for the first name (RFC 1034 6.2.7).
    pub is_authoritative: bool,
    /// The extended error, if there is one (RFC 8914).
    pub ede: Option<u16>,
    /// The zone of the first name; `None` if it is in none of ours, or in one that the client may not ask.
    pub zone: Option<&'v Zone>,
    /// The strictest freshness promise of the zones that the answer comes from.
    pub consistency: Consistency,
    /// Whether the name in the question is not in the zone, and a wildcard or DNAME record stands for it as for any
    /// number of other names.
    pub is_synthesized: bool,
    /// Whether one of these zones is held back. Such an answer keeps no promise but `available`.
    pub is_held: bool,
    entries: ArrayVec<AnswerRrset<'v>, ENTRIES_MAX>,
    /// The referral, if the name is at or below a zone cut.
    pub(super) referral: Option<Referral<'v>>,
    synthesized: ArrayVec<u8, SYNTHESIZED_MAX>,
}

impl<'v> Answer<'v> {
    /// An answer without records, to be filled by [`resolve_into`](super::resolve_into).
    pub fn new() -> Self {
        Answer {
            rcode: Rcode::NOERROR,
            is_authoritative: false,
            ede: None,
            zone: None,
            consistency: Consistency::default(),
            is_synthesized: false,
            is_held: false,
            entries: ArrayVec::new(),
            referral: None,
            synthesized: ArrayVec::new(),
        }
    }

    /// Removes all records, and sets response code and extended error. Keeps the zone.
    pub fn refuse(&mut self, rcode: Rcode, ede: u16) {
        let zone = self.zone;
        self.reset(rcode, Some(ede));
        self.zone = zone;
    }

    /// Removes everything, and sets response code and extended error.
    pub(super) fn reset(&mut self, rcode: Rcode, ede: Option<u16>) {
        self.rcode = rcode;
        self.is_authoritative = false;
        self.ede = ede;
        self.zone = None;
        self.consistency = Consistency::default();
        self.is_synthesized = false;
        self.is_held = false;
        self.entries.clear();
        self.referral = None;
        self.synthesized.clear();
    }

    /// Whether it is a referral, or a chain that ends in one.
    pub fn is_referral(&self) -> bool {
        self.referral.is_some()
    }

    /// Calls `each` with every RRset, by section, until it returns false.
    pub fn each_rrset(&self, mut each: impl FnMut(&AnswerRrset<'v>) -> bool) {
        for entry in &self.entries {
            if !each(entry) {
                return;
            }
        }
        if let Some(referral) = self.referral {
            referral.each_address(each);
        }
    }

    /// The RRsets without the addresses of a referral.
    pub(super) fn listed(&self) -> &[AnswerRrset<'v>] {
        &self.entries
    }

    /// The octets of an owner, in uncompressed wire form. `question` is the name in the question, in the spelling to
    /// send.
    pub fn owner_wire<'a>(&'a self, owner: &Owner<'a>, question: &'a [u8]) -> &'a [u8] {
        match *owner {
            Owner::Question(start) => question.get(usize::from(start)..).unwrap_or_default(),
            Owner::Stored(wire) => wire,
            Owner::Synthesized(name) => self.synthesized_wire(name),
        }
    }

    /// The octets of a name that a DNAME record made.
    pub fn synthesized_wire(&self, name: Synthesized) -> &[u8] {
        let start = usize::from(name.start);
        self.synthesized
            .get(start..start + usize::from(name.len))
            .unwrap_or_default()
    }

    /// Adds an RRset. Returns false if there is no room for it.
    pub(super) fn push(&mut self, entry: AnswerRrset<'v>) -> bool {
        self.entries.try_push(entry).is_ok()
    }

    /// Whether this RRset of the view is in the answer.
    pub(super) fn has(&self, rrset: RrsetRef<'_>) -> bool {
        self.entries.iter().any(|entry| match entry.records {
            AnswerRdata::Set(other) => other.is(rrset),
            AnswerRdata::Cname(_) => false,
        })
    }

    /// Whether this RRset of the view is in the answer with this owner; that of a wildcard may be there with several.
    /// `question` is the name in the question.
    pub(super) fn has_at(&self, rrset: RrsetRef<'_>, owner: &Owner<'_>, question: &[u8]) -> bool {
        let wire = self.owner_wire(owner, question);
        self.entries.iter().any(|entry| match entry.records {
            AnswerRdata::Set(other) => {
                other.is(rrset)
                    && self
                        .owner_wire(&entry.owner, question)
                        .eq_ignore_ascii_case(wire)
            }
            AnswerRdata::Cname(_) => false,
        })
    }

    /// Stores the name of these labels and this suffix, if there is room for it.
    pub(super) fn synthesize(&mut self, labels: &[u8], suffix: &[u8]) -> Option<Synthesized> {
        let start = self.synthesized.len();
        let len = labels.len() + suffix.len();
        if len > self.synthesized.remaining_capacity() {
            return None;
        }
        self.synthesized.try_extend_from_slice(labels).ok()?;
        self.synthesized.try_extend_from_slice(suffix).ok()?;
        Some(Synthesized {
            start: start as u16,
            len: u8::try_from(len).ok()?,
        })
    }
}

impl Default for Answer<'_> {
    fn default() -> Self {
        Self::new()
    }
}
