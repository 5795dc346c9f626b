//! `status`.

mod faults;
mod problem;
mod report;

use etcd::client::StoreError;
use etcd::schema::FrontendStatus;

use self::problem::{Problem, lines};
use self::report::{FrontendRow, MemberRow, StatusReport};
use crate::arguments::Output;
use crate::context::Context;
use crate::error::Error;
use crate::frontends::{self, Answer, Registration};
use crate::output::{self, plural};

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
    match (failure, lines(&status.faults).len()) {
        _ if no_fail => Ok(()),
        (Some(error), _) => Err(error.into()),
        (None, 0) => Ok(()),
        (None, count) => Err(Error::Conflict(format!(
            "{} found",
            plural(count, "problem")
        ))),
    }
}

/// Asks one front-end, without etcd.
async fn ask_one(context: &Context, admin: &str) -> StatusReport {
    let state = frontends::ask_at(admin, context.timeout).await;
    let id = state.as_ref().ok().and_then(|state| state.id.clone());
    let id = id.unwrap_or_else(|| admin.to_string());
    let row = FrontendRow::new(id, None, state, None);
    StatusReport {
        members: Vec::new(),
        frontends: Some(vec![row]),
        faults: Vec::new(),
        hints: Vec::new(),
    }
}

/// Asks all members of etcd and all front-ends. Also returns the error if etcd could not be read.
async fn ask_everybody(context: &Context) -> (StatusReport, Option<StoreError>) {
    let members = context.store().members().await;
    let members: Vec<_> = members.into_iter().map(MemberRow::from).collect();
    let head = context.store().head().await;
    let (fleet, mut failure) = match &head {
        Ok(_) => (context.store().frontends().await, None),
        // What one member still knows is better than nothing.
        Err(error) => {
            let store = context.store().without_quorum();
            (store.frontends().await, Some(error.clone()))
        }
    };
    let mut faults = Vec::new();
    if let Err(error) = &head {
        let text = format!("the revision of etcd could not be read: {error}");
        faults.push(Problem::general(text));
    }
    let frontends = match fleet {
        Ok(fleet) => {
            if failure.is_some() {
                faults.push(Problem::general(
                    "the front-ends are those that one member of etcd knows; some may have come or gone since",
                ));
            }
            let cluster = head
                .as_ref()
                .ok()
                .map(|head| (head.revision, head.cluster_id));
            Some(ask_fleet(context, fleet.frontends, cluster).await)
        }
        Err(error) => {
            let text = format!("the front-ends could not be read: {error}");
            faults.push(Problem::general(text));
            failure.get_or_insert(error);
            None
        }
    };
    let status = StatusReport {
        members,
        frontends,
        faults,
        hints: Vec::new(),
    };
    (status, failure)
}

/// Asks front-ends. Their lag is towards the revision of a cluster, if that is known.
async fn ask_fleet(
    context: &Context,
    registered: Vec<Registration>,
    cluster: Option<(i64, u64)>,
) -> Vec<FrontendRow> {
    let states = frontends::ask_all(&registered, context.timeout).await;
    let lag = |state: &FrontendStatus| {
        let (revision, cluster_id) = cluster?;
        let applied = state
            .applied
            .filter(|_| frontends::is_of_cluster(state, cluster_id))?;
        Some((revision - applied).max(0))
    };
    let row = |((id, registered), (_, state)): (Registration, Answer<FrontendStatus>)| {
        let lag = state.as_ref().ok().and_then(lag);
        FrontendRow::new(id, registered.ok(), state, lag)
    };
    registered.into_iter().zip(states).map(row).collect()
}

fn show(status: &StatusReport, is_one: bool) -> Result<(), Error> {
    if !is_one {
        show_members(&status.members)?;
    }
    // If there are none, a line below says so.
    let frontends = status.frontends.as_ref().filter(|rows| !rows.is_empty());
    if let Some(frontends) = frontends {
        if !is_one {
            output::print("\n")?;
        }
        show_frontends(frontends)?;
    }
    let lines = [lines(&status.faults), lines(&status.hints)].concat();
    match lines.is_empty() {
        true => Ok(()),
        false => output::print(&format!("\n{}\n", lines.join("\n"))),
    }
}

fn show_members(members: &[MemberRow]) -> Result<(), Error> {
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

fn show_frontends(frontends: &[FrontendRow]) -> Result<(), Error> {
    let rows = frontends.iter().map(|row| {
        let state = row.state.as_ref();
        let number = |number: Option<i64>| number.map_or("-".into(), |number| number.to_string());
        let dns = row
            .registered
            .as_ref()
            .map(|frontend| frontend.dns.join(","));
        let age = state.and_then(|state| state.fresh_age_ms);
        vec![
            row.id.clone(),
            dns.unwrap_or_else(|| "-".into()),
            number(state.and_then(|state| state.applied)),
            number(row.lag),
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
