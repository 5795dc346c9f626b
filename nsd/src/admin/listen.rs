//! HTTP connections: one request each, so many at once, and none for ever.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::warn;

use super::WAIT_MAX;

/// Connections at most.
pub(crate) const CONNECTIONS_MAX: usize = 256;

/// Limits that keep clients from taking everything.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at most. More wait until one of them ends.
    pub(super) connections: usize,
    /// How long the head of a request may take.
    pub(super) head: Duration,
    /// How long a connection may last: it is for one request.
    pub(super) request: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Limits = Limits {
        connections: CONNECTIONS_MAX,
        head: Duration::from_secs(5),
        // As long as one may wait for a revision, and a little more.
        request: WAIT_MAX.saturating_add(Duration::from_secs(10)),
    };
}

/// How many octets of a request are kept. Its head has to fit; bodies are not read.
const BUFFER_OCTETS: usize = 16 << 10;

/// How long it waits after a connection could not be accepted, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` comes true, and then until those who have asked are answered.
pub(super) async fn serve(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_OCTETS)
        .keep_alive(false);
    let seats = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // Nobody closes the semaphore.
            let seat = seats.clone().acquire_owned().await.ok();
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the admin listener cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // What a client does to its own connection is no news.
            let _ = tokio::time::timeout(limits.request, connection).await;
            drop(seat);
        });
    }
    drop(listener);
    open.shutdown().await;
}
