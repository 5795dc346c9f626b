//! Finds out why connections to an endpoint fail, if the cause does not go away by itself.
//!
//! etcd-client connects lazily, and often reports the last thing that broke ("broken pipe") instead of the cause (the
//! server refused the certificate). So a failed connection is repeated here step by step: name, TCP, TLS, first HTTP/2
//! frame.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::{Config, EndpointFault, StoreError, Tls};

/// The first octets from an HTTP/2 client (RFC 9113 3.4): the preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The type of a SETTINGS frame, the first frame from a server.
const SETTINGS: u8 = 4;

/// How long to wait for a refusal before sending anything. TLS 1.3 servers refuse a client certificate only after the
/// handshake, and data sent to a connection that is already closed would discard their alert.
const REFUSAL: Duration = Duration::from_millis(300);

impl Config {
    /// Repeats a failed connection to find out what has to be changed. None if there is no such fault, or it cannot be
    /// found out.
    pub(crate) async fn diagnose(&self, endpoint: &str) -> Option<StoreError> {
        if self.simulated.is_some() {
            return None;
        }
        let found = timeout(self.connect_timeout, fault(&self.tls, endpoint)).await;
        found.ok().flatten().map(|fault| StoreError::Fault {
            endpoint: endpoint.into(),
            fault,
        })
    }

    /// Diagnoses all endpoints. Returns an error if each has a fault; otherwise the fault of one of them, if any.
    pub(super) async fn diagnose_all(&self) -> Result<Option<StoreError>, StoreError> {
        let mut asked = tokio::task::JoinSet::new();
        for endpoint in self.urls() {
            let config = self.clone();
            asked.spawn(async move { config.diagnose(&endpoint).await });
        }
        let (mut first, mut may_work) = (None, false);
        while let Some(found) = asked.join_next().await {
            match found {
                Ok(Some(found)) => drop(first.get_or_insert(found)),
                _ => may_work = true,
            }
        }
        match first {
            Some(fault) if !may_work => Err(fault),
            first => Ok(first),
        }
    }
}

/// Looks for a fault of an endpoint.
async fn fault(tls: &Tls, endpoint: &str) -> Option<EndpointFault> {
    let (scheme, authority) = endpoint.split_once("://")?;
    let (host, _) = authority.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Err(error) = lookup_host(authority).await {
        let reason = error.to_string();
        return is_unknown_host(&reason).then_some(EndpointFault::UnknownHost(reason));
    }
    if scheme == "http" {
        if speaks_http2(TcpStream::connect(authority).await.ok()?).await {
            return None;
        }
        let speaks_tls = match shake_hands(tls, host, authority).await? {
            Ok(_) => true,
            Err(error) => matches!(
                tls_error(&error),
                Some(Error::InvalidCertificate(_) | Error::AlertReceived(_))
            ),
        };
        return speaks_tls.then_some(EndpointFault::OnlyTls);
    }
    let error = match shake_hands(tls, host, authority).await? {
        Ok(stream) => refusal(stream).await?,
        Err(error) => error,
    };
    if let Some(error) = tls_error(&error)
        && let Some(fault) = from_tls(error, tls, host)
    {
        return Some(fault);
    }
    speaks_http2(TcpStream::connect(authority).await.ok()?)
        .await
        .then_some(EndpointFault::NoTls)
}

/// Whether a resolver's error says that the host does not exist. All other errors, such as a resolver that does not
/// answer, may be temporary. The standard library keeps only the text of `getaddrinfo`'s error: these are the texts for
/// EAI_NONAME and EAI_NODATA.
fn is_unknown_host(reason: &str) -> bool {
    [
        // glibc
        "Name or service not known",
        "No address associated with hostname",
        // musl
        "Name does not resolve",
        "Name has no usable address",
        // macOS and the BSDs
        "nodename nor servname provided, or not known",
    ]
    .iter()
    .any(|text| reason.ends_with(text))
}

/// Connects and does the TLS handshake. None if there is no TCP connection or no valid TLS configuration.
async fn shake_hands(
    tls: &Tls,
    host: &str,
    authority: &str,
) -> Option<io::Result<TlsStream<TcpStream>>> {
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let (name, config) = (ServerName::try_from(name).ok()?, tls.client_config().ok()?);
    let stream = TcpStream::connect(authority).await.ok()?;
    let connector = TlsConnector::from(Arc::new(config));
    Some(connector.connect(name, stream).await)
}

/// Whether a server answers with HTTP/2.
async fn speaks_http2(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> bool {
    let mut header = [0; 9];
    stream.write_all(PREFACE).await.is_ok()
        && stream.read_exact(&mut header).await.is_ok()
        && header[3] == SETTINGS
}

/// The error with which a server closes a connection after the handshake; none if it keeps it open.
async fn refusal(mut stream: TlsStream<TcpStream>) -> Option<io::Error> {
    let mut octet = [0; 1];
    match timeout(REFUSAL, stream.read(&mut octet)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => match stream.write_all(PREFACE).await {
            Ok(()) => stream.read(&mut octet).await.err(),
            Err(error) => Some(error),
        },
    }
}

/// The TLS error inside a connection error.
fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn from_tls(error: &Error, tls: &Tls, host: &str) -> Option<EndpointFault> {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Some(EndpointFault::UnknownIssuer {
                authorities: tls.authorities(),
            })
        }
        Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented, ..
        }) => Some(EndpointFault::OtherName {
            expected: tls.server_name.as_deref().unwrap_or(host).into(),
            presented: match presented.is_empty() {
                true => "no name".into(),
                false => presented.join(", "),
            },
        }),
        Error::InvalidCertificate(reason) => {
            Some(EndpointFault::BadCertificate(reason.to_string()))
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            Some(EndpointFault::Incompatible(error.to_string()))
        }
        Error::AlertReceived(alert) => match &tls.identity {
            // Old releases of Go send "bad certificate" if there is none at all.
            None if is_of_certificate(*alert) => Some(EndpointFault::NoIdentity),
            Some((certificate, _)) if is_of_certificate(*alert) => {
                Some(EndpointFault::IdentityRefused {
                    certificate: certificate.display().to_string(),
                    alert: error.to_string(),
                })
            }
            _ => None,
        },
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            Some(EndpointFault::Incompatible(error.to_string()))
        }
        _ => None,
    }
}

/// Whether this alert is about the client certificate: it is refused, or missing.
fn is_of_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::CertificateRequired
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_that_does_not_exist_is_a_fault() {
        let told = |reason: &str| format!("failed to lookup address information: {reason}");
        for reason in [
            "Name or service not known",
            "No address associated with hostname",
            "Name does not resolve",
            "Name has no usable address",
            "nodename nor servname provided, or not known",
        ] {
            assert!(is_unknown_host(&told(reason)), "{reason}");
        }
        for reason in [
            "Temporary failure in name resolution",
            "Non-recoverable failure in name resolution",
            "Memory allocation failure",
            "Try again",
            "Unrecoverable error",
            "Out of memory",
        ] {
            assert!(!is_unknown_host(&told(reason)), "{reason}");
        }
        // EAI_SYSTEM is reported as an error of the operating system.
        let error = io::Error::from_raw_os_error(24);
        assert!(!is_unknown_host(&error.to_string()), "{error}");
    }
}
