//! The header of a message (RFC 1035 4.1.1).
//!
//! ```text
//!  0            2                                             4         6         8         10
//! | ID         | QR, opcode (4), AA, TC, RD | RA, Z, AD, CD, | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT |
//! |            |                            | rcode (4)      |         |         |         |         |
//! ```

/// The length of the header in octets.
pub(super) const HEADER_LEN: usize = 12;

/// The third octet: a response.
pub(super) const QR: u8 = 0x80;
/// The third octet: an authoritative answer.
pub(super) const AA: u8 = 0x04;
/// The third octet: truncated.
pub(super) const TC: u8 = 0x02;
/// The third octet: recursion desired.
pub(super) const RD: u8 = 0x01;
/// The third octet: the opcode.
pub(super) const OPCODE: u8 = 0x78;

/// The fields of a header that are used.
pub(super) struct MessageHeader {
    pub(super) id: u16,
    pub(super) flags: u8,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub(super) counts: [u16; 4],
}

impl MessageHeader {
    /// Parses the header; `None` if the message is too short for one.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; HEADER_LEN] = octets.first_chunk()?;
        let number = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
        Some(MessageHeader {
            id: number(0),
            flags: octets[2],
            counts: [number(4), number(6), number(8), number(10)],
        })
    }
}
