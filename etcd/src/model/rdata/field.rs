//! What all kinds of fields provide.
//!
//! A kind of field is one `impl` of [`Field`], in the file of its family; which fields a type has
//! is one row in [`table`](super::table).

use std::fmt;

use super::cursor::Cursor;
use super::error::RdataError;

/// A kind of field: its text form, its wire form, and what makes it sound.
///
/// `len` and `is_sound` must agree with what `parse` appends. `print` writes sound octets as text, but `parse` need not
/// read that back to the same octets: some octets have no text of their own, such as a LOC size of 0 times 10 or an APL
/// address with trailing zeros. [`Rdata::text`](super::Rdata::text) therefore reads the text back, compares the octets,
/// and uses the generic form if they differ.
pub(super) trait Field: Sync {
    /// Reads the field from `cursor` and appends its wire form to `out`.
    fn parse(&self, cursor: &mut Cursor<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError>;

    /// The length of the field at the start of `rest`, which may exceed `rest`. None if no such field begins like this.
    fn len(&self, rest: &[u8]) -> Option<usize>;

    /// Whether octets of the right length are a valid field.
    fn is_sound(&self, _octets: &[u8]) -> bool {
        true
    }

    /// Writes valid octets as text. An error if they have no text form.
    fn print(&self, octets: &[u8], out: &mut String) -> fmt::Result;

    /// The name at the end of the field, if there is one.
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

/// Whether `octets` consists entirely of pieces whose lengths `len` returns.
pub(super) fn tiles(mut octets: &[u8], mut len: impl FnMut(&[u8]) -> Option<usize>) -> bool {
    while !octets.is_empty() {
        match len(octets).and_then(|len| octets.get(len..)) {
            Some(rest) => octets = rest,
            None => return false,
        }
    }
    true
}
