//! `verify`.

use std::collections::BTreeMap;

use etcd::client::{Store, StoreError};
use etcd::model::Digest;
use etcd::schema::{DigestAt, FrontendStatus, Held};
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::{frontends, output};

/// A change that is under way may make a difference, once.
const ROUNDS: usize = 2;

#[derive(Serialize)]
struct Report {
    revision: i64,
    digest: Digest,
    rrsets: usize,
    unusable: usize,
    members: Vec<Line>,
    frontends: Vec<Line>,
    /// What front-ends hold back, by their ids.
    held: BTreeMap<String, Held>,
}

/// A member or a front-end.
#[derive(Serialize)]
struct Line {
    name: String,
    /// Whether it has the same; none where it cannot be told.
    agrees: Option<bool>,
    digest: Option<Digest>,
    /// Why it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Line {
    fn new(name: String, digest: Result<Digest, String>, expected: Digest) -> Self {
        let (digest, error) =
            digest.map_or_else(|error| (None, Some(error)), |digest| (Some(digest), None));
        let agrees = digest.map(|digest| digest == expected);
        Line {
            name,
            agrees,
            digest,
            error,
        }
    }
}

impl Report {
    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.members.iter().chain(&self.frontends)
    }

    fn count(&self, agrees: Option<bool>) -> usize {
        self.lines().filter(|line| line.agrees == agrees).count()
    }
}

pub(super) async fn verify(context: &Context) -> Result<(), Error> {
    let mut report = compare(context).await?;
    for _ in 1..ROUNDS {
        if report.count(Some(false)) > 0 {
            report = compare(context).await?;
        }
    }
    match context.output {
        Output::Json => output::json(&report)?,
        Output::Table => show(&report)?,
    }
    for (id, held) in &report.held {
        output::note(&format!(
            "{id} holds back a loss of {}: what it answers differs from etcd (nsctl status)",
            frontends::loss(held)
        ));
    }
    let (differ, unknown) = (report.count(Some(false)), report.count(None));
    if differ > 0 {
        return Err(Error::Conflict(format!(
            "{differ} differ at revision {}",
            report.revision
        )));
    }
    if unknown > 0 {
        return Err(Error::Failed(format!(
            "{unknown} could not be compared at revision {}",
            report.revision
        )));
    }
    Ok(())
}

async fn compare(context: &Context) -> Result<Report, Error> {
    let store = context.store();
    let survey = store.survey(None).await?;
    let (revision, expected) = (survey.revision, survey.census.digest());
    let mut members = Vec::new();
    for endpoint in store.endpoints() {
        // What a member answers comes from its own copy, also where it asks the others how far that has to be.
        let found = with_time(context, &store.at(endpoint), revision).await;
        members.push(Line::new(endpoint.clone(), found, expected));
    }
    let path = format!(
        "digest?revision={revision}&min_revision={}&timeout_ms={}",
        survey.newest,
        context.timeout.as_millis()
    );
    let fleet = context.store().frontends().await?;
    let registered = fleet.frontends;
    let answers = frontends::get_all::<DigestAt>(&registered, &path, context.timeout).await;
    let states = frontends::ask_all(&registered, context.timeout).await;
    let held = |state: FrontendStatus| state.held;
    let held = states
        .into_iter()
        .filter_map(|(id, state)| Some((id, state.ok().and_then(held)?)))
        .collect();
    let had = |answer: Result<DigestAt, String>| {
        answer.and_then(|had| {
            had.digest
                .ok_or_else(|| format!("it has not come to revision {}", survey.newest))
        })
    };
    let frontends = answers
        .into_iter()
        .map(|(id, answer)| Line::new(id, had(answer), expected));
    Ok(Report {
        revision,
        digest: expected,
        rrsets: survey.census.rrsets(),
        unusable: survey.census.unusable(),
        members,
        frontends: frontends.collect(),
        held,
    })
}

async fn with_time(context: &Context, store: &Store, revision: i64) -> Result<Digest, String> {
    let survey = store.within(context.timeout).survey(Some(revision)).await;
    survey
        .map(|survey| survey.census.digest())
        .map_err(|error: StoreError| error.to_string())
}

fn show(report: &Report) -> Result<(), Error> {
    let Report {
        revision,
        rrsets,
        unusable,
        ..
    } = report;
    let unusable = match unusable {
        0 => String::new(),
        1 => ", 1 key that cannot be used".into(),
        _ => format!(", {unusable} keys that cannot be used"),
    };
    output::print(&format!(
        "revision {revision}: {rrsets} RRsets{unusable}\n\n"
    ))?;
    let rows = report.lines().map(|line| {
        let agrees = match line.agrees {
            Some(true) => "agrees",
            Some(false) => "DIFFERS",
            None => "unknown",
        };
        let digest = line.digest.map(|digest| digest.to_string());
        vec![
            line.name.clone(),
            agrees.into(),
            digest.or(line.error.clone()).unwrap_or_default(),
        ]
    });
    let header = ["MEMBER OR FRONT-END", "", "DIGEST"];
    output::table(&header, rows.collect(), "nothing to compare")
}
