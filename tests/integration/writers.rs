//! Many writers, one RRset: nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::base::iana::Rtype;
use tests::{World, dns};
use tokio::task::JoinSet;

const WRITERS: u8 = 8;
const EACH: u8 = 100;

fn address(writer: u8, index: u8) -> String {
    format!("10.0.{writer}.{index}")
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_add_to_one_rrset_and_nothing_is_lost() {
    let world = World::start().await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        // Against another member each.
        let mut endpoints = world.cluster.endpoints().to_vec();
        let first = writer as usize % endpoints.len();
        endpoints.rotate_left(first);
        let nsctl = tests::Nsctl::new(&endpoints).with("--timeout", "30s");
        writers.spawn(async move {
            let mut revision = 0;
            for index in 0..EACH {
                revision = nsctl
                    .write(&format!("add all.example.org A {}", address(writer, index)))
                    .await;
            }
            revision
        });
    }
    let last = writers
        .join_all()
        .await
        .into_iter()
        .max()
        .expect("there are writers");

    let wanted: BTreeSet<String> = (0..WRITERS)
        .flat_map(|writer| (0..EACH).map(move |index| address(writer, index)))
        .collect();
    let listed = world.nsctl.ok("list all.example.org --type A").await;
    let rdata = listed[0]["rdata"].as_array().expect("one RRset").iter();
    let stored: BTreeSet<String> = rdata
        .filter_map(|rdata| Some(rdata.as_str()?.to_string()))
        .collect();
    assert_eq!(stored, wanted);

    world.applied(last, Duration::from_secs(10)).await;
    for frontend in &world.frontends {
        let answer = dns::tcp(frontend.dns, "all.example.org", Rtype::A)
            .await
            .expect("an answer");
        let served = answer
            .answers
            .iter()
            .filter_map(|line| line.rsplit(' ').next())
            .map(str::to_string);
        assert_eq!(served.collect::<BTreeSet<_>>(), wanted, "{}", frontend.id);
        assert_eq!(
            answer.answers.len(),
            wanted.len(),
            "{}: records twice",
            frontend.id
        );
        let short = dns::udp(frontend.dns, "all.example.org", Rtype::A)
            .await
            .expect("an answer");
        assert!(
            short.tc && short.answers.is_empty(),
            "{}: {short:?}",
            frontend.id
        );
    }
}
