//! Listening, sockets and framing: UDP and TCP. What a request is answered with is decided in `answer`.

#[cfg(target_os = "linux")]
mod batch;
mod connections;
mod listen;
mod listen_error;
mod log_limit;
mod tcp;
mod udp;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

pub(crate) use connections::LEAVING_MAX;
pub use connections::{ConnectionLimits, Connections};
pub use listen::{Sockets, bind};
pub(crate) use listen_error::cannot_listen;

use crate::answer::Service;
use crate::metrics::Metrics;
use crate::supervisor::Supervisor;

/// Answers on these sockets until the supervisor ends.
pub fn serve(
    supervisor: &mut Supervisor,
    service: &Service,
    sockets: Sockets,
    connections: &Arc<Connections>,
    metrics: &Metrics,
) -> io::Result<()> {
    for sockets in sockets.udp {
        udp::start(supervisor, service, sockets, metrics)?;
    }
    for listener in sockets.tcp {
        let listener = Arc::new(TcpListener::from_std(listener)?);
        let (service, connections, counters) =
            (service.clone(), connections.clone(), metrics.tcp());
        supervisor.task("a TCP listener", move |stop| {
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
