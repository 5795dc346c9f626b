//! The signals that the process handles.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | shuts down after the lame duck time; a second one ends that time, and a shutdown that hangs |
//! | SIGHUP | reloads what can be reloaded (`nsd dev`: shuts down) |
//! | SIGUSR1, SIGUSR2 | ignored |
//!
//! Rust's runtime ignores SIGPIPE.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the process listens for.
pub(crate) struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Nobody receives these, so they have no effect.
    _ignored: [Signal; 2],
}

/// What a signal makes the process do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Shutdown,
    Reload,
}

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind, name| signal(kind).with_context(|| format!("cannot wait for {name}"));
        Ok(Signals {
            term: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hangup: listen(SignalKind::hangup(), "SIGHUP")?,
            _ignored: [
                listen(SignalKind::user_defined1(), "SIGUSR1")?,
                listen(SignalKind::user_defined2(), "SIGUSR2")?,
            ],
        })
    }

    /// Waits for the next signal that has an effect.
    pub(crate) async fn next(&mut self) -> Effect {
        tokio::select! {
            _ = self.term.recv() => Effect::Shutdown,
            _ = self.interrupt.recv() => Effect::Shutdown,
            _ = self.hangup.recv() => Effect::Reload,
        }
    }
}
