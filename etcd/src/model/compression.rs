//! Name compression (RFC 1035 4.1.4) as `nsd` does it: which names, and how long a response with an RRset gets by it. What
//! is stored is what can be served, so both sides share this.

use super::rdata::Rdata;
use super::rtype::Rtype;

/// How many names and ends of names of a message are remembered, those of the question not counted. What comes later is
/// still compressed against these.
pub const SUFFIXES_MAX: usize = 64;

/// A pointer has 14 bits.
pub const OFFSET_MAX: usize = 0x3fff;

/// Header, the longest question, and an OPT record with some options.
const MESSAGE_LEN: usize = HEADER_LEN + QUESTION_LEN_MAX + 64;
const HEADER_LEN: usize = 12;
const QUESTION_LEN_MAX: usize = 255 + 4;

/// What stands before the rdata of a record: a pointer to its owner, type, class, TTL and the length of the rdata.
const RECORD_LEN: usize = 12;

const POINTER_LEN: usize = 2;

/// Where the names are in rdata whose names may be compressed: how many octets stand before them, and how many there
/// are. Only in the types of RFC 1035 (RFC 3597 4): others, a client need not know how to read.
pub fn layout(rtype: Rtype) -> Option<(usize, usize)> {
    match rtype {
        Rtype::NS | Rtype::CNAME | Rtype::PTR => Some((0, 1)),
        Rtype::MD | Rtype::MF | Rtype::MB | Rtype::MG | Rtype::MR => Some((0, 1)),
        Rtype::SOA | Rtype::MINFO => Some((0, 2)),
        Rtype::MX => Some((2, 1)),
        _ => None,
    }
}

/// How many octets a response with this RRset has at most, whatever name is asked for.
///
/// It is counted as the message is written, record by record, against a question of the longest name that none of the
/// names ends with. A shorter question leaves them nearer to the front, and one that they end with takes less and leaves
/// more to be remembered: no such response is longer.
pub(super) fn response_len(rtype: Rtype, rdata: &[Rdata]) -> usize {
    let octets = |one: &Rdata| RECORD_LEN + one.wire().len();
    let plain = MESSAGE_LEN + rdata.iter().map(octets).sum::<usize>();
    match layout(rtype) {
        // Hardly any set is long enough to be worth the effort.
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

/// The ends of names that are remembered.
#[derive(Default)]
struct Names<'r>(Vec<&'r [u8]>);

impl<'r> Names<'r> {
    /// The length of an rdata that begins there in the message.
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

    /// Remembers the ends of a name that begin before octet `end` of it, where it stands at this place.
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
