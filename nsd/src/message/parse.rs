//! Parses messages into queries, or says what is wrong with them.

use super::edns::Edns;
use super::header::{HEADER_LEN, MessageHeader, OPCODE, QR, RD};
use super::query::{Class, ErrorReply, Query, Reject};
use super::tsig::Tsig;
use crate::model::Rtype;
use crate::zone::{Rcode, name_prefix};

/// Parses a query.
///
/// Responses, and messages shorter than a header, get no reply. Other errors get one:
///
/// - NOTIMP for opcodes other than QUERY, whatever follows the header;
/// - NOERROR for a question about a server cookie: there is no question section, but a COOKIE option (RFC 7873 5.4);
/// - FORMERR if the message is cut off, has octets after the last record, more or fewer questions than one (RFC 9619),
///   more than one OPT record (RFC 6891 6.1.1), or a TSIG record that is not the last one (RFC 8945 5.1);
/// - BADVERS for EDNS versions other than 0 (RFC 6891 6.1.3), with any opcode;
/// - NOTAUTH for queries with a TSIG record: this server has no keys (RFC 8945 5.2.1);
/// - REFUSED for classes other than IN and CHAOS.
///
/// Ignores unknown EDNS options, and records other than OPT and TSIG.
pub fn parse(octets: &[u8]) -> Result<Query<'_>, Reject<'_>> {
    let header = MessageHeader::parse(octets).ok_or(Reject::Silent)?;
    if header.flags & QR != 0 {
        return Err(Reject::Silent);
    }
    let mut refusal = ErrorReply {
        rcode: Rcode::FORMERR,
        ede: None,
        id: header.id,
        opcode: (header.flags & OPCODE) >> 3,
        is_recursion_desired: header.flags & RD != 0,
        question: &[],
        edns: None,
        tsig: None,
    };
    // Collects what the reply repeats, also when parsing fails halfway.
    let read = parse_body(&octets[HEADER_LEN..], &header, &mut refusal);
    refusal.rcode = match read {
        Ok(query) if refusal.opcode == 0 => return Ok(query),
        Err(rcode) if refusal.opcode == 0 || rcode == Rcode::BADVERS => rcode,
        // Other opcodes may have another format behind the header.
        _ => Rcode::NOTIMP,
    };
    refusal.tsig = refusal.tsig.filter(|_| refusal.rcode == Rcode::NOTAUTH);
    Err(Reject::Reply(refusal))
}

/// The name in the question, in uncompressed wire form, without checking the rest of the message.
pub fn question_name(octets: &[u8]) -> Option<&[u8]> {
    name_prefix(octets.get(HEADER_LEN..)?)
}

/// Whether the header announces what a query has: one question, and at most an OPT and a TSIG record.
pub fn header_counts_fit_query(octets: &[u8]) -> bool {
    let header = MessageHeader::parse(octets);
    header.is_some_and(|header| matches!(header.counts, [1, 0, 0, 0..=2]))
}

fn parse_body<'p>(
    body: &'p [u8],
    header: &MessageHeader,
    refusal: &mut ErrorReply<'p>,
) -> Result<Query<'p>, Rcode> {
    let [questions, answers, authorities, additionals] = header.counts;
    // An error that is only reported if the rest of the message can be parsed.
    let mut objection = Rcode::NOERROR;
    let (mut rtype, mut class) = (Rtype(0), 0);
    let mut records = RecordReader { rest: body };
    if questions == 1 {
        (rtype, class, records.rest) = parse_question(body).ok_or(Rcode::FORMERR)?;
        refusal.question = &body[..body.len() - records.rest.len()];
    } else {
        // Goes on, because the reply needs an OPT record if there is one further behind.
        objection = Rcode::FORMERR;
        records = skip_questions(records, questions).ok_or(Rcode::FORMERR)?;
    }
    if answers | authorities != 0 {
        let count = u32::from(answers) + u32::from(authorities);
        records = skip_records(records, count).ok_or(Rcode::FORMERR)?;
    }
    for _ in 0..additionals {
        let record = records.next().ok_or(Rcode::FORMERR)?;
        if record.rtype == Rtype::OPT {
            if refusal.edns.is_some() || !record.is_at_root() {
                return Err(Rcode::FORMERR);
            }
            let edns = refusal.edns.insert(Edns::of(record.class, record.ttl));
            // If not all options can be read, the response needs an OPT record all the same (RFC 6891 6.1.1).
            if !record.rdata.is_empty() && !edns.read_options(record.rdata) {
                return Err(Rcode::FORMERR);
            }
            if edns.version != 0 {
                objection = Rcode::BADVERS;
            }
        } else if record.rtype == Rtype::TSIG {
            let question = refusal.question;
            refusal.tsig = Tsig::parse(record.owner, record.class, record.rdata, question);
            let is_last = records.rest.is_empty();
            if refusal.tsig.is_none() || !is_last {
                return Err(Rcode::FORMERR);
            }
            if objection == Rcode::NOERROR {
                objection = Rcode::NOTAUTH;
            }
        }
    }
    if !records.rest.is_empty() {
        return Err(Rcode::FORMERR);
    }
    if objection != Rcode::NOERROR {
        let is_cookie_asked = questions | answers | authorities == 0
            && objection == Rcode::FORMERR
            && refusal.tsig.is_none()
            && refusal.edns.is_some_and(|edns| edns.cookie.is_some());
        return Err(if is_cookie_asked {
            Rcode::NOERROR
        } else {
            objection
        });
    }
    Ok(Query {
        id: header.id,
        is_recursion_desired: refusal.is_recursion_desired,
        class: match class {
            1 => Class::In,
            3 => Class::Chaos,
            _ => return Err(Rcode::REFUSED),
        },
        rtype,
        question: refusal.question,
        edns: refusal.edns,
    })
}

/// Parses a question. Returns its type, its class and the octets after it. Its name cannot be compressed, as no other
/// name comes before it.
fn parse_question(octets: &[u8]) -> Option<(Rtype, u16, &[u8])> {
    let name = name_prefix(octets)?;
    let ([a, b, c, d], rest) = octets[name.len()..].split_first_chunk()?;
    let rtype = Rtype(u16::from_be_bytes([*a, *b]));
    Some((rtype, u16::from_be_bytes([*c, *d]), rest))
}

/// Parses the records in the rest of a message, one by one.
pub(super) struct RecordReader<'p> {
    pub(super) rest: &'p [u8],
}

pub(super) struct RawRecord<'p> {
    /// As it came: it may end in a compression pointer.
    owner: &'p [u8],
    rtype: Rtype,
    class: u16,
    pub(super) ttl: [u8; 4],
    rdata: &'p [u8],
}

impl<'p> Iterator for RecordReader<'p> {
    type Item = RawRecord<'p>;

    fn next(&mut self) -> Option<RawRecord<'p>> {
        let (owner, rest) = split_name(self.rest)?;
        let (fixed, rest) = rest.split_first_chunk::<10>()?;
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let (rdata, rest) = rest.split_at_checked(usize::from(number(8)))?;
        self.rest = rest;
        Some(RawRecord {
            owner,
            rtype: Rtype(number(0)),
            class: number(2),
            ttl: [fixed[4], fixed[5], fixed[6], fixed[7]],
            rdata,
        })
    }
}

/// Skips `count` questions.
#[cold]
pub(super) fn skip_questions(
    mut records: RecordReader<'_>,
    count: u16,
) -> Option<RecordReader<'_>> {
    for _ in 0..count {
        let (_, rest) = split_name(records.rest)?;
        records.rest = rest.get(4..)?;
    }
    Some(records)
}

/// Skips `count` records. Fails if there is an OPT or TSIG record among them.
#[cold]
fn skip_records(mut records: RecordReader<'_>, count: u32) -> Option<RecordReader<'_>> {
    for _ in 0..count {
        if matches!(records.next()?.rtype, Rtype::OPT | Rtype::TSIG) {
            return None;
        }
    }
    Some(records)
}

impl RawRecord<'_> {
    /// Whether its owner is the root, not as a pointer.
    fn is_at_root(&self) -> bool {
        self.owner.len() == 1
    }
}

/// The name at the start of the octets, and what comes after it. Does not follow compression pointers: these names
/// are never looked up.
fn split_name(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let len = usize::from(*octets.get(at)?);
        match len {
            0 => return octets.split_at_checked(at + 1),
            1..=63 => at += 1 + len,
            0xc0.. => return octets.split_at_checked(at + 2),
            _ => return None,
        }
    }
}
