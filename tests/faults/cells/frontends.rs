//! Front-ends lose their way to etcd, their clock or their process.

use std::time::{Duration, Instant};

use tests::{Gate, ensure, eventually};
use tokio::time::sleep;

use crate::cell::{Cell, HOLD, Noticed};
use crate::site::{LIMIT, Site};

/// Each way. Proofs of freshness take half a second, and a connection more than one.
const SLOW: Duration = Duration::from_millis(250);

/// The front-end that goes through gates, the one whose clock can be set, and the one with TLS.
pub(crate) const GATED: usize = 0;
pub(crate) const CLOCKED: usize = 1;
pub(crate) const SECURE: usize = 2;

pub(crate) async fn run(site: &mut Site) {
    slow_link(site).await;
    clock_jump(site).await;
    certificates_rotated(site).await;
    restarted_one_by_one(site).await;
    restarted_without_etcd(site).await;
}

async fn slow_link(site: &mut Site) {
    let cell = site
        .begin("a front-end's link is slow: 250 ms each way")
        .await;
    site.gates[GATED].iter().for_each(|gate| gate.delay(SLOW));
    cell.lasts(Noticed::Maybe).await;
    // Late, but not lost: the copy stays proved.
    eventually("it is fresh all the same", LIMIT, async || {
        let status = site.frontends[GATED].status().await;
        let is_fresh = status["fresh_age_ms"]
            .as_u64()
            .is_some_and(|age| age < 2500);
        ensure(is_fresh && status["trouble"].is_null(), || {
            status.to_string()
        })
    })
    .await;
    site.gates[GATED].iter().for_each(Gate::open);
    site.end(cell).await;
}

/// Only the front-end's: containers have no clocks of their own, and a Go program asks the kernel itself.
async fn clock_jump(site: &mut Site) {
    if !site.clock.can_jump() {
        tests::skipped!("there is no libfaketime: a clock jumps");
        return;
    }
    let cell = site
        .begin("a front-end's clock jumps a day back, then two ahead")
        .await
        .steady();
    site.clock.jump(-1);
    cell.lasts(Noticed::Maybe).await;
    site.clock.jump(1);
    // Not asked for after a jump back: the HTTP library goes on with the date that it has until that is past.
    eventually("its clock has jumped", LIMIT, async || {
        let answer = site.frontends[CLOCKED].get("/healthz").await?;
        let expected = site.clock.date();
        ensure(answer.head.contains(&expected), || {
            format!("not {expected}: {}", answer.head)
        })
    })
    .await;
    cell.lasts(Noticed::Maybe).await;
    site.clock.jump(0);
    site.end(cell).await;
}

/// The members' certificates and the front-end's are from another authority, and the front-end trusts only that one.
async fn certificates_rotated(site: &mut Site) {
    let Some(certificates) = &site.certificates else {
        tests::skipped!("there is no openssl to make certificates with: certificates are rotated");
        return;
    };
    let cell = site
        .begin("certificates are rotated, by another authority")
        .await;
    certificates.rotate_clients();
    for member in 0..site.cluster.size() {
        for (file, path) in certificates.next_server() {
            site.cluster.put_file(member, &file, path).await;
        }
    }
    // Connections that are there go on: only a new one shows the new certificates.
    site.gates[SECURE].iter().for_each(Gate::close);
    cell.lasts(Noticed::Surely).await;
    site.gates[SECURE].iter().for_each(Gate::open);
    site.end(cell).await;
}

async fn restarted_one_by_one(site: &mut Site) {
    let cell = site.begin("front-ends are restarted, one by one").await;
    restart_each(site, &cell).await;
    site.end(cell).await;
}

async fn restarted_without_etcd(site: &mut Site) {
    let cell = site
        .begin("front-ends are restarted while all members are lost")
        .await;
    site.cluster.stop_all().await;
    restart_each(site, &cell).await;
    cell.lasts(Noticed::Surely).await;
    site.cluster.start_all().await;
    site.end(cell).await;
}

/// Each answers from its snapshot as soon as it is there again.
async fn restart_each(site: &mut Site, cell: &Cell) {
    for frontend in &mut site.frontends {
        let stopped = Instant::now();
        frontend.restart(Duration::from_secs(10)).await;
        cell.was_down(&frontend.id, stopped);
        sleep(HOLD / 5).await;
    }
}
