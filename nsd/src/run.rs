//! The life of a front-end: bind, mirror, register, serve; and the way out.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use etcd::client::{self, Store};
use etcd::schema::Frontend;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use crate::config::{Config, Options};
use crate::metrics::Metrics;
use crate::mirror::{self, Freshness, Mirrored, Published};
use crate::reload::Reload;
use crate::server::{self, Barrier, Connections, Limits, Proved, Service, Sockets, Workers};
use crate::signals::{Signals, Told};
use crate::{admin, announce, descriptors};

/// How long what has come may take to be answered when all ends: as long as a query may wait for etcd, and a little more.
const DRAIN: Duration = Duration::from_millis(2_500);

/// How long a query waits for etcd and for the view, and how long one round of the barrier may last: a client asks
/// again after that.
const BARRIER: Duration = Duration::from_secs(2);

/// How long it waits for one member of etcd before it asks another one: there is time for three of them.
const BARRIER_MEMBER: Duration = Duration::from_millis(600);

/// Runs a front-end until SIGTERM or SIGINT.
pub fn run(options: Options) -> anyhow::Result<()> {
    run_with(options, std::convert::identity)
}

/// Does the same as [`run`], but lets `alter` replace what the servers answer from. Tests inject defects here, which
/// their checkers must find; the program itself has none built in, whatever its features.
pub fn run_with(options: Options, alter: impl FnOnce(Service) -> Service) -> anyhow::Result<()> {
    let (reload, config) = Reload::start(options)?;
    block_on(async {
        // From here on it ends in order, also where that is asked for amid the start.
        let mut signals = Signals::listen()?;
        let lameduck = config.lameduck;
        let (phase, phases) = watch::channel(Phase::Serving);
        let frontend = Running::start(config, phases, alter).await?;
        while signals.next().await == Told::Reload {
            reload.reload();
        }
        if !lameduck.is_zero() {
            info!(
                ?lameduck,
                "lame duck: still answering, but /readyz returns 503"
            );
            phase.send_replace(Phase::LameDuck);
            let told_again = async { while signals.next().await != Told::End {} };
            // It is over sooner if that is asked for.
            let _ = tokio::time::timeout(lameduck, told_again).await;
        }
        info!("stopping");
        phase.send_replace(Phase::Ending);
        frontend.end().await;
        info!("stopped");
        Ok(())
    })
}

/// Runs everything but UDP.
pub(crate) fn block_on<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(main);
    // What has to be ended is; a name that is still asked for is not waited for.
    runtime.shutdown_background();
    result
}

/// Where a front-end is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It answers, and others are to ask it.
    Serving,
    /// It answers, but others are to stop asking it.
    LameDuck,
    /// It leaves the fleet, and ends.
    Ending,
}

/// A front-end that serves.
pub(crate) struct Running {
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) freshness: watch::Receiver<Freshness>,
    workers: Workers,
    registration: tokio::task::JoinHandle<()>,
    mirror: tokio::task::JoinHandle<()>,
    barrier: Barrier,
    /// Ends the listeners.
    quit: watch::Sender<bool>,
    /// Ends the mirror.
    part: watch::Sender<bool>,
    /// Ends the admin listener.
    quit_admin: oneshot::Sender<()>,
    admin_server: tokio::task::JoinHandle<()>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    /// Binds everything, then starts to mirror and to answer; an address that is taken is an error.
    pub(crate) async fn start(
        config: Config,
        phases: watch::Receiver<Phase>,
        alter: impl FnOnce(Service) -> Service,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new(config.udp_workers);
        let settings = config.mirror.clone();
        let opened = tokio::task::spawn_blocking(move || Mirrored::open(&settings));
        let opened = opened.await.context("cannot read the snapshot")?;
        let mirrored = opened.0.clone();
        // Before anybody can ask: what a snapshot has is served, and told, from the first query on.
        let (freshness_sender, freshness) =
            watch::channel(Freshness::at_start(&opened, &config.mirror));
        let view = Published::new(ArcSwap::from_pointee(mirrored.lock().view().clone()));
        let proved = Arc::new(Proved::never(Instant::now()));
        let (barrier, rounds) = barrier(&config, freshness.clone());
        tokio::spawn(rounds);
        let service = alter(Service {
            view: view.clone(),
            proved: proved.clone(),
            stale_after: config.stale_after,
            barrier,
            nsid: config.nsid.clone(),
            version: config.server_version.clone(),
        });
        let barrier = service.barrier.clone();

        let admin_listener = TcpListener::bind(config.admin)
            .await
            .map_err(|error| server::cannot_listen("TCP", config.admin, &error))
            .map_err(|told| anyhow!("admin listener: {told}"))?;
        let admin = admin_listener.local_addr()?;
        let (sockets, connections) = bind(&config, &metrics)?;
        let dns = sockets.addresses.clone();
        let tcp = sockets.tcp.into_iter().map(TcpListener::from_std);
        let tcp: Vec<TcpListener> = tcp.collect::<std::io::Result<_>>()?;
        let workers = server::start_udp(&service, sockets.udp, &metrics)?;
        let (quit, quitting) = watch::channel(false);
        let (part, parting) = watch::channel(false);
        let listeners = tcp
            .into_iter()
            .map(|listener| {
                tokio::spawn(server::serve_tcp(
                    service.clone(),
                    listener,
                    connections.clone(),
                    metrics.tcp(),
                    quitting.clone(),
                ))
            })
            .collect();
        let mirror = tokio::spawn(mirror::run(
            config.mirror.clone(),
            opened,
            view,
            proved,
            freshness_sender,
            parting,
        ));

        let id = config.id.clone().unwrap_or_else(|| default_id(&dns));
        let (held, registered) = watch::channel(client::Registered::default());
        let (quit_admin, quitting_admin) = oneshot::channel();
        let admin_server = {
            let (freshness, barrier) = (freshness.clone(), barrier.clone());
            let phases = phases.clone();
            let shared = admin::Shared::new(
                &id, metrics, freshness, mirrored, barrier, registered, phases,
            );
            let quit = async { drop(quitting_admin.await) };
            tokio::spawn(admin::serve(admin_listener, shared, quit))
        };
        let listed = dns
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        info!(id, dns = listed, admin = %admin, version = env!("CARGO_PKG_VERSION"), "listening");
        let prefix = config.mirror.prefix.clone();
        tokio::spawn(announce::run(freshness.clone(), config.stale_after, prefix));
        // Nobody shall wait for a front-end that has no data yet. One without zones does have them: whoever adds the first
        // zone may wait for it.
        let registration = {
            let (config, mut freshness) = (config.clone(), freshness.clone());
            let (dns, mut phases) = (dns.clone(), phases);
            tokio::spawn(async move {
                let stop = async move {
                    // The sender gone is a stop, too.
                    let _ = phases.wait_for(|phase| *phase == Phase::Ending).await;
                };
                tokio::pin!(stop);
                let found = async {
                    let has_data = |freshness: &Freshness| freshness.applied.is_some();
                    freshness.wait_for(has_data).await.ok()?;
                    let mut reached = vec![admin];
                    reached.extend(dns);
                    Some(addresses(&config, reached).await)
                };
                let frontend = tokio::select! {
                    found = found => found,
                    () = &mut stop => None,
                };
                let mirror::Settings { store, prefix, .. } = config.mirror.clone();
                if let Some(frontend) = frontend {
                    client::register(store, prefix, id, frontend, held, stop).await;
                }
            })
        };
        Ok(Running {
            dns,
            admin,
            freshness,
            workers,
            registration,
            mirror,
            barrier,
            quit,
            part,
            quit_admin,
            admin_server,
            listeners,
        })
    }

    /// Waits until this revision is served.
    pub(crate) async fn ready(&mut self, revision: i64) {
        // The sender lives as long as the mirror, which never ends.
        let _ = self
            .freshness
            .wait_for(|freshness| freshness.applied >= Some(revision))
            .await;
    }

    /// Ends all of it in the phase [`Phase::Ending`]: first nobody waits for this front-end any more, then what has come
    /// is answered, then what is served is saved.
    pub(crate) async fn end(self) {
        // What has panicked has said so.
        let _ = self.registration.await;
        self.quit.send_replace(true);
        let workers = self.workers;
        let _ = tokio::task::spawn_blocking(move || workers.stop()).await;
        for listener in self.listeners {
            let _ = listener.await;
        }
        let answered = async {
            while !self.barrier.is_idle() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN, answered).await;
        let _ = self.quit_admin.send(());
        self.part.send_replace(true);
        let _ = self.mirror.await;
        let _ = tokio::time::timeout(DRAIN, self.admin_server).await;
    }
}

/// The barrier of `linearizable`, and the task that serves it.
fn barrier(
    config: &Config,
    freshness: watch::Receiver<Freshness>,
) -> (Barrier, impl Future<Output = ()> + Send + 'static) {
    let patience = client::Config {
        connect_timeout: BARRIER_MEMBER,
        request_timeout: BARRIER_MEMBER,
        ..config.mirror.store.clone()
    };
    let store = Store::new(patience, config.mirror.prefix.clone(), BARRIER);
    Barrier::new(BARRIER, move || {
        let (store, mut freshness) = (store.within(BARRIER), freshness.clone());
        async move {
            let confirm = async {
                let before = freshness.borrow().mirrored;
                let head = store.head().await.ok()?;
                // Behind what had come from it before: it is another history, which has to be listed first.
                if Some(head.store) < before {
                    return None;
                }
                let covers = |freshness: &Freshness| freshness.covers(&head);
                freshness.wait_for(covers).await.ok()?;
                Some(())
            };
            matches!(tokio::time::timeout(BARRIER, confirm).await, Ok(Some(())))
        }
    })
}

/// Binds every address, and finds out how many TCP connections there may be.
fn bind(config: &Config, metrics: &Metrics) -> anyhow::Result<(Sockets, Arc<Connections>)> {
    let limit = descriptors::raise_limit();
    let (listen, workers) = (&config.listen, config.udp_workers);
    // One more than its sockets, as a connection is accepted before it has a seat.
    let always_open = listen.len() * (workers + 2);
    let seats = descriptors::connections(limit, always_open, config.tcp_connections)?;
    let sockets = server::bind(listen, config.listens_where_possible, workers)?;
    let limits = Limits::new(seats, config.tcp_idle, DRAIN);
    Ok((sockets, Connections::new(limits, metrics.seats())))
}

/// The host's name and the first port: the same after a restart, another one for another front-end there.
fn default_id(dns: &[SocketAddr]) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "nsd" } else { host };
    format!(
        "{}-{}",
        host.replace('/', "-"),
        dns.first().map_or(0, SocketAddr::port)
    )
}

/// Under which addresses others reach this front-end: `reached` has the admin listener's first, then those for DNS.
async fn addresses(config: &Config, reached: Vec<SocketAddr>) -> Frontend {
    let is_open = reached.iter().any(|address| address.ip().is_unspecified());
    let (mut host, mut is_told) = (config.advertise, false);
    while is_open && host.is_none() {
        let endpoints = config.mirror.store.endpoints.clone();
        // It may have to ask for a name, which takes its time, and may have no way to etcd yet.
        let found = tokio::task::spawn_blocking(move || towards(&endpoints)).await;
        host = found.ok().flatten();
        if host.is_none() {
            if !std::mem::replace(&mut is_told, true) {
                warn!(
                    "not registered yet: without a route to etcd the address for others is unknown; wait for it, or set --advertise"
                );
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let at_host = |address: SocketAddr| match host {
        Some(host) if address.ip().is_unspecified() => SocketAddr::new(host, address.port()),
        _ => address,
    };
    // The admin listener on [::] is for IPv4, too; those for DNS are not.
    let at_host_of_family = |address: SocketAddr| match host {
        Some(host) if host.is_ipv4() == address.is_ipv4() => at_host(address),
        _ => address,
    };
    let mut reached = reached.into_iter();
    Frontend {
        admin: reached.next().map(|address| at_host(address).to_string()),
        dns: reached
            .map(|address| at_host_of_family(address).to_string())
            .collect(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// The address of this host that the way to etcd begins with. Nothing is sent.
fn towards(endpoints: &[String]) -> Option<IpAddr> {
    let probe = |any: &str, authority: &str| {
        let socket = UdpSocket::bind(any).ok()?;
        let connected = socket.connect(authority);
        // Without a port any does: only the way matters.
        let connected = connected.or_else(|_| socket.connect(format!("{authority}:2379")));
        connected.ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    endpoints.iter().find_map(|endpoint| {
        let authority = endpoint.split_once("://")?.1;
        probe("0.0.0.0:0", authority).or_else(|| probe("[::]:0", authority))
    })
}
