//! The secrets for cookies.

use super::ChangeError;
use super::attempts::Attempts;
use crate::client::connect::{Store, StoreError};
use crate::model::{CookieSecret, CookieSecrets, Name};
use crate::schema::key_text;
use crate::schema::{Key, ValueError, decode_cookie};
use crate::txn::{self, Refusal};

/// How a secret is added.
#[derive(Clone, Copy, Debug)]
pub struct CookieRotation {
    /// The secret.
    pub added: CookieSecret,
    /// The time now, in seconds of Unix time.
    pub now: u64,
    /// From when on it is used, in seconds of Unix time.
    pub from: u64,
    /// Whether it replaces all others at once.
    pub is_revoking: bool,
}

/// The secrets for cookies as they were read.
#[derive(Debug)]
pub struct CookieRead {
    /// The store's revision.
    pub store_revision: i64,
    /// The revision that wrote them; 0 if there are none.
    pub revision: i64,
    /// The secrets, or why their value cannot be read; `None` if there are none.
    pub secrets: Option<Result<CookieSecrets, ValueError>>,
}

impl Store {
    /// Reads the secrets for cookies.
    pub async fn cookie(&self) -> Result<CookieRead, StoreError> {
        let key = self.prefix().encode(&Key::Cookie);
        let (header, values) = self.get_all(&[key], None).await?;
        let item = values.into_iter().flatten().next();
        Ok(CookieRead {
            store_revision: header.revision,
            revision: item.as_ref().map_or(0, |item| item.mod_revision),
            secrets: item.map(|item| decode_cookie(&item.value)),
        })
    }

    /// Adds a secret for cookies. The first one is used at once. Returns the revision, and what was written.
    pub async fn rotate_cookie(
        &self,
        rotation: CookieRotation,
    ) -> Result<(i64, CookieSecrets), ChangeError> {
        let CookieRotation {
            added, now, from, ..
        } = rotation;
        let root = Name::root();
        let mut attempts = Attempts::new(self, &root);
        loop {
            let read = attempts.store().cookie().await?;
            let secrets = match read.secrets {
                None => CookieSecrets::only(added, now),
                Some(_) if rotation.is_revoking => CookieSecrets::only(added, now),
                Some(Ok(last)) => last.rotated(added, now, from).map_err(|until| {
                    ChangeError::Refused(Refusal::CookieUnderWay(until.saturating_sub(now)))
                })?,
                Some(Err(error)) => {
                    let key = key_text(&self.prefix().encode(&Key::Cookie));
                    return Err(ChangeError::Refused(Refusal::Unreadable(key, error)));
                }
            };
            let plan = txn::cookie(self.prefix(), read.revision, &secrets);
            if let Some(revision) = attempts.commit(&plan, read.store_revision).await? {
                return Ok((revision, secrets));
            }
        }
    }
}
