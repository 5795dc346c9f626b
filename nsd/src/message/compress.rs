//! Name compression (RFC 1035 4.1.4), without allocating.

use arrayvec::ArrayVec;

use super::header::HEADER_LEN;
use super::writer::{Full, Writer};
use crate::model::compression::{OFFSET_MAX, SUFFIXES_MAX};
use crate::zone::{ancestor_offset, is_same_name};

/// The names in a message so far, as targets for pointers.
pub(super) struct WrittenNames<'q> {
    /// The name in the question, right after the header.
    question: &'q [u8],
    /// The offsets of other names and of their suffixes, and their uncompressed lengths.
    suffixes: ArrayVec<(u16, u8), SUFFIXES_MAX>,
}

impl<'q> WrittenNames<'q> {
    /// Starts with the name in the question, if the message has one.
    pub(super) fn new(question: &'q [u8]) -> Self {
        WrittenNames {
            question,
            suffixes: ArrayVec::new(),
        }
    }

    /// The number of suffixes, for [`truncate`](Self::truncate).
    pub(super) fn len(&self) -> usize {
        self.suffixes.len()
    }

    /// Forgets later suffixes, whose octets were removed from the message.
    pub(super) fn truncate(&mut self, len: usize) {
        self.suffixes.truncate(len);
    }

    /// Writes a name, with a pointer to the longest suffix that the message has already. Returns the offset to
    /// which a pointer to the whole name can point, if there is one.
    pub(super) fn write(&mut self, out: &mut Writer<'_>, name: &[u8]) -> Result<Option<u16>, Full> {
        let start = out.len();
        let mut at = 0;
        while let Some(&len) = name.get(at)
            && len != 0
        {
            if let Some(offset) = self.find(out.written(), &name[at..]) {
                out.put(&name[..at])?;
                out.put_u16(0xc000 | offset)?;
                self.remember(start, name, at);
                let is_pointer = at == 0;
                return Ok(if is_pointer {
                    Some(offset)
                } else {
                    pointer_target(start)
                });
            }
            at += 1 + usize::from(len);
        }
        out.put(name)?;
        self.remember(start, name, at);
        Ok(if at > 0 { pointer_target(start) } else { None })
    }

    /// Remembers the suffixes of a name that start before its octet `end`.
    fn remember(&mut self, start: usize, name: &[u8], end: usize) {
        let mut at = 0;
        while at < end && start + at <= OFFSET_MAX {
            let suffix = ((start + at) as u16, (name.len() - at) as u8);
            if self.suffixes.try_push(suffix).is_err() {
                return;
            }
            at += 1 + usize::from(name[at]);
        }
    }

    /// The offset of this name in the message, ignoring case.
    fn find(&self, written: &[u8], name: &[u8]) -> Option<u16> {
        if let Some(offset) = ancestor_offset(self.question, name) {
            return Some((HEADER_LEN + offset) as u16);
        }
        // Only names of the same length can be equal, so few are compared.
        let mut same_len = self
            .suffixes
            .iter()
            .filter(|(_, len)| usize::from(*len) == name.len());
        same_len
            .find(|(at, _)| is_at(written, usize::from(*at), name))
            .map(|(at, _)| *at)
    }
}

/// The offset as the target of a pointer, if it is small enough.
fn pointer_target(start: usize) -> Option<u16> {
    (start <= OFFSET_MAX).then_some(start as u16)
}

/// Whether the name at this offset of the message equals `name`. We wrote the message, so its pointers all point back.
fn is_at(written: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    loop {
        let (Some(&len), Some(&wanted)) = (written.get(at), name.first()) else {
            return false;
        };
        if len >= 0xc0 {
            let low = written.get(at + 1).copied().unwrap_or_default();
            let target = usize::from(u16::from_be_bytes([len & 0x3f, low]));
            if target >= at {
                return false;
            }
            at = target;
            continue;
        }
        let end = 1 + usize::from(wanted);
        let (Some(label), Some(ours)) = (written.get(at..at + end), name.get(..end)) else {
            return false;
        };
        if !is_same_name(label, ours) {
            return false;
        }
        if wanted == 0 {
            return true;
        }
        at += end;
        name = &name[end..];
    }
}
