//! Listening, sockets and framing: UDP and TCP. What a request is answered with is decided in `answer`.

#[cfg(target_os = "linux")]
mod batch;
mod connections;
mod listen;
mod listen_error;
mod log_limit;
mod tcp;
mod tls;
mod udp;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) use connections::LEAVING_MAX;
pub use connections::{ConnectionLimits, Connections};
pub use listen::{Sockets, bind};
pub(crate) use listen_error::cannot_listen;
pub use tls::Certificate;

use crate::answer::Service;
use crate::metrics::Metrics;
use crate::supervisor::Supervisor;
use tcp::StreamListener;

/// Answers on these sockets until the supervisor ends.
pub fn serve(
    supervisor: &mut Supervisor,
    service: &Service,
    sockets: Sockets,
    connections: &Arc<Connections>,
    certificate: Option<&Certificate>,
    metrics: &Metrics,
) -> io::Result<()> {
    for sockets in sockets.udp {
        udp::start(supervisor, service, sockets, metrics)?;
    }
    let tcp = sockets.tcp.into_iter().map(|listener| (listener, None));
    let mut listeners: Vec<_> = tcp.collect();
    if let Some(certificate) = certificate {
        let config = tls::server_config(certificate, &[b"dot"]).map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = sockets.tls.into_iter();
        listeners.extend(tls.map(|listener| (listener, Some(acceptor.clone()))));
    }
    for (listener, tls) in listeners {
        let (what, counters) = match tls {
            Some(_) => ("a TLS listener", metrics.tls()),
            None => ("a TCP listener", metrics.tcp()),
        };
        let listener = StreamListener {
            listener: Arc::new(TcpListener::from_std(listener)?),
            tls,
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
    }
    Ok(())
}
