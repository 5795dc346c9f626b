//! What a check of a zone finds.

use super::super::name::Name;
use super::super::rtype::Rtype;

/// An error or a warning about an RRset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RrsetFinding {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// What is wrong, for people.
    pub reason: String,
}

impl RrsetFinding {
    pub(super) fn new(owner: &Name, rtype: Rtype, reason: String) -> Self {
        RrsetFinding {
            owner: owner.clone(),
            rtype,
            reason,
        }
    }
}
