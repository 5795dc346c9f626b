//! Asking the front-ends what they serve.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcd::client::{Fleet, Store, StoreError};
use etcd::schema::Frontend;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use crate::error::Error;
use crate::output;

/// How long one front-end may take for an answer that it has at hand.
const ANSWER: Duration = Duration::from_secs(2);

/// What a front-end says of itself, as far as it matters here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct State {
    pub(crate) ready: bool,
    pub(crate) applied: Option<i64>,
    pub(crate) fresh_age_ms: Option<u64>,
    pub(crate) zones: u64,
    pub(crate) rrsets: u64,
    pub(crate) quarantined: u64,
    #[serde(default)]
    pub(crate) quarantine: Vec<Quarantined>,
    #[serde(default)]
    pub(crate) doubted: bool,
    #[serde(default)]
    pub(crate) held: Option<Held>,
    #[serde(default)]
    pub(crate) serials_behind: u64,
    #[serde(default)]
    pub(crate) audit: Option<Audit>,
    #[serde(default)]
    pub(crate) snapshot: Option<i64>,
    pub(crate) endpoint: String,
    #[serde(default)]
    pub(crate) cluster: Option<String>,
    pub(crate) trouble: Option<String>,
}

/// A key whose value a front-end cannot use.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Quarantined {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// A loss of records that a front-end holds back.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Held {
    pub(crate) gone: u64,
    pub(crate) of: u64,
}

/// What the last audit of a front-end came to.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Audit {
    pub(crate) age_ms: u64,
    pub(crate) revision: i64,
    pub(crate) agrees: bool,
}

/// Asks one front-end how it stands, once it serves a revision, or when the time is over.
async fn ask(
    id: &str,
    frontend: &Frontend,
    revision: i64,
    limit: Duration,
) -> Result<State, String> {
    let path = format!(
        "status?min_revision={revision}&timeout_ms={}",
        limit.as_millis()
    );
    get(id, frontend, &path, limit).await
}

/// Gets a path of a front-end's admin listener. Another front-end that answers there is not taken for this one.
async fn get<T: DeserializeOwned>(
    id: &str,
    frontend: &Frontend,
    path: &str,
    limit: Duration,
) -> Result<T, String> {
    let admin = frontend.admin.as_ref().ok_or("it has no admin listener")?;
    let mut url = reqwest::Url::parse(&format!("http://{admin}/{path}"))
        .map_err(|error| format!("{admin} is no address: {error}"))?;
    url.query_pairs_mut().append_pair("id", id);
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(limit + Duration::from_millis(500))
        .connect_timeout(limit);
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
        return Err(format!("{admin} does not know /{path}: another release?"));
    }
    response
        .json()
        .await
        .map_err(|error| format!("{admin} answers something else: {error}"))
}

/// Gets a path of all registered front-ends at the same time, by id.
pub(crate) async fn get_all<T: DeserializeOwned + Send + 'static>(
    registered: &[(String, Frontend)],
    path: &str,
    limit: Duration,
) -> Vec<(String, Result<T, String>)> {
    let asked: Vec<_> = registered
        .iter()
        .map(|(id, frontend)| {
            let (id, frontend, path) = (id.clone(), frontend.clone(), path.to_string());
            tokio::spawn(async move {
                let answer = get(&id, &frontend, &path, limit).await;
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
    registered: &[(String, Frontend)],
    limit: Duration,
) -> Vec<(String, Result<State, String>)> {
    get_all(registered, "status", limit.min(ANSWER)).await
}

/// Waits until every live front-end serves `revision`.
///
/// Who is live is read again as long as one is missing: it may have left meanwhile.
pub(crate) async fn wait(store: &Store, revision: i64, limit: Duration) -> Result<usize, Error> {
    let end = Instant::now() + limit;
    // Whoever has answered may have needed all the time: to read who is live takes a moment more.
    let latest = end + Duration::from_secs(1);
    let in_time = |error: Option<StoreError>| {
        let error = error.unwrap_or_else(|| StoreError::Unreachable("no answer in time".into()));
        Error::Wait(format!(
            "revision {revision} is written, but who serves it is unknown: {error}"
        ))
    };
    let store = store.within(limit + Duration::from_secs(1));
    let mut is_warned = false;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let fleet = timeout_at(latest.into(), store.frontends()).await;
        let Fleet {
            frontends,
            unreadable,
            cluster_id,
        } = fleet
            .map_err(|_| in_time(None))?
            .map_err(|error| in_time(Some(error)))?;
        if !std::mem::replace(&mut is_warned, true) {
            output::left_out(&unreadable);
        }
        // Not all of the time at once: a front-end that has died is not asked to the end, and one that has
        // come is not overlooked.
        let step = left.min(Duration::from_secs(1));
        let asked: Vec<_> = frontends
            .iter()
            .map(|(id, frontend)| {
                let (id, frontend) = (id.clone(), frontend.clone());
                tokio::spawn(async move {
                    let state = ask(&id, &frontend, revision, step).await;
                    (id, state)
                })
            })
            .collect();
        let count = asked.len();
        let mut lagging: BTreeMap<String, String> = BTreeMap::new();
        let mut ahead: Vec<(String, i64)> = Vec::new();
        for task in asked {
            let (id, state) = task
                .await
                .map_err(|error| Error::Failed(error.to_string()))?;
            match state.and_then(|state| state.serves(revision, cluster_id)) {
                Ok(applied) if applied > revision => ahead.push((id, applied)),
                Ok(_) => {}
                Err(lag) => drop(lagging.insert(id, lag)),
            }
        }
        // Others have written meanwhile; or these revisions are of a history that is not there any more.
        if lagging.is_empty() && !ahead.is_empty() {
            let head = timeout_at(latest.into(), store.head()).await;
            let head = head
                .map_err(|_| in_time(None))?
                .map_err(|error| in_time(Some(error)))?;
            ahead.retain(|(_, applied)| *applied > head.store);
            lagging.extend(ahead.into_iter().map(|(id, applied)| {
                (
                    id,
                    format!("at revision {applied}, which etcd does not have"),
                )
            }));
        }
        if count > 0 && lagging.is_empty() {
            return Ok(count);
        }
        if Instant::now() >= end {
            let who = match count {
                0 => "no front-end is registered".to_string(),
                _ => lagging
                    .iter()
                    .map(|(id, state)| format!("{id} ({state})"))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            return Err(Error::Wait(format!(
                "revision {revision} is written, but not served everywhere after {}: {who}",
                shown(limit)
            )));
        }
        // Who lags has been waited for; who does not answer, or serves something else, is not to be asked in a rush.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl State {
    /// The revision that it serves, if that has this one of this cluster in it; otherwise why not.
    fn serves(&self, revision: i64, cluster_id: u64) -> Result<i64, String> {
        let applied = self.applied.ok_or("not synced yet")?;
        if !self.is_of(cluster_id) {
            return Err(format!("at revision {applied} of another cluster"));
        }
        if let Some(Held { gone, of }) = self.held {
            return Err(format!(
                "at revision {applied}, as etcd has lost {gone} of {of} RRsets: nsctl accept, if that is meant"
            ));
        }
        if self.doubted {
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
    pub(crate) fn is_of(&self, cluster_id: u64) -> bool {
        let told = format!("{cluster_id:x}");
        self.cluster.as_ref().is_none_or(|cluster| *cluster == told)
    }
}

fn shown(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_revision_of_another_history_serves_nothing() {
        let state = |more: &str| -> State {
            let text = format!(
                r#"{{"ready":true,"applied":9,"zones":1,"rrsets":1,"quarantined":0,"endpoint":""{more}}}"#
            );
            serde_json::from_str(&text).expect("a state")
        };
        let own = state(r#","cluster":"a1""#);
        assert_eq!(own.serves(9, 0xa1), Ok(9));
        assert_eq!(own.serves(5, 0xa1), Ok(9));
        assert_eq!(
            own.serves(10, 0xa1).as_ref().map_err(String::as_str),
            Err("at revision 9")
        );
        let other = own.serves(5, 0xb2).expect_err("another cluster");
        assert!(other.contains("another cluster"), "{other}");
        let held = state(r#","cluster":"a1","held":{"gone":2,"of":3}"#).serves(5, 0xa1);
        assert!(held.expect_err("it is held back").contains("nsctl accept"));
        let doubted = state(r#","cluster":"a1","doubted":true"#).serves(5, 0xa1);
        assert!(doubted.expect_err("it is doubted").contains("listed again"));
        assert_eq!(state("").serves(5, 0xa1), Ok(9), "an earlier release");
        let empty = State {
            applied: None,
            ..own
        };
        assert_eq!(empty.serves(5, 0xa1), Err("not synced yet".into()));
    }
}
