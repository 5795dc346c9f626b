//! The zones as they are served, and the resolver over them. Pure: no I/O, no clock.
//!
//! # Model
//!
//! - A [`View`] is all zones at one revision. It never changes once published: the writer clones it, changes the clone
//!   and publishes that. So a query sees one revision and never waits.
//! - A [`Zone`] is an SOA record and [`Contents`]: a map from owner names to nodes with RRsets.
//! - An [`Rrset`] is wire octets, ready to be copied into a message; [`RrsetRef`] borrows one from a zone.
//!
//! All maps are persistent: a clone shares what it does not change.
//!
//! # Resolving
//!
//! [`resolve`] turns a [`Question`] into an [`Answer`]: pointers to RRsets of the view, by section, and the response
//! code. Its module has the steps.

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
pub(crate) use name::{ancestor_offset, is_same_name, name_prefix};
pub use resolve::{resolve, resolve_into};
pub use rrset::{Rrset, RrsetRef};
pub use trie::Probe;
pub use view::{SoaFields, View, Zone};
