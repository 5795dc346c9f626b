//! What must hold for any octets.

mod message;
mod name;
mod rdata;
mod zonefile;

pub use message::message;
pub use name::name;
pub use rdata::rdata;
pub use zonefile::zonefile;
