//! Between octets and questions and answers: RFC 1035 4.1 with EDNS (RFC 6891). Pure.
//!
//! [`parse`] takes a message and gives a [`Query`] with one question, or says how to reject it.
//! [`encode`] writes the answer that [`resolve`](crate::zone::resolve) gave, [`encode_reject`] a
//! reply without records. Neither allocates, and no input makes them panic.
//!
//! ```text
//! octets -> parse -+-> Query --> question() -> resolve -> Answer -> encode ---------> octets
//!                  |     +-----> reject(rcode) ---+
//!                  +-> Reject::Reply -------------+---------------> encode_reject --> octets
//!                  +-> Reject::Silent, nothing is sent
//! ```

mod compress;
mod edns;
mod encode;
mod header;
mod parse;
mod query;
#[cfg(test)]
mod tests;
mod tsig;
mod writer;

pub use edns::{Edns, ServerEdns};
pub use encode::{encode, encode_chaos, encode_reject};
pub use parse::{parse, question_name};
pub use query::{Chaos, Class, Query, Refusal, Reject};

pub use crate::zone::Rcode;
