//! A slow, strict reader of messages, independent of the product code.

use crate::zone::tests::entries;
use crate::zone::{Answer, AnswerRdata, Section};

/// A record: section (0 to 2), owner, type, class, TTL, rdata with its names written out.
pub(super) type Record = (usize, Vec<u8>, u16, u16, u32, Vec<u8>);

#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_truncated: bool,
    pub(super) rcode: u16,
    pub(super) question: Vec<u8>,
    pub(super) records: Vec<Record>,
    pub(super) opt: Option<Opt>,
}

#[derive(Debug)]
pub(super) struct Opt {
    pub(super) udp_size: u16,
    pub(super) ttl: [u8; 4],
    pub(super) rdata: Vec<u8>,
}

struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let octets = self.message.get(self.at..self.at + len)?;
        self.at += len;
        Some(octets)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }

    /// A name, written out. Pointers must point backwards, and to no other pointer.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        loop {
            let start = self.at;
            let len = self.take(1)?[0];
            if len >= 0xc0 {
                self.at = start;
                let target = usize::from(self.number()? & 0x3fff);
                assert!(
                    target < start && self.message[target] < 0xc0,
                    "pointer to {target}"
                );
                let mut there = Reader {
                    message: self.message,
                    at: target,
                };
                name.extend(there.name()?);
                return Some(name);
            }
            assert!(len < 64);
            name.push(len);
            name.extend(self.take(usize::from(len))?);
            if len == 0 {
                assert!(name.len() <= 255);
                return Some(name);
            }
        }
    }

    fn rdata(&mut self, rtype: u16, len: usize) -> Option<Vec<u8>> {
        let end = self.at + len;
        let mut rdata = Vec::new();
        let names = match rtype {
            2 | 5 | 12 => 1,
            6 => 2,
            15 => {
                rdata.extend(self.take(2)?);
                1
            }
            _ => 0,
        };
        for _ in 0..names {
            rdata.extend(self.name()?);
        }
        rdata.extend(self.take(end.checked_sub(self.at)?)?);
        Some(rdata)
    }
}

/// Reads a message; `None` if it is cut off, longer than its records, or has an OPT record that is not the last one.
pub(super) fn decode(message: &[u8]) -> Option<Message> {
    assert!(message.len() <= 65_535);
    let mut reader = Reader { message, at: 0 };
    let (id, flags) = (reader.number()?, reader.number()?);
    let counts = [
        reader.number()?,
        reader.number()?,
        reader.number()?,
        reader.number()?,
    ];
    assert!(flags & 0x8000 != 0, "a response");
    assert!(flags & 0x00f0 == 0, "RA, Z, AD and CD are clear");
    let mut question = Vec::new();
    for _ in 0..counts[0] {
        question.extend(reader.name()?);
        question.extend(reader.take(4)?);
    }
    let (mut records, mut opt) = (Vec::new(), None);
    let mut rcode = flags & 0xf;
    for section in 0..3 {
        for _ in 0..counts[section + 1] {
            assert!(opt.is_none(), "OPT comes last");
            let owner = reader.name()?;
            let (rtype, class) = (reader.number()?, reader.number()?);
            let ttl: [u8; 4] = reader.take(4)?.try_into().unwrap();
            let len = usize::from(reader.number()?);
            let rdata = reader.rdata(rtype, len)?;
            if rtype == 41 {
                assert!(owner == [0] && section == 2);
                rcode |= u16::from(ttl[0]) << 4;
                opt = Some(Opt {
                    udp_size: class,
                    ttl,
                    rdata,
                });
            } else {
                records.push((section, owner, rtype, class, u32::from_be_bytes(ttl), rdata));
            }
        }
    }
    let is_truncated = flags & 0x0200 != 0;
    let message = Message {
        id,
        is_truncated,
        rcode,
        question,
        records,
        opt,
    };
    (reader.at == reader.message.len()).then_some(message)
}

/// The records that an answer has, in order.
pub(super) fn expected(answer: &Answer<'_>, question: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    for entry in entries(answer) {
        let section = match entry.section {
            Section::Answer => 0,
            Section::Authority => 1,
            Section::Glue | Section::Additional => 2,
        };
        let owner = answer.owner_wire(&entry.owner, question);
        let mut push = |rdata: &[u8]| {
            records.push((
                section,
                owner.to_vec(),
                entry.rtype.0,
                1,
                entry.ttl,
                rdata.to_vec(),
            ));
        };
        match entry.records {
            AnswerRdata::Set(rrset) => rrset.rdata().for_each(&mut push),
            AnswerRdata::Cname(target) => push(answer.synthesized_wire(target)),
        }
    }
    records
}
