//! `nsd dev`: all of it on one machine with one command, to try it out.
//!
//! Starts a private etcd with one member as a child, imports zone files, serves on 127.0.0.1, and says
//! what to try. The child is guarded by a shell that waits for the end of a pipe from this process, so it
//! goes down with it however that ends, SIGKILL included.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use etcd::client::{self, ImportHow, ImportMode, MasterText, Store};
use etcd::options::StoreOptions;
use etcd::schema::Prefix;
use tracing::warn;

use crate::config::{self, DevOptions};
use crate::model::{Name, Rtype, zonefile};
use crate::run::{self, LogLevel, Running, Signals};

/// How long etcd may take to start.
const START: Duration = Duration::from_secs(30);

/// How often etcd is started again, as its port was taken between the search for a free one and its start.
const PORTS_TRIED: usize = 5;

/// Runs etcd, and ends it when the pipe on fd 3 does; then removes the temporary folder, if there is one.
const GUARD: &str = r#"
temporary=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- & child=$!
( read -r _ <&3; kill "$child" 2>/dev/null ) & watcher=$!
wait "$child"; status=$?
kill "$watcher" 2>/dev/null
[ -z "$temporary" ] || rm -rf -- "$temporary"
exit $status
"#;

/// Runs until SIGTERM, SIGINT, or the end of etcd.
pub fn run(options: DevOptions) -> anyhow::Result<()> {
    LogLevel::start(&options.log_level, config::LogFormat::Text)?;
    // Read first: a fault in a file shall not cost the start of an etcd.
    let zones = options
        .zone_file
        .iter()
        .map(|(zone, file)| read(zone, file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    run::block_on(async {
        let mut etcd = Etcd::start(&options).await?;
        let result = serve(&options, zones, &mut etcd).await;
        etcd.stop();
        result
    })
}

fn read(zone: &Name, file: &Path) -> anyhow::Result<(Name, zonefile::Checked)> {
    let text = MasterText::open(file).map_err(anyhow::Error::msg)?;
    let checked = text
        .records(zone)
        .and_then(|file| zonefile::check(zone, file));
    match checked {
        Ok(checked) => {
            for warning in &checked.warnings {
                warn!(%zone, "{warning}");
            }
            Ok((zone.clone(), checked))
        }
        Err(faults) => {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            bail!("{zone} cannot be imported:\n     {}", lines.join("\n     "))
        }
    }
}

async fn serve(
    options: &DevOptions,
    zones: Vec<(Name, zonefile::Checked)>,
    etcd: &mut Etcd,
) -> anyhow::Result<()> {
    let store = etcd.store();
    let mut revision = 0;
    let mut example = None;
    for (zone, checked) in &zones {
        let imported = store
            .import(zone, checked, &ImportHow::new(ImportMode::Replace), &|_| {})
            .await;
        revision = imported
            .with_context(|| format!("cannot import {zone}"))?
            .revision
            .max(revision);
        let address = |(owner, rtype): &&(Name, Rtype)| {
            *rtype == Rtype::A && !owner.to_string().starts_with('*')
        };
        example = example.or_else(|| {
            checked
                .rrsets
                .keys()
                .find(address)
                .map(|(owner, _)| (zone.clone(), owner.clone()))
        });
    }
    let settings = config::ServeOptions {
        store: StoreOptions {
            endpoints: Some(vec![etcd.url.clone()]),
            ..StoreOptions::default()
        },
        listen: Some(vec![options.listen]),
        admin: Some(options.admin),
        id: Some("dev".into()),
        allow_empty: Some(true),
        ..config::ServeOptions::default()
    };
    let mut frontend = Running::start(settings.complete()?, std::convert::identity).await?;
    frontend.ready(revision).await;
    // Who is told that it is ready may end it at once.
    let mut signals = Signals::listen()?;
    announce(&frontend, etcd, example)?;
    let result = tokio::select! {
        // The terminal gone is an end, too.
        _ = signals.next() => Ok(()),
        status = etcd.ended() => Err(anyhow!("etcd has ended by itself ({status}); its last words:\n{}", etcd.last_words())),
    };
    frontend.end().await;
    result
}

/// Says what to try, and ends with a line for scripts.
fn announce(frontend: &Running, etcd: &Etcd, example: Option<(Name, Name)>) -> anyhow::Result<()> {
    use std::io::Write;
    let dns = frontend.dns[0];
    let dig = format!("dig @{} -p {}", dns.ip(), dns.port());
    let endpoints = match etcd.url.as_str() {
        "http://127.0.0.1:2379" => String::new(),
        url => format!(" --endpoints {url}"),
    };
    let nsctl = nsctl_beside(std::env::args_os().next());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "nsd dev: etcd and a front-end are up. In another terminal, try:\n"
    )?;
    let zone = match &example {
        Some((zone, owner)) => {
            writeln!(out, "  {dig} {owner} A")?;
            zone.to_string()
        }
        None => {
            writeln!(
                out,
                "  {nsctl}{endpoints} zone add example.org --ns ns1.example.org"
            )?;
            "example.org.".into()
        }
    };
    let zone = zone.trim_end_matches('.');
    writeln!(
        out,
        "  {nsctl}{endpoints} add new.{zone} A 192.0.2.99 --wait"
    )?;
    writeln!(out, "  {dig} new.{zone} A")?;
    writeln!(out, "  {nsctl}{endpoints} list")?;
    writeln!(out, "  {nsctl}{endpoints} status\n")?;
    writeln!(out, "Ctrl-C ends it all.")?;
    writeln!(
        out,
        "ready dns={dns} admin={} etcd={}",
        frontend.admin, etcd.url
    )?;
    out.flush()?;
    Ok(())
}

/// How to call `nsctl`: beside this program if that was called by its path, else by its name.
fn nsctl_beside(program: Option<OsString>) -> String {
    let beside = program.map(|program| Path::new(&program).with_file_name("nsctl"));
    let beside = beside.filter(|path| path.components().count() > 1 && path.is_file());
    beside.map_or_else(|| "nsctl".into(), |path| path.display().to_string())
}

/// The child.
struct Etcd {
    guard: Child,
    url: String,
    /// The name of its member, which tells it from any other etcd.
    name: String,
    /// Open, as the guard removes a temporary folder as soon as etcd ends.
    log: File,
    program: PathBuf,
}

impl Etcd {
    /// Starts one and waits until it answers.
    async fn start(options: &DevOptions) -> anyhow::Result<Self> {
        for _ in 0..PORTS_TRIED {
            let mut etcd = Self::spawn(options)?;
            match etcd.answers().await {
                Ok(()) => return Ok(etcd),
                Err(_) if etcd.last_words().contains("address already in use") => etcd.stop(),
                Err(error) => {
                    etcd.stop();
                    return Err(error);
                }
            }
        }
        bail!("others have taken {PORTS_TRIED} ports before etcd could listen there")
    }

    fn spawn(options: &DevOptions) -> anyhow::Result<Self> {
        let unique =
            std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        let name = format!("nsd-dev-{unique:016x}");
        let (data, temporary) = match &options.data_dir {
            Some(data) => (data.clone(), String::new()),
            None => {
                let folder = std::env::temp_dir().join(&name);
                (
                    folder.clone(),
                    folder
                        .to_str()
                        .context("the temporary folder's name is not text")?
                        .to_string(),
                )
            }
        };
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
        let log = data.join("etcd.log");
        let log_file =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let log = File::open(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let url = format!("http://127.0.0.1:{}", free_port(2379)?);
        let peer = format!("http://127.0.0.1:{}", free_port(0)?);
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "nsd-dev-guard", &temporary])
            .arg(&options.etcd)
            .args(["--name", &name, "--logger", "zap", "--log-level", "warn"])
            .arg("--data-dir")
            .arg(data.join("member"))
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("{name}={peer}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log_file)
            // A Ctrl-C in the terminal is for this process, which ends the child in its turn.
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        Ok(Etcd {
            guard,
            url,
            name,
            log,
            program: options.etcd.clone(),
        })
    }

    fn store(&self) -> Store {
        let config = client::Config::new(vec![self.url.clone()]);
        Store::new(config, Prefix::default(), START)
    }

    /// Waits until etcd answers.
    async fn answers(&mut self) -> anyhow::Result<()> {
        let store = self.store();
        let end = Instant::now() + START;
        loop {
            if let Some(status) = self.guard.try_wait()? {
                let program = self.program.display();
                if status.code() == Some(127) {
                    bail!(
                        "cannot start {program}: it is not there. Install etcd (Debian: etcd-server), or name it in NSD_ETCD"
                    );
                }
                bail!(
                    "{program} has ended at once ({status}); its last words:\n{}",
                    self.last_words()
                );
            }
            // Another etcd answers where it took the port first; ours then ends.
            let names = store.within(Duration::from_secs(1)).member_names().await;
            match names {
                Ok(names) if names.contains(&self.name) => return Ok(()),
                Ok(names) if Instant::now() > end => {
                    bail!("{} is another etcd, of {}", self.url, names.join(", "))
                }
                Err(error) if Instant::now() > end => bail!("etcd does not come up: {error}"),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn last_words(&self) -> String {
        let mut text = String::new();
        let mut log = &self.log;
        // What is not UTF-8 ends it; a log that cannot be read has nothing to say.
        let _ = log.rewind().and_then(|()| log.read_to_string(&mut text));
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Returns when etcd has ended.
    async fn ended(&mut self) -> String {
        loop {
            match self.guard.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(200)).await,
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Ends etcd and waits for it.
    fn stop(mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The port wanted if it is free, else another.
fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let try_port = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = try_port(wanted)
        .or_else(|_| try_port(0))
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
