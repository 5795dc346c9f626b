//! DNS over HTTPS (RFC 8484), with HTTP/2 and HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::connections::{ConnectionLimits, Kept, Seat};
use super::handler::Handler;
use crate::answer::OCTETS_MAX;
use crate::message;

/// The protocols that the listener offers (ALPN), the preferred one first.
pub(super) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The media type of a DNS message (RFC 8484 6).
const DNS_MESSAGE: &str = "application/dns-message";

/// The most requests that a client may have open on one HTTP/2 connection.
const STREAMS_MAX: u32 = 32;

/// The longest head of a request, in octets. A query in a URL has at most about 700 after base64.
const HEAD_OCTETS: usize = 16 << 10;

/// How much a client may send on a connection before it is read, in octets.
const WINDOW: u32 = 64 << 10;

/// A long body goes out in parts of this many octets. The library keeps one for each stream whose client does not take it,
/// and that does not count for the connection.
const CHUNK: usize = 2 << 10;

/// How many octets of a body that is not wanted are read, and thrown away, before the client is told.
const DISCARDED_MAX: usize = 1 << 20;

/// How much is buffered for a client that does not accept it, for each stream, in octets.
const SEND_OCTETS: usize = 64 << 10;

/// What the listeners for HTTPS share.
#[derive(Clone)]
pub(super) struct Https {
    pub(super) handler: Arc<Handler>,
    /// The path at which queries are answered.
    pub(super) path: Arc<str>,
}

impl Https {
    /// Serves one connection, until it is idle for too long, the client closes it, or `stop` is cancelled.
    pub(super) async fn converse(
        &self,
        stream: TlsStream<TcpStream>,
        client: SocketAddr,
        seat: Arc<Seat>,
        limits: ConnectionLimits,
        stop: CancellationToken,
    ) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_buf_size(HEAD_OCTETS);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_OCTETS as u32)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_OCTETS);
        let service = service_fn(|request| {
            seat.mark_used();
            let (https, seat) = (self.clone(), seat.clone());
            async move {
                let query = timeout(limits.query, read(request, &https.path, &seat)).await;
                let response = match query {
                    Ok(Ok((query, _kept))) => https.answer(query, client).await,
                    Ok(Err(refusal)) => refusal.response(),
                    Err(_) => Refusal(StatusCode::REQUEST_TIMEOUT).response(),
                };
                Ok::<_, Infallible>(response.map(|octets| Held::new(octets, &seat, limits)))
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut is_last = false;
        loop {
            let end = match is_last {
                true => tokio::time::Instant::now() + limits.write,
                false => seat.last_used() + limits.idle,
            };
            tokio::select! {
                // Errors concern only this client.
                _ = connection.as_mut() => return,
                () = stop.cancelled(), if !is_last => {}
                () = sleep_until(end) => {
                    if is_last {
                        return;
                    }
                    if seat.last_used() + limits.idle > tokio::time::Instant::now() {
                        continue;
                    }
                }
            }
            connection.as_mut().graceful_shutdown();
            is_last = true;
        }
    }

    async fn answer(&self, query: Vec<u8>, client: SocketAddr) -> Response<Vec<u8>> {
        // A message without a response is not a query.
        let Some(octets) = self.handler.respond(query, client).await else {
            return Refusal(StatusCode::BAD_REQUEST).response();
        };
        // A cache may keep it no longer than its records (RFC 8484 5.1).
        let lifetime = format!("max-age={}", message::http_lifetime(&octets));
        let mut response = Response::new(octets);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
        if let Ok(lifetime) = HeaderValue::from_str(&lifetime) {
            headers.insert(CACHE_CONTROL, lifetime);
        }
        response
    }
}

/// The body of a response, which counts for its connection until the client has taken it.
struct Held {
    octets: Bytes,
    _kept: Kept,
    /// Dropped with the body, to tell that the client has taken it.
    _taken: Option<oneshot::Sender<()>>,
}

impl Held {
    /// A client that does not take a long body within the limit loses its connection: HTTP/2 lets it hold up one stream
    /// and use others.
    fn new(octets: Vec<u8>, seat: &Arc<Seat>, limits: ConnectionLimits) -> Self {
        let taken = (octets.len() > CHUNK).then(|| {
            let (sender, receiver) = oneshot::channel::<()>();
            let seat = seat.clone();
            tokio::spawn(async move {
                if timeout(limits.write, receiver).await.is_err() {
                    seat.dismiss();
                }
            });
            sender
        });
        Held {
            _kept: seat.keep(octets.len()),
            octets: octets.into(),
            _taken: taken,
        }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = self.octets.len().min(CHUNK);
        let chunk = self.octets.split_to(len);
        Poll::Ready((len > 0).then_some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.octets.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.octets.len() as u64)
    }
}

/// A request that is no DNS query.
struct Refusal(StatusCode);

impl Refusal {
    fn response(self) -> Response<Vec<u8>> {
        let text = self.0.canonical_reason().unwrap_or_default();
        let mut response = Response::new(format!("{text}\n").into_bytes());
        *response.status_mut() = self.0;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        if self.0 == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

/// The DNS message in a request (RFC 8484 4.1), and what it takes.
async fn read(
    request: Request<Incoming>,
    path: &str,
    seat: &Arc<Seat>,
) -> Result<(Vec<u8>, Option<Kept>), Refusal> {
    let (head, mut body) = request.into_parts();
    let read = if head.uri.path() != path {
        Err(Refusal(StatusCode::NOT_FOUND))
    } else {
        match head.method {
            Method::GET => {
                query_of(head.uri.query().unwrap_or_default()).map(|query| (query, None))
            }
            Method::POST if is_dns_message(&head.headers) => body_of(&mut body, seat).await,
            Method::POST => Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
            _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED)),
        }
    };
    if read.is_err() {
        // Some clients read nothing before they have sent all.
        let mut discarded = 0;
        while discarded < DISCARDED_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            discarded += frame.data_ref().map_or(0, Bytes::len);
        }
    }
    read
}

fn is_dns_message(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(DNS_MESSAGE)
}

/// The message in the variable `dns` of a URL.
fn query_of(variables: &str) -> Result<Vec<u8>, Refusal> {
    let mut messages = variables
        .split('&')
        .filter_map(|variable| variable.strip_prefix("dns="));
    let message = messages.next().ok_or(Refusal(StatusCode::BAD_REQUEST))?;
    // Padding is not allowed (RFC 8484 6), but harmless.
    BASE64URL_NOPAD
        .decode(message.trim_end_matches('=').as_bytes())
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST))
}

/// The message in a body.
async fn body_of(
    body: &mut Incoming,
    seat: &Arc<Seat>,
) -> Result<(Vec<u8>, Option<Kept>), Refusal> {
    let (mut message, mut kept) = (Vec::new(), seat.keep(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal(StatusCode::BAD_REQUEST))?;
        message.extend_from_slice(&frame.into_data().unwrap_or_default());
        kept.grow(message.len());
        if message.len() > OCTETS_MAX {
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }
    Ok((message, Some(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_in_a_url_is_base64url() {
        let read = |variables| query_of(variables).map_err(|Refusal(status)| status.as_u16());
        assert_eq!(read("dns=AAE_-w"), Ok(vec![0, 1, 63, 251]));
        assert_eq!(read("ct=x&dns=AAE_-w=="), Ok(vec![0, 1, 63, 251]));
        for bad in ["", "dns", "DNS=AAE_", "dns=AA+/", "dns=A", "xdns=AAE_"] {
            assert_eq!(read(bad), Err(400), "{bad}");
        }
    }
}
