//! What becomes of a request.

/// What becomes of a request.
pub enum Reply {
    /// No response: the message is ignored.
    Silent,
    /// One message of this many octets, which was written into the buffer.
    Ready(usize),
    /// The answer is promised to be `linearizable`: ask the barrier, then call `respond` again with its result.
    NeedsConfirmation,
    /// Many messages. Only for requests over a stream.
    Stream(Box<dyn Messages>),
}

/// The messages of a long response, such as a zone transfer, made one at a time as the client takes them.
pub trait Messages: Send {
    /// Writes the next message into `out`, which has room for the longest, and returns its length; `None` after the
    /// last. It is called on a thread that serves other connections too, so a message must not take long to make.
    fn write_next(&mut self, out: &mut [u8]) -> Option<usize>;
}
