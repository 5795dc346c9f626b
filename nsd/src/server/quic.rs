//! DNS over dedicated QUIC connections (RFC 9250).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, ReadError, RecvStream, SendStream, VarInt,
    WriteError,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::FRAME_MAX;
use super::connections::{ConnectionLimits, Connections, Seat};
use super::handler::Handler;
use crate::message;

/// The protocol that the listener offers (ALPN).
pub(super) const PROTOCOLS: [&[u8]; 1] = [b"doq"];

/// The most queries that a client may have open on one connection.
const STREAMS_MAX: u32 = 32;

/// How much a client may send on a connection before it is read, and how much is kept for one that does not accept it, in
/// octets: a long message, at least.
const WINDOW: u32 = 72 << 10;

/// How many handshakes may wait for a seat, and how many octets of them.
const INCOMING_MAX: usize = 1024;
const INCOMING_OCTETS: u64 = 2 << 20;

/// Error codes (RFC 9250 8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// A socket for QUIC.
pub(super) fn listen(
    socket: UdpSocket,
    tls: ServerConfig,
    limits: ConnectionLimits,
) -> io::Result<Endpoint> {
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    let idle = limits.idle.try_into().map_err(io::Error::other)?;
    transport
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(WINDOW.into())
        .receive_window(WINDOW.into())
        .send_window(WINDOW.into())
        .max_idle_timeout(Some(idle));
    config
        // Access lists and seats are for the address that a connection began with.
        .migration(false)
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size_total(INCOMING_OCTETS);
    let runtime = Arc::new(quinn::TokioRuntime);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)
}

/// Accepts connections until `stop` is cancelled; then answers what has come, within the grace period of the limits.
pub(super) async fn serve(
    endpoint: Endpoint,
    handler: Arc<Handler>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let open = TaskTracker::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = stop.cancelled() => break,
        };
        let Some(incoming) = incoming else { break };
        // When seats are scarce, a client has to show that it receives at its address: spoofed packets take none.
        if connections.is_busy() && !incoming.remote_address_validated() {
            // It fails only for a client that has sent a token already.
            let _ = incoming.retry();
            continue;
        }
        let seat = connections.seat(incoming.remote_address().ip()).await;
        let (handler, limits, stop) = (handler.clone(), connections.limits, stop.clone());
        open.spawn(async move {
            let mut dismissed = pin!(seat.dismissed());
            let begun = tokio::select! {
                begun = begin(incoming, &handler, limits) => begun,
                () = &mut dismissed => None,
            };
            let Some(connection) = begun else { return };
            let seat = Arc::new(seat);
            let code = tokio::select! {
                biased;
                code = converse(&connection, &handler, &seat, limits, &stop) => code,
                () = dismissed => EXCESSIVE_LOAD,
            };
            connection.close(code, b"");
        });
    }
    open.close();
    let limit = connections.limits.drain;
    let _ = timeout(limit, open.wait()).await;
    endpoint.close(NO_ERROR, b"");
    let _ = timeout(Duration::from_millis(100), endpoint.wait_idle()).await;
}

/// Waits for the handshake of a connection.
async fn begin(
    incoming: Incoming,
    handler: &Handler,
    limits: ConnectionLimits,
) -> Option<Connection> {
    match timeout(limits.handshake, incoming).await {
        Ok(Ok(connection)) => Some(connection),
        _ => {
            let failed = &handler.counters.handshakes_failed;
            failed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

/// Answers the queries of a connection, each on its stream, until the client ends it, it is idle for too long, or `stop` is
/// cancelled. Returns the code to close it with.
async fn converse(
    connection: &Connection,
    handler: &Arc<Handler>,
    seat: &Arc<Seat>,
    limits: ConnectionLimits,
    stop: &CancellationToken,
) -> VarInt {
    let client = connection.remote_address();
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            // In this order what has come before the end is answered.
            biased;
            Some(ended) = open.join_next() => {
                // After a panic the stream is reset, and the others go on.
                if let Ok(Err(code)) = ended {
                    return code;
                }
            }
            accepted = connection.accept_bi() => {
                let Ok((send, receive)) = accepted else { return NO_ERROR };
                let (handler, seat) = (handler.clone(), seat.clone());
                open.spawn(async move {
                    exchange(send, receive, client, &handler, &seat, limits).await
                });
            }
            () = sleep_until(seat.last_used() + limits.idle), if open.is_empty() => {
                if seat.last_used() + limits.idle <= Instant::now() {
                    return NO_ERROR;
                }
            }
            () = stop.cancelled() => break,
        }
    }
    while let Some(ended) = open.join_next().await {
        if let Ok(Err(code)) = ended {
            return code;
        }
    }
    NO_ERROR
}

/// Reads a query from a stream, and writes the response. An error is the code to close the connection with; a client that
/// resets the stream, or is too slow, loses only that.
async fn exchange(
    send: SendStream,
    mut receive: RecvStream,
    client: SocketAddr,
    handler: &Handler,
    seat: &Arc<Seat>,
    limits: ConnectionLimits,
) -> Result<(), VarInt> {
    let mut send = Sending(send);
    let (mut frame, mut kept) = (Vec::new(), seat.keep(0));
    let read = async {
        while let Some(chunk) = receive.read_chunk(FRAME_MAX, true).await? {
            frame.extend_from_slice(&chunk.bytes);
            kept.grow(frame.len());
            if frame.len() > FRAME_MAX {
                break;
            }
        }
        Ok::<_, ReadError>(())
    };
    match timeout(limits.query, read).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Ok(()),
        Err(_) => {
            let _ = receive.stop(EXCESSIVE_LOAD);
            return Ok(());
        }
    }
    let query = message_of(&frame).ok_or(PROTOCOL_ERROR)?;
    // QUIC has an idle time of its own; a client must not ask for that of TCP (RFC 9250 5.5.2).
    if message::parse(query).is_ok_and(|query| query.edns.is_some_and(|edns| edns.wants_keepalive))
    {
        return Err(PROTOCOL_ERROR);
    }
    seat.mark_used();
    frame.drain(..2);
    // A message without a response is not a query.
    let response = handler.respond(frame, client).await;
    let response = response.ok_or(PROTOCOL_ERROR)?;
    kept.grow(response.len());
    let len = (response.len() as u16).to_be_bytes();
    let written = async {
        send.0.write_all(&len).await?;
        send.0.write_all(&response).await?;
        let _ = send.0.finish();
        // Returns once the client has received all of it.
        let _ = send.0.stopped().await;
        Ok::<_, WriteError>(())
    };
    let _ = timeout(limits.write, written).await;
    Ok(())
}

/// A stream to a client. Dropped before the client has received all of it, it is reset: otherwise it would end as if all had
/// been sent.
struct Sending(SendStream);

impl Drop for Sending {
    fn drop(&mut self) {
        // An error says that nothing is left to reset.
        let _ = self.0.reset(EXCESSIVE_LOAD);
    }
}

/// The message in a stream: its length is right, and its id is 0 (RFC 9250 4.2, 4.2.1).
fn message_of(frame: &[u8]) -> Option<&[u8]> {
    let (len, message) = frame.split_first_chunk()?;
    let is_whole = message.len() == usize::from(u16::from_be_bytes(*len));
    (is_whole && message.starts_with(&[0, 0])).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_message_with_id_0() {
        assert_eq!(message_of(b"\0\x03\0\0x"), Some(&b"\0\0x"[..]));
        for bad in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"\0\x03\0\0",
            b"\0\x02\0\0x",
            b"\0\x03\0\x01x",
        ] {
            assert_eq!(message_of(bad), None, "{bad:?}");
        }
    }
}
