//! Writes into a buffer from front to back, up to a limit.

/// The buffer is full. The caller has to take back the part that was written, as [`Writer::put_whole`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A buffer, how much of it is written, and how much may be.
pub(super) struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
    limit: usize,
}

impl<'o> Writer<'o> {
    /// Starts at the beginning of `out`, and writes at most `limit` octets.
    pub(super) fn new(out: &'o mut [u8], limit: usize) -> Self {
        let limit = limit.min(out.len());
        Writer { out, len: 0, limit }
    }

    /// Continues after `len` octets that are already written.
    pub(super) fn behind(out: &'o mut [u8], len: usize, limit: usize) -> Self {
        let len = len.min(out.len());
        let limit = limit.clamp(len, out.len());
        Writer { out, len, limit }
    }

    /// The number of octets written.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of octets that still fit.
    pub(super) fn room(&self) -> usize {
        self.limit - self.len
    }

    /// Reserves octets at the end, at most as many as there is room for.
    pub(super) fn reserve(&mut self, count: usize) {
        self.limit -= count.min(self.room());
    }

    /// Releases reserved octets.
    pub(super) fn release(&mut self, count: usize) {
        self.limit = (self.limit + count).min(self.out.len());
    }

    /// Keeps the output of `write` only if all of it fits.
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

    /// The octets written.
    pub(super) fn written(&self) -> &[u8] {
        &self.out[..self.len]
    }

    /// Writes octets, or nothing if they do not fit.
    pub(super) fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out[self.len..end].copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Writes zeros, or nothing if they do not fit.
    pub(super) fn put_zeros(&mut self, count: usize) -> Result<(), Full> {
        if count > self.room() {
            return Err(Full);
        }
        self.out[self.len..self.len + count].fill(0);
        self.len += count;
        Ok(())
    }

    /// Writes a number.
    pub(super) fn put_u16(&mut self, number: u16) -> Result<(), Full> {
        self.put(&number.to_be_bytes())
    }

    /// The number that was written at this offset; 0 if there is none.
    pub(super) fn get_u16(&self, at: usize) -> u16 {
        let number = self.written().get(at..at + 2);
        number.map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Overwrites octets at this offset.
    pub(super) fn set(&mut self, at: usize, octets: &[u8]) {
        if let Some(place) = self.out[..self.len].get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    }

    /// Overwrites a number at this offset.
    pub(super) fn set_u16(&mut self, at: usize, number: u16) {
        self.set(at, &number.to_be_bytes());
    }
}
