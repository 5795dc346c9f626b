//! Errors of requests to etcd.

use std::fmt;
use std::sync::Arc;

use tokio::task::JoinError;

use super::EndpointFault;
use crate::mirror::Failure;
use crate::schema::Unreadable;

/// Why a request to the store failed.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// No endpoint answered. Holds the last error.
    Unreachable(String),
    /// The member at this endpoint does not have the revision yet.
    Behind(String),
    /// No connection to this endpoint is possible until somebody changes something.
    Fault {
        /// Its URL.
        endpoint: String,
        /// The fault.
        fault: EndpointFault,
    },
    /// The user or the password is wrong or missing.
    Unauthenticated(String),
    /// The user lacks the permission.
    Denied(String),
    /// The revision has been compacted.
    Compacted,
    /// The store is full and takes no writes (NOSPACE alarm).
    Full,
    /// Another front-end uses this key.
    Taken(String),
    /// A value that is needed cannot be read.
    Unreadable(Unreadable),
    /// etcd refuses the request for another reason.
    Refused(String),
    /// The lease has expired.
    LeaseExpired,
    /// Another front-end is writing this key at the same time.
    Contended(String),
    /// A task of this program panicked, or was cancelled.
    Panicked(Arc<JoinError>),
    /// A local setting does not work.
    Config(String),
}

// gRPC status codes.
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;
const UNAUTHENTICATED: i32 = 16;

impl StoreError {
    pub(crate) fn timeout(endpoint: &str) -> Self {
        StoreError::Unreachable(format!("{endpoint}: no answer in time"))
    }

    /// The TLS settings do not work.
    pub(super) fn unusable(error: &etcd_client::Error) -> Self {
        let cause = innermost(error).unwrap_or_else(|| error.to_string());
        StoreError::Config(format!("cannot set up TLS towards etcd: {cause}"))
    }

    pub(crate) fn from_etcd(error: etcd_client::Error, endpoint: &str) -> Self {
        let etcd_client::Error::GRpcStatus(status) = &error else {
            return match error {
                etcd_client::Error::InvalidArgs(_) | etcd_client::Error::InvalidUri(_) => {
                    StoreError::Config(error.to_string())
                }
                _ => {
                    let cause = innermost(&error).unwrap_or_else(|| error.to_string());
                    StoreError::Unreachable(format!("{endpoint}: {cause}"))
                }
            };
        };
        let cause = innermost(&error);
        StoreError::from_status(status.code() as i32, status.message(), cause, endpoint)
    }

    /// Maps a gRPC status. `cause` is the innermost error, if there is one.
    fn from_status(code: i32, message: &str, cause: Option<String>, endpoint: &str) -> Self {
        let message = message.trim_start_matches("etcdserver: ").to_string();
        match code {
            OUT_OF_RANGE if message.contains("compacted") => StoreError::Compacted,
            RESOURCE_EXHAUSTED if message.contains("space exceeded") => StoreError::Full,
            NOT_FOUND if message.contains("lease not found") => StoreError::LeaseExpired,
            PERMISSION_DENIED => StoreError::Denied(message),
            UNAUTHENTICATED => StoreError::unauthenticated(&message),
            // etcd uses these codes for authentication errors and for others.
            INVALID_ARGUMENT | FAILED_PRECONDITION
                if [
                    "authentication",
                    "auth store",
                    "user name",
                    "user ID",
                    "auth token",
                ]
                .iter()
                .any(|hint| message.contains(hint)) =>
            {
                StoreError::unauthenticated(&message)
            }
            // A learner does not answer; other members do. Releases before 3.6 return Unavailable instead.
            FAILED_PRECONDITION if message.contains("learner") => {
                StoreError::Unreachable(format!("{endpoint}: {message}"))
            }
            OUT_OF_RANGE if message.contains("future revision") => {
                StoreError::Behind(endpoint.into())
            }
            INVALID_ARGUMENT | FAILED_PRECONDITION | OUT_OF_RANGE => StoreError::Refused(message),
            _ => StoreError::Unreachable(format!("{endpoint}: {}", cause.unwrap_or(message))),
        }
    }

    /// An authentication error with its remedy.
    fn unauthenticated(message: &str) -> Self {
        StoreError::Unauthenticated(match message {
            "user name is empty" => {
                "etcd asks for a user and a password, and none is given (--user)".into()
            }
            "authentication is not enabled" => {
                "a user and a password are given, but etcd has its authentication off: leave them out, or enable it \
                 (etcdctl auth enable)"
                    .into()
            }
            "authentication failed, invalid user ID or password" => {
                "etcd has no such user, or the password is another one (--user)".into()
            }
            _ => format!("etcd does not accept the user and password: {message}"),
        })
    }

    /// Adds a fault of one endpoint to the error that none answers.
    pub(super) fn with_fault(self, fault: Option<StoreError>) -> Self {
        match (self, fault) {
            (StoreError::Unreachable(last), Some(StoreError::Fault { endpoint, fault })) => {
                StoreError::Unreachable(format!("{last}; {endpoint}: {fault}"))
            }
            (error, _) => error,
        }
    }

    /// Whether another endpoint, or the same one later, may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unreachable(_))
    }

    /// What the error means for the mirror.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            StoreError::Unauthenticated(_) => Failure::Unauthenticated,
            StoreError::Denied(_) => Failure::Denied,
            StoreError::Compacted => Failure::Compacted,
            _ => Failure::Unreachable,
        }
    }
}

/// The innermost cause, which a person can do something about: a refused connection, a missing certificate.
fn innermost(error: &etcd_client::Error) -> Option<String> {
    let mut cause = match error {
        etcd_client::Error::GRpcStatus(status) => std::error::Error::source(status)?,
        etcd_client::Error::TransportError(error) => std::error::Error::source(error)?,
        _ => return None,
    };
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unreachable(last) => write!(f, "etcd does not answer ({last})"),
            StoreError::Behind(endpoint) => write!(f, "etcd does not have the revision that is to be read ({endpoint})"),
            StoreError::Fault { endpoint, fault } => write!(f, "cannot connect to etcd at {endpoint}: {fault}"),
            StoreError::Denied(reason) => write!(f, "etcd denies this to the user: {reason}; grant its roles the permission on this prefix"),
            StoreError::Compacted => f.write_str("etcd has compacted the revision that was being read: try again"),
            StoreError::Full => f.write_str(
                "etcd is full and takes no writes (NOSPACE alarm): compact and defragment it, or raise its quota, then disarm the alarm",
            ),
            StoreError::Unreadable(Unreadable { key, reason }) => write!(f, "{key}: {reason}"),
            StoreError::Refused(reason) => write!(f, "etcd refuses: {reason}"),
            StoreError::LeaseExpired => f.write_str("the lease has expired"),
            StoreError::Contended(key) => write!(f, "another front-end is registering at {key} at the same time"),
            StoreError::Panicked(error) => write!(f, "internal error: {error}"),
            StoreError::Config(reason) | StoreError::Taken(reason) | StoreError::Unauthenticated(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // `Display` prints the error inside already.
            StoreError::Panicked(error) => error.source(),
            _ => None,
        }
    }
}

impl From<JoinError> for StoreError {
    fn from(error: JoinError) -> Self {
        StoreError::Panicked(Arc::new(error))
    }
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        StoreError::Unreadable(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcd_says_is_told_apart() {
        let kind = |code, message| match StoreError::from_status(code, message, None, "http://a:1")
        {
            StoreError::Unreachable(_) => "unreachable",
            StoreError::Behind(_) => "behind",
            StoreError::Fault { .. } => "fault",
            StoreError::Unauthenticated(_) => "unauthenticated",
            StoreError::Denied(_) => "denied",
            StoreError::Compacted => "compacted",
            StoreError::Full => "full",
            StoreError::Unreadable(_) => "unreadable",
            StoreError::Refused(_) => "refused",
            StoreError::LeaseExpired => "expired",
            StoreError::Contended(_) => "contended",
            StoreError::Panicked(_) => "panicked",
            StoreError::Config(_) => "config",
            StoreError::Taken(_) => "taken",
        };
        const UNAVAILABLE: i32 = 14;
        for (code, message, expected) in [
            (
                OUT_OF_RANGE,
                "etcdserver: mvcc: required revision has been compacted",
                "compacted",
            ),
            (
                OUT_OF_RANGE,
                "etcdserver: mvcc: required revision is a future revision",
                "behind",
            ),
            (
                RESOURCE_EXHAUSTED,
                "etcdserver: mvcc: database space exceeded",
                "full",
            ),
            (
                RESOURCE_EXHAUSTED,
                "etcdserver: too many requests",
                "unreachable",
            ),
            (
                NOT_FOUND,
                "etcdserver: requested lease not found",
                "expired",
            ),
            (PERMISSION_DENIED, "etcdserver: permission denied", "denied"),
            (
                UNAUTHENTICATED,
                "etcdserver: invalid auth token",
                "unauthenticated",
            ),
            (
                INVALID_ARGUMENT,
                "etcdserver: revision of auth store is old",
                "unauthenticated",
            ),
            (
                INVALID_ARGUMENT,
                "etcdserver: user name is empty",
                "unauthenticated",
            ),
            (
                INVALID_ARGUMENT,
                "etcdserver: authentication failed, invalid user ID or password",
                "unauthenticated",
            ),
            (
                INVALID_ARGUMENT,
                "etcdserver: duplicate key given in txn request",
                "refused",
            ),
            // A learner, in etcd 3.5 and 3.6.
            (
                UNAVAILABLE,
                "etcdserver: rpc not supported for learner",
                "unreachable",
            ),
            (
                FAILED_PRECONDITION,
                "etcdserver: rpc not supported for learner",
                "unreachable",
            ),
            (UNAVAILABLE, "etcdserver: no leader", "unreachable"),
        ] {
            assert_eq!(kind(code, message), expected, "{code} {message}");
        }
    }
}
