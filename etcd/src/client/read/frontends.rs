//! The registered front-ends.

use crate::schema::key_text;
use std::fmt;

use crate::client::connect::{Store, StoreError};
use crate::schema::{self, Frontend, Key, KeyError, ValueError};

/// The registered front-ends.
#[derive(Debug)]
pub struct Fleet {
    /// The id and the registration of each. If it cannot be read, why; if its key cannot be read either, the key stands
    /// in place of the id.
    pub frontends: Vec<(String, Result<Frontend, UnreadableFrontend>)>,
    /// The cluster they are registered in.
    pub cluster_id: u64,
}

/// Why a registration cannot be read.
#[derive(Debug)]
pub enum UnreadableFrontend {
    /// The key is not that of a front-end.
    Key(KeyError),
    /// The value is not a registration.
    Value(ValueError),
}

impl fmt::Display for UnreadableFrontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnreadableFrontend::Key(error) => write!(f, "this key names no front-end: {error}"),
            UnreadableFrontend::Value(error) => {
                write!(f, "its registration cannot be read: {error}")
            }
        }
    }
}

impl std::error::Error for UnreadableFrontend {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // `Display` prints the error inside already.
        match self {
            UnreadableFrontend::Key(error) => error.source(),
            UnreadableFrontend::Value(error) => error.source(),
        }
    }
}

impl Store {
    /// The registered front-ends.
    pub async fn frontends(&self) -> Result<Fleet, StoreError> {
        let listed = self.list(self.prefix().frontends(), None).await?;
        let frontends = listed.items.iter().filter_map(|item| {
            let told = schema::decode_frontend(&item.value);
            match self.prefix().decode(&item.key) {
                Ok(Key::Frontend(id)) => Some((id, told.map_err(UnreadableFrontend::Value))),
                Ok(_) => None,
                Err(error) => {
                    let key = key_text(&item.key);
                    Some((key, Err(UnreadableFrontend::Key(error))))
                }
            }
        });
        Ok(Fleet {
            frontends: frontends.collect(),
            cluster_id: listed.cluster_id,
        })
    }
}
