//! What signals do, instead of ending the process as they do by default.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT | the end, after the lame duck time; a second one cuts that short, and an end that hangs |
//! | SIGHUP | what can be read again is (`nsd dev`: the end) |
//! | SIGUSR1, SIGUSR2 | none |
//!
//! SIGPIPE is ignored by Rust's runtime.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the process listens for.
pub(crate) struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Received by nobody, and so without effect.
    _ignored: [Signal; 2],
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    End,
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

    /// Waits for the next one that has an effect.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}
