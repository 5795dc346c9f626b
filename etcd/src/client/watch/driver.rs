//! What the mirror has in progress: one connection, its watch, and the requests beside it.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use etcd_client::{Error, WatchResponse, WatchStream};
use tracing::{debug, info};

use super::requests::{Connection, Pending, Step};
use super::trouble::Trouble;
use crate::client::connect::{Config, StoreError, from_watch};
use crate::client::read::PageSize;
use crate::mirror::{Action, Input, Mirror};
use crate::schema::{Key, Prefix};

/// How often the cluster is asked for its members.
const MEMBERS: Duration = Duration::from_secs(60);

/// The same after it did not answer.
const MEMBERS_AGAIN: Duration = Duration::from_secs(1);

/// The state of the mirror, passed along with its events.
#[derive(Clone, Debug)]
pub struct MirrorStatus {
    /// The last revision applied; none before the first list is complete.
    pub applied: Option<i64>,
    /// The moment as of which the copy was last proved complete.
    pub last_fresh: Option<Instant>,
    /// The URL of the endpoint in use.
    pub endpoint: String,
    /// The cluster that the copy is of, once one has answered.
    pub cluster_id: Option<u64>,
    /// The member that is connected to, once it has answered.
    pub member_id: Option<u64>,
    /// How many leased keys there are at that revision.
    pub leased: usize,
    /// Whether the watch is established.
    pub watching: bool,
    /// Whether the copy may be wrong, until all of it is listed again.
    pub doubted: bool,
    /// Set while the copy may lack a deletion (etcd#18089): until a read shows that etcd still has this revision, or everything
    /// is listed.
    pub unchecked: Option<i64>,
    /// The last failure, cleared by the next proof of freshness.
    pub trouble: Option<String>,
}

/// What the mirror's driver has in progress.
pub(super) struct Driver {
    /// The keys that are mirrored. The head key is one of them.
    range: Range<Vec<u8>>,
    head: Vec<u8>,
    /// Those of them that live as long as a lease, if any.
    leased: Option<Range<Vec<u8>>>,
    /// Lists contain only keys changed after this revision; 0: all.
    after_revision: i64,
    config: Config,
    /// The URL connected to.
    endpoint: String,
    connection: Option<Box<Connection>>,
    stream: Option<WatchStream>,
    /// A connection, a page or the opening of the watch.
    step: Option<Pending<Step>>,
    /// A read for a proof of freshness.
    proof: Option<Pending<Input>>,
    /// The next question for the cluster's members.
    members: Option<Pending<Vec<String>>>,
    size: PageSize,
}

impl Driver {
    pub(super) fn new(
        config: Config,
        prefix: &Prefix,
        range: Range<Vec<u8>>,
        after_revision: i64,
    ) -> Self {
        Driver {
            head: prefix.encode(&Key::Head),
            leased: Some(prefix.leased()).filter(|leased| range.contains(&leased.start)),
            range,
            after_revision,
            config,
            endpoint: String::new(),
            connection: None,
            stream: None,
            step: None,
            proof: None,
            members: None,
            size: PageSize::first(),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn status(&self, mirror: &Mirror, trouble: &Trouble) -> MirrorStatus {
        MirrorStatus {
            applied: mirror.applied(),
            last_fresh: mirror.last_fresh(),
            // `mirror.endpoint()` is an index into the list of endpoints. If that list has changed since we connected, the
            // index may stand for another URL, so a connection has the URL that it was opened with.
            endpoint: match self.connection {
                Some(_) => self.endpoint.clone(),
                None => self.config.url(mirror.endpoint()),
            },
            cluster_id: mirror.cluster_id(),
            member_id: mirror.member_id(),
            leased: mirror.leased(),
            watching: mirror.is_watching(),
            doubted: mirror.is_doubted(),
            unchecked: mirror.unchecked(),
            trouble: trouble.shown(),
        }
    }

    /// Waits for the next input, at most until the deadline.
    pub(super) async fn next(&mut self, deadline: Instant) -> Result<Input, StoreError> {
        loop {
            tokio::select! {
                biased;
                step = or_never(self.step.as_mut()) => {
                    self.step = None;
                    if let Some(input) = self.done(step?) {
                        return Ok(input);
                    }
                }
                message = or_never(self.stream.as_mut().map(WatchStream::message)) => {
                    return self.watched(message);
                }
                input = or_never(self.proof.as_mut()) => {
                    self.proof = None;
                    return input;
                }
                members = or_never(self.members.as_mut()) => self.learn(members),
                () = tokio::time::sleep_until(deadline.into()) => return Ok(Input::Tick),
            }
        }
    }

    /// Keeps what a step has brought.
    fn done(&mut self, step: Step) -> Option<Input> {
        match step {
            Step::Connected(connection) => {
                let members = || connection.members(Duration::ZERO);
                self.members = self.config.discover.then(members);
                self.connection = Some(connection);
                Some(Input::Connected)
            }
            Step::Page(input, size) => {
                self.size = size;
                Some(input)
            }
            // Its first message says that it is established.
            Step::Opened(stream) => {
                self.stream = Some(stream);
                None
            }
        }
    }

    fn watched(&self, message: Result<Option<WatchResponse>, Error>) -> Result<Input, StoreError> {
        match message {
            Ok(Some(response)) => from_watch(response),
            Ok(None) => Err(StoreError::Unreachable(format!(
                "{}: the watch has ended",
                self.endpoint
            ))),
            Err(error) => Err(StoreError::from_etcd(error, &self.endpoint)),
        }
    }

    /// Stores the members that the cluster has named, and asks again later.
    fn learn(&mut self, told: Result<Vec<String>, StoreError>) {
        let urls = told.iter().flatten().map(String::as_str);
        match &told {
            Ok(_) if self.config.discovered.learn(&self.config.endpoints, urls) => {
                info!(members = ?self.config.discovered.urls(), "members beyond those configured");
            }
            Ok(_) => {}
            // Only root may be allowed to. The members known so far are still worth a try.
            Err(error) => debug!(%error, "cannot list the members of the cluster"),
        }
        let after = match told {
            Err(error) if error.is_transient() => MEMBERS_AGAIN,
            _ => MEMBERS,
        };
        let connection = self.connection.as_ref();
        self.members = connection.map(|connection| connection.members(after));
    }

    /// Starts what the mirror asks for. Without a connection no request is sent, and the deadline passes.
    pub(super) fn start(&mut self, action: Action) {
        match action {
            Action::Wait => {}
            Action::Disconnect => self.disconnect(),
            Action::Connect { endpoint } => {
                self.disconnect();
                self.endpoint = self.config.url(endpoint);
                let (config, endpoint) = (self.config.clone(), self.endpoint.clone());
                self.step = Some(Connection::open(config, endpoint));
            }
            Action::List { after, revision } => {
                self.stream = None;
                self.proof = None;
                if after.is_none() {
                    self.size = PageSize::first();
                }
                self.step = self.request(|connection| {
                    let range = self.range.clone();
                    connection.page(range, self.after_revision, after, revision, self.size)
                });
            }
            Action::Watch { from } => {
                self.step = self.request(|connection| {
                    connection.watch(self.range.clone(), self.head.clone(), from)
                });
            }
            Action::CheckHistory { revision } => {
                self.proof = self.request(|connection| {
                    connection.check_history(self.head.clone(), revision, false)
                });
            }
            Action::ReadHead => {
                self.proof = self
                    .request(|connection| connection.head(self.head.clone(), self.leased.clone()));
            }
        }
    }

    fn request<T>(&self, request: impl FnOnce(&Connection) -> Pending<T>) -> Option<Pending<T>> {
        self.connection.as_deref().map(request)
    }

    fn disconnect(&mut self) {
        self.members = None;
        self.step = None;
        self.proof = None;
        self.stream = None;
        self.connection = None;
    }
}

/// Waits for the future; for ever if there is none.
pub(super) async fn or_never<T, F: Future<Output = T>>(future: Option<F>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
