//! TSIG (RFC 8945). This server has no keys, so every signed query gets the error BADKEY.

use super::header::HEADER_LEN;
use super::writer::{Full, Writer};
use crate::model::Rtype;
use crate::zone::name_prefix;

/// Unknown key (RFC 8945 3).
const BADKEY: u16 = 17;

const CLASS_ANY: u16 = 255;

/// Time signed and fudge, after the name of the algorithm, in octets.
const TIMES_LEN: usize = 8;

/// RFC 1035 2.3.4.
const NAME_LEN_MAX: usize = 255;

/// The parts of a TSIG record that the reply repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tsig<'p> {
    /// The name of the key. It may end in a pointer into the question, which is at the same offset in the reply.
    key: &'p [u8],
    /// The name of the algorithm, the time signed and the fudge.
    front: &'p [u8],
}

impl<'p> Tsig<'p> {
    /// Parses a TSIG record; `None` is a format error (RFC 8945 5.2). `question` is the question section.
    #[cold]
    pub(super) fn parse(
        key: &'p [u8],
        class: u16,
        rdata: &'p [u8],
        question: &[u8],
    ) -> Option<Self> {
        let algorithm = name_prefix(rdata)?;
        let (front, rest) = rdata.split_at_checked(algorithm.len() + TIMES_LEN)?;
        let (_mac, rest) = split_counted(rest)?;
        // The original id and the error.
        let (_other, rest) = split_counted(rest.get(4..)?)?;
        let is_whole = rest.is_empty() && class == CLASS_ANY && is_repeatable(key, question);
        is_whole.then_some(Tsig { key, front })
    }

    /// Appends an unsigned record with the error BADKEY (RFC 8945 5.3.2) to a reply of `len` octets. Returns the new
    /// length, or `len` if there is no room.
    pub(super) fn append(&self, out: &mut [u8], len: usize, limit: usize, id: u16) -> usize {
        let mut out = Writer::behind(out, len, limit);
        if out.put_whole(|out| self.write(out, id)).is_ok() {
            let additionals = out.get_u16(10);
            out.set_u16(10, additionals + 1);
        }
        out.len()
    }

    /// The length of the record that [`Self::append`] appends.
    pub(super) fn reply_len(&self) -> usize {
        // Type, class, TTL and rdata length; behind the times no MAC, the id, the error, no other data.
        self.key.len() + 10 + self.front.len() + 8
    }

    fn write(&self, out: &mut Writer<'_>, id: u16) -> Result<(), Full> {
        out.put(self.key)?;
        out.put_u16(Rtype::TSIG.0)?;
        out.put_u16(CLASS_ANY)?;
        out.put(&[0; 4])?;
        out.put_u16(self.front.len() as u16 + 8)?;
        out.put(self.front)?;
        // No MAC, the id, the error, no other data.
        for number in [0, id, BADKEY, 0] {
            out.put_u16(number)?;
        }
        Ok(())
    }
}

/// Splits off octets that have their number in front.
fn split_counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Whether a name means the same in a reply with the same question: it is uncompressed, or ends in a pointer to a
/// suffix of the name in the question.
fn is_repeatable(name: &[u8], question: &[u8]) -> bool {
    if name_prefix(name).is_some_and(|prefix| prefix.len() == name.len()) {
        return true;
    }
    let Some((labels, pointer)) = name.split_last_chunk() else {
        return false;
    };
    let target = usize::from(u16::from_be_bytes(*pointer) & 0x3fff);
    let (Some(wanted), Some(asked)) = (target.checked_sub(HEADER_LEN), name_prefix(question))
    else {
        return false;
    };
    let mut at = 0;
    while at < wanted
        && let Some(&len) = asked.get(at)
    {
        at += 1 + usize::from(len);
    }
    at == wanted && at < asked.len() && labels.len() + asked.len() - at <= NAME_LEN_MAX
}
