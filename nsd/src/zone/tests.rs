//! Scenarios in text: zones, questions and the expected answers.
//!
//! ```text
//! zone example. 3600 300           ; apex, TTL and minimum of the SOA record
//! host.example. A 192.0.2.1        ; TTL 3600; others are written after the owner
//!
//! ? host.example. A
//! NOERROR aa                       ; rcode, flag, then the records by section
//! answer host.example. A 192.0.2.1
//! ```

mod changes;
mod contents;
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::*;
use crate::model::{Name, Rtype};

const TTL: u32 = 3600;

/// Types for private use (RFC 6895 3.1), with rdata in hexadecimal.
const UNKNOWN: Rtype = Rtype(65_280);
const UNKNOWN_TOO: Rtype = Rtype(65_281);

type Octets = Vec<u8>;

#[test]
fn rfc1034_6_2_standard_queries() {
    check(include_str!("tests/rfc1034_6.2.txt"));
}

#[test]
fn rfc2181_clarifications() {
    check(include_str!("tests/rfc2181.txt"));
}

#[test]
fn rfc2308_negative_answers() {
    check(include_str!("tests/rfc2308.txt"));
}

#[test]
fn rfc3597_unknown_types() {
    check(include_str!("tests/rfc3597.txt"));
}

#[test]
fn rfc4343_spelling() {
    check(include_str!("tests/rfc4343.txt"));
}

#[test]
fn rfc4592_wildcards() {
    check(include_str!("tests/rfc4592.txt"));
}

#[test]
fn rfc6604_chains() {
    check(include_str!("tests/rfc6604.txt"));
}

#[test]
fn rfc6672_dname() {
    check(include_str!("tests/rfc6672.txt"));
}

#[test]
fn rfc8020_empty_non_terminals() {
    check(include_str!("tests/rfc8020.txt"));
}

#[test]
fn rfc8482_any() {
    check(include_str!("tests/rfc8482.txt"));
}

#[test]
fn rfc9460_service_records() {
    check(include_str!("tests/rfc9460.txt"));
}

#[test]
fn rfc9471_glue() {
    check(include_str!("tests/rfc9471.txt"));
}

fn check(scenario: &str) {
    let (zones, questions) = scenario.split_at(scenario.find("\n?").expect("a question"));
    let view = view(zones);
    for block in questions.split("\n? ").skip(1) {
        let mut lines = lines(block);
        let question = lines.next().expect("a question");
        let expected: String = lines.map(|line| line + "\n").collect();
        let (name, rtype) = question.split_once(' ').expect(&question);
        assert_eq!(answer(&view, name, rtype), expected, "? {question}");
    }
}

/// The lines that are not empty, without comments, with single spaces.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let clean = |line: &str| {
        let line = line.split(';').next().unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    text.lines().map(clean).filter(|line| !line.is_empty())
}

pub(crate) fn view(text: &str) -> View {
    let mut view = View::default();
    view.set_ready(true);
    let text: String = lines(text).map(|line| line + "\n").collect();
    for block in text.split("zone ").skip(1) {
        view.put_zone(zone(block).into());
    }
    view
}

fn zone(block: &str) -> Zone {
    let mut lines = block
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let head = lines.next().expect("apex, TTL and minimum");
    let apex = name(head[0]);
    let mut sets: BTreeMap<(Name, Rtype), (u32, Vec<Octets>)> = BTreeMap::new();
    for line in lines {
        let ttl = line[1].parse().ok();
        let (head, fields) = line.split_at(1 + usize::from(ttl.is_some()));
        let rtype = fields[0].parse().expect(fields[0]);
        let set = sets.entry((name(head[0]), rtype)).or_default();
        set.0 = ttl.unwrap_or(TTL);
        set.1.push(rdata(rtype, &fields[1..]));
    }
    let mut contents = Contents::new(apex.clone());
    for ((owner, rtype), (ttl, rdata)) in sets {
        let rrset = Rrset::new(ttl, rdata.iter().map(|rdata| &rdata[..])).expect("an RRset");
        assert!(contents.put(&owner, rtype, &rrset), "{owner} {rtype}");
    }
    let (ttl, minimum) = (
        head[1].parse().expect("a TTL"),
        head[2].parse().expect("a minimum"),
    );
    Zone::new(&soa(&apex, ttl, minimum), contents)
}

/// A zone with these contents.
pub(crate) fn zone_of(contents: Contents) -> Zone {
    Zone::new(&soa(contents.apex(), TTL, TTL), contents)
}

fn soa(apex: &Name, ttl: u32, minimum: u32) -> SoaFields {
    let (mname, rname) = (apex.clone(), apex.clone());
    SoaFields {
        mname,
        rname,
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum,
        ttl,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn rdata(rtype: Rtype, fields: &[&str]) -> Vec<u8> {
    let mut rdata = Vec::new();
    let (last, numbers) = fields.split_last().expect("rdata");
    match rtype {
        Rtype::A => rdata.extend(
            last.split('.')
                .map(|octet| octet.parse::<u8>().expect(last)),
        ),
        Rtype::AAAA => {
            let host = last
                .strip_prefix("2001:db8::")
                .expect("an address for documentation");
            rdata.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            rdata.push(host.parse().expect(host));
        }
        Rtype::TXT => {
            rdata.push(last.len() as u8);
            rdata.extend_from_slice(last.as_bytes());
        }
        Rtype::DS | UNKNOWN | UNKNOWN_TOO => {
            let octets = last
                .as_bytes()
                .chunks(2)
                .map(|hex| std::str::from_utf8(hex));
            rdata.extend(octets.map(|hex| u8::from_str_radix(hex.unwrap(), 16).unwrap()));
        }
        _ => {
            for number in numbers {
                rdata.extend(number.parse::<u16>().expect(number).to_be_bytes());
            }
            rdata.extend(spelled(last));
        }
    }
    rdata
}

/// A name in wire form with its spelling, which [`Name`] would not keep.
pub(crate) fn spelled(text: &str) -> Vec<u8> {
    let mut wire: Vec<u8> = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

fn wire_text(wire: &[u8]) -> String {
    let (mut text, mut rest) = (String::new(), wire);
    while let Some((&len, after)) = rest.split_first()
        && len > 0
    {
        let (label, after) = after.split_at(usize::from(len));
        write!(text, "{}.", String::from_utf8_lossy(label)).unwrap();
        rest = after;
    }
    assert_eq!(rest, [0]);
    if text.is_empty() {
        ".".to_owned()
    } else {
        text
    }
}

fn rdata_text(rtype: Rtype, rdata: &[u8]) -> String {
    let dotted = |octets: &[u8]| {
        octets
            .iter()
            .map(u8::to_string)
            .collect::<Vec<_>>()
            .join(".")
    };
    let skip = match rtype {
        Rtype::A => return format!(" {}", dotted(rdata)),
        Rtype::AAAA => return format!(" 2001:db8::{}", rdata[15]),
        Rtype::TXT => return format!(" {}", String::from_utf8_lossy(&rdata[1..])),
        Rtype::DS | UNKNOWN | UNKNOWN_TOO => {
            return rdata
                .iter()
                .fold(" ".into(), |text, octet| format!("{text}{octet:02x}"));
        }
        Rtype::SOA => return String::new(),
        Rtype::SRV => 6,
        Rtype::MX | Rtype::HTTPS | Rtype::SVCB => 2,
        Rtype::KX | Rtype::AFSDB | Rtype::RT => 2,
        _ => 0,
    };
    let mut text = String::from(" ");
    for number in rdata[..skip].chunks(2) {
        write!(text, "{} ", u16::from_be_bytes([number[0], number[1]])).unwrap();
    }
    text + &wire_text(&rdata[skip..])
}

/// All RRsets of an answer.
pub(crate) fn entries<'v>(answer: &Answer<'v>) -> Vec<AnswerRrset<'v>> {
    let mut entries = Vec::new();
    answer.each_rrset(|entry| {
        entries.push(*entry);
        true
    });
    entries
}

/// The answer to a question, in the format of a scenario.
fn answer(view: &View, qname: &str, rtype: &str) -> String {
    let qname = spelled(qname);
    let question = Question {
        name: &qname,
        rtype: rtype.parse().expect(rtype),
    };
    let answer = resolve(view, &question);
    let rcode = match answer.rcode {
        Rcode::NOERROR => "NOERROR",
        Rcode::FORMERR => "FORMERR",
        Rcode::SERVFAIL => "SERVFAIL",
        Rcode::NXDOMAIN => "NXDOMAIN",
        Rcode::NOTIMP => "NOTIMP",
        Rcode::REFUSED => "REFUSED",
        Rcode::YXDOMAIN => "YXDOMAIN",
        _ => "?",
    };
    let mut text = format!(
        "{rcode}{}\n",
        if answer.is_authoritative { " aa" } else { "" }
    );
    for entry in entries(&answer) {
        let owner = wire_text(answer.owner_wire(&entry.owner, &qname));
        let section = format!("{:?}", entry.section).to_lowercase();
        let ttl = match (entry.ttl, entry.rtype) {
            (TTL, rtype) if rtype != Rtype::SOA => String::new(),
            (ttl, _) => format!(" {ttl}"),
        };
        let head = format!("{section} {owner}{ttl} {}", entry.rtype);
        match entry.records {
            AnswerRdata::Set(rrset) => {
                for rdata in rrset.rdata() {
                    writeln!(text, "{head}{}", rdata_text(entry.rtype, rdata)).unwrap();
                }
            }
            AnswerRdata::Cname(target) => {
                writeln!(
                    text,
                    "{head} {}",
                    wire_text(answer.synthesized_wire(target))
                )
                .unwrap();
            }
        }
    }
    text
}
