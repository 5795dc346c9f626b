//! Responses as values that can be compared, read by NLnet Labs' `domain` and not by our own code.

use std::fmt;

use domain::base::iana::Rtype;
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ParsedName, Record as DomainRecord};
use domain::rdata::AllRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use etcd::model::{self, Name};

/// What matters of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// The code without its EDNS part.
    pub(crate) rcode: u8,
    pub(crate) aa: bool,
    pub(crate) tc: bool,
    pub(crate) answer: Section,
    pub(crate) authority: Section,
    /// Without OPT.
    pub(crate) additional: Section,
}

/// Records in an order of their own.
pub(crate) type Section = Vec<Record>;

/// A record whose names are in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    /// The owner in wire form.
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) ttl: u32,
    /// The rdata in canonical wire form (RFC 4034 6.2).
    pub(crate) rdata: Vec<u8>,
}

impl Response {
    /// Reads a message to its last octet. An error where any of it is malformed.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, String> {
        let fault = |error: &dyn fmt::Display| format!("malformed: {error}: {octets:02x?}");
        let message = Message::from_octets(octets).map_err(|error| fault(&error))?;
        let header = message.header();
        let mut response = Response {
            rcode: header.rcode().to_int(),
            aa: header.aa(),
            tc: header.tc(),
            ..Response::default()
        };
        let mut end = 0;
        let mut section = Some(message.answer().map_err(|error| fault(&error))?);
        for records in [
            &mut response.answer,
            &mut response.authority,
            &mut response.additional,
        ] {
            let Some(mut current) = section else { break };
            for record in &mut current {
                let record = record.map_err(|error| fault(&error))?;
                if record.rtype() != Rtype::OPT {
                    let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>();
                    records.push(Record::of(&record.map_err(|error| fault(&error))?));
                }
            }
            records.sort();
            end = current.pos();
            section = current.next_section().map_err(|error| fault(&error))?;
        }
        if end != octets.len() {
            return Err(fault(&format!("{} octets too many", octets.len() - end)));
        }
        Ok(response)
    }
}

impl Record {
    /// Reads a line as in a master file with absolute names.
    pub(crate) fn parse(line: &str) -> Self {
        let mut file = Zonefile::new();
        file.extend_from_slice(b"$ORIGIN .\n");
        file.extend_from_slice(line.as_bytes());
        file.extend_from_slice(b"\n");
        match file.next_entry() {
            Ok(Some(Entry::Record(record))) => Record::of(&record),
            other => panic!("no record: {line}: {other:?}"),
        }
    }

    fn of<N: ToName, D: ComposeRecordData>(record: &DomainRecord<N, D>) -> Self {
        let (mut owner, mut rdata) = (Vec::new(), Vec::new());
        record.owner().compose_canonical(&mut owner).unwrap();
        record.data().compose_canonical_rdata(&mut rdata).unwrap();
        // KX, which the library does not know, SVCB and HTTPS, whose canonical form keeps the spelling:
        // not all servers do, and nothing says that they must.
        if let (36 | 64 | 65, Some(target)) = (record.rtype().to_int(), rdata.get_mut(2..)) {
            target.make_ascii_lowercase();
        }
        Record {
            owner,
            rtype: record.rtype().to_int(),
            ttl: record.ttl().as_secs(),
            rdata,
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rtype = model::Rtype(self.rtype);
        let owner = Name::from_wire(&self.owner).unwrap();
        write!(f, "{owner} {} {rtype} ", self.ttl)?;
        match model::Rdata::from_wire(rtype, &self.rdata) {
            Ok(rdata) => f.write_str(&rdata.text(rtype)),
            Err(_) => write!(f, "{:02x?}", self.rdata),
        }
    }
}

/// As dig shows it, but for what is not compared.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |is_set, text| if is_set { text } else { "" };
        let flags = [flag(self.aa, " aa"), flag(self.tc, " tc")].concat();
        writeln!(f, "    rcode {}{flags}", self.rcode)?;
        for (name, records) in [
            ("answer", &self.answer),
            ("authority", &self.authority),
            ("additional", &self.additional),
        ] {
            for record in records {
                writeln!(f, "    {name} {record:?}")?;
            }
        }
        Ok(())
    }
}
