//! What a query costs: parse, resolve and encode by kind of answer, and what a change of the view costs.
//!
//! ```sh
//! cargo bench -p nsd --no-default-features     # times
//! cargo bench -p nsd request_of_hickory        # needs the default features
//! bash tests/bench/instructions.sh             # instructions, which do not move with the load of the machine
//! ```
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use nsd::message::{self, Query, ServerEdns};
use nsd::model::{Name, Rdata, Rtype};
use nsd::policy::{Decision, Rates, ResponseClass, ResponseLimiter};
use nsd::zone::{Answer, Contents, Rrset, SoaFields, View, Zone, resolve_into};

/// Names in the zone besides those below: enough that a lookup is none of the first level of a map.
const HOSTS: usize = 10_000;

const RECORDS: &[(&str, Rtype, &str)] = &[
    ("bench.test", Rtype::NS, "ns1.bench.test."),
    ("bench.test", Rtype::NS, "ns2.bench.test."),
    ("ns1.bench.test", Rtype::A, "192.0.2.1"),
    ("ns2.bench.test", Rtype::A, "192.0.2.2"),
    ("mail.bench.test", Rtype::MX, "10 ns1.bench.test."),
    ("*.wild.bench.test", Rtype::A, "192.0.2.3"),
    ("alias.bench.test", Rtype::CNAME, "h77.bench.test."),
    ("sub.bench.test", Rtype::NS, "ns1.sub.bench.test."),
    ("sub.bench.test", Rtype::NS, "ns2.sub.bench.test."),
    ("ns1.sub.bench.test", Rtype::A, "192.0.2.4"),
    ("ns2.sub.bench.test", Rtype::A, "192.0.2.5"),
];

/// Kinds of answers, and questions that get one.
const CASES: &[(&str, &str, Rtype)] = &[
    ("hit", "h4711.bench.test", Rtype::A),
    ("mx", "mail.bench.test", Rtype::MX),
    ("nodata", "h4711.bench.test", Rtype::AAAA),
    ("nxdomain", "no4711.bench.test", Rtype::A),
    ("wildcard", "x.wild.bench.test", Rtype::A),
    ("referral", "www.sub.bench.test", Rtype::A),
    ("cname", "alias.bench.test", Rtype::A),
    ("refused", "www.e4711.example", Rtype::A),
];

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let mut view = View::default();
    view.set_ready(true);
    view.put_zone(Arc::new(zone(contents())));
    // Other zones beside it, as there are.
    for index in 0..100 {
        let contents = Contents::new(name(&format!("zone{index}.test")));
        view.put_zone(Arc::new(zone(contents)));
    }
    view
});

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, flag, case, times] if flag == "--count" => count(case, times.parse().unwrap()),
        [_, flag] if flag == "--list-counts" => {
            let stages = ["parse", "resolve", "encode"];
            for (case, ..) in CASES {
                stages.iter().for_each(|stage| println!("{stage}/{case}"));
            }
            println!("publish/1\npublish/1000");
        }
        _ => divan::main(),
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn rrset(rtype: Rtype, texts: &[&str]) -> Rrset {
    let rdata: Vec<Rdata> = texts
        .iter()
        .map(|text| Rdata::parse(rtype, text).unwrap())
        .collect();
    Rrset::new(300, rdata.iter().map(Rdata::wire)).unwrap()
}

fn contents() -> Contents {
    let mut contents = Contents::new(name("bench.test"));
    for (owner, rtype, _) in RECORDS {
        let same = RECORDS
            .iter()
            .filter(|(other, kind, _)| other == owner && kind == rtype);
        let texts: Vec<&str> = same.map(|(.., text)| *text).collect();
        assert!(contents.put(&name(owner), *rtype, &rrset(*rtype, &texts)));
    }
    for index in 0..HOSTS {
        let address = format!("10.0.{}.{}", index >> 8, index & 255);
        contents.put(&host(index), Rtype::A, &rrset(Rtype::A, &[&address]));
    }
    contents
}

fn host(index: usize) -> Name {
    name(&format!("h{index}.bench.test"))
}

fn zone(contents: Contents) -> Zone {
    let soa = SoaFields {
        mname: name("ns1.bench.test"),
        rname: name("hostmaster.bench.test"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 5,
        ttl: 300,
    };
    Zone::new(&soa, contents)
}

/// Queries with EDNS, as resolvers send them; for many names where there are many, as some are deeper in the map than
/// others.
fn queries(case: &str) -> Vec<&'static [u8]> {
    let (_, owner, rtype) = CASES.iter().find(|(other, ..)| *other == case).unwrap();
    let query = |index: usize| -> &'static [u8] {
        let owner = name(&owner.replace("4711", &(index * 97 % HOSTS).to_string()));
        let mut octets = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        octets.extend_from_slice(owner.wire());
        octets.extend_from_slice(&rtype.0.to_be_bytes());
        octets.extend_from_slice(&[0, 1]);
        octets.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        octets.leak()
    };
    (0..100).map(query).collect()
}

const OURS: ServerEdns<'_> = ServerEdns {
    udp_size: 1232,
    nsid: b"",
    idle: None,
    pads: false,
    cookie: None,
};

/// One stage of answering one kind of question, ready to be repeated.
fn stage(stage: &str, case: &str) -> Box<dyn FnMut()> {
    let octets = queries(case);
    let view: &'static View = &VIEW;
    let mut turn = (0..octets.len()).cycle();
    let read = |octets: &&'static [u8]| message::parse(octets).unwrap();
    let queries: Vec<Query<'static>> = octets.iter().map(read).collect();
    let mut answer = Answer::new();
    match stage {
        "parse" => Box::new(move || {
            let octets = octets[turn.next().unwrap()];
            black_box(message::parse(black_box(octets)).unwrap());
        }),
        "resolve" => Box::new(move || {
            let question = queries[turn.next().unwrap()].question();
            resolve_into(
                view,
                black_box(&question),
                &|_| Decision::Allow,
                &mut answer,
            );
            black_box(&answer);
        }),
        "encode" => {
            resolve_into(
                view,
                &queries[0].question(),
                &|_| Decision::Allow,
                &mut answer,
            );
            let mut out = [0; 1232];
            Box::new(move || {
                let answer = black_box(&answer);
                let len = message::encode(answer, &queries[0], &OURS, 1232, &mut out);
                black_box(&out[..len]);
            })
        }
        other => panic!("no stage {other}"),
    }
}

/// So many RRsets changed, and the view published: the one before is still held, as by a reader.
fn publish(changes: usize) -> Box<dyn FnMut()> {
    let mut contents = contents();
    let mut view = VIEW.clone();
    let mut published = view.clone();
    let sets = [
        rrset(Rtype::A, &["192.0.2.7"]),
        rrset(Rtype::A, &["192.0.2.8"]),
    ];
    let owners: Vec<Name> = (0..HOSTS).map(host).collect();
    let mut turn = 0;
    Box::new(move || {
        for _ in 0..changes {
            turn += 1;
            contents.put(
                &owners[turn * 7919 % HOSTS],
                Rtype::A,
                &sets[turn / HOSTS % 2],
            );
        }
        view.put_zone(Arc::new(zone(contents.clone())));
        drop(std::mem::replace(&mut published, view.clone()));
    })
}

/// Does a case so many times: run under callgrind, which counts what is in [`counted`].
fn count(case: &str, times: usize) {
    let mut run = match case.split_once('/').unwrap() {
        ("publish", changes) => publish(changes.parse().unwrap()),
        (first, second) => stage(first, second),
    };
    // What comes about at the first call is not counted.
    run();
    counted(&mut run, times);
}

#[inline(never)]
fn counted(run: &mut dyn FnMut(), times: usize) {
    (0..times).for_each(|_| run());
}

fn cases() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(case, ..)| *case)
}

#[divan::bench(args = cases())]
fn parse(bencher: divan::Bencher<'_, '_>, case: &str) {
    bencher.bench_local(stage("parse", case));
}

#[divan::bench(args = cases())]
fn resolve(bencher: divan::Bencher<'_, '_>, case: &str) {
    bencher.bench_local(stage("resolve", case));
}

#[divan::bench(args = cases())]
fn encode(bencher: divan::Bencher<'_, '_>, case: &str) {
    bencher.bench_local(stage("encode", case));
}

/// Rate limits of as many names as there are answered, one at a time and a batch at a time.
#[divan::bench(args = [1, 10_000, 100_000], consts = [1, 64])]
fn limit<const BATCH: usize>(bencher: divan::Bencher<'_, '_>, names: usize) {
    let limiter = ResponseLimiter::new([1, 2]);
    let rates = Rates {
        answers: Rates::RATE_MAX,
        ..Rates::default()
    };
    let names: Vec<Name> = (0..names).map(host).collect();
    let mut turn = (0..names.len())
        .map(|index| index * 7919 % names.len())
        .cycle();
    let peer = [192, 0, 2, 1].into();
    let mut now_us = 0;
    bencher.counter(BATCH).bench_local(|| {
        now_us += 3 * BATCH as u64;
        let batch: [_; BATCH] = std::array::from_fn(|_| {
            let index = turn.next().unwrap();
            ResponseClass::Answer(names[index].wire())
        });
        if BATCH > 1 {
            limiter.prefetch(batch.iter().map(|class| (peer, *class)));
        }
        for class in batch {
            black_box(limiter.count(&rates, peer, class, now_us));
        }
    });
}

/// What requests over HTTPS and QUIC pass through in addition: hickory-server's `Request`, made of a copy of the octets.
#[cfg(feature = "daemon")]
#[divan::bench(args = cases())]
fn request_of_hickory(bencher: divan::Bencher<'_, '_>, case: &str) {
    use hickory_server::net::xfer::Protocol;
    let client = ([192, 0, 2, 1], 5300).into();
    let octets = queries(case)[0];
    bencher.bench_local(|| {
        let octets = black_box(octets).to_vec();
        hickory_server::server::Request::from_bytes(octets, client, Protocol::Https).unwrap()
    });
}

#[divan::bench(name = "publish", args = [1, 1000])]
fn publish_changes(bencher: divan::Bencher<'_, '_>, changes: usize) {
    bencher.bench_local(publish(changes));
}
