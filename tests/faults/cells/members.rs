//! Members of etcd go, freeze, or lose each other.

use tests::{Gate, ensure, eventually};

use crate::cell::Noticed;
use crate::site::{LIMIT, Site};

pub(crate) async fn run(site: &mut Site) {
    member_killed(site).await;
    member_paused(site).await;
    member_off_the_network(site).await;
    leader_killed(site).await;
    leader_cut_off(site).await;
    cut_off_together(site).await;
    majority_lost(site).await;
    all_lost(site).await;
}

async fn member_killed(site: &mut Site) {
    let member = site.member_of(0).await;
    let cell = site.begin("a member is killed").await;
    site.cluster.kill_member(member).await;
    site.outlives(&cell, Noticed::By(0)).await;
    site.cluster.start_member(member).await;
    site.end(cell).await;
}

async fn member_paused(site: &mut Site) {
    let member = site.member_of(0).await;
    let cell = site.begin("a member is paused").await;
    site.cluster.pause(member).await;
    site.outlives(&cell, Noticed::By(0)).await;
    site.cluster.unpause(member).await;
    site.end(cell).await;
}

async fn member_off_the_network(site: &mut Site) {
    let member = site.member_of(0).await;
    let cell = site.begin("a member is off the network").await;
    site.cluster.disconnect(member).await;
    site.outlives(&cell, Noticed::By(0)).await;
    site.cluster.reconnect(member).await;
    site.end(cell).await;
}

async fn leader_killed(site: &mut Site) {
    let leader = site.cluster.leader().await;
    let cell = site.begin("the leader is killed").await;
    site.cluster.kill_member(leader).await;
    site.outlives(&cell, Noticed::Maybe).await;
    site.cluster.start_member(leader).await;
    site.end(cell).await;
}

/// Its clients still reach it; in a cluster of five, so does one of its followers.
async fn leader_cut_off(site: &mut Site) {
    let leader = site.cluster.leader().await;
    let minority = minority_from(leader, site.cluster.size());
    let cell = site.begin("the leader is cut off from the majority").await;
    if site.cut_off(&minority).await {
        site.outlives(&cell, Noticed::Maybe).await;
        // Whoever was with the old leader has left it.
        for frontend in &site.frontends {
            eventually(&format!("{} is fresh", frontend.id), LIMIT, async || {
                let age = frontend.status().await["fresh_age_ms"].as_u64();
                ensure(age.is_some_and(|age| age < 3_000), || format!("{age:?}"))
            })
            .await;
        }
        site.join_again(&minority).await;
        site.end(cell).await;
    }
}

/// They see each other, and nobody else sees either of them.
async fn cut_off_together(site: &mut Site) {
    let member = site.member_of(0).await;
    let minority = minority_from(member, site.cluster.size());
    let cell = site
        .begin("a front-end is cut off together with its member")
        .await;
    if site.cut_off(&minority).await {
        let beyond = || {
            let gates = site.gates[0].iter().enumerate();
            gates.filter(|(index, _)| !minority.contains(index))
        };
        beyond().for_each(|(_, gate)| gate.silence());
        cell.lasts(Noticed::By(0)).await;
        beyond().for_each(|(_, gate): (usize, &Gate)| gate.open());
        site.join_again(&minority).await;
        site.end(cell).await;
    }
}

async fn majority_lost(site: &mut Site) {
    let majority = 0..=site.cluster.size() / 2;
    let cell = site.begin("the majority is lost").await;
    for member in majority.clone() {
        site.cluster.kill_member(member).await;
    }
    cell.lasts(Noticed::Surely).await;
    for member in majority {
        site.cluster.start_member(member).await;
    }
    site.end(cell).await;
}

async fn all_lost(site: &mut Site) {
    let cell = site.begin("all members are lost").await;
    site.cluster.stop_all().await;
    cell.lasts(Noticed::Surely).await;
    site.cluster.start_all().await;
    site.end(cell).await;
}

/// So many members that the rest is a majority, among them this one.
fn minority_from(first: usize, size: usize) -> Vec<usize> {
    let count = (size - 1) / 2;
    (0..count).map(|offset| (first + offset) % size).collect()
}
