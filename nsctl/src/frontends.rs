//! Asking the front-ends what they serve.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcd::client::{Store, StoreError, UnreadableFrontend};
use etcd::model::Name;
use etcd::schema::{Frontend, FrontendStatus, Held, HeldZone};
use reqwest::{ClientBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use crate::error::Error;

/// How long one front-end may take for an answer that it has at hand.
const ANSWER: Duration = Duration::from_secs(2);

/// How long one may take for the next part of an answer that is long.
const PART: Duration = Duration::from_secs(10);

/// How much longer than it was told a front-end may take to answer.
const GRACE: Duration = Duration::from_millis(500);

/// The id of a front-end that is registered, and how, if that can be read.
pub(crate) type Registration = (String, Result<Frontend, UnreadableFrontend>);

/// How many zones a line names.
const ZONES_SHOWN: usize = 5;

/// What is held back, in words.
pub(crate) fn loss(held: &Held) -> String {
    let Held {
        gone,
        of,
        zones,
        named,
    } = held;
    let mut text = format!("{gone} of {of} RRsets");
    if named.is_empty() {
        return text;
    }
    let shown = named.iter().take(ZONES_SHOWN);
    let shown: Vec<_> = shown
        .map(|HeldZone { zone, gone, of }| format!("{zone} ({gone} of {of})"))
        .collect();
    let plural = if *zones == 1 { "" } else { "s" };
    text += &format!(" in {zones} zone{plural}: {}", shown.join(", "));
    match zones.saturating_sub(shown.len() as u64) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Asks all registered front-ends how they stand, each once it serves a revision, or when the time is over.
async fn ask_for(
    registered: &[Registration],
    revision: i64,
    limit: Duration,
) -> Vec<(String, Result<FrontendStatus, String>)> {
    let path = format!(
        "status?min_revision={revision}&timeout_ms={}",
        limit.as_millis()
    );
    get_all(registered, &path, limit).await
}

/// Gets a path of a front-end's admin listener. Another front-end that answers there is not taken for this one.
async fn get<T: DeserializeOwned>(
    id: &str,
    frontend: &Frontend,
    path: &str,
    limit: Duration,
) -> Result<T, String> {
    let admin = frontend.admin.as_ref().ok_or("it has no admin listener")?;
    get_at(admin, Some(id), path, limit).await
}

/// Asks the front-end whose admin listener is at an address how it stands, whoever it is.
pub(crate) async fn ask_at(admin: &str, limit: Duration) -> Result<FrontendStatus, String> {
    get_at(admin, None, "status", limit.min(ANSWER)).await
}

/// Gets a path of whatever front-end is at an address, or only of the one that is meant.
pub(crate) async fn get_at<T: DeserializeOwned>(
    admin: &str,
    id: Option<&str>,
    path: &str,
    limit: Duration,
) -> Result<T, String> {
    // The answer may need all of the time; and where none is left, who is at hand is still heard.
    let limits = |client: ClientBuilder| client.timeout(limit + GRACE);
    let query: Vec<_> = id.map(|id| ("id", id)).into_iter().collect();
    let response = request(admin, path, &query, limits).await?;
    let told = |error| format!("{admin} answers something else: {error}");
    response.json().await.map_err(told)
}

/// Asks for a zone that is held back, as a master file: that may be long, so each part of it has its own time.
pub(crate) async fn held_zone(
    admin: &str,
    id: Option<&str>,
    zone: &Name,
) -> Result<Response, String> {
    let limits = |client: ClientBuilder| client.connect_timeout(ANSWER).read_timeout(PART);
    let zone = zone.to_string();
    let query = id.map(|id| ("id", id)).into_iter();
    let query: Vec<_> = query.chain([("zone", &*zone)]).collect();
    request(admin, "held/zone", &query, limits).await
}

async fn request(
    admin: &str,
    path: &str,
    query: &[(&str, &str)],
    limits: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Response, String> {
    let mut url = reqwest::Url::parse(&format!("http://{admin}/{path}"))
        .map_err(|error| format!("{admin} is not an address: {error}"))?;
    url.query_pairs_mut().extend_pairs(query);
    let client = limits(reqwest::Client::builder().no_proxy());
    let told = |error: reqwest::Error| {
        // The innermost cause is the one a person can do something about.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        format!("{admin} does not answer: {cause}")
    };
    let request = client.build().map_err(told)?.get(url);
    let response = request.send().await.map_err(told)?;
    if response.status() == StatusCode::MISDIRECTED_REQUEST {
        let who = response.text().await.unwrap_or_default();
        let who = who.trim();
        return Err(format!(
            "another front-end answers at {admin} ({who}): start each with an --admin address of its own that is \
             reached from here"
        ));
    }
    if !response.status().is_success() {
        let reason = response.text().await.unwrap_or_default();
        return Err(match reason.trim() {
            "" => format!("{admin} does not know /{path}: another release?"),
            reason => format!("{admin}: {reason}"),
        });
    }
    Ok(response)
}

/// Gets a path of all registered front-ends at the same time, by id.
pub(crate) async fn get_all<T: DeserializeOwned + Send + 'static>(
    registered: &[Registration],
    path: &str,
    limit: Duration,
) -> Vec<(String, Result<T, String>)> {
    let asked: Vec<_> = registered
        .iter()
        .map(|(id, frontend)| {
            let (id, path) = (id.clone(), path.to_string());
            let frontend = frontend.as_ref().map_err(ToString::to_string).cloned();
            tokio::spawn(async move {
                let answer = match frontend {
                    Ok(frontend) => get(&id, &frontend, &path, limit).await,
                    Err(error) => Err(error),
                };
                (id, answer)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in asked {
        answers.extend(task.await);
    }
    answers
}

/// Asks all registered front-ends how they stand, by id.
pub(crate) async fn ask_all(
    registered: &[Registration],
    limit: Duration,
) -> Vec<(String, Result<FrontendStatus, String>)> {
    get_all(registered, "status", limit.min(ANSWER)).await
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    /// The revision that is to be served.
    pub(crate) revision: i64,
    /// For how long.
    pub(crate) limit: Duration,
    /// By how many front-ends at least.
    pub(crate) count: usize,
}

/// Waits until every live front-end serves a revision: every one that is registered, and every one that was when the
/// waiting began and has not served it since. How many there are.
pub(crate) async fn wait(store: &Store, awaited: Awaited) -> Result<usize, Error> {
    let Awaited {
        revision,
        limit,
        count,
    } = awaited;
    let end = Instant::now() + limit;
    // Whoever has answered may have needed all the time: to read who is live takes a moment more.
    let latest = end + Duration::from_secs(1);
    let store = store.within(limit + Duration::from_secs(1));
    let mut lagging: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let fleet = timeout_at(latest.into(), store.frontends()).await;
        let fleet = fleet.unwrap_or_else(|_| Err(late()));
        let fleet = fleet.map_err(|error| unknown(revision, &error))?;
        for (id, lag) in &mut lagging {
            let has_left = fleet.frontends.iter().all(|(other, _)| other != id);
            if has_left && !lag.starts_with(LEFT) {
                *lag = format!("{LEFT}; before that: {lag}");
            }
        }
        // Not all of the time at once: a front-end that has died is not asked to the end, and one that has
        // come is not overlooked.
        let step = left.min(Duration::from_secs(1));
        let mut serving = BTreeMap::new();
        for (id, state) in ask_for(&fleet.frontends, revision, step).await {
            match state.and_then(|state| serves(&state, revision, fleet.cluster_id)) {
                Ok(applied) => {
                    lagging.remove(&id);
                    serving.insert(id, applied);
                }
                Err(lag) => drop(lagging.insert(id, lag)),
            }
        }
        // Others have written meanwhile; or these revisions are of a history that is not there any more.
        if lagging.is_empty() && serving.values().any(|applied| *applied > revision) {
            let head = timeout_at(latest.into(), store.head()).await;
            let head = head.unwrap_or_else(|_| Err(late()));
            let head = head.map_err(|error| unknown(revision, &error))?;
            serving.retain(|id, applied| {
                let is_there = *applied <= head.store;
                if !is_there {
                    let lag = format!("at revision {applied}, which etcd does not have");
                    lagging.insert(id.clone(), lag);
                }
                is_there
            });
        }
        if lagging.is_empty() && serving.len() >= count {
            return Ok(serving.len());
        }
        if Instant::now() >= end {
            return Err(not_served(awaited, serving.len(), &lagging));
        }
        // Who lags has been waited for; who does not answer, or serves something else, is not to be asked in a rush.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is said of a front-end that drops out before it has served what is waited for.
const LEFT: &str = "not registered any more";

fn late() -> StoreError {
    StoreError::Unreachable("no answer in time".into())
}

fn unknown(revision: i64, error: &StoreError) -> Error {
    Error::Wait(format!(
        "revision {revision} is written, but who serves it is unknown: {error}"
    ))
}

fn not_served(awaited: Awaited, serving: usize, lagging: &BTreeMap<String, String>) -> Error {
    let mut who: Vec<String> = lagging
        .iter()
        .map(|(id, lag)| format!("{id} ({lag})"))
        .collect();
    if lagging.is_empty() && serving == 0 {
        who.push("no front-end is registered".into());
    } else if serving < awaited.count && awaited.count > 1 {
        who.push(format!(
            "{serving} of the {} front-ends expected serve it",
            awaited.count
        ));
    }
    Error::Wait(format!(
        "revision {} is written, but not served everywhere after {}: {}",
        awaited.revision,
        shown(awaited.limit),
        who.join(", ")
    ))
}

/// The revision that it serves, if that has this one of this cluster in it; otherwise why not.
fn serves(state: &FrontendStatus, revision: i64, cluster_id: u64) -> Result<i64, String> {
    let applied = state.applied.ok_or("not synced yet")?;
    if !is_of(state, cluster_id) {
        return Err(format!("at revision {applied} of another cluster"));
    }
    if state.doubted {
        return Err(format!(
            "at revision {applied}, but its copy was found to differ from etcd, and is listed again"
        ));
    }
    if applied < revision {
        return Err(format!("at revision {applied}"));
    }
    Ok(applied)
}

/// Whether what it serves is of this cluster; an earlier release does not say.
pub(crate) fn is_of(state: &FrontendStatus, cluster_id: u64) -> bool {
    let told = format!("{cluster_id:x}");
    state
        .cluster
        .as_ref()
        .is_none_or(|cluster| *cluster == told)
}

fn shown(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_that_answers_at_once_is_heard_when_no_time_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // To resolve a name takes a moment, as to connect to another host does.
        let admin = format!("localhost:{port}");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            // An answer that comes before its request is none.
            let read = stream.read(&mut [0; 1024]).await;
            assert!(read.is_ok_and(|count| count > 0));
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7";
            stream.write_all(answer).await.expect("written");
            stream
        };
        let answer = get_at::<u64>(&admin, None, "status", Duration::ZERO);
        let (answer, _stream) = tokio::join!(answer, server);
        assert_eq!(answer, Ok(7));
    }

    #[test]
    fn a_higher_revision_of_another_history_serves_nothing() {
        let state = |more: &str| -> FrontendStatus {
            let text = format!(
                r#"{{"ready":true,"applied":9,"zones":1,"rrsets":1,"quarantined":0,"endpoint":""{more}}}"#
            );
            serde_json::from_str(&text).expect("a state")
        };
        let own = state(r#","cluster":"a1""#);
        assert_eq!(serves(&own, 9, 0xa1), Ok(9));
        assert_eq!(serves(&own, 5, 0xa1), Ok(9));
        assert_eq!(
            serves(&own, 10, 0xa1).as_ref().map_err(String::as_str),
            Err("at revision 9")
        );
        let other = serves(&own, 5, 0xb2).expect_err("another cluster");
        assert!(other.contains("another cluster"), "{other}");
        // Our own changes are served also while what others have deleted is held back.
        let held = state(r#","cluster":"a1","held":{"gone":2,"of":3}"#);
        assert_eq!(serves(&held, 5, 0xa1), Ok(9));
        let doubted = serves(&state(r#","cluster":"a1","doubted":true"#), 5, 0xa1);
        assert!(doubted.expect_err("it is doubted").contains("listed again"));
        assert_eq!(serves(&state(""), 5, 0xa1), Ok(9), "an earlier release");
        let empty = FrontendStatus {
            applied: None,
            ..own
        };
        assert_eq!(serves(&empty, 5, 0xa1), Err("not synced yet".into()));
    }
}
