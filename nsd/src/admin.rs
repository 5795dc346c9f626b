//! The admin listener: HTTP for probes, operators and `nsctl`.
//!
//! - `/healthz`: 200 as long as the process works.
//! - `/readyz`: 200 while there is a zone to serve, from etcd or from a snapshot (with `--allow-empty` none is needed); 503
//!   otherwise, and from the first signal to shut down.
//! - `/status`: JSON. With `?min_revision=N&timeout_ms=M` it answers when revision N is served, or after M ms.
//! - `/digest?revision=R&min_revision=N&timeout_ms=M`: JSON. The digest of what etcd held at revision R, as it has come
//!   here. It answers when revision N has come, or after M ms. N is the last revision up to R that changed a key under the
//!   prefix, and R itself by default. The digest is null if it is not known yet, or not remembered any more.
//! - `/serials`: JSON. The zones whose serial is lower than one served before, each with that earlier serial.
//! - `/held`: JSON. The zones that are held back, and what etcd has lost of each.
//! - `/held/zone?zone=NAME`: one of them as a master file.
//! - `/metrics`: OpenMetrics.
//!
//! With `?id=ID` all of them answer 421 if this front-end has another name.

mod held;
mod listen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use etcd::client::Registered;
use etcd::schema::{Audit, DigestAt, FrontendStatus, Held, Quarantined, key_text};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) use listen::CONNECTIONS_MAX;

use crate::answer::Barrier;
use crate::fleet::Phase;
use crate::metrics::{Counters, Metrics, registry};
use crate::mirror::{Builder, SharedBuilder};
use crate::model::Name;
use crate::served::{Served, Standing};

/// The longest that a request waits for a revision.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How many requests may wait for a revision at the same time: fewer than there are connections, so that probes always
/// get one. The others are answered at once, as if their time was up.
const WAITERS_MAX: usize = CONNECTIONS_MAX * 3 / 4;

/// How many quarantined keys and held zones `/status` names.
const NAMED_MAX: usize = 100;

/// What the handlers need.
#[derive(Clone)]
pub struct Shared {
    /// The name in the fleet.
    pub id: Arc<str>,
    /// The counters.
    pub metrics: Metrics,
    /// What is served.
    pub served: Served,
    /// The builder, for what the standing does not tell.
    pub builder: SharedBuilder,
    /// The barrier of `linearizable`.
    pub barrier: Barrier,
    /// Whether the front-end is registered.
    pub registered: watch::Receiver<Registered>,
    /// Whether the front-end is shutting down.
    pub phases: watch::Receiver<Phase>,
    /// Room for requests that wait.
    pub waiters: Waiters,
}

/// Permits for requests that wait for a revision.
#[derive(Clone)]
pub struct Waiters(Arc<Semaphore>);

impl Default for Waiters {
    fn default() -> Self {
        Waiters(Arc::new(Semaphore::new(WAITERS_MAX)))
    }
}

#[derive(Deserialize)]
struct IdQuery {
    id: Option<String>,
}

#[derive(Deserialize)]
struct WaitQuery {
    min_revision: Option<i64>,
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
struct RevisionQuery {
    revision: i64,
}

impl Shared {
    /// Reads from the builder, on a thread that may block: the mirror may hold the lock for a good part of a second,
    /// and nothing else in the process should wait for that.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Builder) -> T + Send + 'static,
    ) -> Result<T, StatusCode> {
        let builder = self.builder.clone();
        let value = tokio::task::spawn_blocking(move || read(&builder.lock()));
        value.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Waits for a revision, until the time is up. Does not wait if too many others do.
    async fn wait(&mut self, wanted: &WaitQuery, there: impl Fn(&Standing) -> Option<i64>) {
        if let Some(revision) = wanted.min_revision {
            let limit = Duration::from_millis(wanted.timeout_ms.unwrap_or(0)).min(WAIT_MAX);
            let come = |standing: &Standing| there(standing) >= Some(revision);
            let Ok(_waiter) = self.waiters.0.try_acquire() else {
                return;
            };
            // If the time is up, the answer shows that the revision is not there.
            let _ = tokio::time::timeout(limit, self.served.standing.wait_for(come)).await;
        }
    }
}

/// Serves until `stop` is cancelled. Requests that have come by then have the time `drain` to be answered.
pub async fn serve(
    listener: Arc<TcpListener>,
    shared: Shared,
    drain: Duration,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/digest", get(digest))
        .route("/serials", get(serials))
        .route("/held", get(held::list))
        .route("/held/zone", get(held::zone))
        .route("/metrics", get(openmetrics))
        .layer(middleware::from_fn_with_state(shared.clone(), check_id))
        .with_state(shared);
    listen::serve(listen::HttpLimits::new(drain), listener, router, stop).await;
}

/// Refuses requests that are for another front-end.
async fn check_id(
    State(shared): State<Shared>,
    Query(query): Query<IdQuery>,
    request: Request,
    next: Next,
) -> Response {
    if query.id.is_some_and(|id| *id != *shared.id) {
        let told = format!("this is {}\n", shared.id);
        return (StatusCode::MISDIRECTED_REQUEST, told).into_response();
    }
    next.run(request).await
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    if *shared.phases.borrow() != Phase::Serving {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else {
        match *shared.served.standing.borrow() {
            Standing { ready: true, .. } => (StatusCode::OK, "ready\n"),
            Standing { applied: None, .. } => (StatusCode::SERVICE_UNAVAILABLE, "not synced yet\n"),
            _ => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no zone under the prefix: check --prefix, add a zone, or start with --allow-empty\n",
            ),
        }
    }
}

async fn status(
    State(mut shared): State<Shared>,
    Query(wanted): Query<WaitQuery>,
) -> Result<Json<FrontendStatus>, StatusCode> {
    shared.wait(&wanted, |standing| standing.applied).await;
    // Copies: a second borrow in one statement would wait for ever if a writer came in between.
    let standing = shared.served.standing.borrow().clone();
    let registered = shared.registered.borrow().clone();
    // Before the queries: malformed ones are counted among them, so that there are never more of these.
    let malformed = shared
        .metrics
        .total(|counters: &Counters| &counters.malformed);
    // Under one lock: the number has to fit the names.
    let named = |builder: &Builder| {
        let keys = builder.quarantine().iter().take(NAMED_MAX);
        let named = keys.map(|(key, reason)| Quarantined {
            key: key_text(key),
            reason: reason.clone(),
        });
        let held = held::zones(builder, NAMED_MAX);
        (builder.quarantine().len(), named.collect(), held)
    };
    let (quarantined, quarantine, held) = shared.read(named).await?;
    Ok(Json(FrontendStatus {
        id: Some(shared.id.to_string()),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        ready: standing.ready,
        applied: standing.applied,
        fresh_age_ms: standing.age().map(|age| age.as_millis() as u64),
        registered: registered.is_held(),
        registration_trouble: registered.trouble().map(str::to_string),
        watching: standing.watching,
        doubted: standing.doubted,
        cluster: standing.cluster_id.map(|id| format!("{id:x}")),
        member: standing.member_id.map(|id| format!("{id:x}")),
        endpoint: standing.endpoint,
        zones: standing.zones as u64,
        rrsets: standing.rrsets as u64,
        quarantined: quarantined as u64,
        quarantine,
        held: standing.held.map(|loss| Held {
            gone: loss.gone as u64,
            of: loss.of as u64,
            zones: standing.held_zones as u64,
            named: held,
        }),
        serials_behind: standing.serials_behind as u64,
        audit: standing.audit.map(|audit| Audit {
            age_ms: audit.at.elapsed().as_millis() as u64,
            revision: audit.revision,
            agrees: audit.agrees,
        }),
        snapshot: standing.snapshot,
        barriers: shared.barrier.rounds(),
        queries: shared
            .metrics
            .total(|counters: &Counters| &counters.queries),
        malformed,
        trouble: standing.trouble,
    }))
}

async fn digest(
    State(mut shared): State<Shared>,
    Query(wanted): Query<WaitQuery>,
    Query(at): Query<RevisionQuery>,
) -> Result<Json<DigestAt>, StatusCode> {
    // Without the last change before the revision, wait for the revision itself.
    let wanted = WaitQuery {
        min_revision: wanted.min_revision.or(Some(at.revision)),
        ..wanted
    };
    shared.wait(&wanted, |standing| standing.received).await;
    let has_come = shared.served.standing.borrow().received >= wanted.min_revision;
    let digest = shared
        .read(move |builder| builder.digest_at(at.revision))
        .await?;
    Ok(Json(DigestAt {
        revision: at.revision,
        digest: digest.filter(|_| has_come),
    }))
}

async fn serials(State(shared): State<Shared>) -> Result<Json<BTreeMap<Name, u32>>, StatusCode> {
    shared
        .read(|builder| builder.serials_behind())
        .await
        .map(Json)
}

async fn openmetrics(State(shared): State<Shared>) -> impl IntoResponse {
    let Shared {
        metrics,
        served,
        registered,
        ..
    } = shared;
    let registry = registry(metrics, served.standing, registered);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests;
