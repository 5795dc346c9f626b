//! The life of a front-end: read the snapshot, bind, serve, mirror, register; and an orderly end.

mod certificate;
mod descriptors;
mod log_freshness;
mod logs;
mod reload;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use etcd::client::{self, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use certificate::CertificateFiles;
pub(crate) use logs::LogLevel;
use reload::Reload;
pub(crate) use signals::{Effect, Signals};

use crate::admin;
use crate::answer::{Barrier, Service};
use crate::config::{Config, ServeOptions, UnusableSettings};
use crate::fleet::{self, Phase};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::policy::Policy;
use crate::served::{self, Standing};
use crate::server::{self, ConnectionLimits, Connections, EncryptedAddresses, Encryption, Sockets};
use crate::supervisor::Supervisor;

/// Grace period for queries and requests in flight at shutdown: as long as a query may wait for etcd, and a little
/// more.
const DRAIN: Duration = Duration::from_millis(2_500);

/// If shutting down takes longer than this, as on a hanging disk, another signal ends the process at once.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// How long a query waits for etcd and for the view, and how long one round of the barrier may take. After that the
/// query gets SERVFAIL.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one member of etcd may take before another one is asked. [`BARRIER_TIMEOUT`] leaves time for three of them.
const BARRIER_MEMBER: Duration = Duration::from_millis(600);

/// Runs a front-end until SIGTERM or SIGINT.
pub fn run(options: ServeOptions) -> anyhow::Result<()> {
    run_with(options, std::convert::identity)
}

/// Like [`run`], but lets `alter` replace what the servers answer from. Tests inject defects here, which their checkers
/// must find; the program itself has none built in.
pub fn run_with(
    options: ServeOptions,
    alter: impl FnOnce(Service) -> Service,
) -> anyhow::Result<()> {
    let (reload, config) = Reload::start(options)?;
    let reload = Arc::new(reload);
    block_on(async {
        // From here on a signal leads to an orderly end; one that comes during the start takes effect after it.
        let mut signals = Signals::listen()?;
        let lameduck = config.lameduck;
        let frontend = Running::start(config, alter).await?;
        while signals.next().await == Effect::Reload {
            let (certificate, policy) = (frontend.certificate.clone(), frontend.policy.clone());
            reload.reload_aside(certificate, policy).await;
        }
        if !lameduck.is_zero() {
            info!(
                ?lameduck,
                "lame duck: still answering, but /readyz returns 503"
            );
            frontend.become_lame_duck();
            let second_signal = async { while signals.next().await != Effect::Shutdown {} };
            // A second signal ends this time early.
            let _ = tokio::time::timeout(lameduck, second_signal).await;
        }
        info!("stopping");
        let second_signal = async {
            // Earlier signals do not count.
            let early = async {
                loop {
                    signals.next().await;
                }
            };
            let _ = tokio::time::timeout(SHUTDOWN, early).await;
            while signals.next().await != Effect::Shutdown {}
        };
        tokio::select! {
            () = frontend.end() => info!("stopped"),
            () = second_signal => warn!("stopped without waiting any longer: the snapshot may be an older one"),
        }
        Ok(())
    })
}

/// Runs `main` on a runtime with a thread per core. UDP has threads of its own.
pub(crate) fn block_on<T>(main: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(main);
    // Does not wait for what still blocks a thread, such as a DNS lookup.
    runtime.shutdown_background();
    result
}

/// A front-end that is running.
pub(crate) struct Running {
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) encrypted: EncryptedAddresses,
    pub(crate) standing: watch::Receiver<Standing>,
    barrier: Barrier,
    certificate: Option<CertificateFiles>,
    policy: Arc<ArcSwap<Policy>>,
    phase: watch::Sender<Phase>,
    // In the order in which they are stopped.
    registration: Supervisor,
    servers: Supervisor,
    others: Supervisor,
}

impl Running {
    /// Binds all addresses, then starts to answer and to mirror. An address that is taken is an error.
    pub(crate) async fn start(
        config: Config,
        alter: impl FnOnce(Service) -> Service,
    ) -> anyhow::Result<Self> {
        let mut registration = Supervisor::default();
        let mut servers = Supervisor::default();
        let mut others = Supervisor::default();
        let metrics = Metrics::new(config.udp_workers);
        let settings = config.mirror.clone();
        // Before the sockets are bound, so that even the first query is answered from the snapshot.
        let opened = tokio::task::spawn_blocking(move || Mirror::open(settings));
        let (mirror, served) = opened.await.context("cannot read the snapshot")?;
        let (builder, standing) = (mirror.builder(), served.standing.clone());
        let policy = (config.policy.clone()).after(&Policy::default(), random_seed()?);
        let service = alter(Service {
            served: served.clone(),
            stale_after: config.stale_after,
            barrier: barrier(&config, standing.clone(), &mut others),
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            nsid: config.nsid.clone(),
            version: config.server_version.clone(),
            tcp_idle: config.tcp_idle,
        });
        let (barrier, policy) = (service.barrier.clone(), service.policy.clone());

        let admin_listener = bind_admin(config.admin).await?;
        let admin = admin_listener.local_addr()?;
        let (sockets, connections) = bind(&config, &metrics)?;
        let (dns, encrypted) = (sockets.addresses.clone(), sockets.encrypted.clone());
        let certificate = open_certificate(&config)?;
        let encryption = encryption(&config, certificate.as_ref());
        server::serve(
            &mut servers,
            &service,
            sockets,
            &connections,
            encryption.as_ref(),
            &metrics,
        )?;
        if let Some(files) = certificate.clone() {
            others.task("the certificate", move |stop| files.clone().watch(stop));
        }
        mirror.start(&mut others);

        let id = config.id.clone().unwrap_or_else(|| fleet::default_id(&dns));
        let (phase, phases) = watch::channel(Phase::Serving);
        let (report, registered) = watch::channel(client::Registered::default());
        let shared = admin::Shared {
            id: id.as_str().into(),
            metrics,
            served,
            builder,
            barrier: barrier.clone(),
            registered,
            phases,
            waiters: admin::Waiters::default(),
        };
        start_admin(&mut others, admin_listener, shared);
        let listed: Vec<String> = dns.iter().map(ToString::to_string).collect();
        let listed = listed.join(",");
        info!(id, dns = listed, admin = %admin, version = env!("CARGO_PKG_VERSION"), "listening");
        if encrypted != EncryptedAddresses::default() {
            info!(addresses = %encrypted, "listening over encrypted transports");
        }
        log_freshness(&mut others, &config, standing.clone());
        let bound = [&[admin], &dns[..]].concat();
        register(&mut registration, config, (id, bound), &standing, report);
        Ok(Running {
            dns,
            admin,
            encrypted,
            standing,
            barrier,
            certificate,
            policy,
            phase,
            registration,
            servers,
            others,
        })
    }

    /// Waits until this revision is served.
    pub(crate) async fn ready(&mut self, revision: i64) {
        // Fails only if the mirror is gone, and that lives as long as `self`.
        let _ = self
            .standing
            .wait_for(|standing| standing.applied >= Some(revision))
            .await;
    }

    /// Makes /readyz return 503, but keeps answering.
    pub(crate) fn become_lame_duck(&self) {
        self.phase.send_replace(Phase::LameDuck);
    }

    /// Shuts down: leaves the fleet, so that nobody waits for this front-end any more; then answers what has come; then
    /// saves the snapshot.
    pub(crate) async fn end(self) {
        self.phase.send_replace(Phase::Ending);
        self.registration.end().await;
        self.servers.end().await;
        let answered = async {
            while !self.barrier.is_idle() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN, answered).await;
        self.others.end().await;
    }
}

/// A seed for hashes of what strangers send.
fn random_seed() -> anyhow::Result<[u64; 2]> {
    let seed = || getrandom::u64().context("the kernel gives no random numbers");
    Ok([seed()?, seed()?])
}

fn open_certificate(config: &Config) -> anyhow::Result<Option<CertificateFiles>> {
    let Some(encrypted) = &config.encrypted else {
        return Ok(None);
    };
    let files = CertificateFiles::open(&encrypted.certificate, &encrypted.key);
    Ok(Some(files.context(UnusableSettings)?))
}

fn encryption(config: &Config, files: Option<&CertificateFiles>) -> Option<Encryption> {
    Some(Encryption {
        certificate: files?.certificate(),
        https_path: config.encrypted.as_ref()?.https_path.clone(),
    })
}

fn start_admin(supervisor: &mut Supervisor, listener: TcpListener, shared: admin::Shared) {
    let listener = Arc::new(listener);
    supervisor.task("the admin listener", move |stop| {
        admin::serve(listener.clone(), shared.clone(), DRAIN, stop)
    });
}

fn log_freshness(
    supervisor: &mut Supervisor,
    config: &Config,
    standing: watch::Receiver<Standing>,
) {
    let (stale_after, prefix) = (config.stale_after, config.mirror.prefix.clone());
    supervisor.task("the log of freshness", move |stop| {
        log_freshness::run(standing.clone(), stale_after, prefix.clone(), stop)
    });
}

fn register(
    supervisor: &mut Supervisor,
    config: Config,
    (id, bound): (String, Vec<SocketAddr>),
    standing: &watch::Receiver<Standing>,
    report: watch::Sender<client::Registered>,
) {
    let standing = standing.clone();
    supervisor.task("the registration", move |stop| {
        let (config, id, bound) = (config.clone(), id.clone(), bound.clone());
        fleet::register(config, id, bound, standing.clone(), report.clone(), stop)
    });
}

/// The barrier of `linearizable`, and the task that serves it.
fn barrier(
    config: &Config,
    standing: watch::Receiver<Standing>,
    supervisor: &mut Supervisor,
) -> Barrier {
    let member_config = client::Config {
        connect_timeout: BARRIER_MEMBER,
        request_timeout: BARRIER_MEMBER,
        ..config.mirror.store.clone()
    };
    let store = Store::new(member_config, config.mirror.prefix.clone(), BARRIER_TIMEOUT);
    let (barrier, rounds) = Barrier::new(BARRIER_TIMEOUT, move || {
        let (store, standing) = (store.with_timeout(BARRIER_TIMEOUT), standing.clone());
        async move {
            let confirmed = served::confirm(&store, standing);
            let confirmed = tokio::time::timeout(BARRIER_TIMEOUT, confirmed).await;
            confirmed.unwrap_or(false)
        }
    });
    let rounds = Arc::new(rounds);
    supervisor.task("the barrier", move |stop| {
        let rounds = rounds.clone();
        async move {
            let serve = async {
                rounds.serve().await;
                // Nobody is left who could ask. But a task of a supervisor must not return before it is stopped.
                std::future::pending::<()>().await;
            };
            let _ = stop.run_until_cancelled(serve).await;
        }
    });
    barrier
}

async fn bind_admin(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    let reason = |error| server::cannot_listen("TCP", address, &error);
    listener.map_err(|error| anyhow!("admin listener: {}", reason(error)))
}

/// Binds the addresses for DNS, and decides how many connections there may be.
fn bind(config: &Config, metrics: &Metrics) -> anyhow::Result<(Sockets, Arc<Connections>)> {
    let limit = descriptors::raise_limit();
    let (listen, workers) = (&config.listen, config.udp_workers);
    // For each address the UDP sockets, the TCP listener, and a connection that is accepted and waits for a seat.
    let encrypted = config.encrypted.as_ref().map_or(0, |encrypted| {
        let EncryptedAddresses { tls, https, quic } = &encrypted.addresses;
        tls.len() + https.len() + quic.len()
    });
    let always_open = listen.len() * (workers + 2) + encrypted * 2;
    let seats = descriptors::connections(limit, always_open, config.tcp_connections)?;
    let mut sockets = server::bind(listen, config.listens_where_possible, workers)?;
    if let Some(encrypted) = &config.encrypted {
        sockets.bind_encrypted(&encrypted.addresses)?;
    }
    let limits = ConnectionLimits::new(seats, config.tcp_idle, DRAIN);
    Ok((sockets, Connections::new(limits, metrics.seats())))
}
