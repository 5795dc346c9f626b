//! The record model: names, types, rdata, RRsets and zones, in text form and in wire form.
//!
//! Names, rdata and RRsets are checked when they are made: a [`Name`] is within the limits of RFC 1035, an [`Rdata`]
//! has the wire form of its type, an [`Rrset`] is not empty and fits into a message.

mod address_prefix;
mod batch;
pub mod compression;
mod consistency;
mod cookie;
mod digest;
mod idn;
mod name;
mod rdata;
mod rrset;
mod rtype;
pub mod rules;
mod text;
mod time;
mod update;
mod zone;
pub mod zonefile;

pub use address_prefix::{AddressPrefix, AddressPrefixError};
pub use batch::{Batch, read_batch};
pub use consistency::{Consistency, ConsistencyError};
pub use cookie::{CookieSecret, CookieSecrets, NextSecret};
pub use digest::Digest;
pub(crate) use name::write_label;
pub use name::{Labels, Name, NameError, canonical_cmp};
pub use rdata::{Rdata, RdataError};
pub use rrset::{Rrset, RrsetError, TTL_MAX};
pub use rtype::{Rtype, RtypeError};
pub use text::{ArgumentSplit, Position, TextError, shown};
pub use time::{Time, TimeError};
pub use update::{Change, Edit, Prerequisite, Update};
pub use zone::{
    JOURNAL_AGE, JOURNAL_ARCHIVES, JOURNAL_ENTRIES, Soa, ZoneSettings, is_serial_before,
};
