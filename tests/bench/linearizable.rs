//! What `linearizable` costs beside `available`: reads of etcd and latency, by the rate of queries.

use std::net::SocketAddr;

use serde_json::Value;
use tests::TempDir;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::generator::{self, Steady};
use crate::net::{self, Net, SERVER_CORE, Side};
use crate::report::{Report, Series, lines, median};
use crate::server;
use crate::store::{self, Store};

const RATES: [u32; 4] = [1_000, 5_000, 20_000, 40_000];

const MODES: [&str; 2] = ["available", "linearizable"];

/// Where the front-end's admin listener is.
const ADMIN: u16 = 9053;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 5), (1, 1));
    let rates = run.pick(&RATES[..], &RATES[..1]);
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 1)?;
    let _store = Store::start(&net, SERVER_CORE)?;
    store::import(&net, &data.zone)?;
    let address = format!("{}:53", net::address(0));
    let folder = TempDir::new();
    let _server = server::ours(&net, "1", SERVER_CORE, &[&address], ADMIN, &[], folder)?;
    // By rate and mode.
    let mut readings: Vec<[Vec<Reading>; 2]> = rates.iter().map(|_| Default::default()).collect();
    for _ in 0..rounds {
        for (index, mode) in MODES.iter().enumerate() {
            let set = ["zone", "set", ZONE, "--consistency", mode, "--wait"];
            store::nsctl(&net, &set)?;
            for (rate, readings) in rates.iter().zip(&mut readings) {
                readings[index].push(measure(&net, &address, &data, *rate, seconds)?);
            }
        }
    }
    let mut report = Report::new(
        "linearizable",
        "Reads of etcd and latency while every query asks for a linearizable answer",
        &[
            "queries/s",
            "consistency",
            "lost",
            "p50 us",
            "p99 us",
            "reads of etcd/s",
            "queries a read",
        ],
    );
    let mut points = Vec::new();
    for (rate, readings) in rates.iter().zip(&readings) {
        for (mode, readings) in MODES.iter().zip(readings) {
            let middle =
                |of: fn(&Reading) -> f64| median(&readings.iter().map(of).collect::<Vec<_>>());
            let reads = middle(|reading| reading.reads);
            let queries = middle(|reading| reading.steady.rate);
            report.row([
                rate.to_string(),
                mode.to_string(),
                format!("{:.3} %", middle(|reading| reading.steady.lost) * 100.0),
                format!("{:.0}", middle(|reading| reading.steady.micros[0])),
                format!("{:.0}", middle(|reading| reading.steady.micros[1])),
                format!("{reads:.0}"),
                if reads > 0.0 {
                    format!("{:.1}", queries / reads)
                } else {
                    "none".into()
                },
            ]);
            if *mode == "linearizable" {
                points.push((f64::from(*rate) / 1000.0, reads / 1000.0));
            }
        }
    }
    report.note(
        "Front-end and store (one member) share a core, the generator has the other. The reads are those that queries wait for; \
         the one a second that proves freshness is not among them.",
    );
    report.write(run)?;
    let series = [Series {
        name: "linearizable".into(),
        points,
    }];
    let axes = (
        "thousand queries a second",
        "thousand reads of etcd a second",
    );
    lines(
        &run.results.join("linearizable.svg"),
        "Reads of etcd by the rate of linearizable queries",
        axes,
        &series,
    )
}

struct Reading {
    steady: Steady,
    /// Reads of etcd a second.
    reads: f64,
}

fn measure(
    net: &Net,
    address: &str,
    data: &Data,
    rate: u32,
    seconds: u32,
) -> Result<Reading, String> {
    let before = barriers(net)?;
    let steady = generator::steady(net, address, data, f64::from(rate), seconds)?;
    if steady.wrong > 0 {
        return Err(format!(
            "{} wrong answers at {rate} queries/s",
            steady.wrong
        ));
    }
    let reads = barriers(net)? - before;
    let reads = reads as f64 / f64::from(seconds);
    Ok(Reading { steady, reads })
}

/// How often queries have waited for a read of etcd together.
fn barriers(net: &Net) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let args = ["fetch", &format!("127.0.0.1:{ADMIN}"), "/status"];
    let text = net.run(Side::Server, SERVER_CORE, &program, &args)?;
    let status: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let count = status["barriers"].as_u64();
    count.ok_or_else(|| format!("no count of barriers in {text}"))
}

/// Prints what the admin listener of a front-end has at a path.
pub(crate) fn fetch(admin: SocketAddr, path: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let response = runtime.block_on(tests::get(admin, path))?;
    println!("{}", response.body);
    Ok(())
}
