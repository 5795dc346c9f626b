//! The paper's figure 4: answers a second against what the generator sends, and from how many cores, until the
//! plateau shows.

use crate::Run;
use crate::data::Data;
use crate::generator;
use tests::TempDir;

use crate::net::{self, CLIENT_CORE, Net, SERVER_CORE};
use crate::report::{Report, Series, lines, median, thousands};
use crate::server;
use crate::store::{self, Store};

const RATES: [u32; 9] = [
    10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000,
];

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((2, 3), (1, 1));
    let rates = run.pick(&RATES[..], &RATES[..2]);
    let data = Data::mixed(run.pick(100_000, 1_000));
    let mut report = Report::new(
        "cores",
        "Answers a second by rate and cores of the generator",
        &["generator's cores", "sent/s", "answers/s", "answered"],
    );
    let mut series = Vec::new();
    for cores in [1, 2] {
        let net = Net::new(1, cores)?;
        let _store = Store::start(&net, SERVER_CORE)?;
        store::import(&net, &data.zone)?;
        let listen: Vec<String> = (0..cores)
            .map(|client| format!("{}:53", net::address_for(client, 0)))
            .collect();
        let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
        let _server = server::ours(&net, "1", SERVER_CORE, &listen, 9053, &[], TempDir::new())?;
        let mut points = Vec::new();
        for &rate in rates {
            let mut readings = Vec::new();
            for _ in 0..rounds {
                readings.push(answered(&net, cores, &data, rate, seconds)?);
            }
            let answers = median(&readings);
            report.row([
                cores.to_string(),
                thousands(f64::from(rate)),
                thousands(answers),
                format!("{:.0} %", answers / f64::from(rate) * 100.0),
            ]);
            points.push((f64::from(rate) / 1000.0, answers / 1000.0));
        }
        let plural = if cores == 1 {
            ""
        } else {
            "s, one shared with the server"
        };
        series.push(Series {
            name: format!("{cores} core{plural}"),
            points,
        });
    }
    report.write(run)?;
    let axes = (
        "thousand queries sent a second",
        "thousand answers a second",
    );
    lines(
        &run.results.join("cores.svg"),
        "Answers a second by the generator's rate",
        axes,
        &series,
    )
}

/// Answers a second to so many generators that send at this rate together. The second one shares its core with the
/// server.
fn answered(net: &Net, cores: usize, data: &Data, rate: u32, seconds: u32) -> Result<f64, String> {
    let each = rate / cores as u32;
    std::thread::scope(|scope| {
        let generators = [CLIENT_CORE, SERVER_CORE].iter().enumerate().take(cores);
        let running: Vec<_> = generators
            .map(|(client, core)| {
                scope.spawn(move || generator::kxdpgun_from(net, client, core, data, each, seconds))
            })
            .collect();
        running.into_iter().try_fold(0.0, |sum, generator| {
            let ended = generator
                .join()
                .map_err(|_| "a generator panicked".to_string())?;
            Ok(sum + ended?.rate)
        })
    })
}
