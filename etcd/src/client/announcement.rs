//! Records that are announced as long as somebody keeps them alive.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::{Duration, Instant};

use etcd_client::{KeyValue, Txn, TxnOp, TxnOpResponse};

use crate::client::connect::{Store, StoreError};
use crate::client::lease::{self, Asked, Leasehold, within};
use crate::client::write::ChangeError;
use crate::txn::{Announced, Announcement, Lease};

/// Time limit for a withdrawal. If it fails, the lease is revoked all the same.
const WITHDRAWN_WITHIN: Duration = Duration::from_secs(2);

/// News of an announcement.
#[derive(Debug)]
pub enum AnnouncementNews {
    /// The records are in etcd: for the first time, or again after they were missing.
    Announced(Announced),
    /// What etcd holds does not allow it. It is tried again and again.
    Refused(ChangeError),
    /// The lease cannot be kept alive through this endpoint. Others are tried.
    Lost {
        /// Why.
        error: StoreError,
        /// Whether records may be in etcd, which go when it expires.
        may_be_there: bool,
    },
    /// The lease is kept alive again.
    Back,
    /// The records are withdrawn; or why they may stay until the lease expires.
    Withdrawn(Result<(), ChangeError>),
}

/// Announces records under a lease with this lifetime, in seconds, until `stop` completes. Then it withdraws them, so that
/// nobody waits for the end of the lease.
pub async fn announce(
    store: &Store,
    announcement: Announcement,
    seconds: u32,
    stop: impl Future<Output = ()>,
    tell: impl FnMut(AnnouncementNews) + Send,
) {
    let mut announcer = Announcer {
        store,
        announcement,
        announced: None,
        may_be_elsewhere: false,
        leases: BTreeSet::new(),
        trouble: None,
        tell,
    };
    let lease = lease::keep(&store.config, seconds, &mut announcer, stop).await;
    let Some(lease) = lease else { return };
    let withdrawn = match announcer.announced.take() {
        Some(announced) => {
            let store = store.with_timeout(WITHDRAWN_WITHIN);
            store.withdraw_leased(&announced).await
        }
        None => Ok(()),
    };
    // Without their lease the records are gone, too.
    let is_revoked = lease::revoke(&store.config, lease).await;
    let is_gone = is_revoked && announcer.leases.iter().all(|id| *id == lease);
    let withdrawn = match (is_gone, announcer.may_be_elsewhere) {
        (true, _) => Ok(()),
        (false, false) => withdrawn,
        (false, true) => Err(ChangeError::Unknown(StoreError::Unreachable(
            "a lease that may hold the records was not revoked".into(),
        ))),
    };
    if !announcer.leases.is_empty() {
        (announcer.tell)(AnnouncementNews::Withdrawn(withdrawn));
    }
}

/// Whether what was announced is in etcd under this lease, in the zone that answers for it.
async fn is_there(
    announced: Option<&Announced>,
    asked: Asked<'_>,
    lease: Lease,
) -> Result<bool, StoreError> {
    let Some(announced) = announced else {
        return Ok(false);
    };
    let keys = std::iter::once(&announced.key).chain(&announced.zone_keys);
    let gets: Vec<TxnOp> = keys.map(|key| TxnOp::get(key.clone(), None)).collect();
    let found = asked.client.txn(Txn::new().and_then(gets));
    let found = within(asked.timeout, asked.endpoint, found).await?;
    let mut found = found.op_responses().into_iter().map(|found| match found {
        TxnOpResponse::Get(found) => found.kvs().first().map(KeyValue::lease),
        _ => None,
    });
    let is_kept = found.next() == Some(Some(lease.id));
    // The first zone that there is answers.
    let holder = found.position(|zone| zone.is_some());
    Ok(is_kept && holder == Some(announced.zone_keys.len() - 1))
}

/// A trouble that lasts is told once.
#[derive(PartialEq, Eq)]
enum Trouble {
    /// Endpoints that fail in turns are one trouble.
    Lost,
    Refused(String),
}

struct Announcer<'s, Tell> {
    store: &'s Store,
    announcement: Announcement,
    /// What was announced last.
    announced: Option<Announced>,
    /// Whether records may be in etcd that `announced` does not cover: after a write without an answer, or if they could not be
    /// removed from the zone that they were in before.
    may_be_elsewhere: bool,
    /// All leases under which records may still be in etcd.
    leases: BTreeSet<i64>,
    /// The last trouble that was told.
    trouble: Option<Trouble>,
    tell: Tell,
}

impl<Tell: FnMut(AnnouncementNews) + Send> Announcer<'_, Tell> {
    /// Tells a trouble, unless it is the last one that was told.
    fn tell_trouble(&mut self, trouble: Trouble, news: AnnouncementNews) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.trouble = Some(trouble);
            (self.tell)(news);
        }
    }
}

impl<Tell: FnMut(AnnouncementNews) + Send> Leasehold for Announcer<'_, Tell> {
    async fn place(&mut self, asked: Asked<'_>, lease: Lease) -> Result<bool, StoreError> {
        if is_there(self.announced.as_ref(), asked, lease).await? {
            if self.trouble.take().is_some() {
                (self.tell)(AnnouncementNews::Back);
            }
            return Ok(true);
        }
        // A lease that is about to expire must not wait for this.
        let third = Duration::from_secs(lease.ttl.into()) / 3;
        let store = self.store.with_timeout(third);
        // Before the write, which may be applied although `stop` ends this call.
        let is_first = self.leases.insert(lease.id);
        let was_elsewhere = std::mem::replace(&mut self.may_be_elsewhere, true);
        let result = store.announce(&self.announcement, lease).await;
        if let Err(error) = &result
            && !matches!(error, ChangeError::Unknown(_))
        {
            self.may_be_elsewhere = was_elsewhere;
            if is_first {
                self.leases.remove(&lease.id);
            }
        }
        match result {
            Ok(announced) => {
                self.trouble = None;
                self.leases = [lease.id].into();
                let before = self.announced.replace(announced.clone());
                let before = before.filter(|before| before.key != announced.key);
                self.may_be_elsewhere = match before {
                    // Another zone answers for the owner now.
                    Some(before) => store.withdraw_leased(&before).await.is_err(),
                    None => false,
                };
                (self.tell)(AnnouncementNews::Announced(announced));
                Ok(true)
            }
            Err(ChangeError::NotWritten(error) | ChangeError::Unknown(error))
                if error.is_transient() || matches!(error, StoreError::LeaseExpired) =>
            {
                Err(error)
            }
            Err(error) => {
                let trouble = Trouble::Refused(error.to_string());
                self.tell_trouble(trouble, AnnouncementNews::Refused(error));
                Ok(false)
            }
        }
    }

    fn note(&mut self, _at: Instant, _is_there: bool) {}

    fn complain(&mut self, _endpoint: &str, error: &StoreError) {
        let news = AnnouncementNews::Lost {
            error: error.clone(),
            may_be_there: !self.leases.is_empty(),
        };
        self.tell_trouble(Trouble::Lost, news);
    }

    fn granted(&mut self) {}
}
