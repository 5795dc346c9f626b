//! The admin listener: HTTP for probes, operators and `nsctl`.
//!
//! - `/healthz`: 200 as long as the process works.
//! - `/readyz`: 200 once the first sync is done, 503 before.
//! - `/status`: JSON. With `?min_revision=N&timeout_ms=M` it answers when revision N is served, or after M ms.
//! - `/metrics`: OpenMetrics.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::{Counters, Metrics, registry};
use crate::mirror::Freshness;
use crate::server::Barrier;

/// The longest that `/status` waits.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What `/status` says.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Name in the fleet.
    pub id: String,
    /// Version of the program.
    pub version: &'static str,
    /// Whether the first sync is done.
    pub ready: bool,
    /// The revision served.
    pub applied: Option<i64>,
    /// Milliseconds since the copy was last proved complete.
    pub fresh_age_ms: Option<u64>,
    /// Whether the watch is established.
    pub watching: bool,
    /// The etcd endpoint in use.
    pub endpoint: String,
    /// The id of the member there.
    pub member: Option<String>,
    /// Zones served.
    pub zones: usize,
    /// RRsets served.
    pub rrsets: usize,
    /// Keys whose values cannot be used.
    pub quarantined: usize,
    /// How often etcd was asked for `linearizable` answers.
    pub barriers: u64,
    /// Messages received.
    pub queries: u64,
    /// Messages that were no queries.
    pub malformed: u64,
    /// What is wrong, if something is.
    pub trouble: Option<String>,
}

#[derive(Clone)]
struct Shared {
    id: Arc<str>,
    metrics: Metrics,
    freshness: watch::Receiver<Freshness>,
    barrier: Barrier,
    registry: Arc<Registry>,
}

#[derive(Deserialize)]
struct Wanted {
    min_revision: Option<i64>,
    timeout_ms: Option<u64>,
}

/// Serves until `stop` comes true.
pub async fn serve(
    listener: TcpListener,
    id: &str,
    metrics: Metrics,
    freshness: watch::Receiver<Freshness>,
    barrier: Barrier,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let registry = Arc::new(registry(metrics.clone(), freshness.clone()));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(openmetrics))
        .with_state(Shared {
            id: id.into(),
            metrics,
            freshness,
            barrier,
            registry,
        });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.freshness.borrow().ready {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not synced yet\n")
    }
}

async fn status(State(mut shared): State<Shared>, Query(wanted): Query<Wanted>) -> Json<Status> {
    if let Some(revision) = wanted.min_revision {
        let limit = Duration::from_millis(wanted.timeout_ms.unwrap_or(0)).min(WAIT_MAX);
        let served = shared
            .freshness
            .wait_for(|freshness| freshness.applied >= Some(revision));
        // Over time, the status tells as much.
        let _ = tokio::time::timeout(limit, served).await;
    }
    let freshness = shared.freshness.borrow().clone();
    Json(Status {
        id: shared.id.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        ready: freshness.ready,
        applied: freshness.applied,
        fresh_age_ms: freshness.age().map(|age| age.as_millis() as u64),
        watching: freshness.watching,
        member: freshness.member_id.map(|id| format!("{id:x}")),
        endpoint: freshness.endpoint,
        zones: freshness.zones,
        rrsets: freshness.rrsets,
        quarantined: freshness.quarantined,
        barriers: shared.barrier.rounds(),
        queries: shared
            .metrics
            .total(|counters: &Counters| &counters.queries),
        malformed: shared
            .metrics
            .total(|counters: &Counters| &counters.malformed),
        trouble: freshness.trouble,
    })
}

async fn openmetrics(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
