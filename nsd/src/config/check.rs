//! Checks options, and fills in the defaults.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use etcd::client;
use etcd::options::log_directives;

use super::options::{LogFormat, ServeOptions};
use crate::mirror::{self, MirrorSettings};
use crate::model::Time;
use crate::policy::{Limits, Policy, PrefixSet, Rates, Rules};
use crate::server::EncryptedAddresses;

/// The settings: checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// Settings of the mirror.
    pub mirror: MirrorSettings,
    /// Where to answer DNS.
    pub listen: Vec<SocketAddr>,
    /// Whether to leave out addresses of families that the host lacks: nobody asked for the default ones.
    pub listens_where_possible: bool,
    /// The encrypted transports; none if nobody asked for one.
    pub encrypted: Option<Encrypted>,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// Threads for each UDP address.
    pub udp_workers: usize,
    /// Age from which answers are marked as stale; `None` for never.
    pub stale_after: Option<Duration>,
    /// Maximum number of connections.
    pub tcp_connections: usize,
    /// Idle time after which a TCP connection is closed.
    pub tcp_idle: Duration,
    /// The settings about clients.
    pub policy: Policy,
    /// How long to keep answering after a signal to end.
    pub lameduck: Duration,
    /// Name in the fleet; `None` to make one from the host name.
    pub id: Option<String>,
    /// Address to register for listeners that are bound to an unspecified one.
    pub advertise: Option<IpAddr>,
    /// Server identity; empty if it is not published.
    pub nsid: String,
    /// Software version; empty if it is not published.
    pub server_version: String,
    /// What to log.
    pub log_level: String,
    /// How to log.
    pub log_format: LogFormat,
}

/// Settings of the encrypted transports.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// Where to answer.
    pub addresses: EncryptedAddresses,
    /// The path at which HTTPS answers queries.
    pub https_path: String,
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

/// Maximum length of NSID, CHAOS answers and names in the fleet: that of a character string (RFC 1035 3.3).
const TEXT_OCTETS_MAX: usize = 255;

/// Allowed idle times of connections.
const TCP_IDLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

impl ServeOptions {
    /// Checks all settings, and fills in the defaults.
    pub(super) fn check(self) -> anyhow::Result<Config> {
        self.check_texts()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let tcp_idle = time(self.tcp_idle, 10);
        if !TCP_IDLE.contains(&tcp_idle) {
            bail!("tcp-idle must be from 1s to 1h");
        }
        let log_level = self.log_level.as_deref().unwrap_or("info");
        Ok(Config {
            mirror: self.mirror()?,
            listen: self.addresses()?,
            listens_where_possible: self.listen.is_none(),
            encrypted: self.encrypted()?,
            admin: self.admin.unwrap_or((Ipv4Addr::LOCALHOST, 9053).into()),
            udp_workers: count("udp-workers", self.udp_workers, cores.min(1024), 1024)?,
            stale_after: or_never(self.stale_after, 30),
            tcp_connections: count("tcp-connections", self.tcp_connections, 1000, 1_000_000)?,
            tcp_idle,
            policy: self.policy()?,
            lameduck: time(self.lameduck, 0),
            log_level: log_directives(log_level, "info").context("log-level")?,
            log_format: self.log_format.unwrap_or_default(),
            id: self.id,
            advertise: self.advertise,
            nsid: self.nsid.unwrap_or_default(),
            server_version: self.server_version.unwrap_or_default(),
        })
    }

    fn check_texts(&self) -> anyhow::Result<()> {
        for (what, text) in [
            ("nsid", &self.nsid),
            ("server-version", &self.server_version),
            ("id", &self.id),
        ] {
            if text
                .as_ref()
                .is_some_and(|text| text.len() > TEXT_OCTETS_MAX)
            {
                bail!("{what} is longer than {TEXT_OCTETS_MAX} octets");
            }
        }
        let is_bad =
            |id: &String| id.is_empty() || id.contains(|c: char| c.is_control() || c == '/');
        if self.id.as_ref().is_some_and(is_bad) {
            bail!("id must not be empty or contain `/` or control characters");
        }
        Ok(())
    }

    /// Where to answer DNS.
    fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        match &self.listen {
            None => Ok(vec![
                (Ipv4Addr::LOCALHOST, 53).into(),
                (Ipv6Addr::LOCALHOST, 53).into(),
            ]),
            Some(listen) if listen.is_empty() => {
                bail!("listen is empty: give at least one address")
            }
            Some(listen) => Ok(listen.clone()),
        }
    }

    /// Where and with what certificate to answer over encrypted transports.
    fn encrypted(&self) -> anyhow::Result<Option<Encrypted>> {
        let addresses = EncryptedAddresses {
            tls: self.tls_listen.clone().unwrap_or_default(),
            https: self.https_listen.clone().unwrap_or_default(),
            quic: self.quic_listen.clone().unwrap_or_default(),
        };
        let https_path = self.https_path.as_deref().unwrap_or("/dns-query");
        let is_plain = |c: char| c.is_ascii_graphic() && !['?', '#'].contains(&c);
        if !https_path.starts_with('/') || !https_path.chars().all(is_plain) {
            bail!(
                "https-path must begin with /, and have only ASCII characters, but no space, ? or #"
            );
        }
        let names = "tls-listen, https-listen or quic-listen";
        let pair = (self.tls_cert.clone(), self.tls_key.clone());
        match (addresses == EncryptedAddresses::default(), pair) {
            (true, (None, None)) => Ok(None),
            (true, _) => bail!("tls-cert and tls-key are given, but none of {names}"),
            (false, (Some(certificate), Some(key))) => Ok(Some(Encrypted {
                addresses,
                https_path: https_path.into(),
                certificate,
                key,
            })),
            (false, _) => bail!("{names} need tls-cert and tls-key"),
        }
    }

    /// The settings about clients.
    fn policy(&self) -> anyhow::Result<Policy> {
        let allow = self.allow_query.as_deref();
        if allow.is_some_and(<[_]>::is_empty) {
            // Somebody may mean "nobody", and somebody else "everybody".
            bail!("allow-query is empty: give at least one prefix, or leave it out to allow all");
        }
        let deny = self.deny_query.as_deref();
        Ok(Policy {
            rules: Rules::new(allow.unwrap_or_default(), deny.unwrap_or_default()),
            limits: self.limits()?,
            has_cookies: self.cookies.unwrap_or(true),
            limiter: None,
        })
    }

    fn limits(&self) -> anyhow::Result<Limits> {
        let slip = self.rrl_slip.unwrap_or(2);
        if slip > Rates::SLIP_MAX {
            bail!("rrl-slip must be a number from 0 to {}", Rates::SLIP_MAX);
        }
        Ok(Limits {
            rates: Rates {
                answers: rate("rrl-answers", self.rrl_answers)?,
                nxdomains: rate("rrl-nxdomains", self.rrl_nxdomains)?,
                errors: rate("rrl-errors", self.rrl_errors)?,
                slip,
            },
            exempt: PrefixSet::new(self.rrl_exempt.as_deref().unwrap_or_default()),
            is_log_only: self.rrl_log_only.unwrap_or(false),
        })
    }

    fn mirror(&self) -> anyhow::Result<MirrorSettings> {
        let store = client::Config {
            discover: self.discover_members.unwrap_or(false),
            ..self.store.config()?
        };
        store.tls.check()?;
        let interval = or_never(self.snapshot_interval, 60)
            .context("snapshot-interval must be greater than 0")?;
        if let Some(path) = &self.snapshot {
            // Fail at the start rather than when the snapshot is needed.
            mirror::check_snapshot(path)
                .with_context(|| format!("cannot write a snapshot to {}", path.display()))?;
        }
        Ok(MirrorSettings {
            store: store.complete()?,
            prefix: self.store.prefix()?,
            consistency: self.consistency.unwrap_or_default(),
            guard: match self.hold_loss_over.unwrap_or(50) {
                percent @ 0..=100 => mirror::Guard { percent },
                _ => bail!("hold-loss-over must be a percentage from 0 to 100"),
            },
            snapshot: self.snapshot.clone().map(|path| (path, interval)),
            audit: or_never(self.audit_interval, 3600),
            allow_empty: self.allow_empty.unwrap_or(false),
        })
    }
}

fn count(what: &str, given: Option<usize>, default: usize, max: usize) -> anyhow::Result<usize> {
    match given.unwrap_or(default) {
        count if (1..=max).contains(&count) => Ok(count),
        _ => bail!("{what} must be a number from 1 to {max}"),
    }
}

fn rate(what: &str, given: Option<u32>) -> anyhow::Result<u32> {
    match given.unwrap_or(0) {
        rate if rate <= Rates::RATE_MAX => Ok(rate),
        _ => bail!(
            "{what} must be a number from 1 to {}, or 0 for no limit",
            Rates::RATE_MAX
        ),
    }
}

fn time(given: Option<Time>, default_s: u64) -> Duration {
    given.map_or(Duration::from_secs(default_s), |Time(time)| time)
}

fn or_never(given: Option<Time>, default_s: u64) -> Option<Duration> {
    Some(time(given, default_s)).filter(|time| !time.is_zero())
}
