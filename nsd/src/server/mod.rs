//! Listening, sockets and framing of all transports. What a request is answered with is decided in `answer`.

#[cfg(target_os = "linux")]
mod batch;
mod connections;
mod handler;
mod https;
mod listen;
mod listen_error;
mod log_limit;
mod quic;
mod tcp;
mod tls;
mod udp;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) use connections::LEAVING_MAX;
pub use connections::{ConnectionLimits, Connections};
pub use listen::{EncryptedAddresses, Sockets, bind};
pub(crate) use listen_error::cannot_listen;
pub use tls::Certificate;

use crate::answer::{OCTETS_MAX, Service, Transport};
use crate::metrics::{Counters, Metrics};
use crate::supervisor::Supervisor;
use handler::Handler;
use https::Https;
use tcp::{StreamListener, StreamProtocol};

/// The longest message with its length in front.
const FRAME_MAX: usize = 2 + OCTETS_MAX;

/// What the encrypted transports need.
pub struct Encryption {
    /// What clients are shown.
    pub certificate: Certificate,
    /// The path at which HTTPS answers queries.
    pub https_path: String,
}

/// Answers on these sockets until the supervisor ends. Without `encryption` those for encrypted transports are not served.
pub fn serve(
    supervisor: &mut Supervisor,
    service: &Service,
    sockets: Sockets,
    connections: &Arc<Connections>,
    encryption: Option<&Encryption>,
    metrics: &Metrics,
) -> io::Result<()> {
    for sockets in sockets.udp {
        udp::start(supervisor, service, sockets, metrics)?;
    }
    let mut start = |listener, protocol: StreamProtocol, counters: Arc<Counters>| {
        let what = protocol.what();
        let listener = StreamListener {
            listener: Arc::new(TcpListener::from_std(listener)?),
            protocol,
        };
        let (service, connections) = (service.clone(), connections.clone());
        supervisor.task(what, move |stop| {
            let (service, connections) = (service.clone(), connections.clone());
            tcp::serve(
                service,
                listener.clone(),
                connections,
                counters.clone(),
                stop,
            )
        });
        io::Result::Ok(())
    };
    for listener in sockets.tcp {
        start(listener, StreamProtocol::Tcp, metrics.tcp())?;
    }
    let Some(encryption) = encryption else {
        return Ok(());
    };
    let tls = |protocols| {
        let config = tls::server_config(&encryption.certificate, protocols);
        config.map_err(io::Error::other)
    };
    let handler = |transport, counters| {
        Arc::new(Handler {
            service: service.clone(),
            transport,
            counters,
        })
    };
    let acceptor = TlsAcceptor::from(Arc::new(tls(&[b"dot"])?));
    for listener in sockets.tls {
        start(
            listener,
            StreamProtocol::Tls(acceptor.clone()),
            metrics.tls(),
        )?;
    }
    let acceptor = TlsAcceptor::from(Arc::new(tls(&https::PROTOCOLS)?));
    let https = Https {
        handler: handler(Transport::Https, metrics.https()),
        path: encryption.https_path.as_str().into(),
    };
    for listener in sockets.https {
        let protocol = StreamProtocol::Https(acceptor.clone(), https.clone());
        start(listener, protocol, metrics.https())?;
    }
    for socket in sockets.quic {
        let endpoint = quic::listen(socket, tls(&quic::PROTOCOLS)?, connections.limits)?;
        let handler = handler(Transport::Quic, metrics.quic());
        let connections = connections.clone();
        supervisor.task("a QUIC socket", move |stop| {
            let (handler, connections) = (handler.clone(), connections.clone());
            quic::serve(endpoint.clone(), handler, connections, stop)
        });
    }
    Ok(())
}
