//! What can go wrong between here and etcd.

use std::fmt;

use crate::mirror::Failure;
use crate::model::Name;
use crate::txn::Refusal;

/// Why the store did not do what it was asked for.
#[derive(Debug, Clone)]
pub enum StoreError {
    /// No endpoint answered. With what the last one said.
    Unreachable(String),
    /// The user or the password is wrong, or missing.
    Unauthenticated(String),
    /// The user may not do this.
    Denied(String),
    /// The revision asked for is gone.
    Compacted,
    /// The store takes no more writes.
    Full,
    /// Something else that etcd says.
    Other(String),
    /// A local setting does not work.
    Config(String),
}

// Numbers of gRPC status codes.
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;
const UNAUTHENTICATED: i32 = 16;

impl StoreError {
    pub(super) fn timeout(endpoint: &str) -> Self {
        StoreError::Unreachable(format!("{endpoint}: no answer in time"))
    }

    pub(super) fn from_etcd(error: etcd_client::Error, endpoint: &str) -> Self {
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
        let message = status
            .message()
            .trim_start_matches("etcdserver: ")
            .to_string();
        match status.code() as i32 {
            OUT_OF_RANGE if message.contains("compacted") => StoreError::Compacted,
            RESOURCE_EXHAUSTED if message.contains("space exceeded") => StoreError::Full,
            PERMISSION_DENIED => StoreError::Denied(message),
            UNAUTHENTICATED => StoreError::Unauthenticated(message),
            // etcd says these with codes that other things have, too.
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
                StoreError::Unauthenticated(message)
            }
            INVALID_ARGUMENT | FAILED_PRECONDITION | OUT_OF_RANGE => StoreError::Other(message),
            _ => StoreError::Unreachable(format!(
                "{endpoint}: {}",
                innermost(&error).unwrap_or(message)
            )),
        }
    }

    /// Whether another endpoint, or the same one later, may do it.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, StoreError::Unreachable(_))
    }

    /// What it means for the mirror.
    pub(super) fn failure(&self) -> Failure {
        match self {
            StoreError::Unauthenticated(_) => Failure::Unauthenticated,
            StoreError::Denied(_) => Failure::Denied,
            StoreError::Compacted => Failure::Compacted,
            _ => Failure::Unreachable,
        }
    }
}

/// The cause at the bottom of an error, which is what a person can do something about: a refused
/// connection, a certificate that is missing.
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
            StoreError::Unauthenticated(reason) => write!(f, "etcd does not accept the user and password: {reason}"),
            StoreError::Denied(reason) => write!(f, "etcd denies this to the user: {reason}"),
            StoreError::Compacted => f.write_str("etcd no longer has the revision that was read (compacted)"),
            StoreError::Full => f.write_str(
                "etcd is full and takes no writes (NOSPACE alarm): compact and defragment it, or raise its quota, then disarm the alarm",
            ),
            StoreError::Other(reason) => write!(f, "etcd refuses: {reason}"),
            StoreError::Config(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for StoreError {}

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// It cannot be made as the data are.
    Refused(Refusal),
    /// Others changed the same keys at every try.
    Conflict {
        /// Whose.
        name: Name,
        /// How often it was tried.
        tries: u32,
    },
    /// The store failed, and nothing was written.
    NotWritten(StoreError),
    /// The store failed amid the write: it may have been done or not.
    Unknown(StoreError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Refused(refusal) => refusal.fmt(f),
            ChangeError::Conflict { name, tries } => {
                write!(
                    f,
                    "others changed {name} at the same time, {tries} times in a row: nothing was written, try again"
                )
            }
            ChangeError::NotWritten(error) => write!(f, "{error}; nothing was written"),
            ChangeError::Unknown(error) => write!(
                f,
                "{error}; the write was sent, and may or may not have been done: the same command again is safe, and tells"
            ),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        ChangeError::Refused(refusal)
    }
}
