//! Errors and their exit codes.

use std::fmt;
use std::process::ExitCode;

use etcd::client::{ChangeError, StoreError};
use etcd::txn::Refusal;

/// Why a command failed: the exit code by the kind, and the message.
#[derive(Debug)]
pub(crate) enum Error {
    /// Anything else failed, such as a file or the output.
    Failed(String),
    /// The arguments make no sense, whatever etcd holds.
    Usage(String),
    /// What etcd holds does not allow it, or somebody else changed it at the same time.
    Conflict(String),
    /// etcd does not answer, or rejects the login.
    Store(String),
    /// The change is written, but not all front-ends served it in time.
    Wait(String),
    /// A command that nsctl ran ended with this exit code.
    Command(u8, String),
}

impl Error {
    pub(crate) fn failed(reason: impl fmt::Display) -> Self {
        Error::Failed(reason.to_string())
    }

    pub(crate) fn usage(reason: impl fmt::Display) -> Self {
        Error::Usage(reason.to_string())
    }

    /// Replaces the message, and keeps the exit code.
    pub(crate) fn because(mut self, text: String) -> Self {
        let (Error::Failed(reason)
        | Error::Usage(reason)
        | Error::Conflict(reason)
        | Error::Store(reason)
        | Error::Wait(reason)
        | Error::Command(_, reason)) = &mut self;
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
            Error::Command(code, _) => *code,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Error::Failed(reason)
        | Error::Usage(reason)
        | Error::Conflict(reason)
        | Error::Store(reason)
        | Error::Wait(reason)
        | Error::Command(_, reason)) = self;
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
            StoreError::Behind(_)
            | StoreError::Denied(_)
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
            ChangeError::Partly(error)
            | ChangeError::SomeZones(error, _)
            | ChangeError::LeftStaged(error, _) => Error::from(*error).because(reason),
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Conflict { .. } => Error::Conflict(reason),
            ChangeError::NotWritten(store) | ChangeError::Unknown(store) => {
                Error::from(store).because(reason)
            }
        }
    }
}
