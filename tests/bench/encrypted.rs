//! Answers a second over TLS, HTTPS and QUIC: this and BIND, which has no QUIC, in turns, with the same certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use domain::base::iana::Rtype;
use tests::TempDir;
use tests::dns;
use tests::encrypted::{Certificate, Quic};
use tokio::task::JoinSet;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::generator;
use crate::net::{self, CLIENT_CORE, Net};
use crate::report::{Report, median, thousands};
use crate::server::{self, Kind};
use crate::store::{self, Store};

const KINDS: [Kind; 2] = [Kind::Ours, Kind::Bind];

/// What asks, and what the transport is called.
const MODES: [(Generator, &str); 4] = [
    (Generator::Dnsperf("tcp"), "TCP"),
    (Generator::Dnsperf("dot"), "TLS"),
    (Generator::H2load, "HTTPS (HTTP/2, POST)"),
    (Generator::Quinn, "QUIC"),
];

#[derive(Clone, Copy)]
enum Generator {
    /// dnsperf, with what it calls the transport.
    Dnsperf(&'static str),
    H2load,
    /// Our own.
    Quinn,
}

/// h2load does not always end without errors.
const TRIES: u32 = 4;

/// Queries over HTTPS that show how many fill the time.
const FIRST: u32 = 2_000;

/// Connections of our own generator, and queries that each has under way.
const CONNECTIONS: usize = 20;
const STREAMS: usize = 50;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 5), (1, 1));
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 1)?;
    let store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    let folder = TempDir::new();
    let certificate = Certificate::make(folder.path());
    let query = dns::query(0, &format!("ns1.{ZONE}"), Rtype::A);
    let path = folder.path().join("query");
    std::fs::write(&path, query).map_err(|error| error.to_string())?;
    let mut rates = KINDS.map(|_| MODES.map(|_| (Vec::new(), Vec::new())));
    for _ in 0..rounds {
        for (kind, rates) in KINDS.into_iter().zip(&mut rates) {
            if kind.version().is_none() {
                continue;
            }
            store.thaw();
            let running = server::start_encrypted(kind, &net, &data, &certificate)?;
            if kind != Kind::Ours {
                store.freeze();
            }
            for ((generator, _), (rates, cpus)) in MODES.into_iter().zip(rates) {
                if kind == Kind::Bind && matches!(generator, Generator::Quinn) {
                    continue;
                }
                let ask = || -> Result<(f64, f64), String> {
                    let address = net::address(0);
                    let count = match generator {
                        Generator::H2load => {
                            let rate = generator::h2load(&net, &address, &path, FIRST)?;
                            FIRST.max((rate * f64::from(seconds)) as u32)
                        }
                        _ => 0,
                    };
                    let before = running.cpu();
                    let rate = match generator {
                        Generator::Dnsperf(mode) => {
                            generator::dnsperf(&net, mode, &address, &data, seconds)
                        }
                        Generator::H2load => generator::h2load(&net, &address, &path, count),
                        Generator::Quinn => generator::quic(&net, &address, &certificate, seconds),
                    }?;
                    let after = running.cpu();
                    let cpu = after.user + after.system - before.user - before.system;
                    let answers = match generator {
                        Generator::H2load => f64::from(count),
                        _ => rate * f64::from(seconds),
                    };
                    Ok((rate, cpu / answers * 1e6))
                };
                let mut tries = 1;
                let (rate, cpu) = loop {
                    match ask() {
                        Err(error) if tries < TRIES => println!("once more: {error}"),
                        result => break result?,
                    }
                    tries += 1;
                };
                rates.push(rate);
                cpus.push(cpu);
            }
            drop(running);
        }
    }
    let mut report = Report::new(
        "encrypted",
        "Answers a second over encrypted transports",
        &[
            "transport",
            "nsd (this)",
            "CPU us",
            "BIND",
            "CPU us",
            "this is",
        ],
    );
    let [ours, bind] = rates;
    for (((_, name), ours), bind) in MODES.into_iter().zip(ours).zip(bind) {
        let mut row = vec![name.to_string()];
        for (rates, cpus) in [&ours, &bind] {
            row.extend(match rates.is_empty() {
                true => ["-".into(), "-".into()],
                false => [thousands(median(rates)), format!("{:.1}", median(cpus))],
            });
        }
        row.push(match bind.0.is_empty() {
            true => "-".into(),
            false => format!("{:.2} x", median(&ours.0) / median(&bind.0)),
        });
        report.row(row);
    }
    let bind = Kind::Bind
        .version()
        .unwrap_or_else(|| "not installed".into());
    report.note(format!(
        "TCP and TLS: dnsperf with a question for each name. HTTPS: h2load, QUIC: our own client with quinn; both with one question again and \
         again, so rows do not compare with each other. 20 connections that stay open, 1,000 queries under way (400 over HTTPS), one core for each side; \
         ECDSA P-256; BIND {bind}. CPU is what the server takes for an answer: where the generator's core is full before it, \
         the server could answer more."
    ));
    report.write(run)
}

#[derive(Args)]
pub(crate) struct QuicOptions {
    /// The server to ask.
    #[arg(long)]
    server: SocketAddr,
    /// Its certificate.
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    seconds: u32,
}

/// Asks one question over QUIC again and again: prints how many answers came in a second.
pub(crate) fn ask_over_quic(options: &QuicOptions) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let certificate = Certificate {
        certificate: options.certificate.clone(),
        key: PathBuf::new(),
    };
    let query: Arc<[u8]> = dns::query(0, &format!("ns1.{ZONE}"), Rtype::A).into();
    let limit = Duration::from_secs(options.seconds.into());
    let rate = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Arc::new(certificate.connect_quic(options.server).await?));
        }
        let started = Instant::now();
        let end = started + limit;
        let mut streams = JoinSet::new();
        for connection in connections.iter().cycle().take(CONNECTIONS * STREAMS) {
            streams.spawn(ask_until(end, connection.clone(), query.clone()));
        }
        let answers: Result<u64, String> = streams.join_all().await.into_iter().sum();
        Ok::<_, String>(answers? as f64 / started.elapsed().as_secs_f64())
    })?;
    println!("{rate}");
    Ok(())
}

/// Asks again and again; how many answers came.
async fn ask_until(end: Instant, connection: Arc<Quic>, query: Arc<[u8]>) -> Result<u64, String> {
    let mut answers = 0;
    while Instant::now() < end {
        let answer = dns::parse(&connection.exchange(&query).await?)?;
        if answer.answers.is_empty() {
            return Err(format!("no answer: {answer:?}"));
        }
        answers += 1;
    }
    Ok(answers)
}
