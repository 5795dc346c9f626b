//! From octets to questions, and from answers to octets: RFC 1035 4.1 with EDNS (RFC 6891). Pure.
//!
//! [`parse`] reads a [`Query`] with one question, or tells how to reject the message. [`encode`] writes the answer of
//! [`resolve`](crate::zone::resolve), [`encode_reject`] a reply without records. These three allocate nothing, and
//! no input makes them panic.
//!
//! ```text
//! octets -> parse -+-> Query --> question() -> resolve -> Answer -> encode ---------> octets
//!                  |     +-----> error_reply() ---+
//!                  +-> Reject::Reply -------------+---------------> encode_reject --> octets
//!                  +-> Reject::Silent, nothing is sent
//! ```

mod compress;
mod edns;
mod encode;
mod header;
mod http_lifetime;
mod parse;
mod query;
#[cfg(test)]
mod tests;
mod tsig;
mod writer;

pub use edns::{COOKIE_LEN, Cookie, Edns, ServerCookie, ServerEdns, may_end_in_cookie};
pub use encode::{encode, encode_chaos, encode_reject, encode_truncated};
pub use http_lifetime::http_lifetime;
pub use parse::{header_counts_fit_query, parse, question_name};
pub use query::{Chaos, Class, ErrorReply, Query, Reject};

pub use crate::zone::Rcode;
