//! How zones lie in etcd.
//!
//! ```text
//! /ns/v1/zone/<zone>                             settings of a zone
//! /ns/v1/serial/<zone>                           touched by every transaction that changes the zone; stays behind when
//!                                                a zone is removed whose serials are not revisions alone
//! /ns/v1/head                                    touched by every transaction, names the attempt that it is
//! /ns/v1/rr/<zone>/<generation>/<owner>/<TYPE>   one RRset
//! /ns/v1/frontend/<id>                           one front-end, under a lease
//! /ns/v1/accepted                                when an operator last accepted a loss of records
//! /ns/v1/withdrawn/<attempt>                     an attempt that must not be done any more, for a day
//! ```
//!
//! `/ns` is the prefix that the operator chose and `v1` the version of this schema. Names are written
//! in lower case without final dot, labels reversed (`org.example`), so that a subtree is one range;
//! `.` stands for the root. An owner is relative to its zone, `@` at the apex. A label's own dots and
//! slashes are escaped, and every key ends at a separator or a type, so no key is the prefix of
//! another name's. Values are JSON.
//!
//! `admin` is the JSON that front-ends serve over HTTP.

mod admin;
mod census;
mod key;
mod value;

pub use admin::{Audit, DigestAt, FrontendStatus, Held, HeldZone, Quarantined};
pub use census::Census;
pub use key::{Key, KeyError, Prefix};
pub use value::{
    Accepted, Attempt, Frontend, SerialBase, Stored, ValueError, decode_accepted, decode_frontend,
    decode_head, decode_rrset, decode_serial_base, decode_zone, encode, salvage_serial_base,
};

#[cfg(test)]
mod tests;
