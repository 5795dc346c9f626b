//! A generator that sends at a steady rate, whether answers come or not, and measures how long each takes. Busy all
//! the time: a core of its own is what makes the latencies those of the server.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tests::dns;

use crate::report::percentile;

/// How long the last answers are waited for.
const DRAIN: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Options {
    /// Servers to ask in turn.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<SocketAddr>,
    /// Queries a second in all.
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    seconds: f64,
    /// Questions: name and type a line.
    #[arg(long)]
    queries: PathBuf,
}

/// A socket, and when which question was sent on it with each id.
struct Lane {
    socket: UdpSocket,
    sent: Vec<Option<(Instant, usize)>>,
    next: u16,
}

#[derive(Default)]
struct Tally {
    sent: u64,
    unsent: u64,
    wrong: u64,
    micros: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.queries)
        .map_err(|error| format!("cannot read {}: {error}", options.queries.display()))?;
    let questions: Vec<(Vec<u8>, u8)> = text.lines().filter_map(question).collect();
    let lane = |server: &SocketAddr| -> std::io::Result<Lane> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(Lane {
            socket,
            sent: vec![None; 1 << 16],
            next: 0,
        })
    };
    let lanes: std::io::Result<Vec<Lane>> = options.servers.iter().map(lane).collect();
    let mut lanes = lanes.map_err(|error| error.to_string())?;
    let total = (options.rate * options.seconds) as u64;
    let mut tally = Tally::default();
    let start = Instant::now();
    let mut number = 0;
    while number < total {
        let due = ((start.elapsed().as_secs_f64() * options.rate) as u64).min(total);
        // A pause of the generator is made up for, but not all at once.
        let end = due.min(number + 16);
        while number < end {
            let lane = number as usize % lanes.len();
            lanes[lane].send(&questions, number as usize % questions.len(), &mut tally);
            number += 1;
        }
        lanes
            .iter_mut()
            .for_each(|lane| lane.receive(&questions, &mut tally));
    }
    let end = Instant::now() + DRAIN;
    while Instant::now() < end {
        lanes
            .iter_mut()
            .for_each(|lane| lane.receive(&questions, &mut tally));
    }
    let took = (start.elapsed() - DRAIN).as_secs_f64();
    tally.micros.sort_by(f64::total_cmp);
    let at = |share| percentile(&tally.micros, share);
    let answered = tally.micros.len();
    let json = json!({
        "sent": tally.sent, "unsent": tally.unsent, "answered": answered, "wrong": tally.wrong,
        "answers_per_second": answered as f64 / took,
        "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999),
    });
    println!("{json}");
    Ok(())
}

/// A query, and the code that it is to be answered with.
fn question(line: &str) -> Option<(Vec<u8>, u8)> {
    let (name, rtype) = line.split_once(' ')?;
    let rtype = rtype.split(' ').next()?.parse().ok()?;
    Some((
        dns::query(0, name, rtype),
        if name.starts_with("no") { 3 } else { 0 },
    ))
}

impl Lane {
    fn send(&mut self, questions: &[(Vec<u8>, u8)], index: usize, tally: &mut Tally) {
        let octets = &questions[index].0;
        let mut query = [0; 512];
        let query = &mut query[..octets.len()];
        query.copy_from_slice(octets);
        query[..2].copy_from_slice(&self.next.to_be_bytes());
        self.sent[usize::from(self.next)] = Some((Instant::now(), index));
        self.next = self.next.wrapping_add(1);
        match self.socket.send(query) {
            Ok(_) => tally.sent += 1,
            Err(_) => tally.unsent += 1,
        }
    }

    fn receive(&mut self, questions: &[(Vec<u8>, u8)], tally: &mut Tally) {
        let mut response = [0; 4096];
        while let Ok(len) = self.socket.recv(&mut response) {
            let Some(&[a, b, _, flags]) = response[..len].first_chunk() else {
                tally.wrong += 1;
                continue;
            };
            let id = usize::from(u16::from_be_bytes([a, b]));
            // An answer so late that its id is another question's counts as none.
            let Some((sent, index)) = self.sent[id] else {
                continue;
            };
            let (query, rcode) = &questions[index];
            // Behind the header, up to the OPT record of 11 octets.
            let question = &query[12..query.len() - 11];
            if response[12..len.max(12)].starts_with(question) {
                self.sent[id] = None;
                tally.micros.push(sent.elapsed().as_secs_f64() * 1e6);
                tally.wrong += u64::from(flags & 15 != *rcode);
            }
        }
    }
}
