//! Connections to single endpoints, and requests that fail over from one endpoint to the next.

mod config;
mod convert;
mod diagnose;
mod discovered;
mod error;
mod fault;
mod store;
mod tls;

pub(crate) use config::now;
pub use config::{Config, EndpointError, Simulated};
pub(crate) use convert::{MESSAGE_MAX, from_watch, header, key_value, kv_client};
pub use discovered::DiscoveredMembers;
pub use error::StoreError;
pub use fault::EndpointFault;
pub use store::Store;
pub use tls::{Tls, certified_key, read_small_file};
