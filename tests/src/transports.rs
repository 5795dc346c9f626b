//! All transports of a front-end, and a client of each.

use std::net::SocketAddr;

use nsd::answer::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::dns::{self, PATIENCE};
use crate::encrypted::{Certificate, Quic, exchange_framed, in_time};
use crate::{Frontend, TempDir, free_port};

/// Where a front-end answers over encrypted transports, and with which certificate.
pub struct Transports {
    /// The certificate.
    pub certificate: Certificate,
    /// DNS over TLS.
    pub tls: SocketAddr,
    /// DNS over HTTPS.
    pub https: SocketAddr,
    /// DNS over QUIC.
    pub quic: SocketAddr,
    connection: OnceCell<Quic>,
    _folder: TempDir,
}

impl Transports {
    /// Makes a certificate, and chooses free ports.
    pub fn choose() -> Self {
        let folder = TempDir::new();
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        Transports {
            certificate: Certificate::make(folder.path()),
            tls: address(),
            https: address(),
            quic: address(),
            connection: OnceCell::new(),
            _folder: folder,
        }
    }

    /// Starts a front-end that answers there, with more options.
    pub async fn start(&self, id: &str, endpoints: &[String], more: &[&str]) -> Frontend {
        let mut options = self.certificate.options();
        for (option, address) in [
            ("tls", self.tls),
            ("https", self.https),
            ("quic", self.quic),
        ] {
            options.extend([format!("--{option}-listen"), address.to_string()]);
        }
        let options = options
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied());
        let options: Vec<&str> = options.collect();
        Frontend::start(id, endpoints, &options).await
    }

    /// Sends a message over a transport, and returns the response. Its id must be 0: no other is allowed over QUIC (RFC
    /// 9250 4.2.1).
    pub async fn ask(
        &self,
        frontend: &Frontend,
        transport: Transport,
        message: &[u8],
    ) -> Result<Vec<u8>, String> {
        let response = match transport {
            Transport::Udp => dns::exchange_udp(frontend.dns, message, PATIENCE)
                .await
                .and_then(|response| response.ok_or("no response".into())),
            Transport::Tcp => {
                in_time(async {
                    let mut stream = TcpStream::connect(frontend.dns).await?;
                    exchange_framed(&mut stream, message).await
                })
                .await
            }
            Transport::Tls => self.certificate.over_tls(self.tls, message).await,
            Transport::Https => in_time(self.over_https(message)).await.and_then(body),
            Transport::Quic => {
                let connect = || self.certificate.connect_quic(self.quic);
                match self.connection.get_or_try_init(connect).await {
                    Ok(connection) => connection.exchange(message).await,
                    Err(error) => Err(error),
                }
            }
        };
        response.map_err(|error| format!("{transport:?}: {error}: {message:02x?}"))
    }

    /// One POST request by HTTP/1.1 (RFC 8484 4.1). Returns all that comes back.
    async fn over_https(&self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let head = format!(
            "POST /dns-query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/dns-message\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            message.len()
        );
        let connected = self.certificate.connect(self.https, b"http/1.1").await;
        let mut stream = connected?;
        stream
            .write_all(&[head.as_bytes(), message].concat())
            .await?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await?;
        Ok(response)
    }
}

/// The body of a response by HTTP/1.1 that is a success and says how long its body is.
fn body(response: Vec<u8>) -> Result<Vec<u8>, String> {
    let end = response.windows(4).position(|part| part == b"\r\n\r\n");
    let (head, body) = response.split_at(end.ok_or("no head")? + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = format!("content-length: {}\r\n", body.len());
    if !head.starts_with("http/1.1 200 ") || !head.contains(&length) {
        return Err(format!("{head}{} octets", body.len()));
    }
    Ok(body.to_vec())
}
