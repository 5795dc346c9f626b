//! Processes with their output in a file, killed when the value that stands for them goes.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::{TempDir, ensure, eventually};

/// The binary `name` of this workspace, from the target folder that this test was built in.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this executable has a path");
    let found = test
        .ancestors()
        .skip(1)
        .take(3)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no {name} beside {}: run cargo build -p nsd -p nsctl first",
            test.display()
        )
    })
}

/// A process. Its standard output and standard error go to files.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    folder: TempDir,
    /// Whether its log is told when a test fails.
    told: bool,
}

impl Process {
    /// Starts it.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self::start_with(name, program, args, &[])
    }

    /// Starts it with more environment variables.
    pub fn start_with<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        variables: &[(&str, &OsStr)],
    ) -> Self {
        let folder = TempDir::new();
        let file =
            |name| File::create(folder.path().join(name)).expect("a new file in a new folder");
        let mut command = Command::new(program);
        // These are for the tests, and nsd would say that it does not know them.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NSD_TEST_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(args)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        Process {
            name: name.into(),
            child,
            folder,
            told: true,
        }
    }

    /// The same, without its log where a test fails: too long, and rarely of use.
    pub fn quiet(mut self) -> Self {
        self.told = false;
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, file: &str) -> String {
        let octets = std::fs::read(self.folder.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of an own child")
    }

    /// Sends a signal, as in `STOP`. Through the shell: the harness has no `unsafe` code.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -s {signal} {}", self.id()))
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{signal} to {}",
            self.name
        );
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) {
        // Fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself.
    pub async fn end(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} has ended"), limit, async || {
            self.ended().ok_or_else(|| "it runs".to_string())
        })
        .await
    }

    /// Panics with its log if it has ended.
    pub fn check(&mut self) -> Result<(), String> {
        let ended = self.ended();
        ensure(ended.is_none(), || {
            format!("{} has ended with {ended:?}:\n{}", self.name, self.stderr())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self
            .child
            .try_wait()
            .ok()
            .flatten()
            .map_or("it ran".into(), |status| status.to_string());
        self.kill();
        if self.told && std::thread::panicking() {
            let log = self.stderr();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!(
                "--- the last lines of {} (process {}, {ended}):\n{}\n---",
                self.name,
                self.id(),
                last.join("\n")
            );
        }
    }
}
