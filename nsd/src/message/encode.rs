//! Writes answers, and replies without records.

use super::compress::WrittenNames;
use super::edns::{Edns, OptRecord, ServerEdns};
use super::header::{AA, HEADER_LEN, QR, RD, TC};
use super::query::{ErrorReply, Query};
use super::writer::{Full, Writer};
use crate::model::Rtype;
use crate::model::compression::layout;
use crate::zone::{Answer, AnswerRdata, AnswerRrset, Owner, Rcode, Section, Zone, name_prefix};

const CLASS_IN: u16 = 1;
const CLASS_CHAOS: u16 = 3;

/// The longest message: over TCP its length has two octets (RFC 1035 4.2.2).
const MESSAGE_LEN_MAX: usize = 65_535;

/// The shortest address record: a pointer as owner, and an IPv4 address. With less room left, no more records are
/// tried.
const ADDRESS_LEN: usize = 16;

/// A reply without records has at most a question, an OPT record and a TSIG record; every transport has room for that.
const ERROR_REPLY_LEN_MAX: usize = 512;

/// Writes the answer to a query into `out`, and returns its length in octets.
///
/// Writes at most `limit` octets, and only whole RRsets. If one does not fit that the client needs (in the answer or
/// authority section, or glue below the zone cut), the message ends there and is marked truncated (RFC 2181 9, RFC 9471
/// 3.1). Other additional RRsets that do not fit are left out. Room for the OPT record is kept before RRsets are
/// written: it is left out only if it does not fit after the question.
///
/// Returns 0 if there is no room for header and question, which take at most 271 octets.
pub fn encode(
    answer: &Answer<'_>,
    query: &Query<'_>,
    edns: &ServerEdns<'_>,
    limit: usize,
    out: &mut [u8],
) -> usize {
    let head = ReplyFields {
        id: query.id,
        opcode: 0,
        is_authoritative: answer.is_authoritative,
        is_recursion_desired: query.is_recursion_desired,
        rcode: answer.rcode,
        ede: answer.ede,
        question: query.question,
        edns: query.edns.as_ref(),
        zone: answer.zone,
        tsig_len: 0,
    };
    encode_with(&head, edns, limit, out, |out| {
        let mut names = WrittenNames::new(query.name());
        let mut body = ReplyRecords::default();
        answer.each_rrset(|entry| {
            let names_len = names.len();
            let written = out.put_whole(|out| write_entry(out, &mut names, answer, query, entry));
            if written.is_ok() {
                body.count(entry);
                return true;
            }
            names.truncate(names_len);
            body.is_truncated |= entry.section != Section::Additional;
            !body.is_truncated && out.room() >= ADDRESS_LEN
        });
        body
    })
}

/// Writes the answer to a question of class CHAOS: one TXT record with one string of at most 255 octets; the rest of
/// `text` is cut off.
pub fn encode_chaos(
    text: &[u8],
    query: &Query<'_>,
    edns: &ServerEdns<'_>,
    limit: usize,
    out: &mut [u8],
) -> usize {
    let repeated = query.error_reply(Rcode::NOERROR, None);
    let head = ReplyFields {
        is_authoritative: true,
        ..ReplyFields::of(&repeated)
    };
    let text = &text[..text.len().min(255)];
    encode_with(&head, edns, limit, out, |out| {
        let fixed = fixed_part(Rtype::TXT, CLASS_CHAOS, 0);
        let len = text.len();
        let written = out.put_whole(|out| {
            out.put(&with_pointer(HEADER_LEN as u16, fixed))?;
            write_with_length(out, |out| {
                out.put(&[len as u8])?;
                out.put(text)
            })
        });
        match written {
            Ok(()) => ReplyRecords {
                counts: [1, 0, 0],
                is_truncated: false,
            },
            Err(Full) => ReplyRecords {
                counts: [0; 3],
                is_truncated: true,
            },
        }
    })
}

/// Writes a reply without records of a zone into `out`, and returns its length in octets: at most 512, and 0 if `out`
/// is too short.
pub fn encode_reject(refusal: &ErrorReply<'_>, edns: &ServerEdns<'_>, out: &mut [u8]) -> usize {
    let head = ReplyFields::of(refusal);
    let len = encode_with(&head, edns, ERROR_REPLY_LEN_MAX, out, |_| {
        ReplyRecords::default()
    });
    match refusal.tsig {
        // It has to be the last record (RFC 8945 5.1).
        Some(tsig) if len > 0 => tsig.append(out, len, ERROR_REPLY_LEN_MAX, refusal.id),
        _ => len,
    }
}

/// Writes a reply without records that is marked as truncated, so that the client asks again over TCP.
pub fn encode_truncated(refusal: &ErrorReply<'_>, edns: &ServerEdns<'_>, out: &mut [u8]) -> usize {
    let head = ReplyFields::of(refusal);
    encode_with(&head, edns, ERROR_REPLY_LEN_MAX, out, |_| ReplyRecords {
        counts: [0; 3],
        is_truncated: true,
    })
}

/// The fields of header, question and OPT record.
struct ReplyFields<'p> {
    id: u16,
    opcode: u8,
    is_authoritative: bool,
    is_recursion_desired: bool,
    rcode: Rcode,
    ede: Option<u16>,
    question: &'p [u8],
    edns: Option<&'p Edns>,
    /// The zone of the name in the question. Its version may be part of every response, also of referrals, denials and
    /// SERVFAIL (RFC 9660 3.2), but not of REFUSED.
    zone: Option<&'p Zone>,
    /// The length of the TSIG record that will follow the OPT record; padding counts it.
    tsig_len: usize,
}

/// What was written between question and OPT record.
#[derive(Default)]
struct ReplyRecords {
    /// ANCOUNT, NSCOUNT, ARCOUNT.
    counts: [u16; 3],
    is_truncated: bool,
}

impl<'p> ReplyFields<'p> {
    fn of(refusal: &'p ErrorReply<'p>) -> Self {
        ReplyFields {
            id: refusal.id,
            opcode: refusal.opcode,
            is_authoritative: false,
            is_recursion_desired: refusal.is_recursion_desired,
            rcode: refusal.rcode,
            ede: refusal.ede,
            question: refusal.question,
            edns: refusal.edns.as_ref(),
            zone: None,
            tsig_len: refusal.tsig.map_or(0, |tsig| tsig.reply_len()),
        }
    }

    /// The header, with all counts but QDCOUNT zero. RA is clear because this server does not recurse, AD and CD
    /// because it does not validate (RFC 4035 3.1.6).
    fn octets(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        octets[..2].copy_from_slice(&self.id.to_be_bytes());
        octets[2] = QR | (self.opcode << 3);
        octets[2] |= if self.is_authoritative { AA } else { 0 };
        octets[2] |= if self.is_recursion_desired { RD } else { 0 };
        octets[3] = (self.rcode.0 & 0xf) as u8;
        octets[5] = u8::from(!self.question.is_empty());
        octets
    }
}

impl ReplyRecords {
    fn count(&mut self, entry: &AnswerRrset<'_>) {
        let section = match entry.section {
            Section::Answer => 0,
            Section::Authority => 1,
            Section::Glue | Section::Additional => 2,
        };
        self.counts[section] += match entry.records {
            AnswerRdata::Set(rrset) => rrset.count,
            AnswerRdata::Cname(_) => 1,
        };
    }
}

/// Writes header, question, the records of `write_body` and the OPT record.
fn encode_with(
    head: &ReplyFields<'_>,
    edns: &ServerEdns<'_>,
    limit: usize,
    out: &mut [u8],
    write_body: impl FnOnce(&mut Writer<'_>) -> ReplyRecords,
) -> usize {
    let mut out = Writer::new(out, limit.min(MESSAGE_LEN_MAX));
    let octets = head.octets();
    if out
        .put(&octets)
        .and_then(|()| out.put(head.question))
        .is_err()
    {
        return 0;
    }
    let room = out.room();
    let opt = head
        .edns
        .map(|query| OptRecord::new(query, edns, head.rcode, head.ede, head.zone, room));
    let opt = opt.filter(|opt| opt.len() <= room);
    let opt_len = opt.as_ref().map_or(0, OptRecord::len);
    out.reserve(opt_len);
    let ReplyRecords {
        mut counts,
        is_truncated,
    } = write_body(&mut out);
    out.release(opt_len);
    if opt.is_some_and(|opt| opt.write(&mut out, head.tsig_len).is_ok()) {
        counts[2] += 1;
    }
    if is_truncated {
        out.set_u16(2, u16::from_be_bytes([octets[2] | TC, octets[3]]));
    }
    let [[a, b], [c, d], [e, f]] = counts.map(u16::to_be_bytes);
    out.set(6, &[a, b, c, d, e, f]);
    out.len()
}

/// Type, class and TTL of a record.
fn fixed_part(rtype: Rtype, class: u16, ttl: u32) -> [u8; 8] {
    let ([a, b], [c, d], [e, f, g, h]) = (
        rtype.0.to_be_bytes(),
        class.to_be_bytes(),
        ttl.to_be_bytes(),
    );
    [a, b, c, d, e, f, g, h]
}

/// The same after an owner that is a pointer.
fn with_pointer(place: u16, fixed: [u8; 8]) -> [u8; 10] {
    let [a, b] = (0xc000 | place).to_be_bytes();
    let [c, d, e, f, g, h, i, j] = fixed;
    [a, b, c, d, e, f, g, h, i, j]
}

/// Writes one RRset.
fn write_entry(
    out: &mut Writer<'_>,
    names: &mut WrittenNames<'_>,
    answer: &Answer<'_>,
    query: &Query<'_>,
    entry: &AnswerRrset<'_>,
) -> Result<(), Full> {
    let owner = answer.owner_wire(&entry.owner, query.name());
    // Most owners are the name in the question or a suffix of it, so there is no need to search for them.
    let mut place = match entry.owner {
        Owner::Question(start) if owner != [0] => Some(HEADER_LEN as u16 + u16::from(start)),
        _ => None,
    };
    let fixed = fixed_part(entry.rtype, CLASS_IN, entry.ttl);
    match entry.records {
        AnswerRdata::Set(rrset) => {
            let layout = layout(entry.rtype);
            for record in rrset.records() {
                write_head(out, names, owner, &mut place, fixed)?;
                write_rdata(out, names, layout, record)?;
            }
            Ok(())
        }
        AnswerRdata::Cname(target) => {
            write_head(out, names, owner, &mut place, fixed)?;
            write_with_length(out, |out| {
                names.write(out, answer.synthesized_wire(target)).map(drop)
            })
        }
    }
}

/// Writes owner, type, class and TTL of a record. `place` is the offset of the owner, once the message has it.
#[inline(always)]
fn write_head(
    out: &mut Writer<'_>,
    names: &mut WrittenNames<'_>,
    owner: &[u8],
    place: &mut Option<u16>,
    fixed: [u8; 8],
) -> Result<(), Full> {
    match *place {
        Some(place) => out.put(&with_pointer(place, fixed)),
        None => {
            *place = names.write(out, owner)?;
            out.put(&fixed)
        }
    }
}

/// Writes rdata, which has its length in front. `layout` tells where the names are that may be compressed.
fn write_rdata(
    out: &mut Writer<'_>,
    names: &mut WrittenNames<'_>,
    layout: Option<(usize, usize)>,
    record: &[u8],
) -> Result<(), Full> {
    let Some((skip, name_count)) = layout else {
        return out.put(record);
    };
    write_with_length(out, |out| {
        let rdata = &record[2..];
        let (head, mut rest) = rdata.split_at(skip.min(rdata.len()));
        out.put(head)?;
        for _ in 0..name_count {
            let Some(name) = name_prefix(rest) else { break };
            names.write(out, name)?;
            rest = &rest[name.len()..];
        }
        out.put(rest)
    })
}

/// Writes the output of `write` with its length in front.
fn write_with_length(
    out: &mut Writer<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<(), Full> {
    let start = out.len();
    out.put_u16(0)?;
    write(out)?;
    out.set_u16(start, (out.len() - start - 2) as u16);
    Ok(())
}
