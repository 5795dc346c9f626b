//! A flood of queries with forged addresses, and clients beside it whose networks it pretends to be: how many of their
//! queries are answered, what the flood gets for its octets, and the memory that the server takes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use domain::base::iana::Rtype;
use serde_json::{Value, json};
use tests::dns;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::Run;
use crate::data::{ATTACKED, Data, ZONE};
use crate::forge;
use crate::generator;
use crate::net::{self, CLIENT_CORE, CLIENT_INTERFACE, Net, Side};
use crate::report::{Report, median, percentile, thousands};
use crate::server::{self, Kind};
use crate::store::{self, Store};

/// The generator of the flood, and that of the clients: each has an interface of its own.
const FLOOD: usize = 0;
const CLIENTS: usize = 1;

/// Networks with clients, of those that the flood pretends to come from: one client without and one with cookies each.
const NETWORKS: u8 = 32;

/// Queries a second of each client.
const RATE: f64 = 10.0;

/// How often a client sends a query over UDP: Unbound's default.
const TRIES: usize = 5;

/// How long it waits each time.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long it waits over TCP.
const TCP_PATIENCE: Duration = Duration::from_secs(2);

/// The readings of one server with one setting.
#[derive(Default)]
struct Readings {
    queries: Vec<f64>,
    amplification: Vec<f64>,
    answered: [Vec<f64>; 2],
    over_tcp: [Vec<f64>; 2],
    p99_ms: [Vec<f64>; 2],
    memory: Vec<f64>,
    growth: Vec<f64>,
}

pub(crate) fn run(run: &Run) -> Result<(), String> {
    let (rounds, seconds) = run.pick((3, 10), (1, 2));
    let data = Data::mixed(run.pick(100_000, 1_000));
    let net = Net::new(1, 2)?;
    let store = Store::start(&net, CLIENT_CORE)?;
    store::import(&net, &data.zone)?;
    forge::route(&net, CLIENTS)?;
    // The clients ask at the address that is flooded.
    let (address, router) = (net::address_for(FLOOD, 0), net::address_for(CLIENTS, 0));
    let addresses = format!(
        "ip route add {address} via {router} && for n in $(seq 0 {}); do \
         for h in 53 54; do ip addr add 100.64.$n.$h/32 dev {CLIENT_INTERFACE}; done; done",
        NETWORKS - 1
    );
    net.shell(Side::Client(CLIENTS), &addresses)?;

    let mut all = Vec::new();
    for kind in [Kind::Ours, Kind::Knot, Kind::Bind] {
        match kind.version() {
            Some(version) => {
                all.extend([false, true].map(|on| (kind, on, version.clone(), Readings::default())))
            }
            None => println!("skipped, as it is not installed: {}", kind.label()),
        }
    }
    for _ in 0..rounds {
        for (kind, is_limiting, _, readings) in &mut all {
            store.thaw();
            let server = server::start_limiting(*kind, *is_limiting, &net, &data)?;
            if *kind != Kind::Ours {
                store.freeze();
            }
            let amplification = measure(&net, &data, &server, seconds, readings)
                .map_err(|error| format!("{}: {error}: {}", kind.label(), server.log()))?;
            if !*is_limiting && amplification < 1.0 && !run.quick {
                return Err("the flood is not answered: is it dropped on its way?".into());
            }
        }
    }
    report(run, &all)
}

fn measure(
    net: &Net,
    data: &Data,
    server: &server::Server,
    seconds: u32,
    readings: &mut Readings,
) -> Result<f64, String> {
    // Everything has been asked for once before the memory is read.
    generator::kxdpgun(net, data, 100_000, 1)?;
    let memory = server.memory();
    let mut flood = forge::start(net, FLOOD, &data.attack, None)?;
    std::thread::sleep(Duration::from_secs(1));
    let (before, started) = (net.traffic()?, Instant::now());
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let address = format!("{}:53", net::address_for(FLOOD, 0));
    let seconds = seconds.to_string();
    let args = ["clients", "--server", &address, "--seconds", &seconds];
    let text = net.run(Side::Client(CLIENTS), CLIENT_CORE, &program, &args)?;
    let (after, took) = (net.traffic()?, started.elapsed().as_secs_f64());
    let memory_after = server.memory();
    flood.check()?;
    drop(flood);
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let queries = after.received.packets - before.received.packets;
    let received = after.received.octets - before.received.octets;
    let amplification = (after.sent.octets - before.sent.octets) / received;
    readings.queries.push(queries / took);
    readings.amplification.push(amplification);
    for (index, kind) in ["without", "with"].into_iter().enumerate() {
        let number = |key: &str| json[kind][key].as_f64().unwrap_or(f64::NAN);
        readings.answered[index].push(number("answered") / number("asked"));
        readings.over_tcp[index].push(number("over_tcp") / number("asked"));
        readings.p99_ms[index].push(number("p99_ms"));
    }
    readings.memory.push(memory_after);
    readings.growth.push(memory_after - memory);
    Ok(amplification)
}

fn report(run: &Run, all: &[(Kind, bool, String, Readings)]) -> Result<(), String> {
    let mut report = Report::new(
        "flood",
        "Clients beside a flood of queries with forged addresses",
        &[
            "server",
            "limits",
            "forged queries/s",
            "octets out per octet in",
            "no cookies: answered",
            "over TCP",
            "p99",
            "cookies: answered",
            "over TCP ",
            "p99 ",
            "memory after",
            "growth",
        ],
    );
    for (kind, is_limiting, version, readings) in all {
        let percent = |values: &[f64]| format!("{:.1} %", median(values) * 100.0);
        let mib = |values: &[f64]| format!("{:.0} MiB", median(values) / f64::from(1 << 20));
        let mut row = vec![
            format!("{} {version}", kind.label()),
            (if *is_limiting { "on" } else { "off" }).to_string(),
            thousands(median(&readings.queries)),
            format!("{:.2}", median(&readings.amplification)),
        ];
        for index in 0..2 {
            row.push(percent(&readings.answered[index]));
            row.push(percent(&readings.over_tcp[index]));
            row.push(format!("{:.0} ms", median(&readings.p99_ms[index])));
        }
        row.extend([mib(&readings.memory), mib(&readings.growth)]);
        report.row(row);
    }
    report.note(format!(
        "The flood comes from {}, half of it for {ATTACKED} TXT, of 1,100 octets, the other half for names that are not there. \
         Limits: {} responses of a kind a second for each /24, every second one over the limit sent truncated.",
        forge::NETWORKS,
        server::LIMIT
    ));
    report.note(format!(
        "Clients: {NETWORKS} of the 256 networks have one without and one with cookies. Each sends {RATE} queries a second, half \
         of them for what is attacked. It sends a query up to {TRIES} times, as Unbound does by default, waits {PATIENCE:?} each time, and goes \
         on over TCP if told to. p99 is of what is answered."
    ));
    report.note("Octets are counted on the interfaces, those of the clients among them, and those of queries that a server is too slow to take. One core for the server, one for flood, clients and their kernel.");
    report.write(run)
}

#[derive(Args)]
pub(crate) struct Options {
    /// The server to ask.
    #[arg(long)]
    server: SocketAddr,
    #[arg(long)]
    seconds: u32,
}

/// What came of the queries of some clients.
#[derive(Default)]
struct Tally {
    asked: u64,
    answered: u64,
    over_tcp: u64,
    millis: Vec<f64>,
}

/// The clients: prints what came of their queries.
pub(crate) fn clients(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let end = Instant::now() + Duration::from_secs(options.seconds.into());
    let server = options.server;
    let [without, with] = runtime.block_on(async {
        let spawn = |has_cookies: bool| {
            let clients = (0..NETWORKS).map(move |network| Client {
                server,
                source: Ipv4Addr::new(100, 64, network, 53 + u8::from(has_cookies)).into(),
                cookie: Mutex::new(has_cookies.then(|| fastrand::u64(..).to_ne_bytes().to_vec())),
            });
            clients
                .map(|client| tokio::spawn(Arc::new(client).run(end)))
                .collect::<Vec<_>>()
        };
        let mut tallies = [Tally::default(), Tally::default()];
        for (tally, clients) in tallies.iter_mut().zip([spawn(false), spawn(true)]) {
            for client in clients {
                for outcome in client.await.map_err(|error| error.to_string())? {
                    tally.add(&outcome?);
                }
            }
        }
        Ok::<_, String>(tallies)
    })?;
    let told = |mut tally: Tally| {
        tally.millis.sort_by(f64::total_cmp);
        json!({
            "asked": tally.asked, "answered": tally.answered, "over_tcp": tally.over_tcp,
            "p99_ms": percentile(&tally.millis, 0.99),
        })
    };
    println!(
        "{}",
        json!({ "without": told(without), "with": told(with) })
    );
    Ok(())
}

/// What came of one query: how long it took and whether that was over TCP; `None` if it was not answered.
type Outcome = Option<(Duration, bool)>;

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        self.asked += 1;
        if let Some((took, is_over_tcp)) = outcome {
            self.answered += 1;
            self.over_tcp += u64::from(*is_over_tcp);
            self.millis.push(took.as_secs_f64() * 1e3);
        }
    }
}

/// A client with an address of its own, which asks as resolvers do.
struct Client {
    server: SocketAddr,
    source: IpAddr,
    /// Its own cookie, and behind it the server's once it has one.
    cookie: Mutex<Option<Vec<u8>>>,
}

impl Client {
    /// Asks at its rate, whether answers come or not.
    async fn run(self: Arc<Self>, end: Instant) -> Vec<Result<Outcome, String>> {
        let period = Duration::from_secs_f64(1.0 / RATE);
        // Not all at once.
        let mut due = Instant::now() + period.mul_f64(fastrand::f64());
        let (mut queries, mut is_attacked) = (JoinSet::new(), false);
        while due < end {
            sleep_until(due.into()).await;
            queries.spawn(self.clone().ask(due, is_attacked));
            is_attacked = !is_attacked;
            due += period;
        }
        queries.join_all().await
    }

    /// Asks until there is an answer.
    async fn ask(self: Arc<Self>, due: Instant, is_attacked: bool) -> Result<Outcome, String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.source);
        let socket = UdpSocket::bind((self.source, 0)).await.map_err(told)?;
        socket.connect(self.server).await.map_err(told)?;
        for _ in 0..TRIES {
            let query = self.query(is_attacked);
            // A full queue is as good as a lost query.
            let _ = socket.send(&query).await;
            let Ok(response) = timeout(PATIENCE, response(&socket, &query[..2])).await else {
                continue;
            };
            self.learn(&response);
            let Ok(answer) = dns::parse(&response) else {
                continue;
            };
            let answered = |answer: dns::Answer, is_over_tcp| {
                let is_answer = !answer.answers.is_empty();
                is_answer.then(|| (due.elapsed(), is_over_tcp))
            };
            if answer.tc {
                let query = self.query(is_attacked);
                let asked = timeout(TCP_PATIENCE, self.over_tcp(&query)).await;
                return Ok(match asked {
                    Ok(Ok(answer)) => answered(answer, true),
                    _ => None,
                });
            }
            // With a wrong cookie it has got a new one by now.
            if let Some(answered) = answered(answer, false) {
                return Ok(Some(answered));
            }
        }
        Ok(None)
    }

    fn cookie(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn query(&self, is_attacked: bool) -> Vec<u8> {
        let id = fastrand::u16(..);
        let mut query = match is_attacked {
            true => dns::query(id, ATTACKED, Rtype::TXT),
            false => dns::query(id, &format!("ns1.{ZONE}"), Rtype::A),
        };
        if let Some(cookie) = &*self.cookie() {
            forge::add_cookie(&mut query, cookie);
        }
        query
    }

    /// Takes the server's cookie from a response: it is behind the client's.
    fn learn(&self, response: &[u8]) {
        if let Some(cookie) = &mut *self.cookie()
            && let Some(at) = response
                .windows(8)
                .position(|octets| octets == &cookie[..8])
            && let Some(both) = response.get(at..at + 24)
        {
            *cookie = both.to_vec();
        }
    }

    async fn over_tcp(&self, query: &[u8]) -> Result<dns::Answer, String> {
        let exchange = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((self.source, 0).into())?;
            let mut stream = socket.connect(self.server).await?;
            dns::send_framed(&mut stream, query).await?;
            dns::receive_framed(&mut stream).await
        };
        dns::parse(&exchange.await.map_err(|error| error.to_string())?)
    }
}

/// The response with this id.
async fn response(socket: &UdpSocket, id: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    loop {
        if let Ok(len) = socket.recv(&mut buffer).await
            && buffer[..len].starts_with(id)
        {
            return buffer[..len].to_vec();
        }
    }
}
