//! SIGHUP: reads again what can be changed while a front-end serves.
//!
//! That is the log level, and the files for TLS towards etcd. Either all of it is sound and in use afterwards, or nothing
//! changes and the log says why.

use etcd::client;
use tracing::{error, info, warn};

use super::logs::LogLevel;
use crate::config::{Config, ServeOptions};

/// What is read again, and from where.
pub(crate) struct Reload {
    /// The settings as they were typed.
    typed: ServeOptions,
    /// The same with those of the configuration file, as this process started with.
    started_with: ServeOptions,
    store: client::Config,
    log_level: LogLevel,
}

impl Reload {
    /// Reads the settings for the first time, and starts to log.
    pub(crate) fn start(typed: ServeOptions) -> anyhow::Result<(Self, Config)> {
        let config = typed.clone().complete()?;
        let started_with = typed.merged()?;
        let reload = Reload {
            typed,
            started_with,
            store: config.mirror.store.clone(),
            log_level: LogLevel::start(&config.log_level, config.log_format)?,
        };
        Ok((reload, config))
    }

    /// Reads them again.
    pub(crate) fn reload(&self) {
        match self.try_reload() {
            Ok(log_level) => info!(log_level, "reloaded the log level and the TLS files"),
            Err(error) => error!(
                error = format!("{error:#}"),
                "not reloaded: the log level and the TLS files in use stay in use"
            ),
        }
    }

    fn try_reload(&self) -> anyhow::Result<String> {
        // First all that may fail.
        let config = self.typed.clone().complete()?;
        let differences = self.typed.merged()?.differences(&self.started_with)?;
        self.store.tls.check()?;
        self.log_level.set(&config.log_level)?;
        let later: Vec<String> = differences
            .into_iter()
            .filter(|name| name != "log-level")
            .collect();
        if !later.is_empty() {
            warn!(
                settings = later.join(", "),
                "these changed settings need a restart"
            );
        }
        Ok(config.log_level)
    }
}
