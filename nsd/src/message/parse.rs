//! From octets to a query, or to what is wrong with them.

use super::edns::Edns;
use super::header::{HEADER_LEN, Header, OPCODE, QR, RD};
use super::query::{Class, Query, Refusal, Reject};
use super::tsig::Tsig;
use crate::model::Rtype;
use crate::zone::{Rcode, name_prefix};

/// Reads a query.
///
/// Silent about what is shorter than a header and about responses. Otherwise the reply says what is
/// wrong:
///
/// - NOTIMP for opcodes other than QUERY, whatever follows the header;
/// - FORMERR for what cannot be read to its end, for octets after the last record, for more or
///   fewer questions than one (RFC 9619), for more OPT records than one (RFC 6891 6.1.1), and for TSIG records that are
///   not the last one (RFC 8945 5.1);
/// - BADVERS for EDNS versions other than 0 (RFC 6891 6.1.3), with any opcode;
/// - NOTAUTH for queries with a TSIG record, as there are no keys here (RFC 8945 5.2.1);
/// - REFUSED for classes other than IN and CHAOS.
///
/// EDNS options that are not known are ignored, and so are records other than OPT and TSIG.
pub fn parse(octets: &[u8]) -> Result<Query<'_>, Reject<'_>> {
    let header = Header::parse(octets).ok_or(Reject::Silent)?;
    if header.flags & QR != 0 {
        return Err(Reject::Silent);
    }
    let mut refusal = Refusal {
        rcode: Rcode::FORMERR,
        ede: None,
        id: header.id,
        opcode: (header.flags & OPCODE) >> 3,
        is_recursion_desired: header.flags & RD != 0,
        question: &[],
        edns: None,
        tsig: None,
    };
    // The refusal collects what is read, so that an error reply can repeat it.
    let read = parse_body(&octets[HEADER_LEN..], &header, &mut refusal);
    refusal.rcode = match read {
        Ok(query) if refusal.opcode == 0 => return Ok(query),
        Err(rcode) if refusal.opcode == 0 || rcode == Rcode::BADVERS => rcode,
        // What follows the header is not ours to judge.
        _ => Rcode::NOTIMP,
    };
    refusal.tsig = refusal.tsig.filter(|_| refusal.rcode == Rcode::NOTAUTH);
    Err(Reject::Reply(refusal))
}

/// The name that a message seems to ask for, in uncompressed wire form: whatever else is in the message.
pub fn question_name(octets: &[u8]) -> Option<&[u8]> {
    name_prefix(octets.get(HEADER_LEN..)?)
}

fn parse_body<'p>(
    body: &'p [u8],
    header: &Header,
    refusal: &mut Refusal<'p>,
) -> Result<Query<'p>, Rcode> {
    let [questions, answers, authorities, additionals] = header.counts;
    // What is wrong with a message that can be read to its end.
    let mut objection = Rcode::NOERROR;
    let (mut rtype, mut class) = (Rtype(0), 0);
    let mut records = RecordReader { rest: body };
    if questions == 1 {
        (rtype, class, records.rest) = parse_question(body).ok_or(Rcode::FORMERR)?;
        refusal.question = &body[..body.len() - records.rest.len()];
    } else {
        // An OPT record behind them is answered all the same.
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
            let (edns, is_whole) = Edns::parse(record.class, record.ttl, record.rdata);
            refusal.edns = Some(edns);
            if !is_whole {
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
        return Err(objection);
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

/// Reads a question: its name, which nothing stands before that it could be compressed against,
/// its type and its class. Gives the last two and what follows.
fn parse_question(octets: &[u8]) -> Option<(Rtype, u16, &[u8])> {
    let name = name_prefix(octets)?;
    let ([a, b, c, d], rest) = octets[name.len()..].split_first_chunk()?;
    let rtype = Rtype(u16::from_be_bytes([*a, *b]));
    Some((rtype, u16::from_be_bytes([*c, *d]), rest))
}

/// Takes records off the front of the rest of a message.
struct RecordReader<'p> {
    rest: &'p [u8],
}

struct RawRecord<'p> {
    /// As it came: it may end with a compression pointer.
    owner: &'p [u8],
    rtype: Rtype,
    class: u16,
    ttl: [u8; 4],
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

/// What follows so many questions.
#[cold]
fn skip_questions(mut records: RecordReader<'_>, count: u16) -> Option<RecordReader<'_>> {
    for _ in 0..count {
        let (_, rest) = split_name(records.rest)?;
        records.rest = rest.get(4..)?;
    }
    Some(records)
}

/// What follows so many records, none of which may be an OPT or TSIG record.
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
    /// Whether its owner is the root, spelled out.
    fn is_at_root(&self) -> bool {
        self.owner.len() == 1
    }
}

/// The name that the octets begin with, and what follows it. Compression pointers are not followed: nothing is looked up
/// by such a name.
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
