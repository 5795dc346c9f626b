//! `accept`.

use std::time::{SystemTime, UNIX_EPOCH};

use etcd::schema::{Accepted, Held};
use serde::Serialize;

use super::held;
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::{frontends, output};

#[derive(Serialize)]
struct AcceptReport {
    /// `None` if nothing was held back, and so nothing was written.
    revision: Option<i64>,
    held: Vec<HeldBy>,
}

/// A front-end, and what it holds back.
#[derive(Serialize)]
struct HeldBy {
    id: String,
    #[serde(flatten)]
    held: Held,
}

pub(super) async fn accept(context: &Context) -> Result<(), Error> {
    let fleet = context.store().frontends().await?;
    let registered = fleet.frontends;
    if registered.is_empty() {
        return Err(held::no_frontend());
    }
    let (mut held, mut failed) = (Vec::new(), Vec::new());
    for (id, state) in frontends::ask_all(&registered, context.timeout).await {
        match state {
            Ok(state) => held.extend(state.held.map(|held| HeldBy { id, held })),
            Err(error) => failed.push((id, error)),
        }
    }
    if held.is_empty() && !failed.is_empty() {
        return Err(held::unknown(registered.len() - failed.len(), &failed));
    }
    for (id, error) in failed {
        output::error(format!("{id}: {error}"));
    }
    let mut report = AcceptReport {
        revision: None,
        held,
    };
    let mut text = ChangeText::default();
    if report.held.is_empty() {
        text.done = "nothing is held back\n".into();
        text.would.clone_from(&text.done);
    } else {
        // A clock before 1970 makes this acceptance too old for any front-end to follow.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = now.map_or(0, |time| time.as_secs());
        let revision = context.store().accept(Accepted { at }).await?;
        report.revision = Some(revision);
        for HeldBy { id, held } in &report.held {
            text.lines += &format!("{id} stops holding back {}\n", frontends::loss(held));
        }
        text.done = format!("accepted, revision {revision}\n");
    }
    context.conclude(&report, report.revision, &text).await
}
