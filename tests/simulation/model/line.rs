//! The connections of one client to one member: a gRPC channel without a network.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::Channel;
use etcd_client::proto::{PbKvServer, PbLeaseServer, PbWatchServer};
use http::{Request, Response};
use http_body_util::{BodyExt, Collected, Full};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tonic::body::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};

use super::cluster::{Cluster, Network};
use super::server::Member;

/// A client's connections to a member.
pub(crate) fn line(cluster: &Arc<Cluster>, client: usize, member: usize) -> Channel {
    Channel::Custom(BoxCloneSyncService::new(Line(Member {
        cluster: cluster.clone(),
        client,
        index: member,
    })))
}

#[derive(Clone)]
struct Line(Member);

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, answered) = oneshot::channel();
        // What is under way goes on when the client gives up.
        tokio::spawn(deliver(self.0.clone(), request, answer));
        Box::pin(async move {
            match answered.await {
                Ok(answer) => answer,
                Err(_) => pending().await,
            }
        })
    }
}

type Answer = oneshot::Sender<Result<Response<Body>, BoxError>>;

/// Brings a request to a member, and its answer back. If either is lost, nobody is told.
async fn deliver(member: Member, request: Request<Body>, answer: Answer) {
    let Member {
        cluster,
        client,
        index,
    } = &member;
    let (id, there, is_lost, is_broken) = {
        let mut state = cluster.lock();
        (
            state.id,
            state.delay(),
            state.goes_wrong(|network| network.lost_requests),
            state.goes_wrong(|network| network.broken),
        )
    };
    let path = request.uri().path().to_string();
    let log = |what| member.log(&path, what);
    log("is sent");
    sleep(there).await;
    log("arrives");
    if cluster.lock().is_cut(*client, *index) {
        if !cluster.wait_for_line(*client, *index).await {
            let _ = answer.send(Err("connection refused".into()));
            return;
        }
        // It may still arrive, or be lost.
        if cluster.lock().random.bool() {
            return;
        }
    }
    // A restore ends all connections.
    if is_broken || cluster.lock().id != id {
        let _ = answer.send(Err("the connection is lost".into()));
        return;
    }
    if is_lost {
        return;
    }
    let (request, again) = copied(&member, request).await;
    let mut response = serve(&member, request).await;
    if let Some(again) = again {
        let pause = cluster.lock().random.u64(..3_000);
        sleep(Duration::from_millis(pause)).await;
        log("comes again");
        if cluster.lock().id != id {
            return;
        }
        response = serve(&member, again).await;
    }
    let (back, is_lost, is_broken) = {
        let mut state = cluster.lock();
        (
            state.delay(),
            state.goes_wrong(|network| network.lost_answers),
            state.goes_wrong(|network| network.broken),
        )
    };
    sleep(back).await;
    if is_lost || cluster.lock().is_cut(*client, *index) {
        return;
    }
    let _ = answer.send(match is_broken {
        true => Err("the connection is lost".into()),
        false => Ok(response),
    });
}

/// A request, and a copy of it if it is a write that is to come twice: a proxy has lost the answer, and asks again.
async fn copied(member: &Member, request: Request<Body>) -> (Request<Body>, Option<Request<Body>>) {
    let is_write = ["/etcdserverpb.KV/Txn", "/etcdserverpb.KV/Put"].contains(&request.uri().path());
    let is_repeated = |network: &Network| network.duplicates;
    if !is_write || !member.cluster.lock().goes_wrong(is_repeated) {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes);
    let body = body.unwrap_or_default();
    let whole = || Request::from_parts(head.clone(), Body::new(Full::new(body.clone())));
    (whole(), Some(whole()))
}

/// Has a member answer a request.
async fn serve(member: &Member, request: Request<Body>) -> Response<Body> {
    let member = member.clone();
    let service = request.uri().path().split('/').nth(1).unwrap_or_default();
    let answer = match service {
        "etcdserverpb.KV" => PbKvServer::new(member).call(request).await,
        "etcdserverpb.Watch" => PbWatchServer::new(member).call(request).await,
        "etcdserverpb.Lease" => PbLeaseServer::new(member).call(request).await,
        other => panic!("the model has no service {other}"),
    };
    match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}
