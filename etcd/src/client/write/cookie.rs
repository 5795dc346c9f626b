//! The secrets for cookies.

use super::ChangeError;
use crate::client::connect::{Store, StoreError};
use crate::model::{CookieSecret, CookieSecrets, Name};
use crate::schema::key_text;
use crate::schema::{Key, KeyValue, ValueError, decode_cookie};
use crate::txn::{self, Reads, Refusal};

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
    /// The revision that wrote them; 0 if there are none.
    pub revision: i64,
    /// The secrets, or why their value cannot be read; `None` if there are none.
    pub secrets: Option<Result<CookieSecrets, ValueError>>,
}

impl CookieRead {
    fn decode(item: Option<&KeyValue>) -> Self {
        CookieRead {
            revision: item.map_or(0, |item| item.mod_revision),
            secrets: item.map(|item| decode_cookie(&item.value)),
        }
    }
}

impl Store {
    /// Reads the secrets for cookies.
    pub async fn cookie(&self) -> Result<CookieRead, StoreError> {
        let key = self.prefix().encode(&Key::Cookie);
        let (_, values) = self.get_all(&[key], None).await?;
        Ok(CookieRead::decode(values.iter().flatten().next()))
    }

    /// Adds a secret for cookies. The first one is used at once. Returns the revision, and what was written.
    pub async fn rotate_cookie(
        &self,
        rotation: CookieRotation,
    ) -> Result<(i64, CookieSecrets), ChangeError> {
        let CookieRotation {
            added, now, from, ..
        } = rotation;
        let planner = |reads: &Reads| {
            let read = CookieRead::decode(reads.key(self.prefix(), &Key::Cookie)?);
            let secrets = match read.secrets {
                None => CookieSecrets::only(added, now),
                Some(_) if rotation.is_revoking => CookieSecrets::only(added, now),
                Some(Ok(last)) => last
                    .rotated(added, now, from)
                    .map_err(|until| Refusal::CookieUnderWay(until.saturating_sub(now)))?,
                Some(Err(error)) => {
                    let key = key_text(&self.prefix().encode(&Key::Cookie));
                    return Err(Refusal::Unreadable(key, error).into());
                }
            };
            let plan = txn::cookie(self.prefix(), read.revision, &secrets);
            Ok((Some(plan), secrets))
        };
        // The name is only for messages: secrets belong to none.
        let done = self.transact(&Name::root(), planner).await?;
        Ok((done.revision, done.report))
    }
}
