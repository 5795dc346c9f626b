//! What a journal costs: changes a second, what the store grows by, and the memory of a front-end.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use etcd::client::{Config, Store};
use etcd::model::{Change, Name, Rdata, Rtype};
use etcd::schema::{Author, Prefix};
use serde_json::Value;
use tests::TempDir;
use tokio::task::JoinSet;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::net::{CLIENT_CORE, Net, SERVER_CORE, Side};
use crate::report::{Report, median, thousands};
use crate::server;
use crate::store::{self, ENDPOINT};

/// What is compared, with the number of entries that the journal keeps.
const KINDS: [(&str, &str); 3] = [
    ("none", "0"),
    ("500 entries (default)", "500"),
    ("all entries", "1000000"),
];

/// Writers, each of which makes one change after the other.
const WRITERS: usize = 8;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((5, 10), (1, 1));
    let size = run.pick(10_000, 1_000);
    let data = Data::addresses(size);
    let net = Net::new(1, 1)?;
    let _store = store::Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    // Changes a second, octets a change until compaction and after it, MiB.
    let mut readings: [[Vec<f64>; 4]; KINDS.len()] = Default::default();
    for _ in 0..rounds {
        for ((_, entries), readings) in KINDS.iter().zip(&mut readings) {
            store::nsctl(&net, &["zone", "clean", ZONE, "--history"])?;
            store::nsctl(&net, &["zone", "set", ZONE, "--journal-entries", entries])?;
            let before = compacted(&net)?;
            let listen = ["10.53.0.1:53"];
            let folder = TempDir::new();
            let server = server::ours(&net, "1", SERVER_CORE, &listen, 9053, &[], folder)?;
            let (rate, count) = write_for(&net, seconds)?;
            let grown = in_use(&net)? - before;
            let left = compacted(&net)? - before;
            let memory = server.memory() / f64::from(1 << 20);
            for (all, one) in readings
                .iter_mut()
                .zip([rate, grown / count, left / count, memory])
            {
                all.push(one);
            }
        }
    }
    let mut report = Report::new(
        "journal",
        "What the journal of a zone costs",
        &[
            "journal",
            "changes/s",
            "of none",
            "octets a change",
            "after compaction",
            "front-end MiB",
        ],
    );
    let none = median(&readings[0][0]);
    for ((kind, _), readings) in KINDS.iter().zip(&readings) {
        let [rate, grown, left, memory] = readings.each_ref().map(|all| median(all));
        report.row([
            (*kind).to_string(),
            thousands(rate),
            format!("{:.2}", rate / none),
            format!("{grown:.0}"),
            format!("{left:.0}"),
            format!("{memory:.1}"),
        ]);
    }
    report.note(format!(
        "{WRITERS} writers replace one address each, over and over, as `nsctl set` does, in a zone of {size} RRsets on one member of etcd. \
         The store's growth is that of the pages in use (`dbSizeInUse`) by all that a change writes. Until etcd compacts its history it keeps \
         every old value, that of the journal's entries that were deleted, too; after that only what is there."
    ));
    report.write(run)
}

/// Changes a second, and their number.
fn write_for(net: &Net, seconds: u32) -> Result<(f64, f64), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let seconds = seconds.to_string();
    let args = ["change", "--seconds", &seconds];
    let told = net.run(Side::Server, CLIENT_CORE, &program, &args)?;
    let words: Vec<f64> = told
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    match words[..] {
        [rate, count] if count > 0.0 => Ok((rate, count)),
        _ => Err(format!("the writers say: {told}")),
    }
}

/// Octets of the store that are in use.
fn in_use(net: &Net) -> Result<f64, String> {
    // Pages are freed with the next batch of writes, a tenth of a second later.
    std::thread::sleep(Duration::from_millis(500));
    let status = etcdctl(net, &["endpoint", "status", "-w", "json"])?;
    let size = status[0]["Status"]["dbSizeInUse"].as_f64();
    size.ok_or_else(|| format!("no size in {status}"))
}

/// The same once all history is gone.
fn compacted(net: &Net) -> Result<f64, String> {
    let told = etcdctl(net, &["get", "/", "-w", "json"])?;
    let revision = told["header"]["revision"].as_i64();
    let revision = revision.ok_or_else(|| format!("no revision in {told}"))?;
    etcdctl(net, &["compact", "--physical", &revision.to_string()])?;
    in_use(net)
}

fn etcdctl(net: &Net, args: &[&str]) -> Result<Value, String> {
    let args = [&["--endpoints", ENDPOINT], args].concat();
    let told = net.run(Side::Server, CLIENT_CORE, Path::new("etcdctl"), &args)?;
    // Compaction prints a line for people whatever it is asked for.
    Ok(serde_json::from_str(&told).unwrap_or(Value::String(told)))
}

#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    seconds: u64,
}

/// Makes changes, and prints how many a second and how many in all.
pub(crate) fn change(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(options.seconds);
    let start = Instant::now();
    let count: Result<usize, String> = runtime.block_on(async {
        let writers = (0..WRITERS).map(|writer| write_until(start + limit, writer));
        let written = writers.collect::<JoinSet<_>>().join_all().await;
        written.into_iter().sum()
    });
    let count = count?;
    println!("{} {count}", count as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

async fn write_until(end: Instant, writer: usize) -> Result<usize, String> {
    let author = Author {
        by: "alice@host1.example.com".into(),
        via: "nsctl set".into(),
        ..Author::default()
    };
    let config = Config::new(vec![ENDPOINT.into()]);
    let store = Store::new(config, Prefix::default(), Duration::from_secs(10)).with_author(author);
    let owner: Name = format!("h{writer}.{ZONE}")
        .parse()
        .map_err(|_| "no name".to_string())?;
    let mut count = 0;
    while Instant::now() < end {
        let address = format!("198.51.{}.{}", count / 250 % 250, count % 250);
        let rdata = Rdata::parse(Rtype::A, &address).map_err(|error| error.to_string())?;
        let change = Change::Set {
            rtype: Rtype::A,
            ttl: None,
            rdata: vec![rdata],
        };
        let store = store.with_timeout(Duration::from_secs(10));
        let done = store.change(&owner, None, &change).await;
        done.map_err(|error| error.to_string())?;
        count += 1;
    }
    Ok(count)
}
