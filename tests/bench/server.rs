//! The name servers: each with one worker, no log of queries, and what its documentation says is best for speed.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use tests::encrypted::Certificate;
use tests::{Process, TempDir, binary};

use crate::data::{Data, ZONE};
use crate::net::{self, CLIENT_CORE, Net, SERVER_CORE, SERVER_INTERFACE, Side};
use crate::store::{self, is_installed};

/// A name server, or the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The floor.
    Echo,
    /// This.
    #[value(name = "this")]
    Ours,
    /// NLnet Labs NSD.
    Nsd,
    /// Knot on sockets.
    Knot,
    /// Knot on AF_XDP.
    KnotXdp,
    /// BIND.
    Bind,
    /// PowerDNS.
    #[value(name = "powerdns")]
    PowerDns,
}

/// One that runs.
pub(crate) struct Server {
    process: Process,
    _folder: TempDir,
}

/// CPU seconds since the start.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Kind {
    pub(crate) const ALL: [Kind; 7] = [
        Kind::Echo,
        Kind::Ours,
        Kind::Nsd,
        Kind::Knot,
        Kind::KnotXdp,
        Kind::Bind,
        Kind::PowerDns,
    ];

    /// What it is called in tables.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Kind::Echo => "echo (the floor)",
            Kind::Ours => "nsd (this)",
            Kind::Nsd => "NLnet Labs NSD",
            Kind::Knot => "Knot",
            Kind::KnotXdp => "Knot, AF_XDP",
            Kind::Bind => "BIND",
            Kind::PowerDns => "PowerDNS",
        }
    }

    /// Its version; none where it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        let (program, package) = match self {
            Kind::Echo | Kind::Ours => return Some(env!("CARGO_PKG_VERSION").into()),
            Kind::Nsd => ("/usr/sbin/nsd", "nsd"),
            Kind::Knot | Kind::KnotXdp => ("knotd", "knot"),
            Kind::Bind => ("named", "bind9"),
            // Without this package it serves no zone file.
            Kind::PowerDns => ("pdns_server", "pdns-backend-bind"),
        };
        let query = ["-W", "-f", "${Version}", package];
        let version = net::output(std::process::Command::new("dpkg-query").args(query));
        let is_whole = self != Kind::PowerDns || version.is_ok();
        (is_installed(program) && is_whole).then(|| version.unwrap_or_default())
    }

    /// Starts it on the server's core and waits until it answers.
    pub(crate) fn start(self, net: &Net, data: &Data) -> Result<Server, String> {
        let folder = TempDir::new();
        let address = net::address(0);
        let zone = data.zone.display();
        let home = folder.path().display();
        let program: Program = match self {
            Kind::Echo => {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                let process = net.start(
                    Side::Server,
                    SERVER_CORE,
                    &program,
                    &["echo", &format!("{address}:53")],
                );
                std::thread::sleep(Duration::from_millis(200));
                return Ok(Server {
                    process,
                    _folder: folder,
                });
            }
            Kind::Ours => {
                let listen = format!("{address}:53");
                return ours(net, "1", SERVER_CORE, &[&listen], 9053, &[], folder);
            }
            Kind::Nsd => {
                let conf = format!(
                    "server:\n server-count: 1\n ip-address: {address}\n username: \"\"\n zonesdir: \"{home}\"\n \
                     database: \"\"\n pidfile: \"\"\n logfile: \"{home}/log\"\n xfrdfile: \"\"\n tcp-count: 100\n\
                     remote-control:\n control-enable: no\n\
                     zone:\n name: {ZONE}\n zonefile: {zone}\n"
                );
                let conf = folder.write("nsd.conf", &conf).display().to_string();
                ("/usr/sbin/nsd", vec!["-d".into(), "-c".into(), conf])
            }
            Kind::Knot | Kind::KnotXdp => {
                let listen = match self {
                    // AF_XDP is for one port of an interface; the socket beside it is for TCP.
                    Kind::KnotXdp => {
                        format!(" listen: {address}@53\nxdp:\n listen: {SERVER_INTERFACE}@53\n")
                    }
                    _ => format!(" listen: {address}@53\n"),
                };
                knot(&folder, data, &listen, "")
            }
            Kind::Bind => bind(&folder, data, "", ""),
            Kind::PowerDns => {
                let named = format!("zone \"{ZONE}\" {{ type master; file \"{zone}\"; }};\n");
                let named = folder.write("named.conf", &named);
                let conf = format!(
                    "launch=bind\nbind-config={}\ndaemon=no\nguardian=no\ndisable-syslog=yes\nloglevel=0\nlog-dns-queries=no\n\
                     local-address={address}\nsocket-dir={home}\nsecurity-poll-suffix=\nreceiver-threads=1\ndistributor-threads=1\n\
                     cache-ttl=60\nmax-packet-cache-entries=2000000\nzone-cache-refresh-interval=0\nversion-string=anonymous\n",
                    named.display()
                );
                folder.write("pdns.conf", &conf);
                ("pdns_server", vec![format!("--config-dir={home}")])
            }
        };
        launch(net, &program, folder)
    }
}

/// A program and its arguments.
type Program = (&'static str, Vec<String>);

/// Starts it on the server's core and waits until it answers.
fn launch(net: &Net, (program, args): &Program, folder: TempDir) -> Result<Server, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut server = Server {
        process: net.start(Side::Server, SERVER_CORE, Path::new(program), &args),
        _folder: folder,
    };
    answers(net, &net::address(0), &mut server)?;
    Ok(server)
}

/// Knot, with the end of its `server` section and with modules for all zones.
fn knot(folder: &TempDir, data: &Data, listen: &str, modules: &str) -> Program {
    let (home, zone) = (folder.path().display(), data.zone.display());
    let conf = format!(
        "server:\n rundir: \"{home}\"\n udp-workers: 1\n tcp-workers: 1\n background-workers: 1\n{listen}\
         log:\n - target: stderr\n   any: error\n\
         database:\n storage: \"{home}/db\"\n{modules}\
         zone:\n - domain: {ZONE}\n   file: {zone}\n   zonefile-sync: -1\n   journal-content: none\n"
    );
    let conf = folder.write("knot.conf", &conf).display().to_string();
    ("knotd", vec!["-c".into(), conf])
}

/// BIND, with statements before its options and with more options.
fn bind(folder: &TempDir, data: &Data, before: &str, options: &str) -> Program {
    let (home, zone) = (folder.path().display(), data.zone.display());
    let address = net::address(0);
    let conf = format!(
        "{before}options {{ directory \"{home}\"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; recursion no; \
         pid-file none; session-keyfile none; querylog no; minimal-responses no-auth; {options} }};\n\
         logging {{ category default {{ null; }}; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type primary; file \"{zone}\"; }};\n"
    );
    let conf = folder.write("named.conf", &conf).display().to_string();
    let args = ["-f", "-c", &conf, "-n", "1", "-U", "1", "-4"];
    ("named", args.map(String::from).to_vec())
}

/// Starts this or BIND with TLS and HTTPS, too, and this with QUIC, at their usual ports.
pub(crate) fn start_encrypted(
    kind: Kind,
    net: &Net,
    data: &Data,
    certificate: &Certificate,
) -> Result<Server, String> {
    let (folder, address) = (TempDir::new(), net::address(0));
    if kind == Kind::Ours {
        let [tls, https] = [853, 443].map(|port| format!("{address}:{port}"));
        let mut more = certificate.options();
        more.extend(["--quic-listen".into(), tls.clone()]);
        more.extend(["--tls-listen".into(), tls, "--https-listen".into(), https]);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let listen = format!("{address}:53");
        return ours(net, "1", SERVER_CORE, &[&listen], 9053, &more, folder);
    }
    let (chain, key) = (certificate.certificate.display(), certificate.key.display());
    let tls = format!("tls own {{ cert-file \"{chain}\"; key-file \"{key}\"; }};\n");
    let listen = format!(
        "listen-on port 853 tls own {{ {address}; }}; listen-on port 443 tls own http default {{ {address}; }}; tcp-clients 1000;"
    );
    let program = bind(&folder, data, &tls, &listen);
    launch(net, &program, folder)
}

/// Responses a second of one kind that a network gets from a server that limits them.
pub(crate) const LIMIT: u32 = 20;

/// The options of a front-end that limits all kinds of responses to this rate.
pub(crate) fn rate_limits(rate: &str) -> [&str; 6] {
    let [answers, nxdomains, errors] = ["--rrl-answers", "--rrl-nxdomains", "--rrl-errors"];
    [answers, rate, nxdomains, rate, errors, rate]
}

/// Starts this, Knot or BIND, with response rate limiting or without. All of them have cookies.
pub(crate) fn start_limiting(
    kind: Kind,
    is_limiting: bool,
    net: &Net,
    data: &Data,
) -> Result<Server, String> {
    let (folder, address) = (TempDir::new(), net::address(0));
    let program = match kind {
        Kind::Ours => {
            let rate = LIMIT.to_string();
            let limits = rate_limits(&rate);
            let more: &[&str] = if is_limiting { &limits } else { &[] };
            let listen = format!("{address}:53");
            return ours(net, "1", SERVER_CORE, &[&listen], 9053, more, folder);
        }
        Kind::Knot => {
            let limits = if is_limiting { ", mod-rrl/all" } else { "" };
            let modules = format!(
                "mod-cookies:\n - id: all\nmod-rrl:\n - id: all\n   rate-limit: {LIMIT}\n   slip: 2\n\
                 template:\n - id: default\n   global-module: [mod-cookies/all{limits}]\n"
            );
            knot(&folder, data, &format!(" listen: {address}@53\n"), &modules)
        }
        Kind::Bind => {
            let limits = format!("rate-limit {{ responses-per-second {LIMIT}; slip 2; }};");
            bind(&folder, data, "", if is_limiting { &limits } else { "" })
        }
        other => return Err(format!("no rate limits for {}", other.label())),
    };
    launch(net, &program, folder)
}

/// Starts a front-end with more options and waits until it answers. The store or a snapshot has the zone.
pub(crate) fn ours(
    net: &Net,
    workers: &str,
    core: &str,
    listen: &[&str],
    admin: u16,
    more: &[&str],
    folder: TempDir,
) -> Result<Server, String> {
    let admin = format!("127.0.0.1:{admin}");
    let listen = listen.join(",");
    let own = [
        "--endpoints",
        store::ENDPOINT,
        "--listen",
        &listen,
        "--admin",
        &admin,
        "--udp-workers",
        workers,
        "--log-level",
        "error",
    ];
    let args = [&own, more].concat();
    let process = net.start(Side::Server, core, &binary("nsd"), &args);
    let mut server = Server {
        process,
        _folder: folder,
    };
    let (first, _) = listen.split_once(':').unwrap_or_default();
    answers(net, first, &mut server)?;
    Ok(server)
}

/// Waits until a server answers.
fn answers(net: &Net, address: &str, server: &mut Server) -> Result<(), String> {
    let asked = format!("@{address}");
    store::wait("the server answers", Duration::from_secs(120), || {
        server.process.check()?;
        let args = [
            &asked,
            // Where nobody listens yet, that is told at once.
            "+tcp",
            "+tries=1",
            "+time=1",
            "+short",
            &format!("ns1.{ZONE}"),
            "A",
        ];
        let answer = net.run(Side::Client(0), CLIENT_CORE, Path::new("dig"), &args)?;
        if answer.trim() == "192.0.2.1" {
            Ok(())
        } else {
            Err(answer)
        }
    })
}

impl Server {
    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// CPU that it and its children have taken so far.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut total = Cpu {
            user: 0.0,
            system: 0.0,
        };
        for id in family(self.process.id()) {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // Behind the name, which may have blanks; 100 ticks are a second on all that Linux runs on.
            let fields: Vec<&str> = stat
                .rsplit(')')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect();
            let ticks = |index: usize| {
                fields
                    .get(index)
                    .and_then(|field| field.parse::<f64>().ok())
                    .unwrap_or(0.0)
            };
            total.user += ticks(11) / 100.0;
            total.system += ticks(12) / 100.0;
        }
        total
    }

    /// Memory that it and its children have for themselves, and their part of what they share, in octets.
    pub(crate) fn memory(&self) -> f64 {
        let of = |id: &u32| {
            let text =
                std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .unwrap_or(0.0)
                * 1024.0
        };
        family(self.process.id()).iter().map(of).sum()
    }

    /// What it has told.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        write!(text, "{}{}", self.process.stdout(), self.process.stderr())
            .expect("a string takes it");
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Politely, as some have children that would stay.
        if self.process.ended().is_none() {
            self.process.signal("TERM");
        }
        for _ in 0..150 {
            if self.process.ended().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process and all below it.
fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut at = 0;
    while let Some(parent) = all.get(at) {
        for task in std::fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    all
}
