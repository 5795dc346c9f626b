//! Those who use the cluster: writers, announcers and front-ends, each with the product's own code.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etcd::client::{
    self, AnnouncementNews, ChangeError, Config, ImportHow, JournalNews, Simulated, Store,
};
use etcd::mirror::{Event, Pace, Resume};
use etcd::model::Rrset;
use etcd::model::zonefile::Checked;
use etcd::model::{
    Change as ModelChange, Consistency, Edit as ModelEdit, Name, Rdata, Rtype, Update, ZoneSettings,
};
use etcd::schema::{Author, Instance, Prefix};
use etcd::txn::{Announcement, Overlap};
use etcd_client::Channel;
use nsd::answer::Barrier;
use nsd::mirror::{Builder, Expiries, Guard};
use nsd::served::{Standing, confirm};
use nsd::zone::View;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::check::Checks;
use crate::model::{Cluster, line, now};
use crate::schedule::{Change, Edit, How, MEMBERS};

/// The network and the clock of one client.
struct Client {
    cluster: Arc<Cluster>,
    number: usize,
    started: Instant,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.number)
    }
}

impl Simulated for Client {
    fn connect(&self, endpoint: &str) -> Channel {
        let member = endpoint
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        line(
            &self.cluster,
            self.number,
            member.expect("the URL of a member"),
        )
    }

    fn time_of_day(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + (now() - self.started)
    }
}

/// A client's settings. Time limits are shorter than in life, as is all else that takes time in a run.
pub(crate) fn config(cluster: &Arc<Cluster>, number: usize, started: Instant) -> Config {
    let member = |index| format!("http://member:{}", (index + number) % MEMBERS);
    Config {
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(800),
        simulated: Some(Arc::new(Client {
            cluster: cluster.clone(),
            number,
            started,
        })),
        ..Config::new((0..MEMBERS).map(member).collect())
    }
}

/// A store for a writer whose changes have this label.
pub(crate) fn store(config: &Config, label: &str) -> Store {
    let author = Author {
        why: Some(label.into()),
        ..Author::default()
    };
    let store = Store::new(config.clone(), Prefix::default(), Duration::from_secs(3));
    store.with_author(author)
}

pub(crate) fn zone_name(zone: usize) -> Name {
    // The last one is below the first, and can hide its records.
    let names = ["example.org.", "example.com.", "n1.example.org."];
    names[zone].parse().expect("a name")
}

pub(crate) fn owner_name(zone: usize, owner: usize) -> Name {
    format!("n{owner}.{}", zone_name(zone))
        .parse()
        .expect("a name")
}

pub(crate) fn address(last: u8) -> Rdata {
    Rdata::parse(Rtype::A, &format!("192.0.2.{last}")).expect("an address")
}

pub(crate) fn name_server() -> Rdata {
    Rdata::parse(Rtype::NS, "ns1.example.net.").expect("a name server")
}

fn settings() -> ZoneSettings {
    let name: Name = "ns1.example.net.".parse().expect("a name");
    ZoneSettings::new(name.clone(), name)
}

/// How a change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is made at this revision, or there was nothing to change.
    Done { revision: i64, written: bool },
    /// What the store holds does not allow it.
    Refused(String),
    /// Nothing was written.
    NotWritten,
    /// It may have been made, in part or as a whole.
    Unknown,
}

impl End {
    fn of(error: &ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => End::Refused(refusal.to_string()),
            ChangeError::Conflict { .. } | ChangeError::NotWritten(_) => End::NotWritten,
            ChangeError::LeftStaged(error, _) => End::of(error),
            ChangeError::Unknown(_) | ChangeError::Partly(_) | ChangeError::SomeZones(..) => {
                End::Unknown
            }
        }
    }
}

/// The target of all aliases.
pub(crate) fn alias() -> Rdata {
    Rdata::parse(Rtype::CNAME, "n9.example.net.").expect("a name")
}

/// Adds the zones that there are at the start.
pub(crate) async fn prepare(store: &Store) {
    for zone in 0..2 {
        let (apex, settings, servers) = (zone_name(zone), settings(), [name_server()]);
        let added = store.zone_add(&apex, &settings, &servers, Overlap::Refuse);
        added.await.expect("nothing goes wrong yet");
    }
}

/// Makes a change.
pub(crate) async fn make(store: &Store, change: &Change) -> End {
    let made = match change {
        Change::Edits(edits) => {
            let update = Update {
                prerequisites: Vec::new(),
                edits: edits.iter().map(edit).collect(),
            };
            store.update(None, &update, &|_| {}).await.map(|changed| {
                let written = changed.iter().any(|changed| changed.written);
                let all = changed.iter().filter(|changed| changed.written == written);
                let revisions = all.map(|changed| changed.revision);
                (revisions.max().unwrap_or(0), written)
            })
        }
        Change::ZoneSet { zone, ttl } => {
            let set = |settings: &mut ZoneSettings| settings.default_ttl = *ttl;
            store.zone_set(&zone_name(*zone), set).await
        }
        Change::ZoneAdd { zone } => {
            let (apex, settings, servers) = (zone_name(*zone), settings(), [name_server()]);
            let added = store.zone_add(&apex, &settings, &servers, Overlap::Move);
            added.await.map(|added| (added.revision, added.changed))
        }
        Change::ZoneRemove { zone } => {
            let removed = store.zone_remove(&zone_name(*zone), false).await;
            removed.map(|removed| match removed {
                Some(removed) => (removed.revision, true),
                None => (0, false),
            })
        }
        Change::Import {
            zone,
            mode,
            names,
            address: last,
        } => {
            let apex = zone_name(*zone);
            let rrset = |rtype, rdata| Rrset::new(rtype, 60, vec![rdata]).expect("an RRset");
            let mut rrsets = BTreeMap::new();
            rrsets.insert((apex.clone(), Rtype::NS), rrset(Rtype::NS, name_server()));
            for owner in 0..*names {
                let owner = owner_name(*zone, owner);
                rrsets.insert((owner, Rtype::A), rrset(Rtype::A, address(*last)));
            }
            let file = Checked {
                settings: settings(),
                serial: 1,
                rrsets,
                warnings: Vec::new(),
            };
            let how = ImportHow::new(*mode);
            let imported = store.import(&apex, &file, &how, &|_| {}).await;
            imported.map(|imported| (imported.revision, imported.changed))
        }
        Change::Clean { zone } => {
            let apex = zone_name(*zone);
            let cleaned = async {
                let served = store.zone(&apex).await?.1;
                let served = served.map(|read| read.settings.generation);
                let swept = store.sweep(&apex, |other| Some(other) != served);
                Ok((0, swept.await? > 0))
            };
            cleaned.await.map_err(ChangeError::NotWritten)
        }
    };
    match made {
        Ok((revision, written)) => End::Done { revision, written },
        Err(error) => End::of(&error),
    }
}

fn edit(edit: &Edit) -> ModelEdit {
    let (rtype, rdata) = (Rtype::A, vec![address(edit.address)]);
    let ttl = Some(60);
    ModelEdit {
        owner: owner_name(edit.zone, edit.owner),
        change: match edit.how {
            How::Add => ModelChange::Add { rtype, ttl, rdata },
            How::Set => ModelChange::Set { rtype, ttl, rdata },
            How::Remove => ModelChange::Remove {
                rtype: Some(rtype),
                rdata,
            },
            How::RemoveAll => ModelChange::Remove {
                rtype: None,
                rdata: Vec::new(),
            },
            How::AddAlias => ModelChange::Add {
                rtype: Rtype::CNAME,
                ttl,
                rdata: vec![alias()],
            },
        },
    }
}

/// Announces an address until `stop` completes. The last news of a withdrawal is returned.
pub(crate) async fn announce(
    store: &Store,
    owner: usize,
    last: u8,
    (lease, instance): (u32, u64),
    stop: impl Future<Output = ()>,
) -> Option<bool> {
    let announcement = Announcement {
        zone: None,
        owner: owner_name(0, owner),
        rtype: Rtype::A,
        ttl: None,
        rdata: vec![address(last)],
        instance: Instance(instance),
    };
    let mut withdrawn = None;
    let tell = |news| {
        if let AnnouncementNews::Withdrawn(told) = news {
            withdrawn = Some(told.is_ok());
        }
    };
    client::announce(store, announcement, lease, stop, tell).await;
    withdrawn
}

/// A defect that a front-end can have, as those of `nsd-broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Defect {
    /// The barrier of `linearizable` asks nobody.
    NoBarrier,
    /// The view counts as proved all the time.
    AlwaysFresh,
    /// Now and then an earlier view is served.
    GoesBack,
}

/// How long a linearizable answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A front-end: mirrors the store for ever, and has everything checked that it makes of it.
pub(crate) async fn front_end(
    config: Config,
    number: usize,
    checks: Checks,
    defect: Option<Defect>,
) {
    let prefix = Prefix::default();
    let guard = Guard { percent: 100 };
    let mut builder = Builder::new(prefix.clone(), Consistency::Available, guard);
    let pace = Pace {
        proof_interval: Duration::from_millis(500),
        stall: Duration::from_millis(1_200),
        page: Duration::from_millis(2_500),
        pause: (Duration::from_millis(50), Duration::from_millis(800)),
        ..Pace::new(MEMBERS, fastrand::u64(..))
    };
    let store = store(&config, "a serial");
    let standing = watch::Sender::new(Standing::default());
    let (barrier, rounds) = {
        let (store, standing) = (store.clone(), standing.subscribe());
        Barrier::new(PATIENCE, move || {
            let (store, standing) = (store.with_timeout(PATIENCE), standing.clone());
            async move {
                let confirmed = timeout(PATIENCE, confirm(&store, standing));
                defect == Some(Defect::NoBarrier) || confirmed.await.unwrap_or(false)
            }
        })
    };
    let expiries = Expiries::default();
    let relist = Notify::new();
    let mut earlier: Option<View> = None;
    let watching = client::watch(config, prefix, pace, None, &relist, |events, status| {
        for event in events {
            let (is_list, is_revision) = (
                matches!(event, Event::Listed { .. }),
                matches!(event, Event::Revision { .. }),
            );
            if is_list {
                builder.set_cluster(status.cluster_id);
            }
            let fresh = match &event {
                Event::Fresh { at } => Some(*at),
                _ => None,
            };
            builder.apply(event);
            if is_list || is_revision {
                let view = match (&earlier, defect) {
                    (Some(earlier), Some(Defect::GoesBack)) if is_revision => earlier,
                    _ => builder.view(),
                };
                checks.view(number, &builder, view, is_list);
                earlier = Some(builder.view().clone());
            }
            if let Some(at) = fresh {
                checks.proof(number, at);
            }
        }
        if defect == Some(Defect::AlwaysFresh) && builder.revision().is_some() {
            checks.proof(number, now());
        }
        standing.send_modify(|standing| {
            standing.applied = builder.revision();
            standing.cluster_id = builder.cluster_id();
            standing.follow(status);
        });
        expiries.note(builder.take_expired());
        if let Some(at) = status.last_fresh {
            checks.still_fresh(number, at);
        }
    });
    let reading = async {
        loop {
            sleep(Duration::from_secs(2).mul_f64(fastrand::f64())).await;
            let asked = now();
            if barrier.confirmed().await {
                checks.read(number, asked);
            }
        }
    };
    tokio::select! {
        biased;
        () = watching => {}
        () = rounds.serve() => {}
        () = reading => {}
        () = expiries.settle(&store) => {}
    }
}

/// What a follower of journals was told.
#[derive(Default)]
pub(crate) struct Told {
    /// It follows what comes after this revision.
    pub(crate) from: i64,
    /// The changes, each with its revision and its zone.
    pub(crate) changes: Vec<(i64, Name)>,
}

/// Follows all journals from a revision on, as `nsctl watch` does.
pub(crate) async fn follow(store: Store, from: i64, told: Arc<Mutex<Told>>) {
    told.lock().expect("nobody has panicked").from = from;
    let resume = Resume {
        cluster_id: 1,
        revision: from,
        leased: HashSet::new(),
    };
    let tell = |news| {
        match news {
            JournalNews::Changes(changes) => {
                let changes = changes.into_iter();
                let changes = changes.map(|change| (change.revision, change.zone));
                let mut told = told.lock().expect("nobody has panicked");
                told.changes.extend(changes);
            }
            JournalNews::OtherHistory => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    store.follow_journals(resume, None, tell).await;
}
