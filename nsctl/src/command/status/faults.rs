//! Finds what is wrong with a cluster and its front-ends.

use std::collections::BTreeSet;

use etcd::schema::{Audit, FrontendStatus, Quarantined};

use super::problem::Problem;
use super::report::{FrontendRow, MemberRow, StatusReport};
use crate::frontends;
use crate::output::plural;

/// How many unusable keys are shown of each front-end; its `/status` has more.
const QUARANTINED_SHOWN: usize = 5;

/// A front-end's copy is proved complete once a second. If the last proof is older than this, that is reported as a
/// fault, even if the front-end does not know the reason yet.
const FRESH_MS_MAX: u64 = 10_000;

/// Returns what is wrong now, and what to do about it.
pub(super) fn faults(status: &StatusReport) -> Vec<Problem> {
    let mut faults: Vec<Problem> = status.members.iter().flat_map(of_member).collect();
    let frontends = status.frontends.iter().flatten();
    let clusters: BTreeSet<&String> = status
        .members
        .iter()
        .filter_map(|member| Some(&member.state.as_ref()?.cluster))
        .collect();
    for row in frontends {
        let found = of_frontend(row, &clusters).into_iter();
        faults.extend(found.map(|text| Problem::of(&row.id, text)));
    }
    if status.frontends.as_ref().is_some_and(Vec::is_empty) {
        faults.push(Problem::general(
            "no front-end is registered: those that run may still answer, but `--wait` cannot see them",
        ));
    }
    faults
}

/// Returns what is not wrong now, but worth knowing.
pub(super) fn hints(status: &StatusReport) -> Vec<Problem> {
    let versions: BTreeSet<&str> = status
        .members
        .iter()
        .filter_map(|member| Some(member.state.as_ref()?.version.as_str()))
        .filter(|version| may_lose_changes(version))
        .collect();
    let mut hints: Vec<Problem> = versions
        .into_iter()
        .map(|version| {
            Problem::general(format!(
                "etcd {version}: releases before 3.4.31 and 3.5.13 can lose events of a watch (etcd#17529), \
                 which only the front-ends' audits find; upgrade it"
            ))
        })
        .collect();
    for FrontendRow { id, state, .. } in status.frontends.iter().flatten() {
        if let Some(FrontendStatus {
            doubted: false,
            audit:
                Some(Audit {
                    revision,
                    agrees: false,
                    ..
                }),
            ..
        }) = state
        {
            hints.push(Problem::of(
                id,
                format!(
                    "its last audit, at revision {revision}, found a difference, and everything was listed again"
                ),
            ));
        }
    }
    hints
}

fn of_member(member: &MemberRow) -> Vec<Problem> {
    let endpoint = &member.endpoint;
    let Some(state) = &member.state else {
        let reason = member.error.as_deref().unwrap_or("no answer");
        return vec![Problem::of(endpoint, reason.into())];
    };
    let mut faults = state.errors.clone();
    if !state.has_leader && faults.iter().all(|fault| !fault.contains("no leader")) {
        faults.push("it has no leader".into());
    }
    let faults = faults.into_iter();
    faults.map(|text| Problem::of(endpoint, text)).collect()
}

fn of_frontend(row: &FrontendRow, clusters: &BTreeSet<&String>) -> Vec<String> {
    let Some(state) = &row.state else {
        return row.error.iter().cloned().collect();
    };
    let mut faults: Vec<String> = freshness(state).into_iter().collect();
    if let Some(trouble) = &state.registration_trouble {
        faults.push(format!(
            "its registration may be lost, and `--wait` would not wait for it: {trouble}"
        ));
    }
    if let Some(held) = &state.held {
        faults.push(format!(
            "etcd has lost {}. These zones are served as they were until the RRsets are there again, or until \
             `nsctl accept` accepts the loss; `nsctl held export DIR` writes them to files",
            frontends::loss(held)
        ));
    }
    if state.serials_behind > 0 {
        let zones = plural(state.serials_behind, "zone");
        faults.push(format!(
            "{zones} with a serial behind one served before: `nsctl zone raise-serials`"
        ));
    }
    if let Some(cluster) = &state.cluster
        && !clusters.is_empty()
        && !clusters.contains(cluster)
    {
        faults.push(format!("mirrors the cluster {cluster}, not this one"));
    }
    if state.doubted {
        faults.push(match state.audit {
            Some(Audit {
                revision,
                agrees: false,
                ..
            }) => format!(
                "its last audit, at revision {revision}, found a difference, and everything is being listed again"
            ),
            _ => "its copy may differ from etcd, and everything is being listed again".into(),
        });
    }
    let named = state.quarantine.iter().take(QUARANTINED_SHOWN);
    let more = state.quarantined.saturating_sub(named.len() as u64);
    faults
        .extend(named.map(|Quarantined { key, reason }| format!("{key} cannot be used: {reason}")));
    if more > 0 {
        faults.push(format!("{more} more keys cannot be used"));
    }
    faults
}

/// Returns what is wrong with a front-end's copy: it serves nothing, or its copy is not known to be complete.
fn freshness(state: &FrontendStatus) -> Option<String> {
    let fault = match (&state.trouble, state.fresh_age_ms) {
        (Some(trouble), _) => trouble.clone(),
        (None, _) if !state.ready && state.applied.is_some() => {
            "it is not ready: there is no zone under its prefix, and all queries get REFUSED; check its --prefix, or \
             add a zone"
                .into()
        }
        (None, _) if !state.ready => "it is not ready: it has nothing to serve yet".into(),
        (None, None) => "what it serves has not been proved complete yet".into(),
        (None, Some(age)) if age > FRESH_MS_MAX => {
            let age = age as f64 / 1000.0;
            format!("what it serves was proved complete {age:.1} s ago, and not since")
        }
        (None, Some(_)) => return None,
    };
    Some(fault)
}

/// Whether watches of this release of etcd are known to lose events.
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
    use etcd::schema::Frontend;

    use super::super::problem::lines;
    use super::*;

    fn member(cluster: &str) -> MemberRow {
        let state = MemberState {
            id: "1".into(),
            cluster: cluster.into(),
            version: "3.5.21".into(),
            revision: 9,
            leader: true,
            has_leader: true,
            db_size: 0,
            errors: vec![],
        };
        MemberRow {
            endpoint: "http://10.0.0.1:2379".into(),
            state: Some(state),
            error: None,
        }
    }

    fn status(members: Vec<MemberRow>, frontends: Option<Vec<FrontendRow>>) -> StatusReport {
        StatusReport {
            members,
            frontends,
            faults: vec![],
            hints: vec![],
        }
    }

    /// The faults and hints about a front-end that says this of itself, beside what it always says.
    fn about(state: &str) -> (Vec<String>, Vec<String>) {
        let text = format!(
            r#"{{"ready":true,"applied":9,"fresh_age_ms":1,"zones":1,"rrsets":1,"endpoint":"",{state}}}"#
        );
        let state: FrontendStatus = serde_json::from_str(&text).expect(&text);
        let registered = Frontend {
            dns: vec![],
            admin: None,
            version: String::new(),
        };
        let row = FrontendRow {
            id: "fe1".into(),
            registered: Some(registered),
            lag: Some(0),
            state: Some(state),
            error: None,
        };
        let status = status(vec![member("a1")], Some(vec![row]));
        (lines(&faults(&status)), lines(&hints(&status)))
    }

    #[test]
    fn old_releases_cause_a_hint() {
        for version in ["3.4.23", "3.4.30", "3.5.1", "3.5.12", "3.3.27"] {
            assert!(may_lose_changes(version), "{version}");
        }
        for version in ["3.4.31", "3.5.13", "3.6.0", "3.6.0-rc.1", "4.0.0", "", "x"] {
            assert!(!may_lose_changes(version), "{version}");
        }
        let mut members = vec![member("a1"), member("a1"), member("a1")];
        for member in &mut members[..2] {
            let Some(state) = &mut member.state else {
                continue;
            };
            state.version = "3.4.23".into();
        }
        let hints = lines(&hints(&status(members, None)));
        assert!(
            hints.len() == 1 && hints[0].starts_with("etcd 3.4.23: "),
            "{hints:?}"
        );
    }

    #[test]
    fn each_fault_has_its_text() {
        let nothing = (vec![], vec![]);
        assert_eq!(about(r#""quarantined":0,"cluster":"a1""#), nothing);
        // A front-end of an earlier release reports less.
        assert_eq!(about(r#""quarantined":0"#), nothing);
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
                r#""quarantined":0,"held":{"gone":5,"of":8,"zones":7,"named":[{"zone":"x.","gone":5,"of":8}]}"#,
                "lost 5 of 8 RRsets in 7 zones: x. (5 of 8) and 6 more. ",
            ),
            (
                r#""quarantined":0,"serials_behind":1"#,
                "1 zone with a serial behind",
            ),
            (
                r#""quarantined":0,"serials_behind":2"#,
                "`nsctl zone raise-serials`",
            ),
            (r#""quarantined":0,"trouble":"it hurts""#, "it hurts"),
            (
                r#""quarantined":0,"registration_trouble":"denied""#,
                "its registration may be lost",
            ),
            (r#""quarantined":0,"doubted":true"#, "may differ from etcd"),
            (
                r#""quarantined":0,"doubted":true,"audit":{"age_ms":1,"revision":7,"agrees":false}"#,
                "at revision 7, found a difference, and everything is being listed again",
            ),
            (
                r#""quarantined":1,"quarantine":[{"key":"/ns/v1/x","reason":"no JSON"}]"#,
                "/ns/v1/x cannot be used: no JSON",
            ),
        ] {
            let (faults, hints) = about(state);
            let one = faults.len() == 1 && faults[0].starts_with("fe1: ");
            let told = one && faults[0].contains(words) && hints.is_empty();
            assert!(told, "{state}: {faults:?} {hints:?}");
        }
        let (many, _) = about(r#""quarantined":7,"quarantine":[{"key":"k","reason":"r"}]"#);
        assert_eq!(
            many.last().map(String::as_str),
            Some("fe1: 6 more keys cannot be used")
        );
        // What has been repaired is not a fault.
        let audit = r#""quarantined":0,"audit":{"age_ms":1,"revision":7,"agrees":false}"#;
        let (faults, hints) = about(audit);
        assert!(
            faults.is_empty() && hints[0].contains("at revision 7, found a difference"),
            "{faults:?} {hints:?}"
        );
    }

    #[test]
    fn what_does_not_answer_or_is_old_is_a_fault() {
        let mut silent = member("a1");
        silent.state = None;
        silent.error = Some("no answer in time".into());
        let mut alone = member("a1");
        if let Some(state) = &mut alone.state {
            (state.leader, state.has_leader) = (false, false);
            state.errors = vec!["NOSPACE".into()];
        }
        let told = lines(&faults(&status(vec![silent, alone], Some(vec![]))));
        let expected = [
            "http://10.0.0.1:2379: no answer in time",
            "http://10.0.0.1:2379: NOSPACE",
            "http://10.0.0.1:2379: it has no leader",
            "no front-end is registered: those that run may still answer, but `--wait` cannot see them",
        ];
        assert_eq!(told, expected);
        // If it could not be read who is registered, nothing is known about the front-ends.
        assert_eq!(faults(&status(vec![], None)), []);
        for (ready, applied, age, words) in [
            (false, "null", "null", "nothing to serve yet"),
            (false, "9", "null", "no zone under its prefix"),
            (true, "9", "null", "has not been proved complete yet"),
            (true, "9", "25000", "25.0 s ago, and not since"),
            (true, "9", "2500", ""),
        ] {
            let text = format!(
                r#"{{"ready":{ready},"applied":{applied},"fresh_age_ms":{age},"zones":1,"rrsets":1,"quarantined":0,"endpoint":""}}"#
            );
            let state: FrontendStatus = serde_json::from_str(&text).expect(&text);
            let row = FrontendRow::new("fe1".into(), None, Ok(state), None);
            let told = lines(&faults(&status(vec![], Some(vec![row])))).join("\n");
            assert!(
                told.contains(words) && told.is_empty() == words.is_empty(),
                "{text}: {told}"
            );
        }
    }
}
