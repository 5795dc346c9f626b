//! Messages in a stream, each with its length in two octets in front (RFC 1035 4.2.2).

use super::FRAME_MAX;
use crate::answer::{Messages, OCTETS_MAX, Reply};

/// What was done with the messages that have come.
pub(super) struct Answered {
    /// How many octets of them were taken.
    pub(super) taken: usize,
    /// How many octets of responses there are.
    pub(super) made: usize,
    /// What to do next.
    pub(super) next: Next,
}

/// What to do after a batch of queries.
pub(super) enum Next {
    /// Read more: no whole message is left.
    Read,
    /// Send the responses first: there may be no room for another one.
    Flush,
    /// Ask the barrier: the next message needs it.
    Barrier,
    /// Send these messages: they are the response to the last query.
    Stream(Box<dyn Messages>),
    /// Close the connection: the last message gets no response.
    Close,
}

/// Answers the whole messages at the front of `input`, as long as `output` has room for the longest response.
pub(super) fn answer(
    input: &[u8],
    output: &mut [u8],
    mut respond: impl FnMut(&[u8], &mut [u8]) -> Reply,
) -> Answered {
    let (mut taken, mut made) = (0, 0);
    let next = loop {
        let message = input[taken..].split_first_chunk();
        let Some(query) =
            message.and_then(|(len, rest)| rest.get(..u16::from_be_bytes(*len).into()))
        else {
            break Next::Read;
        };
        if output.len() - made < FRAME_MAX {
            break Next::Flush;
        }
        let (front, out) = output[made..].split_at_mut(2);
        let reply = respond(query, &mut out[..OCTETS_MAX]);
        if let Reply::NeedsConfirmation = reply {
            break Next::Barrier;
        }
        taken += 2 + query.len();
        match reply {
            Reply::Ready(len) => {
                front.copy_from_slice(&(len as u16).to_be_bytes());
                made += 2 + len;
            }
            Reply::Stream(messages) => break Next::Stream(messages),
            Reply::Silent | Reply::NeedsConfirmation => break Next::Close,
        }
    };
    Answered { taken, made, next }
}

/// Writes messages into `output` as long as it has room for the longest. Returns how many octets they have, and whether
/// there may be more.
pub(super) fn write_messages(messages: &mut dyn Messages, output: &mut [u8]) -> (usize, bool) {
    let mut made = 0;
    while output.len() - made >= FRAME_MAX {
        let (front, out) = output[made..].split_at_mut(2);
        let Some(len) = messages.write_next(&mut out[..OCTETS_MAX]) else {
            return (made, false);
        };
        front.copy_from_slice(&(len as u16).to_be_bytes());
        made += 2 + len;
    }
    (made, true)
}
