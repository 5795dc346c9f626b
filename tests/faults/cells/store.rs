//! etcd is full, is tidied up, or gets other members and another release.

use std::path::Path;

use tests::{Cluster, Gate, ensure, eventually};

use super::frontends::GATED;
use crate::cell::Noticed;
use crate::site::{LIMIT, Site};

pub(crate) async fn run(site: &mut Site) {
    defragmented(site).await;
    compacted(site).await;
    // Before the store is full: a new member goes through all of the log, and would be full, too.
    member_replaced(site).await;
    restarted_one_by_one(site).await;
    full(site).await;
    upgraded_one_by_one(site).await;
}

/// With something to do: a member answers nobody meanwhile.
async fn defragmented(site: &mut Site) {
    site.fill(Some(16)).await;
    let cell = site.begin("members are defragmented").await;
    for member in 0..site.cluster.size() {
        let done = site.cluster.try_etcdctl_at(member, &["defrag"]).await;
        done.expect("a healthy member defragments");
    }
    cell.lasts(Noticed::Maybe).await;
    site.end(cell).await;
}

async fn full(site: &mut Site) {
    site.nsctl
        .write("zone add full.test --ns ns1.example.org --wait")
        .await;
    let cell = site.begin("the store is full (NOSPACE)").await.steady();
    site.fill(None).await;
    cell.lasts(Noticed::Maybe).await;
    let refused = site
        .nsctl
        .run("add www.full.test A 192.0.2.1")
        .await
        .expect(1);
    assert!(
        refused.complaint().contains("etcd is full"),
        "{:?}",
        refused.stderr
    );
    site.cluster.compact().await;
    site.cluster.etcdctl(&["alarm", "disarm"]).await;
    site.end(cell).await;
}

/// What a front-end has missed is gone when it comes back.
async fn compacted(site: &mut Site) {
    let cell = site
        .begin("history is compacted while a front-end is cut off")
        .await;
    let before = lists(site).await;
    site.gates[GATED].iter().for_each(Gate::silence);
    cell.lasts(Noticed::Surely).await;
    site.cluster.compact().await;
    site.gates[GATED].iter().for_each(Gate::close);
    eventually("its connections are cut", LIMIT, async || {
        let status = site.frontends[GATED].status().await;
        ensure(status["watching"] == false, || status.to_string())
    })
    .await;
    site.gates[GATED].iter().for_each(Gate::open);
    site.end(cell).await;
    let after = lists(site).await;
    assert!(after > before, "a poor test: it never met the compaction");
}

/// How often the front-end had to list everything.
async fn lists(site: &Site) -> u64 {
    let metrics = site.frontends[GATED].get("/metrics").await.unwrap().body;
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("nsd_lists_total "));
    count.expect("it is counted").parse().expect("a number")
}

async fn member_replaced(site: &mut Site) {
    let member = site.member_of(GATED).await;
    let cell = site.begin("a member is replaced by a new one").await;
    site.cluster.replace_member(member).await;
    cell.lasts(Noticed::Maybe).await;
    site.end(cell).await;
}

async fn restarted_one_by_one(site: &mut Site) {
    let cell = site.begin("members are restarted, one by one").await;
    for member in 0..site.cluster.size() {
        site.cluster.stop_member(member).await;
        site.cluster.start_member(member).await;
        site.cluster.member_healthy(member).await;
    }
    site.end(cell).await;
}

/// Last of all, as there is no way back.
async fn upgraded_one_by_one(site: &mut Site) {
    let Some(next) = std::env::var_os("NSD_TEST_ETCD_NEXT").filter(|path| !path.is_empty()) else {
        tests::skipped!("NSD_TEST_ETCD_NEXT names no newer etcd: members are upgraded");
        return;
    };
    let before = version(&site.cluster).await;
    let cell = site.begin("members are upgraded, one by one").await;
    for member in 0..site.cluster.size() {
        site.cluster.stop_member(member).await;
        site.cluster
            .put_file(member, Path::new(&next), "/usr/bin/etcd")
            .await;
        site.cluster.start_member(member).await;
        site.cluster.member_healthy(member).await;
    }
    site.end(cell).await;
    assert_ne!(
        before,
        version(&site.cluster).await,
        "a poor test: the same release"
    );
}

async fn version(cluster: &Cluster) -> String {
    let told = cluster
        .etcdctl(&["endpoint", "status", "-w", "simple"])
        .await;
    let version = told.split(", ").nth(2);
    version.expect("the third field is the version").into()
}
