//! `ferret-valid.jsonl.gz`: small zones, a question each, and what BIND, NSD, Knot and PowerDNS answer.

use std::time::Duration;

use domain::base::iana::Rtype;
use etcd::client::{Config, ImportHow, ImportMode, Store};
use etcd::schema::Prefix;
use serde_json::Value;
use tests::Cluster;
use tests::dns::{self, PATIENCE};
use tests::transports::Transports;

use crate::ferret::{cases, origin, text};
use crate::response::{Record, Response, Section};
use crate::transports::ask_all;
use crate::zones;

/// Cases whose answer must differ from that of most servers, and the RFC that says so.
const EXCEPTIONS: &[(u64, &str)] = &[];

#[test]
fn every_answer_is_that_of_most_servers() {
    let cases = cases("ferret-valid.jsonl.gz");
    let mut faults = Vec::new();
    for case in &cases {
        let zone = text(case, "zone");
        let origin = origin(zone);
        let checked = zones::check(&origin, zone);
        let checked = checked.unwrap_or_else(|faults| panic!("{case}: {faults:?}"));
        let view = zones::view([(&origin, &checked)]);
        let octets = zones::respond(&view, &query(case), true);
        faults.extend(compare(case, &octets, Response::clone).err());
    }
    report(&cases, &faults);
}

/// Through etcd and a front-end, one zone after the other: a chain must not find a zone of another case.
#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_the_same_over_the_wire() {
    const STEP: usize = 21;
    let cases: Vec<Value> = cases("ferret-valid.jsonl.gz")
        .into_iter()
        .step_by(STEP)
        .collect();
    if cases.is_empty() {
        return;
    }
    let cluster = Cluster::start(1, &[]).await;
    let config = Config::new(cluster.endpoints().to_vec());
    let store = Store::new(config, Prefix::default(), Duration::from_secs(20));
    let transports = Transports::choose();
    let frontend = transports.start("ferret", cluster.endpoints(), &[]).await;
    frontend.ready().await;
    let mut faults = Vec::new();
    for case in &cases {
        let zone = text(case, "zone");
        let origin = origin(zone);
        let checked = zones::check(&origin, zone).unwrap();
        let how = ImportHow::new(ImportMode::Replace);
        let imported = store.import(&origin, &checked, &how, &|_| {});
        let revision = imported.await.expect("an import").revision;
        frontend.applied(revision, PATIENCE).await;
        let answer = ask_all(&transports, &frontend, &query(case)).await;
        let compared = answer.and_then(|octets| compare(case, &octets, without_serials));
        faults.extend(compared.err());
        let removed = store.zone_remove(&origin, false).await.expect("a removal");
        let removed = removed.expect("a zone that is there").revision;
        frontend.applied(removed, PATIENCE).await;
    }
    report(&cases, &faults);
}

fn query(case: &Value) -> Vec<u8> {
    let qtype: Rtype = text(case, "qtype").parse().expect("a type");
    dns::query(0, text(case, "qname"), qtype)
}

fn report(cases: &[Value], faults: &[String]) {
    let count = cases.len();
    println!("{} of {count} answers are right", count - faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Compares an answer with one of those that are right, after `edit` has been at both.
fn compare(case: &Value, octets: &[u8], edit: fn(&Response) -> Response) -> Result<(), String> {
    if let Some(id) = case["id"].as_u64()
        && EXCEPTIONS.iter().any(|(exception, _)| *exception == id)
    {
        return Ok(());
    }
    let got = edit(&Response::parse(octets).map_err(|error| format!("{case}: {error}"))?);
    let expected: Vec<Response> = most(case).iter().map(edit).collect();
    if expected.iter().any(|expected| is_same(&got, expected)) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(Response::to_string).collect();
    Err(format!(
        "case {}: {} {}\n{}  expected\n{}  got\n{got}",
        case["id"],
        case["qname"],
        case["qtype"],
        text(case, "zone"),
        expected.join("  or\n"),
    ))
}

/// The answers that most servers gave, or any of those that as many gave.
fn most(case: &Value) -> Vec<Response> {
    let groups = case["answers"].as_array().expect("answers");
    let size = |group: &Value| group["servers"].as_array().map_or(0, Vec::len);
    let largest = groups.iter().map(size).max();
    let most = groups.iter().filter(|group| Some(size(group)) == largest);
    most.map(expected).collect()
}

fn expected(group: &Value) -> Response {
    let mut response = Response::default();
    let mut section: Option<&mut Section> = None;
    for line in group["response"].as_array().expect("a response") {
        let line = line.as_str().expect("text");
        match line.split_once(' ') {
            None => {
                section = match line {
                    ";ANSWER" => Some(&mut response.answer),
                    ";AUTHORITY" => Some(&mut response.authority),
                    ";ADDITIONAL" => Some(&mut response.additional),
                    _ => None,
                }
            }
            Some(("rcode", rcode)) => {
                response.rcode = match rcode {
                    "NOERROR" => 0,
                    "SERVFAIL" => 2,
                    "NXDOMAIN" => 3,
                    "YXDOMAIN" => 6,
                    _ => panic!("{rcode}"),
                }
            }
            Some(("flags", flags)) => response.aa = flags.split(' ').any(|flag| flag == "AA"),
            Some(_) => {
                if let Some(section) = &mut section {
                    section.push(Record::parse(line));
                    section.sort();
                }
            }
        }
    }
    response
}

/// The other sections count where there is no answer.
fn is_same(got: &Response, expected: &Response) -> bool {
    let head = |response: &Response| (response.rcode, response.aa, response.answer.clone());
    let tail = |response: &Response| (response.authority.clone(), response.additional.clone());
    head(got) == head(expected) && (!got.answer.is_empty() || tail(got) == tail(expected))
}

/// Serials are etcd's revisions.
fn without_serials(response: &Response) -> Response {
    let mut response = response.clone();
    for section in [&mut response.answer, &mut response.authority] {
        for record in section.iter_mut().filter(|record| record.rtype == 6) {
            let at = record.rdata.len() - 20;
            record.rdata[at..at + 4].fill(0);
        }
    }
    response
}
