//! `status`.

use std::collections::BTreeSet;
use std::time::Duration;

use etcd::client::{Head, Member};
use etcd::schema::Frontend;
use serde::Serialize;

use super::Context;
use crate::arguments::Output;
use crate::error::Error;
use crate::frontends::{self, Audit, Held, Quarantined, State};
use crate::output;

/// How many keys that cannot be used are shown of each front-end; `-o json` has more.
const QUARANTINED_SHOWN: usize = 5;

#[derive(Serialize)]
struct Status {
    members: Vec<Member>,
    frontends: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(flatten)]
    registered: Frontend,
    /// How many revisions it is behind the last transaction.
    lag: Option<i64>,
    #[serde(flatten)]
    state: Option<State>,
    error: Option<String>,
}

pub(super) async fn status(context: &Context) -> Result<(), Error> {
    let members = context.store().members().await;
    let registered = async {
        Ok::<_, Error>((
            context.store().head().await?,
            context.store().frontends().await?,
        ))
    }
    .await;
    let (frontends, failure) = match registered {
        Ok((head, fleet)) => {
            output::left_out(&fleet.unreadable);
            let frontends = ask_all(head, fleet.frontends, context.timeout).await;
            (frontends, None)
        }
        Err(error) => (Vec::new(), Some(error)),
    };
    let status = Status { members, frontends };
    match context.output {
        Output::Json => output::json(&status)?,
        Output::Table => show(&status)?,
    }
    failure.map_or(Ok(()), Err)
}

async fn ask_all(head: Head, registered: Vec<(String, Frontend)>, limit: Duration) -> Vec<Shown> {
    let states = frontends::ask_all(&registered, limit).await;
    let shown = registered.into_iter().zip(states);
    shown
        .map(|((id, registered), (_, state))| {
            let state_of = state
                .as_ref()
                .ok()
                .filter(|state| state.is_of(head.cluster_id));
            let applied = state_of.and_then(|state| state.applied);
            let lag = applied.map(|applied| (head.revision - applied).max(0));
            let (state, error) =
                state.map_or_else(|error| (None, Some(error)), |state| (Some(state), None));
            Shown {
                id,
                registered,
                lag,
                state,
                error,
            }
        })
        .collect()
}

fn show(status: &Status) -> Result<(), Error> {
    let rows = status.members.iter().map(|member| match &member.state {
        Ok(state) => vec![
            member.endpoint.clone(),
            state.id.clone(),
            state.version.clone(),
            if state.leader { "leader" } else { "follower" }.into(),
            state.revision.to_string(),
            format!("{:.1} MiB", state.db_size as f64 / f64::from(1 << 20)),
            state.errors.join("; "),
        ],
        Err(error) => [member.endpoint.as_str(), "-", "-", "down", "-", "-", error]
            .map(String::from)
            .into(),
    });
    output::table(
        &[
            "MEMBER", "ID", "VERSION", "ROLE", "REVISION", "DATABASE", "ERRORS",
        ],
        rows.collect(),
        "no members",
    )?;
    output::print("\n")?;
    let rows = status.frontends.iter().map(|shown| {
        let state = shown.state.as_ref();
        let number = |number: Option<i64>| number.map_or("-".into(), |number| number.to_string());
        vec![
            shown.id.clone(),
            shown.registered.dns.join(","),
            number(state.and_then(|state| state.applied)),
            number(shown.lag),
            state
                .and_then(|state| state.fresh_age_ms)
                .map_or("-".into(), |age| {
                    format!("{:.1} s ago", age as f64 / 1000.0)
                }),
            number(state.map(|state| state.zones as i64)),
            number(state.map(|state| state.rrsets as i64)),
            number(state.map(|state| state.quarantined as i64)),
            shown
                .error
                .clone()
                .or_else(|| state.and_then(|state| state.trouble.clone()))
                .unwrap_or_default(),
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
        "TROUBLE",
    ];
    output::table(&header, rows.collect(), "no front-end is registered")?;
    let notes: String = notes(status)
        .iter()
        .map(|note| format!("{note}\n"))
        .collect();
    match notes.is_empty() {
        true => Ok(()),
        false => output::print(&format!("\n{notes}")),
    }
}

/// What a person has to know or to do, a line each.
fn notes(status: &Status) -> Vec<String> {
    let clusters: Vec<&String> = status
        .members
        .iter()
        .filter_map(|member| Some(&member.state.as_ref().ok()?.cluster))
        .collect();
    let mut notes = Vec::new();
    let versions: BTreeSet<&str> = status
        .members
        .iter()
        .filter_map(|member| Some(member.state.as_ref().ok()?.version.as_str()))
        .filter(|version| may_lose_changes(version))
        .collect();
    notes.extend(versions.into_iter().map(|version| {
        format!(
            "etcd {version}: releases before 3.4.31 and 3.5.13 are known to lose changes of a watch at times (etcd#17529), \
             which only the front-ends' audits find: better upgrade"
        )
    }));
    for shown in &status.frontends {
        let (id, Some(state)) = (&shown.id, &shown.state) else {
            continue;
        };
        if let Some(Held { gone, of }) = state.held {
            notes.push(format!(
                "{id}: etcd has lost {gone} of {of} RRsets; the old ones are served on until they are there again, \
                 or until `nsctl accept` says that this is meant"
            ));
        }
        if state.serials_behind > 0 {
            let plural = if state.serials_behind == 1 { "" } else { "s" };
            notes.push(format!(
                "{id}: {} zone{plural} with a serial behind one served before: `nsctl zone raise-serials`",
                state.serials_behind
            ));
        }
        if let Some(cluster) = &state.cluster
            && !clusters.is_empty()
            && !clusters.contains(&cluster)
        {
            notes.push(format!("{id}: mirrors the cluster {cluster}, not this one"));
        }
        if let Some(Audit {
            revision,
            agrees: false,
            ..
        }) = state.audit
        {
            let listed = match state.doubted {
                true => "is listed again now",
                false => "was listed again",
            };
            notes.push(format!(
                "{id}: its last audit, at revision {revision}, found a difference, and everything {listed}"
            ));
        }
        let named = state.quarantine.iter().take(QUARANTINED_SHOWN);
        let more = state.quarantined.saturating_sub(named.len() as u64);
        notes
            .extend(named.map(|Quarantined { key, reason }| {
                format!("{id}: {key} cannot be used: {reason}")
            }));
        if more > 0 {
            notes.push(format!("{id}: {more} more keys cannot be used"));
        }
    }
    notes
}

/// Whether watches of this release of etcd are known to lose changes.
fn may_lose_changes(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok);
    match (next(), next(), next()) {
        (Some(3), Some(4), Some(patch)) => patch < 31,
        (Some(3), Some(5), Some(patch)) => patch < 13,
        (Some(3), Some(minor), _) => minor < 4,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use etcd::client::MemberState;

    use super::*;

    fn member(cluster: &str) -> Member {
        let state = MemberState {
            id: "1".into(),
            cluster: cluster.into(),
            version: "3.5.21".into(),
            revision: 9,
            leader: true,
            db_size: 0,
            errors: vec![],
        };
        Member {
            endpoint: "http://10.0.0.1:2379".into(),
            state: Ok(state),
        }
    }

    /// The notes about a front-end that says this of itself, beside what it always says.
    fn about(state: &str) -> Vec<String> {
        let text = format!(
            r#"{{"ready":true,"applied":9,"fresh_age_ms":1,"zones":1,"rrsets":1,"endpoint":"",{state}}}"#
        );
        let state: State = serde_json::from_str(&text).expect(&text);
        let registered = Frontend {
            dns: vec![],
            admin: None,
            version: String::new(),
        };
        let shown = Shown {
            id: "fe1".into(),
            registered,
            lag: Some(0),
            state: Some(state),
            error: None,
        };
        notes(&Status {
            members: vec![member("a1")],
            frontends: vec![shown],
        })
    }

    #[test]
    fn old_releases_are_told() {
        for version in ["3.4.23", "3.4.30", "3.5.1", "3.5.12", "3.3.27"] {
            assert!(may_lose_changes(version), "{version}");
        }
        for version in ["3.4.31", "3.5.13", "3.6.0", "3.6.0-rc.1", "4.0.0", "", "x"] {
            assert!(!may_lose_changes(version), "{version}");
        }
        let mut members = vec![member("a1"), member("a1"), member("a1")];
        for member in &mut members[..2] {
            let Ok(state) = &mut member.state else {
                continue;
            };
            state.version = "3.4.23".into();
        }
        let frontends = vec![];
        let notes = notes(&Status { members, frontends });
        assert!(
            notes.len() == 1 && notes[0].starts_with("etcd 3.4.23: "),
            "{notes:?}"
        );
    }

    #[test]
    fn what_is_wrong_is_said_and_what_to_do() {
        assert_eq!(about(r#""quarantined":0,"cluster":"a1""#), [""; 0]);
        // A front-end of an earlier release says less.
        assert_eq!(about(r#""quarantined":0"#), [""; 0]);
        for (state, words) in [
            (
                r#""quarantined":0,"cluster":"b2""#,
                "mirrors the cluster b2, not this one",
            ),
            (
                r#""quarantined":0,"held":{"gone":1600,"of":3000}"#,
                "lost 1600 of 3000 RRsets",
            ),
            (
                r#""quarantined":0,"serials_behind":1"#,
                "1 zone with a serial behind",
            ),
            (
                r#""quarantined":0,"serials_behind":2"#,
                "`nsctl zone raise-serials`",
            ),
            (
                r#""quarantined":0,"audit":{"age_ms":1,"revision":7,"agrees":false}"#,
                "at revision 7, found a difference, and everything was listed again",
            ),
            (
                r#""quarantined":0,"doubted":true,"audit":{"age_ms":1,"revision":7,"agrees":false}"#,
                "at revision 7, found a difference, and everything is listed again now",
            ),
            (
                r#""quarantined":1,"quarantine":[{"key":"/ns/v1/x","reason":"no JSON"}]"#,
                "/ns/v1/x cannot be used: no JSON",
            ),
        ] {
            let notes = about(state);
            let one = notes.len() == 1 && notes[0].starts_with("fe1: ") && notes[0].contains(words);
            assert!(one, "{state}: {notes:?}");
        }
        let many = about(r#""quarantined":7,"quarantine":[{"key":"k","reason":"r"}]"#);
        assert_eq!(
            many.last().map(String::as_str),
            Some("fe1: 6 more keys cannot be used")
        );
    }
}
