//! Why a text or some octets are no rdata.

use std::borrow::Cow;
use std::fmt;

use super::super::text::{Position, TextError};

/// Why a text or some octets are no rdata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdataError {
    /// Where the offending token began; where something is missing, where the entry began.
    pub at: Position,
    reason: Cow<'static, str>,
}

impl RdataError {
    pub(super) fn new(at: Position, reason: impl Into<Cow<'static, str>>) -> Self {
        RdataError {
            at,
            reason: reason.into(),
        }
    }
}

impl From<TextError> for RdataError {
    fn from(error: TextError) -> Self {
        RdataError::new(Position::default(), error.0)
    }
}

impl fmt::Display for RdataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for RdataError {}
