//! HTTP connections: one request each, a limited number at once, and none that stalls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::WAIT_MAX;

/// The most connections at once.
pub(crate) const CONNECTIONS_MAX: usize = 256;

/// Limits on connections, and on slow clients.
#[derive(Clone, Copy)]
pub(super) struct HttpLimits {
    /// The most connections at once. Others wait until one of them ends.
    pub(super) connections: usize,
    /// How long the head of a request may take.
    pub(super) head: Duration,
    /// How long a connection may go without an octet being written, because the request is still handled or the client
    /// does not read. A stall is noticed within twice that time.
    pub(super) stall: Duration,
    /// Grace period for requests in flight at shutdown.
    pub(super) drain: Duration,
}

impl HttpLimits {
    pub(super) fn new(drain: Duration) -> Self {
        HttpLimits {
            connections: CONNECTIONS_MAX,
            head: Duration::from_secs(5),
            // As long as a request may wait for a revision, and a little more.
            stall: WAIT_MAX.saturating_add(Duration::from_secs(10)),
            drain,
        }
    }
}

/// The size of the buffer for a request. The head has to fit; bodies are not read.
const BUFFER_OCTETS: usize = 16 << 10;

/// The pause after a connection could not be accepted, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled, then answers the requests that have come.
pub(super) async fn serve(
    limits: HttpLimits,
    listener: Arc<TcpListener>,
    router: Router,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_OCTETS)
        .keep_alive(false);
    let seats = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let next = async {
            // Nobody closes the semaphore.
            let seat = seats.clone().acquire_owned().await.ok();
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
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
        let written = Arc::new(AtomicUsize::new(0));
        let stream = Counted {
            stream,
            written: written.clone(),
        };
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // A client that closes its connection is nothing to log.
                _ = connection => {}
                () = stalls(&written, limits.stall) => {}
            }
            drop(seat);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(limits.drain, open.shutdown()).await;
}

/// Returns once nothing was written for `limit`, or for up to twice as long.
async fn stalls(written: &AtomicUsize, limit: Duration) {
    loop {
        let before = written.load(Ordering::Relaxed);
        tokio::time::sleep(limit).await;
        if written.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// A connection that counts the octets that its client has accepted.
struct Counted {
    stream: TcpStream,
    written: Arc<AtomicUsize>,
}

impl Counted {
    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(octets)) = written {
            self.written.fetch_add(octets, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
