//! `nsd dev`: everything on one machine with one command, to try it out.
//!
//! Starts a private etcd with one member as a child process, imports zone files, serves on 127.0.0.1, and prints what
//! to try. A shell guards the child: it ends etcd when a pipe from this process closes, however this process ends,
//! SIGKILL included.

mod certificate;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use etcd::client::{self, FileText, ImportHow, ImportMode, Store};
use etcd::options::StoreOptions;
use etcd::schema::Prefix;
use tracing::warn;

use crate::config::{self, DevOptions};
use crate::model::{Name, Rtype, zonefile};
use crate::run::{self, LogLevel, Running, Signals};
use crate::server::EncryptedAddresses;

/// Ports of the encrypted transports: the usual ones need a privilege.
const TLS_PORT: u16 = 8853;
const HTTPS_PORT: u16 = 8443;

/// How long etcd may take to start.
const START: Duration = Duration::from_secs(30);

/// How many times at most etcd is started, each time with a free port: another process may take the port after it was
/// found to be free.
const PORTS_TRIED: usize = 5;

/// Runs etcd, and ends it when the pipe on fd 3 closes. Then removes the temporary folder, if there is one.
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
    // Read before etcd is started, so that a fault in a file is reported at once.
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
    let text = FileText::open(file).map_err(anyhow::Error::msg)?;
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
    let mut settings = config::ServeOptions {
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
    if options.tls {
        encrypt(&mut settings, options.listen, &etcd.folder)?;
    }
    // The service is not altered: only tests do that.
    let mut frontend = Running::start(settings.complete()?, std::convert::identity).await?;
    frontend.ready(revision).await;
    // Before it says that it is ready: whoever reads that may send a signal at once.
    let mut signals = Signals::listen()?;
    announce(&frontend, etcd, example)?;
    let result = tokio::select! {
        // SIGHUP too: the terminal is gone.
        _ = signals.next() => Ok(()),
        status = etcd.ended() => Err(anyhow!("etcd has stopped unexpectedly ({status}); the last lines of its log:\n{}", etcd.log_end())),
    };
    frontend.end().await;
    result
}

/// Has a front-end that listens here answer over the encrypted transports, too.
fn encrypt(
    settings: &mut config::ServeOptions,
    listen: SocketAddr,
    folder: &Path,
) -> anyhow::Result<()> {
    let (certificate, key) = certificate::make(folder, listen.ip())?;
    let at = |port| {
        let port = if listen.port() == 0 { 0 } else { port };
        Some(vec![SocketAddr::new(listen.ip(), port)])
    };
    settings.tls_listen = at(TLS_PORT);
    settings.https_listen = at(HTTPS_PORT);
    settings.quic_listen = at(TLS_PORT);
    settings.tls_cert = Some(certificate);
    settings.tls_key = Some(key);
    Ok(())
}

/// Prints what to try over the encrypted transports. The certificate is self-signed, so clients must not check it.
fn announce_encrypted(
    out: &mut impl std::io::Write,
    EncryptedAddresses { tls, https, quic }: &EncryptedAddresses,
    name: &str,
) -> std::io::Result<()> {
    for address in tls {
        let (ip, port) = (address.ip(), address.port());
        writeln!(out, "  kdig @{ip} -p {port} +tls {name} A")?;
    }
    for address in https {
        let (ip, port) = (address.ip(), address.port());
        writeln!(out, "  dig @{ip} -p {port} +https {name} A")?;
        // The root's NS records, a query that every server can be asked.
        writeln!(
            out,
            "  curl -k 'https://{address}/dns-query?dns=AAABAAABAAAAAAAAAAACAAE' | xxd"
        )?;
    }
    for address in quic {
        let (ip, port) = (address.ip(), address.port());
        writeln!(
            out,
            "  kdig @{ip} -p {port} +quic {name} A    (if kdig was built with QUIC)"
        )?;
    }
    Ok(())
}

/// Prints what to try, and then a line for scripts.
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
    announce_encrypted(&mut out, &frontend.encrypted, &format!("new.{zone}"))?;
    writeln!(out, "  {nsctl}{endpoints} list")?;
    writeln!(out, "  {nsctl}{endpoints} status\n")?;
    writeln!(out, "Press Ctrl-C to stop all of it.")?;
    writeln!(
        out,
        "ready dns={dns} admin={} etcd={}",
        frontend.admin, etcd.url
    )?;
    out.flush()?;
    Ok(())
}

/// How to call `nsctl`: by its path beside this program if this program was called by a path, else by its name.
fn nsctl_beside(program: Option<OsString>) -> String {
    let beside = program.map(|program| Path::new(&program).with_file_name("nsctl"));
    let beside = beside.filter(|path| path.components().count() > 1 && path.is_file());
    beside.map_or_else(|| "nsctl".into(), |path| path.display().to_string())
}

/// etcd, as a child process.
struct Etcd {
    guard: Child,
    url: String,
    /// Where it keeps its data.
    folder: PathBuf,
    /// The name of its member, to tell it from any other etcd.
    name: String,
    /// Opened at the start, as the guard removes the temporary folder when etcd ends.
    log: File,
    program: PathBuf,
}

impl Etcd {
    /// Starts etcd and waits until it answers.
    async fn start(options: &DevOptions) -> anyhow::Result<Self> {
        for _ in 0..PORTS_TRIED {
            let mut etcd = Self::spawn(options)?;
            match etcd.answers().await {
                Ok(()) => return Ok(etcd),
                Err(_) if etcd.log_end().contains("address already in use") => etcd.stop(),
                Err(error) => {
                    etcd.stop();
                    return Err(error);
                }
            }
        }
        bail!("cannot start etcd: {PORTS_TRIED} times another process took its port first")
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
                        .context("the path of the temporary folder is not UTF-8")?
                        .to_string(),
                )
            }
        };
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot create the folder {}", data.display()))?;
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
            // Ctrl-C in the terminal reaches only this process, which then ends the child.
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        Ok(Etcd {
            guard,
            url,
            folder: data,
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
                        "cannot start {program}: not found. Install etcd (Debian: etcd-server), or set NSD_ETCD to its path"
                    );
                }
                bail!(
                    "{program} has stopped at once ({status}); the last lines of its log:\n{}",
                    self.log_end()
                );
            }
            // If another etcd took the port first, that one answers here, and ours ends.
            let names = store
                .with_timeout(Duration::from_secs(1))
                .member_names()
                .await;
            match names {
                Ok(names) if names.contains(&self.name) => return Ok(()),
                Ok(names) if Instant::now() > end => {
                    bail!("another etcd answers at {}: {}", self.url, names.join(", "))
                }
                Err(error) if Instant::now() > end => bail!("etcd does not answer: {error}"),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn log_end(&self) -> String {
        let mut text = String::new();
        let mut log = &self.log;
        // A log that cannot be read is shown as far as it can.
        let _ = log.rewind().and_then(|()| log.read_to_string(&mut text));
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Waits until etcd has ended. Returns how.
    async fn ended(&mut self) -> String {
        loop {
            match self.guard.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(200)).await,
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Ends etcd, and waits until it has.
    fn stop(mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Returns the port wanted if it is free, else another one.
fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let try_port = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = try_port(wanted)
        .or_else(|_| try_port(0))
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
