//! Clients of the encrypted transports, and a certificate to serve them with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::dns::PATIENCE;

/// A self-signed certificate for `localhost` and 127.0.0.1, in files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one, or replaces one that is there.
    pub fn make(folder: &Path) -> Self {
        Self::make_until(folder, 4096)
    }

    /// Makes one that has expired, or replaces one that is there.
    pub fn make_expired(folder: &Path) -> Self {
        Self::make_until(folder, 2020)
    }

    fn make_until(folder: &Path, year: i32) -> Self {
        let names = ["localhost".to_string(), "127.0.0.1".to_string()];
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = date_time_ymd(year, 1, 1);
        let signing_key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        let made = Certificate {
            certificate: folder.join("dns.pem"),
            key: folder.join("dns.key"),
        };
        std::fs::write(&made.key, signing_key.serialize_pem()).expect("written");
        std::fs::write(&made.certificate, cert.pem()).expect("written");
        made
    }

    /// The options of `nsd` with this certificate.
    pub fn options(&self) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        vec![
            "--tls-cert".into(),
            path(&self.certificate),
            "--tls-key".into(),
            path(&self.key),
        ]
    }

    /// The settings of a client that trusts only this certificate, and speaks this protocol.
    fn client(&self, protocol: &[u8]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let pem = CertificateDer::from_pem_file(&self.certificate).expect("a certificate");
        roots.add(pem).expect("a sound certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    /// Opens a connection for DNS over TLS, or with another protocol (ALPN).
    pub async fn connect(
        &self,
        server: SocketAddr,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        self.handshake(stream, protocol).await
    }

    /// Begins TLS on a connection.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
        let connector = TlsConnector::from(Arc::new(self.client(protocol)));
        connector.connect(name, stream).await
    }

    /// Sends a message over TLS, and returns the response.
    pub async fn over_tls(&self, server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, String> {
        let exchange = async {
            let mut stream = self.connect(server, b"dot").await?;
            exchange_framed(&mut stream, message).await
        };
        in_time(exchange).await
    }

    /// Opens a QUIC connection.
    pub async fn connect_quic(&self, server: SocketAddr) -> Result<Quic, String> {
        let told = |error: &dyn std::fmt::Display| format!("{server} over QUIC: {error}");
        let crypto = QuicClientConfig::try_from(self.client(b"doq")).map_err(|e| told(&e))?;
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut endpoint = quinn::Endpoint::client(any).map_err(|error| told(&error))?;
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        let connecting = endpoint
            .connect(server, "localhost")
            .map_err(|e| told(&e))?;
        let connected = timeout(PATIENCE, connecting).await.map_err(|e| told(&e))?;
        let connection = connected.map_err(|error| told(&error))?;
        Ok(Quic {
            connection,
            _endpoint: endpoint,
        })
    }
}

/// A QUIC connection.
pub struct Quic {
    /// The connection.
    pub connection: quinn::Connection,
    _endpoint: quinn::Endpoint,
}

impl Quic {
    /// Sends a message on a stream of its own, and returns the response.
    pub async fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let exchange = async {
            let (mut send, mut receive) = self.connection.open_bi().await?;
            let len = (message.len() as u16).to_be_bytes();
            send.write_all(&[&len, message].concat()).await?;
            send.finish()?;
            let octets = receive.read_to_end(2 + 65_535).await;
            octets.map_err(std::io::Error::other)
        };
        let framed = in_time(exchange).await?;
        let (len, message) = framed.split_first_chunk().ok_or("an empty stream")?;
        if message.len() != usize::from(u16::from_be_bytes(*len)) {
            return Err(format!("a wrong length: {framed:02x?}"));
        }
        Ok(message.to_vec())
    }
}

/// Sends a message with its length in front over a stream, and receives the response.
pub async fn exchange_framed(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    message: &[u8],
) -> std::io::Result<Vec<u8>> {
    let len = (message.len() as u16).to_be_bytes();
    stream.write_all(&[&len, message].concat()).await?;
    stream.flush().await?;
    let mut response = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut response).await?;
    Ok(response)
}

/// What an exchange gives, or why it does not.
pub(crate) async fn in_time<T>(
    exchange: impl Future<Output = std::io::Result<T>>,
) -> Result<T, String> {
    let limit: Duration = PATIENCE;
    match timeout(limit, exchange).await {
        Ok(exchanged) => exchanged.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no response within {limit:?}")),
    }
}
