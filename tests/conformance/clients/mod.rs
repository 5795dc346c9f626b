//! What people's clients make of what we send: none may complain, and what dig prints must be what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Stdio;
use std::time::Duration;

use etcd::client::{Config, ImportHow, ImportMode, Store};
use etcd::model::zonefile::Checked;
use etcd::model::{Name, Rdata, Rtype};
use etcd::schema::Prefix;
use tests::{Cluster, Frontend};
use tokio::process::Command;
use tokio::time::timeout;

use crate::zones;

/// A program and how it is asked.
struct Client {
    program: &'static str,
    args: fn(&Question<'_>) -> Vec<String>,
    /// What it cannot ask for, or not without validating it.
    refuses: &'static [Rtype],
}

/// What is asked, and with which further options of dig and kdig, or of drill.
#[derive(Clone, Copy)]
struct Question<'a> {
    port: u16,
    name: &'a str,
    rtype: Rtype,
    class: &'a str,
    options: &'a [&'a str],
    drill: &'a [&'a str],
}

const CLIENTS: [Client; 4] = [
    Client {
        program: "dig",
        args: |question| {
            let rtype = numbered(question.rtype);
            dig(question, &rtype, &["+norec", "+tries=1", "+time=5"])
        },
        refuses: &[],
    },
    Client {
        program: "kdig",
        args: |question| {
            let rtype = numbered(question.rtype);
            dig(question, &rtype, &["+norec", "+retry=0", "+time=5"])
        },
        refuses: &[],
    },
    Client {
        program: "drill",
        args: drill,
        refuses: &[],
    },
    // Without validation. It has no way to ask without the RD flag, and none to take a referral.
    Client {
        program: "delv",
        args: |question| dig(question, &numbered(question.rtype), &["-i"]),
        refuses: &[Rtype::SIG, Rtype::RRSIG, Rtype::NSEC3],
    },
];

/// No client knows all types by name.
fn numbered(rtype: Rtype) -> String {
    match rtype {
        Rtype::ANY => rtype.to_string(),
        _ => format!("TYPE{}", rtype.0),
    }
}

fn dig(question: &Question<'_>, rtype: &str, options: &[&str]) -> Vec<String> {
    let port = question.port.to_string();
    let (name, class) = (question.name, question.class);
    let fixed = [
        "@127.0.0.1",
        "-p",
        &port,
        "-c",
        class,
        "-t",
        rtype,
        "-q",
        name,
    ];
    let args = options.iter().chain(question.options).chain(&fixed);
    args.map(|arg| arg.to_string()).collect()
}

fn drill(question: &Question<'_>) -> Vec<String> {
    let (port, rtype) = (
        question.port.to_string(),
        format!("TYPE{}", question.rtype.0),
    );
    // Without the RD flag.
    let fixed = [
        "-o",
        "rd",
        "-p",
        &port,
        "@127.0.0.1",
        question.name,
        &rtype,
        question.class,
    ];
    let args = question.drill.iter().chain(&fixed);
    args.map(|arg| arg.to_string()).collect()
}

/// Words of a client that does not like what it got, in its comments or on standard error.
const COMPLAINTS: &[&str] = &[
    "warn",
    "malformed",
    "extra",
    "bad ",
    "error",
    "fail",
    "pars",
    "mismatch",
    "timed out",
    "no servers",
    "unexpected",
    "trailing",
    "garbage",
    "invalid",
    "unknown",
];

/// Records of every type that `etcd::model` knows the fields of, and more.
pub(crate) const TYPES: &str = include_str!("types.zone");

/// Types that it must have, so that none is forgotten.
const RTYPES: &str = "A AAAA NS CNAME DNAME PTR MX TXT SRV NAPTR CAA TLSA SMIMEA SSHFP OPENPGPKEY DS DNSKEY \
    CDS CDNSKEY CSYNC SVCB HTTPS LOC URI RP HINFO AFSDB CERT APL DHCID EUI48 EUI64 KX HIP ZONEMD \
    WKS NSAP NSAP-PTR GPOS NXT EID NIMLOC ATMA A6 SINK NINFO RKEY TALINK DSYNC HHIT BRID TA DLV DOA AMTRELAY RESINFO \
    WALLET CLA IPN TYPE65280";

/// Zones, a front-end that serves them, and the clients that are here.
struct Scene {
    frontend: Frontend,
    _cluster: Cluster,
    clients: Vec<Client>,
    types: Checked,
    complaints: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_read_what_is_sent_and_do_not_complain() {
    let clients: Vec<Client> = CLIENTS.into_iter().filter(Client::is_installed).collect();
    if clients.is_empty() {
        return;
    }
    let mut scene = Scene::start(clients).await;
    scene.every_type().await;
    scene.every_kind_of_answer().await;
    scene.presentation().await;
    let complaints = &scene.complaints;
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

impl Client {
    fn is_installed(&self) -> bool {
        let mut command = std::process::Command::new(self.program);
        let is_here = command
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok();
        if !is_here {
            tests::skipped!("it is not installed: {}", self.program);
        }
        is_here
    }

    /// Its standard output and what it complains of.
    async fn ask(&self, question: &Question<'_>) -> (String, Vec<String>) {
        let args = (self.args)(question);
        let shown = format!("{} {}", self.program, args.join(" "));
        let mut command = Command::new(self.program);
        command.args(&args).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(Duration::from_secs(20), command.output()).await;
        let output = output
            .unwrap_or_else(|_| panic!("{shown} does not end"))
            .expect(&shown);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let comments = stdout.lines().filter(|line| line.starts_with(';'));
        let is_complaint = |line: &&str| {
            let line = line.to_ascii_lowercase().replace("noerror", "");
            // That an answer is truncated is told as a warning, and is what it is.
            !line.contains("truncated") && COMPLAINTS.iter().any(|words| line.contains(words))
        };
        let complaints = comments.chain(stderr.lines()).filter(is_complaint);
        let complaints = complaints
            .map(|line| format!("{shown}\n    {line}"))
            .collect();
        (stdout.into_owned(), complaints)
    }
}

impl Scene {
    async fn start(clients: Vec<Client>) -> Self {
        let cluster = Cluster::start(1, &[]).await;
        let config = Config::new(cluster.endpoints().to_vec());
        let store = Store::new(config, Prefix::default(), Duration::from_secs(20));
        let identity = ["--nsid", "front-end 1", "--server-version", "nsd"];
        let frontend = Frontend::start("clients", cluster.endpoints(), &identity).await;
        frontend.ready().await;
        let mut types = None;
        for (apex, text) in [("big.test", &big()[..]), ("types.test", TYPES)] {
            let apex: Name = apex.parse().unwrap();
            let checked = zones::check_signed(&apex, text);
            let checked = checked.unwrap_or_else(|faults| panic!("{apex}: {faults:#?}"));
            let imported = store
                .import(
                    &apex,
                    &checked,
                    &ImportHow::new(ImportMode::Replace),
                    &|_| {},
                )
                .await;
            frontend
                .applied(
                    imported.expect("an import").revision,
                    Duration::from_secs(20),
                )
                .await;
            types = Some(checked);
        }
        Scene {
            frontend,
            _cluster: cluster,
            clients,
            types: types.expect("the last zone"),
            complaints: Vec::new(),
        }
    }

    fn question<'a>(&self, name: &'a str, rtype: Rtype) -> Question<'a> {
        let port = self.frontend.dns.port();
        Question {
            port,
            name,
            rtype,
            class: "IN",
            options: &[],
            drill: &[],
        }
    }

    /// The names and types of the zone, which all have an answer.
    fn sets(&self) -> Vec<(String, Rtype)> {
        let is_cut = |owner: &str| owner.ends_with("ns-cut.types.test.");
        let sets = self.types.rrsets.keys();
        let sets = sets.map(|(owner, rtype)| (owner.to_string(), *rtype));
        sets.filter(|(owner, rtype)| !is_cut(owner) || *rtype == Rtype::DS)
            .collect()
    }

    async fn every_type(&mut self) {
        let sets = self.sets();
        for rtype in RTYPES
            .split_whitespace()
            .map(|rtype| rtype.parse().unwrap())
        {
            assert!(sets.iter().any(|(_, other)| *other == rtype), "no {rtype}");
        }
        for (name, rtype) in &sets {
            let clients = self.clients.iter();
            for client in clients.filter(|client| !client.refuses.contains(rtype)) {
                let (output, complaints) = client.ask(&self.question(name, *rtype)).await;
                self.complaints.extend(complaints);
                let is_record = |line: &str| !line.starts_with(';') && line.contains("IN");
                if !output.lines().any(is_record) {
                    let program = client.program;
                    let nothing = format!("{program} has no answer for {name} {rtype}:\n{output}");
                    self.complaints.push(nothing);
                }
            }
        }
    }

    async fn every_kind_of_answer(&mut self) {
        const TCP: (&[&str], &[&str]) = (&["+tcp"], &["-t"]);
        const PLAIN: (&[&str], &[&str]) = (&[], &[]);
        const CUT: (&[&str], &[&str]) = (&["+ignore", "+bufsize=512"], &["-b", "512"]);
        // Which clients, the question, the options, and what dig must say.
        let all: &[&str] = &["dig", "kdig", "drill", "delv"];
        let no_delv = &all[..3];
        let digs = &all[..2];
        for (programs, name, rtype, (options, drill), says) in [
            (no_delv, "no.types.test", "A", PLAIN, "status: NXDOMAIN"),
            (no_delv, "a.types.test", "MX", PLAIN, "status: NOERROR"),
            (no_delv, "names.types.test", "MX", PLAIN, "flags: qr aa;"),
            (
                no_delv,
                "www.ns-cut.types.test",
                "A",
                PLAIN,
                "ADDITIONAL: 4",
            ),
            (no_delv, "types.test", "ANY", PLAIN, "ANSWER: 2,"),
            (no_delv, "elsewhere.example", "A", PLAIN, "EDE: 20"),
            (all, "types.test", "SOA", PLAIN, "ANSWER: 1,"),
            (all, "x.names.types.test", "TXT", PLAIN, "ANSWER: 1,"),
            (all, "to.names.types.test", "A", PLAIN, "ANSWER: 2,"),
            (
                no_delv,
                "a.cname.types.test",
                "A",
                PLAIN,
                "status: NXDOMAIN",
            ),
            (digs, "a.dname.types.test", "A", PLAIN, "status: NXDOMAIN"),
            (digs, "big.test", "TXT", CUT, "flags: qr aa tc;"),
            (digs, "many.big.test", "A", CUT, "flags: qr aa tc;"),
            (no_delv, "many.big.test", "A", PLAIN, "ANSWER: 200,"),
            (no_delv, "big.test", "TXT", PLAIN, "ANSWER: 65,"),
            (no_delv, "big.test", "TXT", TCP, "MSG SIZE  rcvd: 65265"),
            (no_delv, "x.wide.big.test", "A", CUT, "tc;"),
            (no_delv, "x.wide.big.test", "A", TCP, "ADDITIONAL: 201"),
            (
                digs,
                "ns.types.test",
                "A",
                (&["+nsid"], &[]),
                "(\"front-end 1\")",
            ),
            (
                digs,
                "ns.types.test",
                "A",
                (&["+dnssec", "+cookie"], &[]),
                "flags: do;",
            ),
            (
                digs,
                "ns.types.test",
                "A",
                (&["+noedns"], &[]),
                "ADDITIONAL: 0",
            ),
            (
                digs,
                "ns.types.test",
                "A",
                (&["+padding=64", "+tcp"], &[]),
                "ANSWER: 1,",
            ),
            (
                &all[..1],
                "ns.types.test",
                "A",
                (&["+edns=1", "+noednsneg"], &[]),
                "BADVERS",
            ),
            (
                &all[..1],
                "ns.types.test",
                "A",
                (&["+opcode=status"], &[]),
                "NOTIMP",
            ),
        ] {
            let rtype = rtype.parse().unwrap();
            let question = Question {
                options,
                drill,
                ..self.question(name, rtype)
            };
            self.ask(programs, &question, says).await;
        }
        for (name, says) in [
            ("version.bind", "\"nsd\""),
            ("id.server", "\"front-end 1\""),
        ] {
            let question = Question {
                class: "CH",
                ..self.question(name, Rtype::TXT)
            };
            self.ask(no_delv, &question, says).await;
        }
    }

    /// Asks with some of the programs; the output of dig, if it is one, must have some words.
    async fn ask(&mut self, programs: &[&str], question: &Question<'_>, says: &str) {
        let clients = self
            .clients
            .iter()
            .filter(|client| programs.contains(&client.program));
        for client in clients {
            let (output, complaints) = client.ask(question).await;
            self.complaints.extend(complaints);
            if client.program == "dig" && !output.contains(says) {
                self.complaints
                    .push(format!("dig does not say '{says}': {output:.900}"));
            }
        }
    }

    /// What dig prints of each set is read back, and must be the same octets.
    async fn presentation(&mut self) {
        let Some(dig) = self.clients.iter().find(|client| client.program == "dig") else {
            return;
        };
        let mut printed: BTreeMap<(Name, Rtype), BTreeSet<Vec<u8>>> = BTreeMap::new();
        let mut count = 0;
        for (name, rtype) in &self.sets() {
            let options = &["+noall", "+answer", "+nosplit"];
            let (output, _) = dig
                .ask(&Question {
                    options,
                    ..self.question(name, *rtype)
                })
                .await;
            for line in output
                .lines()
                .filter(|line| !line.starts_with(';') && !line.is_empty())
            {
                match read(line) {
                    Ok((owner, rtype, rdata)) => {
                        printed
                            .entry((owner, rtype))
                            .or_default()
                            .insert(rdata.wire().to_vec());
                        count += 1;
                    }
                    Err(error) => self
                        .complaints
                        .push(format!("dig prints {line}\n    {error}")),
                }
            }
        }
        for (name, rtype) in self.sets() {
            let key = (name.parse().unwrap(), rtype);
            let rrset = &self.types.rrsets[&key];
            let stored: BTreeSet<Vec<u8>> = rrset
                .rdata()
                .iter()
                .map(|one| one.wire().to_vec())
                .collect();
            if printed.get(&key) != Some(&stored) {
                let got = printed.get(&key);
                self.complaints.push(format!(
                    "dig prints other octets: {name} {rtype}\n    {stored:02x?}\n    {got:02x?}"
                ));
            }
        }
        println!("{count} records as dig prints them are as they are stored");
    }
}

/// Reads a line of dig: owner, TTL, class, type, rdata.
fn read(line: &str) -> Result<(Name, Rtype, Rdata), String> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (owner, _ttl, _class, rtype) = (word(), word(), word(), word());
    let owner = owner.parse().map_err(|error| format!("{owner}: {error}"))?;
    let rtype: Rtype = rtype.parse().map_err(|error| format!("{rtype}: {error}"))?;
    let rdata = Rdata::parse(rtype, rest).map_err(|error| error.to_string())?;
    Ok((owner, rtype, rdata))
}

/// A zone with answers that datagrams have no room for; one of them as long as there can be.
pub(crate) fn big() -> String {
    const STRINGS: usize = 1000;
    // What a set may have, and what a record has besides its rdata, as `etcd::model::Rrset` counts.
    const SET: usize = 65_535 - (12 + 259 + 64);
    const RECORD: usize = 12;
    let mut zone = String::from("$TTL 300\n@ SOA ns a 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
    let mut room = SET;
    for number in 0.. {
        let len = STRINGS.min(room - RECORD);
        writeln!(zone, "@ TXT {}", strings(number, len)).unwrap();
        room -= RECORD + len;
        if room < RECORD + 256 {
            break;
        }
    }
    for host in 0..200 {
        writeln!(zone, "many A 192.0.2.{host}").unwrap();
        writeln!(
            zone,
            "wide NS ns{host}.wide\nns{host}.wide A 192.0.2.{host}"
        )
        .unwrap();
    }
    zone
}

/// Strings with so many octets, lengths included, that begin with a number.
fn strings(number: usize, len: usize) -> String {
    let octets = format!("{:s<len$}", format!("_{number}_")).into_bytes();
    let strings = octets
        .chunks(256)
        .map(|chunk| String::from_utf8_lossy(&chunk[1..]).into_owned());
    strings.collect::<Vec<_>>().join(" ")
}
