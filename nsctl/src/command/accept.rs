//! `accept`.

use std::time::{SystemTime, UNIX_EPOCH};

use etcd::schema::{Accepted, Held};
use serde::Serialize;

use super::{Context, Told, held};
use crate::arguments::Writing;
use crate::error::Error;
use crate::frontends;
use crate::output;

#[derive(Serialize)]
struct Report {
    /// None where nothing was held back, and so nothing was written.
    revision: Option<i64>,
    held: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(flatten)]
    held: Held,
}

pub(super) async fn accept(context: &Context, writing: Writing) -> Result<(), Error> {
    let fleet = context.store().frontends().await?;
    let registered = fleet.frontends;
    if registered.is_empty() {
        return Err(Error::Conflict(
            "no front-end is registered that may hold something back".into(),
        ));
    }
    let (mut held, mut failed) = (Vec::new(), Vec::new());
    for (id, state) in frontends::ask_all(&registered, context.timeout).await {
        match state {
            Ok(state) => held.extend(state.held.map(|held| Shown { id, held })),
            Err(error) => failed.push(format!("{id}: {error}")),
        }
    }
    if held.is_empty() && !failed.is_empty() {
        return Err(held::not_known(registered.len() - failed.len(), &failed));
    }
    for error in failed {
        output::note(&format!("nsctl: {error}"));
    }
    let mut report = Report {
        revision: None,
        held,
    };
    let mut told = Told::default();
    if report.held.is_empty() {
        told.done = "nothing is held back\n".into();
        told.would.clone_from(&told.done);
    } else {
        // Without a clock it is the word of 1970, which no front-end takes.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = now.map_or(0, |time| time.as_secs());
        let revision = context.store().accept(Accepted { at }).await?;
        report.revision = Some(revision);
        for Shown { id, held } in &report.held {
            told.lines += &format!("{id}: {} go\n", frontends::loss(held));
        }
        told.done = format!("accepted, revision {revision}\n");
    }
    context
        .conclude(&report, report.revision, writing, &told)
        .await
}
