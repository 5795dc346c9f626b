//! The paper's figure 3: total answers a second of 1, 2, 3, 4, 6 and 12 front-ends, each held to the same share of a
//! core by a control group.

use std::path::PathBuf;

use tests::TempDir;

use crate::Run;
use crate::data::Data;
use crate::generator;
use crate::net::{self, CLIENT_CORE, Net, SERVER_CORE};
use crate::report::{Report, Series, lines, median, thousands};
use crate::server::{self, Server};
use crate::store::{self, Store};

/// The share of a core in percent: little enough that the generator has more than twelve of them can take.
const SHARE: u32 = 2;

/// Queries a second that each is sent: more than its share is good for.
const RATE: f64 = 9_000.0;

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let counts: &[usize] = run.pick(&[1, 2, 3, 4, 6, 12], &[1, 2]);
    let (rounds, seconds) = run.pick((3, 3), (1, 1));
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(12, 1)?;
    let _store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    let mut report = Report::new(
        "nodes",
        "Answers a second of 1 to 12 front-ends with the same CPU share each",
        &[
            "front-ends",
            "answers/s",
            "a front-end",
            "of one, times their number",
        ],
    );
    let mut points = Vec::new();
    for &count in counts {
        let mut groups = Vec::new();
        for index in 0..count {
            let listen = format!("{}:53", net::address(index));
            let server = server::ours(
                &net,
                "1",
                SERVER_CORE,
                &[&listen],
                9053 + index as u16,
                &[],
                TempDir::new(),
            )?;
            // Only now: to start takes more than to serve.
            groups.push(Group::hold(server, SHARE)?);
        }
        let servers: Vec<String> = (0..count)
            .map(|index| format!("{}:53", net::address(index)))
            .collect();
        let mut readings = Vec::new();
        for _ in 0..rounds {
            let steady = generator::steady(
                &net,
                &servers.join(","),
                &data,
                RATE * count as f64,
                seconds,
            )?;
            if steady.wrong > 0 {
                return Err(format!(
                    "{} wrong answers of {count} front-ends",
                    steady.wrong
                ));
            }
            readings.push(steady.rate);
        }
        points.push((count as f64, median(&readings) / 1000.0));
        let (first, total) = (points[0].1, median(&readings) / 1000.0);
        report.row([
            count.to_string(),
            thousands(total * 1000.0),
            thousands(total * 1000.0 / count as f64),
            format!("{:.2}", total / (first * count as f64)),
        ]);
    }
    report.note(format!(
        "Each front-end may take {SHARE} % of one core, which all share, and is sent {RATE} queries a second by a generator on the other."
    ));
    report.write(run)?;
    let first = points[0].1;
    let ideal = points
        .iter()
        .map(|(count, _)| (*count, first * count))
        .collect();
    let series = [
        Series {
            name: "front-ends".into(),
            points,
        },
        Series {
            name: "one, times their number".into(),
            points: ideal,
        },
    ];
    let axes = ("front-ends", "thousand answers a second");
    lines(
        &run.results.join("nodes.svg"),
        "Answers a second by the number of front-ends",
        axes,
        &series,
    )
}

/// A server in a control group of its own.
struct Group {
    path: PathBuf,
    server: Option<Server>,
}

impl Group {
    fn hold(server: Server, share: u32) -> Result<Self, String> {
        const PERIOD: u32 = 100_000;
        let quota = PERIOD * share / 100;
        let old = PathBuf::from("/sys/fs/cgroup/cpu");
        let (home, limits) = if old.is_dir() {
            (
                old,
                vec![
                    ("cpu.cfs_period_us", PERIOD.to_string()),
                    ("cpu.cfs_quota_us", quota.to_string()),
                ],
            )
        } else {
            (
                PathBuf::from("/sys/fs/cgroup"),
                vec![("cpu.max", format!("{quota} {PERIOD}"))],
            )
        };
        let path = home.join(format!("bench-{}-{}", std::process::id(), server.id()));
        let fault = |error: std::io::Error| {
            format!("cannot make the control group {}: {error}", path.display())
        };
        std::fs::create_dir(&path).map_err(fault)?;
        let id = server.id().to_string();
        let group = Group {
            path: path.clone(),
            server: Some(server),
        };
        for (file, value) in limits {
            std::fs::write(path.join(file), value).map_err(fault)?;
        }
        std::fs::write(path.join("cgroup.procs"), id).map_err(fault)?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty, it can go.
        self.server = None;
        let _ = std::fs::remove_dir(&self.path);
    }
}
