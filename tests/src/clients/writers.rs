//! Writers that record what came of each write.
//!
//! Each zone has two kinds of writers, which all write the same RRsets. One kind writes as `nsctl` does, which reads,
//! plans, and tries again where an answer was lost. The other one sends one transaction without comparisons, once, and keeps no
//! journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd::client::{ChangeError, Config, Store};
use etcd::model::Change;
use etcd::model::{Name, Rdata, Rtype};
use etcd::schema::{Key, Prefix};
use etcd_client::{Client, ConnectOptions, Txn, TxnOp};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Recorded, TTL};
use crate::history::{Outcome, Span, Write};
use crate::{ensure, eventually};

/// How long a write may take. That of one member for an answer is a part of it.
const WRITE: Duration = Duration::from_secs(3);
const MEMBER: Duration = Duration::from_secs(1);

/// How many writers of each kind a zone has.
pub const EACH: usize = 2;

/// One write of so many removes the RRset.
const REMOVES: usize = 6;

/// Writers that go on until they are stopped.
pub struct Writers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    /// How many writes of each writer.
    acknowledged: Vec<Arc<AtomicUsize>>,
}

impl Writers {
    /// Four writers for each zone, each with a pause of this length on average after each write.
    pub async fn start(
        endpoints: &[String],
        zones: &[Arc<Recorded>],
        pause: Duration,
        seed: u64,
    ) -> Self {
        Self::start_as(None, endpoints, zones, pause, seed).await
    }

    /// The same with a user, as `NAME:PASSWORD`.
    pub async fn start_as(
        user: Option<&str>,
        endpoints: &[String],
        zones: &[Arc<Recorded>],
        pause: Duration,
        seed: u64,
    ) -> Self {
        let mut writers = Writers {
            tasks: JoinSet::new(),
            stop: Arc::default(),
            acknowledged: Vec::new(),
        };
        for zone in zones {
            for index in 0..2 * EACH {
                let number = writers.tasks.len();
                // Each one begins with another member.
                let mut endpoints = endpoints.to_vec();
                let first = number % endpoints.len();
                endpoints.rotate_left(first);
                let config = Config {
                    user: user.and_then(|user| user.split_once(':')).map(owned),
                    request_timeout: MEMBER,
                    ..Config::new(endpoints)
                };
                let way = match index < EACH {
                    true => Way::Planned(Store::new(config, Prefix::default(), WRITE)),
                    false => Way::at_once(config, zone).await,
                };
                let acknowledged: Arc<AtomicUsize> = Arc::default();
                writers.acknowledged.push(acknowledged.clone());
                let writer = Writer {
                    number,
                    zone: zone.clone(),
                    way,
                    random: fastrand::Rng::with_seed(seed.wrapping_add(number as u64)),
                    acknowledged,
                };
                writers.tasks.spawn(writer.run(pause, writers.stop.clone()));
            }
        }
        writers
    }

    /// Waits until so many more writes of each writer are acknowledged.
    pub async fn more(&self, each: usize, limit: Duration) {
        let before = self.acknowledged();
        eventually("more writes are acknowledged", limit, async || {
            let now = self.acknowledged();
            let all_have = before
                .iter()
                .zip(&now)
                .all(|(before, now)| now - before >= each);
            ensure(all_have, || format!("{before:?}, then {now:?}"))
        })
        .await;
    }

    fn acknowledged(&self) -> Vec<usize> {
        let counts = self.acknowledged.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Writes no more, and waits for what is under way.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

fn owned((name, password): (&str, &str)) -> (String, String) {
    (name.into(), password.into())
}

struct Writer {
    number: usize,
    zone: Arc<Recorded>,
    way: Way,
    random: fastrand::Rng,
    acknowledged: Arc<AtomicUsize>,
}

impl Writer {
    async fn run(mut self, pause: Duration, stop: Arc<AtomicBool>) {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let owner = self.random.usize(..self.zone.owners.len());
            let owner = self.zone.owners[owner].clone();
            let removes = self.random.usize(..REMOVES) == 0;
            let value = (!removes).then(|| format!("w{}-{number}", self.number));
            let start = Instant::now();
            let name: Name = owner.parse().expect("a name");
            let outcome = self.way.write(&name, value.as_deref()).await;
            if matches!(outcome, Outcome::Acknowledged(_)) {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            let span = Span {
                start,
                end: Instant::now(),
            };
            self.zone.history().write(Write {
                rrset: owner,
                value,
                span,
                outcome,
                is_recorded: matches!(self.way, Way::Planned(_)),
            });
            sleep(pause.mul_f64(2.0 * self.random.f64())).await;
        }
    }
}

/// How a writer writes.
enum Way {
    /// Reads, plans, commits; and again.
    Planned(Store),
    /// Commits, once.
    AtOnce(Box<AtOnce>),
}

impl Way {
    async fn at_once(config: Config, zone: &Recorded) -> Self {
        let store = Store::new(config.clone(), Prefix::default(), WRITE);
        let apex: Name = zone.apex.parse().expect("a name");
        let (_, read) = store.zone(&apex).await.expect("etcd answers");
        let way = AtOnce {
            config,
            client: None,
            apex,
            generation: read.expect("the zone is there").settings.generation,
        };
        Way::AtOnce(Box::new(way))
    }

    async fn write(&mut self, owner: &Name, value: Option<&str>) -> Outcome {
        match self {
            Way::Planned(store) => planned(store, owner, value).await,
            Way::AtOnce(way) => way.write(owner, value).await,
        }
    }
}

async fn planned(store: &Store, owner: &Name, value: Option<&str>) -> Outcome {
    let change = match value {
        Some(value) => Change::Set {
            rtype: Rtype::TXT,
            ttl: Some(TTL),
            rdata: vec![Rdata::parse(Rtype::TXT, value).expect("a string")],
        },
        None => Change::Remove {
            rtype: Some(Rtype::TXT),
            rdata: Vec::new(),
        },
    };
    match store.change(owner, None, &change).await {
        Ok(changed) if changed.written => Outcome::Acknowledged(Some(changed.revision)),
        // The revision is one at which it was so already.
        Ok(_) => Outcome::Acknowledged(None),
        Err(ChangeError::Unknown(_)) => Outcome::Unknown,
        Err(_) => Outcome::Refused,
    }
}

/// A client of one member after the other.
struct AtOnce {
    config: Config,
    client: Option<Client>,
    apex: Name,
    generation: u64,
}

impl AtOnce {
    async fn write(&mut self, owner: &Name, value: Option<&str>) -> Outcome {
        let Some(mut client) = self.client().await else {
            return Outcome::Refused;
        };
        match timeout(WRITE, client.txn(self.txn(owner, value))).await {
            Ok(Ok(response)) => {
                Outcome::Acknowledged(response.header().map(|header| header.revision()))
            }
            // Whatever it says: that it was not done is not certain.
            _ => {
                self.client = None;
                self.config.endpoints.rotate_left(1);
                Outcome::Unknown
            }
        }
    }

    async fn client(&mut self) -> Option<Client> {
        if self.client.is_none() {
            let mut options = ConnectOptions::new().with_connect_timeout(MEMBER);
            if let Some((name, password)) = &self.config.user {
                options = options.with_user(name, password);
            }
            let connecting = Client::connect([&self.config.endpoints[0]], Some(options));
            match timeout(MEMBER, connecting).await {
                Ok(Ok(client)) => self.client = Some(client),
                _ => self.config.endpoints.rotate_left(1),
            }
        }
        self.client.clone()
    }

    fn txn(&self, owner: &Name, value: Option<&str>) -> Txn {
        let prefix = Prefix::default();
        let rrset = prefix.encode(&Key::Rrset {
            zone: self.apex.clone(),
            generation: self.generation,
            owner: owner.clone(),
            rtype: Rtype::TXT,
        });
        let put = |key: &Key| TxnOp::put(prefix.encode(key), "{}", None);
        let change = match value {
            Some(value) => {
                let value = format!(r#"{{"ttl":{TTL},"rdata":["\"{value}\""]}}"#);
                TxnOp::put(rrset, value, None)
            }
            None => TxnOp::delete(rrset, None),
        };
        Txn::new().and_then([
            change,
            put(&Key::Serial(self.apex.clone())),
            put(&Key::Head),
        ])
    }
}
