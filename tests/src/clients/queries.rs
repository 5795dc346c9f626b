//! A constant load of queries to one front-end, each of which is recorded.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Recorded, TTL};
use crate::dns::{self, Answer};
use crate::history::{Entry, Query, Reply, Span};
use crate::{Frontend, Nsctl, ensure, eventually};

/// When a client gives up. A front-end says SERVFAIL before that where it cannot tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// Extended errors (RFC 8914 4.15, 4.24).
const NOT_READY: u16 = 14;
const NETWORK_ERROR: u16 = 23;

/// How many queries wait for an answer at most, so that the answers that come at once find room in the socket.
const WAITING_MAX: usize = 64;

/// How long front-ends may take to answer again after everything.
const LAST_WITHIN: Duration = Duration::from_secs(30);

/// How long the store does not change before it counts as at rest.
const STILL: Duration = Duration::from_millis(300);

/// Queries over UDP that go on until they are stopped: all RRsets and the SOA record of each zone in turn.
pub struct Queries {
    server: watch::Sender<Option<SocketAddr>>,
    tasks: JoinSet<()>,
}

impl Queries {
    /// So many queries a second for each zone. Fewer where many wait for an answer.
    pub async fn start(frontend: &Frontend, rate: u32, zones: &[Arc<Recorded>]) -> Self {
        let (server, address) = watch::channel(Some(frontend.dns));
        let mut tasks = JoinSet::new();
        for zone in zones {
            let socket = UdpSocket::bind("127.0.0.1:0").await;
            let client = Client {
                frontend: frontend.id.clone(),
                socket: socket.expect("a port of the kernel's choice"),
                questions: questions(zone),
                pending: HashMap::new(),
                sent: 0,
            };
            tasks.spawn(client.run(rate, address.clone()));
        }
        Queries { server, tasks }
    }

    /// The front-end listens there now. What it was asked before will not be answered.
    pub fn moved(&self, server: SocketAddr) {
        self.server.send_replace(Some(server));
    }

    /// Sends no more, and waits for the answers that are due.
    pub async fn stop(self) {
        self.server.send_replace(None);
        self.tasks.join_all().await;
    }
}

/// A question about a zone.
#[derive(Clone, Debug)]
struct Question {
    zone: Arc<Recorded>,
    name: String,
    rtype: Rtype,
}

fn questions(zone: &Arc<Recorded>) -> Vec<Question> {
    let question = |name: &String, rtype| Question {
        zone: zone.clone(),
        name: name.clone(),
        rtype,
    };
    let texts = zone.owners.iter().map(|owner| question(owner, Rtype::TXT));
    texts.chain([question(&zone.apex, Rtype::SOA)]).collect()
}

impl Question {
    fn record(&self, frontend: &str, start: Instant, reply: Reply, serial: Option<u32>) -> Query {
        let rrset = match self.rtype {
            Rtype::TXT => self.name.clone(),
            other => format!("{} {other}", self.name),
        };
        Query {
            frontend: frontend.into(),
            rrset,
            span: Span {
                start,
                end: Instant::now(),
            },
            reply,
            serial,
        }
    }

    /// What an answer says.
    fn read(&self, answer: &Answer) -> (Reply, Option<u32>) {
        let wrong = || (Reply::Wrong(format!("{answer:?}")), None);
        // And it says why: there is no proof, or there is nothing yet.
        let is_told = |code| answer.ede == [code];
        if answer.rcode == "SERVFAIL"
            && answer.answers.is_empty()
            && (is_told(NETWORK_ERROR) || is_told(NOT_READY))
        {
            return (Reply::ServFail, None);
        }
        if !answer.aa || answer.tc {
            return wrong();
        }
        match (&*answer.rcode, self.rtype, &answer.answers[..]) {
            ("NXDOMAIN", Rtype::TXT, []) => match self.serial(&answer.authority) {
                Some(serial) => (Reply::Absent, Some(serial)),
                None => wrong(),
            },
            ("NOERROR", Rtype::TXT, [line]) => {
                let before = format!("{}. {TTL} TXT \"", self.name);
                let text = line.strip_prefix(&before);
                match text.and_then(|text| text.strip_suffix('"')) {
                    Some(value) => (Reply::Value(value.into()), None),
                    None => wrong(),
                }
            }
            ("NOERROR", Rtype::SOA, lines) => match self.serial(lines) {
                Some(serial) => (Reply::Soa, Some(serial)),
                None => wrong(),
            },
            _ => wrong(),
        }
    }

    /// The serial in a section that is nothing but the zone's SOA record.
    fn serial(&self, section: &[String]) -> Option<u32> {
        let [line] = section else {
            return None;
        };
        let fields: Vec<&str> = line.split(' ').collect();
        let [owner, _, "SOA", _, _, serial, ..] = fields[..] else {
            return None;
        };
        let is_own = owner.strip_suffix('.') == Some(&self.zone.apex);
        serial.parse().ok().filter(|_| is_own)
    }
}

struct Client {
    frontend: String,
    socket: UdpSocket,
    questions: Vec<Question>,
    /// By id: when it was asked, and which question.
    pending: HashMap<u16, (Instant, usize)>,
    sent: usize,
}

impl Client {
    async fn run(mut self, rate: u32, server: watch::Receiver<Option<SocketAddr>>) {
        let mut stop = server.clone();
        // A sender that is gone is a stop, too.
        let stopped = async move { drop(stop.wait_for(Option::is_none).await) };
        tokio::pin!(stopped);
        let mut due = interval(Duration::from_secs(1) / rate);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; 65_535];
        loop {
            // Answers first: what has come by now is not late.
            tokio::select! {
                biased;
                () = &mut stopped => break,
                received = self.socket.recv(&mut buffer) => self.received(received, &buffer),
                _ = due.tick() => self.send(&server).await,
            }
        }
        while !self.pending.is_empty() {
            match timeout(PATIENCE, self.socket.recv(&mut buffer)).await {
                Ok(received) => self.received(received, &buffer),
                Err(_) => break,
            }
        }
        self.give_up(Duration::ZERO);
    }

    async fn send(&mut self, server: &watch::Receiver<Option<SocketAddr>>) {
        self.give_up(PATIENCE);
        if self.pending.len() >= WAITING_MAX {
            return;
        }
        // First the time: whoever moves the front-end notes that until afterwards it was down.
        let (start, server) = (Instant::now(), *server.borrow());
        let Some(server) = server else {
            return;
        };
        let (id, index) = (self.sent as u16, self.sent % self.questions.len());
        let question = &self.questions[index];
        let message = dns::query(id, &question.name, question.rtype);
        self.sent += 1;
        self.pending.insert(id, (start, index));
        // One that is not sent stays without an answer.
        let _ = self.socket.send_to(&message, server).await;
    }

    fn give_up(&mut self, patience: Duration) {
        let late = |(asked, _): &(Instant, usize)| asked.elapsed() >= patience;
        for (_, (asked, index)) in self.pending.extract_if(|_, pending| late(pending)) {
            let question = &self.questions[index];
            let query = question.record(&self.frontend, asked, Reply::Unanswered, None);
            question.zone.history().query(query);
        }
    }

    fn received(&mut self, received: std::io::Result<usize>, buffer: &[u8]) {
        // An error tells of an earlier query to a socket that is gone.
        let Ok(length) = received else {
            return;
        };
        let response = &buffer[..length];
        let id = response.first_chunk().map(|id| u16::from_be_bytes(*id));
        // Nobody waits for an answer that is that late; that it was missing is recorded.
        let Some((asked, index)) = id.and_then(|id| self.pending.remove(&id)) else {
            return;
        };
        let question = &self.questions[index];
        let (reply, serial) = match dns::parse(response) {
            Ok(answer) => question.read(&answer),
            Err(error) => (Reply::Wrong(error), None),
        };
        let query = question.record(&self.frontend, asked, reply, serial);
        question.zone.history().query(query);
    }
}

/// Asks every front-end for everything, when all writes have ended, all faults are healed, and all front-ends have
/// caught up; and etcd for what it holds. Waits only until front-ends say more than SERVFAIL.
///
/// A write whose answer was lost may still be under way. If one arrives meanwhile, everything is asked again.
pub async fn last(nsctl: &Nsctl, frontends: &[&Frontend], zones: &[Arc<Recorded>]) {
    let mut held = still(nsctl, zones).await;
    let mut queries = ask_all(frontends, zones).await;
    while held != holds(nsctl, zones).await {
        held = still(nsctl, zones).await;
        queries = ask_all(frontends, zones).await;
    }
    for ((zone, held), queries) in zones.iter().zip(held).zip(queries) {
        let entries = journal(nsctl, zone).await;
        let mut history = zone.history();
        for (owner, value) in held {
            history.held(&owner, value);
        }
        history.journal(entries);
        queries.into_iter().for_each(|query| history.last(query));
    }
}

/// The value of each RRset of a zone.
type Held = BTreeMap<String, Option<String>>;

/// What etcd holds of each zone, once that has not changed for a while. Front-ends have it then.
async fn still(nsctl: &Nsctl, zones: &[Arc<Recorded>]) -> Vec<Held> {
    loop {
        let held = holds(nsctl, zones).await;
        sleep(STILL).await;
        if held == holds(nsctl, zones).await {
            return held;
        }
    }
}

/// What etcd holds of each zone.
async fn holds(nsctl: &Nsctl, zones: &[Arc<Recorded>]) -> Vec<Held> {
    let mut all = Vec::new();
    for zone in zones {
        let listed = nsctl
            .ok(&format!("list --zone {} --type TXT", zone.apex))
            .await;
        let listed = listed.as_array().expect("a list");
        let held = zone.owners.iter().map(|owner| {
            let rrset = listed
                .iter()
                .find(|rrset| rrset["name"] == format!("{owner}."));
            let value = rrset.map(|rrset| {
                let text = rrset["rdata"][0].as_str().expect("a string");
                text.trim_matches('"').to_string()
            });
            (owner.clone(), value)
        });
        all.push(held.collect());
    }
    all
}

/// The answers of all front-ends, for each zone.
async fn ask_all(frontends: &[&Frontend], zones: &[Arc<Recorded>]) -> Vec<Vec<Query>> {
    let mut all = Vec::new();
    for zone in zones {
        let mut queries = Vec::new();
        for question in questions(zone) {
            for frontend in frontends {
                let what = format!("{} answers for {}", frontend.id, question.name);
                let query = eventually(&what, LAST_WITHIN, async || {
                    let start = Instant::now();
                    let answer = dns::udp(frontend.dns, &question.name, question.rtype).await?;
                    let (reply, serial) = question.read(&answer);
                    ensure(reply != Reply::ServFail, || format!("{answer:?}"))?;
                    Ok(question.record(&frontend.id, start, reply, serial))
                });
                queries.push(query.await);
            }
        }
        all.push(queries);
    }
    all
}

/// The changes of the recorded RRsets in the journal of a zone.
async fn journal(nsctl: &Nsctl, zone: &Recorded) -> Vec<Entry> {
    let told = nsctl
        .ok(&format!("history --zone {} --limit 1000000", zone.apex))
        .await;
    let text = |value: &Value| value.as_str().expect("a string").to_string();
    let mut entries = Vec::new();
    for told in told.as_array().expect("a list") {
        let changes = told["changes"].as_array().expect("a list").iter();
        for change in changes.filter(|change| change["type"] == "TXT") {
            let rrset = text(&change["name"]).trim_end_matches('.').to_string();
            // A test writes others to see whether all is well again.
            if !zone.owners.contains(&rrset) {
                continue;
            }
            let new = change["new"]["rdata"].as_array();
            entries.push(Entry {
                revision: told["revision"].as_i64().expect("a revision"),
                rrset,
                value: new.map(|rdata| text(&rdata[0]).trim_matches('"').into()),
            });
        }
    }
    entries
}
