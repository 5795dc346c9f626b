//! Generators: kxdpgun for overload, dnsperf for TCP, our own for latency.

use std::path::Path;

use serde_json::Value;
use tests::encrypted::Certificate;

use crate::data::Data;
use crate::net::{CLIENT_CORE, CLIENT_INTERFACE, Net, Side, address_for};

/// More than any server here answers.
pub(crate) const OVERLOAD: u32 = 1_000_000;

/// What came of an overload.
#[derive(Clone, Copy)]
pub(crate) struct Overload {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Answers.
    pub(crate) answers: f64,
    /// Answers with this code: NOERROR, NXDOMAIN.
    pub(crate) codes: [f64; 2],
}

/// Sends at a rate over AF_XDP, which costs the generator's core little, and counts answers.
pub(crate) fn kxdpgun(net: &Net, data: &Data, rate: u32, seconds: u32) -> Result<Overload, String> {
    kxdpgun_from(net, 0, CLIENT_CORE, data, rate, seconds)
}

/// The same from one of several generators, on a core.
pub(crate) fn kxdpgun_from(
    net: &Net,
    client: usize,
    core: &str,
    data: &Data,
    rate: u32,
    seconds: u32,
) -> Result<Overload, String> {
    let (rate, seconds_text) = (rate.to_string(), seconds.to_string());
    let queries = data.queries.to_str().ok_or("a path that is no text")?;
    let run = || {
        net.run(
            Side::Client(client),
            core,
            // It tells on standard error.
            Path::new("sh"),
            &[
                "-c",
                "kxdpgun \"$@\" 2>&1 || true",
                "sh",
                "-t",
                &seconds_text,
                "-Q",
                &rate,
                "-F",
                core,
                "-I",
                CLIENT_INTERFACE,
                "-i",
                queries,
                &address_for(client, 0),
            ],
        )
    };
    // What the generator before had of the interface may take a moment to be free.
    let mut text = run()?;
    for _ in 0..40 {
        if !text.contains("resource is busy") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
        text = run()?;
    }
    let number = |label: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(label));
        let digits = line
            .and_then(|line| line.split_once(':'))
            .map(|(_, rest)| rest.trim());
        digits
            .and_then(|digits| digits.split(' ').next())
            .and_then(|digits| digits.parse::<f64>().ok())
    };
    let answers = number("total replies").ok_or_else(|| format!("kxdpgun says: {text}"))?;
    Ok(Overload {
        rate: answers / f64::from(seconds),
        answers,
        codes: [
            number("responded NOERROR").unwrap_or(0.0),
            number("responded NXDOMAIN").unwrap_or(0.0),
        ],
    })
}

/// Queries over a transport (tcp, dot or doh), many on each of 20 connections; queries answered a second.
pub(crate) fn dnsperf(
    net: &Net,
    mode: &str,
    address: &str,
    data: &Data,
    seconds: u32,
) -> Result<f64, String> {
    let seconds = seconds.to_string();
    let queries = data.plain.to_str().ok_or("a path that is no text")?;
    let text = net.run(
        Side::Client(0),
        CLIENT_CORE,
        Path::new("dnsperf"),
        &[
            "-m", mode, "-s", address, "-d", queries, "-l", &seconds, "-c", "20", "-q", "1000",
            "-e",
        ],
    )?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Queries per second:"));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| format!("dnsperf says: {text}"))
}

/// One query over HTTPS again and again, many on each of 20 connections; queries answered a second. dnsperf loses
/// responses of which several come in one TLS record.
pub(crate) fn h2load(net: &Net, address: &str, query: &Path, count: u32) -> Result<f64, String> {
    let (count, query) = (count.to_string(), query.display().to_string());
    let url = format!("https://{address}/dns-query");
    let kind = "content-type: application/dns-message";
    // For a number of queries: when it is to end after a time, it often does not, with BIND.
    let args = [
        "60", "h2load", "-n", &count, "-c", "20", "-m", "20", "-t", "1", "-d", &query, "-H", kind,
        &url,
    ];
    let text = net.run(Side::Client(0), CLIENT_CORE, Path::new("timeout"), &args)?;
    // "finished in 5.00s, 12345.67 req/s, 1.23MB/s"
    let rate = text.lines().find_map(|line| {
        let rate = line.strip_prefix("finished in ")?.split(", ").nth(1)?;
        rate.strip_suffix(" req/s")?.parse().ok()
    });
    let all_succeeded = text.contains(" 0 failed, 0 errored, 0 timeout");
    rate.filter(|_| all_succeeded)
        .ok_or_else(|| format!("h2load says: {text}"))
}

/// One query over QUIC again and again, each on a stream of its own; queries answered a second.
pub(crate) fn quic(
    net: &Net,
    address: &str,
    certificate: &Certificate,
    seconds: u32,
) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (server, seconds) = (format!("{address}:853"), seconds.to_string());
    let certificate = certificate.certificate.display().to_string();
    let args = [
        "quic",
        "--server",
        &server,
        "--certificate",
        &certificate,
        "--seconds",
        &seconds,
    ];
    let text = net.run(Side::Client(0), CLIENT_CORE, &program, &args)?;
    let rate = text.trim().parse();
    rate.map_err(|_| format!("it says: {text}"))
}

/// What came of a steady load.
#[derive(Clone, Copy)]
pub(crate) struct Steady {
    /// The share of the queries that stayed without an answer.
    pub(crate) lost: f64,
    /// Answers with another code than expected.
    pub(crate) wrong: u64,
    /// Answers a second.
    pub(crate) rate: f64,
    /// Latency in microseconds: p50, p99, p99.9.
    pub(crate) micros: [f64; 3],
}

/// Sends at a rate, and measures latency.
pub(crate) fn steady(
    net: &Net,
    servers: &str,
    data: &Data,
    rate: f64,
    seconds: u32,
) -> Result<Steady, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (rate, seconds) = (rate.to_string(), seconds.to_string());
    let queries = data.plain.to_str().ok_or("a path that is no text")?;
    let args = [
        "load",
        "--servers",
        servers,
        "--rate",
        &rate,
        "--seconds",
        &seconds,
        "--queries",
        queries,
    ];
    let text = net.run(Side::Client(0), CLIENT_CORE, &program, &args)?;
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let number = |key: &str| json[key].as_f64().unwrap_or(f64::NAN);
    Ok(Steady {
        lost: 1.0 - number("answered") / (number("sent") + number("unsent")),
        wrong: json["wrong"].as_u64().unwrap_or(0),
        rate: number("answers_per_second"),
        micros: [number("p50_us"), number("p99_us"), number("p999_us")],
    })
}
