//! The layout of zones in etcd.
//!
//! ```text
//! /ns/v1/zone/<zone>                             settings of a zone
//! /ns/v1/serial/<zone>                           written by every transaction that changes the zone; after its removal
//!                                                it holds the base of its serials
//! /ns/v1/head                                    written by every transaction, with the number of its attempt
//! /ns/v1/rr/<zone>/<generation>/<owner>/<TYPE>   one RRset
//! /ns/v1/leased/<zone>/<owner>/<TYPE>/<instance> records of one announcer, under its lease
//! /ns/v1/leased-serial/<zone>                    written by every transaction that changes leased records, and after
//!                                                a lease has expired; serials follow it, too
//! /ns/v1/frontend/<id>                           one front-end, under a lease
//! /ns/v1/accepted                                when an operator last accepted a loss of records
//! /ns/v1/secret/cookie                           the secrets for DNS cookies
//! /ns/v1/withdrawn/<attempt>                     an attempt that must no longer be applied; kept for a day
//! /ns/journal/v1/<zone>/<time and number>        what one transaction changed in a zone, and who made it
//! /ns/archive/v1/<zone>/<generation>/<number>    a part of what a zone had before all of it was replaced, compressed
//! ```
//!
//! `/ns` is the prefix that the operator chose, `v1` the version of this schema. Names are in lower case, without a final
//! dot, and with their labels reversed (`org.example`), so that a subtree is one range of keys. `.` is the root. An owner
//! is relative to its zone, `@` at the apex. Dots and slashes within a label are escaped. Every name in a key ends at a
//! separator or at the end of the key, so that ranges never include other names. Values are JSON.
//!
//! Front-ends mirror `/ns/v1/`; journals and archives are outside of it, so that they do not pay for them.
//!
//! `admin` is the JSON that front-ends serve over HTTP.

mod admin;
mod archive;
mod census;
mod item;
mod journal;
mod key;
mod leased;
mod value;

pub use admin::{Audit, DigestAt, FrontendStatus, Held, HeldZone, Quarantined};
pub use archive::{Chunk, decode_archive, encode_archive};
pub use census::Census;
pub use item::{KeyValue, Unreadable};
pub use journal::{
    Author, EntryId, EntryIdError, JournalEntry, RrsetChange, SettingsChange, decode_journal,
};
pub use key::{Key, KeyError, Prefix, key_text};
pub use leased::{Instance, InstanceError, LeasedRrset, decode_leased};
pub use value::{
    Accepted, Attempt, Frontend, SerialBase, Stored, ValueError, decode_accepted, decode_cookie,
    decode_frontend, decode_head, decode_rrset, decode_serial_base, decode_zone, encode,
    salvage_serial_base,
};

#[cfg(test)]
mod tests;
