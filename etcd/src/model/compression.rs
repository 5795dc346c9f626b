//! Name compression (RFC 1035 4.1.4) as `nsd` does it: which names it compresses, and how long a response with an RRset
//! becomes. Writers use it to refuse RRsets that do not fit into a message.

use super::rdata::Rdata;
use super::rtype::Rtype;

/// The most names and suffixes of names that a message remembers, without those of the question. Later names are still
/// compressed against these.
pub const SUFFIXES_MAX: usize = 64;

/// The highest offset that fits into the 14 bits of a pointer.
pub const OFFSET_MAX: usize = 0x3fff;

/// Header, the longest question, and an OPT record with some options.
const MESSAGE_LEN: usize = HEADER_LEN + QUESTION_LEN_MAX + 64;
const HEADER_LEN: usize = 12;
const QUESTION_LEN_MAX: usize = 255 + 4;

/// The part of a record before its rdata: a pointer to its owner, type, class, TTL and the length of the rdata.
const RECORD_LEN: usize = 12;

const POINTER_LEN: usize = 2;

/// Where rdata of this type has names that may be compressed: the number of octets before the first, and the number of
/// names. Only types of RFC 1035 have them, as a client need not know how to read others (RFC 3597 4).
pub fn layout(rtype: Rtype) -> Option<(usize, usize)> {
    match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR => Some((0, 1)),
        Rtype::MD | Rtype::MF | Rtype::MB | Rtype::MG | Rtype::MR => Some((0, 1)),
        Rtype::SOA | Rtype::MINFO => Some((0, 2)),
        Rtype::MX => Some((2, 1)),
        _ => None,
    }
}

/// The length of the longest response with this RRset, for any name in the question.
///
/// It follows the way in which messages are written, record by record, with the longest possible question that shares no
/// suffix with the names. Responses to other questions are not longer: a shorter question leaves more names within reach
/// of pointers, and a shared suffix saves octets.
pub(super) fn response_len(rtype: Rtype, rdata: &[Rdata]) -> usize {
    let octets = |one: &Rdata| RECORD_LEN + one.wire().len();
    let plain = MESSAGE_LEN + rdata.iter().map(octets).sum::<usize>();
    match layout(rtype) {
        // Hardly any RRset is long enough to need the exact length.
        Some(layout) if plain > 65_535 => {
            let mut names = Names::default();
            let mut at = HEADER_LEN + QUESTION_LEN_MAX;
            for one in rdata {
                at += RECORD_LEN + names.compressed_len(one.wire(), layout, at + RECORD_LEN);
            }
            at + MESSAGE_LEN - HEADER_LEN - QUESTION_LEN_MAX
        }
        _ => plain,
    }
}

/// The suffixes that a message remembers.
#[derive(Default)]
struct Names<'r>(Vec<&'r [u8]>);

impl<'r> Names<'r> {
    /// The compressed length of rdata that begins at `start` in the message.
    fn compressed_len(
        &mut self,
        rdata: &'r [u8],
        (skip, count): (usize, usize),
        start: usize,
    ) -> usize {
        let (mut len, mut rest) = (skip, rdata.get(skip..).unwrap_or_default());
        for _ in 0..count {
            let (name, after) = rest.split_at(name_len(rest));
            let mut at = 0;
            while let Some(&label) = name.get(at)
                && label != 0
                && !self
                    .0
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(&name[at..]))
            {
                at += 1 + usize::from(label);
            }
            self.remember(name, at, start + len);
            let is_known = name.get(at).is_some_and(|label| *label != 0);
            len += at + if is_known { POINTER_LEN } else { 1 };
            rest = after;
        }
        len + rest.len()
    }

    /// Remembers the suffixes of a name that begin before its octet `end`. The name is at `start` in the message.
    fn remember(&mut self, name: &'r [u8], end: usize, start: usize) {
        let mut at = 0;
        while at < end && start + at <= OFFSET_MAX && self.0.len() < SUFFIXES_MAX {
            self.0.push(&name[at..]);
            at += 1 + usize::from(name[at]);
        }
    }
}

/// The length of the uncompressed name that the octets begin with.
fn name_len(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&label) = octets.get(at)
        && label != 0
    {
        at += 1 + usize::from(label);
    }
    (at + 1).min(octets.len())
}
