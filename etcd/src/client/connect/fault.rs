//! Why connections to an endpoint fail, where that cannot heal by itself.

use std::fmt;

/// Why no connection to an endpoint comes about until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host in the URL has no address.
    UnknownHost(String),
    /// None of the authorities that we trust has signed the server's certificate.
    UnknownIssuer {
        /// Where these authorities come from.
        authorities: String,
    },
    /// The server's certificate is for other names.
    OtherName {
        /// The name that was looked for.
        expected: String,
        /// The names that it is for.
        presented: String,
    },
    /// The server's certificate is no good in another way, as when it has expired.
    BadCertificate(String),
    /// The server asks for a client certificate, and none is given.
    NoIdentity,
    /// The server does not accept our certificate.
    IdentityRefused {
        /// The file of the certificate.
        certificate: String,
        /// What the server says.
        alert: String,
    },
    /// The URL says https, and the server talks in clear.
    NoTls,
    /// The URL says http, and the server talks TLS.
    OnlyTls,
    /// Client and server have no version of TLS, or no cipher, in common.
    Incompatible(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::UnknownHost(reason) => write!(f, "the host name cannot be resolved: {reason}"),
            Fault::UnknownIssuer { authorities } => write!(
                f,
                "none of the authorities in {authorities} has signed its certificate"
            ),
            Fault::OtherName {
                expected,
                presented,
            } => write!(
                f,
                "its certificate is for {presented} and not for {expected} (--tls-name says which name to expect)"
            ),
            Fault::BadCertificate(reason) => write!(f, "its certificate is not valid: {reason}"),
            Fault::NoIdentity => f.write_str(
                "it asks for a client certificate, and none is given (--cert-file and --key-file)",
            ),
            Fault::IdentityRefused { certificate, alert } => write!(
                f,
                "it refuses the client certificate in {certificate} ({alert}): that has to be signed for clients, by an \
                 authority that etcd trusts, and must not have expired"
            ),
            Fault::NoTls => f.write_str("it does not speak TLS: use http:// instead of https://"),
            Fault::OnlyTls => f.write_str("it speaks TLS: use https:// instead of http://"),
            Fault::Incompatible(reason) => {
                write!(f, "no version or cipher of TLS is common to both: {reason}")
            }
        }
    }
}
