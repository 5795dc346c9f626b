//! Faults of endpoints that do not go away by themselves.

use std::fmt;

/// Why no connection to an endpoint is possible until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointFault {
    /// The host name in the URL has no address.
    UnknownHost(String),
    /// The server's certificate is not signed by a trusted authority.
    UnknownIssuer {
        /// Where the trusted authorities come from.
        authorities: String,
    },
    /// The server's certificate is for other names.
    OtherName {
        /// The expected name.
        expected: String,
        /// The names in the certificate.
        presented: String,
    },
    /// The server's certificate is invalid for another reason, for example expired.
    BadCertificate(String),
    /// The server requires a client certificate, and none is given.
    NoIdentity,
    /// The server refuses the client certificate.
    IdentityRefused {
        /// The file that holds it.
        certificate: String,
        /// The TLS alert from the server.
        alert: String,
    },
    /// The URL is `https`, but the server does not speak TLS.
    NoTls,
    /// The URL is `http`, but the server speaks TLS.
    OnlyTls,
    /// Client and server have no TLS version or no cipher in common.
    Incompatible(String),
}

impl fmt::Display for EndpointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointFault::UnknownHost(reason) => {
                write!(f, "the host name cannot be resolved: {reason}")
            }
            EndpointFault::UnknownIssuer { authorities } => write!(
                f,
                "none of the authorities in {authorities} has signed its certificate"
            ),
            EndpointFault::OtherName {
                expected,
                presented,
            } => write!(
                f,
                "its certificate is for {presented} and not for {expected} (--tls-name says which name to expect)"
            ),
            EndpointFault::BadCertificate(reason) => {
                write!(f, "its certificate is not valid: {reason}")
            }
            EndpointFault::NoIdentity => f.write_str(
                "it asks for a client certificate, and none is given (--cert-file and --key-file)",
            ),
            EndpointFault::IdentityRefused { certificate, alert } => write!(
                f,
                "it refuses the client certificate in {certificate} ({alert}): that has to be signed for clients, by an \
                 authority that etcd trusts, and must not have expired"
            ),
            EndpointFault::NoTls => {
                f.write_str("it does not speak TLS: use http:// instead of https://")
            }
            EndpointFault::OnlyTls => f.write_str("it speaks TLS: use https:// instead of http://"),
            EndpointFault::Incompatible(reason) => {
                write!(f, "no version or cipher of TLS is common to both: {reason}")
            }
        }
    }
}
