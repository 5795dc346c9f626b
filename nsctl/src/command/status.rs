//! `status`.

mod faults;

use etcd::client::{Member, MemberState, StoreError};
use etcd::schema::{Frontend, FrontendStatus};
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::frontends;
use crate::output;

#[derive(Serialize)]
struct Status {
    members: Vec<ShownMember>,
    /// None where it could not be read who is registered.
    frontends: Option<Vec<Shown>>,
    /// What is wrong, and what to do.
    faults: Vec<String>,
    /// What may become wrong, or was.
    hints: Vec<String>,
}

#[derive(Serialize)]
struct ShownMember {
    endpoint: String,
    #[serde(flatten)]
    state: Option<MemberState>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(flatten)]
    registered: Option<Frontend>,
    /// How many revisions it is behind the last transaction.
    lag: Option<i64>,
    #[serde(flatten)]
    state: Option<FrontendStatus>,
    error: Option<String>,
}

pub(super) async fn status(
    context: &Context,
    frontend: Option<&str>,
    no_fail: bool,
) -> Result<(), Error> {
    let (mut status, failure) = match frontend {
        Some(admin) => (ask_one(context, admin).await, None),
        None => ask_everybody(context).await,
    };
    let faults = faults::faults(&status);
    status.faults.extend(faults);
    status.hints = faults::hints(&status);
    match context.output {
        Output::Json => output::json(&status)?,
        Output::Table => show(&status, frontend.is_some())?,
    }
    match (failure, status.faults.len()) {
        _ if no_fail => Ok(()),
        (Some(error), _) => Err(error.into()),
        (None, 0) => Ok(()),
        (None, 1) => Err(Error::Conflict("1 problem found".into())),
        (None, count) => Err(Error::Conflict(format!("{count} problems found"))),
    }
}

/// One front-end, without etcd.
async fn ask_one(context: &Context, admin: &str) -> Status {
    let state = frontends::ask_at(admin, context.timeout).await;
    let id = state.as_ref().ok().and_then(|state| state.id.clone());
    let id = id.unwrap_or_else(|| admin.to_string());
    let shown = Shown::new(id, None, state, None);
    Status {
        members: Vec::new(),
        frontends: Some(vec![shown]),
        faults: Vec::new(),
        hints: Vec::new(),
    }
}

/// The members of etcd and all front-ends, and why etcd could not be read, if so.
async fn ask_everybody(context: &Context) -> (Status, Option<StoreError>) {
    let members = context.store().members().await;
    let members: Vec<_> = members.into_iter().map(ShownMember::from).collect();
    let head = context.store().head().await;
    let (fleet, mut failure) = match &head {
        Ok(_) => (context.store().frontends().await, None),
        // What a member still knows is worth more than nothing.
        Err(error) => {
            let store = context.store().without_quorum();
            (store.frontends().await, Some(error.clone()))
        }
    };
    let mut faults = Vec::new();
    if let Err(error) = &head {
        faults.push(format!("the revision of etcd could not be read: {error}"));
    }
    let frontends = match fleet {
        Ok(fleet) => {
            if failure.is_some() {
                faults.push(
                    "the front-ends are those that one member of etcd knows; some may have come or gone since".into(),
                );
            }
            let states = frontends::ask_all(&fleet.frontends, context.timeout).await;
            let lag = |state: &FrontendStatus| {
                let head = head.as_ref().ok()?;
                let applied = state
                    .applied
                    .filter(|_| frontends::is_of(state, head.cluster_id))?;
                Some((head.revision - applied).max(0))
            };
            let shown = fleet.frontends.into_iter().zip(states);
            let shown = shown.map(|((id, registered), (_, state))| {
                let lag = state.as_ref().ok().and_then(lag);
                Shown::new(id, registered.ok(), state, lag)
            });
            Some(shown.collect())
        }
        Err(error) => {
            faults.push(format!("the front-ends could not be read: {error}"));
            failure.get_or_insert(error);
            None
        }
    };
    let status = Status {
        members,
        frontends,
        faults,
        hints: Vec::new(),
    };
    (status, failure)
}

impl From<Member> for ShownMember {
    fn from(Member { endpoint, state }: Member) -> Self {
        let (state, error) = apart(state);
        ShownMember {
            endpoint,
            state,
            error,
        }
    }
}

impl Shown {
    fn new(
        id: String,
        registered: Option<Frontend>,
        state: Result<FrontendStatus, String>,
        lag: Option<i64>,
    ) -> Self {
        let (mut state, error) = apart(state);
        if let Some(state) = &mut state {
            // The row has its id, and its registration its version.
            state.id = None;
            state.version = state.version.take().filter(|_| registered.is_none());
        }
        Shown {
            id,
            registered,
            lag,
            state,
            error,
        }
    }
}

fn apart<T>(result: Result<T, impl ToString>) -> (Option<T>, Option<String>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error.to_string())),
    }
}

fn show(status: &Status, is_one: bool) -> Result<(), Error> {
    if !is_one {
        show_members(&status.members)?;
        output::print("\n")?;
    }
    if let Some(frontends) = &status.frontends {
        show_frontends(frontends)?;
    }
    let lines = status.faults.iter().chain(&status.hints);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    match (lines.is_empty(), &status.frontends) {
        (true, _) => Ok(()),
        (false, None) => output::print(&lines),
        (false, Some(_)) => output::print(&format!("\n{lines}")),
    }
}

fn show_members(members: &[ShownMember]) -> Result<(), Error> {
    let rows = members.iter().map(|member| {
        let Some(state) = &member.state else {
            let blank = [member.endpoint.as_str(), "-", "-", "no answer", "-", "-"];
            return blank.map(String::from).into();
        };
        let role = match (state.leader, state.has_leader) {
            (true, _) => "leader",
            (false, true) => "follower",
            (false, false) => "no leader",
        };
        vec![
            member.endpoint.clone(),
            state.id.clone(),
            state.version.clone(),
            role.into(),
            state.revision.to_string(),
            format!("{:.1} MiB", state.db_size as f64 / f64::from(1 << 20)),
        ]
    });
    let header = ["MEMBER", "ID", "VERSION", "ROLE", "REVISION", "DATABASE"];
    output::table(&header, rows.collect(), "no members")
}

fn show_frontends(frontends: &[Shown]) -> Result<(), Error> {
    let rows = frontends.iter().map(|shown| {
        let state = shown.state.as_ref();
        let number = |number: Option<i64>| number.map_or("-".into(), |number| number.to_string());
        let dns = shown.registered.as_ref().map(|told| told.dns.join(","));
        let age = state.and_then(|state| state.fresh_age_ms);
        vec![
            shown.id.clone(),
            dns.unwrap_or_else(|| "-".into()),
            number(state.and_then(|state| state.applied)),
            number(shown.lag),
            age.map_or("-".into(), |age| {
                format!("{:.1} s ago", age as f64 / 1000.0)
            }),
            number(state.map(|state| state.zones as i64)),
            number(state.map(|state| state.rrsets as i64)),
            number(state.map(|state| state.quarantined as i64)),
        ]
    });
    let header = [
        "FRONT-END",
        "DNS",
        "REVISION",
        "LAG",
        "FRESH",
        "ZONES",
        "RRSETS",
        "QUARANTINED",
    ];
    output::table(&header, rows.collect(), "no front-end is registered")
}
