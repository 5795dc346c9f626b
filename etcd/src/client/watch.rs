//! The driver of the mirror: does what the state machine asks for, and tells it what came of it.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{debug, info};

use super::page::{self, PageSize};
use super::store::{header, key_value, kv};
use super::trouble::Trouble;
use super::{Config, StoreError};
use crate::mirror::{self, Action, Change, Event, Input, Mirror, Resume};
use crate::schema::{Key, Prefix};

/// Responses may be as long as they are: one transaction of somebody else's may hold many keys.
const MESSAGE_MAX: usize = 1 << 30;

/// How often the cluster is asked for its members.
const MEMBERS: Duration = Duration::from_secs(60);

/// The same where they did not answer.
const MEMBERS_AGAIN: Duration = Duration::from_secs(1);

/// How the mirror stands, passed along with its events.
#[derive(Clone, Debug)]
pub struct Status {
    /// The last revision applied; none before the first list is complete.
    pub applied: Option<i64>,
    /// The moment as of which the copy was last proved complete.
    pub last_fresh: Option<Instant>,
    /// The endpoint in use.
    pub endpoint: String,
    /// The cluster that the copy is of, once one has answered.
    pub cluster_id: Option<u64>,
    /// The member there, once it has answered.
    pub member_id: Option<u64>,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether the copy is not to be taken for what it claims to be until all of it is listed again.
    pub doubted: bool,
    /// What was wrong last, cleared by the next proof of freshness.
    pub trouble: Option<String>,
}

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// Two connections to one member: reads shall not hold up the watch (etcd#15402).
struct Connection {
    watch: Client,
    read: Client,
}

/// Keeps a mirror of everything under the prefix, for ever; from a copy that is there already, if one is.
/// Each call of `sink` gets what happened in one step, and how the mirror stands after it. `doubt` has
/// everything listed again.
pub async fn watch(
    config: Config,
    prefix: Prefix,
    pace: mirror::Config,
    resume: Option<Resume>,
    doubt: &Notify,
    mut sink: impl FnMut(Vec<Event>, &Status),
) {
    let mut driver = Driver {
        range: prefix.all(),
        head: prefix.encode(&Key::Head),
        config,
        endpoint: String::new(),
        connection: None,
        stream: None,
        step: None,
        proof: None,
        members: None,
        size: PageSize::first(),
    };
    let mut mirror = match resume {
        Some(resume) => Mirror::resume(Instant::now(), pace, resume),
        None => Mirror::new(Instant::now(), pace),
    };
    let mut trouble = Trouble::default();
    loop {
        let result = tokio::select! {
            result = driver.next(mirror.deadline()) => result,
            () = doubt.notified() => Ok(Input::Doubt),
            (endpoint, found) = or_never(trouble.diagnosis.as_mut()) => {
                trouble.diagnosed(endpoint, found);
                sink(Vec::new(), &driver.status(&mirror, &trouble));
                continue;
            }
        };
        let input = result.unwrap_or_else(|error| {
            let (failure, text) = (error.failure(), error.to_string());
            trouble.diagnose(&driver.config, &driver.endpoint, error);
            Input::Failed {
                failure,
                error: text,
            }
        });
        mirror.set_found(driver.config.learned.len());
        let mut events = Vec::new();
        let action = mirror.handle(Instant::now(), input, &mut events);
        trouble.follow(&events);
        let status = driver.status(&mirror, &trouble);
        // First what is next: a page is on its way while the one before it is taken in.
        driver.start(action);
        sink(events, &status);
    }
}

struct Driver {
    range: Range<Vec<u8>>,
    head: Vec<u8>,
    config: Config,
    /// The URL connected to.
    endpoint: String,
    connection: Option<Box<Connection>>,
    stream: Option<WatchStream>,
    /// A connection, a page or the opening of the watch is under way.
    step: Option<Pending<Step>>,
    /// A read of the head key is under way.
    proof: Option<Pending<Input>>,
    /// The cluster is asked for its members, or will be.
    members: Option<Pending<Vec<String>>>,
    size: PageSize,
}

/// What the step that was under way has brought.
enum Step {
    Connected(Box<Connection>),
    Page(Input, PageSize),
    Opened(WatchStream),
}

/// Waits for what is there; for ever where nothing is.
async fn or_never<T, F: Future<Output = T>>(future: Option<F>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// A task that is aborted when this is dropped.
struct Aborted<T>(JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a request in a task of its own, so that it makes progress while nobody polls it. Dropping it aborts the task.
fn aside<T: Send + 'static>(
    request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Pending<T> {
    let mut task = Aborted(tokio::spawn(request));
    Box::pin(async move { (&mut task.0).await? })
}

impl Driver {
    fn status(&self, mirror: &Mirror, trouble: &Trouble) -> Status {
        Status {
            applied: mirror.applied(),
            last_fresh: mirror.last_fresh(),
            // Of a list that is another one meanwhile, the number may be another one's.
            endpoint: match self.connection {
                Some(_) => self.endpoint.clone(),
                None => self.config.url(mirror.endpoint()),
            },
            cluster_id: mirror.cluster_id(),
            member_id: mirror.member_id(),
            watching: mirror.is_watching(),
            doubted: mirror.is_doubted(),
            trouble: trouble.shown(),
        }
    }

    async fn next(&mut self, deadline: Instant) -> Result<Input, StoreError> {
        loop {
            let message = tokio::select! {
                biased;
                step = or_never(self.step.as_mut()) => {
                    self.step = None;
                    match step? {
                        Step::Page(input, size) => {
                            self.size = size;
                            return Ok(input);
                        }
                        Step::Connected(connection) => {
                            self.members = self.config.discover.then(|| members(&connection.read, Duration::ZERO));
                            self.connection = Some(connection);
                            return Ok(Input::Connected);
                        }
                        // Its first message says that it is established.
                        Step::Opened(stream) => self.stream = Some(stream),
                    }
                    continue;
                }
                message = or_never(self.stream.as_mut().map(WatchStream::message)) => message,
                input = or_never(self.proof.as_mut()) => {
                    self.proof = None;
                    return input;
                }
                told = or_never(self.members.as_mut()) => {
                    self.found(told);
                    continue;
                }
                () = tokio::time::sleep_until(deadline.into()) => return Ok(Input::Tick),
            };
            return match message {
                Ok(Some(response)) => from_watch(response),
                Ok(None) => Err(StoreError::Unreachable(format!(
                    "{}: the watch has ended",
                    self.endpoint
                ))),
                Err(error) => Err(StoreError::from_etcd(error, &self.endpoint)),
            };
        }
    }

    fn start(&mut self, action: Action) {
        match action {
            Action::Wait => {}
            Action::Disconnect => self.disconnect(),
            Action::Connect { endpoint } => {
                self.disconnect();
                self.endpoint = self.config.url(endpoint);
                let (config, endpoint) = (self.config.clone(), self.endpoint.clone());
                self.step = Some(Box::pin(async move {
                    let (watch, read) =
                        tokio::try_join!(config.connect(&endpoint), config.connect(&endpoint))?;
                    Ok(Step::Connected(Box::new(Connection { watch, read })))
                }));
            }
            Action::List { after, revision } => {
                self.stream = None;
                self.proof = None;
                if after.is_none() {
                    self.size = PageSize::first();
                }
                let start = after.map_or_else(
                    || self.range.start.clone(),
                    |mut last| {
                        last.push(0);
                        last
                    },
                );
                let mut size = self.size;
                let mut options = GetOptions::new()
                    .with_range(self.range.end.clone())
                    .with_limit(size.keys());
                if let Some(revision) = revision {
                    options = options.with_revision(revision);
                }
                self.step = self.request(|connection| kv(&connection.read)).map(
                    |(mut kv, endpoint)| -> Pending<Step> {
                        aside(async move {
                            let asked = Instant::now();
                            let got = kv.get(start, Some(options)).await;
                            let mut got =
                                got.map_err(|error| StoreError::from_etcd(error, &endpoint))?;
                            let (header, more) = (header(got.header()), got.more());
                            let items: Vec<_> = got.take_kvs().into_iter().map(key_value).collect();
                            page::check(&items, more)?;
                            size.learn(&items, asked.elapsed());
                            let page = Input::Page {
                                header,
                                items,
                                more,
                            };
                            Ok(Step::Page(page, size))
                        })
                    },
                );
            }
            Action::Watch { from } => {
                let options = WatchOptions::new()
                    .with_range(self.range.end.clone())
                    .with_start_revision(from)
                    .with_fragment();
                let (start, key) = (self.range.start.clone(), self.head.clone());
                let before = GetOptions::new()
                    .with_revision(from - 1)
                    .with_serializable()
                    .with_count_only();
                self.step = self
                    .request(|connection| {
                        let watch = connection.watch.watch_client();
                        (
                            kv(&connection.read),
                            watch.max_decoding_message_size(MESSAGE_MAX),
                        )
                    })
                    .map(|((mut kv, mut watch), endpoint)| -> Pending<Step> {
                        let told = move |error| StoreError::from_etcd(error, &endpoint);
                        Box::pin(async move {
                            // History that was compacted up to its first revision is reported without the deletions
                            // in that one (etcd#18089). Other faults the watch itself will have.
                            let there = kv.get(key, Some(before)).await.map_err(&told);
                            if let Err(StoreError::Compacted) = there {
                                return Err(StoreError::Compacted);
                            }
                            let opened = watch.watch(start, Some(options)).await;
                            opened.map(Step::Opened).map_err(told)
                        })
                    });
            }
            Action::ReadHead => {
                let (key, sent) = (self.head.clone(), Instant::now());
                self.proof = self.request(|connection| kv(&connection.read)).map(
                    |(mut kv, endpoint)| -> Pending<Input> {
                        Box::pin(async move {
                            let got = kv
                                .get(key, None)
                                .await
                                .map_err(|error| StoreError::from_etcd(error, &endpoint))?;
                            let revision = got
                                .kvs()
                                .first()
                                .map_or(0, etcd_client::KeyValue::mod_revision);
                            Ok(Input::Head {
                                sent,
                                header: header(got.header()),
                                revision,
                            })
                        })
                    },
                );
            }
        }
    }

    /// What a request needs; none where the connection is gone, and then the deadline goes on from there.
    fn request<C>(&self, client: impl Fn(&Connection) -> C) -> Option<(C, String)> {
        self.connection
            .as_ref()
            .map(|connection| (client(connection), self.endpoint.clone()))
    }

    /// Keeps what the cluster says of its members, and asks again later.
    fn found(&mut self, told: Result<Vec<String>, StoreError>) {
        let urls = told.iter().flatten().map(String::as_str);
        match &told {
            Ok(_) if self.config.learned.learn(&self.config.endpoints, urls) => {
                info!(members = ?self.config.learned.urls(), "members beyond those configured");
            }
            Ok(_) => {}
            // It may be for root only. What is known already is still worth a try.
            Err(error) => debug!(%error, "cannot list the members of the cluster"),
        }
        let after = match told {
            Err(error) if error.is_transient() => MEMBERS_AGAIN,
            _ => MEMBERS,
        };
        let connection = self.connection.as_ref();
        self.members = connection.map(|connection| members(&connection.read, after));
    }

    fn disconnect(&mut self) {
        self.members = None;
        self.step = None;
        self.proof = None;
        self.stream = None;
        self.connection = None;
    }
}

/// Asks for the client URLs of the members that take requests, after a while.
fn members(client: &Client, after: Duration) -> Pending<Vec<String>> {
    let mut cluster = client.cluster_client();
    Box::pin(async move {
        tokio::time::sleep(after).await;
        let told = cluster.member_list().await;
        let told = told.map_err(|error| StoreError::from_etcd(error, "the cluster"))?;
        let voting = told.members().iter().filter(|member| !member.is_learner());
        Ok(voting
            .flat_map(|member| member.client_urls().to_vec())
            .collect())
    })
}

pub(super) fn from_watch(response: WatchResponse) -> Result<Input, StoreError> {
    let header = header(response.header());
    if response.canceled() {
        let reason = response.cancel_reason();
        return Err(if response.compact_revision() > 0 {
            StoreError::Compacted
        } else if reason.contains("auth token")
            || reason.contains("Unauthenticated")
            || reason.contains("auth store")
        {
            StoreError::Unauthenticated(reason.into())
        } else if reason.contains("denied") {
            StoreError::Denied(reason.into())
        } else {
            StoreError::Unreachable(format!("the watch was cancelled: {reason}"))
        });
    }
    let fragment = response.0.fragment;
    let changes: Vec<Change> = response
        .0
        .events
        .into_iter()
        .filter_map(|event| {
            let item = event.kv?;
            // A deletion carries no version; the event's type is not asked, as new ones may come.
            let value = (item.version > 0).then_some(item.value);
            Some(Change {
                key: item.key,
                value,
                mod_revision: item.mod_revision,
            })
        })
        .collect();
    if changes.is_empty() && !fragment {
        return Ok(Input::Watching(header));
    }
    Ok(Input::Changes {
        header,
        changes,
        fragment,
    })
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbWatchResponse;

    use super::*;
    use crate::mirror::Failure;

    #[test]
    fn why_a_watch_was_cancelled_is_told_apart() {
        let cancelled = |reason: &str, compact_revision| {
            let response = PbWatchResponse {
                canceled: true,
                cancel_reason: reason.into(),
                compact_revision,
                ..PbWatchResponse::default()
            };
            let error = from_watch(WatchResponse(response)).expect_err(reason);
            error.failure()
        };
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(cancelled(compacted, 9), Failure::Compacted);
        for (reason, failure) in [
            ("etcdserver: permission denied", Failure::Denied),
            (
                "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
                Failure::Denied,
            ),
            ("etcdserver: invalid auth token", Failure::Unauthenticated),
            (
                "etcdserver: revision of auth store is old",
                Failure::Unauthenticated,
            ),
            ("etcdserver: no leader", Failure::Unreachable),
            ("", Failure::Unreachable),
        ] {
            assert_eq!(cancelled(reason, 0), failure, "{reason}");
        }
        let begun = from_watch(WatchResponse(PbWatchResponse::default()));
        assert!(matches!(begun, Ok(Input::Watching(_))));
    }
}
