//! Gets answers from admin listeners, over HTTP.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use etcd::client::UnreadableFrontend;
use etcd::model::Name;
use etcd::schema::{Frontend, FrontendStatus, Held, HeldZone};
use reqwest::{ClientBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::output::plural;

/// Time limit for an answer that a front-end has at hand.
const ANSWER: Duration = Duration::from_secs(2);

/// Time limit for the next part of a long answer.
const PART: Duration = Duration::from_secs(10);

/// How much longer than the time limit it was given a front-end may take to answer.
const GRACE: Duration = Duration::from_millis(500);

/// How many zones a line names.
const ZONES_SHOWN: usize = 5;

/// The id of a registered front-end, and its registration, or why that cannot be read.
pub(crate) type Registration = (String, Result<Frontend, UnreadableFrontend>);

/// What a front-end answered, by its id.
pub(crate) type Answer<T> = (String, Result<T, NoAnswer>);

/// Why a front-end gave no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Its registration in etcd cannot be read.
    Registration(String),
    /// It has no admin listener.
    NoAdmin,
    /// The URL made of the admin listener's address is not one.
    Address(String, Box<dyn Error + Send + Sync>),
    /// The connection to this address failed, or took too long.
    Unreachable(String, reqwest::Error),
    /// Another front-end answers at this address, and says who it is.
    OtherFrontend(String, String),
    /// Any other HTTP status than success, at this address and path, with the response's text.
    Status(String, String, StatusCode, String),
    /// The response from this address is not of the expected form.
    Form(String, reqwest::Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Registration(reason) => f.write_str(reason),
            NoAnswer::NoAdmin => f.write_str("it has no admin listener"),
            NoAnswer::Address(admin, error) => write!(f, "{admin} is not an address: {error}"),
            NoAnswer::Unreachable(admin, error) => {
                write!(f, "{admin} does not answer: {}", root_cause(error))
            }
            NoAnswer::OtherFrontend(admin, who) => write!(
                f,
                "another front-end answers at {admin} ({who}): give each front-end an --admin address of its own that \
                 can be reached from here"
            ),
            NoAnswer::Status(admin, path, status, text) if text.is_empty() => write!(
                f,
                "{admin} answers {status} for /{path}: is it another release of nsd?"
            ),
            NoAnswer::Status(admin, _, _, text) => write!(f, "{admin}: {text}"),
            NoAnswer::Form(admin, error) => write!(
                f,
                "{admin} sends an answer of an unknown form (is it another release of nsd?): {}",
                root_cause(error)
            ),
        }
    }
}

impl Error for NoAnswer {}

/// The innermost cause, which is the one that a person can do something about.
pub(crate) fn root_cause(error: &reqwest::Error) -> &dyn Error {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

/// Describes what a front-end holds back.
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
    text += &format!(" in {}: {}", plural(*zones, "zone"), shown.join(", "));
    match zones.saturating_sub(shown.len() as u64) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Returns the address of a front-end's admin listener.
pub(crate) fn admin(registered: &Result<Frontend, UnreadableFrontend>) -> Result<String, NoAnswer> {
    match registered {
        Ok(frontend) => frontend.admin.clone().ok_or(NoAnswer::NoAdmin),
        Err(error) => Err(NoAnswer::Registration(error.to_string())),
    }
}

/// Asks any front-end at an address for its status.
pub(crate) async fn ask_at(admin: &str, limit: Duration) -> Result<FrontendStatus, NoAnswer> {
    get_at(admin, None, "status", limit.min(ANSWER)).await
}

/// Asks all registered front-ends for their status.
pub(crate) async fn ask_all(
    registered: &[Registration],
    limit: Duration,
) -> Vec<Answer<FrontendStatus>> {
    get_all(registered, "status", limit.min(ANSWER)).await
}

/// Gets a path from all registered front-ends at the same time.
pub(crate) async fn get_all<T: DeserializeOwned + Send + 'static>(
    registered: &[Registration],
    path: &str,
    limit: Duration,
) -> Vec<Answer<T>> {
    let asked: Vec<_> = registered
        .iter()
        .map(|(id, registered)| {
            let (id, admin, path) = (id.clone(), admin(registered), path.to_string());
            tokio::spawn(async move {
                let answer = match admin {
                    Ok(admin) => get_at(&admin, Some(&id), &path, limit).await,
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

/// Gets a path from the front-end at an address. If an id is given, no other front-end may answer.
pub(crate) async fn get_at<T: DeserializeOwned>(
    admin: &str,
    id: Option<&str>,
    path: &str,
    limit: Duration,
) -> Result<T, NoAnswer> {
    // The front-end may use up its limit before it answers. With a limit of 0, one that answers at once is still heard.
    let limits = |client: ClientBuilder| client.timeout(limit + GRACE);
    let query: Vec<_> = id.map(|id| ("id", id)).into_iter().collect();
    let response = request(admin, path, &query, limits).await?;
    response
        .json()
        .await
        .map_err(|error| match error.is_decode() {
            true => NoAnswer::Form(admin.into(), error),
            false => NoAnswer::Unreachable(admin.into(), error),
        })
}

/// Asks for a zone that is held back, as a master file. As that may be long, the time limit is for each part of it.
pub(crate) async fn held_zone(
    admin: &str,
    id: Option<&str>,
    zone: &Name,
) -> Result<Response, NoAnswer> {
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
) -> Result<Response, NoAnswer> {
    let mut url = reqwest::Url::parse(&format!("http://{admin}/{path}"))
        .map_err(|error| NoAnswer::Address(admin.into(), error.into()))?;
    url.query_pairs_mut().extend_pairs(query);
    let client = limits(reqwest::Client::builder().no_proxy());
    let unreachable = |error| NoAnswer::Unreachable(admin.into(), error);
    let request = client.build().map_err(unreachable)?.get(url);
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default().trim().to_string();
    Err(match status {
        StatusCode::MISDIRECTED_REQUEST => NoAnswer::OtherFrontend(admin.into(), text),
        _ => NoAnswer::Status(admin.into(), path.into(), status, text),
    })
}

/// Whether what a front-end serves comes from this cluster. Earlier releases of nsd do not tell; they are trusted.
pub(crate) fn is_of_cluster(state: &FrontendStatus, cluster_id: u64) -> bool {
    let own = format!("{cluster_id:x}");
    state.cluster.as_ref().is_none_or(|cluster| *cluster == own)
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
        // Resolving a name takes a moment, as does a connection to another host.
        let admin = format!("localhost:{port}");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            // An answer that comes before its request is discarded.
            let read = stream.read(&mut [0; 1024]).await;
            assert!(read.is_ok_and(|count| count > 0));
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7";
            stream.write_all(answer).await.expect("written");
            stream
        };
        let answer = get_at::<u64>(&admin, None, "status", Duration::ZERO);
        let (answer, _stream) = tokio::join!(answer, server);
        assert!(matches!(answer, Ok(7)), "{answer:?}");
    }
}
