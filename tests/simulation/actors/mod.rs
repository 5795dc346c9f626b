//! Those who use the cluster, each with the product's own code.
//!
//! - `client`: the network and the clock of each of them.
//! - `names`: the zones and records that they deal with.
//! - `writer`, `announcer`, `front_end`, and `follower`, who follows journals.

mod announcer;
mod client;
mod follower;
mod front_end;
mod names;
mod writer;

pub(crate) use announcer::announce;
pub(crate) use client::{config, store};
pub(crate) use follower::{Told, follow};
pub(crate) use front_end::{Defect, FrontEnd};
pub(crate) use names::{address, alias, name_server, owner_name, zone_name};
pub(crate) use writer::{End, PREPARATIONS, Writer, prepare};
