//! Keys and values as etcd returns them.

use std::fmt;

use super::key_text;

/// A key and its value at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that wrote it.
    pub mod_revision: i64,
}

/// A key that is left out because it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl Unreadable {
    pub(crate) fn new(key: &[u8], reason: impl fmt::Display) -> Self {
        Unreadable {
            key: key_text(key),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", self.key, self.reason)
    }
}
