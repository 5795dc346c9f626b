//! Every transport gives the same answers, octet by octet but for the size, which is limited over UDP, and for the
//! padding, which only encrypted transports have.

use std::time::Duration;

use domain::base::iana::Rtype;
use etcd::client::{Config, ImportHow, ImportMode, Store};
use etcd::model::Name;
use etcd::schema::Prefix;
use nsd::answer::Transport;
use tests::dns::{self, PATIENCE};
use tests::transports::Transports;
use tests::{Cluster, Frontend};

use crate::clients::{TYPES, big};
use crate::zones;

/// Asks over all transports, and returns the answer of TCP, which has no limit that matters.
pub(crate) async fn ask_all(
    transports: &Transports,
    frontend: &Frontend,
    query: &[u8],
) -> Result<Vec<u8>, String> {
    let expected = transports.ask(frontend, Transport::Tcp, query).await?;
    for transport in Transport::ALL {
        let got = transports.ask(frontend, transport, query).await?;
        let is_same = match transport {
            Transport::Udp => is_cut_from(&got, &expected, udp_limit(query)),
            _ => got == expected,
        };
        let differs = || format!("{transport:?}: {query:02x?}\n{got:02x?}\n{expected:02x?}");
        is_same.then_some(()).ok_or_else(differs)?;
        if let Some(padding) = with_padding(query) {
            let got = transports.ask(frontend, transport, &padding).await?;
            let is_same = match transport {
                Transport::Udp => is_cut_from(&got, &expected, udp_limit(query)),
                _ if transport.is_encrypted() => is_padded_from(&got, &expected),
                _ => got == expected,
            };
            let differs =
                || format!("{transport:?}, padded: {query:02x?}\n{got:02x?}\n{expected:02x?}");
            is_same.then_some(()).ok_or_else(differs)?;
        }
    }
    Ok(expected)
}

/// What the client accepts over UDP: all queries here say 1232, if they have an OPT record at all.
fn udp_limit(query: &[u8]) -> usize {
    match query[11] {
        0 => 512,
        _ => 1232,
    }
}

/// Whether an answer is the whole one if that is short enough, and else one of the same header, but for TC and the
/// counts, and of the same question.
fn is_cut_from(got: &[u8], whole: &[u8], limit: usize) -> bool {
    if whole.len() <= limit {
        return got == whole;
    }
    let question = |octets: &[u8]| {
        octets[12..]
            .iter()
            .position(|octet| *octet == 0)
            .map(|end| octets[12..=12 + end + 4].to_vec())
    };
    let head = |octets: &[u8]| {
        (
            [octets[0], octets[1], octets[2] & !2, octets[3]],
            question(octets),
        )
    };
    got.len() <= limit && head(got) == head(whole)
}

/// The query with a padding option; none if it has no OPT record at its end that could take it.
fn with_padding(query: &[u8]) -> Option<Vec<u8>> {
    let (front, len) = query.split_last_chunk::<2>()?;
    let is_bare = front.ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0])
        || front.ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0]);
    (is_bare && *len == [0, 0]).then(|| [front, &[0, 4, 0, 12, 0, 0]].concat())
}

/// Whether this is the whole answer, with as much padding as makes it a multiple of 468 octets (RFC 8467 4.1).
fn is_padded_from(got: &[u8], whole: &[u8]) -> bool {
    // The OPT record is the last one, and padding its last option. Without one there is no padding.
    let opt = whole
        .windows(5)
        .rposition(|part| part == [0, 0, 41, 0x04, 0xd0]);
    let Some(len_at) = opt.map(|opt| opt + 9) else {
        return got == whole;
    };
    let Some(option) = got.get(whole.len()..) else {
        return false;
    };
    let mut expected = whole.to_vec();
    let len = u16::from_be_bytes([whole[len_at], whole[len_at + 1]]) + option.len() as u16;
    expected[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
    let is_full = got.len().is_multiple_of(468) || got.len() == 65_535;
    got.starts_with(&expected) && option.starts_with(&[0, 12]) && is_full
}

#[test]
fn a_difference_is_noticed() {
    let whole = [
        &[0; 12][..],
        b"\x01x\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0",
    ]
    .concat();
    let mut padded = whole.clone();
    let (at, len) = (whole.len() - 2, 468 - whole.len() as u16);
    padded[at..].copy_from_slice(&len.to_be_bytes());
    padded.extend([0, 12]);
    padded.extend((len - 4).to_be_bytes());
    padded.resize(468, 0);
    assert!(is_padded_from(&padded, &whole));
    assert!(!is_padded_from(&padded[..467], &whole) && !is_padded_from(&whole, &whole));
    padded[3] = 2;
    assert!(!is_padded_from(&padded, &whole));
    assert!(is_cut_from(&whole, &whole, 512) && !is_cut_from(&padded, &whole, 512));
}

/// Kinds of answers: names and types of the zones of `clients`, and of none.
const KINDS: &[(&str, u16)] = &[
    ("no.types.test", 1),
    ("a.types.test", 15),
    ("names.types.test", 15),
    ("www.ns-cut.types.test", 1),
    ("types.test", 255),
    ("types.test", 6),
    ("elsewhere.example", 1),
    ("x.names.types.test", 16),
    ("to.names.types.test", 1),
    ("a.cname.types.test", 1),
    ("a.dname.types.test", 1),
    ("big.test", 16),
    ("many.big.test", 1),
    ("x.wide.big.test", 1),
    ("types.test", 252),
    ("types.test", 128),
];

/// What is unusual about a query, and how to make it so.
type Edit = (&'static str, fn(&mut Vec<u8>));

/// Edits of a query that change what kind of response it gets.
const EDITS: &[Edit] = &[
    ("as it is", |_| {}),
    ("DO", |query| {
        let at = query.len() - 4;
        query[at] = 0x80;
    }),
    ("no EDNS", |query| {
        query[11] = 0;
        query.truncate(query.len() - 11);
    }),
    ("EDNS version 1", |query| {
        let at = query.len() - 5;
        query[at] = 1;
    }),
    ("NSID and ZONEVERSION", |query| {
        let at = query.len() - 1;
        query[at] = 8;
        query.extend([0, 3, 0, 0, 0, 19, 0, 0]);
    }),
    ("opcode STATUS", |query| query[2] = 2 << 3),
    ("RD, AD and CD", |query| {
        query[2] |= 1;
        query[3] |= 0x30;
    }),
    ("an octet too many", |query| query.push(0)),
    ("an octet too few", |query| {
        query.pop();
    }),
    ("two questions", |query| query[5] = 2),
    ("no question", |query| query[5] = 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_gives_the_same_answer() {
    let cluster = Cluster::start(1, &[]).await;
    let config = Config::new(cluster.endpoints().to_vec());
    let store = Store::new(config, Prefix::default(), Duration::from_secs(20));
    let (transports, identity) = (
        Transports::choose(),
        ["--nsid", "fe1", "--server-version", "nsd"],
    );
    let frontend = transports
        .start("all", cluster.endpoints(), &identity)
        .await;
    let mut questions: Vec<(String, u16)> = Vec::new();
    for (apex, text) in [("big.test", &big()[..]), ("types.test", TYPES)] {
        let apex: Name = apex.parse().unwrap();
        let checked = zones::check_signed(&apex, text).expect("a zone");
        let how = ImportHow::new(ImportMode::Replace);
        let imported = store.import(&apex, &checked, &how, &|_| {}).await;
        let revision = imported.expect("an import").revision;
        frontend.applied(revision, PATIENCE).await;
        let sets = checked.rrsets.keys();
        questions.extend(sets.map(|(owner, rtype)| (owner.to_string(), rtype.0)));
    }
    // The glue of a few hundred servers is all the same.
    questions.retain(|(name, _)| !name.starts_with("ns") || !name.contains("wide"));
    let mut faults = Vec::new();
    let mut count = 0;
    let mut compare = async |query: Vec<u8>, what: &str| {
        count += 1;
        let compared = ask_all(&transports, &frontend, &query).await;
        faults.extend(compared.err().map(|error| format!("{what}: {error:.2000}")));
    };
    for (name, rtype) in &questions {
        compare(dns::query(0, name, Rtype::from_int(*rtype)), name).await;
    }
    for (name, rtype) in KINDS {
        for (what, edit) in EDITS {
            let mut query = dns::query(0, name, Rtype::from_int(*rtype));
            edit(&mut query);
            compare(query, &format!("{name} {rtype}, {what}")).await;
        }
    }
    for name in ["version.bind", "id.server", "other.server"] {
        let mut query = dns::query(0, name, Rtype::TXT);
        let class = query.len() - 12;
        query[class] = 3;
        compare(query, name).await;
    }
    println!("{count} questions have the same answer over every transport");
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(count > 200, "{count}");
}
