//! What all kinds of fields have in common.
//!
//! A kind of field is one `impl` of [`Field`], in the file of its family; which fields a type has
//! is one row in [`table`](super::table).

use std::fmt;

use super::cursor::Cursor;
use super::error::RdataError;

/// A kind of field: its text form, its wire form, and what makes it sound.
///
/// `len` measures what `parse` appends, and `is_sound` accepts it. `print` gives sound octets a text form, which `parse`
/// need not read back to the same octets: a LOC size such as 0 times 10 and an APL address with zeros at its end have no
/// text of their own. So [`Rdata::text`](super::Rdata::text) reads the text back, compares, and takes the generic form
/// where it differs.
pub(super) trait Field: Sync {
    /// Reads the field off `cursor` and appends its wire form to `out`.
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError>;

    /// How many octets of `rest` the field takes, which may be more than there are; none where it
    /// cannot begin like this.
    fn len(&self, rest: &[u8]) -> Option<usize>;

    /// Whether octets of the right length are such a field.
    fn is_sound(&self, _octets: &[u8]) -> bool {
        true
    }

    /// Prints sound octets; an error where they have no text form.
    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result;

    /// The name that the field ends in, if it has one.
    fn name(&self, _octets: &[u8]) -> Option<EndingName> {
        None
    }
}

/// A name at the end of a field.
pub(super) struct EndingName {
    /// Where in the field it begins.
    pub(super) at: usize,
    /// Whether it is compared in lower case (RFC 4034 6.2).
    pub(super) folds: bool,
}

/// An unsigned number of up to four octets.
pub(super) fn number(octets: &[u8]) -> u32 {
    octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
}

/// Whether pieces of the lengths that `len` finds make up all of `octets`.
pub(super) fn tiles(mut octets: &[u8], mut len: impl FnMut(&[u8]) -> Option<usize>) -> bool {
    while !octets.is_empty() {
        match len(octets).and_then(|len| octets.get(len..)) {
            Some(rest) => octets = rest,
            None => return false,
        }
    }
    true
}
