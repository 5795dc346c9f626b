//! Master files (RFC 1035 5): reading, the checks of a zone as a whole, and writing.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::name::{self, Name};
use super::rdata::Rdata;
use super::rrset::{Rrset, TTL_MAX};
use super::rtype::Rtype;
use super::text::{Entries, Entry, Position, Token, period};
use super::zone::{Soa, Zone};

/// One record of a master file and where it stands.
#[derive(Clone, Debug)]
pub struct Record {
    /// The owner, completed with the origin.
    pub owner: Name,
    /// The TTL, from the record, `$TTL` or the record before (RFC 2308 4).
    pub ttl: Option<u32>,
    /// The type.
    pub rtype: Rtype,
    /// The rdata.
    pub rdata: Rdata,
    /// Where the record begins.
    pub at: Position,
}

/// What is wrong with a master file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line and column; none where the file as a whole is at fault.
    pub at: Option<Position>,
    /// The reason, for a person.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{at}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// The RRsets of a zone by owner and type; the SOA is part of the [`Zone`].
pub type Rrsets = BTreeMap<(Name, Rtype), Rrset>;

/// Reads the records of a master file. All faults are found, not only the first.
pub fn read(text: &[u8], origin: &Name) -> Result<Vec<Record>, Vec<Fault>> {
    let mut reader = Reader {
        origin: origin.clone(),
        owner: None,
        ttl_default: None,
        ttl_last: None,
    };
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for entry in Entries::new(text) {
        let result = match entry {
            Ok(entry) => reader.entry(&entry),
            Err((at, error)) => Err(Fault {
                at: Some(at),
                reason: error.to_string(),
            }),
        };
        match result {
            Ok(record) => records.extend(record),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(records)
    } else {
        Err(faults)
    }
}

struct Reader {
    origin: Name,
    owner: Option<Name>,
    ttl_default: Option<u32>,
    ttl_last: Option<u32>,
}

fn fault<T>(at: Position, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        at: Some(at),
        reason: reason.into(),
    })
}

fn text(token: &Token<'_>) -> String {
    String::from_utf8_lossy(token.raw).into_owned()
}

impl Reader {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<Option<Record>, Fault> {
        let first = &entry.tokens[0];
        if !entry.indented && !first.quoted && first.raw.starts_with(b"$") {
            return self.directive(first, &entry.tokens[1..]).map(|()| None);
        }
        self.record(entry).map(Some)
    }

    fn directive(&mut self, directive: &Token<'_>, arguments: &[Token<'_>]) -> Result<(), Fault> {
        let name = text(directive).to_ascii_uppercase();
        let [argument] = arguments else {
            return fault(directive.at, format!("{name} takes one argument here"));
        };
        match name.as_str() {
            "$ORIGIN" => self.origin = self.name(argument)?,
            "$TTL" => match period(&text(argument)).filter(|ttl| *ttl <= TTL_MAX) {
                Some(ttl) => self.ttl_default = Some(ttl),
                None => return fault(argument.at, format!("'{}' is not a TTL", text(argument))),
            },
            _ => return fault(directive.at, format!("{name} is not supported")),
        }
        Ok(())
    }

    fn name(&self, token: &Token<'_>) -> Result<Name, Fault> {
        let mut wire = Vec::with_capacity(64);
        let parsed = name::parse_onto(token.raw, Some(&self.origin), &mut wire);
        match parsed.and_then(|()| Name::from_wire(&wire)) {
            Ok(name) => Ok(name),
            Err(error) => fault(
                token.at,
                format!("'{}' is not a domain name: {error}", text(token)),
            ),
        }
    }

    fn record(&mut self, entry: &Entry<'_>) -> Result<Record, Fault> {
        let mut tokens = &entry.tokens[..];
        let at = tokens[0].at;
        if !entry.indented {
            // The next line's blank owner is this one even when something further on is wrong.
            self.owner = Some(self.name(&tokens[0])?);
            tokens = &tokens[1..];
        }
        let Some(owner) = self.owner.clone() else {
            return fault(at, "the first record has no owner");
        };
        let mut ttl = None;
        let mut class_seen = false;
        let rtype = loop {
            let Some((token, rest)) = tokens.split_first() else {
                return fault(at, "the record type is missing");
            };
            tokens = rest;
            let word = text(token).to_ascii_uppercase();
            match word.as_str() {
                "IN" if !class_seen => class_seen = true,
                "CH" | "HS" | "CS" => {
                    return fault(token.at, format!("class {word} is not served: only IN is"));
                }
                _ if ttl.is_none() && word.starts_with(|first: char| first.is_ascii_digit()) => {
                    match period(&word).filter(|ttl| *ttl <= TTL_MAX) {
                        Some(seconds) => ttl = Some(seconds),
                        None => {
                            return fault(
                                token.at,
                                format!("'{word}' is not a TTL up to {TTL_MAX}"),
                            );
                        }
                    }
                }
                _ => match word.parse::<Rtype>() {
                    Ok(rtype) if rtype.is_data() => break rtype,
                    Ok(rtype) => {
                        return fault(token.at, format!("{rtype} is no type of records in a zone"));
                    }
                    Err(error) => return fault(token.at, format!("'{word}' is {error}")),
                },
            }
        };
        self.ttl_last = ttl.or(self.ttl_default).or(self.ttl_last);
        match Rdata::from_tokens(rtype, tokens, Some(&self.origin), at) {
            Ok(rdata) => Ok(Record {
                owner,
                ttl: self.ttl_last,
                rtype,
                rdata,
                at,
            }),
            Err(error) => fault(error.at, error.to_string()),
        }
    }
}

/// A zone made of the records of a master file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The settings, from the SOA record.
    pub zone: Zone,
    /// The SOA's serial.
    pub serial: u32,
    /// Everything else.
    pub rrsets: Rrsets,
    /// What is worth a look but not wrong.
    pub warnings: Vec<Fault>,
}

/// Puts records together to a zone and checks it as a whole.
pub fn check(origin: &Name, records: Vec<Record>) -> Result<Checked, Vec<Fault>> {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let mut soa: Option<(Record, Soa, u32)> = None;
    let mut sets: BTreeMap<(Name, Rtype), (Position, u32, Vec<Rdata>)> = BTreeMap::new();
    let fault = |at: Position, reason: String| Fault {
        at: Some(at),
        reason,
    };
    for record in records {
        let (owner, rtype, at) = (record.owner.clone(), record.rtype, record.at);
        if !owner.is_within(origin) {
            faults.push(fault(
                at,
                format!("{owner} is outside of the zone {origin}"),
            ));
            continue;
        }
        if rtype == Rtype::SOA {
            let Some((fields, serial)) = soa_fields(&record) else {
                continue;
            };
            if owner != *origin {
                faults.push(fault(
                    at,
                    format!("a SOA record belongs to the apex {origin}, not to {owner}"),
                ));
            } else if soa
                .as_ref()
                .is_some_and(|(first, ..)| first.rdata != record.rdata)
            {
                faults.push(fault(at, "a zone has one SOA record".into()));
            } else {
                soa = Some((record, fields, serial));
            }
            continue;
        }
        let ttl = record.ttl.unwrap_or(0);
        let set = sets.entry((owner, rtype)).or_insert((at, ttl, Vec::new()));
        if record.ttl.is_some() && set.1 != ttl {
            warnings.push(fault(at, format!("the TTL {ttl} differs from the {} of the records before in its set; the lower one is used (RFC 2181, 5.2)", set.1)));
            set.1 = set.1.min(ttl);
        }
        set.2.push(record.rdata);
    }
    let mut rrsets = Rrsets::new();
    for ((owner, rtype), (at, ttl, rdata)) in sets {
        match Rrset::new(rtype, ttl, rdata) {
            Ok(rrset) => {
                rrsets.insert((owner, rtype), rrset);
            }
            Err(error) => faults.push(fault(at, format!("{owner} {rtype}: {error}"))),
        }
    }
    faults.extend(clashes(&rrsets));
    if !rrsets.contains_key(&(origin.clone(), Rtype::NS)) {
        faults.push(Fault {
            at: None,
            reason: format!("the zone has no NS record at its apex {origin}"),
        });
    }
    let Some((_, fields, serial)) = soa else {
        faults.push(Fault {
            at: None,
            reason: format!("the zone has no SOA record at its apex {origin}"),
        });
        return Err(faults);
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut zone = Zone::new(fields.mname.clone(), fields.rname.clone());
    zone.soa = fields;
    Ok(Checked {
        zone,
        serial,
        rrsets,
        warnings,
    })
}

/// Names that have a CNAME and something else (RFC 2181 10.1).
pub fn clashes(rrsets: &Rrsets) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (owner, rtype) in rrsets.keys().filter(|(_, rtype)| *rtype == Rtype::CNAME) {
        let others = rrsets.range((owner.clone(), Rtype(0))..=(owner.clone(), Rtype(u16::MAX)));
        if let Some(((_, other), _)) = others
            .into_iter()
            .find(|((_, other), _)| other != rtype && !may_stand_beside_cname(*other))
        {
            faults.push(Fault { at: None, reason: format!("{owner} has a CNAME record and {other} records: a CNAME stands alone (RFC 2181, 10.1)") });
        }
    }
    faults
}

/// Whether records of this type may share their owner with a CNAME: those of DNSSEC (RFC 4034 2.5).
pub fn may_stand_beside_cname(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::KEY)
}

fn soa_fields(record: &Record) -> Option<(Soa, u32)> {
    let names = record.rdata.names(Rtype::SOA);
    let [mname, rname] = <[Name; 2]>::try_from(names).ok()?;
    let words: Vec<u32> = record
        .rdata
        .wire()
        .get(mname.wire().len() + rname.wire().len()..)?
        .chunks(4)
        .map(|word| {
            word.iter()
                .fold(0, |sum, octet| sum << 8 | u32::from(*octet))
        })
        .collect();
    let [serial, refresh, retry, expire, minimum] = words[..] else {
        return None;
    };
    let minimum = minimum.min(TTL_MAX);
    let ttl = record.ttl.unwrap_or(minimum);
    Some((
        Soa {
            mname,
            rname,
            refresh,
            retry,
            expire,
            minimum,
            ttl,
        },
        serial,
    ))
}

/// Writes a zone as a master file: the SOA, then all RRsets in canonical order, every name absolute.
pub fn write(
    out: &mut impl Write,
    origin: &Name,
    zone: &Zone,
    serial: u32,
    rrsets: &Rrsets,
) -> fmt::Result {
    let soa = &zone.soa;
    writeln!(
        out,
        "{origin} {} IN SOA {} {} {serial} {} {} {} {}",
        soa.ttl, soa.mname, soa.rname, soa.refresh, soa.retry, soa.expire, soa.minimum
    )?;
    for ((owner, rtype), rrset) in rrsets {
        for rdata in rrset.rdata() {
            writeln!(
                out,
                "{owner} {} IN {rtype} {}",
                rrset.ttl(),
                rdata.text(*rtype)
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = r#"
$TTL 1h
@       IN SOA ns1 hostmaster ( 42 1h 15m 2w 60 ) ; the start
        IN NS  ns1
        60 IN NS ns2.example.net.
ns1     A    192.0.2.1
www 5m IN A  192.0.2.2
    IN 5m AAAA 2001:db8::1
        TXT  "a;b" c
$ORIGIN sub
x       CNAME @
"#;

    fn origin() -> Name {
        "example.org".parse().expect("a name")
    }

    #[test]
    fn reads_checks_and_writes() {
        let records = read(ZONE.as_bytes(), &origin()).expect("no faults");
        let checked = check(&origin(), records).expect("a sound zone");
        assert_eq!(
            (
                checked.serial,
                checked.zone.soa.expire,
                checked.warnings.len()
            ),
            (42, 1_209_600, 1)
        );
        let mut text = String::new();
        write(
            &mut text,
            &origin(),
            &checked.zone,
            checked.serial,
            &checked.rrsets,
        )
        .expect("text");
        assert_eq!(
            text,
            "example.org. 3600 IN SOA ns1.example.org. hostmaster.example.org. 42 3600 900 1209600 60\n\
             example.org. 60 IN NS ns1.example.org.\n\
             example.org. 60 IN NS ns2.example.net.\n\
             ns1.example.org. 3600 IN A 192.0.2.1\n\
             x.sub.example.org. 3600 IN CNAME sub.example.org.\n\
             www.example.org. 300 IN A 192.0.2.2\n\
             www.example.org. 3600 IN TXT \"a;b\" \"c\"\n\
             www.example.org. 300 IN AAAA 2001:db8::1\n"
        );
        let again = check(
            &origin(),
            read(text.as_bytes(), &origin()).expect("no faults"),
        )
        .expect("sound");
        assert_eq!(again.rrsets, checked.rrsets);
        assert_eq!(again.zone, checked.zone);
    }

    #[test]
    fn finds_every_fault() {
        let text =
            "@ SOA a b 1 2 3 4 5\nx A 1.2.3\ny MX ten mail\nz 99999999999 A 1.2.3.4\nw NOPE 1\n";
        let faults = read(text.as_bytes(), &origin()).expect_err("faults");
        let shown: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            shown,
            [
                "2:5: '1.2.3' is not an IPv4 address",
                "3:6: expected a number, a number up to 65535, and got 'ten'",
                "4:3: '99999999999' is not a TTL up to 2147483647",
                "5:3: 'NOPE' is not a record type: expected a mnemonic such as AAAA, or TYPE and a number up to 65535",
            ]
        );
    }

    #[test]
    fn refuses_what_is_no_zone() {
        for (text, reason) in [
            ("@ NS a.", "no SOA record"),
            ("@ 1 SOA a b 1 2 3 4 5", "no NS record"),
            (
                "@ 1 SOA a b 1 2 3 4 5\n@ NS a.\nother.com. A 1.2.3.4",
                "outside of the zone",
            ),
            (
                "@ 1 SOA a b 1 2 3 4 5\n@ NS a.\nx CNAME y\nx A 1.2.3.4",
                "stands alone",
            ),
            (
                "@ 1 SOA a b 1 2 3 4 5\n@ NS a.\nx CNAME y\nx CNAME z",
                "one CNAME record",
            ),
            (
                "@ 1 SOA a b 1 2 3 4 5\n@ NS a.\n@ SOA a b 2 2 3 4 5",
                "one SOA record",
            ),
        ] {
            let faults = check(
                &origin(),
                read(text.as_bytes(), &origin()).expect("readable"),
            )
            .expect_err(text);
            assert!(
                faults.iter().any(|fault| fault.reason.contains(reason)),
                "{faults:?}"
            );
        }
    }
}
