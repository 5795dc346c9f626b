//! Answers a second at overload, CPU a query, latency at half load, and TCP: this and the others, in turns.

use crate::Run;
use crate::data::Data;
use crate::generator::{self, OVERLOAD};
use crate::net::{self, CLIENT_CORE, Net};
use crate::report::{Report, bars, median, thousands};
use crate::server::Kind;
use crate::store::{self, Store};

/// The readings of one server.
#[derive(Default)]
struct Readings {
    rate: Vec<f64>,
    user: Vec<f64>,
    system: Vec<f64>,
    tcp: Vec<f64>,
    latency: [Vec<f64>; 3],
    lost: Vec<f64>,
}

pub(crate) fn run(run: &Run, only: &[Kind]) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 4), (1, 1));
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 1)?;
    let store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    let mut kinds: Vec<(Kind, String, Readings)> = Vec::new();
    let wanted = |kind: &Kind| only.is_empty() || only.contains(kind);
    for kind in Kind::ALL.into_iter().filter(wanted) {
        match kind.version() {
            Some(version) => kinds.push((kind, version, Readings::default())),
            None => println!("skipped, as it is not installed: {}", kind.label()),
        }
    }
    for _ in 0..rounds {
        for (kind, _, readings) in &mut kinds {
            measure(*kind, &net, &store, &data, seconds, readings)?;
        }
    }
    report(run, &kinds)
}

fn measure(
    kind: Kind,
    net: &Net,
    store: &Store,
    data: &Data,
    seconds: u32,
    readings: &mut Readings,
) -> Result<(), String> {
    let address = net::address(0);
    store.thaw();
    let server = kind.start(net, data)?;
    if kind != Kind::Ours {
        store.freeze();
    }
    // Once through all questions: caches that a server has are filled.
    generator::kxdpgun(net, data, 100_000, 1)?;
    let before = server.cpu();
    let overload = generator::kxdpgun(net, data, OVERLOAD, seconds)?;
    let after = server.cpu();
    if overload.answers < 1.0 {
        return Err(format!(
            "{} answers nothing: {}",
            kind.label(),
            server.log()
        ));
    }
    let right: f64 = overload.codes.iter().sum();
    if kind != Kind::Echo && right < overload.answers * 0.999 {
        return Err(format!(
            "{} answers wrong: {right} of {}",
            kind.label(),
            overload.answers
        ));
    }
    readings.rate.push(overload.rate);
    readings
        .user
        .push((after.user - before.user) / overload.answers * 1e6);
    readings
        .system
        .push((after.system - before.system) / overload.answers * 1e6);
    let steady = generator::steady(
        net,
        &format!("{address}:53"),
        data,
        overload.rate / 2.0,
        seconds,
    )?;
    for (all, one) in readings.latency.iter_mut().zip(steady.micros) {
        all.push(one);
    }
    readings.lost.push(steady.lost);
    if kind != Kind::Echo {
        // Each answer's code is compared with the question's.
        if steady.wrong > 0 {
            return Err(format!("{}: {} wrong answers", kind.label(), steady.wrong));
        }
        readings
            .tcp
            .push(generator::dnsperf(net, "tcp", &address, data, seconds)?);
    }
    Ok(())
}

fn report(run: &Run, kinds: &[(Kind, String, Readings)]) -> Result<(), String> {
    let rate = |wanted: Kind| {
        let found = kinds.iter().find(|(kind, ..)| *kind == wanted);
        found.map_or(f64::NAN, |(_, _, readings)| median(&readings.rate))
    };
    let ours = rate(Kind::Ours);
    let mut report = Report::new(
        "peers",
        "Answers a second, CPU a query and latency",
        &[
            "server",
            "version",
            "answers/s",
            "this is",
            "user us",
            "system us",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "lost",
            "TCP answers/s",
        ],
    );
    for (kind, version, readings) in kinds {
        let [p50, p99, p999] = readings
            .latency
            .each_ref()
            .map(|all| format!("{:.0}", median(all)));
        let tcp = if readings.tcp.is_empty() {
            "-".into()
        } else {
            thousands(median(&readings.tcp))
        };
        report.row([
            kind.label().into(),
            version.clone(),
            thousands(median(&readings.rate)),
            format!("{:.2} x", ours / median(&readings.rate)),
            format!("{:.2}", median(&readings.user)),
            format!("{:.2}", median(&readings.system)),
            p50,
            p99,
            p999,
            format!("{:.3} %", median(&readings.lost) * 100.0),
            tcp,
        ]);
    }
    report.note("Overload by kxdpgun over AF_XDP; etcd and the generator share a core; latency at half of each server's own rate; TCP by dnsperf, 20 connections.");
    report.write(run)?;
    let values: Vec<(String, f64)> = kinds
        .iter()
        .map(|(kind, _, readings)| (kind.label().to_string(), median(&readings.rate) / 1000.0))
        .collect();
    bars(
        &run.results.join("peers.svg"),
        "Answers a second, one core",
        "thousand answers/s",
        &values,
    )
}
