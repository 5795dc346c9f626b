//! The counters of the servers, and what Prometheus collects.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd::client::Registered;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::served::Standing;
use crate::zone::Rcode;

/// How many response codes have a counter: the 16 that fit into a header, BADVERS and BADCOOKIE.
const RCODES: usize = 18;

/// The counters of the threads with one number, one for each address. Each has its own cache lines, so that threads do
/// not wait for each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Messages received.
    pub queries: AtomicU64,
    /// Messages that were not queries: answered with FORMERR, or not at all.
    pub malformed: AtomicU64,
    /// Truncated responses.
    pub truncated: AtomicU64,
    /// Responses that say that they are stale.
    pub stale: AtomicU64,
    /// SERVFAIL responses because the zone's freshness promise could not be met.
    pub unproved: AtomicU64,
    /// REFUSED responses to clients that may not query.
    pub refused_by_policy: AtomicU64,
    /// Responses that a rate limit has dropped.
    pub rrl_dropped: AtomicU64,
    /// Responses that a rate limit has truncated, or replaced by BADCOOKIE.
    pub rrl_slipped: AtomicU64,
    /// Responses that a rate limit would have dropped or truncated.
    pub rrl_would: AtomicU64,
    /// TLS and QUIC handshakes that failed.
    pub handshakes_failed: AtomicU64,
    responses: [AtomicU64; RCODES],
}

/// The counts of one batch, before they are added to the counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages received.
    pub queries: u64,
    /// Messages that were not queries.
    pub malformed: u64,
    /// Truncated responses.
    pub truncated: u64,
    /// Responses that say that they are stale.
    pub stale: u64,
    /// SERVFAIL responses because the zone's freshness promise could not be met.
    pub unproved: u64,
    /// REFUSED responses to clients that may not query.
    pub refused_by_policy: u64,
    /// Responses that a rate limit has dropped.
    pub rrl_dropped: u64,
    /// Responses that a rate limit has truncated, or replaced by BADCOOKIE.
    pub rrl_slipped: u64,
    /// Responses that a rate limit would have dropped or truncated.
    pub rrl_would: u64,
    responses: [u64; RCODES],
}

impl Tally {
    /// Counts a response by its code.
    pub fn response(&mut self, rcode: Rcode) {
        let index = match rcode {
            Rcode::BADCOOKIE => RCODES - 1,
            Rcode(code) => usize::from(code).min(RCODES - 2),
        };
        self.responses[index] += 1;
    }
}

impl Counters {
    /// Adds the counts of a batch.
    pub fn add(&self, tally: &Tally) {
        let singles = [
            (&self.queries, tally.queries),
            (&self.malformed, tally.malformed),
            (&self.truncated, tally.truncated),
            (&self.stale, tally.stale),
            (&self.unproved, tally.unproved),
            (&self.rrl_dropped, tally.rrl_dropped),
            (&self.rrl_slipped, tally.rrl_slipped),
            (&self.rrl_would, tally.rrl_would),
            (&self.refused_by_policy, tally.refused_by_policy),
        ];
        let responses = self.responses.iter().zip(tally.responses);
        for (counter, count) in singles.into_iter().chain(responses) {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

/// Connections over TCP, TLS, HTTPS and QUIC.
#[derive(Debug, Default)]
pub struct Seats {
    /// How many are open, without those that are closing.
    pub taken: AtomicU64,
    /// How many were closed to make room for others.
    pub dismissed: AtomicU64,
}

/// The counters of all threads.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    udp: Vec<Arc<Counters>>,
    tcp: Arc<Counters>,
    tls: Arc<Counters>,
    https: Arc<Counters>,
    quic: Arc<Counters>,
    seats: Arc<Seats>,
}

impl Metrics {
    /// Counters for all transports, and for this many UDP threads.
    pub fn new(udp_workers: usize) -> Self {
        Metrics {
            udp: (0..udp_workers).map(|_| Arc::default()).collect(),
            tcp: Arc::default(),
            tls: Arc::default(),
            https: Arc::default(),
            quic: Arc::default(),
            seats: Arc::default(),
        }
    }

    /// The counters of a UDP thread.
    pub fn udp(&self, worker: usize) -> Arc<Counters> {
        self.udp[worker].clone()
    }

    /// The counters of TCP.
    pub fn tcp(&self) -> Arc<Counters> {
        self.tcp.clone()
    }

    /// The counters of DNS over TLS.
    pub fn tls(&self) -> Arc<Counters> {
        self.tls.clone()
    }

    /// The counters of DNS over HTTPS.
    pub fn https(&self) -> Arc<Counters> {
        self.https.clone()
    }

    /// The counters of DNS over QUIC.
    pub fn quic(&self) -> Arc<Counters> {
        self.quic.clone()
    }

    /// The connections.
    pub fn seats(&self) -> Arc<Seats> {
        self.seats.clone()
    }

    /// The sum over all threads.
    pub fn total(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.by_transport(counter).map(|(_, count)| count).sum()
    }

    /// The sum over the threads of each transport.
    fn by_transport(
        &self,
        counter: impl Fn(&Counters) -> &AtomicU64,
    ) -> impl Iterator<Item = (&'static str, u64)> {
        let transports: [(&str, &[Arc<Counters>]); 5] = [
            ("udp", &self.udp),
            ("tcp", std::slice::from_ref(&self.tcp)),
            ("tls", std::slice::from_ref(&self.tls)),
            ("https", std::slice::from_ref(&self.https)),
            ("quic", std::slice::from_ref(&self.quic)),
        ];
        transports
            .map(|(transport, all)| {
                let of = |counters: &Arc<Counters>| counter(counters).load(Ordering::Relaxed);
                (transport, all.iter().map(of).sum())
            })
            .into_iter()
    }
}

/// What Prometheus collects: the counters, and the standing of the mirror.
pub fn registry(
    metrics: Metrics,
    standing: watch::Receiver<Standing>,
    registered: watch::Receiver<Registered>,
) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected {
        metrics,
        standing,
        registered,
    }));
    registry
}

#[derive(Debug)]
struct Collected {
    metrics: Metrics,
    standing: watch::Receiver<Standing>,
    registered: watch::Receiver<Registered>,
}

/// The values of one scrape.
struct Moment {
    seats: Arc<Seats>,
    standing: Standing,
    is_registered: bool,
}

/// A metric: its name, its help, and how to read it.
type Metric<V> = (&'static str, &'static str, fn(&Moment) -> V);

/// One of the counters.
type Counter = fn(&Counters) -> &AtomicU64;

/// Counters by transport.
const BY_TRANSPORT: [(&str, &str, Counter); 10] = [
    ("nsd_queries", "Messages received", |c| &c.queries),
    ("nsd_malformed", "Messages that were not queries", |c| {
        &c.malformed
    }),
    ("nsd_truncated", "Truncated responses", |c| &c.truncated),
    (
        "nsd_stale",
        "Responses that say that they are stale (EDE 3)",
        |c| &c.stale,
    ),
    (
        "nsd_unproved",
        "SERVFAIL responses because the promised freshness could not be proved",
        |c| &c.unproved,
    ),
    (
        "nsd_refused_by_policy",
        "REFUSED responses to clients that may not query (EDE 18)",
        |c| &c.refused_by_policy,
    ),
    (
        "nsd_rrl_dropped",
        "Responses that a rate limit has dropped",
        |c| &c.rrl_dropped,
    ),
    (
        "nsd_rrl_slipped",
        "Responses that a rate limit has truncated, or replaced by BADCOOKIE",
        |c| &c.rrl_slipped,
    ),
    (
        "nsd_rrl_would",
        "Responses that a rate limit would have dropped or truncated (--rrl-log-only)",
        |c| &c.rrl_would,
    ),
    (
        "nsd_handshakes_failed",
        "TLS and QUIC handshakes that failed",
        |c| &c.handshakes_failed,
    ),
];

const RCODE_NAMES: [&str; RCODES] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "YXRRSET",
    "NXRRSET",
    "NOTAUTH",
    "NOTZONE",
    "11",
    "12",
    "13",
    "14",
    "15",
    "BADVERS",
    "BADCOOKIE",
];

const COUNTERS: [Metric<u64>; 5] = [
    (
        "nsd_tcp_dismissed",
        "Connections over TCP, TLS, HTTPS and QUIC closed to make room for others",
        |m| m.seats.dismissed.load(Ordering::Relaxed),
    ),
    (
        "nsd_lists",
        "How often everything was listed from etcd",
        |m| m.standing.lists,
    ),
    (
        "nsd_cluster_changes",
        "How often etcd was found to be a different cluster",
        |m| m.standing.cluster_changes,
    ),
    (
        "nsd_audits",
        "How often the mirror was compared with etcd",
        |m| m.standing.audits,
    ),
    (
        "nsd_audit_differences",
        "How often the mirror differed from etcd",
        |m| m.standing.differences,
    ),
];

const GAUGES: [Metric<f64>; 13] = [
    (
        "nsd_tcp_connections",
        "Connections over TCP, TLS, HTTPS and QUIC that are open",
        |m| m.seats.taken.load(Ordering::Relaxed) as f64,
    ),
    ("nsd_ready", "Whether there is something to serve", |m| {
        flag(m.standing.ready)
    }),
    (
        "nsd_registered",
        "Whether this front-end is registered in etcd, where others find it",
        |m| flag(m.is_registered),
    ),
    ("nsd_watching", "Whether the watch is established", |m| {
        flag(m.standing.watching)
    }),
    (
        "nsd_applied_revision",
        "Revision of etcd that is served",
        |m| revision(m.standing.applied),
    ),
    (
        "nsd_snapshot_revision",
        "Revision of etcd in the local snapshot",
        |m| revision(m.standing.snapshot),
    ),
    (
        "nsd_held_back",
        "RRsets that etcd has lost and that are held back",
        |m| {
            m.standing
                .held
                .as_ref()
                .map_or(0.0, |loss| loss.gone as f64)
        },
    ),
    (
        "nsd_held_back_zones",
        "Zones that are held back after a loss",
        |m| m.standing.held_zones as f64,
    ),
    (
        "nsd_serials_behind",
        "Zones whose serial is behind one served before",
        |m| m.standing.serials_behind as f64,
    ),
    (
        "nsd_fresh_age_seconds",
        "Time since the copy was last proved complete",
        |m| m.standing.age().map_or(f64::NAN, |age| age.as_secs_f64()),
    ),
    ("nsd_zones", "Zones served", |m| m.standing.zones as f64),
    ("nsd_rrsets", "RRsets served", |m| m.standing.rrsets as f64),
    ("nsd_quarantined", "Keys whose values cannot be read", |m| {
        m.standing.quarantined as f64
    }),
];

fn flag(is_set: bool) -> f64 {
    f64::from(u8::from(is_set))
}

fn revision(revision: Option<i64>) -> f64 {
    revision.map_or(f64::NAN, |revision| revision as f64)
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        for (name, help, of) in BY_TRANSPORT {
            let by = self.metrics.by_transport(of);
            counters(encoder, name, help, "transport", by)?;
        }
        let responses = RCODE_NAMES.iter().enumerate().map(|(index, name)| {
            let total = self
                .metrics
                .total(move |counters| &counters.responses[index]);
            (*name, total)
        });
        counters(
            encoder,
            "nsd_responses",
            "Responses by code",
            "rcode",
            responses,
        )?;
        let standing = self.standing.borrow().clone();
        let is_registered = self.registered.borrow().is_held();
        let moment = Moment {
            seats: self.metrics.seats(),
            standing,
            is_registered,
        };
        for (name, help, of) in COUNTERS {
            let counter = ConstCounter::new(of(&moment));
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        for (name, help, of) in GAUGES {
            let gauge = ConstGauge::new(of(&moment));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// Encodes counters of one name, which differ in the value of one label.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    by: impl IntoIterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (value, count) in by {
        ConstCounter::new(count).encode(family.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}
