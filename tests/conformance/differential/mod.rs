//! Random zones and questions: what we answer, beside what Knot and NSD answer from the same master files.

mod peers;
mod query;
mod world;

use std::collections::BTreeMap;

use etcd::model::{Name, zonefile::Checked};
use nsd::zone::View;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::peers::{Kind, Peer};
use self::world::{File, Site, world};
use crate::response::Response;
use crate::zones;

fn runner(seed: u64) -> TestRunner {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &octets);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn view(files: &[File]) -> View {
    let checked: Vec<(Name, Checked)> = files
        .iter()
        .map(|file| {
            let checked = zones::check(&file.apex, &file.text);
            let checked = checked.unwrap_or_else(|faults| panic!("{}{faults:#?}", file.text));
            (file.apex.clone(), checked)
        })
        .collect();
    zones::view(checked.iter().map(|(apex, checked)| (apex, checked)))
}

#[tokio::test(flavor = "multi_thread")]
async fn explore() {
    let mut runner = runner(1);
    let mut all = Vec::new();
    let mut worlds = Vec::new();
    for n in 0..40 {
        let tree = world().new_tree(&mut runner).unwrap();
        let files = tree.current().files(&Site::numbered(n));
        all.extend(files.clone());
        worlds.push(files);
    }
    let mut peers = Vec::new();
    for kind in Kind::ALL {
        peers.push(Peer::start(kind, &all).await);
    }
    let view = view(&all);
    let mut stats: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut id = 0u16;
    for files in &worlds {
        for query in query::queries(files, 500, &mut runner) {
            id = id.wrapping_add(1);
            let octets = query.octets(id);
            let ours = Response::parse(&zones::respond(&view, &octets, query.is_udp)).unwrap();
            let theirs: Vec<Response> = peers
                .iter()
                .map(|peer| Response::parse(&peer.ask(&octets, query.is_udp)).unwrap())
                .collect();
            let mut key = String::new();
            for (peer, r) in peers.iter().zip(&theirs) {
                key += &format!("{:?}:", peer.kind);
                if r.rcode != ours.rcode { key += &format!("rcode{}/{},", ours.rcode, r.rcode); }
                if r.aa != ours.aa { key += "aa,"; }
                if r.tc != ours.tc { key += "tc,"; }
                if r.answer != ours.answer { key += "answer,"; }
                if r.authority != ours.authority { key += "authority,"; }
                if r.additional != ours.additional { key += "additional,"; }
                key += " ";
            }
            let entry = stats.entry(key).or_default();
            entry.0 += 1;
            if entry.0 <= 3 {
                entry.1 += &format!("  {query:?}\n  ours\n{ours}  knot\n{}  nsd\n{}\n", theirs[0], theirs[1]);
            }
        }
    }
    for (key, (count, _)) in &stats { println!("{count} {key}"); }
    for (key, (count, example)) in &stats { println!("=== {count} {key}\n{example}"); }
    for files in &worlds { for f in files { println!(";; {}\n{}", f.apex, f.text); } }
}
