//! The certificate that the encrypted transports show, and the settings of their TLS.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig};

/// The certificate and its key. Clones share them. A new pair is shown to clients that connect from then on; connections
/// that are open do not notice.
#[derive(Clone, Debug)]
pub struct Certificate(Arc<ArcSwap<CertifiedKey>>);

impl Certificate {
    /// Shows this pair.
    pub fn new(pair: CertifiedKey) -> Self {
        Certificate(Arc::new(ArcSwap::from_pointee(pair)))
    }

    /// Shows another pair from now on.
    pub fn replace(&self, pair: CertifiedKey) {
        self.0.store(Arc::new(pair));
    }

    /// The pair in use.
    pub fn pair(&self) -> Arc<CertifiedKey> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Certificate {
    /// The same pair whatever name the client asks for, or if it asks for none (RFC 7858 4.1).
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

/// The settings for servers that speak one of these protocols (ALPN). A client that offers only others is refused with
/// the alert of RFC 7301 3.2; one that offers none is served.
///
/// Sessions are resumed with tickets, which the client keeps: they take no memory here. No data is taken before the end
/// of the handshake (0-RTT): it could be replayed.
pub(super) fn server_config(
    certificate: &Certificate,
    protocols: &[&[u8]],
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate.clone()));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}
