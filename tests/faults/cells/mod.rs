//! The cells of the matrix, a function each.

pub(crate) mod frontends;
pub(crate) mod members;
pub(crate) mod store;
pub(crate) mod tokens;
