//! Connections to single endpoints, and requests that fail over from one endpoint to the next.

mod config;
mod diagnose;
mod error;
mod fault;
mod learned;
mod store;
mod tls;
mod wire;

pub use config::{Config, EndpointError};
pub use error::StoreError;
pub use fault::EndpointFault;
pub use learned::Learned;
pub use store::Store;
pub use tls::{Tls, certified_key, read_small};
pub(crate) use wire::{MESSAGE_MAX, from_watch, header, key_value, kv_client};
