//! Why changes were not made.

use std::fmt;

use crate::client::connect::StoreError;
use crate::model::Name;
use crate::txn::Refusal;

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
    /// The store failed amid the write: it may have been done, or be done yet.
    Unknown(StoreError),
    /// It was not done to its end: one part is written, and this came of the next.
    Partly(Box<ChangeError>),
    /// Besides, what was staged for the zone may still be in the store, where nobody serves it.
    Left(Box<ChangeError>, Name),
}

impl ChangeError {
    /// Why, without what it came to.
    fn reason(&self) -> String {
        match self {
            ChangeError::Refused(refusal) => refusal.to_string(),
            ChangeError::Conflict { name, tries } => {
                format!("others changed {name} at the same time, {tries} times in a row")
            }
            ChangeError::NotWritten(error) | ChangeError::Unknown(error) => error.to_string(),
            ChangeError::Partly(error) | ChangeError::Left(error, _) => error.reason(),
        }
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ChangeError::Left(error, zone) = self {
            return write!(
                f,
                "{error}; records that nobody serves may be left in the store: nsctl zone clean {zone} deletes them"
            );
        }
        f.write_str(&self.reason())?;
        f.write_str(match self {
            ChangeError::Refused(_) | ChangeError::Left(..) => "",
            ChangeError::Conflict { .. } => ": nothing was written, try again",
            ChangeError::NotWritten(_) => "; nothing was written",
            ChangeError::Unknown(_) => {
                "; the write was sent, and may have been done, or be done yet: the same command again tells"
            }
            ChangeError::Partly(_) => {
                "; a part of it is written: the same command again goes on with the rest"
            }
        })
    }
}

impl std::error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ChangeError::NotWritten(error) | ChangeError::Unknown(error) => Some(error),
            ChangeError::Partly(error) | ChangeError::Left(error, _) => Some(error),
            ChangeError::Refused(_) | ChangeError::Conflict { .. } => None,
        }
    }
}

/// An error of a read, before anything was written.
impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        ChangeError::NotWritten(error)
    }
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        ChangeError::Refused(refusal)
    }
}
