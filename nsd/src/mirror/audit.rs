//! The audit: now and then everything is read from etcd and compared with what has come through the watch, as several
//! releases of etcd have lost events. If the two differ, everything is listed again.

use std::time::{Duration, Instant};

use etcd::client::{Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info};

use super::SharedBuilder;
use crate::served::{AuditResult, Publisher, Standing};

/// How long the watch may be behind what was read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Compares the mirror with etcd forever, at intervals of about `every`. If they differ, notifies `relist`.
pub(super) async fn run(
    store: Store,
    every: Duration,
    builder: SharedBuilder,
    relist: &Notify,
    publisher: Publisher,
) {
    let mut pause = every;
    loop {
        // At a random time, so that a fleet that was started together does not read all at once.
        sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        pause = every;
        // A change that is under way may make a difference once.
        let mut audit = compare(&store, &builder, publisher.subscribe()).await;
        if matches!(audit, Ok(Some(AuditResult { agrees: false, .. }))) {
            audit = compare(&store, &builder, publisher.subscribe()).await;
        }
        match audit {
            Ok(Some(audit)) => {
                let revision = audit.revision;
                if audit.agrees {
                    info!(revision, "audit: the mirror matches etcd");
                } else {
                    error!(
                        revision,
                        "audit: the mirror differs from etcd, listing everything again"
                    );
                    relist.notify_one();
                }
                publisher.update(|standing| {
                    standing.audits += 1;
                    standing.differences += u64::from(!audit.agrees);
                    standing.audit = Some(audit);
                });
            }
            other => {
                debug!(?other, "audit skipped: etcd or the watch is behind");
                pause = every.min(PATIENCE);
            }
        }
    }
}

/// Compares once; none if the watch stays behind.
async fn compare(
    store: &Store,
    builder: &SharedBuilder,
    mut standing: watch::Receiver<Standing>,
) -> Result<Option<AuditResult>, StoreError> {
    let survey = store.survey(None).await?;
    let come = standing.wait_for(|standing| standing.received >= Some(survey.newest));
    if !matches!(timeout(PATIENCE, come).await, Ok(Ok(_))) {
        return Ok(None);
    }
    let builder = builder.clone();
    let own = tokio::task::spawn_blocking(move || {
        let digest = builder.lock().digest_at(survey.revision);
        let tables = builder.lock().tables();
        digest.map(|digest| (digest, tables.is_sound()))
    });
    Ok(own.await?.map(|(digest, is_sound)| AuditResult {
        at: Instant::now(),
        revision: survey.revision,
        agrees: is_sound && digest == survey.census.digest(),
    }))
}
