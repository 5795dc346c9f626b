//! SIGHUP: reloads what can be changed while a front-end serves.
//!
//! That is the log level, the TLS files for connections to etcd, the certificate for clients, and the settings about
//! clients. Either all of it is valid and used from then on, or nothing changes and the log says why.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use etcd::client;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::certificate::CertificateFiles;
use super::logs::LogLevel;
use super::random_seed;
use crate::config::{Config, ServeOptions};
use crate::policy::Policy;

/// How long a reload may take before the log says that it has not been done.
const RELOAD: Duration = Duration::from_secs(5);

/// The settings that are reloaded. The others need a restart.
const RELOADED: [&str; 10] = [
    "log-level",
    "allow-query",
    "deny-query",
    "cookies",
    "rrl-answers",
    "rrl-nxdomains",
    "rrl-errors",
    "rrl-slip",
    "rrl-exempt",
    "rrl-log-only",
];

/// What can be reloaded, and from where.
pub(crate) struct Reload {
    /// The settings of the command line and the environment.
    typed: ServeOptions,
    /// The same merged with the configuration file, as at the start of the process.
    started_with: ServeOptions,
    /// As at the last reload.
    last: Mutex<ServeOptions>,
    store: client::Config,
    log_level: LogLevel,
    /// One reload at a time.
    turn: Arc<Semaphore>,
}

impl Reload {
    /// Reads the settings for the first time, and starts logging.
    pub(crate) fn start(typed: ServeOptions) -> anyhow::Result<(Self, Config)> {
        let config = typed.clone().complete()?;
        let started_with = typed.merged()?;
        let last = Mutex::new(started_with.clone());
        let reload = Reload {
            typed,
            started_with,
            last,
            store: config.mirror.store.clone(),
            log_level: LogLevel::start(&config.log_level, config.log_format)?,
            turn: Arc::new(Semaphore::new(1)),
        };
        Ok((reload, config))
    }

    /// Reads the settings again, on a thread of its own: a file may lie on a disk that hangs. Returns once that is done,
    /// or after [`RELOAD`]; then it is done later, and no other reload begins before.
    pub(crate) async fn reload_aside(
        self: &Arc<Self>,
        certificate: Option<CertificateFiles>,
        policy: Arc<ArcSwap<Policy>>,
    ) {
        let Ok(permit) = self.turn.clone().try_acquire_owned() else {
            error!("not reloaded: the last reload still waits for a file that the settings name");
            return;
        };
        let reload = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            reload.reload(certificate.as_ref(), &policy);
        });
        if tokio::time::timeout(RELOAD, work).await.is_err() {
            warn!(
                "not reloaded yet: waiting for a file that the settings name, as on a disk that hangs"
            );
        }
    }

    fn reload(&self, certificate: Option<&CertificateFiles>, policy: &ArcSwap<Policy>) {
        match self.try_reload(certificate, policy) {
            Ok((changed, log_level)) => info!(
                changed,
                log_level, "reloaded the log level, the TLS files and the settings about clients"
            ),
            Err(error) => error!(
                error = one_line(&format!("{error:#}")),
                "not reloaded: the log level, the TLS files and the settings about clients stay as they are"
            ),
        }
    }

    /// The result is the settings that have changed, or `nothing`, and the log level.
    fn try_reload(
        &self,
        certificate: Option<&CertificateFiles>,
        policy: &ArcSwap<Policy>,
    ) -> anyhow::Result<(String, String)> {
        // Everything that may fail comes first.
        if let Some(path) = &self.typed.config {
            check_again(path)?;
        }
        let config = self.typed.clone().complete()?;
        let merged = self.typed.merged()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = merged.differences(&last)?;
        changed.retain(|name| RELOADED.contains(&name.as_str()));
        let differences = merged.differences(&self.started_with)?;
        self.store.tls.check()?;
        let show = certificate.map(CertificateFiles::reload).transpose()?;
        let next = config.policy.after(&policy.load(), random_seed()?);
        self.log_level.set(&config.log_level)?;
        policy.store(Arc::new(next));
        if let Some(show) = show {
            show();
        }
        let later: Vec<String> = differences
            .into_iter()
            .filter(|name| !RELOADED.contains(&name.as_str()))
            .collect();
        if !later.is_empty() {
            warn!(
                settings = later.join(", "),
                "these changed settings need a restart"
            );
        }
        *last = merged;
        let changed = match changed.is_empty() {
            true => "nothing".into(),
            false => changed.join(", "),
        };
        Ok((changed, config.log_level))
    }
}

/// Checks a configuration file that is read once more. At the start it may be a pipe, which has nothing the second time; and
/// a file that somebody is about to write has nothing yet. Settings such as access lists must not go for that.
fn check_again(path: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path);
    let metadata = metadata.with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_file() {
        bail!(
            "cannot read {} again: it is not a regular file",
            path.display()
        );
    }
    if metadata.len() == 0 {
        bail!(
            "{} is empty: if that is meant, put a comment into it",
            path.display()
        );
    }
    Ok(())
}

/// A text of several lines as one.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}
