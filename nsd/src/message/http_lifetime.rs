//! How long an HTTP cache may keep a response.

use super::header::{HEADER_LEN, MessageHeader};
use super::parse::{RecordReader, skip_questions};
use crate::zone::Rcode;

/// For how many seconds an HTTP cache may keep a response: the smallest TTL of its answers or, if it has none, of its authority
/// records, as RFC 8484 5.1 asks. 0 for errors, and for a response without records.
pub fn http_lifetime(response: &[u8]) -> u32 {
    smallest_ttl(response).unwrap_or(0)
}

fn smallest_ttl(response: &[u8]) -> Option<u32> {
    let header = MessageHeader::parse(response)?;
    let [questions, answers, authorities, _] = header.counts;
    let rcode = Rcode(u16::from(response.get(3)? & 15));
    if rcode != Rcode::NOERROR && rcode != Rcode::NXDOMAIN {
        return None;
    }
    let rest = &response[HEADER_LEN..];
    let mut records = skip_questions(RecordReader { rest }, questions)?;
    let count = match answers {
        0 => authorities,
        answers => answers,
    };
    let mut ttls = (0..count).map(|_| records.next().map(|record| u32::from_be_bytes(record.ttl)));
    ttls.try_fold(None, |least: Option<u32>, ttl| {
        let ttl = ttl?;
        Some(Some(least.map_or(ttl, |least| least.min(ttl))))
    })?
}
