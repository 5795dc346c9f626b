//! One turn of a connection on a thread: read, answer, write, without waiting in between.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::FRAME_MAX;
use super::frames::{Answered, Next, write_messages};
use crate::answer::Messages;

/// The most octets read at once, about a hundred queries. Then it is the other connections' turn.
const READ: usize = 4 << 10;

/// Room for what is read, and for the responses. The output has room for two of the longest messages: as long as at most half
/// of it is full, one more fits.
struct Buffers {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

thread_local! {
    /// One pair for each thread of the runtime. Connections need it only during a turn, so thousands of them take no
    /// more memory than a few.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        input: vec![0; FRAME_MAX].into(),
        output: vec![0; 2 * FRAME_MAX].into(),
    });
}

/// What a connection keeps between two turns: nothing, as long as whole queries come and responses are accepted.
#[derive(Default)]
pub(super) struct Leftovers {
    /// The beginning of a query, or queries that have to wait.
    pub(super) input: Vec<u8>,
    /// Responses that the client has not accepted yet.
    pub(super) output: Vec<u8>,
    /// Whether the stream still has octets that it has taken but not sent, as TLS may have.
    pub(super) is_unsent: bool,
    /// Whether the last read filled its room, so that more may have come.
    pub(super) left_behind: bool,
}

impl Leftovers {
    /// How many octets of memory this takes.
    pub(super) fn octets(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Whether the kept input and what follows it are less than one query.
    fn is_partial(&self, next: &[u8]) -> bool {
        let mut octets = self.input.iter().chain(next);
        let len = match (octets.next(), octets.next()) {
            (Some(a), Some(b)) => usize::from(u16::from_be_bytes([*a, *b])),
            _ => 0,
        };
        self.input.len() + next.len() < 2 + len
    }

    /// Reads what has come, if `reads`; has `answer` answer this and the kept input; writes as many responses as the
    /// client accepts now. Returns `None` at the end of the stream.
    pub(super) fn turn<S: AsyncRead + AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        mut stream: Pin<&mut S>,
        reads: bool,
        answer: impl FnOnce(&[u8], &mut [u8]) -> Answered,
    ) -> Poll<io::Result<Option<Answered>>> {
        BUFFERS.with_borrow_mut(|Buffers { input, output }| {
            let mut filled = self.input.len();
            if reads {
                let end = input.len().min(filled + READ);
                let mut room = ReadBuf::new(&mut input[filled..end]);
                ready!(stream.as_mut().poll_read(context, &mut room))?;
                if room.filled().is_empty() {
                    return Poll::Ready(Ok(None));
                }
                self.left_behind = room.remaining() == 0;
                let next = room.filled();
                if self.is_partial(next) {
                    // Copies only what is new: a query may come octet by octet.
                    self.input.extend_from_slice(next);
                    return Poll::Ready(Ok(Some(Answered {
                        taken: 0,
                        made: 0,
                        next: Next::Read,
                    })));
                }
                filled += next.len();
            }
            input[..self.input.len()].copy_from_slice(&self.input);
            let answered = answer(&input[..filled], output);
            self.input = input[answered.taken..filled].to_vec();
            self.write(context, stream, &output[..answered.made])?;
            Poll::Ready(Ok(Some(answered)))
        })
    }

    /// Writes as many of these messages as have room in the buffer. Returns false after the last one.
    pub(super) fn send<S: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        stream: Pin<&mut S>,
        messages: &mut dyn Messages,
    ) -> Poll<io::Result<bool>> {
        BUFFERS.with_borrow_mut(|Buffers { output, .. }| {
            let (made, more) = write_messages(messages, output);
            self.write(context, stream, &output[..made])?;
            Poll::Ready(Ok(more))
        })
    }

    /// Writes octets as far as the client accepts them now, and keeps the rest.
    fn write<S: AsyncWrite>(
        &mut self,
        context: &mut Context<'_>,
        mut stream: Pin<&mut S>,
        mut unsent: &[u8],
    ) -> io::Result<()> {
        while !unsent.is_empty() {
            match stream.as_mut().poll_write(context, unsent)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(sent) => unsent = &unsent[sent..],
                Poll::Pending => break,
            }
        }
        self.output = unsent.to_vec();
        self.is_unsent = stream.poll_flush(context)?.is_pending();
        Ok(())
    }
}
