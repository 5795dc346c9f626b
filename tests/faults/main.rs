//! The fault matrix: every fault that a cluster and a fleet meet, one after the other, each under a constant load of
//! queries to every front-end and of writers that never stop. What was served is held against the recorded history;
//! how soon a fault was noticed and how soon after it all front-ends served a new write is measured.
//!
//! Only containers can have most of this done to them: without an engine all of it is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and standard output is where skipped parts are told"
)]

mod cell;
mod cells;
mod certificates;
mod clock;
mod noticed;
mod site;
mod table;
mod traffic;

use tests::Cluster;
use tokio::sync::Mutex;

use site::Site;
use table::Table;

/// Two matrices at once are more than a small machine can do without faults of its own.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn three_members() {
    matrix(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members() {
    if std::env::var("NSD_TEST_LONG").is_ok_and(|value| value == "1") {
        matrix(5).await;
    } else {
        tests::skipped!("NSD_TEST_LONG is not 1: faults of a cluster of five members");
    }
}

async fn matrix(members: usize) {
    let _turn = ONE_AT_A_TIME.lock().await;
    if !Cluster::can_be_containers().await {
        tests::skipped!("etcd members are processes here, not containers: the fault matrix");
        return;
    }
    let mut table = Table::new(members);
    table.take(plain(members).await);
    table.take(guarded(members).await);
    table.end();
}

async fn plain(members: usize) -> Site {
    let mut site = Site::open(members).await;
    cells::members::run(&mut site).await;
    cells::frontends::run(&mut site).await;
    cells::store::run(&mut site).await;
    site
}

async fn guarded(members: usize) -> Site {
    let mut site = Site::guarded(members).await;
    cells::tokens::run(&mut site).await;
    site
}
