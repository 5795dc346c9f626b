//! Random questions about a world.

use std::collections::BTreeSet;
use std::fmt;

use etcd::model::{Name, Rtype};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::world::{File, label};

/// A question and how it is asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Query {
    /// The question section; the name is in a spelling of its own.
    question: Vec<u8>,
    pub(crate) rtype: Rtype,
    /// The size in the OPT record, if there is one.
    udp_size: Option<u16>,
    pub(crate) is_udp: bool,
}

/// What is asked for besides what is there.
const RTYPES: &[Rtype] = &[
    Rtype::A,
    Rtype::A,
    Rtype::AAAA,
    Rtype::NS,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::SOA,
    Rtype::MX,
    Rtype::TXT,
    Rtype::SRV,
    Rtype::HTTPS,
    Rtype::DS,
    Rtype::ANY,
    Rtype::PTR,
    Rtype(65_280),
];

/// Questions, all different, about names of the zones and names near them.
pub(crate) fn queries(files: &[File], count: usize, runner: &mut TestRunner) -> BTreeSet<Query> {
    let records: Vec<(Name, Rtype)> = records(files).into_iter().collect();
    let strategy = query(records);
    let mut queries = BTreeSet::new();
    while queries.len() < count {
        let tree = strategy
            .new_tree(runner)
            .expect("nothing is refused for ever");
        queries.insert(tree.current());
    }
    queries
}

/// All owners and types, and all names in rdata.
fn records(files: &[File]) -> BTreeSet<(Name, Rtype)> {
    let mut records = BTreeSet::new();
    for file in files {
        let read = etcd::model::zonefile::read(file.text.as_bytes(), &file.apex);
        for record in read.expect("a master file that was made well").records {
            let names = record.rdata.names(record.rtype);
            records.extend(names.into_iter().map(|name| (name, Rtype::A)));
            records.insert((record.owner, record.rtype));
        }
    }
    records
}

fn query(records: Vec<(Name, Rtype)>) -> impl Strategy<Value = Query> {
    let rtype = prop_oneof![Just(None), select(RTYPES).prop_map(Some)];
    let udp_size = prop_oneof![
        2 => Just(None),
        4 => Just(Some(1232)),
        1 => Just(Some(512)),
        1 => Just(Some(4096)),
    ];
    let is_udp = prop::bool::weighted(0.95);
    // How many labels go from the front, and which come instead.
    let change = (0..3usize, prop::collection::vec(label(), 0..3));
    let change = prop_oneof![3 => Just((0, vec![])), 4 => change];
    (
        select(records),
        rtype,
        change,
        udp_size,
        is_udp,
        any::<u64>(),
    )
        .prop_filter_map(
            "names that are too long",
            |((name, present), rtype, (cut, labels), udp_size, is_udp, spelling)| {
                let rtype = rtype.unwrap_or(present);
                let name = respell(change_name(&name, cut, &labels)?.wire(), spelling);
                Some(Query {
                    question: [&name[..], &rtype.0.to_be_bytes(), &[0, 1]].concat(),
                    rtype,
                    udp_size,
                    is_udp,
                })
            },
        )
}

fn change_name(name: &Name, cut: usize, labels: &[&str]) -> Option<Name> {
    let base = name.ancestors().nth(cut)?;
    let labels: String = labels.iter().map(|label| format!("{label}.")).collect();
    let text = if base.is_root() {
        labels
    } else {
        labels + &base.to_string()
    };
    if text.is_empty() {
        Some(base)
    } else {
        text.parse().ok()
    }
}

/// Every second time as it is, else with some letters in upper case.
fn respell(wire: &[u8], spelling: u64) -> Vec<u8> {
    let mut wire = wire.to_vec();
    if spelling & 1 == 0 {
        // Lengths are at most 63, and so no letters.
        for (at, octet) in wire.iter_mut().enumerate() {
            if spelling >> (at % 64) & 1 == 1 {
                octet.make_ascii_uppercase();
            }
        }
    }
    wire
}

impl Query {
    /// The message.
    pub(crate) fn octets(&self, id: u16) -> Vec<u8> {
        let mut octets = id.to_be_bytes().to_vec();
        octets.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(self.udp_size.is_some())]);
        octets.extend(&self.question);
        if let Some(size) = self.udp_size {
            octets.extend([0, 0, 41]);
            octets.extend(size.to_be_bytes());
            octets.extend([0; 6]);
        }
        octets
    }

    /// The name, in lower case.
    pub(crate) fn name(&self) -> Name {
        let wire = &self.question[..self.question.len() - 4];
        Name::from_wire(wire).expect("made of a name")
    }

    /// The question section.
    pub(crate) fn question(&self) -> &[u8] {
        &self.question
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.is_udp { "UDP" } else { "TCP" };
        write!(f, "{} {} over {transport}", self.name(), self.rtype)?;
        match self.udp_size {
            Some(size) => write!(f, ", EDNS size {size}"),
            None => f.write_str(", no EDNS"),
        }
    }
}
