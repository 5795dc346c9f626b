//! etcd's services, as one member offers them to one client.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbEvent,
    PbKvService, PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest,
    PbLeaseKeepAliveResponse, PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest,
    PbLeaseRevokeResponse, PbLeaseService, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
    PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse,
    PbResponseHeader, PbTxnOpRequest, PbTxnRequest, PbTxnResponse, PbWatchRequest,
    PbWatchRequestUnion, PbWatchResponse, PbWatchService,
};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::cluster::{Cluster, State, now};
use super::store::key_value;

/// A member as a client sees it.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) cluster: Arc<Cluster>,
    pub(super) client: usize,
    pub(super) index: usize,
}

type Answered<T> = Result<Response<T>, Status>;

impl Member {
    /// Notes what becomes of a request.
    pub(super) fn log(&self, path: &str, what: &str) {
        self.cluster.lock().log(|| {
            let (client, member) = (self.client, self.index);
            format!("client {client} to member {member}: {path} {what}")
        });
    }

    fn header(&self, state: &State, revision: i64) -> Option<PbResponseHeader> {
        Some(PbResponseHeader {
            cluster_id: state.id,
            member_id: self.index as u64 + 1,
            revision,
            raft_term: 1,
        })
    }

    /// Waits until the member may answer reads. Returns the revision that it then reads at.
    async fn ready(&self, is_serializable: bool) -> Result<i64, Status> {
        let id = self.cluster.lock().id;
        if !is_serializable {
            self.cluster.linearize(self.index).await;
        }
        let mut state = self.cluster.lock();
        if state.id != id {
            return Err(Status::unavailable("etcdserver: server stopped"));
        }
        if is_serializable && state.is_isolated(self.index) && state.random.bool() {
            return Err(Status::unavailable("etcdserver: no leader"));
        }
        Ok(state.applied(self.index))
    }
}

#[tonic::async_trait]
impl PbKvService for Member {
    type RangeStreamStream = ReceiverStream<Result<PbRangeStreamResponse, Status>>;

    async fn range(&self, request: Request<PbRangeRequest>) -> Answered<PbRangeResponse> {
        let request = request.into_inner();
        let revision = self.ready(request.serializable).await?;
        let state = self.cluster.lock();
        let found = state.store.read(&request, revision)?;
        Ok(Response::new(PbRangeResponse {
            header: self.header(&state, revision),
            ..found
        }))
    }

    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Answered<Self::RangeStreamStream> {
        Err(Status::unimplemented("the model has no streams of ranges"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Answered<PbPutResponse> {
        let put = request.into_inner();
        let answer = self.cluster.propose(self.index, |state| {
            if put.lease != 0 && state.time_left(put.lease).is_none() {
                return Err(Status::not_found("etcdserver: requested lease not found"));
            }
            state.write(|state| {
                state.store.put(put.key, put.value, put.lease, now());
                Ok(PbPutResponse {
                    header: self.header(state, state.store.revision()),
                    prev_kv: None,
                })
            })
        });
        answer.await.map(Response::new)
    }

    async fn delete_range(&self, _: Request<PbDeleteRequest>) -> Answered<PbDeleteResponse> {
        Err(Status::unimplemented(
            "the model deletes in transactions only",
        ))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Answered<PbTxnResponse> {
        let txn = request.into_inner();
        let ranges = || {
            let ops = txn.success.iter().chain(&txn.failure);
            ops.map(|op| match &op.request {
                Some(PbTxnOpRequest::RequestRange(range)) => Some(range),
                _ => None,
            })
        };
        if ranges().all(|range| range.is_some()) {
            let is_serializable = ranges().flatten().all(|range| range.serializable);
            let revision = self.ready(is_serializable).await?;
            let state = self.cluster.lock();
            let (succeeded, responses) = state.store.read_txn(&txn, revision)?;
            return Ok(Response::new(PbTxnResponse {
                header: self.header(&state, revision),
                succeeded,
                responses,
            }));
        }
        let ops = txn.success.iter().chain(&txn.failure);
        let mut ops = ops.map(|op| &op.request);
        let has_puts = ops.any(|op| matches!(op, Some(PbTxnOpRequest::RequestPut(_))));
        let answer = self.cluster.propose(self.index, |state| {
            let commit = |state: &mut State| {
                let leases = state.leases();
                let is_lease = |id| leases.contains(&id);
                let (succeeded, responses) = state.store.txn(&txn, now(), is_lease)?;
                Ok(PbTxnResponse {
                    header: self.header(state, state.store.revision()),
                    succeeded,
                    responses,
                })
            };
            match has_puts {
                true => state.write(commit),
                false => commit(state),
            }
        });
        answer.await.map(Response::new)
    }

    async fn compact(&self, _: Request<PbCompactionRequest>) -> Answered<PbCompactionResponse> {
        Err(Status::unimplemented("the schedule compacts"))
    }
}

#[tonic::async_trait]
impl PbLeaseService for Member {
    type LeaseKeepAliveStream = ReceiverStream<Result<PbLeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Answered<PbLeaseGrantResponse> {
        let ttl = request.into_inner().ttl;
        let answer = self.cluster.propose(self.index, |state| {
            state.write(|state| {
                Ok(PbLeaseGrantResponse {
                    id: state.grant(Duration::from_secs(ttl.unsigned_abs())),
                    header: self.header(state, state.store.revision()),
                    ttl,
                    error: String::new(),
                })
            })
        });
        answer.await.map(Response::new)
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Answered<PbLeaseRevokeResponse> {
        let id = request.into_inner().id;
        let answer = self
            .cluster
            .propose(self.index, |state| match state.revoke(id) {
                true => Ok(PbLeaseRevokeResponse {
                    header: self.header(state, state.store.revision()),
                }),
                false => Err(Status::not_found("etcdserver: requested lease not found")),
            });
        answer.await.map(Response::new)
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Answered<Self::LeaseKeepAliveStream> {
        let (answers, stream) = mpsc::channel(4);
        tokio::spawn(self.clone().keep_alive(request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Answered<PbLeaseTimeToLiveResponse> {
        let id = request.into_inner().id;
        self.cluster.linearize(self.index).await;
        let state = self.cluster.lock();
        let left = state.time_left(id);
        Ok(Response::new(PbLeaseTimeToLiveResponse {
            header: self.header(&state, state.store.revision()),
            id,
            ttl: left.map_or(-1, |left| left.as_secs() as i64),
            granted_ttl: 0,
            keys: Vec::new(),
        }))
    }

    async fn lease_leases(
        &self,
        _: Request<PbLeaseLeasesRequest>,
    ) -> Answered<PbLeaseLeasesResponse> {
        Err(Status::unimplemented("the model lists no leases"))
    }
}

#[tonic::async_trait]
impl PbWatchService for Member {
    type WatchStream = ReceiverStream<Result<PbWatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Answered<Self::WatchStream> {
        let (answers, stream) = mpsc::channel(4);
        tokio::spawn(self.clone().follow(request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// What becomes of a message of a stream.
enum Fate {
    Sent,
    Ended,
}

impl Member {
    /// Sends a message on a stream, in time or late; or the stream breaks, or stays open in vain.
    async fn send<T>(&self, to: &mpsc::Sender<Result<T, Status>>, message: T) -> Fate {
        let (delay, is_broken, is_stalled) = {
            let mut state = self.cluster.lock();
            (
                state.delay(),
                state.goes_wrong(|network| network.broken),
                state.goes_wrong(|network| network.stalled),
            )
        };
        sleep(delay).await;
        let is_open = self.cluster.wait_for_line(self.client, self.index).await;
        if is_broken || !is_open {
            let _ = to
                .send(Err(Status::unavailable("the connection is lost")))
                .await;
            return Fate::Ended;
        }
        if is_stalled {
            to.closed().await;
            return Fate::Ended;
        }
        match to.send(Ok(message)).await {
            Ok(()) => Fate::Sent,
            Err(_) => Fate::Ended,
        }
    }

    async fn keep_alive(
        self,
        mut requests: Streaming<PbLeaseKeepAliveRequest>,
        answers: mpsc::Sender<Result<PbLeaseKeepAliveResponse, Status>>,
    ) {
        let cluster = &self.cluster;
        let cluster_id = cluster.lock().id;
        while let Ok(Some(PbLeaseKeepAliveRequest { id })) = requests.message().await {
            if !cluster.wait_for_line(self.client, self.index).await {
                break;
            }
            cluster.linearize(self.index).await;
            let answer = {
                let mut state = cluster.lock();
                if state.id != cluster_id {
                    break;
                }
                let ttl = state.keep_alive(id).unwrap_or_default();
                PbLeaseKeepAliveResponse {
                    header: self.header(&state, state.store.revision()),
                    id,
                    ttl: ttl.as_secs() as i64,
                }
            };
            if let Fate::Ended = self.send(&answers, answer).await {
                return;
            }
        }
    }

    async fn follow(
        self,
        mut requests: Streaming<PbWatchRequest>,
        answers: mpsc::Sender<Result<PbWatchResponse, Status>>,
    ) {
        let Ok(Some(PbWatchRequest {
            request_union: Some(PbWatchRequestUnion::CreateRequest(watch)),
        })) = requests.message().await
        else {
            return;
        };
        let cluster = &self.cluster;
        let (cluster_id, mut next, begun) = {
            let state = cluster.lock();
            let applied = state.applied(self.index);
            let begun = PbWatchResponse {
                header: self.header(&state, applied),
                created: true,
                ..PbWatchResponse::default()
            };
            let next = match watch.start_revision {
                0 => applied + 1,
                from => from,
            };
            (state.id, next, begun)
        };
        // etcd reads the revision for its first message before it adds the watch.
        let pause = cluster.lock().delay();
        sleep(pause).await;
        // What is there already is read from the history; what comes later is sent as it comes.
        let history = cluster.lock().applied(self.index);
        if let Fate::Ended = self.send(&answers, begun).await {
            return;
        }
        loop {
            let changed = cluster.changed();
            let (response, end) = {
                let mut state = cluster.lock();
                if state.id != cluster_id {
                    break;
                }
                let applied = state.applied(self.index);
                if next < state.store.compacted && next <= history {
                    let cancelled = PbWatchResponse {
                        header: self.header(&state, applied),
                        canceled: true,
                        compact_revision: state.store.compacted,
                        ..PbWatchResponse::default()
                    };
                    (Some(cancelled), true)
                } else if next > applied {
                    (None, false)
                } else {
                    // Some revisions at once, as they have come.
                    let until = state.random.i64(next..=applied);
                    let mut events = Vec::new();
                    for revision in next..=until {
                        let range = (&watch.key[..], &watch.range_end[..]);
                        events.extend(self.events(
                            &mut state,
                            range,
                            revision,
                            revision <= history,
                        ));
                    }
                    next = until + 1;
                    let changed = PbWatchResponse {
                        header: self.header(&state, applied),
                        events,
                        ..PbWatchResponse::default()
                    };
                    (
                        Some(changed).filter(|changed| !changed.events.is_empty()),
                        false,
                    )
                }
            };
            if let Some(mut response) = response {
                if watch.fragment && response.events.len() > 1 && cluster.lock().random.u8(..4) == 0
                {
                    let at = cluster.lock().random.usize(1..response.events.len());
                    let rest = response.events.split_off(at);
                    let first = PbWatchResponse {
                        fragment: true,
                        ..response.clone()
                    };
                    response.events = rest;
                    if let Fate::Ended = self.send(&answers, first).await {
                        return;
                    }
                }
                if let Fate::Ended = self.send(&answers, response).await {
                    return;
                }
                if end {
                    return;
                }
                continue;
            }
            if next <= cluster.lock().applied(self.index) {
                continue;
            }
            tokio::select! {
                biased;
                () = answers.closed() => return,
                () = changed => {}
            }
        }
    }

    /// What a revision did to the keys of a range. A revision that is read from the history lacks its deletions if etcd has
    /// compacted to exactly that revision (etcd#18089).
    fn events(
        &self,
        state: &mut State,
        (start, end): (&[u8], &[u8]),
        revision: i64,
        is_history: bool,
    ) -> Vec<PbEvent> {
        const DELETE: i32 = 1;
        let store = &state.store;
        let Some(commit) = store.commit(revision) else {
            return Vec::new();
        };
        let is_in = |key: &Vec<u8>| match end.is_empty() {
            true => key == start,
            false => key.as_slice() >= start && key.as_slice() < end,
        };
        let mut events = Vec::new();
        for key in commit.keys.iter().filter(|key| is_in(key)) {
            let Some(version) = store.change(key, revision) else {
                continue;
            };
            let is_deletion = version.value.is_none();
            if is_deletion && is_history && revision == store.compacted {
                state.withheld.insert(self.client);
                continue;
            }
            events.push(PbEvent {
                r#type: if is_deletion { DELETE } else { 0 },
                kv: Some(key_value(key, version)),
                prev_kv: None,
            });
        }
        events
    }
}
