//! What the resolver is asked and what it finds: pointers into the view, and nothing copied.

use arrayvec::ArrayVec;

use super::answer_rrset::{AnswerRdata, AnswerRrset, Owner, Synthesized};
use super::name::NAME_LEN_MAX;
use super::referral::Referral;
use super::rrset::RrsetRef;
use super::view::Zone;
use crate::model::{Consistency, Rtype};

/// How many CNAME records are followed: more than any use has, few enough that a chain is no
/// burden. What follows is for the client to ask.
pub(super) const CHAIN_MAX: usize = 16;

/// How many RRsets an answer can have, the addresses of a referral not counted. A chain takes two a
/// step; addresses of mail servers and the like beyond that are left out.
const ENTRIES_MAX: usize = 96;

/// Room for the names that DNAME records make, in octets: for the longest ones in the longest chain.
/// A DNAME record is never without the CNAME record that is made of it (RFC 6672 3.1).
const SYNTHESIZED_MAX: usize = (CHAIN_MAX + 1) * NAME_LEN_MAX;

/// A question of class IN (RFC 1035 4.1.2).
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// The name asked for, in uncompressed wire form and in any spelling.
    pub name: &'q [u8],
    /// The type asked for.
    pub rtype: Rtype,
}

/// A response code (RFC 6895 2.3), with the upper bits that only EDNS has room for.
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
}

/// Codes of extended errors that are told here (RFC 8914 4, RFC 9824 for the last).
#[allow(missing_docs)]
pub mod ede {
    pub const STALE_ANSWER: u16 = 3;
    pub const NOT_READY: u16 = 14;
    pub const NOT_AUTHORITATIVE: u16 = 20;
    pub const NETWORK_ERROR: u16 = 23;
    pub const INVALID_QUERY_TYPE: u16 = 30;
}

/// An answer to one question: RRsets of the view, by section, and what goes into the header.
pub struct Answer<'v> {
    /// The response code: that of the last name of a chain (RFC 6604 3).
    pub rcode: Rcode,
    /// Whether this is the authoritative answer for the first name (RFC 1034 6.2.7).
    pub is_authoritative: bool,
    /// Why, as an extended error (RFC 8914).
    pub ede: Option<u16>,
    /// The zone that the first name is in; none if it is in none of ours.
    pub zone: Option<&'v Zone>,
    /// What the zones that it comes from promise about how fresh it is.
    pub consistency: Consistency,
    entries: ArrayVec<AnswerRrset<'v>, ENTRIES_MAX>,
    /// The zone cut where it ends, if it ends at one.
    pub(super) referral: Option<Referral<'v>>,
    synthesized: ArrayVec<u8, SYNTHESIZED_MAX>,
}

impl<'v> Answer<'v> {
    /// An answer without records, as room for others: see
    /// [`resolve_into`](super::resolve_into).
    pub fn new() -> Self {
        Answer {
            rcode: Rcode::NOERROR,
            is_authoritative: false,
            ede: None,
            zone: None,
            consistency: Consistency::default(),
            entries: ArrayVec::new(),
            referral: None,
            synthesized: ArrayVec::new(),
        }
    }

    /// Takes all records back: nothing but this code is said.
    pub fn refuse(&mut self, rcode: Rcode, ede: u16) {
        let zone = self.zone;
        self.reset(rcode, Some(ede));
        self.zone = zone;
    }

    /// Takes all back, and leaves the response code.
    pub(super) fn reset(&mut self, rcode: Rcode, ede: Option<u16>) {
        self.rcode = rcode;
        self.is_authoritative = false;
        self.ede = ede;
        self.zone = None;
        self.consistency = Consistency::default();
        self.entries.clear();
        self.referral = None;
        self.synthesized.clear();
    }

    /// Hands out the RRsets, by section, until `each` says no.
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

    /// Those that are there without a look at name servers.
    pub(super) fn listed(&self) -> &[AnswerRrset<'v>] {
        &self.entries
    }

    /// The octets of an owner, in uncompressed wire form. `question` is the name in the question,
    /// in whatever spelling the client is to see.
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

    /// Adds an RRset, and says whether there was room for it.
    pub(super) fn push(&mut self, entry: AnswerRrset<'v>) -> bool {
        self.entries.try_push(entry).is_ok()
    }

    /// Whether this very RRset is in the answer.
    pub(super) fn has(&self, rrset: RrsetRef<'_>) -> bool {
        self.entries.iter().any(|entry| match entry.records {
            AnswerRdata::Set(other) => other.is(rrset),
            AnswerRdata::Cname(_) => false,
        })
    }

    /// Whether this very RRset is in the answer with this owner: a wildcard's may be there with
    /// several. `question` is the name in the question.
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

    /// Keeps a name made of the first octets of another and a suffix, if there is room for it.
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
