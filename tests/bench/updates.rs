//! Answers a second and latency while so many updates a second are applied.

use std::time::{Duration, Instant};

use clap::Args;
use etcd::model::{Name, Rtype};
use etcd::schema::{Key, Prefix};
use etcd_client::{Client, Txn, TxnOp};
use tests::Process;
use tokio::task::JoinSet;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::generator::{self, OVERLOAD};
use crate::net::{self, CLIENT_CORE, Net, Side};
use crate::report::{Report, Series, lines, median, thousands};
use crate::server::Kind;
use crate::store::{self, ENDPOINT, Store};

const RATES: [u32; 3] = [0, 100, 1_000];

/// How many transactions are under way at once, at most.
const PARALLEL: usize = 64;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 5), (1, 1));
    let rates = run.pick(&RATES[..], &RATES[..2]);
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 1)?;
    let _store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    let zone = store::nsctl(&net, &["-o", "json", "zone", "show", ZONE])?;
    let zone: serde_json::Value = serde_json::from_str(&zone).map_err(|error| error.to_string())?;
    let generation = zone["generation"]
        .as_u64()
        .ok_or_else(|| format!("no generation in {zone}"))?;
    let server = Kind::Ours.start(&net, &data)?;
    let address = net::address(0);
    // Answers a second at overload; answers a second, lost, and latencies at half of that, for each rate.
    let mut readings: Vec<[Vec<f64>; 6]> = vec![Default::default(); rates.len()];
    generator::kxdpgun(&net, &data, 100_000, 1)?;
    let half = generator::kxdpgun(&net, &data, OVERLOAD, seconds)?.rate / 2.0;
    for _ in 0..rounds {
        for (rate, readings) in rates.iter().zip(&mut readings) {
            let writer = Writer::start(&net, generation, *rate, 2 * seconds + 3)?;
            let overload = generator::kxdpgun(&net, &data, OVERLOAD, seconds)?;
            // The queries that it is to be compared by are few enough that the store has some of that core left.
            let steady =
                generator::steady(&net, &format!("{address}:53"), &data, half / 2.0, seconds)?;
            if steady.wrong > 0 {
                return Err(format!(
                    "{} wrong answers at {rate} updates/s",
                    steady.wrong
                ));
            }
            let done = writer.end()?;
            let values = [
                overload.rate,
                steady.lost,
                steady.micros[0],
                steady.micros[1],
                steady.micros[2],
                done,
            ];
            for (all, one) in readings.iter_mut().zip(values) {
                all.push(one);
            }
        }
    }
    drop(server);
    let mut report = Report::new(
        "updates",
        "Answers a second and latency while updates are applied",
        &[
            "updates/s wanted",
            "updates/s",
            "answers/s",
            "of idle",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "lost",
        ],
    );
    let idle = median(&readings[0][0]);
    let mut points = Vec::new();
    for (rate, readings) in rates.iter().zip(&readings) {
        let [answers, lost, p50, p99, p999, done] = readings.each_ref().map(|all| median(all));
        report.row([
            rate.to_string(),
            format!("{done:.0}"),
            thousands(answers),
            format!("{:.2}", answers / idle),
            format!("{p50:.0}"),
            format!("{p99:.0}"),
            format!("{p999:.0}"),
            format!("{:.3} %", lost * 100.0),
        ]);
        points.push((done, answers / 1000.0));
    }
    report.note(
        "Store, writer and generator share one core, the front-end has the other. Answers at overload; latency at a quarter of that.",
    );
    report.write(run)?;
    let series = [Series {
        name: "nsd".into(),
        points,
    }];
    let axes = ("updates a second", "thousand answers a second");
    lines(
        &run.results.join("updates.svg"),
        "Answers a second while updates are applied",
        axes,
        &series,
    )
}

/// A process that writes at a rate.
struct Writer(Option<Process>);

impl Writer {
    fn start(net: &Net, generation: u64, rate: u32, seconds: u32) -> Result<Self, String> {
        if rate == 0 {
            return Ok(Writer(None));
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let (generation, rate, seconds) = (
            generation.to_string(),
            rate.to_string(),
            seconds.to_string(),
        );
        let args = [
            "write",
            "--generation",
            &generation,
            "--rate",
            &rate,
            "--seconds",
            &seconds,
        ];
        let process = net.start(Side::Server, CLIENT_CORE, &program, &args);
        // It writes from here on.
        store::wait("the writer writes", Duration::from_secs(10), || {
            if process.stdout().contains("writing") {
                Ok(())
            } else {
                Err(process.stderr())
            }
        })?;
        Ok(Writer(Some(process)))
    }

    /// Waits for its end, and gives the updates a second that it has made.
    fn end(self) -> Result<f64, String> {
        let Some(mut process) = self.0 else {
            return Ok(0.0);
        };
        store::wait("the writer ends", Duration::from_secs(60), || {
            if process.ended().is_some() {
                Ok(())
            } else {
                Err("it runs".into())
            }
        })?;
        let text = process.stdout();
        text.lines()
            .find_map(|line| line.strip_prefix("updates/s: ")?.parse().ok())
            .ok_or_else(|| format!("the writer says: {text}{}", process.stderr()))
    }
}

#[derive(Args)]
pub(crate) struct Options {
    /// The generation that is served.
    #[arg(long)]
    generation: u64,
    /// Updates a second.
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    seconds: u32,
}

/// Writes addresses at a steady rate, each in a transaction as `nsctl set` makes it, but without the reads before it.
pub(crate) fn write(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let client = Client::connect([ENDPOINT], None)
            .await
            .map_err(|error| error.to_string())?;
        println!("writing");
        let (start, total) = (
            Instant::now(),
            u64::from(options.rate) * u64::from(options.seconds),
        );
        let mut under_way = JoinSet::new();
        let mut done = 0;
        for number in 0..total {
            let due = start + Duration::from_secs_f64(number as f64 / f64::from(options.rate));
            tokio::time::sleep_until(due.into()).await;
            while under_way.len() >= PARALLEL {
                done += u64::from(under_way.join_next().await.is_some_and(|done| done.is_ok()));
            }
            let txn = Txn::new().and_then(puts(options.generation, number));
            let mut kv = client.kv_client();
            under_way.spawn(async move { kv.txn(txn).await.map(drop) });
            if start.elapsed() > Duration::from_secs(options.seconds.into()) {
                break;
            }
        }
        while let Some(result) = under_way.join_next().await {
            done += u64::from(result.is_ok_and(|result| result.is_ok()));
        }
        println!(
            "updates/s: {:.1}",
            done as f64 / start.elapsed().as_secs_f64()
        );
        Ok(())
    })
}

fn puts(generation: u64, number: u64) -> [TxnOp; 3] {
    let prefix = Prefix::default();
    let zone: Name = ZONE.parse().expect("a name");
    // Of the names that are asked for, those with an address.
    let owner: Name = format!("h{}.{ZONE}", number % 50 * 20)
        .parse()
        .expect("a name");
    let key = Key::Rrset {
        zone: zone.clone(),
        generation,
        owner,
        rtype: Rtype::A,
    };
    let value = format!(r#"{{"ttl":300,"rdata":["198.51.100.{}"]}}"#, number % 250);
    let put = |key: &Key, value: &str| TxnOp::put(prefix.encode(key), value, None);
    [
        put(&key, &value),
        put(&Key::Serial(zone), "{}"),
        put(&Key::Head, "{}"),
    ]
}
