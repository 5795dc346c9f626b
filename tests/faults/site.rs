//! Where faults happen: a cluster, three front-ends that reach it in different ways, and a cell under way.

use std::ffi::OsStr;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use etcd::client::{Config, Store};
use etcd::schema::Prefix;
use tests::{Cluster, Frontend, Gate, Nsctl, TempDir, ensure, eventually};

use crate::cells::frontends::CLOCKED;
use crate::certificates::Certificates;
use crate::clock::Clock;
use crate::table::Row;

/// How long anything may take that must happen, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// What etcd may hold: so little that it is soon full.
const QUOTA: &str = "33554432";

/// Members and front-ends with no cell under way, and the rows of those that are over.
pub(crate) struct Site {
    /// First, as fields are dropped in order, and front-ends that outlive etcd fill their logs with that.
    pub(crate) frontends: Vec<Frontend>,
    /// Of each front-end, one to each member; none where it goes straight.
    pub(crate) gates: [Vec<Gate>; 3],
    pub(crate) cluster: Cluster,
    pub(crate) nsctl: Nsctl,
    /// As `NAME:PASSWORD`, where etcd asks for it.
    pub(crate) user: Option<&'static str>,
    pub(crate) clock: Clock,
    pub(crate) certificates: Option<Certificates>,
    /// Where front-ends keep what they go on from when they start without etcd.
    snapshots: TempDir,
    /// How many cells have begun.
    pub(crate) cells: AtomicUsize,
    pub(crate) rows: Vec<Row>,
}

impl Site {
    /// One front-end behind gates, one whose clock can be set, and one that uses TLS behind gates.
    pub(crate) async fn open(members: usize) -> Self {
        let certificates = Certificates::make();
        let (mut args, mut files) = (vec!["--quota-backend-bytes", QUOTA], Vec::new());
        if let Some(certificates) = &certificates {
            args.extend(Certificates::options_of_members());
            let both = "http://0.0.0.0:2379,https://0.0.0.0:2378";
            args.extend(["--listen-client-urls", both]);
            files = certificates.of_members();
        }
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(path, content)| (*path, &**content))
            .collect();
        let cluster = Cluster::start_with(members, &args, &files).await;
        let plain = gates(cluster.endpoints()).await;
        let secure = match &certificates {
            Some(_) => gates(&secure(cluster.endpoints())).await,
            None => gates(cluster.endpoints()).await,
        };
        let options = certificates.as_ref().map(Certificates::options_of_clients);
        let mut site = Site {
            frontends: Vec::new(),
            nsctl: Nsctl::new(cluster.endpoints()).with("--timeout", "20s"),
            gates: [plain, Vec::new(), secure],
            cluster,
            user: None,
            clock: Clock::new(),
            certificates,
            snapshots: TempDir::new(),
            cells: AtomicUsize::new(0),
            rows: Vec::new(),
        };
        site.staff([Vec::new(), Vec::new(), options.unwrap_or_default()])
            .await;
        site
    }

    /// etcd lets in only who has a password, with tokens that last 3 s.
    pub(crate) async fn guarded(members: usize) -> Self {
        let jwt = "jwt,sign-method=HS256,priv-key=/data/jwt.key,ttl=3s";
        let key: &[u8] = b"known to the members and to nobody else";
        let cluster =
            Cluster::start_with(members, &["--auth-token", jwt], &[("/data/jwt.key", key)]).await;
        for command in [
            "user add root:root",
            "user add dns:right",
            "role add ns",
            "role grant-permission ns readwrite --prefix /ns",
            "user grant-role dns ns",
            "role add root",
            "user grant-role root root",
            "auth enable",
        ] {
            let args: Vec<&str> = command.split(' ').collect();
            cluster.etcdctl(&args).await;
        }
        cluster.set_user("root:root");
        let user = "dns:right";
        let mut site = Site {
            frontends: Vec::new(),
            nsctl: Nsctl::new(cluster.endpoints())
                .with("--timeout", "20s")
                .with("--user", user),
            gates: Default::default(),
            cluster,
            user: Some(user),
            clock: Clock::new(),
            certificates: None,
            snapshots: TempDir::new(),
            cells: AtomicUsize::new(0),
            rows: Vec::new(),
        };
        let options = || vec!["--user".to_string(), user.into()];
        site.staff([options(), options(), options()]).await;
        site
    }

    /// Starts the front-ends with these options, and waits until all is well.
    async fn staff(&mut self, options: [Vec<String>; 3]) {
        for (index, options) in options.iter().enumerate() {
            let frontend = self.frontend(index, options).await;
            self.frontends.push(frontend);
        }
        self.settled().await;
    }

    async fn frontend(&self, index: usize, options: &[String]) -> Frontend {
        let id = format!("fe{}", index + 1);
        let gates = self.gates[index].iter();
        let gates: Vec<String> = gates.map(|gate| gate.endpoint().into()).collect();
        let endpoints = match gates.is_empty() {
            true => self.cluster.endpoints(),
            false => &gates,
        };
        let snapshot = self.snapshots.path().join(&id).display().to_string();
        let mut all = vec!["--snapshot", &snapshot];
        all.extend(options.iter().map(String::as_str));
        let variables = match index {
            CLOCKED => self.clock.variables(),
            _ => Vec::new(),
        };
        let variables = variables.iter();
        let variables: Vec<(&str, &OsStr)> = variables
            .map(|(name, value)| (*name, value.as_os_str()))
            .collect();
        Frontend::start_with(&id, endpoints, &all, &variables).await
    }

    /// A store with a connection of its own.
    pub(crate) fn store(&self) -> Store {
        let mut config = Config::new(self.cluster.endpoints().to_vec());
        config.user = self
            .user
            .and_then(|user| user.split_once(':'))
            .map(|(name, password)| (name.into(), password.into()));
        Store::new(config, Prefix::default(), LIMIT)
    }

    /// The member that a front-end is connected to.
    pub(crate) async fn member_of(&self, frontend: usize) -> usize {
        eventually("it is connected to a member", LIMIT, async || {
            let status = self.frontends[frontend].status().await;
            let states = self.cluster.states().await;
            let is_it = |id: u64| status["member"] == format!("{id:x}");
            let found = states
                .iter()
                .position(|state| state.is_some_and(|state| is_it(state.id)));
            found.ok_or_else(|| format!("no member {} in {states:?}", status["member"]))
        })
        .await
    }

    /// Waits until every front-end has applied a revision.
    pub(crate) async fn applied(&self, revision: i64) {
        for frontend in &self.frontends {
            frontend.applied(revision, LIMIT).await;
        }
    }

    /// Waits until every member is healthy, and every front-end is ready, fresh and registered.
    pub(crate) async fn settled(&self) {
        self.cluster.healthy().await;
        for frontend in &self.frontends {
            eventually(&format!("{} is fresh", frontend.id), LIMIT, async || {
                let status = frontend.status().await;
                let is_fresh = status["fresh_age_ms"]
                    .as_u64()
                    .is_some_and(|age| age < 2000);
                let is_well = status["watching"] == true && status["trouble"].is_null();
                ensure(is_fresh && is_well, || status.to_string())
            })
            .await;
        }
        eventually("all front-ends are registered", LIMIT, async || {
            let keys = self.cluster.keys("/ns/v1/frontend/").await;
            ensure(keys.len() == self.frontends.len(), || format!("{keys:?}"))
        })
        .await;
    }

    /// Cuts members off from the others. False, and a line, where that cannot be done here.
    pub(crate) async fn cut_off(&self, members: &[usize]) -> bool {
        let cut = self.cluster.cut_off(members).await;
        if let Err(error) = &cut {
            tests::skipped!("it cannot be done here ({error}): members cut off");
        }
        cut.is_ok()
    }

    pub(crate) async fn join_again(&self, members: &[usize]) {
        self.cluster
            .join_again(members)
            .await
            .expect("it worked before");
    }

    /// Writes so many MiB that nobody needs; or all that etcd takes.
    pub(crate) async fn fill(&self, megabytes: Option<usize>) {
        let client = etcd_client::Client::connect(self.cluster.endpoints(), None).await;
        let mut client = client.expect("a connection comes about later");
        for _ in 0..megabytes.unwrap_or(64) {
            let put = async || {
                let put = client.put("/filler", vec![b'x'; 1 << 20], None).await;
                match put.map_err(|error| error.to_string()) {
                    Err(error) if error.contains("space exceeded") => Ok(false),
                    put => put.map(|_| true),
                }
            };
            // Others than that it is full come and go.
            if !eventually("a large write", LIMIT, put).await {
                assert!(megabytes.is_none(), "a poor test: etcd is full");
                return;
            }
        }
        assert!(megabytes.is_some(), "a poor test: etcd is not full");
    }
}

async fn gates(urls: &[String]) -> Vec<Gate> {
    let mut gates = Vec::new();
    for url in urls {
        gates.push(Gate::to(url).await);
    }
    gates
}

/// The URLs for TLS of the same members.
fn secure(urls: &[String]) -> Vec<String> {
    let url = |url: &String| url.replace("http://", "https://").replace(":2379", ":2378");
    urls.iter().map(url).collect()
}
