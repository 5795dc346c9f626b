//! A buffer that is written from front to back, up to a limit.

/// There is no room. What was written of the whole so far is to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Writes into a buffer from its beginning.
pub(super) struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
    limit: usize,
}

impl<'o> Writer<'o> {
    /// Starts at the beginning of `out`; at most `limit` octets are written.
    pub(super) fn new(out: &'o mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Writer { out, len: 0, limit }
    }

    /// Goes on behind octets that were written before.
    pub(super) fn behind(out: &'o mut [u8], len: usize, limit: usize) -> Self {
        let len = len.min(out.len());
        let limit = limit.clamp(len, out.len());
        Writer { out, len, limit }
    }

    /// How many octets are written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many octets there is room for.
    pub(super) fn room(&self) -> usize {
        self.limit - self.len
    }

    /// Keeps as many octets at the end free, of those there is room for.
    pub(super) fn reserve(&mut self, count: usize) {
        self.limit -= count.min(self.room());
    }

    /// Gives back octets that were kept free.
    pub(super) fn release(&mut self, count: usize) {
        self.limit = (self.limit + count).min(self.out.len());
    }

    /// Writes what `write` writes, or nothing if there is no room for all of it.
    pub(super) fn put_whole(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let len = self.len;
        let result = write(self);
        if result.is_err() {
            self.len = len;
        }
        result
    }

    /// What is written.
    pub(super) fn written(&self) -> &[u8] {
        &self.out[..self.len]
    }

    /// Writes some octets, or nothing if there is no room for them.
    pub(super) fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out[self.len..end].copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Writes a number.
    pub(super) fn put_u16(&mut self, number: u16) -> Result<(), Full> {
        self.put(&number.to_be_bytes())
    }

    /// A number that was written before; 0 where there is none.
    pub(super) fn get_u16(&self, at: usize) -> u16 {
        let number = self.written().get(at..at + 2);
        number.map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Writes over octets that were written before.
    pub(super) fn set(&mut self, at: usize, octets: &[u8]) {
        if let Some(place) = self.out[..self.len].get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    }

    /// Writes a number over octets that were written before.
    pub(super) fn set_u16(&mut self, at: usize, number: u16) {
        self.set(at, &number.to_be_bytes());
    }
}
