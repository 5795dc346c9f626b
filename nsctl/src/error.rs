//! Errors and the exit codes they end in.

use std::fmt;
use std::process::ExitCode;

use etcd::client::{ChangeError, StoreError};
use etcd::txn::Refusal;

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Error {
    /// Something else failed: a file, the output.
    Failed(String),
    /// The arguments make no sense, whatever the store holds.
    Usage(String),
    /// The store's content does not allow it, or others were faster.
    Conflict(String),
    /// etcd does not answer, or does not let us in.
    Store(String),
    /// The write was done, but not all front-ends serve it within the time.
    Wait(String),
}

impl Error {
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Error::Usage(reason.into())
    }

    /// The same with another text.
    pub(crate) fn because(mut self, text: String) -> Self {
        let (Error::Failed(reason)
        | Error::Usage(reason)
        | Error::Conflict(reason)
        | Error::Store(reason)
        | Error::Wait(reason)) = &mut self;
        *reason = text;
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Error::Failed(_) => 1,
            Error::Usage(_) => 2,
            Error::Conflict(_) => 3,
            Error::Store(_) => 4,
            Error::Wait(_) => 5,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Error::Failed(reason)
        | Error::Usage(reason)
        | Error::Conflict(reason)
        | Error::Store(reason)
        | Error::Wait(reason)) = self;
        f.write_str(reason)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        match error {
            StoreError::Unreachable(_)
            | StoreError::Fault { .. }
            | StoreError::Unauthenticated(_) => Error::Store(reason),
            StoreError::Config(_) => Error::Usage(reason),
            StoreError::Unreadable(_) => Error::Conflict(reason),
            StoreError::Denied(_)
            | StoreError::Compacted
            | StoreError::Full
            | StoreError::Taken(_)
            | StoreError::Refused(_)
            | StoreError::LeaseExpired
            | StoreError::Contended(_)
            | StoreError::Panicked(_) => Error::Failed(reason),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.to_string();
        if refusal.is_usage() {
            Error::Usage(reason)
        } else {
            Error::Conflict(reason)
        }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        let reason = error.to_string();
        match error {
            ChangeError::Partly(error) | ChangeError::Left(error, _) => {
                Error::from(*error).because(reason)
            }
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Conflict { .. } => Error::Conflict(reason),
            ChangeError::NotWritten(store) | ChangeError::Unknown(store) => {
                Error::from(store).because(reason)
            }
        }
    }
}
