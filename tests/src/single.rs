//! One member of etcd, a process with its data in a folder that a test may copy and put back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::{Process, TempDir, ensure, eventually, free_port};

/// A cluster of one member.
pub struct Single {
    folder: TempDir,
    client: String,
    peer: String,
    process: Option<Process>,
}

impl Single {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Self {
        Self::start_at(&format!("http://127.0.0.1:{}", free_port())).await
    }

    /// The same with this client URL.
    pub async fn start_at(url: &str) -> Self {
        let mut single = Single {
            folder: TempDir::new(),
            client: url.into(),
            peer: format!("http://127.0.0.1:{}", free_port()),
            process: None,
        };
        single.up().await;
        single
    }

    /// Its client URL.
    pub fn endpoint(&self) -> &str {
        &self.client
    }

    /// Its peer URL.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Where its data is.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub async fn up(&mut self) {
        let data = self.data().display().to_string();
        let cluster = format!("etcd0={}", self.peer);
        let args = [
            ["--name", "etcd0"],
            ["--data-dir", &data],
            ["--listen-client-urls", &self.client],
            ["--advertise-client-urls", &self.client],
            ["--listen-peer-urls", &self.peer],
            ["--initial-advertise-peer-urls", &self.peer],
            ["--initial-cluster", &cluster],
            ["--log-level", "error"],
            ["--logger", "zap"],
        ];
        let program = std::env::var_os("NSD_ETCD").unwrap_or_else(|| "etcd".into());
        let process = Process::start("etcd", Path::new(&program), args.as_flattened());
        self.process = Some(process.quiet());
        eventually("etcd answers", Duration::from_secs(30), async || {
            self.etcdctl(&["endpoint", "health"]).map(drop)
        })
        .await;
    }

    /// Ends it as an operator does.
    pub async fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.end(Duration::from_secs(20)).await;
        }
    }

    /// Runs etcdctl, and returns what it says.
    pub fn etcdctl(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.client])
            .args(args)
            .output()
            .map_err(|error| format!("etcdctl did not run: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success(), || told)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The revision of the store, which every write of anyone raises.
    pub fn revision(&self) -> i64 {
        let told = self.etcdctl(&["get", "no such key", "-w", "json"]);
        let told: Value = serde_json::from_str(&told.expect("etcd answers")).expect("JSON");
        told["header"]["revision"].as_i64().expect("a revision")
    }

    /// How many requests of clients it has answered since it was started.
    pub async fn requests(&self) -> u64 {
        let address = self.client.trim_start_matches("http://");
        let address = address.parse().expect("an address");
        let metrics = crate::get(address, "/metrics").await.expect("metrics");
        let ours = metrics.body.lines().filter(|line| {
            line.starts_with("grpc_server_started_total{") && line.contains("\"etcdserverpb.KV\"")
        });
        let counts = ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        counts.sum::<f64>() as u64
    }

    /// Copies its data aside, or back: it must not run.
    pub fn copy(from: &Path, to: &Path) {
        let script = "rm -rf \"$2\" && cp -a \"$1\" \"$2\"";
        let status = Command::new("sh")
            .args(["-euc", script, "copy"])
            .args([from, to])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "cannot copy");
    }
}
