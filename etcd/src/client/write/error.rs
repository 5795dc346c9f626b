//! Errors of changes.

use std::fmt;

use crate::client::connect::StoreError;
use crate::model::Name;
use crate::txn::Refusal;

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// The content of the store does not allow it.
    Refused(Refusal),
    /// Others changed the same keys during every try.
    Conflict {
        /// The name that was to be changed.
        name: Name,
        /// Number of tries.
        tries: u32,
    },
    /// The store failed, and nothing was written.
    NotWritten(StoreError),
    /// The store failed during the write, which may have been applied or may still be.
    Unknown(StoreError),
    /// The change is partly written; the next part failed.
    Partly(Box<ChangeError>),
    /// The update failed, but these zones were changed before.
    SomeZones(Box<ChangeError>, Vec<Name>),
    /// The change failed with this error, and what it staged of this zone may be left in the store. Nobody serves that.
    LeftStaged(Box<ChangeError>, Name),
}

impl ChangeError {
    /// Why the content of the store does not allow the change, if that is the cause.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ChangeError::Refused(refusal) => Some(refusal),
            ChangeError::Partly(error)
            | ChangeError::SomeZones(error, _)
            | ChangeError::LeftStaged(error, _) => error.refusal(),
            ChangeError::Conflict { .. } | ChangeError::NotWritten(_) | ChangeError::Unknown(_) => {
                None
            }
        }
    }

    /// The cause, without its consequences.
    fn reason(&self) -> String {
        match self {
            ChangeError::Refused(refusal) => refusal.to_string(),
            ChangeError::Conflict { name, tries } => {
                format!("others changed {name} at the same time, {tries} times in a row")
            }
            ChangeError::NotWritten(error) | ChangeError::Unknown(error) => error.to_string(),
            ChangeError::Partly(error)
            | ChangeError::SomeZones(error, _)
            | ChangeError::LeftStaged(error, _) => error.reason(),
        }
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ChangeError::LeftStaged(error, zone) = self {
            return write!(
                f,
                "{error}; records that nobody serves may be left in the store: nsctl zone clean {zone} deletes them"
            );
        }
        if let ChangeError::SomeZones(error, zones) = self {
            let zones: Vec<String> = zones.iter().map(Name::to_string).collect();
            return write!(f, "{error}; but it is written to {}", zones.join(", "));
        }
        f.write_str(&self.reason())?;
        f.write_str(match self {
            ChangeError::Refused(_) | ChangeError::SomeZones(..) | ChangeError::LeftStaged(..) => "",
            ChangeError::Conflict { .. } => ": nothing was written, try again",
            ChangeError::NotWritten(_) => "; nothing was written",
            ChangeError::Unknown(_) => {
                "; the write was sent, and may have been applied or may still be: repeat the command to find out"
            }
            ChangeError::Partly(_) => {
                "; a part of it is written: repeat the command to write the rest"
            }
        })
    }
}

impl std::error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // `Display` prints the error inside already.
            ChangeError::NotWritten(error) | ChangeError::Unknown(error) => error.source(),
            ChangeError::Partly(error)
            | ChangeError::SomeZones(error, _)
            | ChangeError::LeftStaged(error, _) => error.source(),
            ChangeError::Refused(_) | ChangeError::Conflict { .. } => None,
        }
    }
}

/// An error of a read, before anything is written.
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
