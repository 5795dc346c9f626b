//! Changes that are applied at most once, however often they are sent.
//!
//! A timeout tells us nothing: the transaction may have been applied, or may still be, as long as it is queued at a
//! member that is cut off or stopped. The comparisons in the transaction do not prevent that: an RRset that was absent
//! is absent again after the next attempt wrote it and somebody removed it. So every attempt has an id of its own. If
//! its answer does not arrive, the attempt is withdrawn, so that it can no longer be applied, and the history of the
//! head key shows whether it was. Only then is the change read, planned and sent again.
//!
//! A proxy may send an attempt twice and return only the second answer. So all attempts at a change write the same journal
//! entry, and only if it is absent. If an attempt fails and finds the entry, it was applied before.
//! This does not cover a change that is refused in the end: a copy that the proxy still holds may be applied later.

use std::time::{Duration, UNIX_EPOCH};

use etcd_client::{Client, PutOptions, WatchOptions};

use super::ChangeError;
use super::commit::Committed;
use crate::client::connect::{Store, StoreError, from_watch};
use crate::mirror::{Input, KeyChange};
use crate::model::Name;
use crate::schema::{Attempt, EntryId, Key, decode_head};
use crate::txn::{Get, NoPlan, Plan, Reads, Stamp};

/// Number of tries before a conflict is reported.
const TRIES: u32 = 200;

/// Minimum time for finding out what happened to an attempt.
const SETTLE: Duration = Duration::from_secs(3);

/// Lifetime of a withdrawal, in seconds: longer than a member may be stopped with the attempt unread in its socket.
const REMEMBERED: i64 = 24 * 60 * 60;

/// Number of tries after which a pause is made, even if etcd has returned what is needed to plan again.
const HASTY_TRIES: u32 = 10;

/// The result of one try.
pub(super) enum Tried {
    /// Applied, at this revision.
    Done(i64),
    /// Not applied, and it never will be. Has what etcd returned instead, to plan again from.
    Lost(Reads),
}

/// One change, tried until it is applied.
pub(super) struct Attempts<'a> {
    store: Store,
    name: &'a Name,
    tries: u32,
    /// Whether part of the change is written.
    has_written: bool,
    /// The stamp of what is written next.
    stamp: Option<Stamp>,
}

impl<'a> Attempts<'a> {
    /// A change at a name. It has the store's timeout from now on.
    pub(super) fn new(store: &Store, name: &'a Name) -> Self {
        Attempts {
            store: store.with_fresh_timeout(),
            name,
            tries: 0,
            has_written: false,
            stamp: None,
        }
    }

    /// The store, with the rest of the time.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Starts the time for another step.
    pub(super) fn renew(&mut self) {
        self.store = self.store.with_fresh_timeout();
    }

    /// Marks an error as that of a change that is partly written, if it is.
    pub(super) fn or_partly(&self, error: ChangeError) -> ChangeError {
        match self.has_written {
            true => ChangeError::Partly(Box::new(error)),
            false => error,
        }
    }

    /// Who makes the change, and when: the same for all attempts at it.
    pub(super) fn stamp(&mut self) -> Stamp {
        let stamp = self.stamp.get_or_insert_with(|| self.store.stamp());
        stamp.clone()
    }

    fn done(&mut self, revision: i64) -> Tried {
        self.has_written = true;
        // What follows is another transaction, with an entry of its own.
        self.stamp = None;
        self.renew();
        Tried::Done(revision)
    }

    /// Commits a plan. `since` is a revision that the store had before. Returns the revision of the commit, or none if the
    /// plan was not applied and never will be: then the change has to be planned again.
    pub(super) async fn commit(
        &mut self,
        plan: &Plan,
        since: i64,
    ) -> Result<Option<i64>, ChangeError> {
        Ok(match self.commit_or_read(plan, since, &[]).await? {
            Tried::Done(revision) => Some(revision),
            Tried::Lost(_) => None,
        })
    }

    /// The same; `gets` is read where a comparison fails.
    pub(super) async fn commit_or_read(
        &mut self,
        plan: &Plan,
        since: i64,
        gets: &[Get],
    ) -> Result<Tried, ChangeError> {
        let stamp = self.stamp();
        let store = &self.store;
        let mut reads = Reads::default();
        loop {
            match plan.recorded(store.prefix(), &reads, &stamp) {
                Ok(plan) => return self.attempt(&plan, since, gets).await,
                Err(NoPlan::Read(more)) => {
                    match store.fetch_serializable(&more, reads.pinned()).await {
                        Ok(more) => reads.add(more),
                        // The revision of the first reads is gone.
                        Err(StoreError::Compacted) if !store.is_late() => reads = Reads::default(),
                        Err(error) => return Err(error.into()),
                    }
                }
                // Recording refuses nothing.
                Err(_) => return Ok(Tried::Lost(Reads::default())),
            }
        }
    }

    /// Sends a recorded plan. `since` is a revision that the store had before; `gets` is read where a comparison fails. In a dry
    /// run every plan counts as applied, and nothing is sent.
    pub(super) async fn attempt(
        &mut self,
        plan: &Plan,
        since: i64,
        gets: &[Get],
    ) -> Result<Tried, ChangeError> {
        if self.store.is_dry_run() {
            return Ok(self.done(since));
        }
        let attempt = Attempt(fastrand::u128(..));
        let plan = plan.attempted(self.store.prefix(), attempt);
        let id = self.stamp().id;
        let entry = plan.entry(self.store.prefix(), id);
        let all: Vec<Get> = gets.iter().chain(&entry).cloned().collect();
        match self.store.commit(&plan, &all).await {
            Ok(Committed::At(revision)) => Ok(self.done(revision)),
            Ok(Committed::Lost(mut now)) => {
                // It came twice, and the first time it was applied.
                if let Some(revision) = entry.and_then(|entry| now.take(&entry)) {
                    return Ok(self.done(revision));
                }
                self.tries += 1;
                if self.is_over() {
                    return Err(ChangeError::Conflict {
                        name: self.name.clone(),
                        tries: self.tries,
                    });
                }
                if self.tries > HASTY_TRIES || now.is_empty() {
                    // A random pause keeps writers from colliding in step.
                    let pause = fastrand::u64(..=u64::from(self.tries.min(10)));
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Ok(Tried::Lost(now))
            }
            Err(error @ (StoreError::Unreachable(_) | StoreError::Full)) => {
                self.tries += 1;
                let is_full = matches!(error, StoreError::Full);
                match self.settle(attempt, since, is_full).await {
                    Ok(Some(revision)) => Ok(self.done(revision)),
                    Ok(None) if is_full || self.is_over() => Err(ChangeError::NotWritten(error)),
                    Ok(None) => {
                        let pause = 50 + fastrand::u64(..100);
                        tokio::time::sleep(Duration::from_millis(pause)).await;
                        Ok(Tried::Lost(Reads::default()))
                    }
                    Err(why) if why.is_transient() => Err(ChangeError::Unknown(error)),
                    Err(why) => Err(ChangeError::Unknown(why)),
                }
            }
            Err(StoreError::Unauthenticated(_)) if !self.is_over() => {
                // The token has expired. The next read fetches a new one, or fails for good.
                self.tries += 1;
                Ok(Tried::Lost(Reads::default()))
            }
            Err(error) => Err(ChangeError::NotWritten(error)),
        }
    }

    fn is_over(&self) -> bool {
        self.tries >= TRIES || self.store.is_late()
    }

    /// Finds out what happened to a failed attempt: the revision at which it was applied, or none if it never will be.
    /// This gets its own time if none is left, because an abandoned attempt could be applied at any later moment.
    async fn settle(
        &self,
        attempt: Attempt,
        since: i64,
        is_full: bool,
    ) -> Result<Option<i64>, StoreError> {
        let store = self.store.with_time_left(SETTLE);
        let done = match store.when_done(attempt, since).await {
            // The plan was made from a copy that is older than etcd's history. It can be withdrawn all the same.
            Err(StoreError::Compacted) if !is_full => None,
            done => done?,
        };
        // A full store may report an error although it applies the write. But it reports that only after the write was
        // processed, so the history is final. It would not accept the withdrawal either.
        if done.is_some() || is_full {
            return Ok(done);
        }
        store.withdraw(attempt).await?;
        store.when_done(attempt, since).await
    }
}

impl Store {
    /// Who makes a change, now.
    fn stamp(&self) -> Stamp {
        let now = self.config.time_of_day().duration_since(UNIX_EPOCH);
        Stamp {
            author: self.author().clone(),
            id: EntryId {
                at: now.map_or(0, |now| now.as_millis() as u64),
                random: fastrand::u32(..),
            },
        }
    }

    /// Prevents an attempt from being applied from now on.
    async fn withdraw(&self, attempt: Attempt) -> Result<(), StoreError> {
        let granted =
            self.read(|mut client| async move { client.lease_grant(REMEMBERED, None).await });
        let options = PutOptions::new().with_lease(granted.await?.id());
        let key = self.prefix().encode(&Key::Withdrawn(attempt));
        let put = self.read(|mut client| {
            let (key, options) = (key.clone(), options.clone());
            async move { client.put(key, "{}", Some(options)).await }
        });
        put.await.map(drop)
    }

    /// The revision after `since` at which an attempt was applied, if it was.
    async fn when_done(&self, attempt: Attempt, since: i64) -> Result<Option<i64>, StoreError> {
        let head = self.prefix().encode(&Key::Head);
        let (_, values) = self.get_all(std::slice::from_ref(&head), None).await?;
        match values.into_iter().flatten().next() {
            Some(last) if decode_head(&last.value) == Some(attempt) => Ok(Some(last.mod_revision)),
            Some(last) if last.mod_revision > since => {
                let until = last.mod_revision;
                let look =
                    self.read(|client| find(client, head.clone(), since + 1, until, attempt));
                look.await?
            }
            _ => Ok(None),
        }
    }
}

/// Looks for an attempt in the history of the head key, from one revision to another at which the key was written.
async fn find(
    mut client: Client,
    head: Vec<u8>,
    from: i64,
    until: i64,
    attempt: Attempt,
) -> Result<Result<Option<i64>, StoreError>, etcd_client::Error> {
    let options = WatchOptions::new().with_start_revision(from);
    let mut watch = client.watch(head, Some(options)).await?;
    let is_it = |change: &KeyChange| {
        let value = change.value.as_deref();
        value.and_then(decode_head) == Some(attempt)
    };
    while let Some(response) = watch.message().await? {
        let changes = match from_watch(response) {
            Ok(Input::Changes { changes, .. }) => changes,
            Ok(_) => continue,
            // Another member may answer.
            Err(StoreError::Unreachable(reason)) => {
                return Err(etcd_client::Error::WatchError(reason));
            }
            Err(error) => return Ok(Err(error)),
        };
        if let Some(change) = changes.iter().find(|change| is_it(change)) {
            return Ok(Ok(Some(change.mod_revision)));
        }
        if changes.iter().any(|change| change.mod_revision >= until) {
            return Ok(Ok(None));
        }
    }
    Err(etcd_client::Error::WatchError("the watch has ended".into()))
}
