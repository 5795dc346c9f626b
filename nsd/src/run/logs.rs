//! Logs to stderr, at a level that can be changed while the process runs.

use std::io::IsTerminal;

use anyhow::Context;
use etcd::options;
use tracing::warn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{self, LogFormat};

/// Changes what is logged.
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Sends log lines to stderr from now on.
    pub(crate) fn start(level: &str, format: LogFormat) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(level)?);
        let lines = fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        let lines = match format {
            LogFormat::Text => lines.boxed(),
            LogFormat::Json => lines.json().boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .init();
        for line in config::unknown_variables() {
            warn!("{line}");
        }
        Ok(LogLevel(handle))
    }

    /// Logs at this level from now on.
    pub(crate) fn set(&self, level: &str) -> anyhow::Result<()> {
        Ok(self.0.reload(filter(level)?)?)
    }
}

/// Libraries that warn of what a client does: any client could fill the log. Directives of the user come later, and win.
const QUIET: &str = "h2=error,hyper=error,quinn=error,quinn_proto=error,rustls=error";

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let directives = options::log_directives(level, "info")?;
    EnvFilter::try_new(format!("{QUIET},{directives}"))
        .with_context(|| format!("'{level}' is not a log level"))
}
