//! Memory, first sync, import and one update, by the number of RRsets; and the memory of NSD and Knot with the same
//! zone.

use std::time::Instant;

use etcd::mirror::{Event, KeyChange, KeyValue};
use etcd::model::{Consistency, Name, Rtype};
use etcd::schema::{Key, Prefix};
use nsd::mirror::{Builder, Guard};
use tests::TempDir;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::net::{CLIENT_CORE, Net, SERVER_CORE};
use crate::report::{Report, Series, lines, median};
use crate::server::{self, Kind};
use crate::stall;
use crate::store::{self, Store};

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let sizes = run.pick(&SIZES[..], &[1_000]);
    let rounds = run.pick(2, 1);
    let names = ["nsd (this)", "NLnet Labs NSD", "Knot"];
    let mut series = names.map(|name| Series {
        name: name.into(),
        points: Vec::new(),
    });
    let mut report = Report::new(
        "scale",
        "Memory, import, first sync and updates by the number of RRsets",
        &[
            "RRsets",
            "import s",
            "first sync s",
            "from a snapshot s",
            "memory MiB",
            "NSD MiB",
            "Knot MiB",
            "one update us",
            "1,000 updates ms",
            "longest stall ms",
        ],
    );
    for &size in sizes {
        let data = Data::addresses(size);
        let net = Net::new(1, 1)?;
        let store = Store::start(&net, &format!("{SERVER_CORE},{CLIENT_CORE}"))?;
        let (mut import, mut sync, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        let (folder, cores) = (TempDir::new(), format!("{SERVER_CORE},{CLIENT_CORE}"));
        let snapshot = folder.path().join("snapshot");
        let start_ours = || {
            let path = snapshot.display().to_string();
            let more = ["--snapshot", &path];
            let start = Instant::now();
            let listen = ["10.53.0.1:53"];
            let server = server::ours(&net, "1", &cores, &listen, 9053, &more, TempDir::new())?;
            Ok::<_, String>((server, start.elapsed().as_secs_f64()))
        };
        for _ in 0..rounds {
            // Replacing asks for what is there first; a zone that is new is the usual case.
            let _ = store::nsctl(&net, &["zone", "remove", ZONE]);
            let start = Instant::now();
            store::import(&net, &data.zone)?;
            import.push(start.elapsed().as_secs_f64());
            let (server, took) = start_ours()?;
            sync.push(took);
            memory.push(server.memory() / f64::from(1 << 20));
            drop(server);
            if import.len() < rounds {
                std::fs::remove_file(&snapshot).map_err(|error| error.to_string())?;
            }
        }
        // The last one has left a snapshot behind as it ended.
        drop(store);
        let mut restart = Vec::new();
        for _ in 0..rounds {
            restart.push(start_ours()?.1);
        }
        let mut all = vec![Some(median(&memory))];
        for kind in [Kind::Nsd, Kind::Knot] {
            let server = kind
                .version()
                .map(|_| kind.start(&net, &data))
                .transpose()?;
            all.push(server.map(|server| server.memory() / f64::from(1 << 20)));
        }
        for (series, memory) in series.iter_mut().zip(&all) {
            series
                .points
                .extend(memory.map(|memory| (size as f64 / 1000.0, memory)));
        }
        // Beside it, how much that is of what this takes.
        let ours = median(&memory);
        let peer = |memory: Option<f64>| match memory {
            Some(memory) => format!("{memory:.0} ({:.1} x)", memory / ours),
            None => "-".into(),
        };
        let (one, thousand) = updates(size);
        let stall = stall::longest(size, run.pick(20, 2))?;
        report.row([
            size.to_string(),
            format!("{:.1}", median(&import)),
            format!("{:.2}", median(&sync)),
            format!("{:.2}", median(&restart)),
            format!("{:.0}", median(&memory)),
            peer(all[1]),
            peer(all[2]),
            format!("{:.1}", one * 1e6),
            format!("{:.2}", thousand * 1e3),
            format!("{:.2} ({:.2} idle)", stall.replaced * 1e3, stall.idle * 1e3),
        ]);
    }
    report.note(
        "Import by `nsctl zone import` into one member of etcd; first sync from the start of the process until it answers over DNS, and from a snapshot the same \
         without etcd; \
         memory is the proportional set size after that, etcd not counted. An update is one RRset changed and the view published, \
         in process, without etcd. The longest stall is the longest that a query waited for its answer while all RRsets were replaced, 20 times, and \
         the old ones freed; beside it, in as much time without a replacement.",
    );
    report.write(run)?;
    let axes = ("thousand RRsets", "MiB");
    lines(
        &run.results.join("scale.svg"),
        "Memory by the number of RRsets",
        axes,
        &series,
    )
}

/// Seconds until one changed RRset is published, and until a batch of 1,000 is; medians.
fn updates(size: usize) -> (f64, f64) {
    let prefix = Prefix::default();
    let zone: Name = ZONE.parse().expect("a name");
    let key = |index: usize| {
        let owner: Name = format!("h{index}.{ZONE}").parse().expect("a name");
        prefix.encode(&Key::Rrset {
            zone: zone.clone(),
            generation: 1,
            owner,
            rtype: Rtype::A,
        })
    };
    let value = |number: usize| {
        format!(
            r#"{{"ttl":300,"rdata":["192.0.{}.{}"]}}"#,
            number >> 8 & 255,
            number & 255
        )
        .into_bytes()
    };
    let settings = r#"{"soa":{"mname":"ns1.bench.test.","rname":"h.bench.test.","refresh":1,"retry":2,"expire":3,"minimum":4,"ttl":5},"generation":1,"default_ttl":300}"#;
    let mut builder = Builder::new(prefix.clone(), Consistency::Available, Guard::default());
    builder.apply(Event::Listing);
    let item = |key: Vec<u8>, value: Vec<u8>| KeyValue {
        key,
        value,
        mod_revision: 1,
    };
    let mut items = vec![item(
        prefix.encode(&Key::Zone(zone.clone())),
        settings.into(),
    )];
    items.extend((0..size).map(|index| item(key(index), value(index))));
    builder.apply(Event::Items(items));
    builder.apply(Event::Listed { revision: 1 });
    let mut revision = 1;
    // The view that readers have is one of the past: what is changed is shared with it.
    let mut published = builder.view().clone();
    let mut publish = |count: usize| {
        revision += 1;
        let change = |number: usize| KeyChange {
            key: key((revision as usize * 7919 + number * 104_729) % size),
            value: Some(value(revision as usize + number)),
            mod_revision: revision,
        };
        let event = Event::Revision {
            revision,
            changes: (0..count).map(change).collect(),
        };
        let start = Instant::now();
        builder.apply(event);
        let old = std::mem::replace(&mut published, builder.view().clone());
        let took = start.elapsed();
        drop(old);
        took.as_secs_f64()
    };
    let one: Vec<f64> = (0..1_000).map(|_| publish(1)).collect();
    let thousand: Vec<f64> = (0..50).map(|_| publish(1_000)).collect();
    (median(&one), median(&thousand))
}
