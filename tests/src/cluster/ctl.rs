//! What tests ask of etcd itself, through etcdctl.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Cluster;
use crate::eventually;

/// What a member says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// Its id.
    pub id: u64,
    /// The id of the leader it follows, 0 if it knows of none.
    pub leader: u64,
    /// The revision of its store.
    pub revision: i64,
}

impl Cluster {
    /// Runs etcdctl against all members, and returns its standard output. Panics where it fails.
    pub async fn etcdctl(&self, args: &[&str]) -> String {
        let output = run(&self.endpoints.join(","), self.user().as_deref(), args).await;
        output.unwrap_or_else(|error| panic!("etcdctl {args:?}: {error}"))
    }

    /// Reads with etcdctl, again where a member does not answer.
    async fn get(&self, args: &[&str]) -> String {
        let args = [&["get"], args].concat();
        eventually("etcdctl reads", Duration::from_secs(30), async || {
            run(&self.endpoints.join(","), self.user().as_deref(), &args).await
        })
        .await
    }

    /// Runs etcdctl against one member.
    pub async fn try_etcdctl_at(&self, member: usize, args: &[&str]) -> Result<String, String> {
        run(self.endpoint(member), self.user().as_deref(), args).await
    }

    /// What each member says of itself, asked side by side; none where it does not answer.
    pub async fn states(&self) -> Vec<Option<MemberState>> {
        let (mut tasks, mut states) = (JoinSet::new(), vec![None; self.size()]);
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let (endpoint, user) = (endpoint.clone(), self.user());
            tasks.spawn(async move { (index, state(&endpoint, user.as_deref()).await) });
        }
        while let Some(asked) = tasks.join_next().await {
            let (index, state) = asked.expect("etcdctl is run");
            states[index] = state.ok();
        }
        states
    }

    /// The keys under a prefix with their values.
    pub async fn keys(&self, prefix: &str) -> Vec<(String, String)> {
        let output = self.get(&["--prefix", prefix, "-w", "fields"]).await;
        // Go's quoted form, which for text is JSON's.
        let unquote = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.to_string());
        let (mut key, mut found) = (String::new(), Vec::new());
        for line in output.lines() {
            match line.split_once(" : ") {
                Some(("\"Key\"", text)) => key = unquote(text),
                Some(("\"Value\"", text)) => found.push((std::mem::take(&mut key), unquote(text))),
                _ => {}
            }
        }
        found
    }

    /// The one key under a prefix that ends so, as in `keys("/ns/v1/rr/", "/www/A")`.
    pub async fn key_ending(&self, prefix: &str, end: &str) -> String {
        let keys = self.keys(prefix).await;
        let mut found = keys
            .iter()
            .map(|(key, _)| key)
            .filter(|key| key.ends_with(end));
        match (found.next(), found.next()) {
            (Some(key), None) => key.clone(),
            other => panic!("not one key under {prefix} that ends in {end}: {other:?}"),
        }
    }

    /// The revision of the store, which every write of anyone raises.
    pub async fn revision(&self) -> i64 {
        let output = self.get(&["no such key", "-w", "json"]).await;
        let json: Value = serde_json::from_str(&output).expect("etcdctl prints JSON");
        json["header"]["revision"].as_i64().expect("a revision")
    }

    /// Forgets all of history before now, on disk too.
    pub async fn compact(&self) -> i64 {
        let revision = self.revision().await;
        self.etcdctl(&["compact", &revision.to_string(), "--physical"])
            .await;
        for member in 0..self.size() {
            self.try_etcdctl_at(member, &["defrag"])
                .await
                .expect("a healthy member defragments");
        }
        revision
    }
}

async fn state(endpoint: &str, user: Option<&str>) -> Result<MemberState, String> {
    let output = run(
        endpoint,
        user,
        &[
            "endpoint",
            "status",
            "-w",
            "json",
            "--command-timeout",
            "2s",
        ],
    )
    .await?;
    let json: Value =
        serde_json::from_str(&output).map_err(|error| format!("{error}: {output}"))?;
    let status = &json[0]["Status"];
    let header = &status["header"];
    let id = header["member_id"]
        .as_u64()
        .ok_or_else(|| format!("no member id: {output}"))?;
    // Left out where it is 0.
    let leader = status["leader"].as_u64().unwrap_or(0);
    let revision = header["revision"].as_i64().unwrap_or(0);
    Ok(MemberState {
        id,
        leader,
        revision,
    })
}

async fn run(endpoints: &str, user: Option<&str>, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .arg("--endpoints")
        .arg(endpoints)
        // The last word counts.
        .args(["--dial-timeout", "5s", "--command-timeout", "5s"])
        .args(args);
    if let Some(user) = user {
        command.args(["--user", user]);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(Duration::from_secs(20), command.output()).await {
        Ok(output) => output.map_err(|error| format!("cannot run etcdctl: {error}"))?,
        Err(_) => return Err("no answer within 20 s".into()),
    };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_string();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}
