//! The zones as they are served, and the resolver over them. Pure: values in, values out.
//!
//! # Model
//!
//! - A [`View`] is all zones at one revision. It is immutable once published; a writer clones it,
//!   changes the clone and publishes that, so that a query sees one revision and never waits.
//! - A [`Zone`] is an SOA record and [`Contents`]: a map from owner names to nodes with RRsets.
//! - An [`Rrset`] is wire octets, ready to be copied into a message; [`RrsetRef`] is one that is in
//!   a zone.
//!
//! All maps share their structure with the clones they came from.
//!
//! # Resolving
//!
//! [`resolve`] takes a [`Question`] and gives an [`Answer`]: pointers to RRsets of the view, by
//! section, and the response code. See its module for the steps.

mod additional;
mod answer;
mod answer_rrset;
mod changes;
mod contents;
mod name;
mod node;
mod referral;
mod resolve;
mod rrset;
#[cfg(test)]
pub(crate) mod tests;
mod trie;
mod view;
mod walk;

pub use answer::{Answer, Question, Rcode, ede};
pub use answer_rrset::{AnswerRdata, AnswerRrset, Owner, Section, Synthesized};
pub use changes::RrsetChange;
pub use contents::{Contents, Loader};
pub(crate) use name::{find_ancestor, is_same_name, name_prefix};
pub use resolve::{resolve, resolve_into};
pub use rrset::{Rrset, RrsetRef};
pub use trie::Probe;
pub use view::{SoaFields, View, Zone};
