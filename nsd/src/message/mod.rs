//! From octets to questions, and from answers to octets: RFC 1035 4.1 with EDNS (RFC 6891). Pure.
//!
//! [`parse`] reads a [`Query`] with one question, or tells how to reject the message. [`encode`] writes the answer of
//! [`resolve`](crate::zone::resolve), [`encode_reject`] a reply without records. None of the three allocates, and no
//! input makes them panic.
//!
//! ```text
//! octets -> parse -+-> Query --> question() -> resolve -> Answer -> encode ---------> octets
//!                  |     +-----> error_reply() ---+
//!                  +-> Reject::Reply -------------+---------------> encode_reject --> octets
//!                  +-> Reject::Silent, nothing is sent
//! ```

mod cache_time;
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

pub use cache_time::seconds_to_keep;
pub use edns::{COOKIE_LEN, Cookie, Edns, ServerCookie, ServerEdns, ends_in_cookie};
pub use encode::{encode, encode_chaos, encode_reject, encode_truncated};
pub use parse::{has_counts_of_query, parse, question_name};
pub use query::{Chaos, Class, ErrorReply, Query, Reject};

pub use crate::zone::Rcode;
