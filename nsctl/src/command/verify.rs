//! `verify`.

use std::collections::BTreeMap;
use std::fmt;

use etcd::client::{Store, StoreError};
use etcd::model::Digest;
use etcd::schema::{DigestAt, FrontendStatus, Held};
use serde::Serialize;

use crate::arguments::Output;
use crate::context::Context;
use crate::error::Error;
use crate::frontends::NoAnswer;
use crate::output::plural;
use crate::{frontends, output};

/// How often to compare: a change that is in progress may make a difference, but not twice.
const ROUNDS: usize = 2;

#[derive(Serialize)]
struct VerifyReport {
    revision: i64,
    digest: Digest,
    rrsets: usize,
    unusable: usize,
    members: Vec<ComparedRow>,
    frontends: Vec<ComparedRow>,
    /// What front-ends hold back, by their ids.
    held: BTreeMap<String, Held>,
}

/// A member or a front-end.
#[derive(Serialize)]
struct ComparedRow {
    name: String,
    /// Whether its digest is the expected one; `None` if it could not be compared.
    agrees: Option<bool>,
    digest: Option<Digest>,
    /// Why it could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Why a member or a front-end could not be compared.
enum NotCompared {
    Store(StoreError),
    NoAnswer(NoAnswer),
    /// It has not reached this revision.
    Behind(i64),
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotCompared::Store(error) => error.fmt(f),
            NotCompared::NoAnswer(error) => error.fmt(f),
            NotCompared::Behind(revision) => write!(f, "it has not reached revision {revision}"),
        }
    }
}

impl ComparedRow {
    fn new(name: String, digest: Result<Digest, NotCompared>, expected: Digest) -> Self {
        let (digest, error) = match digest {
            Ok(digest) => (Some(digest), None),
            Err(error) => (None, Some(error.to_string())),
        };
        ComparedRow {
            name,
            agrees: digest.map(|digest| digest == expected),
            digest,
            error,
        }
    }
}

impl VerifyReport {
    fn rows(&self) -> impl Iterator<Item = &ComparedRow> {
        self.members.iter().chain(&self.frontends)
    }

    fn count(&self, agrees: Option<bool>) -> usize {
        self.rows().filter(|row| row.agrees == agrees).count()
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
            "{id} holds back a loss of {}: what it serves differs from etcd (nsctl status)",
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

async fn compare(context: &Context) -> Result<VerifyReport, Error> {
    let store = context.store();
    let survey = store.survey(None).await?;
    let (revision, expected) = (survey.revision, survey.census.digest());
    let mut members = Vec::new();
    for endpoint in store.endpoints() {
        // A member reads from its own copy, even if it first asks the others how recent that has to be.
        let digest = digest_of(context, &store.at(endpoint), revision).await;
        members.push(ComparedRow::new(endpoint.clone(), digest, expected));
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
    let digest = |answer: Result<DigestAt, NoAnswer>| {
        let digest = answer.map_err(NotCompared::NoAnswer)?.digest;
        digest.ok_or(NotCompared::Behind(survey.newest))
    };
    let frontends = answers
        .into_iter()
        .map(|(id, answer)| ComparedRow::new(id, digest(answer), expected));
    Ok(VerifyReport {
        revision,
        digest: expected,
        rrsets: survey.census.rrsets(),
        unusable: survey.census.unusable(),
        members,
        frontends: frontends.collect(),
        held,
    })
}

async fn digest_of(context: &Context, store: &Store, revision: i64) -> Result<Digest, NotCompared> {
    let survey = store
        .with_timeout(context.timeout)
        .survey(Some(revision))
        .await;
    survey
        .map(|survey| survey.census.digest())
        .map_err(NotCompared::Store)
}

fn show(report: &VerifyReport) -> Result<(), Error> {
    let VerifyReport {
        revision,
        rrsets,
        unusable,
        ..
    } = report;
    let unusable = match unusable {
        0 => String::new(),
        count => format!(", {} that cannot be used", plural(*count, "key")),
    };
    output::print(&format!(
        "revision {revision}: {rrsets} RRsets{unusable}\n\n"
    ))?;
    let rows = report.rows().map(|row| {
        let agrees = match row.agrees {
            Some(true) => "agrees",
            Some(false) => "DIFFERS",
            None => "unknown",
        };
        let digest = row.digest.map(|digest| digest.to_string());
        vec![
            row.name.clone(),
            agrees.into(),
            digest.or(row.error.clone()).unwrap_or_default(),
        ]
    });
    let header = ["MEMBER OR FRONT-END", "", "DIGEST"];
    output::table(&header, rows.collect(), "nothing to compare")
}
