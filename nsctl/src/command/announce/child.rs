//! The command that runs as long as its records are announced.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::signal::unix::SignalKind;

use crate::error::Error;

pub(super) struct Child(Option<tokio::process::Child>);

impl Child {
    /// Starts the command, if there is one.
    pub(super) fn start(words: &[OsString]) -> Result<Self, Error> {
        let Some((program, arguments)) = words.split_first() else {
            return Ok(Child(None));
        };
        let mut command = Command::new(program);
        // In a group of its own, so that an interrupt from the terminal waits for the withdrawal, too.
        match command.args(arguments).process_group(0).spawn() {
            Ok(child) => Ok(Child(Some(child))),
            Err(error) => Err(Error::Failed(format!(
                "cannot run {}: {error}",
                program.display()
            ))),
        }
    }

    /// Waits for the end of the command; for ever if there is none. Its exit code becomes that of nsctl.
    pub(super) async fn ended(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            None => std::future::pending().await,
            Some(child) => result(child.wait().await.map_err(Error::failed)?),
        }
    }

    /// Waits for the end of a command that was sent this signal. If it dies of the signal, that is what was wanted.
    pub(super) async fn stopped(&mut self, sent: SignalKind) -> Result<(), Error> {
        let Some(child) = &mut self.0 else {
            return Ok(());
        };
        let status = child.wait().await.map_err(Error::failed)?;
        match status.signal() == Some(sent.as_raw_value()) {
            true => Ok(()),
            false => result(status),
        }
    }

    /// Sends the command, and what it has started, a signal that was sent to nsctl.
    pub(super) fn pass_on(&self, signal: SignalKind) {
        if let Some(signal) = Signal::from_named_raw(signal.as_raw_value()) {
            self.send(signal);
        }
    }

    pub(super) fn kill(&self) {
        self.send(Signal::KILL);
    }

    fn send(&self, signal: Signal) {
        if let Some(child) = &self.0 {
            send_to_group(child, signal);
        }
    }
}

fn result(status: ExitStatus) -> Result<(), Error> {
    match status.success() {
        true => Ok(()),
        false => {
            let text = format!("the command ended: {status}");
            Err(Error::Command(code(status), text))
        }
    }
}

/// The exit code that a shell would give.
fn code(status: ExitStatus) -> u8 {
    let code = status.code();
    let code = code.or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Sends a signal to a process that leads a group, and to its group.
pub(super) fn send_to_group(leader: &tokio::process::Child, signal: Signal) {
    let group = leader.id().and_then(|id| Pid::from_raw(id as i32));
    if let Some(group) = group {
        // If it is gone already, that is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}
