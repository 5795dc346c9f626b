//! One fault: begun under load, healed, and measured.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::base::iana::Rtype as AskedType;
use etcd::model::Change;
use etcd::model::{Name, Rdata, Rtype};
use tests::{dns, ensure, eventually};
use tokio::time::sleep;

use crate::noticed::Watcher;
use crate::site::{LIMIT, Site};
use crate::table::Row;
use crate::traffic::Traffic;

/// How long a fault lasts: front-ends notice that a proof of freshness stays out within 3 s.
pub(crate) const HOLD: Duration = Duration::from_secs(5);

/// A fault and what is measured of it.
pub(crate) struct Cell {
    name: &'static str,
    number: usize,
    /// Whether zones that promise fresh answers must have given them all along.
    is_steady: bool,
    traffic: Traffic,
    watcher: Watcher,
}

/// Whether front-ends must say that something is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// This one.
    By(usize),
    /// One of them.
    Surely,
    Maybe,
}

impl Site {
    /// Starts the load, and then the clock.
    pub(crate) async fn begin(&self, name: &'static str) -> Cell {
        // Also one that is given up has its zones.
        let number = self.cells.fetch_add(1, Ordering::Relaxed);
        println!("== {} members: {name}", self.cluster.size());
        let traffic = Traffic::start(self, number).await;
        Cell {
            name,
            number,
            is_steady: false,
            traffic,
            watcher: Watcher::start(self.frontends.iter().map(|frontend| frontend.admin)),
        }
    }

    /// All is healed, from now on.
    pub(crate) async fn end(&mut self, cell: Cell) {
        let healed = Instant::now();
        self.serves_a_write(cell.number, healed).await;
        let everywhere = healed.elapsed();
        let noticed = cell.watcher.first().map(|(after, what)| {
            println!("noticed after {after:?}: {what}");
            *after
        });
        let tally = cell.traffic.stop(self).await;
        self.settled().await;
        let row = Row {
            name: cell.name,
            is_steady: cell.is_steady,
            tally,
            noticed,
            everywhere,
        };
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Writes something new as soon as etcd takes it, and waits until all front-ends answer with it.
    async fn serves_a_write(&self, cell: usize, since: Instant) {
        let store = self.store();
        let owner = format!("healed.available{cell}.test");
        let (name, text): (Name, _) =
            (owner.parse().expect("a name"), format!("after cell {cell}"));
        let change = Change::Set {
            rtype: Rtype::TXT,
            ttl: Some(300),
            rdata: vec![Rdata::parse(Rtype::TXT, &format!("\"{text}\"")).expect("a string")],
        };
        eventually("a write is accepted", LIMIT, async || {
            let changed = store
                .with_timeout(Duration::from_secs(5))
                .change(&name, None, &change)
                .await;
            changed.map(drop).map_err(|error| error.to_string())
        })
        .await;
        println!("written {:?} after healing", since.elapsed());
        self.answers_exactly(cell).await;
        let expected = [format!("{owner}. 300 TXT \"{text}\"")];
        for frontend in &self.frontends {
            eventually(&format!("{} serves it", frontend.id), LIMIT, async || {
                let answer = dns::udp(frontend.dns, &owner, AskedType::TXT).await?;
                ensure(answer.answers == expected, || format!("{answer:?}"))
            })
            .await;
        }
    }
}

impl Site {
    /// Waits until all front-ends answer for the zones that promise fresh answers, as they have to where most members
    /// are there.
    async fn answers_exactly(&self, cell: usize) {
        for zone in ["bounded", "linearizable"] {
            let apex = format!("{zone}{cell}.test");
            for frontend in &self.frontends {
                eventually(
                    &format!("{} answers for {apex}", frontend.id),
                    LIMIT,
                    async || {
                        let answer = dns::udp(frontend.dns, &apex, AskedType::SOA).await?;
                        ensure(answer.rcode == "NOERROR", || format!("{answer:?}"))
                    },
                )
                .await;
            }
        }
    }

    /// Lets a fault last that leaves most members there, and each front-end a way to one of them: all answers are given
    /// again before it is healed.
    pub(crate) async fn outlives(&self, cell: &Cell, noticed: Noticed) {
        cell.lasts(noticed).await;
        self.answers_exactly(cell.number).await;
    }
}

impl Cell {
    /// A fault that nothing is to be noticed of: etcd is there and answers in time.
    pub(crate) fn steady(self) -> Self {
        Cell {
            is_steady: true,
            ..self
        }
    }

    /// Lets the fault last; until it was noticed, where that must be.
    pub(crate) async fn lasts(&self, noticed: Noticed) {
        sleep(HOLD).await;
        eventually(&format!("{}: noticed", self.name), LIMIT, async || {
            let is_noticed = match noticed {
                Noticed::By(frontend) => self.watcher.by(frontend),
                Noticed::Surely => self.watcher.first().is_some(),
                Noticed::Maybe => true,
            };
            ensure(is_noticed, || "no front-end says so that has to".into())
        })
        .await;
    }

    /// A front-end did not have to answer from then until now.
    pub(crate) fn was_down(&self, frontend: &str, start: Instant) {
        self.traffic.was_down(frontend, start);
    }
}
