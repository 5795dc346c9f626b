//! `accept`.

use std::time::{SystemTime, UNIX_EPOCH};

use etcd::schema::Accepted;
use serde::Serialize;

use super::Context;
use crate::arguments::{Output, Wait};
use crate::error::Error;
use crate::frontends::{self, Held};
use crate::output;

#[derive(Serialize)]
struct Report {
    /// None where nothing was held back, and so nothing was written.
    revision: Option<i64>,
    held: Vec<Shown>,
    frontends: Option<usize>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(flatten)]
    held: Held,
}

pub(super) async fn accept(context: &Context, wait: Wait) -> Result<(), Error> {
    let registered = context.store().frontends().await?;
    if registered.is_empty() {
        return Err(Error::Conflict(
            "no front-end is registered that may hold something back".into(),
        ));
    }
    let mut held = Vec::new();
    for (id, state) in frontends::ask_all(&registered, context.timeout).await {
        match state {
            Ok(state) => held.extend(state.held.map(|held| Shown { id, held })),
            Err(error) => output::note(&format!("nsctl: {id}: {error}")),
        }
    }
    let mut report = Report {
        revision: None,
        held,
        frontends: None,
    };
    let mut waited = None;
    if report.held.is_empty() {
        told(context, "nothing is held back");
    } else {
        // Without a clock it is the word of 1970, which no front-end takes.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = now.map_or(0, |time| time.as_secs());
        let revision = context.store().accept(Accepted { at }).await?;
        report.revision = Some(revision);
        for Shown { id, held } in &report.held {
            let Held { gone, of } = held;
            told(context, &format!("{id}: {gone} of {of} RRsets go"));
        }
        told(context, &format!("accepted, revision {revision}"));
        waited = context.wait(revision, wait).await;
        report.frontends = waited
            .as_ref()
            .and_then(|waited| waited.as_ref().ok().copied());
    }
    if context.output == Output::Json {
        output::json(&report)?;
    }
    waited.transpose().map(|_| ())
}

fn told(context: &Context, line: &str) {
    if context.output == Output::Table {
        output::print(&format!("{line}\n"));
    }
}
