//! What takes longer the more zones there are: a list of them, and raising all their serials.

use std::time::{Duration, Instant};

use etcd_client::{Client, Txn, TxnOp};
use tests::{Nsctl, Process, TempDir, eventually, free_port};

use crate::Run;
use crate::report::{Report, median};

/// What one transaction of etcd may have.
const OPS_MAX: usize = 128;

const SETTINGS: &str = r#"{"soa":{"mname":"ns1.example.com.","rname":"h.example.com.","refresh":1,"retry":1,"expire":1,"minimum":1,"ttl":1},"generation":1,"default_ttl":300}"#;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let counts: &[usize] = run.pick(&[1_000, 10_000, 100_000], &[1_000]);
    let rounds = run.pick(5, 1);
    let mut report = Report::new(
        "zones",
        "By the number of zones",
        &[
            "zones",
            "etcdctl get s",
            "zone list s",
            "of etcdctl",
            "bare puts s",
            "raise-serials s",
            "of the puts",
        ],
    );
    for &count in counts {
        let etcd = Etcd::start();
        let start = Instant::now();
        runtime.block_on(etcd.put_zones(count))?;
        let put = start.elapsed().as_secs_f64();
        let nsctl = Nsctl::new(std::slice::from_ref(&etcd.url)).with("--timeout", "60s");
        let [mut got, mut listed, mut raised] = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let start = Instant::now();
            etcd.get()?;
            got.push(start.elapsed().as_secs_f64());
            for (command, times) in [
                ("zone list", &mut listed),
                ("zone raise-serials --count 1000", &mut raised),
            ] {
                let start = Instant::now();
                let output = runtime.block_on(nsctl.run(command));
                times.push(start.elapsed().as_secs_f64());
                if output.code != 0 {
                    return Err(format!("nsctl {command}: {}", output.stderr));
                }
            }
        }
        let [got, listed, raised] = [got, listed, raised].map(|times| median(&times));
        report.row([
            count.to_string(),
            format!("{got:.2}"),
            format!("{listed:.2}"),
            format!("{:.2}", listed / got),
            format!("{put:.2}"),
            format!("{raised:.2}"),
            format!("{:.2}", raised / put),
        ]);
    }
    report.note(format!(
        "Of {rounds} rounds the median. One member of etcd on the same machine. etcdctl get: the same keys in one answer, as etcdctl prints them. \
         raise-serials reads all zones, and writes the settings, the serial and a journal entry of each. Bare puts: the settings and the serial of each, in \
         transactions one after the other."
    ));
    report.write(run)
}

/// One member of etcd.
struct Etcd {
    url: String,
    _process: Process,
    _data: TempDir,
}

impl Etcd {
    fn start() -> Self {
        let data = TempDir::new();
        let [url, peer] = [(); 2].map(|()| format!("http://127.0.0.1:{}", free_port()));
        let folder = data.path().display().to_string();
        let args = [
            ["--data-dir", &folder],
            ["--listen-client-urls", &url],
            ["--advertise-client-urls", &url],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &format!("default={peer}")],
            ["--log-level", "error"],
        ];
        let process = Process::start("etcd", std::path::Path::new("etcd"), args.iter().flatten());
        Etcd {
            url,
            _process: process,
            _data: data,
        }
    }

    /// Puts zones without records, with as few transactions as possible.
    async fn put_zones(&self, count: usize) -> Result<(), String> {
        let patience = Duration::from_secs(20);
        let mut client = eventually("etcd answers", patience, async || {
            let connected = Client::connect([&self.url], None).await;
            let mut client = connected.map_err(|error| error.to_string())?;
            let status = client.status().await;
            status.map_err(|error| error.to_string())?;
            Ok(client)
        })
        .await;
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(OPS_MAX / 2) {
            let puts = some.iter().flat_map(|number| {
                let zone = format!("test.z{number:06}");
                [
                    TxnOp::put(format!("/ns/v1/zone/{zone}"), SETTINGS, None),
                    TxnOp::put(format!("/ns/v1/serial/{zone}"), "{}", None),
                ]
            });
            let put = client.txn(Txn::new().and_then(puts.collect::<Vec<_>>()));
            put.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Has `etcdctl` get what `zone list` reads.
    fn get(&self) -> Result<(), String> {
        for folder in ["zone", "serial"] {
            let range = format!("/ns/v1/{folder}/");
            let status = std::process::Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .args(["--endpoints", &self.url, "get", "--prefix", &range])
                .stdout(std::process::Stdio::null())
                .status();
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => return Err(format!("etcdctl ends with {status}")),
                Err(error) => return Err(format!("etcdctl: {error}")),
            }
        }
        Ok(())
    }
}
