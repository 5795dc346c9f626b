//! What access lists, rate limits and cookies cost: answers a second at overload, with some of them and with all.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use tests::TempDir;

use crate::Run;
use crate::data::{Data, ZONE};
use crate::forge;
use crate::generator::{self, OVERLOAD};
use crate::net::{self, CLIENT_CORE, CLIENT_INTERFACE, Net, SERVER_CORE, Side};
use crate::report::{Report, median, thousands};
use crate::server;
use crate::store::{self, Store};

/// Whom the queries come from.
const CLIENT: &str = "100.64.200.53";

/// The generator of the queries, and where the responses go: each has an interface of its own.
const QUERIES: usize = 0;
const RESPONSES: usize = 1;

/// Entries of each list.
const PREFIXES: usize = 100;

struct Setting {
    name: &'static str,
    has_lists: bool,
    has_limits: bool,
    has_cookies: bool,
    /// Whether the queries have a cookie. It is a valid one where the server checks it.
    asks_with_cookie: bool,
}

const SETTINGS: [Setting; 6] = [
    setting("nothing", [false, false, false, false]),
    setting("access lists", [true, false, false, false]),
    setting("rate limits", [false, true, false, false]),
    setting(
        "all of them, no cookie in the query",
        [true, true, true, false],
    ),
    setting(
        "nothing, a cookie in the query",
        [false, false, false, true],
    ),
    setting(
        "all of them, a valid cookie in the query",
        [true, true, true, true],
    ),
];

const fn setting(name: &'static str, on: [bool; 4]) -> Setting {
    let [has_lists, has_limits, has_cookies, asks_with_cookie] = on;
    Setting {
        name,
        has_lists,
        has_limits,
        has_cookies,
        asks_with_cookie,
    }
}

#[derive(Default)]
struct Readings {
    rate: Vec<f64>,
    user: Vec<f64>,
}

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let rounds = run.pick(7, 1);
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 2)?;
    let _store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    forge::route(&net, RESPONSES)?;
    let router = net::address_for(RESPONSES, 0);
    let route = format!("ip route add {} via {router}", net::address_for(QUERIES, 0));
    net.shell(Side::Client(RESPONSES), &route)?;
    let mut all = SETTINGS.map(|setting| (setting, Readings::default()));
    for _ in 0..rounds {
        for (setting, readings) in &mut all {
            let options = setting.options();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let listen = format!("{}:53", net::address_for(QUERIES, 0));
            let folder = TempDir::new();
            let server = server::ours(&net, "1", SERVER_CORE, &[&listen], 9053, &options, folder)?;
            let cookie = setting
                .asks_with_cookie
                .then(|| setting.cookie(&net))
                .transpose()?;
            let before = Counters::read(&net)?;
            measure(run, &net, &data, &server, cookie.as_deref(), readings)
                .and_then(|()| setting.check(run, &before, &Counters::read(&net)?))
                .map_err(|error| format!("{}: {error}: {}", setting.name, server.log()))?;
        }
    }
    report(run, &all)
}

impl Setting {
    fn options(&self) -> Vec<String> {
        let mut options = vec!["--cookies".into(), self.has_cookies.to_string()];
        if self.has_lists {
            for (option, first) in [
                ("--allow-query", "100.64.0.0/16,10.0.0.0/8"),
                ("--deny-query", "198.18.0.0/16"),
            ] {
                let list = (1..PREFIXES).fold(first.to_string(), |mut list, index| {
                    write!(list, ",192.0.{index}.0/24").expect("a string takes it");
                    list
                });
                options.extend([option.into(), list]);
            }
        }
        if self.has_limits {
            options.extend(server::rate_limits("10000").map(String::from));
            // All is counted, and nothing dropped.
            options.push("--rrl-log-only".into());
        }
        options
    }

    /// Whether the server did what the row says.
    fn check(&self, run: &Run, before: &Counters, after: &Counters) -> Result<(), String> {
        let responses = after.responses - before.responses;
        if after.expected - before.expected < responses * 0.999 {
            return Err("wrong answers".into());
        }
        // NXDOMAIN is over its limit, if as many queries are answered as in a reading; a valid cookie exempts from it.
        let is_over = after.over_limits > before.over_limits;
        let is_limited = self.has_limits && !self.asks_with_cookie;
        if is_over && !is_limited || !is_over && is_limited && !run.quick {
            return Err(format!("limits were reached: {is_over}"));
        }
        Ok(())
    }

    /// A cookie of the server for the client, or any cookie if it has none.
    fn cookie(&self, net: &Net) -> Result<String, String> {
        if !self.has_cookies {
            return Ok("0102030405060708".into());
        }
        let side = Side::Client(RESPONSES);
        // The client has this address only for this question: afterwards nobody takes the responses.
        let address = |action| {
            net.shell(
                side,
                &format!("ip addr {action} {CLIENT}/32 dev {CLIENT_INTERFACE}"),
            )
        };
        address("add")?;
        let server = format!("@{}", net::address_for(QUERIES, 0));
        let args = [
            "-b",
            CLIENT,
            &server,
            "+cookie",
            &format!("ns1.{ZONE}"),
            "A",
        ];
        let text = net.run(side, CLIENT_CORE, Path::new("dig"), &args)?;
        address("del")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("; COOKIE: "));
        let cookie = line.and_then(|line| line.strip_suffix(" (good)"));
        Ok(cookie.ok_or(text.clone())?.to_string())
    }
}

/// What a front-end has counted.
struct Counters {
    responses: f64,
    /// Those with records, or for names that are not there.
    expected: f64,
    over_limits: f64,
}

impl Counters {
    fn read(net: &Net) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let args = ["fetch", "127.0.0.1:9053", "/metrics"];
        let text = net.run(Side::Server, CLIENT_CORE, &program, &args)?;
        let sum = |start: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(start));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            values.sum::<f64>()
        };
        Ok(Counters {
            responses: sum("nsd_responses_total{"),
            expected: sum("nsd_responses_total{rcode=\"NOERROR\"")
                + sum("nsd_responses_total{rcode=\"NXDOMAIN\""),
            over_limits: sum("nsd_rrl_would_total"),
        })
    }
}

fn measure(
    run: &Run,
    net: &Net,
    data: &Data,
    server: &server::Server,
    cookie: Option<&str>,
    readings: &mut Readings,
) -> Result<(), String> {
    let seconds = run.pick(3, 1);
    let Some(cookie) = cookie else {
        // As in the table beside other servers.
        generator::kxdpgun(net, data, 100_000, 1)?;
        let cpu = server.cpu();
        let overload = generator::kxdpgun(net, data, OVERLOAD, seconds)?;
        let used = server.cpu().user - cpu.user;
        if overload.answers < 1.0 {
            return Err("no answers".into());
        }
        readings.rate.push(overload.rate);
        readings.user.push(used / overload.answers * 1e6);
        return Ok(());
    };
    let address = CLIENT.parse().map_err(|_| "no address")?;
    let mut generator = forge::start(net, QUERIES, &data.plain, Some((address, cookie)))?;
    std::thread::sleep(Duration::from_secs(1));
    let (before, cpu, started) = (net.traffic()?, server.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds.into()));
    let (after, cpu_after, took) = (net.traffic()?, server.cpu(), started.elapsed());
    generator.check()?;
    drop(generator);
    let answers = after.sent.packets - before.sent.packets;
    let queries = after.received.packets - before.received.packets;
    if queries < answers * 1.02 && !run.quick {
        return Err("the generator is the limit".into());
    }
    readings.rate.push(answers / took.as_secs_f64());
    readings
        .user
        .push((cpu_after.user - cpu.user) / answers * 1e6);
    Ok(())
}

fn report(run: &Run, all: &[(Setting, Readings)]) -> Result<(), String> {
    let columns = ["switched on", "answers/s", "of nothing", "user us"];
    let title = "What access lists, rate limits and cookies cost";
    let mut report = Report::new("policy", title, &columns);
    // The base of each: what is asked in the same way, with nothing switched on.
    let base = |asks_with_cookie| {
        let base = all
            .iter()
            .find(|(setting, _)| setting.asks_with_cookie == asks_with_cookie);
        base.map_or(f64::NAN, |(_, readings)| median(&readings.rate))
    };
    for (setting, readings) in all {
        let rate = median(&readings.rate);
        report.row([
            setting.name.to_string(),
            thousands(rate),
            format!("{:.1} %", rate / base(setting.asks_with_cookie) * 100.0),
            format!("{:.2}", median(&readings.user)),
        ]);
    }
    report.note(format!(
        "Overload over UDP by one client; one core for the server. Queries without cookies by kxdpgun, as in `peers`; those with cookies by our \
         own generator, whose answers cost the kernel less. {PREFIXES} prefixes in an allow and in a deny list. Rate limits count all \
         responses and drop none."
    ));
    report.write(run)
}
