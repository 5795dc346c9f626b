//! `cookie …`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd::client::CookieRotation;
use etcd::model::{CookieSecret, CookieSecrets, Time};
use serde::Serialize;

use crate::arguments::{CookieCommand, Output};
use crate::context::{ChangeText, Context};
use crate::error::Error;
use crate::output;

/// What may be shown of the secrets for cookies: everything but the secrets themselves.
#[derive(Serialize)]
struct CookieReport {
    revision: i64,
    /// When they were written last, in seconds of Unix time.
    rotated_at: u64,
    /// From when on the newest secret is used, in seconds of Unix time; `None` if it is the only one.
    next_from: Option<u64>,
    /// How many secrets make cookies that are accepted.
    accepted: usize,
}

impl CookieReport {
    fn new(revision: i64, secrets: &CookieSecrets) -> Self {
        CookieReport {
            revision,
            rotated_at: secrets.rotated_at,
            next_from: secrets.next.map(|next| next.from),
            accepted: secrets.all().count(),
        }
    }

    /// What people read of it.
    fn text(&self, now: u64) -> String {
        let used = match self.next_from {
            Some(from) if from > now => {
                format!("the newest secret is used in {}", time(from - now))
            }
            _ => "the newest secret is in use".to_string(),
        };
        let plural = if self.accepted == 1 { "" } else { "s" };
        format!(
            "{used}; cookies of {} secret{plural} are accepted\n",
            self.accepted
        )
    }
}

/// Runs a `cookie` command.
pub(super) async fn run(context: &Context, command: CookieCommand) -> Result<(), Error> {
    match command {
        CookieCommand::Show => show(context).await,
        CookieCommand::Rotate { after, revoke, .. } => rotate(context, after, revoke).await,
    }
}

async fn show(context: &Context) -> Result<(), Error> {
    let read = context.store().cookie().await?;
    let report = match read.secrets {
        None => None,
        Some(Ok(secrets)) => Some(CookieReport::new(read.revision, &secrets)),
        Some(Err(error)) => return Err(Error::Conflict(error.to_string())),
    };
    if context.output == Output::Json {
        return output::json(&report);
    }
    let Some(report) = report else {
        return output::print(
            "no secret in etcd: each front-end uses one of its own, or the last shared one, until nsctl cookie rotate is run\n",
        );
    };
    let now = now();
    let age = time(now.saturating_sub(report.rotated_at));
    output::print(&format!("rotated {age} ago\n{}", report.text(now)))
}

async fn rotate(context: &Context, after: Duration, is_revoking: bool) -> Result<(), Error> {
    let mut added = [0; 16];
    getrandom::fill(&mut added)
        .map_err(|error| Error::failed(format!("the kernel gives no random numbers: {error}")))?;
    let now = now();
    let rotation = CookieRotation {
        added: CookieSecret(added),
        now,
        from: now.saturating_add(after.as_secs()),
        is_revoking,
    };
    let (revision, secrets) = context.store().rotate_cookie(rotation).await?;
    let report = CookieReport::new(revision, &secrets);
    let text = ChangeText::changed(report.text(now), revision);
    context.conclude(&report, Some(revision), &text).await
}

/// The time in seconds of Unix time; 0 for a clock that is before that.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

fn time(seconds: u64) -> Time {
    Time(Duration::from_secs(seconds))
}
